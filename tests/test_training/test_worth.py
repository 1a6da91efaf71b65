import numpy as np
import pyarrow as pa
import pytest

from features.histories import build_histories
from training.config import Config
from training.worth import worth_per_year

DAY = 86_400_000_000


def config(**value: float) -> Config:
    return Config.model_validate(
        {
            "project": {"name": "p"},
            "sources": {"touchpoints": "select 1"},
            "churn": {"kinds": ["purchase"]},
            "value": value,
        }
    )


def touchpoints(rows: list[tuple[str, int, str, float | None]]) -> pa.Table:
    ids, days, kinds, amounts = (list(c) for c in zip(*rows, strict=True))
    moments = pa.array([d * DAY for d in days], pa.timestamp("us", tz="UTC"))
    return pa.table(
        {"customer_id": ids, "occurred_at": moments, "kind": kinds, "amount": pa.array(amounts, pa.float64())}
    )


SPENT = touchpoints(
    [
        ("a", 0, "purchase", 50.0),
        ("a", 364, "purchase", 100.0),
        ("a", 800, "purchase", 7.0),
        ("b", 364, "claim", 900.0),
    ]
)


def test_without_a_given_value_worth_is_the_spend_of_the_last_year():
    worth, source = worth_per_year(build_histories({"touchpoints": SPENT}), config(), 365 * DAY)
    assert source == "spend"
    assert worth.tolist() == [150.0, 0.0]


def test_spend_of_half_a_year_of_data_is_brought_to_a_year():
    half = touchpoints([("a", 0, "purchase", 50.0), ("b", 100, "purchase", 0.0)])
    worth, _ = worth_per_year(build_histories({"touchpoints": half}), config(), int(182.5 * DAY))
    assert worth[0] == pytest.approx(100.0)


def test_what_is_spent_at_or_after_as_of_does_not_count():
    worth, _ = worth_per_year(build_histories({"touchpoints": SPENT}), config(), 364 * DAY)
    assert worth.tolist() == [pytest.approx(50.0 * 365 / 364), 0.0]


def test_the_configured_worth_wins_over_spend():
    worth, source = worth_per_year(build_histories({"touchpoints": SPENT}), config(annual=300), 365 * DAY)
    assert (worth.tolist(), source) == ([300.0, 300.0], "configured")


def test_the_value_of_the_customers_table_wins_and_the_row_valid_at_as_of_counts():
    customers = pa.table(
        {
            "customer_id": ["a", "a", "b"],
            "value": pa.array([10.0, 20.0, None], pa.float64()),
            "valid_from": pa.array([0, 300 * DAY, 0], pa.timestamp("us", tz="UTC")),
        }
    )
    histories = build_histories({"touchpoints": SPENT, "customers": customers})
    early, source = worth_per_year(histories, config(annual=5), 300 * DAY)
    late, _ = worth_per_year(histories, config(annual=5), 301 * DAY)
    assert source == "customers"
    assert early.tolist() == [10.0, 5.0]  # b has none of its own: the configured one
    assert late.tolist() == [20.0, 5.0]


def test_without_amounts_no_worth_is_known():
    bare = SPENT.drop_columns("amount")
    worth, source = worth_per_year(build_histories({"touchpoints": bare}), config(), 365 * DAY)
    assert source == "none"
    assert np.isnan(worth).all()
