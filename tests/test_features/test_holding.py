"""Indices of switching costs: mean percentiles of what is known, by hand."""

import json

import numpy as np
import pyarrow as pa
import pytest

from features.catalog import fit_features
from features.histories import build_histories
from features.holding import percentiles
from features.population import Population
from features.settings import Activity
from features.signals import cost_of
from tests.literals import at, settings, table, typed

UNTIL = at("2026-01-01")


def company(customers: int = 40):
    """Customer i has an exit fee of i, one to four products; every other one was asked about setup."""
    ids = [f"c{i:02d}" for i in range(customers)]
    loans = [(c, f"loan-{k}") for i, c in enumerate(ids) for k in range(1 + i % 4)]
    fee = {c: float(i) for i, c in enumerate(ids)}
    first = {c: True for c in ids}
    fees = [fee[c] if first.pop(c, False) else 0.0 for c, _ in loans]
    return {
        "touchpoints": typed(
            {
                "customer_id": ids,
                "occurred_at": [at("2025-06-01")] * customers,
                "kind": ["purchase"] * customers,
            }
        ),
        "relationships": typed(
            {
                "customer_id": [c for c, _ in loans],
                "product": [p for _, p in loans],
                "started_at": [at("2025-05-01")] * len(loans),
                "exit_fee": fees,
            }
        ),
        "switching_costs": typed(
            {
                "customer_id": ids[::2],
                "asked_at": [at("2025-07-01")] * (customers // 2),
                "facet": ["setup"] * (customers // 2),
                "value": [float(1 + i % 5) for i in range(customers // 2)],
                "scale_min": [1.0] * (customers // 2),
                "scale_max": [5.0] * (customers // 2),
            }
        ),
    }


def known(tables, as_of=UNTIL):
    history = build_histories(tables)
    fitted = fit_features(history, settings(), Activity(), fit_before=UNTIL, until=UNTIL)
    return fitted, dict(zip(fitted.names, fitted.snapshots(history, [as_of])[:, 0].T, strict=True))


def test_a_percentile_is_the_share_below_the_middle_of_a_stretch():
    edges, shares = percentiles(np.array([0.0, 0.0, 0.0, 5.0, 9.0, np.nan]))
    assert edges == (2.5, 7.0)
    assert shares == (0.3, 0.7, 0.9)  # three of five at 0: the middle one has 1.5 of 5 below it
    assert percentiles(np.array([7.0, 7.0])) is None
    assert percentiles(np.array([np.nan])) is None


def test_the_index_is_the_mean_percentile_of_the_signals_that_are_known():
    """Economic has one signal that tells customers apart, the exit fee: its index is the percentile."""
    _, found = known(company())
    index = found["switching_economic_index"]
    assert (np.diff(index) >= 0).all() and 0 < index[0] < 10 and 90 < index[-1] < 100
    assert index.mean() == pytest.approx(50, abs=1)


def test_what_was_not_asked_is_left_out_and_said_so():
    _, found = known(company())
    assert found["switching_learning_surveyed"].tolist() == [1.0, 0.0] * 20
    assert not np.isnan(found["switching_learning_index"]).any()
    # customers 1 and 5 hold two products and were not asked: the same index; 0 and 4 were asked differently
    index = found["switching_learning_index"]
    assert index[1] == index[5] and index[0] != index[4]


def test_a_cost_that_nothing_tells_of_has_no_index():
    fitted, _ = known(company())
    assert not {"switching_emotional_index", "switching_psychological_index"} & set(fitted.names)


def test_facets_speak_of_the_cost_that_the_published_scales_put_them_under():
    assert [cost_of(f) for f in ("setup", "brand_relationship", "personal", "benefit_loss", "?")] == [
        *("learning", "emotional", "psychological", "economic", "economic")
    ]


def test_percentiles_are_those_of_before_fit_before_and_survive_the_bundle():
    tables = company()
    later = table("customer_id product started_at exit_fee\nc00 loan-9 2026-02-01 900")
    fitted, _ = known(tables)
    grown = pa.concat_tables([tables["relationships"], later])
    assert known({**tables, "relationships": grown})[0].fingerprint == fitted.fingerprint
    population = fitted.context.population
    assert Population.from_dict(json.loads(json.dumps(population.to_dict()))) == population
