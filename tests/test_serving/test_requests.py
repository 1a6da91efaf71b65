"""From a call to histories: the same streams as from tables, bit for bit."""

from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import as_of_us
from features.contract import ARROW, CONTRACT
from features.histories import build_histories
from features.vocabulary import Vocabulary
from serving.requests import Unusable, build_call, read_customer

MADRID = ZoneInfo("Europe/Madrid")
NOW = as_of_us("2026-06-01", MADRID)
VOCABULARY = Vocabulary(
    **dict.fromkeys(("kinds", "channels", "items", "outcomes", "measures", "amount_kinds"), ()),
    **dict.fromkeys(("products", "facets", "actions", "streams", "activity"), ()),
    levels={"segment": ("gold", "basic")},
    numbers=("since", "income"),
    facts={},
    encounters={},
)
TOUCHPOINT = {"occurred_at": "2026-03-04T10:00:00Z", "kind": "purchase"}


def read(**customer):
    return read_customer(
        {"customer_id": "1", "touchpoints": [TOUCHPOINT], **customer}, VOCABULARY, MADRID, NOW
    )


def wrong(**customer):
    with pytest.raises(Unusable) as caught:
        read(**customer)
    return {error.path: error.code for error in caught.value.errors}


def from_tables(customers):
    """Build what a nightly batch would, from the contract's tables."""
    tables = {}
    for name in ("touchpoints", "relationships"):
        rows = [
            {"customer_id": f"{i:08d}", **row} for i, c in enumerate(customers) for row in c.get(name, ())
        ]
        present = dict.fromkeys(key for row in rows for key in row)
        columns = {}
        for column in CONTRACT[name].columns:
            if column.name in present or column.required:
                cells = [row.get(column.name) for row in rows]
                if column.kind == "time":
                    moments = [None if c is None else as_of_us(c, MADRID) for c in cells]
                    columns[column.name] = pa.array(moments, pa.int64()).cast(ARROW["time"])
                else:
                    columns[column.name] = pa.array(cells, ARROW[column.kind])
        if rows or name == "touchpoints":
            tables[name] = pa.table(columns).group_by(list(columns)).aggregate([])
    ids = [f"{i:08d}" for i in range(len(customers))]
    tables["customers"] = pa.table({"customer_id": ids})
    return build_histories(tables)


def content(stream):
    names = [stream.contacts[c] for c in stream.contact.tolist()]
    values = {
        name: v.unpack().tolist() for name, v in stream.values.items() if any(v.unpack() != v.unpack().min())
    }
    lag = None if stream.lag is None else stream.lag.unpack().tolist()
    opens = None if stream.opens is None else stream.opens.tolist()
    return stream.offsets.tolist(), stream.occurred_at.unpack().tolist(), names, lag, opens, values


MOMENTS = st.sampled_from(
    [
        "2026-03-04",
        "2026-03-04T00:00:00+01:00",
        "2026-03-29T03:30:00",
        "2026-10-25T02:30:00",
        "2026-01-05T09:00:00Z",
    ]
)
MAYBE = st.none() | st.sampled_from(["a", "b", "ñ", "ab"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"occurred_at": MOMENTS, "kind": st.sampled_from(["purchase", "call"])},
        optional={
            "channel": MAYBE,
            "item": MAYBE,
            "touchpoint_id": MAYBE,
            "direct": st.none() | st.booleans(),
            "recorded_at": st.none() | MOMENTS,
            "amount": st.none() | st.floats(-1e6, 1e6),
            "perceived": st.none() | st.floats(0, 10),
        },
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=3))
def test_a_call_becomes_the_streams_that_tables_become(touchpoints):
    customers = [{"customer_id": "x", "touchpoints": rows} for rows in touchpoints]
    call = build_call([read_customer(c, VOCABULARY, MADRID, NOW) for c in customers])
    batch = from_tables(customers)
    assert call.n_customers == len(customers)
    assert content(call.touchpoints) == content(batch.touchpoints)


@settings(max_examples=50, deadline=None)
@given(st.lists(ROWS, min_size=2, max_size=2))
def test_with_other_tables_too(touchpoints):
    held = [{"product": "loan", "started_at": "2026-01-01", "committed_until": "2027-01-01", "autopay": True}]
    customers = [
        {"customer_id": "x", "touchpoints": touchpoints[0]},
        {"customer_id": "x", "touchpoints": touchpoints[1], "relationships": held},
    ]
    call = build_call([read_customer(c, VOCABULARY, MADRID, NOW) for c in customers])
    batch = from_tables(customers)
    assert call.n_customers == 2
    for name in ("touchpoints", "relationships"):
        assert content(call.streams[name]) == content(batch.streams[name])


def test_customers_without_any_row_are_there():
    nobody = {"customer_id": "x", "touchpoints": []}
    held = {**nobody, "relationships": [{"product": "loan", "started_at": "2026-01-01"}]}
    for customers in ([nobody], [nobody, nobody], [nobody, held, nobody]):
        call = build_call([read_customer(c, VOCABULARY, MADRID, NOW) for c in customers])
        assert call.n_customers == len(customers)
        assert call.n_touchpoints == 0
        assert len(call.touchpoints.offsets) == len(customers) + 1


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-03-04T10:00:00Z", "2026-03-04T10:00:00+00:00"),
        ("2026-03-04T11:00:00", "2026-03-04T10:00:00Z"),
        ("2026-03-04", "2026-03-03T23:00:00Z"),
        ("2026-03-04 11:00:00.5", "2026-03-04T10:00:00.500000Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
    ],
)
def test_times_are_read_in_the_project_s_zone(text, same):
    reading = read(as_of=text, touchpoints=[{**TOUCHPOINT, "occurred_at": text}])
    assert reading.as_of == as_of_us(same, MADRID)
    assert reading.tables["touchpoints"]["occurred_at"] == [as_of_us(same, MADRID)]


@pytest.mark.parametrize(
    "text",
    [
        "yesterday..",
        "2026-13-04",
        "2026-02-30",
        "2026-03-29T02:30:00",
        "9999-12-31",
        "1700000000",
        "04/03/2026",
    ],
)
def test_a_time_that_is_none_is_named_by_its_path(text):
    assert wrong(touchpoints=[TOUCHPOINT, {**TOUCHPOINT, "occurred_at": text}]) == {
        "touchpoints[1].occurred_at": "time"
    }
    assert wrong(as_of=text) == {"as_of": "time"}


def test_without_as_of_it_is_now():
    assert read().as_of == NOW
    assert read(as_of=None).as_of == NOW


def test_rows_given_twice_count_once():
    reading = read(touchpoints=[TOUCHPOINT, {**TOUCHPOINT, "amount": None}, {**TOUCHPOINT, "amount": 1}])
    assert reading.duplicates == 1
    assert len(reading.tables["touchpoints"]["kind"]) == 2


def test_numbers_that_cannot_be_counted_exactly_are_refused():
    assert wrong(touchpoints=[{**TOUCHPOINT, "amount": 5e9}]) == {"touchpoints[0].amount": "out_of_range"}


def test_what_columns_owe_each_other_is_checked():
    loan = {"product": "loan", "started_at": "2026-02-01", "ended_at": "2026-01-01"}
    assert wrong(relationships=[loan]) == {"relationships[0].started_at": "order"}
    assert wrong(wallet=[{"observed_at": "2026-01-01", "ours": True}]) == {"wallet[0]": "missing"}


def test_attributes_have_the_type_that_the_model_knows():
    given = {"segment": "gold", "income": 20, "since": "2020-01-01", "value": 300.0, "colour": "red"}
    reading = read(attributes=given)
    assert reading.unused_attributes == ("colour",)
    assert reading.tables["customers"] == {
        "segment": ["gold"],
        "income": [20.0],
        "since": [as_of_us("2020-01-01", MADRID)],
    }
    bad = wrong(attributes={"segment": 3, "income": "20", "since": 2020})
    assert bad == {f"attributes.{name}": "attribute_type" for name in ("segment", "income", "since")}


def test_attributes_reach_the_histories():
    one = read(attributes={"segment": "gold", "income": 20})
    other = read(attributes={"income": 3.5, "since": "2020-01-01"})
    stream = build_call([one, other]).streams["attributes"]
    rows = [stream.contacts[c] for c in stream.contact.tolist()]
    numbers = stream.values["number"].unpack()
    assert ("segment", "gold") in rows
    assert 20_000_000 in numbers
    assert 3_500_000 in numbers
