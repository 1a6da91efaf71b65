"""From a panel to a predictor: what is fitted on which dates, and what has to earn its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from features.clock import US_PER_DAY
from features.errors import CorredorError
from training.calibration import (
    Calibrator,
    Verdict,
    choose_calibrator,
    clustered_error,
    log_losses,
    probability,
)
from training.config import Config
from training.model import Forest, Logistic, Predictor, Recipe, fit_forest, fit_logistic
from training.panel import Panel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHARES = (0.0, 0.25, 0.5)
"""Shares of the logistic regression that are tried, in log-odds."""
HELD_OUT_DATES = 3
LEAST_DATES = 2


@dataclass(frozen=True)
class Gate:
    """What was let through, judged on later dates: the logistic's share, the calibration."""

    share: float = 0.0
    share_log_loss: dict[float, float] | None = None
    calibration: Verdict = Verdict(Calibrator(), {}, "identity: no dates left to judge another on")

    def facts(self) -> dict[str, Any]:
        """Return the gate's decisions as plain values."""
        return {
            "logistic_share": self.share,
            "log_loss_by_share": {str(k): v for k, v in (self.share_log_loss or {}).items()},
            "calibration": self.calibration.calibrator.kind,
            "log_loss_by_calibration": {str(k): v for k, v in self.calibration.log_loss.items()},
            "why": self.calibration.reason,
        }


@dataclass(frozen=True)
class Pair:
    """A forest and a logistic regression fitted on the same rows."""

    forest: Forest
    logistic: Logistic

    def through(self, gate: Gate) -> Predictor:
        """Return the predictor that a gate lets through."""
        forest = replace(self.forest, logistic=self.logistic, share=gate.share) if gate.share else self.forest
        return Predictor(forest, gate.calibration.calibrator)


def recipe_of(config: Config) -> Recipe:
    """Return the frozen recipe with the configuration's seeds and threads."""
    t = config.training
    return Recipe(seeds=t.seeds, seed=t.seed, threads=t.threads)


def window_us(config: Config) -> int:
    """Return gap + horizon in µs: how long after a date its outcome is known."""
    return (config.churn.gap_days + config.churn.horizon_days) * US_PER_DAY


def hold_out(dates: Ints, window: int) -> tuple[Ints, Ints] | None:
    """Return dates to fit on and later ones to judge on, whose label windows do not cross.

    The newest three are judged on if at least two are left to fit on, else fewer; None when even one
    leaves too little.
    """
    dates = np.unique(dates)
    for k in range(HELD_OUT_DATES, 0, -1):
        late = dates[-k:]
        early = dates[dates + window <= late[0]]
        if len(late) == k and len(early) >= (LEAST_DATES if k > 1 else 1):
            return early, late
    return None


def fit_pair(panel: Panel, question: str, recipe: Recipe, directions: Sequence[int] | None = None) -> Pair:
    """Fit both models on the snapshots of a panel whose outcome is known.

    Raises:
        CorredorError: all have the same outcome.
    """
    known = panel.outcome(question) >= 0
    rows = panel if known.all() else panel.take(known)
    y = rows.outcome(question)
    forest = fit_forest(rows.X, y, recipe=recipe, directions=directions)
    return Pair(forest, fit_logistic(rows.X, y, recipe=recipe))


def judge(pair: Pair, later: Panel, question: str, window: int) -> Gate:
    """Return what earns its place on later dates than the pair was fitted on.

    The logistic is blended in with the share of the lowest log-loss, if that is lower than without it
    by more than one standard error over customers; then the calibration is chosen for the blend.
    """
    rows = later.take(later.outcome(question) >= 0)
    y = rows.outcome(question)
    if len(y) == 0 or y.min() == y.max():
        return Gate()
    trees, linear = pair.forest.raw_score(rows.X), pair.logistic.raw_score(rows.X)
    losses = {s: log_losses(probability((1 - s) * trees + s * linear), y) for s in SHARES}
    means = {s: float(loss.mean()) for s, loss in losses.items()}
    best = min(SHARES, key=lambda s: (means[s], s))
    gain = losses[0.0] - losses[best]
    share = best if best > 0 and gain.mean() > clustered_error(gain, rows.customer) else 0.0
    raw = (1 - share) * trees + share * linear
    return Gate(share, means, choose_calibrator(raw, y, rows.customer, rows.as_of, window))


@dataclass(frozen=True)
class Fit:
    """A pair fitted on all dates of a panel, and the gate judged on its newest."""

    pair: Pair
    gate: Gate

    @property
    def predictor(self) -> Predictor:
        """The predictor that the gate lets through."""
        return self.pair.through(self.gate)


def fit_question(panel: Panel, question: str, config: Config) -> Fit:
    """Fit a question on a panel: judged on its newest dates, then fitted on all of them.

    Where there are no dates to judge on, the logistic's share is judged on the other half of the
    customers.
    """
    recipe, window = recipe_of(config), window_us(config)
    gate = Gate()
    split = hold_out(panel.dates, window)
    if split is not None:
        early, late = (panel.take(np.isin(panel.as_of, dates)) for dates in split)
    else:
        half = np.random.default_rng(recipe.seed).permutation(int(panel.customer.max(initial=0)) + 1) % 2 == 0
        early, late = (panel.take(half[panel.customer] == side) for side in (True, False))
    if learnable(early, question):
        gate = judge(fit_pair(early, question, recipe), late, question, window)
    return Fit(fit_pair(panel, question, recipe), gate)


def learnable(panel: Panel, question: str) -> bool:
    """Return whether both outcomes of a question are there."""
    y = panel.outcome(question)
    return bool((y == 1).any() and (y == 0).any())


def check_enough(dates: Ints, config: Config) -> None:
    """Check that there is a date to learn from.

    Raises:
        CorredorError: there is none whose outcome is known.
    """
    if not len(dates):
        c = config.churn
        window = c.gap_days + c.horizon_days
        raise CorredorError(
            "touchpoints.occurred_at: no date can be learnt from. It needs some history before it "
            f"({min(c.active_days, window)} days), and after it its outcome (gap_days + horizon_days = "
            f"{window} days). Export a longer history, or shorten them in [churn]."
        )
