import numpy as np
import pytest

from features.errors import CorredorError
from training.calibration import (
    KINDS,
    Calibrator,
    as_sharp_as,
    choose_calibrator,
    clustered_error,
    fit_calibrator,
    probability,
)


def drawn(rows: int = 20_000, seed: int = 0):
    random = np.random.default_rng(seed)
    z = random.normal(-1, 1.5, rows)
    return z, random


def test_platt_finds_the_slope_and_intercept_that_distorted_the_scores():
    z, random = drawn()
    y = random.random(len(z)) < probability(0.6 * z - 0.4)
    slope, intercept = fit_calibrator("platt", z, y).parameters
    assert slope == pytest.approx(0.6, abs=0.06) and intercept == pytest.approx(-0.4, abs=0.08)


def test_beta_calibration_of_right_scores_is_nearly_the_identity():
    z, random = drawn()
    fitted = fit_calibrator("beta", z, random.random(len(z)) < probability(z))
    grid = np.linspace(-4, 2, 7)
    assert np.abs(fitted.apply(grid) - probability(grid)).max() < 0.02


def test_a_blend_that_is_its_part_blurred_is_made_the_part_again():
    z, random = drawn()
    y = random.random(len(z)) < probability(0.7 * z + 0.3)  # neither is right by itself
    slope, intercept = as_sharp_as(z, 0.8 * z - 0.1, y).parameters
    assert slope == pytest.approx(1 / 0.8, rel=1e-6) and intercept == pytest.approx(0.1 / 0.8, abs=1e-6)
    assert as_sharp_as(z, 1.25 * z + 0.1, y).kind == "identity"  # sharper already: never made timider
    assert as_sharp_as(z, z, y).kind == "identity"


def test_a_part_or_a_blend_that_says_nothing_of_the_outcome_leaves_the_blend_as_it_is():
    z, random = drawn()
    y = random.random(len(z)) < probability(-z)
    assert as_sharp_as(z, 0.8 * z, y).kind == "identity"
    assert as_sharp_as(z, 0.8 * z, np.zeros(len(z))).kind == "identity"


def test_a_calibrator_never_turns_the_order_around():
    z, random = drawn()
    y = random.random(len(z)) < probability(-z)
    for kind in KINDS:
        fitted = fit_calibrator(kind, z, y)
        assert (np.diff(fitted.apply(np.linspace(-5, 5, 50))) >= 0).all()


def gate(distort: float, customers: int = 3_000, seed: int = 1):
    random = np.random.default_rng(seed)
    as_of = np.repeat(np.arange(6), customers)
    customer = np.tile(np.arange(customers), 6)
    z = random.normal(-1, 1.5, len(as_of))
    y = (random.random(len(z)) < probability(z)).astype(np.int8)
    return choose_calibrator(z * distort, y, customer, as_of, 1)


def test_the_gate_keeps_right_scores_as_they_are_and_mends_distorted_ones():
    assert gate(1.0).calibrator.kind == "identity"
    mended = gate(2.0)
    assert mended.calibrator.kind == "platt"
    assert mended.calibrator.parameters[0] == pytest.approx(0.5, abs=0.05)
    assert mended.log_loss["platt"] < mended.log_loss["identity"]


def test_without_later_dates_to_judge_on_nothing_is_let_through():
    random = np.random.default_rng(0)
    z = random.normal(size=500)
    verdict = choose_calibrator(z, (z > 0).astype(np.int8), np.arange(500), np.zeros(500), 1)
    assert verdict.calibrator == Calibrator()


def test_extreme_scores_stay_probabilities():
    p = probability(np.array([-1e4, 0.0, 1e4]))
    assert p.tolist() == [0.0, 0.5, 1.0]


def test_what_is_stored_comes_back_and_what_is_not_ours_is_refused():
    kept = Calibrator("beta", (1.0, 0.5, -0.1))
    assert Calibrator.from_dict(kept.to_dict()) == kept
    for stored in ({"kind": "isotonic", "parameters": []}, {"kind": "platt", "parameters": [1.0]}):
        with pytest.raises(CorredorError, match="not one of ours"):
            Calibrator.from_dict(stored)


def test_rows_of_one_customer_count_as_one_when_they_move_together():
    x = np.repeat(np.random.default_rng(0).normal(size=200), 10)
    alone, together = clustered_error(x, np.arange(2000)), clustered_error(x, np.repeat(np.arange(200), 10))
    assert together == pytest.approx(alone * np.sqrt(10), rel=0.01)
