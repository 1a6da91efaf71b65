"""What is told with little work is what is told by comparing every row with every other."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.bucket_duplicates import only_names_of_rows, tell_in_buckets, without_repeats
from features.bucket_rows import coded_schema
from features.contract import CONTRACT
from features.duplicates import tell_duplicates

TOUCHPOINTS = CONTRACT["touchpoints"]
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("occurred_at", pa.timestamp("us", "UTC")),
        ("kind", pa.string()),
        ("touchpoint_id", pa.string()),
        ("amount", pa.float64()),
        ("recorded_at", pa.timestamp("us", "UTC")),
    ]
)
ROW = st.tuples(
    st.sampled_from("abc"),
    st.integers(1, 4),
    st.sampled_from(["call", "purchase"]),
    st.sampled_from([None, "t1", "t2"]),
    st.sampled_from([None, 1.0, 2.0]),
    st.sampled_from([None, 5, 6]),
)


def table_of(rows):
    cells = zip(*rows, strict=True) if rows else [[]] * len(SCHEMA)
    return pa.table([pa.array(c, at.type) for c, at in zip(cells, SCHEMA, strict=True)], SCHEMA)


def coded(table):
    return table.cast(coded_schema(table.schema))


def content(table):
    return sorted(map(repr, table.cast(SCHEMA).to_pylist()))


@settings(max_examples=80, deadline=None)
@given(st.lists(ROW, max_size=30), st.booleans())
def test_the_same_touchpoints_count_as_when_all_are_compared(rows, in_time):
    rows = sorted(rows, key=lambda row: row[1]) if in_time else rows
    table = table_of(rows)
    told = tell_in_buckets(coded(table), TOUCHPOINTS)
    expected = table.filter(pa.array(tell_duplicates(table, TOUCHPOINTS).kept))
    assert told.aside == []
    assert content(table.filter(pa.array(told.kept))) == content(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, max_size=30), st.booleans())
def test_of_equal_rows_the_first_stays(rows, as_codes):
    table = coded(table_of(rows)) if as_codes else table_of(rows)
    left = without_repeats(table, TOUCHPOINTS).cast(SCHEMA)
    assert left.to_pylist() == table_of([*dict.fromkeys(rows)]).to_pylist()


def test_many_touchpoints_in_no_order_of_time_are_looked_up_rightly():
    rows = [(f"c{i * 7919 % 1000}", i * 104729 % 13, "call", None, 1.0, None) for i in range(20_000)]
    kept = tell_in_buckets(coded(table_of(rows)), TOUCHPOINTS).kept
    assert kept.sum() == len(set(rows)) == 13_000


def test_a_name_that_no_row_has_is_in_no_dictionary():
    table = coded(table_of([("ana", 1, "call", None, 1.0, None), ("bo", 1, "purchase", None, 1.0, None)]))
    left = only_names_of_rows(table.filter(pa.array([False, True])))
    assert left["customer_id"].chunk(0).dictionary.to_pylist() == ["bo"]
    assert left["kind"].chunk(0).dictionary.to_pylist() == ["purchase"]
    assert left.to_pylist() == table.to_pylist()[1:]


@pytest.mark.parametrize("nothing", [[], [None, None]])
def test_dictionaries_without_a_name_stay_so(nothing):
    column = pa.array(nothing, pa.string()).dictionary_encode()
    assert only_names_of_rows(pa.table({"kind": column}))["kind"].to_pylist() == nothing
