import numpy as np
import pytest

from training.config import Value
from training.curves import curves

ECONOMY = Value(empc_clv=100, empc_incentive=10, empc_contact=1, empc_alpha=5, empc_beta=5)


def test_a_perfect_ranking_reaches_all_who_leave_first():
    found = curves(np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0]), np.linspace(0.9, 0.1, 10), ECONOMY)
    at = {round(r["share"], 2): r for r in found["gains"]}
    assert at[0.1]["captured"] == 0.5
    assert at[0.2]["captured"] == 1.0
    assert at[0.2]["lift"] == 5.0


def test_the_profit_is_that_of_the_formula():
    # contacting one who leaves earns 0.5 * (100 - 10) - 1 = 44; contacting one who stays costs 10 + 1 = 11
    found = curves(np.array([1, 0]), np.array([0.9, 0.1]), ECONOMY)
    assert [r["profit"] for r in found["profit"]] == pytest.approx([0, 44 / 2, (44 - 11) / 2])


def test_captured_value_weighs_each_who_leaves_by_worth():
    found = curves(
        np.array([1, 1, 0, 0]),
        np.array([0.9, 0.8, 0.2, 0.1]),
        ECONOMY,
        value=np.array([30.0, 10.0, 5.0, 5.0]),
    )
    at = {r["share"]: r["value_captured"] for r in found["gains"]}
    assert at[0.25] == 0.75
    assert at[0.5] == 1.0


def test_the_groups_of_a_calibrated_model_hold_what_they_promise():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.5, 2.5, 20_000)
    found = curves(rng.random(20_000) < probability, probability, ECONOMY)
    inside = [b["low"] <= b["predicted"] <= b["high"] for b in found["reliability"]]
    assert sum(inside) >= 8  # ten intervals of 95 %
    assert sum(b["snapshots"] for b in found["reliability"]) == 20_000


def test_the_order_of_equal_scores_does_not_matter_to_the_total():
    found = curves(np.array([0, 1, 0, 1]), np.full(4, 0.5), ECONOMY)
    assert found["gains"][-1]["captured"] == 1.0
    assert found["churners"] == 2
