"""What to note while walking one stream: the tables that the kernel reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.expressions import Tag
from features.fading import fading_of
from features.gaps import DAY_MEASURES
from features.kernels import (
    ANSWER_MOST,
    CONTACT,
    DAY,
    DECAY,
    FIRST_DAY_MEASURE,
    ROW,
    SOME,
    SUM,
    TILE,
    VALUE,
)
from features.lanes import FOUR
from features.measures import STANDARDS, Standards, measure_scale
from features.paths import FEW_CONTACTS
from features.streams import Contact, Ints


@dataclass
class StreamPlan:
    """What to note while walking one stream."""

    slots: dict[tuple[frozenset[Tag], str], int] = field(default_factory=dict)
    fades: dict[tuple[frozenset[Tag], str, float], int] = field(default_factory=dict)
    tracks: dict[frozenset[Tag], int] = field(default_factory=dict)
    answers: dict[tuple[frozenset[Tag], str], int] = field(default_factory=dict)
    dimensions: dict[tuple[frozenset[Tag], str], int] = field(default_factory=dict)
    measures: list[str] = field(default_factory=list)
    facts: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    """Kind, what it reads, window or parameter, register, scale, view."""
    paced: bool = False

    def measure(self, name: str) -> int:
        """Return the row of `values` for a measure; -1 for rows themselves, -2 for contacts."""
        if name in ("lines", "contacts"):
            return -1 if name == "lines" else -2
        if name in DAY_MEASURES:
            self.paced = True
            return FIRST_DAY_MEASURE - DAY_MEASURES.index(name)
        name = name.removeprefix("has:")  # whether there is one is seen where it would stand
        if name not in self.measures:
            self.measures.append(name)
        return self.measures.index(name)

    def source(self, name: str) -> tuple[int, int]:
        """Return what a measure adds, as `features.kernels.walk` has it, and of which measure."""
        place = self.measure(name)
        if place == -1 or place == -2:
            return ROW if place == -1 else CONTACT, 0
        if place < 0:
            return DAY, FIRST_DAY_MEASURE - place
        return SOME if name.startswith("has:") else VALUE, place


class ContactClasses:
    """What the contacts of one stream add to: those that add to the same are one class.

    Requests bring ever new contacts (another item, another hour), but hardly a new class. So the kernel's
    tables are kept by class, and a contact only has to be placed.
    """

    MOST_CLASSES, MOST_CONTACTS = 20_000, 100_000

    def __init__(
        self,
        plan: StreamPlan,
        tagger: Callable[[Contact], frozenset[Tag]],
        standards: Callable[[Contact], Standards] | None,
        *,
        day_offset: int,
    ) -> None:
        """Prepare to place the contacts of a stream.

        Args:
            plan: what to note of it.
            tagger: what is true of a contact.
            standards: what is promised of a contact, for streams where something is.
            day_offset: µs by which local days begin after UTC days.
        """
        self.plan, self.tagger, self.standards, self.day_offset = plan, tagger, standards, day_offset
        fading = fading_of(plan.fades)
        self._sizes = [len(plan.slots), len(fading.half), len(plan.tracks), 0, day_offset]
        self._sizes += [int(plan.paced), len(plan.answers)]
        self._counts = [(t, i, plan.measure(m)) for (t, m), i in plan.slots.items() if plan.measure(m) < 0]
        sums = [(t, plan.source(m), i) for (t, m), i in plan.slots.items() if plan.measure(m) >= 0]
        fours = [(t, plan.source(m), i, h) for (t, m), of in fading.fours.items() for i, h in of]
        together = {i + k for _, _, i, _ in fours for k in range(FOUR)}
        fades = [
            (t, plan.source(m), i, fading.half[i])
            for (t, m, _), i in fading.place.items()
            if i not in together
        ]
        sources = sorted({of for _, of, *_ in sums + fours + fades if of[0] != DAY})
        place = {of: TILE * i for i, of in enumerate(sources)}
        self._sources = np.array(sources, np.int64).reshape(-1, 2).T.copy()
        self._sums = [(t, (i, place[of])) for t, of, i in sums]
        self._fades, self._day_fades = [], []
        for some in (fours, fades):
            self._fades.append([(t, (i, place[of], int(h))) for t, of, i, h in some if of[0] != DAY])
            self._day_fades.append([(t, (i, of[1], int(h))) for t, of, i, h in some if of[0] == DAY])
        self._answers = [(tags, (i, plan.measure(m))) for (tags, m), i in plan.answers.items()]
        self._clear()

    def _clear(self) -> None:
        self._of_contact: dict[Contact, int] = {}
        self._of_tags: dict[tuple[frozenset[Tag], Standards], int] = {}
        self._work: list[list[int]] = []
        self._tables: tuple[Any, ...] = ()
        self._kept: dict[tuple[Contact, ...], tuple[Any, ...]] = {}

    def tables(self, contacts: tuple[Contact, ...], fields: Sequence[str]) -> tuple[Any, ...]:
        """Return the kernel's tables for some contacts: see `features.kernels.walk`, and their standards.

        Standards are int64[len(STANDARDS), contacts], NULL where nothing is promised.
        """
        if len(contacts) <= FEW_CONTACTS:
            return self._made(contacts, fields)
        found = self._kept.get(contacts)
        if found is None:
            if len(self._kept) > 64:
                self._kept.clear()
            found = self._made(contacts, fields)
            self._kept[contacts] = found
        return found

    def _made(self, contacts: tuple[Contact, ...], fields: Sequence[str]) -> tuple[Any, ...]:
        if len(self._of_tags) > self.MOST_CLASSES or len(self._of_contact) > self.MOST_CONTACTS:
            self._clear()
        of_contact = self._of_contact
        try:
            classes = np.array([of_contact[c] for c in contacts], np.int64)
        except KeyError:
            classes = np.array([self._class_of(c) for c in contacts], np.int64)
        if not self._tables:
            self._tables = self._by_class()
        ones, work, active, has, standards = self._tables
        dimensions = self.plan.dimensions
        codes = np.full((len(contacts), len(dimensions)), -1, np.int32)
        most = 0
        numbered: dict[str, npt.NDArray[np.int32]] = {}
        for (_, name), d in dimensions.items():
            if name not in numbered:
                place = fields.index(name)
                seen: dict[str | None, int] = {None: -1}
                of = [seen.setdefault(c[place], len(seen) - 1) for c in contacts]
                numbered[name] = np.array(of, np.int32)
                most = max(most, len(seen) - 1)
            np.copyto(codes[:, d], numbered[name], where=has[d, classes])
        sizes = np.array(self._sizes, np.int64)
        sizes[3] = most
        codes[codes < 0] = most
        promised = np.take(standards, classes, axis=1) if self.standards is not None else standards
        return (classes, ones, work, self._sources, codes, active, sizes), promised

    def _class_of(self, contact: Contact) -> int:
        place = self._of_contact.get(contact)
        if place is None:
            tags = self.tagger(contact)
            promised = self.standards(contact) if self.standards is not None else ()
            place = self._of_tags.get((tags, promised))
            if place is None:
                place = self._of_tags[tags, promised] = len(self._work)
                self._work.append(self._work_of(tags))
                self._tables = ()
            self._of_contact[contact] = place
        return place

    def _work_of(self, tags: frozenset[Tag]) -> list[int]:
        tracks = [i for needed, i in self.plan.tracks.items() if needed <= tags]
        wanted: tuple[Any, ...] = (self._sums, *self._fades, *self._day_fades, self._answers)
        return work_of(tracks, *(sorted(entry for needed, entry in of if needed <= tags) for of in wanted))

    def _by_class(self) -> tuple[Any, ...]:
        every = [tags for tags, _ in self._of_tags]
        ones = np.zeros((2, len(every), len(self._counts)), np.int32)
        for needed, slot, measure in self._counts:
            of = [needed <= tags for tags in every]
            ones[1, of, slot] = 1
            ones[0, of, slot] = measure == -1
        active = np.array([("activity", True) in tags for tags in every], np.int8)
        has = [[wanted <= tags for tags in every] for wanted, _ in self.plan.dimensions]
        promised = [of for _, of in self._of_tags] if self.standards is not None else []
        return (
            ones,
            joined(self._work),
            active,
            np.array(has, bool).reshape(len(has), len(every)),
            np.ascontiguousarray(np.array(promised, np.int64).reshape(-1, len(STANDARDS)).T),
        )


def work_of(*parts: Sequence[int | tuple[int, ...]]) -> list[int]:
    """Return what a row of a class does, as `features.kernels.walk` reads it: each part with its size before.

    Parts:
        tracks that note the row;
        sums: (slot, where its source is laid out);
        decayed sums, four and four: (first place, where their source is laid out, first half-life);
        decayed sums, one by one: the same;
        decayed sums of what a new day of activity adds, four and four: (first place, which of `DAY_MEASURES`,
        first half-life);
        decayed sums of that, one by one: the same;
        answers that take it: (answer, measure).
    """
    work = []
    for part in parts:
        numbers = np.array(part, np.int64).ravel().tolist()
        work += [len(numbers), *numbers]
    return work


def joined(parts: list[list[int]]) -> npt.NDArray[np.int32]:
    """Return int32[]: where each class's part begins, then the parts.

    All in one and small, so that what a row adds to is read from few lines of the cache.
    """
    places = np.cumsum([0, *(len(part) for part in parts)])[:-1] + len(parts)
    return np.array([*places, *(number for part in parts for number in part)], np.int32)


class FactTables(NamedTuple):
    """What is read at a reading: see `features.kernels.walk`."""

    scales: npt.NDArray[np.float64]
    summed: Ints
    direct: Ints
    spans: Ints
    views: Ints
    facts: Ints
    parts: Ints


def fact_tables(plan: StreamPlan, straight: dict[int, int], n_views: int) -> FactTables:
    """Return the kernel's tables of the facts of a stream.

    Slots that count rows come first, since they need no scale; `plan.slots` is renumbered so.

    Args:
        plan: what to note.
        straight: register -> feature, of sums that are features as they are.
        n_views: how many views there are of the rows.
    """
    ordered = sorted(plan.slots, key=lambda slot: plan.measure(slot[1]) >= 0)
    renumber = {plan.slots[slot]: i for i, slot in enumerate(ordered)}
    plan.slots = {slot: i for i, slot in enumerate(ordered)}
    summed: list[tuple[int, int]] = []
    direct: list[tuple[int, int]] = []
    fading = fading_of(plan.fades)
    place = [fading.place[fade] for fade in plan.fades]
    spans, views, others = [], [0], []
    for view in range(n_views):
        of_view = [fact for fact in plan.facts if fact[5] == view]
        sums = [(w, renumber[slot], register) for kind, slot, w, register, *_ in of_view if kind == SUM]
        for window in sorted({w for w, _, _ in sums}):
            of_window = [(slot, register) for w, slot, register in sums if w == window]
            begin = len(summed), len(direct)
            summed += [(slot, register) for slot, register in of_window if register not in straight]
            direct += [(slot, straight[register]) for slot, register in of_window if register in straight]
            spans.append((window, begin[0], len(summed), begin[1], len(direct)))
        views.append(len(spans))
        rest = [fact[:5] for fact in of_view if fact[0] != SUM]
        others.append(sorted((f[0], place[f[1]], *f[2:]) if f[0] == DECAY else f for f in rest))
    facts = np.array([fact for of_view in others for fact in of_view], np.int64).reshape(-1, 5)
    begins = np.cumsum([0, *(len(of_view) for of_view in others)])
    kinds = [np.array([fact[0] for fact in of_view], np.int64) for of_view in others]
    parts = [np.searchsorted(of, np.arange(ANSWER_MOST + 2)) + begins[v] for v, of in enumerate(kinds)]
    return FactTables(
        np.array([measure_scale(m) for _, m in ordered if plan.measure(m) >= 0], np.float64),
        np.ascontiguousarray(np.array(summed, np.int64).reshape(-1, 2).T),
        np.ascontiguousarray(np.array(direct, np.int64).reshape(-1, 2).T),
        np.array(spans, np.int64).reshape(-1, 5),
        np.array(views, np.int64),
        facts,
        np.array(parts, np.int64),
    )
