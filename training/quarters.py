"""The four quarters: who is satisfied, who is held, and how they move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtr

from features.catalog import FittedFeatures
from features.settings import COSTS, Quarters
from training.model import Linear

Floats = npt.NDArray[np.float64]

QUARTERS = ("loyal", "hostage", "mercenary", "defector", "unknown")
"""Satisfied and held; not satisfied and held; satisfied and not held; neither; satisfaction not known."""
LOYAL, HOSTAGE, MERCENARY, DEFECTOR, UNKNOWN = range(len(QUARTERS))
PROVENANCES = ("surveyed", "observed", "unknown")
SURVEYED_DAYS = 364
"""An answer older than this no longer counts as asked."""


@dataclass(frozen=True)
class Satisfaction:
    """How satisfied customers are, 0 to 10, estimated from features.

    `spread` is the standard deviation of what satisfaction is around its estimate, apart from the
    noise of an answer; `response` the intercept and slope of the log-odds of answering on the estimate.
    """

    measure: str
    names: tuple[str, ...]
    linear: Linear
    spread: float
    response: tuple[float, float]
    tested: Mapping[str, float] = field(default_factory=dict)
    """On later dates: Spearman correlation with the answers, and errors beside that of the mean answer."""

    def estimate(self, X: npt.NDArray[Any]) -> Floats:
        """Return satisfaction, float64[n], of rows of the features `names`.

        Source: exponential tilting, Kim and Yu 2011, J. Am. Stat. Assoc. 106(493): answering depends on
        satisfaction itself by the slope found between customers.
        """
        answered = self.linear.raw_score(X)
        intercept, slope = self.response
        silent = expit(-(intercept + slope * answered))
        clipped: Floats = np.clip(answered - slope * silent * self.spread**2, 0.0, 10.0)
        return clipped

    def unsatisfied(self, satisfaction: Floats, satisfied_from: float) -> Floats:
        """Return the probability of being less satisfied than that."""
        return np.asarray(ndtr((satisfied_from - satisfaction) / self.spread))

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON values."""
        return {
            "measure": self.measure,
            "names": list(self.names),
            "linear": self.linear.to_dict(),
            "spread": self.spread,
            "response": list(self.response),
            "tested": dict(self.tested),
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Satisfaction:
        """Return the estimate that `to_dict` described."""
        intercept, slope = d["response"]
        return cls(
            str(d["measure"]),
            tuple(d["names"]),
            Linear.from_dict(d["linear"]),
            float(d["spread"]),
            (float(intercept), float(slope)),
            dict(d["tested"]),
        )


@dataclass(frozen=True)
class Standing:
    """Where customers stand between satisfaction and switching costs; one element per customer.

    `indices` and `coverage` are float64[n, 4] in the order of `COSTS`, NaN where nothing is known;
    `provenance` and `satisfaction_source` are positions in `PROVENANCES`, `quarter` in `QUARTERS`.
    """

    satisfaction: Floats
    satisfaction_source: npt.NDArray[np.int8]
    unsatisfied: Floats
    """Probability of not being satisfied; NaN where nothing tells."""
    quarter: npt.NDArray[np.int8]
    hostage: Floats
    """Probability of not being satisfied while a commitment runs; NaN where nothing tells."""
    indices: Floats
    coverage: Floats
    provenance: npt.NDArray[np.int8]
    next_end_days: Floats
    """Days until the next commitment ends; NaN where none runs."""
    last_end_days: Floats

    def __len__(self) -> int:
        return len(self.quarter)


def join(parts: Sequence[Standing]) -> Standing:
    """Return the standings of several parts as one."""
    names = Standing.__dataclass_fields__
    return Standing(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def needed(fitted: FittedFeatures, satisfaction: Satisfaction | None) -> list[str]:
    """Return the features that a standing is read from, of those that there are."""
    of_costs = [f"switching_{c}_{what}" for c in COSTS for what in ("index", "surveyed", "coverage")]
    others = ("switching_cost_mean", *_SAID, *_ENDS, "commitments")
    wanted = {*of_costs, *others, *(satisfaction.names if satisfaction else ())}
    return [name for name in fitted.names if name in wanted]


def standing_of(
    X: npt.NDArray[np.float32], names: Sequence[str], satisfaction: Satisfaction | None, quarters: Quarters
) -> Standing:
    """Return where customers stand.

    Held is who has a mean switching cost of at least `held_from`, or a commitment that runs. Without an
    estimate of satisfaction the customer's own answers count; without those the quarter is unknown.

    Args:
        X: float32[n, len(names)].
        names: of the columns; those of `needed` are looked for.
        satisfaction: how satisfaction is estimated; None: only by the customer's own answers.
        quarters: from where customers count as satisfied, and as held.
    """
    place = {name: i for i, name in enumerate(names)}

    def column(name: str) -> Floats:
        found = X[:, place[name]] if name in place else np.full(len(X), np.nan)
        return np.asarray(found, np.float64)

    said, age = (column(name) for name in _SAID)
    asked = ~np.isnan(said) & (age <= SURVEYED_DAYS)
    if satisfaction is not None and all(name in place for name in satisfaction.names):
        # contiguous, so that a row adds up in the same order whoever stands beside it
        felt = satisfaction.estimate(np.ascontiguousarray(X[:, [place[name] for name in satisfaction.names]]))
        unsatisfied = satisfaction.unsatisfied(felt, quarters.satisfied_from)
        source = np.where(asked, 0, 1)
    else:
        felt = np.where(asked, said, np.nan)
        unsatisfied = np.where(asked, (said < quarters.satisfied_from).astype(np.float64), np.nan)
        source = np.where(asked, 0, 2)
    indices, coverage, surveyed = (
        np.stack([column(f"switching_{cost}_{what}") for cost in COSTS], axis=1)
        for what in ("index", "coverage", "surveyed")
    )
    committed = np.nan_to_num(column("commitments")) > 0
    held = (np.nan_to_num(column("switching_cost_mean")) >= quarters.held_from) | committed
    unhappy = unsatisfied > 0.5
    quarter = np.select(
        [np.isnan(unsatisfied), ~unhappy & held, unhappy & held, ~unhappy],
        [UNKNOWN, LOYAL, HOSTAGE, MERCENARY],
        DEFECTOR,
    )
    next_end, last_end = (column(name) for name in _ENDS)
    return Standing(
        satisfaction=felt,
        satisfaction_source=source.astype(np.int8),
        unsatisfied=unsatisfied,
        quarter=quarter.astype(np.int8),
        hostage=unsatisfied * committed,
        indices=indices,
        coverage=np.where(np.isnan(indices), 0.0, coverage),
        provenance=np.where(np.isnan(indices), 2, np.where(surveyed > 0, 0, 1)).astype(np.int8),
        next_end_days=next_end,
        last_end_days=last_end,
    )


_SAID = ("satisfaction_said", "days_since_satisfaction_said")
_ENDS = ("days_until_uncommitted", "days_until_last_uncommitted")


def movement(before: npt.NDArray[Any], now: npt.NDArray[Any], value: Floats) -> list[dict[str, Any]]:
    """Return how many customers moved from each quarter to each, and their worth; the largest first.

    Args:
        before: positions in `QUARTERS`; -1 for who was not with us.
        now: the same, today.
        value: worth of each, NaN where not known.
    """
    moves = []
    for a, b in sorted({*zip(before.tolist(), now.tolist(), strict=True)}):
        who = (before == a) & (now == b)
        moves.append(
            {
                "before": QUARTERS[a] if a >= 0 else None,
                "now": QUARTERS[b],
                "customers": int(who.sum()),
                "value": float(np.nansum(value[who])),
            }
        )
    return sorted(moves, key=lambda m: -m["customers"])
