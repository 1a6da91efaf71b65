import numpy as np
import pytest

from tests.literals import at, histories
from training.baselines import behaviour
from training.bgnbd import BgNbd, fit_bgnbd
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


def buyers(customers: int, seed: int):
    """Days of buying drawn as BG/NBD says: repeats, last repeat, age."""
    random = np.random.default_rng(seed)
    rate = random.gamma(0.8, 1 / 20.0, customers)
    leaving = random.beta(0.8, 2.5, customers)
    age = random.uniform(100, 300, customers)
    x, last = np.zeros(customers), np.zeros(customers)
    for i in range(customers):
        t = random.exponential(1 / rate[i])
        while t < age[i]:
            x[i] += 1
            last[i] = t
            if random.random() < leaving[i]:
                break
            t += random.exponential(1 / rate[i])
    return x, last, age


def test_bgnbd_finds_the_parameters_that_made_the_purchases():
    model = fit_bgnbd(*buyers(6_000, 0))
    assert model.r == pytest.approx(0.8, rel=0.15)
    assert model.r / model.alpha == pytest.approx(0.8 / 20, rel=0.15)
    assert model.a / (model.a + model.b) == pytest.approx(0.8 / 3.3, rel=0.15)


def test_bgnbd_probabilities_by_hand():
    """The parameters of CDNOW in weeks, for x = 2, t = 30.43, T = 38.86 (Fader, Hardie and Lee 2005)."""
    model = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
    x, t, age = np.array([2.0]), np.array([30.43]), np.array([38.86])
    odds = 0.793 / 3.426 * ((4.414 + 38.86) / (4.414 + 30.43)) ** 2.243
    assert model.alive(x, t, age)[0] == pytest.approx(1 / (1 + odds))
    never = model.alive(np.array([0.0]), np.array([0.0]), age)
    assert never[0] == 1.0
    waits = ((4.414 + 38.86) / (4.414 + 38.86 + 39)) ** 2.243
    alive = 1 / (1 + odds)
    assert model.none_in(x, t, age, 39)[0] == pytest.approx(1 - alive + alive * waits)


def test_a_longer_wait_without_purchase_is_never_more_likely():
    x, last, age = buyers(500, 1)
    model = BgNbd(r=0.8, alpha=20.0, a=0.8, b=2.5)
    short, long = (model.none_in(x, last, age, days) for days in (60.0, 90.0))
    assert (long <= 1).all() and (short > 0).all()
    assert (long < short).all()
