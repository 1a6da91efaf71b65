import numpy as np
import pyarrow as pa
import pytest

from features.histories import Histories, build_histories
from training.config import Config
from training.regularity import regularity

DAY = 86_400_000_000
PURCHASES = Config.model_validate(
    {"project": {"name": "p"}, "sources": {"touchpoints": ""}, "churn": {"kinds": ["purchase"]}}
)


def histories_of(rows: list[tuple[str, float, str]]) -> Histories:
    ids, days, kinds = zip(*rows, strict=True)
    moments = pa.array([int(d * DAY) for d in days], pa.timestamp("us", tz="UTC"))
    return build_histories(
        {"touchpoints": pa.table({"customer_id": list(ids), "occurred_at": moments, "kind": list(kinds)})}
    )


def every(days: float, *, times: int, customers: int = 40) -> list[tuple[str, float, str]]:
    return [(f"c{c}", days * t, "purchase") for c in range(customers) for t in range(times)]


def test_customers_who_always_come_back_after_ten_days_give_that_gap_and_two_weeks():
    found = regularity(histories_of(every(10, times=12)), PURCHASES)
    assert found.median_gap_days == 10
    assert (found.horizon_days, found.active_days) == (14, 28)
    assert found.curve[0].days == 7
    assert found.curve[0].returned > 0.9


def test_a_silence_that_half_of_the_customers_end_is_ended_in_half_of_the_cases():
    # all buy on day 0; half buy again on day 30; the data go on to day 200 without a word from the others
    rows = [(f"c{c}", 0.0, "purchase") for c in range(400)] + [
        (f"c{c}", 30.0, "purchase") for c in range(200)
    ]
    found = regularity(histories_of([*rows, ("later", 200.0, "purchase")]), PURCHASES)
    week = next(p for p in found.curve if p.days == 7)
    # the 200 that returned fall silent again until the data end: of 600 silences, 200 end
    assert week.returned == pytest.approx(200 / 600, abs=0.01)


def test_other_kinds_do_not_end_a_silence():
    calls = [(f"c{c}", 10.0 * t + 5, "call") for c in range(40) for t in range(12)]
    with_calls = regularity(histories_of(every(10, times=12) + calls), PURCHASES)
    assert with_calls.median_gap_days == 10


def test_two_contacts_of_one_day_are_one_visit():
    twice = every(10, times=12) + [(c, d + 0.1, k) for c, d, k in every(10, times=12)]
    assert regularity(histories_of(twice), PURCHASES).median_gap_days == pytest.approx(9.9)


def test_too_few_silences_suggest_nothing():
    found = regularity(histories_of(every(10, times=2, customers=5)), PURCHASES)
    assert (found.curve, found.horizon_days) == ((), None)


def test_the_curve_falls_as_silences_grow():
    rng = np.random.default_rng(0)
    rows = []
    for c in range(300):
        day = 0.0
        while day < 365 and rng.random() > 0.05:
            rows.append((f"c{c}", day, "purchase"))
            day += float(rng.exponential(9)) + 1
    returned = [p.returned for p in regularity(histories_of(rows), PURCHASES).curve]
    assert returned == sorted(returned, reverse=True)
