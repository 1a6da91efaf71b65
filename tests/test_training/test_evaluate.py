import numpy as np
import pytest
from scipy.stats import beta
from sklearn.metrics import average_precision_score, roc_auc_score

from training.calibration import probability
from training.config import Value
from training.evaluate import Outcomes, auc, measure, measure_groups
from training.profit import expected_maximum_profit


def drawn(customers: int = 800, dates: int = 3, seed: int = 0):
    random = np.random.default_rng(seed)
    z = np.round(random.normal(-1.5, 1.5, customers * dates), 1)
    y = (random.random(len(z)) < probability(z)).astype(np.int8)
    customer, as_of = np.tile(np.arange(customers), dates), np.repeat(np.arange(dates), customers)
    return Outcomes(customer, as_of, y, np.full(len(y), 100.0)), probability(z)


def test_auc_and_average_precision_agree_with_scikit_learn_ties_included():
    outcomes, p = drawn(dates=1)
    found = measure(outcomes, {"ours": p}, Value(), replicates=0)["ours"]
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(outcomes.happened, p), abs=1e-12)
    assert found["average_precision"]["value"] == pytest.approx(
        average_precision_score(outcomes.happened, p), abs=1e-12
    )


def test_weights_count_a_snapshot_as_often_as_it_was_drawn():
    y, p, w = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.3, 0.3, 0.1]), np.array([2, 1, 0, 3, 1])
    again = np.repeat(np.arange(5), w)
    assert auc(y, p, w.astype(float)) == pytest.approx(roc_auc_score(y[again], p[again]))


def test_right_probabilities_have_slope_one_and_little_error():
    outcomes, p = drawn(customers=20_000, dates=1)
    found = measure(outcomes, {"ours": p}, Value(), replicates=0)["ours"]
    assert found["calibration_slope"]["value"] == pytest.approx(1.0, abs=0.04)
    assert found["calibration_error"]["value"] < 0.01
    bold = measure(outcomes, {"ours": probability(2 * np.log(p / (1 - p)))}, Value(), replicates=0)["ours"]
    assert bold["calibration_slope"]["value"] == pytest.approx(0.5, abs=0.02)


def test_lift_of_the_top_decile_is_its_share_of_churners_against_all():
    y = np.zeros(100, np.int8)
    y[[0, 1, 2, 50, 60]] = 1
    p = np.linspace(0.99, 0.01, 100)
    outcomes = Outcomes(np.arange(100), np.zeros(100), y, np.where(np.arange(100) == 50, 700.0, 100.0))
    found = measure(outcomes, {"ours": p}, Value(), replicates=0)["ours"]
    assert found["lift_top_decile"]["value"] == pytest.approx(6.0)
    assert found["value_captured_top_decile"]["value"] == pytest.approx(300 / 1100)


def test_intervals_hold_the_value_and_a_better_model_is_ahead_beyond_chance():
    outcomes, p = drawn()
    noise = np.random.default_rng(1).random(len(p)) * 0.5
    found = measure(outcomes, {"ours": p, "noise": noise, "same": p}, Value(), replicates=60)
    low, high = found["ours"]["auc"]["interval"]
    assert low < found["ours"]["auc"]["value"] < high
    assert found["noise"]["auc_behind"]["interval"][0] > 0
    assert found["noise"]["log_loss_behind"]["interval"][0] > 0
    assert found["same"]["auc_behind"]["value"] == 0


def test_random_scores_have_an_auc_of_one_half_within_three_standard_errors():
    outcomes, _ = drawn()
    y, scores = outcomes.happened, np.random.default_rng(5).random(len(outcomes.happened))
    error = np.sqrt((len(y) + 1) / (12 * y.sum() * (len(y) - y.sum())))
    assert abs(auc(y, scores) - 0.5) < 3 * error


def test_measures_that_cannot_be_known_are_none():
    alone = Outcomes(np.arange(4), np.zeros(4), np.zeros(4, np.int8))
    found = measure(alone, {"ours": np.full(4, 0.1)}, Value(), replicates=0)["ours"]
    assert found["auc"] is None and found["value_captured_top_decile"] is None
    assert found["log_loss"]["value"] == pytest.approx(-np.log(0.9))


def test_groups_are_measured_on_their_own_snapshots():
    outcomes, p = drawn(dates=1)
    names = np.array(["new", "settled"], object)[(np.arange(len(p)) % 2)]
    names[:10] = None
    found = measure_groups(outcomes, p, {"stage": names}, Value())["stage"]
    assert found["new"]["snapshots"] == 395 and set(found) == {"new", "settled"}
    rows = names == "new"
    assert found["new"]["auc"] == pytest.approx(auc(outcomes.happened[rows], p[rows]))


def test_expected_maximum_profit_is_the_average_of_the_best_campaigns():
    random = np.random.default_rng(3)
    y = random.random(300) < 0.3
    score = np.round(y * 0.8 + random.normal(size=300), 1)
    economy = Value()
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    left = np.concatenate([[0], np.cumsum(y[order])[ends]])
    stayed = np.concatenate([[0], np.cumsum(~y[order])[ends]])
    grid = (np.arange(4000) + 0.5) / 4000
    clv, d, f = economy.empc_clv, economy.empc_incentive, economy.empc_contact
    profit = (clv - d) * np.outer(grid, left) - f * left - (d + f) * stayed
    by_hand = (profit.max(axis=1) * beta.pdf(grid, 6, 14)).sum() / 4000 / len(y)
    assert expected_maximum_profit(y, score, economy) == pytest.approx(by_hand, rel=1e-4)


def test_profit_without_churners_is_nothing_and_with_only_churners_all_are_contacted():
    score = np.array([0.2, 0.3])
    assert expected_maximum_profit(np.zeros(2), score, Value()) == pytest.approx(0.0)
    expected = 190 * 0.3 - 1
    assert expected_maximum_profit(np.ones(2), score, Value()) == pytest.approx(expected, abs=0.01)
