import numpy as np
import pytest

from training.calibration import Calibrator
from training.reasons import agreement, global_moments, roll_up, top_moments

MOMENTS = np.array([0, 1, 0, 2])


def test_features_roll_up_to_moments_by_sum():
    contributions = np.array([[0.5, -0.25, 1.0, 0.125], [0.0, 2.0, -1.0, 0.0]])
    np.testing.assert_array_equal(roll_up(contributions, MOMENTS, 3), [[1.5, -0.25, 0.125], [-1.0, 2.0, 0.0]])


def test_a_row_rolls_up_the_same_whoever_is_beside_it():
    random = np.random.default_rng(0)
    contributions, moments = random.normal(size=(500, 90)), random.integers(0, 12, 90)
    together = roll_up(contributions, moments, 12)
    for i in (0, 7, 499):
        np.testing.assert_array_equal(roll_up(contributions[i : i + 1], moments, 12)[0], together[i])


def top(contributions, known=None, k=2, raw=0.4):
    contributions = np.array([contributions])
    known = np.ones(contributions.shape, bool) if known is None else np.array([known])
    moments = roll_up(contributions, MOMENTS, 3)
    return top_moments(contributions, moments, np.array([raw]), known, MOMENTS, Calibrator("identity", ()), k)


def test_the_strongest_moments_come_first_whatever_their_sign():
    found = top([0.5, -3.0, 1.0, 0.125])
    assert found.moment.tolist() == [[1, 0]]
    assert found.contribution.tolist() == [[-3.0, 1.5]]


def test_risk_without_a_moment_is_the_calibrated_score_less_its_contribution():
    found = top([0.5, -3.0, 1.0, 0.125], raw=0.4)
    expected = 1 / (1 + np.exp(-(0.4 - np.array([-3.0, 1.5]))))
    np.testing.assert_allclose(found.risk_without[0], expected, rtol=1e-12)


def test_a_moment_is_told_by_a_feature_that_pushes_the_same_way():
    assert top([0.5, 0.0, 0.9, 0.0]).feature[0, 0] == 0  # at least half as strong, and plainer
    assert top([0.3, 0.0, 0.9, 0.0]).feature[0, 0] == 2
    assert top([-0.8, 0.0, 0.9, 0.0]).feature[0, 0] == 2
    assert top([-0.8, 0.0, 0.7, 0.0]).feature[0, 0] == 0


def test_a_moment_is_told_by_a_known_number_when_there_is_one():
    assert top([0.9, 0.0, 0.6, 0.0], [False, True, True, True]).feature[0, 0] == 2
    assert top([0.9, 0.0, 0.1, 0.0], [False, True, True, True]).feature[0, 0] == 0


def test_global_moments_rank_by_mean_absolute_contribution_overall_and_by_group():
    moments = np.array([[1.0, -2.0], [1.0, 2.0], [-1.0, 0.5]])
    found = global_moments(moments, ["a", "b"], {"segment": ["x", "x", None]})
    assert found["overall"] == [
        {"moment": "b", "weight": pytest.approx(1.5), "direction": pytest.approx(0.5 / 3)},
        {"moment": "a", "weight": pytest.approx(1.0), "direction": pytest.approx(1 / 3)},
    ]
    assert [m["moment"] for m in found["segment"]["x"]] == ["b", "a"]
    assert list(found["segment"]) == ["x"]


def test_each_group_keeps_its_own_dozen():
    moments = np.random.default_rng(0).normal(size=(50, 30))
    found = global_moments(moments, [f"m{i}" for i in range(30)], {"stage": ["new"] * 50})
    assert len(found["overall"]) == 30
    assert len(found["stage"]["new"]) == 12


def test_agreement_is_the_mean_jaccard_index_of_the_top_moments():
    first = np.array([[3.0, -2.0, 1.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.0, 0.0]])
    second = np.array([[3.0, 2.0, 1.0, 0.0, 0.0], [0.0, 2.0, 3.0, 9.0, 0.0]])
    assert agreement(first, first) == 1.0
    assert agreement(first, second) == pytest.approx((1.0 + 2 / 4) / 2)
