"""How the corridor flows: what is late, what does not go on, what is in progress, stretch by stretch.

Congested: a stretch is waited for longer than its target. Blocked: a contact was entered and the matter
did not go on by its deadline, whatever was to follow; one still open within the deadline is censored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numba import njit

from features.settings import TouchpointKind
from features.streams import NULL, Ints
from features.stretches import NONE, Bools, Codes, Floats, Steps, by_name, quantiles, times_by_half

US_PER_DAY = 86_400_000_000
US_PER_TOLD = 60_000
"""µs in a thousandth of a minute."""
FEWEST = 30
"""Passages below which nothing is said of a stretch's usual time."""
LEADS_ON = 0.5
MOST_CELLS = 1 << 23
"""Kinds cubed above which the beginning of a journey is not looked at."""

ON_TIME, LATE, BLOCKED, ENDED, CENSORED = range(5)
"""What became of a contact: the matter went on in time; went on late, or is late by now; had not gone on
by the deadline (it may have later); was not to go on; is open, and it is not yet late."""


@dataclass(frozen=True)
class Targets:
    """What each stretch is held to.

    `deadline` is by kind, µs (NULL: none): by when a matter that entered it must have gone on. `limit` is
    by stretch (kind * kinds + next kind), µs: how long it may be waited for; `by_told_wait` where it is
    the wait told by the next contact that counts, not the time since the last one. `promised` and
    `due` tell whether limit and deadline come from the configuration; the others are the stretch's own
    usual.
    """

    deadline: Ints
    due: Bools
    limit: Ints
    promised: Bools
    by_told_wait: Bools


@dataclass(frozen=True)
class Flow:
    """What became of every contact; arrays have one element per contact.

    `stretch` is where it counts: the kind entered and the one that followed; for what is blocked or still
    open the kind that most often follows in time in journeys that begin alike (`instead`). `late_at` is
    the moment from which it was held up (µs, NULL when it was not); `first` is False where the journey
    had been held up before. `ripe_at` is the moment from which it is held up unless it has gone on (µs,
    NULL where nothing is to follow). `waited` is what is set against the target, µs: infinite where the
    matter has not gone on, NaN where nothing was waited for.
    """

    status: npt.NDArray[np.int8]
    stretch: Ints
    instead: Ints
    late_at: Ints
    ripe_at: Ints
    first: Bools
    waited: Floats

    @cached_property
    def held(self) -> Bools:
        """Which contacts were, or are, held up."""
        return np.asarray((self.status == LATE) | (self.status == BLOCKED))


def fit_targets(steps: Steps, kinds: Mapping[str, TouchpointKind]) -> Targets:
    """Return the targets of a company's stretches.

    The promise of a kind (`promised_minutes`) is set against the wait that its contacts tell, or against
    the time since the contact before where that kind never tells one. Where nothing is promised, the
    deadline of the kind before holds; where there is none either, the stretch's own usual: the 90th
    percentile of its times, 95th for a deadline, in the better half of the log (so that a stretch that
    became worse is held to what it was).
    """
    n, names = len(steps.kinds), steps.kinds
    promise = by_name({k: v.promised_minutes for k, v in kinds.items() if v.promised_minutes}, names)
    due = by_name({k: v.deadline_days for k, v in kinds.items() if v.deadline_days}, names)
    tells = np.bincount(steps.kind[steps.told_wait != NULL], minlength=n) > 0
    usual = _usual(steps, steps.stretch, np.ones(len(steps), bool), n * n, 0.90)
    usual_deadline = _usual(steps, steps.kind, steps.cased, n, 0.95)
    deadline = np.where(np.isnan(due), usual_deadline, due * US_PER_DAY)
    before, following = np.divmod(np.arange(n * n), n)
    promised = ~np.isnan(promise[following])
    limit = np.where(np.isnan(due[before]), usual, due[before] * US_PER_DAY)
    limit = np.where(promised, promise[following] * 1_000 * US_PER_TOLD, limit)
    return Targets(
        _whole(deadline),
        ~np.isnan(due),
        _whole(limit),
        promised | ~np.isnan(due[before]),
        promised & tells[following],
    )


def follow(steps: Steps, targets: Targets) -> Flow:
    """Return what became of every contact.

    A contact whose outcome is `open` is to go on; one that was `done` or `abandoned`, and that nothing
    follows, has ended. Of the others, those are to go on whose like (same kind and outcome) mostly do.
    Without a case the end of a journey cannot be told from a matter that is stuck, so that there
    only a deadline of the configuration blocks.
    """
    n = len(steps.kinds)
    cell, counts = _onward(
        steps.kind,
        steps.after,
        steps.entered,
        targets.deadline,
        n,
        n**3 <= MOST_CELLS,
    )
    expected = _most_frequent(counts, n)
    found = _fates(
        steps.kind,
        steps.after,
        steps.entered,
        steps.outcome,
        steps.cased,
        steps.told_wait,
        cell,
        _awaits(steps),
        expected,
        targets.deadline,
        targets.due,
        targets.limit,
        targets.by_told_wait,
        n,
        steps.until,
    )
    status, stretch, instead, late_at, ripe_at, waited = found
    n_journeys = int(steps.journey.max()) + 1 if len(steps) else 0
    return Flow(
        status, stretch, instead, late_at, ripe_at, _first_held(steps.journey, late_at, n_journeys), waited
    )


def _most_frequent(counts: Ints, n: int) -> Ints:
    """Return by cell the kind that most often follows; in a cell where none does, that of the cell's kind."""
    if not n:
        return np.zeros(0, np.int64)
    of_kind = counts.reshape(-1, n, n).sum(axis=0)
    usual = np.where(of_kind.any(axis=1), of_kind.argmax(axis=1), NONE)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), usual[np.arange(len(counts)) % n])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _onward(
    kind: Codes, after: Ints, entered: Ints, deadline: Ints, n: int, by_beginning: bool
) -> tuple[Ints, Ints]:
    """Return each contact's cell (kind its journey began with, own kind), and what follows in time there."""
    cell = np.empty(kind.size, np.int64)
    origin = np.full(kind.size, NONE, np.int16)
    counts = np.zeros((n * n if by_beginning else n, n), np.int64)
    for i in range(kind.size):
        k, j = kind[i], after[i]
        if origin[i] < 0:
            origin[i] = k
        cell[i] = (np.int64(origin[i]) * n if by_beginning else 0) + k
        if j >= 0:
            origin[j] = origin[i]
            if deadline[k] == NULL or entered[j] - entered[i] <= deadline[k]:
                counts[cell[i], kind[j]] += 1
    return cell, counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fates(
    kind: Codes,
    after: Ints,
    entered: Ints,
    outcome: Codes,
    cased: Bools,
    told_wait: Ints,
    cell: Ints,
    awaits: Bools,
    expected: Ints,
    deadline: Ints,
    due: Bools,
    limit: Ints,
    by_told_wait: Bools,
    n: int,
    until: int,
) -> tuple[npt.NDArray[np.int8], Ints, Ints, Ints, Ints, Floats]:
    """Walk the contacts once; see `Flow`."""
    size = kind.size
    status, stretch, instead = np.empty(size, np.int8), np.full(size, NONE), np.full(size, NONE)
    late_at, ripe_at, waited = np.full(size, NULL), np.full(size, NULL), np.full(size, np.nan)
    for i in range(size):
        k, j = np.int64(kind[i]), after[i]
        usual_next, due_in = expected[cell[i]], deadline[k]
        awaited = awaits[k, outcome[i] + 1] and due_in != NULL and usual_next >= 0 and (cased[i] or due[k])
        if awaited:
            instead[i] = k * n + usual_next
            patience = due_in
            if limit[instead[i]] != NULL:
                patience = min(patience, limit[instead[i]])
            ripe_at[i] = entered[i] + patience
        elapsed = entered[j] - entered[i] if j >= 0 else NULL
        # what went on after its deadline had not gone on by it; a later contact does not undo that
        if awaited and (j < 0 or elapsed > due_in) and entered[i] + due_in < until:
            status[i], stretch[i], late_at[i] = BLOCKED, instead[i], entered[i] + due_in
            waited[i] = elapsed if j >= 0 else np.inf
        elif j >= 0:
            s = k * n + kind[j]
            by_told, allowed, wait = by_told_wait[s], limit[s], elapsed
            if by_told:
                wait = NULL if told_wait[j] == NULL else told_wait[j] * US_PER_TOLD
            status[i], stretch[i] = ON_TIME, s
            if wait != NULL:
                waited[i] = wait
                if allowed != NULL and wait > allowed:
                    status[i] = LATE
                    # a told wait may have begun before this stretch did: it is known when it is over
                    late_at[i] = entered[j] if by_told else entered[i] + allowed
        elif awaited:
            stretch[i] = instead[i]
            status[i] = CENSORED
            if ripe_at[i] < until:
                status[i], late_at[i], waited[i] = LATE, ripe_at[i], np.inf
        else:
            status[i] = ENDED
    return status, stretch, instead, late_at, ripe_at, waited


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _first_held(journey: Ints, late_at: Ints, n_journeys: int) -> Bools:
    """Return which contacts are where their journey was held up first."""
    where = np.full(n_journeys, -1)
    first = np.zeros(journey.size, np.bool_)
    for i in range(journey.size):
        if late_at[i] == NULL:
            continue
        j = journey[i]
        if where[j] < 0 or late_at[i] < late_at[where[j]]:
            if where[j] >= 0:
                first[where[j]] = False
            where[j] = i
            first[i] = True
    return first


def told_by(targets: Targets, stretch: int, n_kinds: int) -> int:
    """Return after how long it is certain how a contact fared in a stretch, µs: its limit or deadline."""
    known = [int(targets.limit[stretch]), int(targets.deadline[stretch // n_kinds])]
    return max(0, *(t for t in known if t != NULL)) if max(known) != NULL else 0


def _usual(
    steps: Steps, group: npt.NDArray[np.integer], counts: Bools, n_groups: int, share: float
) -> Floats:
    """Return a quantile of the time to the next contact by group: the smaller of both halves' of the log."""
    middle = (int(steps.entered.min()) + steps.until) // 2 if len(steps) else 0
    start, waits = times_by_half(group, steps.after, steps.entered, counts, middle, n_groups)
    (found,) = quantiles(start, waits, (share,))
    return np.asarray(np.fmin(*np.where(np.diff(start) >= FEWEST, found, np.nan).reshape(2, n_groups)))


def _awaits(steps: Steps) -> Bools:
    """Return bool[kinds, outcomes + 1]: whether something is to follow; the first column is of no outcome."""
    n = len(steps.outcomes) + 1
    went, asked = _led_on(steps.kind, steps.outcome, steps.after, steps.old_enough, len(steps.kinds), n)
    leads = went >= LEADS_ON * np.maximum(asked, 1)
    for name, awaits in (("open", True), ("done", False), ("abandoned", False)):
        if name in steps.outcomes:
            leads[:, steps.outcomes.index(name) + 1] = awaits
    return np.asarray(leads)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _led_on(
    kind: Codes, outcome: Codes, after: Ints, old: Bools, n: int, n_outcomes: int
) -> tuple[Ints, Ints]:
    went, asked = np.zeros((n, n_outcomes), np.int64), np.zeros((n, n_outcomes), np.int64)
    for i in range(kind.size):
        if old[i]:
            asked[kind[i], outcome[i] + 1] += 1
            went[kind[i], outcome[i] + 1] += after[i] >= 0
    return went, asked


def _whole(values: Floats) -> Ints:
    return np.where(np.isnan(values), NULL, np.nan_to_num(values)).astype(np.int64)
