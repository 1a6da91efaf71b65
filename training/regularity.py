"""How long customers stay silent before they return: what a horizon can be chosen by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.histories import Histories
from training.config import Config
from training.labels import activity_rows

DAY_US = 86_400_000_000
ENOUGH_SILENCES = 30
"""A point of the curve rests on at least so many silences that lasted that long."""
ALMOST_ALL = 0.98
"""The suggested horizon is the silence that this share of the returns does not exceed."""


@dataclass(frozen=True)
class Silence:
    """A point of the regularity curve: of `silences` of at least `days`, the share that end in a return."""

    days: int
    silences: int
    returned: float


@dataclass(frozen=True)
class Regularity:
    """The regularity curve of a company's customers, and the clock that it suggests (None: too few)."""

    curve: tuple[Silence, ...] = ()
    median_gap_days: float | None = None
    horizon_days: int | None = None
    active_days: int | None = None


def regularity(histories: Histories, config: Config) -> Regularity:
    """Return how likely a silence of n days is to end in a return, and a suggestion for the clock.

    A silence runs from one contact that counts as activity to the next (the kinds of `[churn]`, or any
    direct contact); the last one of each
    customer is still open when the data end, and counts for as long as it has been seen
    (Kaplan-Meier). "A return" is one within the time that the data can tell.
    """
    length, ended = _silences(histories, config)
    if ended.sum() < ENOUGH_SILENCES:
        return Regularity()
    length, ended = length[order := np.argsort(length, kind="stable")], ended[order]
    at_risk = np.arange(len(length), 0, -1)
    survival = np.cumprod(1.0 - ended / at_risk)
    last = max(len(length) - ENOUGH_SILENCES, 0)
    forever = float(survival[last])
    points = []
    for days in _steps(float(length[last])):
        first = int(np.searchsorted(length, days))
        if len(length) - first < ENOUGH_SILENCES:
            break
        still = float(survival[first - 1]) if first else 1.0
        points.append(Silence(days, len(length) - first, 1.0 - forever / still if still else 0.0))
    gaps = length[ended]
    horizon = max(7, int(np.ceil(np.quantile(gaps, ALMOST_ALL) / 7) * 7))
    return Regularity(tuple(points), float(np.median(gaps)), horizon, 2 * horizon)


def _silences(histories: Histories, config: Config) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the length in days of every silence, and whether it ended in a return."""
    stream = histories.touchpoints
    mask = activity_rows(histories, config)
    if stream.opens is not None:
        mask = mask & (stream.opens > 0)
    kept = stream.keep(mask)
    moments, customer = kept.occurred_at.unpack(), kept.customer_of_rows()
    if not len(moments):
        return np.zeros(0), np.zeros(0, bool)
    end = histories.span()[1]
    following = np.append(moments[1:], end)
    ended = np.append(customer[1:] == customer[:-1], False)
    length = np.where(ended, following, end) - moments
    real = (length >= DAY_US) | ~ended  # two contacts of one day are one visit
    return length[real] / DAY_US, ended[real]


def _steps(longest: float) -> list[int]:
    steps = [7, 14, 21, 28, 42, 56, 84, 112, 140, 182, 224, 273, 364, 546, 728]
    return [days for days in steps if days <= longest]
