"""What to note while walking one stream: the tables that the kernel reads."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.expressions import Tag
from features.kernels import DAY_MEASURES, MAX_FADE, SUM
from features.measures import measure_scale
from features.streams import Ints


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
            return -3 - DAY_MEASURES.index(name)
        if name not in self.measures:
            self.measures.append(name)
        return self.measures.index(name)


def entries_of(tags: frozenset[Tag], wanted: list[tuple[frozenset[Tag], int, int]]) -> Ints:
    """Return int64[2, …]: target and measure of each entry that a contact adds to, by target."""
    mine = sorted((target, measure) for needed, target, measure in wanted if needed <= tags)
    return np.array(mine, np.int64).reshape(-1, 2).T


def joined(parts: list[Ints]) -> Ints:
    """Return int64[3, …]: where each contact's entries begin, then (target, measure) of each entry."""
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([part.shape[1] for part in parts], out=starts[1:])
    n = int(starts[-1])
    table = np.zeros((3, max(len(starts), n)), np.int64)
    table[0, : len(starts)] = starts
    if n:
        table[1:, :n] = np.concatenate(parts, axis=1)
    return table


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


def powers_of(half_lives: list[float]) -> tuple[npt.NDArray[np.float64], Ints]:
    """Return 2^(-days / half-life) by half-life and days (0 at the last), and the half-life of each fade."""
    different = sorted(set(half_lives))
    days = np.arange(MAX_FADE, dtype=np.float64)
    table = np.exp2(-days[None, :] / np.array(different, np.float64).reshape(-1, 1))
    table[:, -1] = 0.0
    return table, np.array([different.index(h) for h in half_lives], np.int64)
