"""The four quarters: who is satisfied, who is held, and how they move."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from features.catalog import FittedFeatures
from features.settings import COSTS, Quarters
from training.forest import Linear

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
        from scipy.special import expit  # here, for models that have learnt it

        answered = self.linear.raw_score(X)
        intercept, slope = self.response
        silent = expit(-(intercept + slope * answered))
        clipped: Floats = np.clip(answered - slope * silent * self.spread**2, 0.0, 10.0)
        return clipped

    def unsatisfied(self, satisfaction: Floats, satisfied_from: float) -> Floats:
        """Return the probability of being less satisfied than that."""
        from scipy.special import ndtr

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
    if len(parts) == 1:
        return parts[0]
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
    columns, of_satisfaction = _places(tuple(names), satisfaction.names if satisfaction else ())
    n = len(X)
    floats, codes = np.empty((3 + len(_ENDS), n)), np.empty((2, n), np.int8)
    estimated = satisfaction is not None and of_satisfaction is not None
    if satisfaction is not None and of_satisfaction is not None:
        # contiguous, so that a row adds up in the same order whoever stands beside it
        floats[0] = satisfaction.estimate(np.ascontiguousarray(X[:, of_satisfaction]))
        floats[1] = satisfaction.unsatisfied(floats[0], quarters.satisfied_from)
    costs, provenance = np.empty((2, n, len(COSTS))), np.empty((n, len(COSTS)), np.int8)
    _stand(
        X, columns, estimated, quarters.satisfied_from, quarters.held_from, floats, codes, costs, provenance
    )
    return Standing(
        satisfaction=floats[0],
        satisfaction_source=codes[0],
        unsatisfied=floats[1],
        quarter=codes[1],
        hostage=floats[2],
        indices=costs[0],
        coverage=costs[1],
        provenance=provenance,
        next_end_days=floats[3],
        last_end_days=floats[4],
    )


@lru_cache(maxsize=16)
def _places(names: tuple[str, ...], of_estimate: tuple[str, ...]) -> tuple[Ints, Ints | None]:
    """Return where the columns that a standing is read from are, -1: nowhere; and those of an estimate."""
    place = {name: i for i, name in enumerate(names)}
    of_costs = [f"switching_{cost}_{what}" for what in _OF_COSTS for cost in COSTS]
    columns = [place.get(name, -1) for name in (*_SAID, *_HELD, *_ENDS, *of_costs)]
    known = all(name in place for name in of_estimate)
    return np.array(columns), np.array([place[name] for name in of_estimate], np.int64) if known else None


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _value(X: Any, row: int, place: int) -> float:
    return np.float64(X[row, place]) if place >= 0 else np.nan


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _stand(
    X: Any, columns: Any, estimated: bool, satisfied_from: float, held_from: float, floats: Any, codes: Any,
    costs: Any, provenance: Any,
) -> None:  # fmt: skip
    """Write where each row stands; satisfaction and its doubt (the first two `floats`) may be there."""
    n_costs = provenance.shape[1]
    for row in range(X.shape[0]):
        said, age = _value(X, row, columns[0]), _value(X, row, columns[1])
        asked = not math.isnan(said) and age <= SURVEYED_DAYS
        if not estimated:
            floats[0, row] = said if asked else np.nan
            floats[1, row] = (1.0 if said < satisfied_from else 0.0) if asked else np.nan
        codes[0, row] = 0 if asked else (1 if estimated else 2)
        commitments, mean = _value(X, row, columns[2]), _value(X, row, columns[3])
        committed = commitments > 0
        held = (0.0 if math.isnan(mean) else mean) >= held_from or committed
        unsatisfied = floats[1, row]
        if math.isnan(unsatisfied):
            codes[1, row] = UNKNOWN
        elif unsatisfied > 0.5:
            codes[1, row] = HOSTAGE if held else DEFECTOR
        else:
            codes[1, row] = LOYAL if held else MERCENARY
        floats[2, row] = unsatisfied * (1.0 if committed else 0.0)
        floats[3, row], floats[4, row] = _value(X, row, columns[4]), _value(X, row, columns[5])
        for c in range(n_costs):
            index = _value(X, row, columns[6 + c])
            surveyed = _value(X, row, columns[6 + 2 * n_costs + c])
            unknown = math.isnan(index)
            costs[0, row, c] = index
            costs[1, row, c] = 0.0 if unknown else _value(X, row, columns[6 + n_costs + c])
            provenance[row, c] = 2 if unknown else (0 if surveyed > 0 else 1)


_SAID = ("satisfaction_said", "days_since_satisfaction_said")
_HELD = ("commitments", "switching_cost_mean")
_ENDS = ("days_until_uncommitted", "days_until_last_uncommitted")
_OF_COSTS = ("index", "coverage", "surveyed")


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
