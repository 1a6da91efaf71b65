"""How the corridor flows: what is late, what does not go on, what is in progress, stretch by stretch.

Congested: a stretch is waited for longer than its target. Blocked: a contact was entered and the matter
did not go on by its deadline, whatever was to follow; one still open within the deadline is censored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.settings import TouchpointKind
from features.streams import NULL, Ints
from features.stretches import NONE, Bools, Floats, Steps, by_name, old_enough, quantiles

US_PER_DAY = 86_400_000_000
US_PER_TOLD = 60_000
_FAR = 1 << 60
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

    @property
    def held(self) -> Bools:
        """Which contacts were, or are, held up."""
        return (self.status == LATE) | (self.status == BLOCKED)


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
    half = _halves(steps)
    usual = _usual(steps, steps.stretch(), n * n, 0.90, half)
    cased = np.where(steps.cased & (steps.after >= 0), steps.kind, NONE).astype(np.int64)
    deadline = np.where(np.isnan(due), _usual(steps, cased, n, 0.95, half), due * US_PER_DAY)
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
    deadline, elapsed, goes_on = targets.deadline[steps.kind], steps.elapsed(), steps.after >= 0
    in_time = goes_on & ((deadline == NULL) | (elapsed <= deadline))
    usual_next = _expected(steps, in_time)
    awaited = _awaited(steps) & (deadline != NULL) & (steps.cased | targets.due[steps.kind])
    awaited &= usual_next >= 0
    instead = np.where(awaited, steps.kind.astype(np.int64) * n + usual_next, NONE)
    patience = np.where(targets.limit == NULL, _FAR, targets.limit)[instead]
    ripe_at = np.where(awaited, steps.entered + np.minimum(patience, deadline), NULL)

    onward = steps.stretch()
    limit = np.where(onward >= 0, targets.limit[onward], NULL)
    by_told = (onward >= 0) & targets.by_told_wait[onward]
    told = np.where(goes_on, steps.told_wait[steps.after], NULL)
    waited = np.where(by_told, np.where(told == NULL, NULL, told * US_PER_TOLD), elapsed)
    past = goes_on & (limit != NULL) & (waited != NULL) & (waited > limit)
    # what went on after its deadline had not gone on by it; a later contact does not undo that
    blocked = awaited & ~in_time & (steps.entered + deadline < steps.until)
    overdue = awaited & ~goes_on & (ripe_at < steps.until)
    status = np.select(
        [blocked, past | overdue, goes_on, awaited], [BLOCKED, LATE, ON_TIME, CENSORED], default=ENDED
    ).astype(np.int8)
    stretch = np.where(blocked | (awaited & ~goes_on), instead, onward)
    # a told wait may have begun before this stretch did: it is known when it is over
    late_at = np.where(by_told, steps.entered + elapsed, steps.entered + np.minimum(limit, elapsed))
    late_at = np.where(overdue & ~blocked, ripe_at, late_at)
    late_at = np.where(blocked, steps.entered + deadline, late_at)
    held = (status == LATE) | (status == BLOCKED)
    late_at = np.where(held, late_at, NULL)
    unmet = np.where(goes_on, np.where(blocked, elapsed, waited).astype(np.float64), np.inf)
    unmet[(status == ENDED) | (status == CENSORED) | (goes_on & (waited == NULL))] = np.nan
    return Flow(
        status, stretch, instead, late_at, ripe_at, _first_of_journey(steps, held, late_at), unmet
    )


def told_by(targets: Targets, stretch: int, n_kinds: int) -> int:
    """Return after how long it is certain how a contact fared in a stretch, µs: its limit or deadline."""
    known = [int(targets.limit[stretch]), int(targets.deadline[stretch // n_kinds])]
    return max(0, *(t for t in known if t != NULL)) if max(known) != NULL else 0


def _halves(steps: Steps) -> Bools:
    """Return which contacts are of the later half of the log's time."""
    if not len(steps):
        return np.zeros(0, bool)
    return np.asarray(steps.entered > (int(steps.entered.min()) + steps.until) // 2)


def _usual(steps: Steps, group: Ints, n_groups: int, share: float, later: Bools) -> Floats:
    """Return a quantile of the time to the next contact by group: the smaller of both halves'."""
    found = []
    for half in (~later, later):
        rows = np.flatnonzero((group >= 0) & (steps.after >= 0) & half)
        order = rows[np.argsort(group[rows], kind="stable")]
        count = np.bincount(group[rows], minlength=n_groups)
        start = np.concatenate([[0], np.cumsum(count)])
        (of_half,) = quantiles(start, steps.elapsed()[order], (share,))
        found.append(np.where(count >= FEWEST, of_half, np.nan))
    return np.fmin(*found)


def _awaited(steps: Steps) -> Bools:
    """Return which contacts something is to follow."""
    n = len(steps.outcomes) + 1
    cell = steps.kind.astype(np.int64) * n + steps.outcome + 1
    old = old_enough(steps)
    size = len(steps.kinds) * n
    asked = np.bincount(cell[old], minlength=size)
    went = np.bincount(cell[old & (steps.after >= 0)], minlength=size)
    leads = went >= LEADS_ON * np.maximum(asked, 1)
    outcome = np.arange(size) % n - 1
    for name, awaits in (("open", True), ("done", False), ("abandoned", False)):
        if name in steps.outcomes:
            leads[outcome == steps.outcomes.index(name)] = awaits
    return np.asarray(leads[cell])


def _expected(steps: Steps, in_time: Bools) -> Ints:
    """Return for each contact the kind that most often follows in time in journeys that begin alike."""
    n = len(steps.kinds)
    cell = steps.kind.astype(np.int64)
    if 0 < n**3 <= MOST_CELLS:
        head = np.zeros(int(steps.journey.max()) + 1 if len(steps) else 0, np.int64)
        head[steps.journey[steps.first]] = steps.kind[steps.first]
        cell += head[steps.journey] * n
    went = np.flatnonzero(in_time)
    size = int(cell.max()) + 1 if len(steps) else 0
    counts = np.bincount(cell[went] * n + steps.kind[steps.after[went]], minlength=size * n).reshape(-1, n)
    if not len(counts):
        return np.zeros(0, np.int64)
    of_kind = np.zeros((n, n), np.int64)
    np.add.at(of_kind, np.arange(len(counts)) % n, counts)
    whole = np.where(of_kind.any(axis=1), of_kind.argmax(axis=1), NONE)[steps.kind]
    return np.where(counts.any(axis=1)[cell], counts.argmax(axis=1)[cell], whole)


def _first_of_journey(steps: Steps, held: Bools, late_at: Ints) -> Bools:
    """Return which contacts are where their journey was held up first."""
    rows = np.flatnonzero(held)
    order = rows[np.lexsort((late_at[rows], steps.journey[rows]))]
    first = np.zeros(len(steps), bool)
    if len(order):
        opens = np.ones(len(order), bool)
        opens[1:] = np.diff(steps.journey[order]) != 0
        first[order[opens]] = True
    return first


def _whole(values: Floats) -> Ints:
    return np.where(np.isnan(values), NULL, np.nan_to_num(values)).astype(np.int64)


@dataclass(frozen=True)
class Period:
    """What a stretch was like in one period; times are µs."""

    start: int
    arrivals: int
    """Contacts that entered it."""
    median: float
    p90: float
    held: float
    """Share held up, of those that can be told by now."""
    told: int
    """How many can be told by now."""
    in_progress: float
    """Matters in it at a time, by Little's law: arrivals per unit of time × mean time in it."""


def periods_of(steps: Steps, flow: Flow, targets: Targets, stretch: int, *, days: int = 14) -> list[Period]:
    """Return what a stretch was like in each period of some days, the last one ending at `until`.

    Source of `in_progress`: Little (1961), "A proof for the queuing formula L = λW", Operations Research.
    """
    rows = np.flatnonzero(flow.stretch == stretch)
    if not len(rows):
        return []
    width = days * US_PER_DAY
    back = (steps.until - 1 - steps.entered[rows]) // width
    n = int(back.max()) + 1
    held, certain = flow.held[rows], told_by(targets, stretch, len(steps.kinds))
    told = steps.entered[rows] + certain < steps.until
    elapsed = steps.elapsed()[rows]
    so_far = np.where(elapsed == NULL, steps.until - steps.entered[rows], elapsed)
    found = []
    for k in range(n - 1, -1, -1):
        here = back == k
        went = so_far[here & (elapsed != NULL)]
        known = int((here & told).sum())
        found.append(
            Period(
                start=steps.until - (k + 1) * width,
                arrivals=int(here.sum()),
                median=float(np.quantile(went, 0.5)) if len(went) else np.nan,
                p90=float(np.quantile(went, 0.9)) if len(went) else np.nan,
                held=float(held[here & told].mean()) if known else np.nan,
                told=known,
                in_progress=float(so_far[here].sum() / width),
            )
        )
    return found
