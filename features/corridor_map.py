"""The map of the corridor: kinds of contact, the stretches between them, how they flow, and since when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from features.errors import unknown_name
from features.flow import BLOCKED, Flow, Targets, fit_targets, follow, told_by
from features.histories import Histories
from features.periods import Periods, Worsened, grouped, periods_of, worsening
from features.settings import DataSettings
from features.streams import Ints
from features.stretches import (
    NONE,
    Bools,
    Floats,
    Measured,
    Nodes,
    Steps,
    measure,
    measure_nodes,
    steps_of,
)
from features.throughput import Throughput, measure_journeys

Part = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Slice:
    """What was measured of some of the contacts: those of a stage, a channel, a segment, a team.

    Of a stretch, `held` is the share held up of the `known`, whose fate is certain.
    """

    contacts: Ints
    """By kind."""
    measured: Measured
    held: Floats
    known: Ints


@dataclass(frozen=True)
class CorridorMap:
    """The directly-follows graph with its measures; arrays by stretch have an element per `stretches`."""

    steps: Steps
    targets: Targets
    flow: Flow
    stretches: Ints
    """kind * kinds + next kind, the busiest first."""
    onward: Ints
    """By contact: the place among `stretches` of the one it took, NONE where it took none."""
    counted: Ints
    """By contact: the place of the one where it counts, NONE where its fate is not certain yet."""
    nodes: Nodes
    whole: Slice
    blocked: Floats
    """Share that had not gone on by the deadline, of those whose fate is certain."""
    throughput: Throughput
    periods: Periods
    worsened: tuple[Worsened | None, ...]

    def pair(self, stretch: int) -> tuple[str, str]:
        """Return the names of the kinds that a stretch leads from and to."""
        before, after = divmod(int(stretch), len(self.steps.kinds))
        return self.steps.kinds[before], self.steps.kinds[after]

    def parts(self, part: Part, n_parts: int, *, of_passage: Part | None = None) -> list[Slice]:
        """Measure parts of the contacts (0 to n_parts - 1); a negative part is left out.

        Args:
            part: of each contact.
            n_parts: how many there are.
            of_passage: the part that the way on from a contact belongs to; its own by default.
        """
        return _parts(self.steps, self.onward, self.counted, self.flow.held, part, of_passage, n_parts)

    def channels_of_passages(self) -> Part:
        """Return the channel of each passage: that of the contact it leads to, else of the one it leaves."""
        onward = np.maximum(self.steps.after, 0)
        return np.where(self.steps.after >= 0, self.steps.channel[onward], self.steps.channel)


def draw_map(
    histories: Histories, settings: DataSettings, until: int, *, channel: str | None = None
) -> CorridorMap:
    """Return the map as it was known before a moment.

    Args:
        histories: what is at hand; nothing known at or after `until` is looked at.
        settings: promises and deadlines by kind.
        until: µs UTC.
        channel: only the journeys that come through this one (a name in the data); all by default.

    Raises:
        CorredorError: no contact known by then came through the channel.
    """
    steps = steps_of(histories, until)
    if channel is not None:
        if len(steps) and channel not in steps.channels:
            raise unknown_name("channel in the data", channel, steps.channels)
        steps = steps.of_journeys_with(steps.channels.index(channel)) if len(steps) else steps
    targets = fit_targets(steps, settings.touchpoints)
    flow = follow(steps, targets)
    size = len(steps.kinds) ** 2
    by_counted = grouped(flow.stretch, size)
    volume = np.bincount(steps.stretch[steps.stretch >= 0], minlength=size)
    stretches = np.argsort(-volume, kind="stable")[: int((volume > 0).sum())]
    place = np.full(size + 1, NONE)
    place[stretches] = np.arange(len(stretches))
    certain = np.array([told_by(targets, s, len(steps.kinds)) for s in range(size)], np.int64)
    onward, counted = place[steps.stretch], _certain(flow.stretch, steps.entered, certain, place, until)
    (whole,) = _parts(steps, onward, counted, flow.held, np.zeros(len(steps), np.int8), None, 1)
    blocked = _tally(counted, (flow.status == BLOCKED).astype(np.int8), len(stretches), 2)
    return CorridorMap(
        steps,
        targets,
        flow,
        stretches,
        onward,
        counted,
        measure_nodes(steps),
        whole,
        blocked[:, 1] / np.maximum(blocked.sum(axis=1), 1),
        measure_journeys(steps),
        periods_of(steps, flow, targets, stretches),
        tuple(worsening(steps, flow, targets, s, by_counted.of(s)) for s in stretches.tolist()),
    )


def _parts(
    steps: Steps,
    onward: Ints,
    counted: Ints,
    was_held: Bools,
    part: Part,
    of_passage: Part | None,
    n: int,
) -> list[Slice]:
    of_passage = part if of_passage is None else of_passage
    size = int(onward.max(initial=NONE)) + 1
    contacts = _tally(steps.kind, part, len(steps.kinds), n)
    found = measure(steps, _both(onward, of_passage, n), size * n)
    known = _tally(counted, of_passage, size, n)
    held = _tally(np.where(was_held, counted, NONE), of_passage, size, n)
    share = np.divide(held, known, out=np.full(held.shape, np.nan), where=known > 0)
    names = Measured.__dataclass_fields__
    return [
        Slice(
            contacts[:, p],
            Measured(*(getattr(found, name).reshape(size, n)[:, p] for name in names)),
            share[:, p],
            known[:, p],
        )
        for p in range(n)
    ]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _certain(stretch: Ints, entered: Ints, certain: Ints, place: Ints, until: int) -> Ints:
    found = np.full(stretch.size, NONE)
    for i in range(stretch.size):
        if stretch[i] >= 0 and entered[i] + certain[stretch[i]] < until:
            found[i] = place[stretch[i]]
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _both(row: Part, column: Part, n_columns: int) -> Ints:
    """Number pairs: row * n_columns + column; NONE where either is."""
    found = np.full(row.size, NONE)
    for i in range(row.size):
        if row[i] >= 0 and column[i] >= 0:
            found[i] = np.int64(row[i]) * n_columns + column[i]
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tally(row: Part, column: Part, n_rows: int, n_columns: int) -> Ints:
    """Count pairs: int64[n_rows, n_columns]; those with a negative member are left out."""
    found = np.zeros((n_rows, n_columns), np.int64)
    for i in range(row.size):
        if row[i] >= 0 and column[i] >= 0:
            found[row[i], column[i]] += 1
    return found
