"""Stretches of the corridor: from one contact to the next of the same journey, and what they measure.

The directly-follows graph of process mining: kinds of contact are its nodes, stretches its edges.
Source: van der Aalst (2016), "Process Mining: Data Science in Action", Springer, chapters 5 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

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

    Arrays have one element per contact, sorted by customer, then by moment. `kind`, `channel`, `outcome`
    and `team` are positions in `kinds`, `channels`, `outcomes`, `teams`. `after` is the position of the next
    contact (NONE where there is none). Times are µs UTC, waits thousandths of minutes (NULL: not told).
    """

    until: int
    gap: int
    kinds: tuple[str, ...]
    channels: tuple[str, ...]
    outcomes: tuple[str, ...]
    teams: tuple[str, ...]
    customer: Ints
    entered: Ints
    kind: Codes
    channel: Codes
    outcome: Codes
    team: npt.NDArray[np.int32]
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

    def of_journeys_with(self, channel: int) -> Steps:
        """Return the contacts of the journeys that come through a channel (a position in `channels`)."""
        through = np.zeros(int(self.journey.max()) + 1 if len(self) else 0, bool)
        through[self.journey[self.channel == channel]] = True
        return _some(self, through[self.journey])

    @cached_property
    def stretch(self) -> Ints:
        """The number of each contact's stretch: kind * kinds + next kind; NONE where its journey ends."""
        return np.asarray(_stretches(self.kind, self.after, len(self.kinds)))

    @cached_property
    def old_enough(self) -> Bools:
        """Which contacts would have been followed by now if anything were to follow them.

        That is after the gap for contacts without a case, after the 95th percentile of the time to the next
        contact of a case, by kind, for the others; or after 60 days.
        """
        start, waits = times_by_half(
            self.kind, self.after, self.entered, self.cased, FOREVER, len(self.kinds)
        )
        (late,) = quantiles(start[: len(self.kinds) + 1], waits, (0.95,))
        patience = np.minimum(np.nan_to_num(late, nan=self.gap), LONGEST_PATIENCE).astype(np.int64)
        return np.asarray(_waited_out(self.kind, self.entered, self.cased, patience, self.gap, self.until))

    @property
    def gone(self) -> int:
        """The code of the outcome `abandoned`; one that no contact has where there is none."""
        return self.outcomes.index("abandoned") if "abandoned" in self.outcomes else NONE - 1


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
        teams=tuple(stream.labels.get("team", ())),
        customer=stream.customer_of_rows(),
        entered=stream.occurred_at.unpack(),
        kind=kind,
        channel=parts[1][stream.contact],
        outcome=parts[2][stream.contact],
        team=_teams(stream),
        after=after,
        journey=journey,
        first=links.previous < 0,
        again=again,
        cased=np.zeros(stream.n_rows, bool) if case is None else case.unpack() != NULL,
        told_wait=np.full(stream.n_rows, NULL) if told is None else told.unpack(),
    )
    return steps if stream.opens is None else _some(steps, stream.opens != 0)


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


def _teams(stream: Stream) -> npt.NDArray[np.int32]:
    """Return the team of each row, NONE where it names none."""
    codes = stream.codes.get("team")
    if codes is None:
        return np.full(stream.n_rows, NONE, np.int32)
    team = codes.unpack()
    return np.where(team == NULL, NONE, team).astype(np.int32)


def _some(steps: Steps, mask: Bools) -> Steps:
    """Return some of the contacts: whole journeys, or all but the further lines of contacts."""
    place = np.cumsum(mask) - 1
    after = steps.after[mask]
    arrays = {
        name: getattr(steps, name)[mask]
        for name in (
            *("customer", "entered", "kind", "channel", "outcome", "team", "journey"),
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
    volume, customers, back, left, start, waits = _tally(
        group, steps.after, steps.entered, steps.customer, steps.again, steps.outcome, steps.gone, n_groups
    )
    median, p90 = quantiles(start, waits, (0.5, 0.9))
    return Measured(
        volume,
        customers,
        median,
        p90,
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
    share: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share


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
    contacts, customers, begins, told, followed, left = _nodes(
        steps.kind,
        steps.customer,
        steps.first,
        steps.old_enough,
        steps.after,
        steps.outcome,
        steps.gone,
        len(steps.kinds),
    )
    return Nodes(contacts, customers, begins, _share(followed, told), _share(left, contacts))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nodes(
    kind: Codes, customer: Ints, first: Bools, old: Bools, after: Ints, outcome: Codes, gone: int, n: int
) -> Ints:
    """Count by kind: contacts, customers, journeys begun, contacts old enough, those followed, abandoned."""
    found = np.zeros((6, n), np.int64)
    owner = np.full(n, -1)
    for i in range(kind.size):
        k = kind[i]
        found[0, k] += 1
        if owner[k] != customer[i]:
            owner[k] = customer[i]
            found[1, k] += 1
        found[2, k] += first[i]
        if old[i]:
            found[3, k] += 1
            found[4, k] += after[i] >= 0
        found[5, k] += outcome[i] == gone
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _stretches(kind: Codes, after: Ints, n: int) -> Ints:
    found = np.full(kind.size, NONE)
    for i in range(kind.size):
        if after[i] >= 0:
            found[i] = np.int64(kind[i]) * n + kind[after[i]]
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def times_by_half(
    group: Ints, after: Ints, entered: Ints, counts: Bools, middle: int, n_groups: int
) -> tuple[Ints, Ints]:
    """Lay the times to the next contact beside each other: by group before a moment, then by group after."""
    start = np.zeros(2 * n_groups + 1, np.int64)
    for i in range(group.size):
        if counts[i] and after[i] >= 0:
            start[group[i] + (entered[i] >= middle) * n_groups + 1] += 1
    for g in range(2 * n_groups):
        start[g + 1] += start[g]
    place, waits = start[:-1].copy(), np.empty(start[-1], np.int64)
    for i in range(group.size):
        if counts[i] and after[i] >= 0:
            g = group[i] + (entered[i] >= middle) * n_groups
            waits[place[g]] = entered[after[i]] - entered[i]
            place[g] += 1
    return start, waits


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _waited_out(kind: Codes, entered: Ints, cased: Bools, patience: Ints, gap: int, until: int) -> Bools:
    found = np.empty(kind.size, np.bool_)
    for i in range(kind.size):
        found[i] = entered[i] + (patience[kind[i]] if cased[i] else gap) < until
    return found


LONGEST_PATIENCE = 60 * 86_400_000_000
FOREVER = 1 << 62


def by_name(values: Mapping[str, float], names: tuple[str, ...]) -> Floats:
    """Return the values of names in their order, NaN where one has none."""
    return np.array([values.get(name, np.nan) for name in names], np.float64)
