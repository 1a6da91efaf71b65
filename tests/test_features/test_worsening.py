"""Since when a series is worse: found where it was made worse, and nowhere else."""

import numpy as np
import pytest

from features.worsening import changes, worse_since


def waits(rng, n, median):
    return median * np.exp(0.55 * rng.normal(size=n))


@pytest.mark.parametrize("seed", range(10))
def test_a_step_up_is_found_within_a_hundredth_of_the_series(seed):
    rng = np.random.default_rng(seed)
    found = worse_since(np.concatenate([waits(rng, 1300, 2.0), waits(rng, 700, 4.0)]))
    assert found is not None
    assert abs(found.at - 1300) <= 20
    assert found.superiority == pytest.approx(0.81, abs=0.03)  # Φ(ln 2 / (0.55 √2))


@pytest.mark.parametrize("seed", range(10))
def test_a_share_that_rises_is_found(seed):
    rng = np.random.default_rng(seed)
    stuck = rng.random(2000) < np.where(np.arange(2000) < 1200, 0.08, 0.30)
    found = worse_since(stuck.astype(float), shares=True)
    assert found is not None and abs(found.at - 1200) <= 60


def test_where_nothing_changes_nothing_is_found():
    alarms = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(60, 3000))
        alarms += bool(changes(waits(rng, n, 2.0))) + bool(changes((rng.random(n) < 0.1).astype(float)))
    assert alarms <= 3


def test_what_has_not_happened_yet_is_worse_than_all_that_has():
    rng = np.random.default_rng(0)
    series = waits(rng, 1000, 2.0)
    series[600:][rng.random(400) < 0.5] = np.inf
    found = worse_since(series)
    assert found is not None and abs(found.at - 600) <= 15


def test_a_series_that_came_back_is_not_worse_and_one_that_became_better_is_not_either():
    rng = np.random.default_rng(1)
    low, high = waits(rng, 600, 2.0), waits(rng, 600, 5.0)
    assert worse_since(np.concatenate([low, high, waits(rng, 600, 2.0)])) is None
    assert worse_since(np.concatenate([high, low])) is None
    assert [
        abs(c.at - at) <= 15
        for c, at in zip(changes(np.concatenate([low, high, low])), (600, 1200), strict=True)
    ]


def test_of_two_steps_up_the_greater_one_counts():
    rng = np.random.default_rng(2)
    found = worse_since(np.concatenate([waits(rng, 500, 2.0), waits(rng, 500, 2.7), waits(rng, 500, 8.0)]))
    assert found is not None and abs(found.at - 1000) <= 10


def test_a_change_too_small_to_matter_is_none_however_sure():
    rng = np.random.default_rng(3)
    series = np.concatenate([waits(rng, 40_000, 2.0), waits(rng, 40_000, 2.1)])
    assert len(changes(series)) == 1
    assert worse_since(series) is None


def test_short_and_constant_series_say_nothing():
    assert changes(np.array([])) == []
    assert changes(np.zeros(1000)) == []
    assert worse_since(np.arange(59.0)) is None
