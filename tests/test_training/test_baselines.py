import numpy as np

from tests.literals import at, histories
from training.baselines import behaviour
from training.config import Config

SHOP = """
customer_id  occurred_at       kind      touchpoint_id  item   amount
ana          2025-01-01        purchase  1              milk   10
ana          2026-01-10        purchase  2              milk   1
ana          2026-01-10        purchase  2              bread  2
ana          2026-01-10T18:00  purchase  3              milk   4
ana          2026-01-20        purchase  4              milk   8
ana          2026-02-01        purchase  5              milk   99
bea          2026-01-31        call      -              -      -
"""


def config() -> Config:
    return Config.model_validate(
        {"project": {"name": "s"}, "sources": {"touchpoints": ""}, "churn": {"kinds": ["purchase"]}}
    )


def test_behaviour_counts_contacts_and_days_before_as_of_only():
    found = behaviour(histories(SHOP), config(), np.array([0, 1]), np.full(2, at("2026-02-01")))
    assert found.silence[0] == 12 and found.age[0] == 396
    assert found.count[0] == 3 and found.amount[0] == 15.0
    assert found.repeats[0] == 2
    assert np.isnan(found.silence[1]) and found.count[1] == 0


def test_behaviour_of_a_snapshot_is_that_of_its_own_date():
    shop, dates = histories(SHOP), np.array([at("2026-02-02"), at("2026-01-10")])
    found = behaviour(shop, config(), np.array([0, 0]), dates)
    assert found.silence.tolist() == [1, 374]
    assert found.amount.tolist() == [114.0, 0.0]
