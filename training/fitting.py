"""From a panel to a predictor: what is fitted on which dates, and what has to earn its place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from features.clock import US_PER_DAY
from features.errors import CorredorError
from training.bundle import CHURN
from training.calibration import (
    Calibrator,
    Verdict,
    as_sharp_as,
    choose_calibrator,
    clustered_error,
    log_losses,
    probability,
)
from training.config import Config
from training.forest import Forest, Logistic, Predictor
from training.model import Recipe, bin_rows, fit_forest, fit_logistic
from training.panel import Panel
from training.start import fit_start

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Choice = TypeVar("Choice", int, float)

SHARES = (0.0, 0.25, 0.5)
"""Shares of the logistic regression that are tried, in log-odds."""
ROUNDS = (1.0, 2.0, 1.5, 0.5, 0.25)
"""Of the recipe's boosting rounds, what is tried beside them; more where the judged forest has them."""
FROM_START = (0.0, 0.25, 0.5, 1.0)
"""The same where trees go on from a start: one is as good as none, and more have to earn their place."""
FROM_START_ERRORS = 2.0
"""Standard errors by which what is added to a start has to lower the log-loss: there is little to win, and
with few customers one is soon had by chance."""
JUDGED_SEEDS = 2
"""Seeds of the bag that is fitted only to judge what earns its place: a third of the time of a whole one."""
AS_SHARP = "platt: a blend is timider than its parts, and is made as sharp as the trees alone"
HELD_OUT_DATES = 3
LEAST_DATES = 2
TELLS_THE_DATE = 0.975
"""A feature that is larger (or smaller) on the newest date than on the oldest in this share of pairs."""
COMPARED = 2_000
"""Snapshots of a date that this is measured on."""


@dataclass(frozen=True)
class Gate:
    """What was let through, judged on later dates: boosting rounds, the logistic's share, the calibration."""

    rounds: int | None = None
    """Boosting rounds of the judged forest; None: the recipe's."""
    usual: int = 0
    """Rounds that the others were tried beside."""
    learnt_from: int = 0
    """Snapshots that the judged forest was fitted on."""
    rounds_log_loss: dict[int, float] | None = None
    share: float = 0.0
    share_log_loss: dict[float, float] | None = None
    calibration: Verdict = Verdict(Calibrator(), {}, "identity: no dates left to judge another on")

    def rounds_on(self, snapshots: int) -> int | None:
        """Return the boosting rounds of a forest that is fitted on so many snapshots.

        Where more than the usual ones earned their place, there was more to learn than they learnt, and
        of more rows more still can be: they grow with the square root of the rows. That the best number
        grows with a power of them is Bühlmann and Yu's (2003, "Boosting with the L2 loss"); the power is
        ours.
        """
        if not self.rounds or self.rounds <= self.usual or not self.learnt_from:
            return self.rounds
        return max(self.rounds, round(self.rounds * math.sqrt(snapshots / self.learnt_from)))

    def facts(self) -> dict[str, Any]:
        """Return the gate's decisions as plain values."""
        return {
            "rounds": self.rounds,
            "log_loss_by_rounds": {str(k): v for k, v in (self.rounds_log_loss or {}).items()},
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
    snapshots: int = 0
    """How many rows that was."""

    def through(self, gate: Gate) -> Predictor:
        """Return the predictor that a gate lets through."""
        forest = replace(self.forest, logistic=self.logistic, share=gate.share) if gate.share else self.forest
        return Predictor(forest, gate.calibration.calibrator)


def recipe_of(config: Config) -> Recipe:
    """Return the frozen recipe with the configuration's seeds and threads."""
    t = config.training
    return Recipe(seeds=t.seeds, seed=t.seed, threads=t.threads, monotone=t.monotone)


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


@dataclass(frozen=True)
class Rows:
    """Snapshots whose outcome of a question is known, binned once for all that is fitted on them.

    Features that tell the date are not known in them: on the dates to come they are beyond all that was
    seen.
    """

    panel: Panel
    question: str
    recipe: Recipe
    """How they are binned; what is fitted on them may have other seeds and rounds."""

    @classmethod
    def of(cls, panel: Panel, question: str, recipe: Recipe) -> Self:
        """Return the rows of a panel that a question can be fitted on."""
        known = panel.outcome(question) >= 0
        rows = panel if known.all() else panel.take(known)
        calendar = tell_the_date(rows)
        if calendar.any():
            X = rows.X.copy()
            X[:, calendar] = np.nan
            rows = replace(rows, X=X)
        return cls(rows, question, recipe)

    @cached_property
    def binned(self) -> Any:
        """The rows as LightGBM reads them."""
        return bin_rows(self.panel.X, self.panel.outcome(self.question), recipe=self.recipe)

    def fit(self, recipe: Recipe, chosen: npt.NDArray[np.bool_] | None = None) -> Pair:
        """Fit both models on the rows, or on the chosen of them (bool[n_rows]).

        Principality starts from the customer's own shares, where wallets tell them. The bins are those of
        all rows; whoever is not chosen has no other part in it.

        Raises:
            CorredorError: all have the same outcome.
        """
        rows = self.panel if chosen is None else self.panel.take(chosen)
        y, X = rows.outcome(self.question), rows.X
        sign = 1 if self.question == CHURN else -1
        own = rows.own_shares if self.question != CHURN else ()
        start = fit_start(X, y, own, recipe.start_c) if own else None
        binned = self.binned if chosen is None else self.binned.subset(np.flatnonzero(chosen)).construct()
        directions = [sign * d for d in rows.directions]
        forest = fit_forest(X, y, recipe=recipe, directions=directions, start=start, binned=binned)
        return Pair(forest, fit_logistic(X, y, recipe=recipe), len(rows))


def fit_pair(panel: Panel, question: str, recipe: Recipe) -> Pair:
    """Fit both models on the snapshots of a panel whose outcome is known; see `Rows.fit`."""
    return Rows.of(panel, question, recipe).fit(recipe)


def tell_the_date(panel: Panel) -> npt.NDArray[np.bool_]:
    """Return which features tell the oldest date of a panel from the newest: bool[n_features].

    Days since a start that all customers share are such a one: a model would learn the calendar from it.
    """
    if not len(panel):
        return np.zeros(panel.X.shape[1], np.bool_)
    sides = [np.flatnonzero(panel.as_of == date) for date in (panel.as_of.min(), panel.as_of.max())]
    if len(sides[0]) == len(panel):
        return np.zeros(panel.X.shape[1], np.bool_)
    old, new = (rows[:: max(1, len(rows) // COMPARED)] for rows in sides)
    ranks = rankdata(np.nan_to_num(panel.X[np.concatenate([old, new])], nan=-np.inf), axis=0)
    won = ranks[len(old) :].sum(axis=0) - len(new) * (len(new) + 1) / 2
    larger = won / (len(old) * len(new))
    return np.asarray(np.maximum(larger, 1.0 - larger) >= TELLS_THE_DATE)


def judge(pair: Pair, later: Panel, question: str, window: int, usual: int | None = None) -> Gate:
    """Return what earns its place on later dates than the pair was fitted on.

    More or fewer boosting rounds than the `usual` ones (by default all of the pair's), and then a share of
    the logistic, are taken when they lower the log-loss by more than one standard error over customers, the
    lowest of those that do; from a start, more rounds than none by more than two. The calibration is then
    chosen for the blend; without one, a blend is made as sharp as the trees are alone.
    """
    rows = later.take(later.outcome(question) >= 0)
    y = rows.outcome(question)
    if len(y) == 0 or y.min() == y.max():
        return Gate()
    shares = ROUNDS if pair.forest.start is None else FROM_START
    most = pair.forest.boosters[0].num_trees()
    usual = usual or most
    stages = [min(max(round(r * usual), 1), most) for r in shares]  # growing may have ended early
    staged = {stage: pair.forest.raw_score(rows.X, rounds=stage) for stage in stages}
    errors = 1.0 if pair.forest.start is None else FROM_START_ERRORS
    stage, by_stage = _earned(staged, y, rows.customer, errors)
    trees, linear = staged[stage], pair.logistic.raw_score(rows.X)
    blends = {s: (1 - s) * trees + s * linear for s in SHARES}
    share, by_share = _earned(blends, y, rows.customer, errors)
    calibration = choose_calibrator(blends[share], y, rows.customer, rows.as_of, window)
    if share and calibration.calibrator.kind == "identity":
        level = as_sharp_as(trees, blends[share], y)
        if level.kind != "identity":
            calibration = replace(calibration, calibrator=level, reason=AS_SHARP)
    return Gate(stage, stages[0], pair.snapshots, by_stage, share, by_share, calibration)


def _earned(
    scores: dict[Choice, Floats], y: npt.NDArray[np.int8], customer: Ints, errors: float
) -> tuple[Choice, dict[Choice, float]]:
    """Return the lowest of the choices whose log-loss is clearly lower than the first one's; and all.

    Clearly: by more than so many standard errors over customers. The first one where none is.
    """
    losses = {choice: log_losses(probability(z), y) for choice, z in scores.items()}
    means = {choice: float(loss.mean()) for choice, loss in losses.items()}
    usual = next(iter(scores))
    gains = {choice: losses[usual] - losses[choice] for choice in losses if choice != usual}
    earned = [c for c, gain in gains.items() if gain.mean() > errors * clustered_error(gain, customer)]
    return min(earned, key=lambda choice: means[choice], default=usual), means


@dataclass(frozen=True)
class Fit:
    """A pair fitted on all dates of a panel, and the gate judged on its newest."""

    pair: Pair
    gate: Gate

    @property
    def predictor(self) -> Predictor:
        """The predictor that the gate lets through."""
        return self.pair.through(self.gate)


def fit_question(panel: Panel, question: str, config: Config, recipe: Recipe | None = None) -> Fit:
    """Fit a question on a panel: judged on its newest dates, then fitted on all of them.

    By the frozen recipe, if no other is given. Where there are no dates to judge on, the logistic's share is
    judged on the other half of the customers.
    """
    recipe, window = recipe or recipe_of(config), window_us(config)
    gate = Gate()
    rows = Rows.of(panel, question, recipe)
    known = rows.panel
    split = hold_out(panel.dates, window)
    if split is not None:
        early, late = (np.isin(known.as_of, dates) for dates in split)
    else:
        half = np.random.default_rng(recipe.seed).permutation(int(panel.customer.max(initial=0)) + 1) % 2 == 0
        early, late = half[known.customer], ~half[known.customer]
    if learnable(known.take(early), question):
        trees = round(max(ROUNDS) * recipe.trees)
        few = replace(recipe, seeds=min(recipe.seeds, JUDGED_SEEDS), trees=trees)
        gate = judge(rows.fit(few, early), known.take(late), question, window, usual=recipe.trees)
    return _fit_through(rows, recipe, gate)


def fit_through(panel: Panel, question: str, recipe: Recipe, gate: Gate) -> Fit:
    """Fit a question on a panel with what a gate let through."""
    return _fit_through(Rows.of(panel, question, recipe), recipe, gate)


def _fit_through(rows: Rows, recipe: Recipe, gate: Gate) -> Fit:
    chosen = replace(recipe, trees=gate.rounds_on(len(rows.panel)) or recipe.trees)
    return Fit(rows.fit(chosen), gate)


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
