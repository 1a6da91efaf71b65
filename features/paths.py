"""What each contact was on the customer's way: a step in time or late, a loop, a failure, a new face.

One compiled walk over a customer's contacts, in the order in which they came to be known, writes numbers
beside each row; the engine then counts, sums and remembers them like any column. As no number of a row
rests on what came to be known after it, the rule of what is known at `as_of` holds for them unchanged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.contract import OUTCOMES
from features.journeys import link, order_of
from features.pathwalk import BY_KIND, DAY_SCALE, STEPS, last_rows, walk_path
from features.streams import NULL, Contact, Ints, Stream

FAMILIAR = 0.25
"""Where customers meet the agent of the time before less often than this, faces are not familiar anyway."""
MOVES = 0.01
"""Where contacts are with another team than before less often than this, the team is that of the place and
says nothing of who serves."""
FEW_CONTACTS = 256
"""So few, as a request brings, are looked up one by one sooner than as a set that was seen before."""


def step_scale(name: str) -> int | None:
    """Return the whole multiples that a number of this module is counted in; None: it is of another."""
    return DAY_SCALE if name.split("@")[0] in BY_KIND and "@" in name else STEPS.get(name)


@dataclass(frozen=True)
class Impressions:
    """What agents, or teams, left behind: sum and number of answers about each, less the kind's mean.

    `prior` is how many answers the mean of all weighs in each one's own: the shrinkage. The keys are
    pseudonyms, since bundles are passed around and no name of a person belongs in them.
    """

    sums: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    prior: float = 0.0


@dataclass(frozen=True, eq=False)
class Paths:
    """What was fitted of the company's ways before `fitted_before` (µs UTC).

    Args:
        kinds: names that count; any other is `other`, the last.
        gap: µs of silence that ends a journey without a case.
        lead_on: share of contacts, by kind and how it ended, that another of the journey follows.
        waits: whether, by the same, a matter that stands there is waiting: most such cases went on.
        due: µs after which nine in ten of those had gone on, or the deadline that the configuration gives.
        matter_due: µs, by the kind that begins a matter: its deadline, else the time in which nine in ten
            such cases are over; -1: too few.
        usual, late: µs, median and 90th percentile of each stretch (from, to); -1 where too few were seen.
        surprise: thousandths of a nat by (from, to), the last `from` being the beginning of a journey.
        surge: thousandths of a log-ratio that one in ten amounts of a kind exceeds; -1: not fitted.
        answer_mean: hundredths, the mean impression by kind.
        same_agent, same_team: share of contacts, by kind, with the agent, the team, of the one before it.
        new_team: share of contacts, by kind, with another team than the one before it.
        people: impressions by column (`agent_id`, `team`).
    """

    kinds: tuple[str, ...]
    gap: int
    fitted_before: int
    lead_on: npt.NDArray[np.float64]
    waits: npt.NDArray[np.int8]
    due: Ints
    matter_due: Ints
    usual: Ints
    late: Ints
    surprise: Ints
    surge: Ints
    answer_mean: Ints
    same_agent: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    same_team: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    new_team: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    people: Mapping[str, Impressions] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Paths) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def number(self, kind: str | None) -> int:
        """Return the number of a kind."""
        return self._numbers.get(kind, len(self.kinds))

    def familiar(self, column: str) -> tuple[str, ...]:
        """Return the kinds whose customers mostly meet the same `agent_id`, or the same `team`.

        A team also has to change now and then: where it never does, it is that of the place.
        """
        if column == "agent_id":
            known = self.same_agent >= FAMILIAR
        else:
            known = (self.same_team >= FAMILIAR) & (self.new_team >= MOVES)
        return tuple(kind for kind, there in zip(self.kinds, known, strict=False) if there)

    @property
    def _numbers(self) -> dict[str | None, int]:
        return {kind: i for i, kind in enumerate(self.kinds)}

    def to_dict(self) -> dict[str, Any]:
        """Return the tables as JSON values."""
        return {
            "kinds": list(self.kinds),
            "gap": self.gap,
            "fitted_before": self.fitted_before,
            **{name: getattr(self, name).tolist() for name in _ARRAYS},
            "people": {
                name: {"sums": {who: list(of) for who, of in i.sums.items()}, "prior": i.prior}
                for name, i in self.people.items()
            },
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Paths:
        """Return the tables that `to_dict` described."""
        people = {
            name: Impressions({who: (int(s), int(n)) for who, (s, n) in i["sums"].items()}, float(i["prior"]))
            for name, i in d["people"].items()
        }
        arrays = {name: np.array(d.get(name, ()), of) for name, of in _ARRAYS.items()}
        return cls(tuple(d["kinds"]), int(d["gap"]), int(d["fitted_before"]), **arrays, people=people)


_ARRAYS: dict[str, Any] = {
    **dict.fromkeys(("due", "matter_due", "usual", "late", "surprise", "surge", "answer_mean"), np.int64),
    "lead_on": np.float64,
    **dict.fromkeys(("same_agent", "same_team", "new_team"), np.float64),
    "waits": np.int8,
}


class PathWalk:
    """The numbers that a plan asks for, of the chunk of rows at hand."""

    reads = ("amount", "below_adequate", "perceived", "satisfaction")
    """The measures of a row that it looks at."""

    def __init__(self, paths: Paths, wanted: Sequence[str], places: Mapping[str, int] | None = None) -> None:
        """Prepare; each number goes to the row of the table that `places` gives, else to the next one."""
        self.paths = paths
        self.wanted = tuple(wanted)
        at = {name: i for i, name in enumerate(self.wanted)} if places is None else places
        by_name: list[tuple[int, int]] = []
        by_kind: list[tuple[int, int, int]] = []
        for name in self.wanted:
            statistic, _, kind = name.partition("@")
            if kind:
                by_kind.append((BY_KIND.index(statistic), paths.number(kind), at[name]))
            else:
                by_name.append((_PLACES[name], at[name]))
        self._by_name = np.array(by_name, np.int64).reshape(-1, 2).T.copy()
        self._by_kind = np.array(by_kind, np.int64).reshape(-1, 3)
        self._numbers = {kind: i for i, kind in enumerate(paths.kinds)}
        self._lead_on = np.rint(1000.0 * paths.lead_on).astype(np.int64)
        self._contacts: dict[tuple[Contact, ...], Ints] = {}
        self._latest: tuple[tuple[Contact, ...] | None, Ints] = None, np.zeros((3, 0), np.int64)
        self._people: dict[tuple[str, tuple[str, ...]], tuple[Ints, float]] = {}
        self._nobody = {
            name: (np.zeros((2, 0), np.int64), paths.people.get(name, Impressions()).prior)
            for name in ("agent_id", "team")
        }

    def run(
        self,
        stream: Stream,
        low: int,
        high: int,
        column: Callable[[str], Ints],
        dates: Ints | None = None,
    ) -> dict[str, Ints]:
        """Return each wanted number of rows [low, high), which are those of whole customers; see `write`."""
        out = np.full((len(self.wanted), high - low), NULL)
        self.write(stream, low, high, column, out, dates)
        return dict(zip(self.wanted, out, strict=True))

    def write(
        self,
        stream: Stream,
        low: int,
        high: int,
        column: Callable[[str], Ints],
        out: Ints,
        dates: Ints | None = None,
        contact: Ints | None = None,
    ) -> None:
        """Write each wanted number of rows [low, high), which are those of whole customers, into `out`.

        How things stand (open matters, failures not made up for) is told of a customer's last rows
        before the `dates` only, where those are given. Numbers that are not known are NULL; of those by
        kind, they are left as they are. `contact` are those of the rows, if they are at hand.
        """
        first, last = np.searchsorted(stream.offsets, [low, high], side="left")
        while last > first and stream.offsets[last - 1] == high:
            last -= 1
        offsets, p = stream.offsets[first : last + 1] - low, self.paths
        moment, order = stream.occurred_at.unpack(low, high), order_of(stream, low, high)
        case, agent, team = (_codes(stream, name, low, high) for name in ("case_id", "agent_id", "team"))
        opens = _ALL_OPEN if stream.opens is None else stream.opens[low:high]
        links = link(offsets, moment, order, case, opens, p.gap)
        known = moment if stream.lag is None else moment + stream.lag.unpack(low, high)
        needed = _ALL_OPEN if dates is None else last_rows(offsets, moment, known, dates)
        impression = impressions_of(column) if agent.size or team.size else _NOTHING
        walk_path(
            offsets,
            moment,
            order,
            links.previous,
            links.journey,
            self._contact_tables(stream.contacts),
            stream.contact[low:high].astype(np.int64, copy=False) if contact is None else contact,
            opens,
            case,
            agent,
            team,
            column("amount"),
            column("below_adequate"),
            impression,
            np.where(known < p.fitted_before, 1, 0).astype(np.int8) if impression.size else _ALL_OPEN,
            self._lead_on,
            p.waits,
            p.due,
            p.matter_due,
            p.usual,
            p.late,
            p.surprise,
            p.surge,
            p.answer_mean,
            *self._impressions("agent_id", stream),
            *self._impressions("team", stream),
            needed,
            self._by_name,
            self._by_kind,
            out,
        )

    def _contact_tables(self, contacts: tuple[Contact, ...]) -> Ints:
        """Return int64[3, contacts]: kind, how it ended, and channel by number."""
        latest, known = self._latest
        if latest is contacts:  # chunk after chunk of the same rows
            return known
        found = None if len(contacts) <= FEW_CONTACTS else self._contacts.get(contacts)
        if found is None:
            found = _contact_tables(self._numbers, contacts)
            if len(self._contacts) > 64:
                self._contacts.clear()
            if len(contacts) > FEW_CONTACTS:
                self._contacts[contacts] = found
        self._latest = contacts, found
        return found

    def _impressions(self, name: str, stream: Stream) -> tuple[Ints, float]:
        """Return int64[2, people]: sum and number of the answers about each person of the rows."""
        labels = stream.labels.get(name)
        if not labels:
            return self._nobody[name]
        known = self._people.get((name, labels))
        if known is None:
            of = self.paths.people.get(name, Impressions())
            pairs = [of.sums.get(pseudonym(label), (0, 0)) for label in labels]
            known = np.array(pairs, np.int64).reshape(-1, 2).T.copy(), of.prior
            if len(self._people) > 64:
                self._people.clear()
            self._people[name, labels] = known
        return known


def pseudonym(name: str) -> str:
    """Return what stands for a name in what is stored: it finds the name again, and does not tell it."""
    return hashlib.sha256(f"corredor people {name}".encode()).hexdigest()[:20]


def contact_tables(kinds: Sequence[str], contacts: Sequence[Contact]) -> Ints:
    """Return int64[3, contacts]: kind, how it ended (0: not told) and channel of each, by number."""
    return _contact_tables({kind: i for i, kind in enumerate(kinds)}, contacts)


def _contact_tables(numbers: Mapping[str, int], contacts: Sequence[Contact]) -> Ints:
    channels: dict[str | None, int] = {None: -1}
    table = np.empty((3, len(contacts)), np.int64)
    other = len(numbers)
    table[0] = [numbers.get(contact[0] or "", other) for contact in contacts]
    table[1] = [_ENDS.get(contact[3], 0) for contact in contacts]
    table[2] = [channels.setdefault(contact[1], len(channels) - 1) for contact in contacts]
    return table


def impressions_of(column: Callable[[str], Ints]) -> Ints:
    """Return how each row was lived, in hundredths: the service perceived, else the satisfaction."""
    perceived, satisfied = column("perceived"), column("satisfaction")
    return np.where(perceived == NULL, satisfied, perceived)


def _codes(stream: Stream, name: str, low: int, high: int) -> Ints:
    codes = stream.codes.get(name)
    return _NOTHING if codes is None else codes.unpack(low, high)


_ENDS: dict[str | None, int] = {name: i for i, name in enumerate(OUTCOMES, 1)}
_NOTHING = np.zeros(0, np.int64)
_ALL_OPEN = np.zeros(0, np.int8)
_PLACES = {name: i for i, name in enumerate(STEPS)}
