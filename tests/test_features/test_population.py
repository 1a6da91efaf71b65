"""What is fitted of the population, against simulations whose truth is known."""

import json

import numpy as np
import pytest

from features.histories import build_histories
from features.population import LEAST_CUSTOMERS, Population, fit_population
from features.settings import Activity
from features.vocabulary import fit_vocabulary
from tests.literals import DAY, at, settings, typed

BEGIN, NOW = at("2024-01-01"), at("2026-01-01")
ACTIVITY = Activity(("purchase",))
FOREVER = 1e6


def population(days_by_customer):
    """Fit to purchases on some days, counted from BEGIN."""
    rows = [(f"c{i:05d}", BEGIN + int(d) * DAY) for i, days in enumerate(days_by_customer) for d in days]
    log = typed(
        {
            "customer_id": [r[0] for r in rows],
            "occurred_at": [r[1] for r in rows],
            "kind": ["purchase"] * len(rows),
        }
    )
    history = build_histories({"touchpoints": log})
    return fit_population(history, fit_vocabulary(history, settings(), ACTIVITY), ACTIVITY, NOW, 0)


def test_with_few_customers_weak_general_values_stand():
    fitted = population([[0, 10, 30]] * (LEAST_CUSTOMERS - 1))
    assert fitted.customers == 0 and fitted.dropout == (1.0, 30.0, 1.0, 3.0)
    assert set(fitted.rates.values()) == {(1.0, 30.0)} and set(fitted.gaps.values()) == {(2.5, 1.0, 3.0)}


def test_it_reads_again_what_it_wrote():
    fitted = population([[0, 10 + i, 30 + i * i % 50] for i in range(40)])
    assert Population.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_rates_are_those_of_the_gamma_that_customers_came_from():
    rng = np.random.default_rng(0)
    shape, mean, n = 2.0, 0.04, 1500
    rates = rng.gamma(shape, mean / shape, n)
    days = (NOW - BEGIN) // DAY
    fitted = population([np.concatenate([[0], 1 + np.flatnonzero(rng.random(days - 1) < r)]) for r in rates])
    for half_life, tolerance in ((FOREVER, 0.15), (120.0, 0.25)):
        found, per_day = fitted.rates[half_life]
        # the standard error of the mean rate is mean / sqrt(shape n), that of the shape about shape sqrt(4/n)
        assert found / per_day == pytest.approx(mean, rel=4 / np.sqrt(shape * n) + 0.02)
        assert found == pytest.approx(shape, rel=tolerance + 0.1)


def test_log_gaps_have_the_mean_and_spread_that_customers_came_from():
    rng = np.random.default_rng(1)
    centre, between, within = 3.0, 0.25, 0.16
    own = rng.normal(centre, np.sqrt(between), 1200)
    gaps = [np.maximum(1, np.rint(np.exp(rng.normal(m, np.sqrt(within), 12)))) for m in own]
    fitted = population([np.concatenate([[0], np.cumsum(g)]) for g in gaps])
    mean, variance, weight = fitted.gaps[FOREVER]
    assert mean == pytest.approx(centre, abs=4 * np.sqrt((between + within / 12) / 1200) + 0.01)
    assert variance == pytest.approx(within, rel=0.06)
    assert weight == pytest.approx(within / between, rel=0.25)


def test_dropout_tells_how_many_are_still_alive():
    """BG/NBD on its own simulation: the chances of being alive add up to the living."""
    rng = np.random.default_rng(2)
    r, alpha, a, b, n = 1.2, 25.0, 0.8, 2.5, 2500
    ages = rng.integers(200, 730, n).astype(float)
    histories, alive = [], []
    for rate, drop, age in zip(rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n), ages, strict=True):
        days, t, living = [0.0], 0.0, True
        while living:
            t += rng.exponential(1 / rate)
            if t >= age:
                break
            days.append(t)
            living = rng.random() > drop
        histories.append(np.array(days) + (NOW - BEGIN) / DAY - age)
        alive.append(living)
    fitted = population([np.floor(h) for h in histories])
    r, alpha, a, b = fitted.dropout
    x = np.array([len(h) - 1 for h in histories])
    last = np.array([h[-1] - h[0] for h in histories])
    gone = (x > 0) * a / (b + np.maximum(x, 1) - 1) * ((alpha + ages) / (alpha + last)) ** (r + x)
    chance = 1 / (1 + gone)
    error = np.sqrt((chance * (1 - chance)).sum())
    assert abs(chance.sum() - sum(alive)) < 4 * error + 0.02 * n
    assert np.corrcoef(chance, alive)[0, 1] > 0.5


def test_the_population_does_not_depend_on_who_was_never_active():
    rng = np.random.default_rng(3)
    days = [np.sort(rng.choice(700, rng.integers(2, 30), replace=False)) for _ in range(60)]
    first = population(days)
    assert first.customers == 60 and population([*days, [735]]) == first
