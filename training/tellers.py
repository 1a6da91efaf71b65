"""By which feature a moment of truth is told: the plainest one that is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.catalog import FittedFeatures
from features.definition import Words
from features.vocabulary import slug
from features.words import kind_words

Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ToldBy:
    """What each top moment is told by, `[n_snapshots, k]` each: the feature, its value, and what is usual.

    `usual` is the usual gap where a silence is told, NaN elsewhere.
    """

    feature: Ints
    value: Values
    usual: Values


@dataclass(frozen=True)
class Tellers:
    """The features that may tell a moment better than the one that pushed it most; -1: there is none."""

    length: Ints
    """Of each moment: how long its silence is, if it is one."""
    gap: Ints
    """Of each moment: the gap that is usual there."""
    better: Ints
    """Of each feature: the one that says it better."""
    silent: tuple[Words | None, ...]
    """Of each moment: what its silence is silent of, as people call it."""

    def told_by(self, X: Values, moment: Ints, feature: Ints) -> ToldBy:
        """Return by which feature each top moment is told, and its value.

        A silence is told by its length and what is usual, from which every other number of it is derived;
        others by the feature chosen, or the one that says it better where that is known.

        Args:
            X: features, float32[n, n_features].
            moment: the top moments, int64[n, k].
            feature: the features chosen for them (`training.reasons.TopMoments`), int64[n, k].
        """
        rows = np.arange(len(X))[:, None]
        length, gap, better = self.length[moment], self.gap[moment], self.better[feature]
        silent, plainer = (~np.isnan(X[rows, place]) & (place >= 0) for place in (length, better))
        by = np.where(silent, length, np.where(plainer, better, feature))
        usual = np.where(silent & (gap >= 0), X[rows, gap], np.float32(np.nan))
        return ToldBy(by, X[rows, by], usual)

    def told_of(
        self, x: Values, moments: Sequence[int], features: Sequence[int]
    ) -> Iterator[tuple[int, float, float]]:
        """Yield what `told_by` says of one snapshot: each top moment's feature, its value, what is usual."""
        for moment, feature in zip(moments, features, strict=True):
            length, gap, better = self._places[0][moment], self._places[1][moment], self._places[2][feature]
            if length >= 0 and not math.isnan(value := float(x[length])):
                yield length, value, float(x[gap]) if gap >= 0 else math.nan
            elif better >= 0 and not math.isnan(value := float(x[better])):
                yield better, value, math.nan
            else:
                yield feature, float(x[feature]), math.nan

    @cached_property
    def _places(self) -> tuple[list[int], list[int], list[int]]:
        return self.length.tolist(), self.gap.tolist(), self.better.tolist()


def tellers_of(fitted: FittedFeatures, moments: Sequence[str]) -> Tellers:
    """Return what may tell each of the moments (keys)."""
    places, vocabulary = fitted.places, fitted.context.vocabulary
    kinds = {slug(kind): kind for kind in reversed(tuple(vocabulary.facts))}
    length, gap = (np.full(len(moments), -1, np.int64) for _ in range(2))
    silent: list[Words | None] = []
    for m, key in enumerate(moments):
        group, _, aspect = key.rpartition(".")
        if aspect != "silence":
            silent.append(None)
            continue
        length[m] = places.get(f"days_since_{group}", -1)
        gap[m] = places.get(f"{group}_gap_median", -1)
        known = group in kinds
        silent.append(Words(*kind_words(kinds[group], vocabulary)) if known else Words("contact", "contacto"))
    better = np.array([places.get(f.told_by, -1) for f in fitted.features], np.int64)
    return Tellers(length, gap, better, tuple(silent))
