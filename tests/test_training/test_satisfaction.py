"""Satisfaction learnt from those who say so: on a made-up company where waiting alone displeases."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from features.catalog import fit_features
from features.histories import build_histories
from tests.literals import DAY, at, typed
from tests.test_training.shop import shop_config
from training.panel import build_panel, panel_dates
from training.quarters import needed, standing_of
from training.satisfaction import fit_satisfaction

START, UNTIL = at("2025-01-01"), at("2026-01-01")
CUSTOMERS = 400


@lru_cache
def company(seed=0, asked=True, noise=0.7):
    """Customers call weekly and wait by their own usual; the less they waited, the likelier they answer."""
    rng = np.random.default_rng(seed)
    usual = rng.uniform(1, 30, CUSTOMERS)
    felt = 9.0 - usual / 5.0
    rows = []
    for i in range(CUSTOMERS):
        for day in np.arange(rng.integers(1, 8), 364, 7):
            row = {"customer_id": f"c{i:03d}", "occurred_at": START + int(day) * DAY, "kind": "purchase"}
            rows.append({**row, "wait_minutes": float(rng.gamma(4, usual[i] / 4))})
        if i % 4 == 0:  # never asked
            continue
        for day in rng.uniform(20, 364, 4):
            answers = asked and rng.random() < 1 / (1 + np.exp(-(felt[i] - 6)))
            said = float(np.clip(np.round(felt[i] + rng.normal(0, noise)), 0, 10)) if answers else None
            row = {"customer_id": f"c{i:03d}", "occurred_at": START + int(day) * DAY, "kind": "survey"}
            rows.append({**row, "satisfaction": said})
    names = ("customer_id", "occurred_at", "kind", "wait_minutes", "satisfaction")
    return build_histories({"touchpoints": typed({n: [r.get(n) for r in rows] for n in names})}), felt


@lru_cache
def learnt(**how):
    histories, felt = company(**how)
    config = shop_config(Path())
    dates = np.sort(panel_dates(histories, config, UNTIL))
    fitted = fit_features(histories, config, config.activity, fit_before=int(dates[0]), until=UNTIL)
    panel = build_panel(histories, config, fitted, dates)
    found = fit_satisfaction(histories, config, fitted, panel)
    names = needed(fitted, found)
    plan = fitted.plan_of([f for f in fitted.features if f.name in names])
    standing = standing_of(plan.run(histories, np.array([UNTIL]))[:, 0], names, found, config.quarters)
    return found, standing, felt


def test_who_was_never_asked_is_told_by_what_they_lived_through():
    found, standing, felt = learnt()
    never = np.arange(CUSTOMERS) % 4 == 0
    assert found.measure == "satisfaction" and found.tested["error"] < found.tested["error_of_the_mean"]
    assert spearmanr(standing.satisfaction[never], felt[never])[0] > 0.9
    assert (standing.satisfaction_source[never] == 1).all()


def test_silence_counts_against_those_who_are_silent():
    """Happy customers answer more often, so the answers overstate; the estimate comes down towards them."""
    found, standing, felt = learnt()
    intercept, slope = found.response
    assert slope > 0.1
    answered_only = found.linear.intercept  # the mean answer
    assert abs(standing.satisfaction.mean() - felt.mean()) < abs(answered_only - felt.mean())


def test_the_spread_leaves_the_noise_of_an_answer_out():
    """Answers scatter by 0.7, and by rounding, around what is felt: a variance of 0.57 that is no spread."""
    found, _, _ = learnt()
    assert found.spread**2 < found.tested["error"] ** 2 - 0.57 + 0.2


def test_without_answers_nothing_is_estimated():
    found, standing, _ = learnt(asked=False)
    assert found is None
    assert (standing.quarter == 4).all() and np.isnan(standing.unsatisfied).all()


def test_answers_that_nothing_tells_are_not_estimated():
    found, _, _ = learnt(noise=50.0)
    assert found is None or found.tested["error"] < found.tested["error_of_the_mean"]


@pytest.mark.parametrize("customer", [0, 1])
def test_a_customer_stands_the_same_alone_as_among_others(customer):
    histories, _ = company()
    found, standing, _ = learnt()
    config = shop_config(Path())
    dates = np.sort(panel_dates(histories, config, UNTIL))
    fitted = fit_features(histories, config, config.activity, fit_before=int(dates[0]), until=UNTIL)
    alone = fitted.snapshots(histories.select([customer]), [UNTIL])[:, 0]
    one = standing_of(alone, fitted.names, found, config.quarters)
    assert one.satisfaction.tobytes() == standing.satisfaction[customer : customer + 1].tobytes()
