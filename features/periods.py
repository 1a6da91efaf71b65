"""Stretches over time: arrivals, waits, what was held up and what is in progress, fortnight by fortnight."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from features.flow import BLOCKED, FEWEST, US_PER_DAY, Flow, Targets, told_by
from features.streams import Ints
from features.stretches import Floats, Steps, quantiles
from features.worsening import Change, worse_since

PERIOD_DAYS = 14
EARLIEST_DAYS = 56
"""Of the log, in which nothing is said to become worse: what began before the log is missing in it."""
MOST_LOOKED_AT = 5_000
"""Passages of a stretch that its worsening is looked for in; of more, every second, third… is taken."""


class Periods(NamedTuple):
    """What stretches were like in each period; arrays are [stretches, periods], times in µs."""

    starts: Ints
    """int64[periods]; the last one ends at `Steps.until`."""
    arrivals: Ints
    """Contacts that entered the stretch in the period."""
    told: Ints
    """How many of them are long enough ago for their fate to be certain."""
    held: Floats
    """Share of those that was held up; NaN where there are none."""
    median: Floats
    p90: Floats
    """Of the times of those that entered then and have gone on."""
    in_progress: Floats
    """Matters in the stretch at a time: arrivals per unit of time × mean time of those that left it then."""


class Worsened(NamedTuple):
    """Since when a stretch is worse (µs), and what it was like before and after; medians in µs."""

    since: int
    held_before: float
    held_after: float
    median_before: float
    median_after: float


class Grouped(NamedTuple):
    """Rows of groups beside each other: those of group g are rows[start[g]:start[g + 1]], in their order."""

    start: Ints
    rows: Ints

    def of(self, group: int) -> Ints:
        """Return the rows of a group."""
        return self.rows[self.start[group] : self.start[group + 1]]


def grouped(group: Ints, n_groups: int) -> Grouped:
    """Return the rows of each group; those of a negative group are left out."""
    return Grouped(*_grouped(group, n_groups))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _grouped(group: Ints, n_groups: int) -> tuple[Ints, Ints]:
    start = np.zeros(n_groups + 1, np.int64)
    for g in group:
        if g >= 0:
            start[g + 1] += 1
    for g in range(n_groups):
        start[g + 1] += start[g]
    place, rows = start[:-1].copy(), np.empty(start[-1], np.int64)
    for i in range(group.size):
        g = group[i]
        if g >= 0:
            rows[place[g]] = i
            place[g] += 1
    return start, rows


def periods_of(steps: Steps, flow: Flow, targets: Targets, stretches: Ints) -> Periods:
    """Return what some stretches were like in each period since the first contact.

    Source of `in_progress`: Little (1961), "A proof for the queuing formula L = λW", Operations Research.
    """
    width, n = PERIOD_DAYS * US_PER_DAY, len(stretches)
    span = steps.until - int(steps.entered.min()) if len(steps) else 0
    count = -(-span // width)
    place = np.full(len(steps.kinds) ** 2, -1)
    place[stretches] = np.arange(n)
    certain = np.array([told_by(targets, int(s), len(steps.kinds)) for s in stretches], np.int64)
    arrivals, told, held, spent, left, start, waits = _by_period(
        np.where(flow.stretch >= 0, place[flow.stretch], -1),
        steps.entered,
        steps.after,
        flow.held,
        certain,
        steps.until,
        width,
        n,
        count,
    )
    median, p90 = quantiles(start, waits, (0.5, 0.9))
    shape = (n, count)
    with np.errstate(invalid="ignore"):
        share = held / told
        in_progress = np.where(left > 0, arrivals * (spent / left) / width, np.where(arrivals, np.nan, 0.0))
    return Periods(
        steps.until - width * np.arange(count, 0, -1),
        arrivals.reshape(shape),
        told.reshape(shape),
        share.reshape(shape),
        median.reshape(shape),
        p90.reshape(shape),
        in_progress.reshape(shape),
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _by_period(
    edge: Ints,
    entered: Ints,
    after: Ints,
    was_held: npt.NDArray[np.bool_],
    certain: Ints,
    until: int,
    width: int,
    n: int,
    count: int,
) -> tuple[Ints, Ints, Ints, Floats, Ints, Ints, Ints]:
    """Count by stretch and period, and lay the times of what has gone on beside each other."""
    arrivals, told = np.zeros(n * count, np.int64), np.zeros(n * count, np.int64)
    held, went = np.zeros(n * count, np.int64), np.zeros(n * count, np.int64)
    spent, left = np.zeros(n * count, np.float64), np.zeros(n * count, np.int64)
    for i in range(edge.size):
        if edge[i] < 0:
            continue
        cell = edge[i] * count + count - 1 - (until - 1 - entered[i]) // width
        arrivals[cell] += 1
        if entered[i] + certain[edge[i]] < until:
            told[cell] += 1
            held[cell] += was_held[i]
        if after[i] >= 0:
            went[cell] += 1
            gone = edge[i] * count + count - 1 - (until - 1 - entered[after[i]]) // width
            left[gone] += 1
            spent[gone] += entered[after[i]] - entered[i]
    start = np.zeros(n * count + 1, np.int64)
    for cell in range(n * count):
        start[cell + 1] = start[cell] + went[cell]
    place, waits = start[:-1].copy(), np.empty(start[-1], np.int64)
    for i in range(edge.size):
        if edge[i] >= 0 and after[i] >= 0:
            cell = edge[i] * count + count - 1 - (until - 1 - entered[i]) // width
            waits[place[cell]] = entered[after[i]] - entered[i]
            place[cell] += 1
    return arrivals, told, held, spent, left, start, waits


def worsening(
    steps: Steps, flow: Flow, targets: Targets, stretch: int, rows: Ints | None = None
) -> Worsened | None:
    """Return since when a stretch is worse, by the times waited in it and by the share held up.

    Args:
        steps: the contacts.
        flow: what became of them.
        targets: what stretches are held to.
        stretch: kind * kinds + next kind.
        rows: the contacts that count in it, where they are at hand.
    """
    rows = np.flatnonzero(flow.stretch == stretch) if rows is None else rows
    # of what entered lately, only what was quick is known
    certain = told_by(targets, stretch, len(steps.kinds))
    rows = rows[(steps.entered[rows] + certain < steps.until) & ~np.isnan(flow.waited[rows])]
    if len(rows) < 2 * FEWEST:
        return None
    rows = rows[:: -(-len(rows) // MOST_LOOKED_AT)]  # they are by customer, so it is a sample of customers
    rows = rows[np.argsort(steps.entered[rows], kind="stable")]
    held = flow.held[rows].astype(np.float64)
    # all that is blocked waited too long, alike: how long in the end is not known yet of the latest
    waits = np.where(flow.status[rows] == BLOCKED, np.inf, flow.waited[rows])
    told: list[Change] = [c for c in (worse_since(waits), worse_since(held, shares=True)) if c]
    if not told:
        return None
    at = max(told, key=lambda c: c.statistic).at
    if steps.entered[rows[at]] < steps.entered.min() + EARLIEST_DAYS * US_PER_DAY:
        return None
    waited = flow.waited[rows]
    middle = [float(np.quantile(part, 0.5, method="lower")) for part in (waited[:at], waited[at:])]
    return Worsened(int(steps.entered[rows[at]]), float(held[:at].mean()), float(held[at:].mean()), *middle)


def trend(periods: Periods, *, recent: int = 4) -> Floats:
    """Return how many times as much is in progress in the last periods as in as many before; NaN: unknown."""
    progress = np.nan_to_num(periods.in_progress)
    if progress.shape[1] < 2 * recent:
        return np.full(len(progress), np.nan)
    later, before = progress[:, -recent:].mean(axis=1), progress[:, -2 * recent : -recent].mean(axis=1)
    times: Floats = np.divide(later, before, out=np.full(len(later), np.nan), where=before > 0)
    return times
