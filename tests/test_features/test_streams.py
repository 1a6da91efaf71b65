"""Rows sorted by customer, moment and content, kept in the smallest exact integers."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import CorredorError
from features.streams import NULL, Packed, build_stream, empty_stream, encode, pack, scaled
from tests.literals import histories


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], np.int8),
        ([NULL, NULL], np.int8),
        ([0, 127, -127, NULL], np.int8),
        ([0, -128], np.int16),
        ([1_990_000, 250_000, NULL], np.int16),
        ([10**15, 10**15 + 100, NULL], np.int8),
        ([7, 10**9], np.int32),
        ([1, 10**15], np.int64),
        ([NULL + 1, 5, NULL], np.int64),
    ],
)
def test_integers_are_packed_small_and_exactly(values, kind):
    packed = pack(np.array(values, np.int64))
    assert packed.data.dtype == kind
    assert packed.unpack().tolist() == values


@given(
    st.lists(
        st.one_of(st.just(NULL), st.integers(-(2**61), 2**61), st.integers(-300, 300).map(lambda i: i * 1000))
    )
)
def test_packing_loses_nothing(values):
    packed = pack(np.array(values, np.int64))
    assert packed.unpack().tolist() == values
    assert packed.unpack(1, 3).tolist() == values[1:3]
    assert packed.take(np.array(values, np.int64) != NULL).unpack().tolist() == [
        v for v in values if v != NULL
    ]


def test_plain_integers_are_not_copied():
    values = np.array([3, NULL])
    assert Packed(values).plain and np.shares_memory(Packed(values).unpack(), values)


def test_names_are_numbered_by_their_bytes_with_nothing_first():
    kinds = pa.array(["ñ", "z", None, "Z", "z", "🦤"])
    numbers, names = encode([kinds])
    assert names == ((None,), ("Z",), ("z",), ("ñ",), ("🦤",))
    assert numbers.tolist() == [3, 2, 0, 1, 2, 4]


def test_rows_of_names_are_numbered_by_the_first_then_the_second():
    numbers, names = encode([pa.array(["b", "a", "b"]), pa.array([None, "y", "x"])])
    assert names == (("a", "y"), ("b", None), ("b", "x"))
    assert numbers.tolist() == [1, 0, 2]


def test_many_names_are_numbered_as_few_are():
    rng = np.random.default_rng(0)
    columns = [[f"{i:05d}" for i in rng.integers(0, 5000, 6000)] for _ in range(3)]
    numbers, names = encode([pa.array(c) for c in columns])
    assert [names[i] for i in numbers] == list(zip(*columns, strict=True))
    assert list(names) == sorted(set(names))


def test_numbers_are_counted_in_whole_parts_half_to_even():
    assert scaled(np.array([1.99, -0.25, np.nan, 0.0]), 1_000_000).tolist() == [1_990_000, -250_000, NULL, 0]
    assert scaled(np.array([0.5, 1.5, 2.5]), 1).tolist() == [0, 2, 2]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 5e15])
def test_a_number_too_large_to_count_exactly_is_refused(value):
    with pytest.raises(CorredorError, match="amount: 1 values are beyond ±4e.15. Use a larger unit."):
        scaled(np.array([1.0, value, np.nan]), 1, what="amount")


def test_rows_stand_by_customer_and_moment():
    stream = build_stream(
        ("kind",),
        np.array([2, 0, 2, 0]),
        4,
        np.array([5, 9, 3, 7]),
        np.array([0, 1, 1, 0]),
        (("call",), ("mail",)),
        values={"amount": np.array([50, 90, 30, NULL])},
    )
    assert stream.offsets.tolist() == [0, 2, 2, 4, 4]
    assert stream.occurred_at.unpack().tolist() == [7, 9, 3, 5]
    assert stream.contact.tolist() == [0, 1, 1, 0]
    assert stream.values["amount"].unpack().tolist() == [NULL, 90, 30, 50]
    assert stream.customer_of_rows().tolist() == [0, 0, 2, 2]


def test_a_row_is_known_when_it_has_occurred_and_been_recorded():
    stream = build_stream(
        ("kind",),
        np.zeros(4, np.int64),
        1,
        np.array([10, 20, 30, 40]),
        np.zeros(4, np.int64),
        (("call",),),
        recorded_at=np.array([10, 35, 25, NULL]),
    )
    assert stream.known_at().tolist() == [10, 35, 30, 40]
    assert stream.keep(stream.known_at() < 35).occurred_at.unpack().tolist() == [10, 30]


def test_equal_moments_are_ordered_by_content_whatever_the_order_given():
    rng = np.random.default_rng(0)
    n = 60
    moment, contact, amount = rng.integers(0, 4, n), rng.integers(0, 3, n), rng.integers(0, 3, n)
    lag, ids = rng.integers(0, 2, n), np.array(["a", "b", None])[rng.integers(0, 3, n)]
    contacts = (("call", None), ("call", "milk"), ("call", "tea"))

    def build(order):
        return build_stream(
            ("kind", "item"),
            np.zeros(n, np.int64),
            1,
            moment[order],
            contact[order],
            contacts,
            recorded_at=(moment + lag)[order],
            values={"amount": amount[order]},
            touchpoint_id=pa.array(ids[order].tolist(), pa.string()),
            line_field="item",
        )

    first = build(np.arange(n))
    for seed in range(5):
        other = build(np.random.default_rng(seed).permutation(n))
        assert other.occurred_at.unpack().tolist() == first.occurred_at.unpack().tolist()
        assert other.contact.tolist() == first.contact.tolist()
        assert other.opens.tolist() == first.opens.tolist()
        assert other.known_at().tolist() == first.known_at().tolist()
        assert other.values["amount"].unpack().tolist() == first.values["amount"].unpack().tolist()


def test_the_line_known_first_opens_the_contact():
    stream = histories("""
        customer_id occurred_at  recorded_at  kind      touchpoint_id  item
        ana         2026-03-01   2026-03-09   purchase  a              apple
        ana         2026-03-01   2026-03-01   purchase  a              tea
        ana         2026-03-01   2026-03-01   purchase  a              zinc
    """).touchpoints
    items = [stream.contacts[c][4] for c in stream.contact]
    assert (items, stream.opens.tolist()) == (["tea", "zinc", "apple"], [1, 0, 0])


def test_customers_are_chosen_in_any_order_and_rows_kept_by_a_mask():
    stream = build_stream(
        ("kind",), np.array([0, 1, 1, 2]), 3, np.array([1, 2, 3, 4]), np.zeros(4, np.int64), (("call",),)
    )
    chosen = stream.select(np.array([2, 1, 1]))
    assert chosen.occurred_at.unpack().tolist() == [4, 2, 3, 2, 3]
    assert chosen.offsets.tolist() == [0, 1, 3, 5]
    kept = stream.keep(np.array([True, False, True, False]))
    assert kept.offsets.tolist() == [0, 1, 2, 2] and kept.n_rows == 2


def test_an_empty_stream_has_customers_and_no_rows():
    stream = empty_stream(("kind",), 3)
    assert stream.n_rows == 0 and stream.offsets.tolist() == [0, 0, 0, 0]
    assert stream.select(np.array([1])).n_rows == 0 and stream.keep(np.zeros(0, bool)).n_rows == 0


def test_nbytes_counts_every_array():
    stream = histories("""
        customer_id occurred_at  recorded_at  kind      item  amount
        ana         2026-03-01   2026-03-09   purchase  milk  1
        ana         2026-03-01   2026-03-01   purchase  tea   2
    """).touchpoints
    times, lags = stream.occurred_at.data.nbytes, stream.lag.data.nbytes
    assert (
        stream.nbytes == 16 + times + lags + 2 * 2 + 2 + 2
    )  # offsets, times, lags, contacts, opens, amounts
