"""Since when something is worse: the points at which a series in order of time changes its level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FEWEST = 30
"""Observations on each side of a change."""
CRITICAL = 5.0
"""Standard errors that a change must exceed: by chance less than one series in a thousand, at any length."""
SUPERIORITY = 0.6
"""Least chance that an observation after a change is above one before it; 0.5 is no difference."""
LEAST_SHARE = 0.1
"""… or least difference of a share, where most observations are alike."""


class Change(NamedTuple):
    """A change of level.

    `at` is the position of the first observation of the new level; `superiority` the chance that one after it
    (up to the next change) is above one before it (from the last change), ties half; `statistic` in
    standard errors.
    """

    at: int
    superiority: float
    statistic: float


def changes(values: Floats) -> list[Change]:
    """Return where a series changes its level, in order of time.

    Binary segmentation on the ranks: the split that parts ranks most, in standard errors, then the same on
    each side. Ranks make it indifferent to outliers, to skew, and to how large "not yet" is, so that
    infinite values stand for what has not happened.

    Source: Pettitt (1979), "A non-parametric approach to the change-point problem", Applied Statistics;
    Vostrikova (1981) for the segmentation.
    """
    return _changes(values, _ranks(values))


def worse_since(values: Floats, *, shares: bool = False) -> Change | None:
    """Return the change since which a series is on a higher level, or None.

    Of the changes for the worse from which the end of the series has not come back by half, the
    one with the largest statistic.

    Args:
        values: in order of time; larger is worse.
        shares: values are 0 or 1, so that a difference of their means counts as well.
    """
    ranks = _ranks(values)
    found = _changes(values, ranks)
    if not found:
        return None
    edges = [0, *(c.at for c in found), len(values)]
    level = [ranks[a:b].mean() for a, b in zip(edges, edges[1:], strict=False)]
    lasting = []
    for k, change in enumerate(found):
        before, after = values[edges[k] : change.at], values[change.at : edges[k + 2]]
        enough = change.superiority >= SUPERIORITY
        if shares:
            enough |= float(np.mean(after)) - float(np.mean(before)) >= LEAST_SHARE
        if enough and level[k + 1] > level[k] and min(level[k + 1 :]) > (level[k] + level[k + 1]) / 2:
            lasting.append(change)
    return max(lasting, key=lambda c: c.statistic, default=None)


def _changes(values: Floats, ranks: Floats) -> list[Change]:
    cuts = sorted(_split(ranks, 0, len(ranks)))
    edges = [0, *cuts, len(ranks)]
    found = []
    for before, at, after in zip(edges, cuts, edges[2:], strict=False):
        statistic, _ = _best_split(ranks[before:after], at - before)
        found.append(Change(at, _superiority(values[before:at], values[at:after]), statistic))
    return found


def _split(ranks: Floats, low: int, high: int) -> list[int]:
    if high - low < 2 * FEWEST:
        return []
    statistic, at = _best_split(ranks[low:high])
    if statistic < CRITICAL:
        return []
    cut = low + at
    return [cut, *_split(ranks, low, cut), *_split(ranks, cut, high)]


def _best_split(ranks: Floats, at: int | None = None) -> tuple[float, int]:
    """Return the largest difference of mean rank between the sides of a split, and where it is."""
    n = len(ranks)
    spread = float(ranks.std())
    if spread == 0:
        return 0.0, FEWEST
    k = np.arange(FEWEST, n - FEWEST + 1) if at is None else np.array([at])
    sums = np.cumsum(ranks - ranks.mean())[k - 1]
    statistic = np.abs(sums) / (spread * np.sqrt(k * (n - k) / n))
    best = int(statistic.argmax())
    return float(statistic[best]), int(k[best])


def _ranks(values: Floats) -> Floats:
    """Return mid-ranks: equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], np.float64)


def _superiority(before: Floats, after: Floats) -> float:
    ranks = _ranks(np.concatenate([before, after]))[len(before) :]
    n, m = len(before), len(after)
    return float((ranks.sum() - m * (m + 1) / 2) / (n * m))
