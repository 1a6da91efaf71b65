"""Tables in any order become every customer's dated facts."""

import numpy as np
import pyarrow as pa
import pytest

from features.errors import CorredorError
from features.histories import ALWAYS, build_histories
from features.packing import scaled_column
from features.streams import NULL
from tests.literals import DAY, at, histories, table, typed

THREE = """
    customer_id occurred_at  kind      amount
    bo          2026-03-05   call      -
    007         2026-03-02   purchase  2.5
    bo          2026-03-01   purchase  10
"""


def test_customers_stand_in_the_order_of_their_bytes():
    ids = ["z", "Z", "7", "007", "12E5", "ñandú", "🦤", "a b", ""]
    given = typed({"customer_id": ids, "occurred_at": ["2026-03-01"] * 9, "kind": ["call"] * 9})
    history = build_histories({"touchpoints": given})
    assert history.customer_ids.to_pylist() == sorted(ids, key=lambda i: i.encode())
    assert history.position(["🦤", "nobody", "007"]).tolist() == [8, -1, 1]
    assert history.position([]).tolist() == []


def test_customers_of_any_table_are_customers():
    history = histories(
        THREE, customers="customer_id age\nana 30\nbo 40", wallet="customer_id observed_at provider"
    )
    assert history.customer_ids.to_pylist() == ["007", "ana", "bo"]
    assert history.touchpoints.offsets.tolist() == [0, 1, 1, 3]
    assert history.streams["wallet"].n_rows == 0 and "treatments" not in history.streams


def test_touchpoints_are_sorted_and_counted_in_whole_parts():
    stream = histories(THREE).touchpoints
    assert stream.occurred_at.unpack().tolist() == [at("2026-03-02"), at("2026-03-01"), at("2026-03-05")]
    assert [stream.contacts[c][0] for c in stream.contact] == ["purchase", "purchase", "call"]
    assert stream.values["amount"].unpack().tolist() == [2_500_000, 10_000_000, NULL]


def test_a_log_without_rows_is_a_history_without_customers():
    history = histories("customer_id occurred_at kind amount")
    assert (history.n_customers, history.n_touchpoints, history.span()) == (0, 0, (0, 0))


def test_the_span_is_of_the_touchpoints():
    assert histories(THREE).span() == (at("2026-03-01"), at("2026-03-05"))


def test_only_what_was_known_before_a_moment_is_kept():
    history = histories(
        """
        customer_id occurred_at  recorded_at  kind
        ana         2026-03-01   2026-03-04   call
        ana         2026-03-02   -            mail
        ana         2026-03-03   -            mail
        """,
        wallet="""
        customer_id observed_at provider share
        ana         2026-03-01  us       0.5
        ana         2026-03-03  us       0.4
        """,
    )
    known = history.known_before(at("2026-03-03"))
    assert known.n_customers == 1 and known.span() == (at("2026-03-02"), at("2026-03-02"))
    assert known.streams["wallet"].n_rows == 1 and known.ledgers["wallet"].columns["share"].tolist() == [0.5]
    assert history.known_before(at("2026-03-04")).n_touchpoints == 2
    assert history.known_before(at("2026-03-05")).n_touchpoints == 3


def test_some_customers_are_chosen_in_the_order_given():
    history = histories(THREE, customers="customer_id age\nana 30\nbo 40").select([2, 0])
    assert history.customer_ids.to_pylist() == ["bo", "007"]
    assert history.touchpoints.occurred_at.unpack().tolist() == [at(f"2026-03-0{d}") for d in (1, 5, 2)]
    assert history.ledgers["customers"].columns["age"].tolist() == [40]
    assert history.ledgers["customers"].customer_of_rows().tolist() == [0]


def test_ledgers_hold_the_rows_as_given():
    ledger = histories(
        THREE,
        relationships="""
        customer_id product started_at  ended_at    recorded_at voluntary amount
        bo          loan    2026-01-01  -           -           -         -
        007         card    2026-02-01  2026-03-01  2026-03-08  yes       7.5
        bo          card    2026-01-05  2026-02-01  2026-01-01  no        0
        """,
    ).ledgers["relationships"]
    assert ledger.offsets.tolist() == [0, 1, 3]
    assert ledger.columns["product"].tolist() == ["card", "loan", "card"]
    assert ledger.columns["ended_at"].tolist() == [at("2026-03-01"), NULL, at("2026-02-01")]
    assert ledger.columns["voluntary"].tolist() == [1, -1, 0]
    assert np.isnan(ledger.columns["amount"][1]) and ledger.columns["amount"][0] == 7.5
    assert ledger.known_at.tolist() == [at("2026-03-08"), at("2026-01-01"), at("2026-01-05")]


def test_an_undated_attribute_has_always_been_known():
    stream = histories(THREE, customers="customer_id age\nbo 40").streams["attributes"]
    assert stream.occurred_at.unpack().tolist() == [ALWAYS]


def test_a_missing_column_is_named():
    with pytest.raises(CorredorError, match="there is no column 'occurred_at' among customer_id, kind"):
        build_histories({"touchpoints": table("customer_id kind\nana call")})


def test_a_large_skewed_log_takes_few_bytes_an_event():
    rng = np.random.default_rng(0)
    n = 50_000
    log = typed(
        {
            "customer_id": [f"customer-{i}" for i in rng.integers(0, 500, n)],
            "occurred_at": (at("2025-01-01") + rng.integers(0, 365 * 86_400, n) * 1_000_000).tolist(),
            "kind": rng.choice(["purchase", "call", "mail"], n).tolist(),
            "amount": (rng.integers(1, 100_000, n) / 100).tolist(),
        }
    )
    history = build_histories({"touchpoints": log})
    assert history.touchpoints.nbytes / n < 16
    assert history.span()[1] - history.span()[0] < 365 * DAY


def test_a_column_in_parts_is_scaled_as_a_whole_and_null_where_it_is_empty():
    numbers = [1.25, None, float("nan"), -3.0, None, 0.005, 7.0]
    whole = pa.chunked_array([pa.array(numbers), pa.array([], pa.float64()), pa.array([2.5])])
    assert scaled_column(whole, 100, what="n").tolist() == [125, NULL, NULL, -300, NULL, 0, 700, 250]
    assert scaled_column(whole.slice(3, 4), 100, what="n").tolist() == [-300, NULL, 0, 700]
    assert scaled_column(pa.chunked_array([pa.array([3, None])]), 100, what="n").tolist() == [300, NULL]
    assert len(scaled_column(pa.chunked_array([], pa.float64()), 100, what="n")) == 0


def test_numbers_too_large_to_count_are_counted_and_empty_ones_are_not():
    column = pa.chunked_array([pa.array([1e15, None, float("nan"), 1.0]), pa.array([float("inf"), 2.0])])
    with pytest.raises(CorredorError, match=r"touchpoints.amount: 2 values are beyond ±4e\+09"):
        scaled_column(column, 1_000_000, what="touchpoints.amount")
