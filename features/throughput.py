"""Whole journeys: how long they take from the first contact to the last, and which ways they go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from features.streams import Ints
from features.stretches import Bools, Codes, Steps, quantiles


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
    alone, times, marks, heads = _journeys(
        steps.after, steps.first, steps.entered, steps.kind, steps.old_enough, len(steps.kinds)
    )
    _, first, counts = np.unique(marks, return_index=True, return_counts=True)
    found = [(_kinds_from(steps, int(h)), int(c)) for h, c in _largest(heads[first], counts, variants)]
    found += [((steps.kinds[k],), int(c)) for k, c in _largest(np.arange(len(alone)), alone, variants)]
    told = tuple(sorted(found, key=lambda v: -v[1])[:variants])
    ((median,), (p90,)) = quantiles(np.array([0, len(times)]), times, (0.5, 0.9))
    return Throughput(len(times) + int(alone.sum()), int(alone.sum()), float(median), float(p90), told)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _journeys(
    after: Ints, first: Bools, entered: Ints, kind: Codes, old: Bools, n: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Walk the journeys that are over; return those of one contact by kind, the others' times, marks, heads.

    A mark is a number of the sequence of kinds, a head the first contact.
    """
    alone = np.zeros(n, np.int64)
    size = 0
    for i in range(first.size):
        size += first[i] and after[i] >= 0
    times, marks, heads = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    size = 0
    for i in range(first.size):
        if not first[i]:
            continue
        if after[i] < 0:
            alone[kind[i]] += old[i]
            continue
        at, sequence = i, 0
        while True:
            # a polynomial in wrapping 64-bit arithmetic: two sequences share a number once in 10^19
            sequence = sequence * 6364136223846793005 + (kind[at] + 1) * 1442695040888963407
            if after[at] < 0:
                break
            at = after[at]
        if old[at]:
            times[size], marks[size], heads[size] = entered[at] - entered[i], sequence, i
            size += 1
    return alone, times[:size], marks[:size], heads[:size]


def _largest(what: Ints, counts: Ints, most: int) -> list[tuple[int, int]]:
    order = np.argsort(-counts, kind="stable")[:most]
    return [(int(what[k]), int(counts[k])) for k in order if counts[k]]


def _kinds_from(steps: Steps, at: int) -> tuple[str, ...]:
    names: list[str] = []
    while at >= 0 and len(names) < MOST_STEPS:
        names.append(steps.kinds[steps.kind[at]])
        at = int(steps.after[at])
    return tuple(names) if at < 0 else (*names, "…")
