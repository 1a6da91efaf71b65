import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contract import CONTRACT
from features.duplicates import tell_duplicates
from features.errors import CorredorError
from tests.test_features.workspaces import load, rows

CALL = "select 'c' as customer_id, '2026-01-01' as occurred_at, 'call' as kind"


def values(names, *told):
    """A query that gives rows from tuples."""
    listed = ", ".join("(" + ", ".join("null" if v is None else repr(v) for v in row) + ")" for row in told)
    return f"select * from (values {listed}) as t({names})"


def touchpoints(tmp_path, names, *told):
    sql = values(
        f"customer_id, occurred_at, kind, {names}", *(("c", "2026-01-01", "call", *row) for row in told)
    )
    tables = load(tmp_path, sql)
    intake = tables.intake["touchpoints"]
    assert intake.rows == len(told) and intake.quarantined == 0
    found = [tuple(row[n.strip()] for n in names.split(",")) for row in rows(tables)]
    return [tuple(v.day if hasattr(v, "day") else v for v in row) for row in found]


def test_identical_rows_count_once_and_empty_cells_are_equal(tmp_path):
    assert touchpoints(tmp_path, "item, amount", ("a", 1), ("a", 1), (None, None), (None, None)) == [
        ("a", 1.0),
        (None, None),
    ]


def test_rows_that_differ_in_anything_are_different(tmp_path):
    assert len(touchpoints(tmp_path, "item, amount", ("a", 1), ("b", 1), ("a", 2), ("a", None))) == 4


def test_what_is_told_again_later_counts_from_the_first_time(tmp_path):
    told = [("a", "2026-01-05"), ("a", "2026-01-03"), ("a", "2026-01-03"), ("b", "2026-01-04")]
    assert touchpoints(tmp_path, "item, recorded_at", *told) == [("a", 3), ("b", 4)]


def test_of_the_versions_of_a_touchpoint_the_last_one_counts(tmp_path):
    told = [("t", 5, "2026-01-02"), ("t", 6, "2026-01-04"), ("u", 7, "2026-01-02")]
    assert touchpoints(tmp_path, "touchpoint_id, amount, recorded_at", *told) == [
        ("t", 6.0, 4),
        ("u", 7.0, 2),
    ]


def test_a_version_repeated_by_every_export_counts_from_when_it_became_so(tmp_path):
    told = [("t", a, f"2026-01-0{d}") for d, a in enumerate([5, 5, 6, 6, 6], start=1)]
    assert touchpoints(tmp_path, "touchpoint_id, amount, recorded_at", *told) == [("t", 6.0, 3)]
    told = [("t", a, f"2026-01-0{d}") for d, a in enumerate([5, 6, 5, 5], start=1)]
    assert touchpoints(tmp_path, "touchpoint_id, amount, recorded_at", *told) == [("t", 5.0, 3)]


def test_lines_of_one_contact_are_no_versions_of_each_other(tmp_path):
    lines = [("t", "milk", 1), ("t", "milk", 2), ("t", "bread", 1)]
    assert len(touchpoints(tmp_path, "touchpoint_id, item, amount", *lines)) == 3
    recorded = [(*line, f"2026-01-0{day}") for day in (2, 3) for line in lines]
    assert touchpoints(tmp_path, "touchpoint_id, item, amount, recorded_at", *recorded) == [
        ("t", "bread", 1.0, 2),
        ("t", "milk", 1.0, 2),
        ("t", "milk", 2.0, 2),
    ]


def test_a_version_without_a_moment_of_recording_is_the_first(tmp_path):
    told = [("t", 5, None), ("t", 6, "2026-01-02")]
    assert touchpoints(tmp_path, "touchpoint_id, amount, recorded_at", *told) == [("t", 6.0, 2)]


def relationships(tmp_path, names, *told):
    names = f"customer_id, product, started_at, {names}"
    sql = values(
        names, ("g", "p", "2026-01-01", *[None] * len(told[0])), *(("c", "p", "2026-01-01", *t) for t in told)
    )
    return load(tmp_path, {"touchpoints": CALL, "relationships": sql})


def test_all_versions_of_a_relationship_are_kept_but_not_their_repetitions(tmp_path):
    told = [
        (None, "2026-02-01"),
        (None, "2026-03-01"),
        ("2026-03-10", "2026-04-01"),
        ("2026-03-10", "2026-05-01"),
        (None, "2026-06-01"),
    ]
    tables = relationships(tmp_path, "ended_at, recorded_at", *told)
    kept = [row["recorded_at"].month for row in rows(tables, "relationships") if row["customer_id"] == "c"]
    assert sorted(kept) == [2, 4, 6]
    assert tables.intake["relationships"].duplicates == 2


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("amount", [(5,), (6,)]),
        ("amount, recorded_at", [(5, "2026-02-01"), (6, "2026-02-01"), (5, "2026-02-01")]),
    ],
)
def test_relationships_that_contradict_each_other_are_put_aside_together(tmp_path, names, told):
    tables = relationships(tmp_path, names, *told)
    assert [row["customer_id"] for row in rows(tables, "relationships")] == ["g"]
    assert tables.intake["relationships"].quarantined == 2
    assert "contradicts another row" in tables.quarantine["reason"][0].as_py()


def test_customers_that_differ_are_refused_naming_the_columns(tmp_path):
    people = values("customer_id, city, age, club", ("a", "x", 1, 1), ("a", "y", 1, None), ("b", "x", 1, 1))
    with pytest.raises(CorredorError, match="1 customers have rows that differ in city, club. .*valid_from"):
        load(tmp_path, {"touchpoints": CALL, "customers": people})


def test_customers_may_differ_from_one_valid_from_to_the_next(tmp_path):
    told = [("a", "2026-01-01", "x"), ("a", "2026-02-01", "y"), ("a", "2026-02-01", "y")]
    tables = load(
        tmp_path, {"touchpoints": CALL, "customers": values("customer_id, valid_from, city", *told)}
    )
    assert len(tables["customers"]) == 2 and tables.intake["customers"].duplicates == 1
    told.append(("a", "2026-02-01", "z"))
    with pytest.raises(CorredorError, match="differ in city. Keep one row for each valid_from"):
        load(tmp_path, {"touchpoints": CALL, "customers": values("customer_id, valid_from, city", *told)})


facts = st.tuples(
    st.sampled_from(["t", "u", None]),
    st.sampled_from(["milk", None]),
    st.sampled_from([1, 2, None]),
    st.sampled_from([1, 2, 3, None]),
)


def slow_rule(told):
    """The rule of the module's first lines, row by row."""
    kept = set()
    with_id = [row for row in told if row[0]]
    for key in {row[:2] for row in with_id}:
        tellings = {}
        for row in with_id:
            if row[:2] == key:
                tellings.setdefault(row[3] or 0, set()).add(row[2])
        before = news = None
        for moment in sorted(tellings):
            if tellings[moment] != before:
                before, news = tellings[moment], moment
        kept |= {(*key, amount, news or None) for amount in tellings[news]}
    without_id = [row for row in told if not row[0]]
    for content in {row[:3] for row in without_id}:
        first = min(row[3] or 0 for row in without_id if row[:3] == content)
        kept.add((*content, first or None))
    return kept


def kept_of(told):
    n = len(told)
    ids, items, amounts, recorded = zip(*told, strict=True)
    time = pa.timestamp("us", "UTC")
    table = pa.table(
        {
            "customer_id": ["c"] * n,
            "occurred_at": pa.array([0] * n, time),
            "kind": ["call"] * n,
            "touchpoint_id": pa.array(ids, pa.string()),
            "item": pa.array(items, pa.string()),
            "amount": pa.array(amounts, pa.float64()),
            "recorded_at": pa.array(recorded, time),
        }
    )
    kept = tell_duplicates(table, CONTRACT["touchpoints"]).kept
    return [row for row, counts in zip(told, kept, strict=True) if counts]


@settings(deadline=None, max_examples=50)
@given(st.lists(facts, min_size=1, max_size=12), st.randoms())
def test_order_and_repetition_never_matter_and_the_slow_rule_agrees(told, rng):
    again = [*told, *told]
    rng.shuffle(again)
    once = kept_of(told)
    assert len(once) == len(set(once)) and set(once) == set(kept_of(again)) == slow_rule(told)
