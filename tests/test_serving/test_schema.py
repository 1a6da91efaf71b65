"""What a caller may send, and what they are told when it is something else."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.contract import CONTRACT
from serving.problems import Problem
from serving.schema import TABLES, ExplainRequest, Reader, Refused, ScoreRequest
from serving.settings import ServingSettings

READER = Reader(ScoreRequest, ServingSettings(max_customers=4, max_rows=6))
TOUCHPOINT = {"occurred_at": "2026-03-04T10:00:00Z", "kind": "purchase"}


def body(**changes):
    customer = {"customer_id": "007", "touchpoints": [TOUCHPOINT], **changes.pop("customer", {})}
    return json.dumps({"customers": [customer], **changes}).encode()


def refused(given):
    with pytest.raises(Problem) as caught:
        READER.read(given)
    return caught.value


def refused_customer(**customer):
    (found,) = READER.read(body(customer=customer)).customers
    assert isinstance(found, Refused)
    return {error.path: error.code for error in found.errors}


def as_sent(found):
    """Return what was read as what was sent: without what was not."""
    return [
        {name: value for name, value in customer.items() if name == "touchpoints" or value}
        for customer in msgspec.to_builtins(found)
    ]


def test_a_request_needs_a_customer_with_touchpoints_and_nothing_else():
    call = READER.read(body())
    assert as_sent(call.customers) == [{"customer_id": "007", "touchpoints": [TOUCHPOINT]}]
    assert (call.reasons, call.evidence, call.language) == (3, 1, None)


def test_a_customer_of_whom_nothing_is_known_is_a_customer():
    (customer,) = READER.read(body(customer={"touchpoints": []})).customers
    assert customer["touchpoints"] == []


def test_every_column_of_the_contract_is_taken():
    values = {"text": "x", "time": "2026-03-04", "number": 1.0, "flag": True}
    for name in TABLES:
        columns = [c for c in CONTRACT[name].columns if c.name != "customer_id"]
        row = {c.name: c.words[0] if c.words else values[c.kind] for c in columns}
        (found,) = as_sent(READER.read(body(customer={name: [row]})).customers)
        assert found[name] == [row], name
        optional = {c.name: row[c.name] if c.required else None for c in columns}
        (found,) = as_sent(READER.read(body(customer={name: [optional]})).customers)
        assert found[name] == [{k: v for k, v in optional.items() if v is not None}], name
        for column in columns:
            if column.required:
                rows = [{k: v for k, v in row.items() if k != column.name}]
                assert refused_customer(**{name: rows}) == {f"{name}[0].{column.name}": "missing"}


def test_ids_and_texts_are_kept_byte_for_byte():
    for name in ("007", "12E5", " x ", "ñ🎉", "null", "a\u0000b"):
        (found,) = READER.read(body(customer={"customer_id": name})).customers
        assert found["customer_id"] == name


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b'{"customers": [], }', 400),
        (b'{"customers": [{"customer_id": "\\ud800", "touchpoints": []}]}', 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b"{}", 422),
        (b'{"customers": []}', 422),
        (b'{"customers": {}}', 422),
        (b'{"customers": [], "extra": 1}', 422),
    ],
)
def test_what_is_not_a_request_is_refused_whole(text, status):
    assert refused(text).status == status


@pytest.mark.parametrize("reasons", [-1, 21, 1.5, "3", True, None, float("nan")])
def test_the_number_of_reasons_is_a_small_whole_number(reasons):
    problem = refused(body(reasons=reasons))
    assert [error.path for error in problem.errors] == ["reasons"] or problem.status == 400


def test_explaining_knows_no_number_of_reasons():
    with pytest.raises(Problem) as caught:
        Reader(ExplainRequest, ServingSettings()).read(body(reasons=3))
    assert [error.path for error in caught.value.errors] == ["reasons"]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_not_numbers(number):
    assert refused_customer(touchpoints=[{**TOUCHPOINT, "amount": number}]) == {
        "touchpoints[0].amount": "finite_number"
    }
    assert refused_customer(attributes={"income": number}) == {"attributes.income": "attribute_type"}


def test_a_number_too_large_for_a_float_is_refused():
    text = body().replace(b'"purchase"', b'"purchase", "amount": 1e999')
    (found,) = READER.read(text).customers
    assert [e.path for e in found.errors] == ["touchpoints[0].amount"]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("amount", "12", "float_type"),
        ("amount", True, "float_type"),
        ("kind", 5, "string_type"),
        ("kind", "", "string_too_short"),
        ("kind", "x" * 257, "string_too_long"),
        ("direct", "yes", "bool_type"),
        ("direct", 1, "bool_type"),
        ("outcome", "lost", "literal_error"),
        ("perceived", 11, "less_than_equal"),
        ("wait_minutes", -1, "greater_than_equal"),
        ("occurred_at", 1_700_000_000, "string_type"),
        ("occurred_at", None, "string_type"),
        ("churned", 1, "extra_forbidden"),
    ],
)
def test_fields_are_strict_and_named_by_their_path(field, value, code):
    rows = [TOUCHPOINT, {**TOUCHPOINT, field: value}]
    assert refused_customer(touchpoints=rows) == {f"touchpoints[1].{field}": code}


def test_a_customer_who_is_not_well_formed_is_refused_alone():
    customers = [
        {"customer_id": "1", "touchpoints": []},
        {"customer_id": "2", "touchpoints": [{"kind": "call"}]},
        "three",
        {"customer_id": 4, "touchpoints": []},
    ]
    found = READER.read(json.dumps({"customers": customers}).encode()).customers
    assert [isinstance(customer, Refused) for customer in found] == [False, True, True, True]
    assert [customer.customer_id for customer in found[1:]] == ["2", None, None]


def test_lists_are_bounded():
    many = [{"customer_id": str(i), "touchpoints": []} for i in range(5)]
    problem = refused(json.dumps({"customers": many}).encode())
    assert "up to 4 customers" in problem.detail
    assert refused_customer(touchpoints=[TOUCHPOINT] * 7) == {"touchpoints": "too_long"}
    assert refused_customer(attributes={str(i): 1 for i in range(201)}) == {"attributes": "too_long"}


def test_very_many_errors_are_counted_not_listed():
    problem = refused(body(**{f"x{i}": 1 for i in range(3_000)}))
    assert [error.code for error in problem.errors] == ["too_many_errors"]
    assert len(problem.body()) < 1_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
)
def test_whatever_json_comes_is_read_or_refused_in_words(value):
    for text in (
        json.dumps(value).encode(),
        body(customer={"touchpoints": value}),
        body(customer={"as_of": value}),
    ):
        try:
            call = READER.read(text)
        except Problem as problem:
            assert 400 <= problem.status < 500
            json.loads(problem.body())
        else:
            assert call.customers


def test_no_value_is_ever_repeated():
    secret = "600123456-Ana"
    for text in (
        body(customer={"as_of": 5, "touchpoints": [{**TOUCHPOINT, "outcome": secret, "amount": secret}]}),
        body(language=secret),
        body(reasons=secret),
    ):
        try:
            told = str(READER.read(text).customers[0].errors)
        except Problem as problem:
            told = problem.body().decode()
        assert secret not in told


ROW = '"occurred_at": "2026-01-01T00:00:00Z", "kind": "purchase"'
TEXTS = [
    *("\\ud800", "\\udc00", "\\ud83d\\ude00", "\\u0000", "a\x01b", "a\tb", "a\x7fb", "\\x", "\\u00e9\\n", ""),
    *("é" * 256, "é" * 257, "\ufeff", "\u2028"),
]
NUMBERS = [
    *(
        "0",
        "-0",
        "01",
        "1.",
        ".5",
        "+1",
        "1e5",
        "1e999",
        "-1e999",
        "1e-400",
        "NaN",
        "Infinity",
        "true",
        "null",
    ),
    *(
        '"5"',
        "9" * 19,
        "9" * 30,
        "9" * 400,
        "10",
        "10.0000001",
        "-1",
        "3.0",
        "0.1000000000000000055511",
        "[]",
        "{}",
    ),
]
BODIES = [
    *(f'{{"customers": [{{"customer_id": "1", "touchpoints": [{{{ROW}, "item": "{t}"}}]}}]}}' for t in TEXTS),
    *(
        f'{{"customers": [{{"customer_id": "1", "touchpoints": [{{{ROW}, "{name}": {number}}}]}}]}}'
        for name in ("amount", "nps", "direct", "outcome", "kind", "kin\\u0064", "unknown")
        for number in NUMBERS
    ),
    *(
        f'{{"customers": [{{"customer_id": "1", "touchpoints": [], "attributes": {{"a": {value}}}}}]}}'
        for value in NUMBERS
    ),
    *(
        f'{{"customers": [{{"customer_id": "1", "touchpoints": [], "{name}": {value}}}]}}'
        for name in ("as_of", "wallet", "attributes", "customer_id")
        for value in NUMBERS
    ),
    *(
        f'{{"customers": [{{"customer_id": "1", "touchpoints": []}}], "{name}": {value}}}'
        for name in ("reasons", "evidence", "language", "customers", "else")
        for value in (*NUMBERS, '"en"', '"fr"')
    ),
    *("", "null", "[]", "{}", "5", '{"customers": []} x', '{"customers": []}//', "[" * 5000),
    *(
        f'{{"customers": [{{"customer_id": "1", "touchpoints": []}}]}}{end}'
        for end in (" \n", "x", "//", "{}")
    ),
]
RAW = [
    *(b.encode("utf-8", "surrogatepass") for b in BODIES),
    *(BODIES[5].encode(code) for code in ("utf-16", "utf-8-sig")),
    *(BODIES[5].encode().replace(b"b", wrong) for wrong in (b"\xe9", b"\xc0\xaf", b"\xed\xa0\x80", b"\xff")),
]


def test_what_is_read_quickly_is_what_is_read_with_care():
    quick = 0
    for text in RAW:
        try:
            found = READER._quick.decode(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
        quick += 1
        careful = READER._whole.validate_json(text)
        assert as_sent(msgspec.to_builtins(found)["customers"]) == as_sent(
            [
                {
                    name: [{k: v for k, v in row.items() if v is not None} for row in value]
                    if isinstance(value, list)
                    else value
                    for name, value in customer.items()
                }
                for customer in careful["customers"]
            ]
        ), text
        asked = (found.reasons, found.evidence, found.language)
        assert asked == (careful.get("reasons", 3), careful.get("evidence", 1), careful.get("language")), text
    assert 50 < quick < len(RAW) - 100, "some are taken, some are refused"


def test_what_came_before_changes_nothing_of_how_a_body_is_read():
    reader = Reader(ScoreRequest, ServingSettings())
    rows = [
        {**TOUCHPOINT, "channel": "web"},
        TOUCHPOINT,
        {**TOUCHPOINT, "amount": 2, "item": None, "direct": True},
        {**TOUCHPOINT, "item": None, "outcome": None},
        {**TOUCHPOINT, "channel": "web", "nps": 3.0},
        {**TOUCHPOINT, "colour": "red"},
        {**TOUCHPOINT, "nps": "3"},
        {"kind": "purchase"},
        TOUCHPOINT,
    ]
    for row in [*rows, *rows]:
        given = body(customer={"touchpoints": [row, TOUCHPOINT]})
        known, fresh = reader.read(given), Reader(ScoreRequest, ServingSettings()).read(given)
        for one, other in zip(known.customers, fresh.customers, strict=True):
            if isinstance(one, Refused):
                assert one == other
            else:
                assert as_sent([one]) == as_sent([other])
                assert as_sent([one])[0]["touchpoints"][0] == {k: v for k, v in row.items() if v is not None}


def test_columns_that_have_come_are_not_looked_for_twice():
    reader = Reader(ScoreRequest, ServingSettings())
    given = body(customer={"touchpoints": [{**TOUCHPOINT, "channel": "web", "amount": 2.5}]})
    reader.read(given)
    (row,) = reader.read(given).customers[0]["touchpoints"]
    assert set(row.__struct_fields__) == {"occurred_at", "kind", "channel", "amount"}
    nulls = body(customer={"touchpoints": [{**TOUCHPOINT, "outcome": None}]})
    reader.read(nulls)
    (row,) = reader.read(nulls).customers[0]["touchpoints"]
    assert row.outcome is None
