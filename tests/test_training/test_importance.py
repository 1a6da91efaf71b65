import numpy as np
import pytest

from training.importance import LEAST_CUSTOMERS, stage_importance


def everyone(*stages: tuple[str, int, list[float]]):
    """Snapshots of as many customers of each stage, all with the same contributions."""
    names = np.concatenate([np.full(n, name, object) for name, n, _ in stages])
    moments = np.concatenate([np.tile(c, (n, 1)) for _, n, c in stages]).astype(float)
    return moments, names, np.arange(len(names))


def ranked(moments, stages, customers, keys=("claim", "bill"), **more):
    return stage_importance(moments, keys, stages, customers, **more)


def test_each_stage_counts_once_however_many_customers_are_in_it():
    found = ranked(*everyone(("new", 30, [1.0, 0.0]), ("settled", 900, [0.0, 0.4])))
    assert [row["moment"] for row in found] == ["claim", "bill"]
    assert [row["weight"] for row in found] == pytest.approx([0.5, 0.2])


def test_a_weight_is_the_mean_absolute_contribution_and_the_direction_the_signed_one():
    moments, stages, customers = everyone(("new", 60, [1.0, 0.0]))
    moments[:15, 0] = -1.0
    row = ranked(moments, stages, customers)[0]
    assert row["stages"]["new"]["weight"] == pytest.approx(1.0)
    assert row["stages"]["new"]["direction"] == pytest.approx((45 - 15) / 60)


def test_a_moment_that_moves_nothing_is_left_out():
    found = ranked(*everyone(("new", 60, [0.2, 0.0])))
    assert [row["moment"] for row in found] == ["claim"]


def test_stages_of_few_customers_are_not_told_however_many_snapshots_they_have():
    few = LEAST_CUSTOMERS - 1
    moments, stages, customers = everyone(("new", 60, [0.2, 0.1]), ("fading", 10 * few, [0.1, 5.0]))
    customers[60:] = 1_000 + np.arange(10 * few) % few
    assert set(ranked(moments, stages, customers)[0]["stages"]) == {"new"}
    assert ranked(moments[60:], stages[60:], customers[60:]) == []


def test_unknown_stages_are_left_out():
    moments, stages, customers = everyone(("new", 60, [0.2, 0.1]), ("left", 60, [9.0, 9.0]))
    assert ranked(moments, stages, customers)[0]["weight"] == pytest.approx(0.2)


def test_intervals_have_the_width_of_the_means_standard_error():
    n = 400
    moments, stages, customers = everyone(("new", n, [0.0, 0.0]))
    moments[:, 0] = np.random.default_rng(3).exponential(1.0, n)
    row = ranked(moments, stages, customers, replicates=1_000)[0]
    low, high = row["interval"]
    expected = 2 * 1.96 * moments[:, 0].std() / np.sqrt(n)
    assert low < row["weight"] < high
    # the error of a standard deviation of 1,000 draws is 1 / sqrt(2,000) of it; quantiles have thrice that
    assert high - low == pytest.approx(expected, rel=4 * 3 / np.sqrt(2_000))


def test_many_snapshots_of_a_customer_make_an_interval_no_narrower():
    moments, stages, customers = everyone(("new", 200, [0.0, 0.0]))
    moments[:, 0] = np.random.default_rng(5).exponential(1.0, 200)
    once = ranked(moments, stages, customers)[0]["interval"]
    often = ranked(np.tile(moments, (5, 1)), np.tile(stages, 5), np.tile(customers, 5))[0]["interval"]
    assert often == pytest.approx(once)
