"""Decayed sums: how they fade, and where the compiled walk keeps them.

Sums of one measure that differ in their half-life stand side by side, in fours, so that one addition of four
numbers serves them all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.expressions import Tag
from features.kernels import MAX_FADE, MAX_GROWTH
from features.lanes import FOUR
from features.streams import Ints

Floats = npt.NDArray[np.float64]
Fade = tuple[frozenset[Tag], str, float]
"""What is added up, and its half-life in days."""

LARGEST = 256
"""Doublings up to which what is added to a decayed sum is weighed from the same day."""


@dataclass(frozen=True)
class Fading:
    """Where decayed sums are kept, by place, and which half-life each has."""

    place: dict[Fade, int]
    fours: dict[tuple[frozenset[Tag], str], list[tuple[int, int]]]
    """Of what is added up: first places and first half-lives of four sums each."""
    half_lives: list[float]
    half: Ints
    """Which half-life by place; some places are kept for nothing, beside those that are asked for."""


def fading_of(fades: Collection[Fade]) -> Fading:
    """Place some decayed sums: two or more of four half-lives that follow each other go together."""
    half_lives = sorted({days for *_, days in fades})
    number = {days: h for h, days in enumerate(half_lives)}
    groups: dict[tuple[frozenset[Tag], str, int], list[Fade]] = {}
    for fade in fades:
        groups.setdefault((fade[0], fade[1], number[fade[2]] // FOUR), []).append(fade)
    place: dict[Fade, int] = {}
    fours: dict[tuple[frozenset[Tag], str], list[tuple[int, int]]] = {}
    half: list[int] = []
    for (tags, measure, four), some in groups.items():
        if len(some) == 1:
            place[some[0]] = len(half)
            half.append(number[some[0][2]])
            continue
        fours.setdefault((tags, measure), []).append((len(half), FOUR * four))
        place |= {fade: len(half) + number[fade[2]] % FOUR for fade in some}
        half += [min(FOUR * four + k, len(half_lives) - 1) for k in range(FOUR)]
    return Fading(place, fours, half_lives, np.array(half, np.int64))


def powers_of(fading: Fading) -> tuple[Any, ...]:
    """Return how sums fade and grow by half-life and days, how far they may grow, and each place's half-life.

    2^(-days / half-life), 0 at the last: float64[half-lives, MAX_FADE]; 2^(days / half-life) as far as it
    is below `LARGEST`, and how many days that is: float64[MAX_GROWTH, half-lives], int64[half-lives].
    """
    different = np.array(fading.half_lives, np.float64)
    powers = np.exp2(-np.arange(MAX_FADE, dtype=np.float64)[None, :] / different[:, None])
    powers[:, -1] = 0.0
    reach = np.minimum(LARGEST * different, MAX_GROWTH - 1).astype(np.int64)
    days = np.minimum(np.arange(MAX_GROWTH)[None, :], reach[:, None])
    growth = np.ascontiguousarray(np.exp2(days / different[:, None]).T)
    return powers, growth, reach, fading.half
