"""What to note while walking one stream: the tables that the kernel reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.expressions import Tag
from features.gaps import DAY_MEASURES
from features.kernels import MAX_FADE, MAX_GROWTH, SUM
from features.measures import STANDARDS, Standards, measure_scale
from features.paths import FEW_CONTACTS
from features.streams import Contact, Ints

Floats = npt.NDArray[np.float64]

FIRST_DAY_MEASURE = -3
"""What stands for the first of `DAY_MEASURES`; the others follow downwards."""
LARGEST = 256
"""Doublings up to which what is added to a decayed sum is weighed from the same day."""


@dataclass
class StreamPlan:
    """What to note while walking one stream."""

    slots: dict[tuple[frozenset[Tag], str], int] = field(default_factory=dict)
    fades: dict[tuple[frozenset[Tag], str, float], int] = field(default_factory=dict)
    tracks: dict[frozenset[Tag], int] = field(default_factory=dict)
    answers: dict[tuple[frozenset[Tag], str], int] = field(default_factory=dict)
    dimensions: dict[tuple[frozenset[Tag], str], int] = field(default_factory=dict)
    measures: list[str] = field(default_factory=list)
    facts: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    paced: bool = False

    def measure(self, name: str) -> int:
        """Return the row of `values` for a measure; -1 for rows themselves, -2 for contacts."""
        if name in ("lines", "contacts"):
            return -1 if name == "lines" else -2
        if name in DAY_MEASURES:
            self.paced = True
            return FIRST_DAY_MEASURE - DAY_MEASURES.index(name)
        if name not in self.measures:
            self.measures.append(name)
        return self.measures.index(name)


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
        counted = sum(plan.measure(m) < 0 for _, m in plan.slots)
        self._sizes = [len(plan.slots), len(plan.fades), len(plan.tracks), 0, day_offset]
        self._sizes += [int(plan.paced), counted, len(plan.answers)]
        slots = [(t, i, plan.measure(m)) for (t, m), i in plan.slots.items()]
        fades = [(t, i, plan.measure(m)) for (t, m, _), i in plan.fades.items()]
        self._wanted = (
            [s for s in slots if s[2] >= 0],
            [s for s in slots if s[2] < 0],
            [f for f in fades if f[2] > FIRST_DAY_MEASURE],
            [f for f in fades if f[2] <= FIRST_DAY_MEASURE],
            [(t, i, 0) for t, i in plan.tracks.items()],
            [(t, i, plan.measure(m)) for (t, m), i in plan.answers.items()],
        )
        self._clear()

    def _clear(self) -> None:
        self._of_contact: dict[Contact, int] = {}
        self._of_tags: dict[tuple[frozenset[Tag], Standards], int] = {}
        self._entries: list[tuple[Ints, ...]] = []
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
        *entries, active, has, standards = self._tables
        dimensions = self.plan.dimensions
        codes = np.full((len(dimensions), len(contacts)), -1, np.int64)
        most = 0
        numbered: dict[str, Ints] = {}
        for (_, name), d in dimensions.items():
            if name not in numbered:
                place = fields.index(name)
                seen: dict[str | None, int] = {None: -1}
                of = [seen.setdefault(c[place], len(seen) - 1) for c in contacts]
                numbered[name] = np.array(of, np.int64)
                most = max(most, len(seen) - 1)
            np.copyto(codes[d], numbered[name], where=has[d, classes])
        sizes = np.array(self._sizes, np.int64)
        sizes[3] = max(most, 1)
        promised = np.take(standards, classes, axis=1) if self.standards is not None else standards
        return (classes, *entries, codes, active, sizes), promised

    def _class_of(self, contact: Contact) -> int:
        place = self._of_contact.get(contact)
        if place is None:
            tags = self.tagger(contact)
            promised = self.standards(contact) if self.standards is not None else ()
            place = self._of_tags.get((tags, promised))
            if place is None:
                place = self._of_tags[tags, promised] = len(self._entries)
                self._entries.append(tuple(entries_of(tags, wanted) for wanted in self._wanted))
                self._tables = ()
            self._of_contact[contact] = place
        return place

    def _by_class(self) -> tuple[Any, ...]:
        entries = (joined([of[i] for of in self._entries]) for i in range(len(self._wanted)))
        every = [tags for tags, _ in self._of_tags]
        active = np.array([("activity", True) in tags for tags in every], np.int8)
        has = [[wanted <= tags for tags in every] for wanted, _ in self.plan.dimensions]
        promised = [of for _, of in self._of_tags] if self.standards is not None else []
        return (
            *entries,
            active,
            np.array(has, bool).reshape(len(has), len(every)),
            np.ascontiguousarray(np.array(promised, np.int64).reshape(-1, len(STANDARDS)).T),
        )


def entries_of(tags: frozenset[Tag], wanted: list[tuple[frozenset[Tag], int, int]]) -> Ints:
    """Return int64[2, …]: target and measure of each entry that a contact adds to, by target."""
    mine = sorted((target, measure) for needed, target, measure in wanted if needed <= tags)
    return np.array(mine, np.int64).reshape(-1, 2).T


def joined(parts: list[Ints]) -> npt.NDArray[np.int32]:
    """Return int32[]: where each contact's entries begin and the last ones end, then target, measure of each.

    All in one and small, so that what a contact adds to is read from few lines of the cache.
    """
    places = np.cumsum([0, *(part.size for part in parts)]) + len(parts) + 1
    return np.concatenate([places, *(part.T.ravel() for part in parts)], dtype=np.int32)


def fact_tables(
    plan: StreamPlan, straight: dict[int, int]
) -> tuple[npt.NDArray[np.float64], Ints, Ints, Ints, Ints]:
    """Return the kernel's tables: scales of slots, sums to registers and to features, spans, other facts.

    Slots that count rows come first, since they need no scale; `plan.slots` is renumbered so.
    """
    ordered = sorted(plan.slots, key=lambda slot: plan.measure(slot[1]) >= 0)
    renumber = {plan.slots[slot]: i for i, slot in enumerate(ordered)}
    plan.slots = {slot: i for i, slot in enumerate(ordered)}
    sums = [(w, renumber[slot], register) for kind, slot, w, register, _ in plan.facts if kind == SUM]
    summed: list[tuple[int, int]] = []
    direct: list[tuple[int, int]] = []
    spans = []
    for window in sorted({w for w, _, _ in sums}):
        of_window = [(slot, register) for w, slot, register in sums if w == window]
        begin = len(summed), len(direct)
        summed += [(slot, register) for slot, register in of_window if register not in straight]
        direct += [(slot, straight[register]) for slot, register in of_window if register in straight]
        spans.append((window, begin[0], len(summed), begin[1], len(direct)))
    return (
        np.array([measure_scale(measure) for _, measure in ordered], np.float64),
        np.ascontiguousarray(np.array(summed, np.int64).reshape(-1, 2).T),
        np.ascontiguousarray(np.array(direct, np.int64).reshape(-1, 2).T),
        np.array(spans, np.int64).reshape(-1, 5),
        np.array([f for f in plan.facts if f[0] != SUM], np.int64).reshape(-1, 5),
    )


def powers_of(half_lives: list[float]) -> tuple[Floats, Floats, Ints, Ints]:
    """Return how sums fade and grow by half-life and days, how far they may grow, and each fade's half-life.

    2^(-days / half-life), 0 at the last: float64[half-lives, MAX_FADE]; 2^(days / half-life) as far as it
    is below `LARGEST`, and how many days that is: float64[half-lives, MAX_GROWTH], int64[half-lives].
    """
    different = np.array(sorted(set(half_lives)), np.float64)
    powers = np.exp2(-np.arange(MAX_FADE, dtype=np.float64)[None, :] / different[:, None])
    powers[:, -1] = 0.0
    reach = np.minimum(LARGEST * different, MAX_GROWTH - 1).astype(np.int64)
    days = np.minimum(np.arange(MAX_GROWTH)[None, :], reach[:, None])
    growth = np.exp2(days / different[:, None])
    return powers, growth, reach, np.searchsorted(different, half_lives)
