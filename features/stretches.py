"""Stretches of the corridor: from one contact to the next of the same journey, and what they measure.

The directly-follows graph of process mining: kinds of contact are its nodes, stretches its edges.
Source: van der Aalst (2016), "Process Mining: Data Science in Action", Springer, chapters 5 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from features.histories import Histories
from features.journeys import fit_gap, link_rows
from features.streams import NULL, Ints, Stream

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int16]

NONE = -1
"""Stands for "no next contact", "no channel", "no outcome" among the codes of steps."""


@dataclass(frozen=True)
class Steps:
    """Every contact known at a moment, and the one that follows it in its journey.

    Arrays have one element per contact, sorted by customer, then by moment. `kind`, `channel` and
    `outcome` are positions in `kinds`, `channels`, `outcomes`. `after` is the position of the next
    contact (NONE where there is none). Times are µs UTC, waits thousandths of minutes (NULL: not told).
    """

    until: int
    gap: int
    kinds: tuple[str, ...]
    channels: tuple[str, ...]
    outcomes: tuple[str, ...]
    customer: Ints
    entered: Ints
    kind: Codes
    channel: Codes
    outcome: Codes
    after: Ints
    journey: Ints
    """Numbered from 0 over all customers."""
    first: Bools
    """Whether the contact begins its journey."""
    again: Bools
    """Whether the journey had been at this kind before."""
    cased: Bools
    """Whether the contact names the case that it belongs to."""
    told_wait: Ints

    def __len__(self) -> int:
        return len(self.entered)

    @property
    def followed(self) -> Ints:
        """Positions of the contacts that another one follows."""
        return np.flatnonzero(self.after >= 0)

    def next_kind(self) -> Codes:
        """Return the kind of the next contact, NONE where there is none."""
        return np.where(self.after >= 0, self.kind[self.after], NONE).astype(np.int16)

    def elapsed(self) -> Ints:
        """Return the time to the next contact, µs; NULL where there is none."""
        return np.where(self.after >= 0, self.entered[self.after] - self.entered, NULL)

    def stretch(self) -> Ints:
        """Return the number of each contact's stretch: kind * kinds + next kind; NONE where it ends."""
        following = self.next_kind()
        number = self.kind.astype(np.int64) * len(self.kinds) + following
        return np.where(following >= 0, number, NONE)


def steps_of(histories: Histories, until: int, *, gap: int | None = None) -> Steps:
    """Return the contacts known before a moment, linked into journeys as they happened.

    Args:
        histories: of any customers; what is not known strictly before `until` is not looked at.
        until: µs UTC.
        gap: µs of silence that part two journeys without a case; fitted to the pauses by default.
    """
    stream = histories.touchpoints
    known = stream.known_at() < until
    # all of it is known now, so contacts follow each other as they happened, not as they came to be known
    stream = replace(stream.keep(known), lag=None)
    gap = fit_gap(stream) if gap is None else gap
    links = link_rows(stream, gap)
    kinds, channels, outcomes, parts = _names(stream)
    kind = parts[0][stream.contact]
    case = stream.codes.get("case_id")
    opens = np.ones(0, np.int8) if stream.opens is None else stream.opens
    after, journey, again = _follow(
        stream.offsets, links.previous, links.journey, kind, opens, max(len(kinds), 1)
    )
    told = stream.values.get("wait_minutes")
    steps = Steps(
        until=until,
        gap=gap,
        kinds=kinds,
        channels=channels,
        outcomes=outcomes,
        customer=stream.customer_of_rows(),
        entered=stream.occurred_at.unpack(),
        kind=kind,
        channel=parts[1][stream.contact],
        outcome=parts[2][stream.contact],
        after=after,
        journey=journey,
        first=links.previous < 0,
        again=again,
        cased=np.zeros(stream.n_rows, bool) if case is None else case.unpack() != NULL,
        told_wait=np.full(stream.n_rows, NULL) if told is None else told.unpack(),
    )
    return steps if stream.opens is None else _contacts_only(steps, stream.opens != 0)


def _names(
    stream: Stream,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[Codes, Codes, Codes]]:
    """Return the kinds, channels and outcomes in use, and the code of each by the number of a contact."""
    used = np.zeros(len(stream.contacts), bool)
    used[stream.contact] = True
    names: list[tuple[str, ...]] = []
    codes: list[Codes] = []
    for field in ("kind", "channel", "outcome"):
        texts = [contact[stream.fields.index(field)] for contact in stream.contacts]
        there = sorted({t for t, u in zip(texts, used, strict=True) if u and t is not None})
        place = {name: n for n, name in enumerate(there)}
        names.append(tuple(there))
        codes.append(np.array([NONE if t is None else place.get(t, NONE) for t in texts], np.int16))
    return names[0], names[1], names[2], (codes[0], codes[1], codes[2])


def _contacts_only(steps: Steps, opens: Bools) -> Steps:
    """Return the steps without the further lines of contacts."""
    place = np.cumsum(opens) - 1
    after = steps.after[opens]
    arrays = {
        name: getattr(steps, name)[opens]
        for name in (
            *("customer", "entered", "kind", "channel", "outcome", "journey"),
            *("first", "again", "cased", "told_wait"),
        )
    }
    return replace(steps, after=np.where(after >= 0, place[after], NONE), **arrays)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _follow(
    offsets: Ints, previous: Ints, journey: Ints, kind: Codes, opens: npt.NDArray[np.int8], n_kinds: int
) -> tuple[Ints, Ints, Bools]:
    """Return the next contact of each, journeys numbered over all customers, and returns to a kind."""
    n = previous.size
    after, matter, again = np.full(n, NONE), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    most = 0
    for j in journey:
        most = max(most, j + 1)
    seen = np.full(most * n_kinds, -1)
    base = 0
    for customer in range(offsets.size - 1):
        journeys = 0
        for row in range(offsets[customer], offsets[customer + 1]):
            matter[row] = base + journey[row]
            journeys = max(journeys, journey[row] + 1)
            if opens.size and opens[row] == 0:
                continue
            if previous[row] >= 0:
                after[previous[row]] = row
            place = journey[row] * n_kinds + kind[row]
            again[row] = seen[place] == customer
            seen[place] = customer
        base += journeys
    return after, matter, again


@dataclass(frozen=True)
class Measured:
    """What was measured of groups of passages; arrays have one element per group, times are µs.

    A group without passages has volume 0 and NaN elsewhere.
    """

    volume: Ints
    customers: Ints
    median: Floats
    p90: Floats
    turns_back: Floats
    """Share that goes back to a kind where the journey had been before (rework)."""
    abandoned: Floats
    """Share whose next contact the customer abandoned."""


def measure(steps: Steps, group: Ints, n_groups: int) -> Measured:
    """Measure the passages of each group.

    Args:
        steps: the contacts.
        group: the group of each contact that is followed (0 to n_groups - 1); negative is left out.
        n_groups: how many groups there are.
    """
    gone = steps.outcomes.index("abandoned") if "abandoned" in steps.outcomes else NONE - 1
    volume, customers, back, left, start, waits = _tally(
        group, steps.after, steps.entered, steps.customer, steps.again, steps.outcome, gone, n_groups
    )
    return Measured(
        volume,
        customers,
        *quantiles(start, waits, (0.5, 0.9)),
        _share(back, volume),
        _share(left, volume),
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tally(
    group: Ints,
    after: Ints,
    entered: Ints,
    customer: Ints,
    again: Bools,
    outcome: Codes,
    gone: int,
    n_groups: int,
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    """Count the passages of each group, and lay their times beside each other, group by group."""
    volume, customers = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)
    back, left = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)
    owner = np.full(n_groups, -1)
    for i in range(group.size):
        g, j = group[i], after[i]
        if g < 0 or j < 0:
            continue
        volume[g] += 1
        if owner[g] != customer[i]:  # contacts are sorted by customer
            owner[g] = customer[i]
            customers[g] += 1
        back[g] += again[j]
        left[g] += outcome[j] == gone
    start = np.zeros(n_groups + 1, np.int64)
    for g in range(n_groups):
        start[g + 1] = start[g] + volume[g]
    place, waits = start[:-1].copy(), np.empty(start[-1], np.int64)
    for i in range(group.size):
        g, j = group[i], after[i]
        if g >= 0 and j >= 0:
            waits[place[g]] = entered[j] - entered[i]
            place[g] += 1
    return volume, customers, back, left, start, waits


def quantiles(start: Ints, values: Ints, shares: tuple[float, ...]) -> tuple[Floats, ...]:
    """Return quantiles of values that lie group by group, by linear interpolation; NaN for an empty group."""
    found = np.full((len(shares), len(start) - 1), np.nan)
    for g in np.flatnonzero(np.diff(start)):
        part = np.sort(values[start[g] : start[g + 1]])
        at = np.array(shares) * (len(part) - 1)
        low = at.astype(np.int64)
        high = np.minimum(low + 1, len(part) - 1)
        found[:, g] = part[low] + (at - low) * (part[high] - part[low])
    return tuple(found)


def _share(part: Ints, whole: Ints) -> Floats:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


@dataclass(frozen=True)
class Nodes:
    """What was measured of each kind of contact."""

    contacts: Ints
    customers: Ints
    begins: Ints
    """Journeys that begin there."""
    leads_on: Floats
    """Share that another contact of the same journey follows; of contacts old enough to tell."""
    abandoned: Floats


def measure_nodes(steps: Steps) -> Nodes:
    """Measure the contacts of each kind."""
    n = len(steps.kinds)
    contacts = np.bincount(steps.kind, minlength=n)
    change = np.ones(len(steps), bool)
    order = np.argsort(steps.kind, kind="stable")
    change[1:] = (np.diff(steps.customer[order]) != 0) | (np.diff(steps.kind[order]) != 0)
    customers = np.bincount(steps.kind[order][change], minlength=n)
    begins = np.bincount(steps.kind[steps.first], minlength=n)
    old = old_enough(steps)
    told = np.bincount(steps.kind[old], minlength=n)
    followed = np.bincount(steps.kind[old & (steps.after >= 0)], minlength=n)
    gone = steps.outcomes.index("abandoned") if "abandoned" in steps.outcomes else NONE - 1
    left = np.bincount(steps.kind[steps.outcome == gone], minlength=n)
    return Nodes(contacts, customers, begins, _share(followed, told), _share(left, contacts))


def old_enough(steps: Steps) -> Bools:
    """Return which contacts would have been followed by now if anything were to follow them.

    That is after the gap for contacts without a case, after the 95th percentile of the time to the next
    contact of a case, by kind, for the others; or after 60 days.
    """
    n = len(steps.kinds)
    group = np.where(steps.cased & (steps.after >= 0), steps.kind, NONE).astype(np.int64)
    *_, start, waits = _tally(
        group, steps.after, steps.entered, steps.customer, steps.again, steps.outcome, NONE - 1, n
    )
    (late,) = quantiles(start, waits, (0.95,))
    patience = np.minimum(np.nan_to_num(late, nan=steps.gap), LONGEST_PATIENCE).astype(np.int64)
    wait = np.where(steps.cased, patience[steps.kind], steps.gap)
    return np.asarray(steps.entered + wait < steps.until)


LONGEST_PATIENCE = 60 * 86_400_000_000


@dataclass(frozen=True)
class Throughput:
    """How journeys of two contacts and more go from their first contact to their last; times are µs."""

    journeys: int
    of_one_contact: int
    median: float
    p90: float
    variants: tuple[tuple[tuple[str, ...], int], ...]
    """The most frequent sequences of kinds, and how many journeys took them."""


MOST_STEPS = 12


def measure_journeys(steps: Steps, *, variants: int = 10) -> Throughput:
    """Measure whole journeys that are over: nothing has followed for as long as anything usually takes."""
    if not len(steps):
        return Throughput(0, 0, np.nan, np.nan, ())
    n = int(steps.journey.max()) + 1
    begin, end, length, mark, over = _journeys(
        steps.journey, steps.after, steps.first, steps.entered, steps.kind, old_enough(steps), n
    )
    several = over & (length > 1)
    times = np.sort(end[several] - begin[several]) if several.any() else np.array([np.nan])
    marks, firsts, counts = np.unique(mark[over], return_index=True, return_counts=True)
    heads = np.flatnonzero(steps.first)
    head_of = np.empty(n, np.int64)
    head_of[steps.journey[heads]] = heads
    heads = head_of[over]
    common = np.argsort(-counts, kind="stable")[:variants]
    told = tuple((_kinds_from(steps, int(heads[firsts[v]])), int(counts[v])) for v in common)
    median, p90 = (float(np.quantile(times, q)) for q in (0.5, 0.9))
    return Throughput(int(over.sum()), int((over & (length == 1)).sum()), median, p90, told)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _journeys(
    journey: Ints, after: Ints, first: Bools, entered: Ints, kind: Codes, old: Bools, n: int
) -> tuple[Ints, Ints, Ints, Ints, Bools]:
    """Walk each journey from its first contact: begin, end, length, a number of its kinds, whether over."""
    begin, end, length = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    mark, over = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    for i in range(first.size):
        if not first[i]:
            continue
        j, at, steps, sequence = journey[i], i, 0, 0
        while True:
            steps += 1
            # a polynomial in wrapping 64-bit arithmetic: two sequences share a number once in 10^19
            sequence = sequence * 6364136223846793005 + (kind[at] + 1) * 1442695040888963407
            if after[at] < 0:
                break
            at = after[at]
        begin[j], end[j], length[j], mark[j], over[j] = entered[i], entered[at], steps, sequence, old[at]
    return begin, end, length, mark, over


def _kinds_from(steps: Steps, at: int) -> tuple[str, ...]:
    names = []
    while at >= 0 and len(names) < MOST_STEPS:
        names.append(steps.kinds[steps.kind[at]])
        at = int(steps.after[at])
    return tuple(names) if at < 0 else (*names, "…")


def by_name(values: Mapping[str, float], names: tuple[str, ...]) -> Floats:
    """Return the values of names in their order, NaN where one has none."""
    return np.array([values.get(name, np.nan) for name in names], np.float64)
