"""How good predictions are on snapshots they have not seen, with intervals over customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.calibration import log_losses
from training.config import Value
from training.profit import expected_maximum_profit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REPLICATES = 200
MOST_ROWS_RESAMPLED = 20_000_000
"""Rows times replicates of the bootstrap."""
BINS = 10
TOP = 0.1
BETTER_IF_LOWER = ("log_loss", "brier", "calibration_error")
MEASURES = (
    *("auc", "average_precision", "log_loss", "brier", "calibration_error", "calibration_slope"),
    *("lift_top_decile", "value_captured_top_decile", "empc"),
)
"""By date and then averaged, but for calibration error and slope, which pool the dates."""


@dataclass(frozen=True)
class Outcomes:
    """The snapshots of a test: whose, when, what happened, and what each customer is worth (NaN: unknown)."""

    customer: Ints
    as_of: Ints
    happened: npt.NDArray[np.int8]
    value: Floats | None = None

    def take(self, rows: npt.NDArray[Any]) -> Outcomes:
        """Return some of the snapshots."""
        value = None if self.value is None else self.value[rows]
        return Outcomes(self.customer[rows], self.as_of[rows], self.happened[rows], value)


def measure(
    outcomes: Outcomes,
    models: Mapping[str, Floats],
    economy: Value,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Return model -> measure -> `{"value", "interval": [low, high]}` (95 %), None where not known.

    Customers are drawn anew in each replicate of the bootstrap, with all their snapshots. Every model
    but the first also has `auc_behind` and `log_loss_behind`: by how much the first one is better,
    from the same replicates.

    Args:
        outcomes: the snapshots.
        models: name -> probability for each snapshot; the first is the one of interest.
        economy: parameters of the profit.
        replicates: of the bootstrap; fewer are drawn when there are very many snapshots.
        seed: of the bootstrap.
    """
    n = len(outcomes.customer)
    replicates = int(np.clip(MOST_ROWS_RESAMPLED // max(n, 1), 20, replicates)) if replicates else 0
    _, who = np.unique(outcomes.customer, return_inverse=True)
    people = int(who.max(initial=0)) + 1
    random = np.random.default_rng(seed)
    draws = [np.ones(n)]
    for _ in range(replicates):
        draws.append(
            np.bincount(random.integers(0, people, people), minlength=people)[who].astype(np.float64)
        )
    results = {name: _Prepared(outcomes, p, economy).all(draws) for name, p in models.items()}
    first = next(iter(models))
    found: dict[str, dict[str, Any]] = {}
    for name, columns in results.items():
        found[name] = {m: _interval(columns[m]) for m in MEASURES}
        if name != first:
            for m in ("auc", "log_loss"):
                sign = -1.0 if m in BETTER_IF_LOWER else 1.0
                found[name][f"{m}_behind"] = _interval(sign * (results[first][m] - columns[m]))
    return found


def measure_groups(
    outcomes: Outcomes, p: Floats, groups: Mapping[str, npt.NDArray[Any]], economy: Value
) -> dict[str, dict[str, Any]]:
    """Return grouping -> level -> snapshots, share that it happened to, and measures without intervals.

    Levels are texts, one per snapshot; None is left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for grouping, labels in groups.items():
        found[grouping] = {}
        for level in sorted({str(v) for v in labels if v is not None}):
            rows = np.flatnonzero(labels == level)
            part = outcomes.take(rows)
            facts: dict[str, Any] = {"snapshots": len(rows), "share": float(part.happened.mean())}
            values = _Prepared(part, p[rows], economy).all([np.ones(len(rows))])
            facts |= {m: _plain(values[m][0]) for m in MEASURES}
            found[grouping][level] = facts
    return found


def auc(happened: npt.NDArray[Any], score: Floats, weight: Floats | None = None) -> float:
    """Return the area under the ROC curve; ties count half. NaN when only one outcome is there.

    >>> auc(np.array([1, 0, 1, 0]), np.array([0.9, 0.4, 0.4, 0.1]))
    0.875
    """
    w = np.ones(len(score)) if weight is None else weight
    return _Order(np.asarray(happened, np.float64), score).auc(w)


@dataclass(frozen=True)
class _Order:
    """Snapshots of a date, the riskiest first, so that each replicate is a few cumulative sums."""

    happened: Floats
    score: Floats

    def __post_init__(self) -> None:
        order = np.argsort(-self.score, kind="stable")
        s = self.score[order]
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "ends", np.flatnonzero(np.append(s[1:] != s[:-1], True)))

    order: Ints = None  # type: ignore[assignment]
    ends: Ints = None  # type: ignore[assignment]

    def counts(self, weight: Floats) -> tuple[Floats, Floats]:
        w, y = weight[self.order], self.happened[self.order]
        return np.cumsum(w * y)[self.ends], np.cumsum(w * (1 - y))[self.ends]

    def auc(self, weight: Floats) -> float:
        left, stayed = self.counts(weight)
        if left[-1] <= 0 or stayed[-1] <= 0:
            return float("nan")
        steps = np.diff(np.concatenate([[0.0], stayed]))
        middle = (left + np.concatenate([[0.0], left[:-1]])) / 2
        return float((steps * middle).sum() / (left[-1] * stayed[-1]))

    def average_precision(self, weight: Floats) -> float:
        left, stayed = self.counts(weight)
        if left[-1] <= 0:
            return float("nan")
        steps = np.diff(np.concatenate([[0.0], left]))
        return float((steps * left / np.maximum(left + stayed, 1e-12)).sum() / left[-1])

    def captured(self, weight: Floats, worth: Floats) -> float:
        """Return which part of the worth of those it happened to is among the riskiest tenth."""
        w = weight[self.order]
        stake = w * (worth * self.happened)[self.order]
        top = np.clip(TOP * w.sum() - (np.cumsum(w) - w), 0.0, w)
        total = float(stake.sum())
        return (
            float((stake * np.divide(top, w, out=np.zeros_like(w), where=w > 0)).sum() / total)
            if total > 0
            else np.nan
        )


class _Prepared:
    """One model's predictions, sorted once."""

    def __init__(self, outcomes: Outcomes, p: Floats, economy: Value) -> None:
        self.y = outcomes.happened.astype(np.float64)
        self.p = np.clip(np.asarray(p, np.float64), 1e-12, 1 - 1e-12)
        self.loss, self.brier = log_losses(self.p, self.y), (self.p - self.y) ** 2
        self.log_odds = np.log(self.p / (1 - self.p))
        self.economy = economy
        self.dates = [np.flatnonzero(outcomes.as_of == d) for d in np.unique(outcomes.as_of)]
        self.orders = [_Order(self.y[rows], self.p[rows]) for rows in self.dates]
        self.value = outcomes.value
        self.sorted = np.argsort(self.p, kind="stable")

    def all(self, draws: list[Floats]) -> dict[str, Floats]:
        rows = [self.one(w) for w in draws]
        return {m: np.array([row[m] for row in rows]) for m in MEASURES}

    def one(self, w: Floats) -> dict[str, float]:
        def by_date(measured: Callable[[_Order, Ints], float]) -> float:
            return _mean([measured(o, rows) for o, rows in zip(self.orders, self.dates, strict=True)])

        worth = None if self.value is None else np.nan_to_num(self.value)
        return {
            "auc": by_date(lambda o, rows: o.auc(w[rows])),
            "average_precision": by_date(lambda o, rows: o.average_precision(w[rows])),
            "log_loss": by_date(lambda o, rows: _weighted(self.loss[rows], w[rows])),
            "brier": by_date(lambda o, rows: _weighted(self.brier[rows], w[rows])),
            "lift_top_decile": by_date(lambda o, rows: o.captured(w[rows], np.ones(len(rows))) / TOP),
            "value_captured_top_decile": np.nan
            if worth is None
            else by_date(lambda o, rows: o.captured(w[rows], worth[rows])),
            "empc": by_date(
                lambda o, rows: expected_maximum_profit(self.y[rows], self.p[rows], self.economy, w[rows])
            ),
            "calibration_error": self.calibration_error(w),
            "calibration_slope": _slope(self.log_odds, self.y, w),
        }

    def calibration_error(self, w: Floats) -> float:
        """Return the mean distance of predicted and observed share over ten groups of equal size."""
        weight = w[self.sorted]
        total = weight.sum()
        if total <= 0:
            return float("nan")
        group = np.minimum(((np.cumsum(weight) - weight / 2) / total * BINS).astype(np.int64), BINS - 1)
        surprise = np.bincount(group, weights=weight * (self.p - self.y)[self.sorted], minlength=BINS)
        return float(np.abs(surprise).sum() / total)


def _slope(z: Floats, y: Floats, w: Floats) -> float:
    """Return the slope of a logistic regression of the outcome on the log-odds; 1 is right."""
    if not 0 < (w * y).sum() < w.sum():
        return float("nan")
    a, b = 0.0, 1.0
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(a + b * z, -30, 30)))
        v, r = w * p * (1 - p), w * (y - p)
        s0, s1, s2 = v.sum(), (v * z).sum(), (v * z * z).sum()
        g0, g1 = r.sum(), (r * z).sum()
        det = s0 * s2 - s1 * s1
        if det <= 1e-12:
            return float("nan")
        da, db = (s2 * g0 - s1 * g1) / det, (s0 * g1 - s1 * g0) / det
        a, b = a + da, b + db
        if abs(da) + abs(db) < 1e-8:
            break
    return float(b)


def _weighted(x: Floats, w: Floats) -> float:
    total = float(w.sum())
    return float((x * w).sum() / total) if total > 0 else float("nan")


def _mean(values: list[float]) -> float:
    known = [v for v in values if v == v]
    return float(np.mean(known)) if known else float("nan")


def _interval(values: Floats) -> dict[str, Any] | None:
    """Return the value and the 2.5 % and 97.5 % quantiles of its replicates; None when it is not known."""
    if not np.isfinite(values[0]):
        return None
    replicates = values[1:][np.isfinite(values[1:])]
    if len(replicates) < 20:
        return {"value": float(values[0])}
    low, high = np.quantile(replicates, [0.025, 0.975])
    return {"value": float(values[0]), "interval": [float(low), float(high)]}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
