"""The experience index weighs its parts by what they did to churn."""

import numpy as np
import pytest

from features.catalog import FittedFeatures
from training.experience import LEAST_LEAVERS, weigh


def answered(effects: tuple[float, ...], n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    scores = np.clip(rng.normal(6, 2, (n, 3)), 0, 10)
    risk = 1 / (1 + np.exp(1.0 - (scores - 6) @ np.array(effects)))
    return scores, (rng.random(n) < risk).astype(np.int8)


def test_the_part_that_keeps_customers_weighs_most():
    weights = weigh(*answered((-0.6, -0.2, 0.0)))
    assert sum(weights) == pytest.approx(1, abs=1e-3)
    assert weights[0] > 0.6 > weights[1] > weights[2] >= 0


def test_a_part_whose_good_answers_go_with_leaving_weighs_nothing_rather_than_less():
    assert min(weigh(*answered((-0.6, -0.2, 0.5)))) == 0


def test_parts_that_do_nothing_or_of_which_too_little_is_known_weigh_the_same():
    scores, left = answered((0.3, 0.3, 0.3))
    assert weigh(scores, left) == (1 / 3, 1 / 3, 1 / 3)
    few = np.flatnonzero(left)[: LEAST_LEAVERS - 1]
    assert weigh(scores[few], left[few]) == (1 / 3, 1 / 3, 1 / 3)


def test_the_weights_come_back_from_the_bundle():
    from dataclasses import replace

    from tests.companies import company, fitted

    features = fitted(company(2))
    weighed = replace(features.context.population, experience=(0.5, 0.3, 0.2))
    features = FittedFeatures(replace(features.context, population=weighed))
    assert FittedFeatures.from_dict(features.to_dict()) == features
