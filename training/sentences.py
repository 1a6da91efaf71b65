"""Reasons in sentences for a whole list: what each is told by, found row by row; the words only once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from features.definition import Words
from training.bundle import Bundle
from training.reasons import TopMoments
from training.telling import AsOf, moment_label, silence_in, silent_kind, tell_feature, tell_value
from training.words import Language

Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]
MOST_KEPT = 1 << 20
"""Sentences that are kept at hand; with more the oldest half is forgotten."""


@dataclass(frozen=True)
class ToldBy:
    """What each top moment is told by, `[n_snapshots, k]` each: the feature, its value, and what is usual.

    `usual` is the usual gap where a silence is told, NaN elsewhere.
    """

    feature: Ints
    value: Values
    usual: Values


class Sentences:
    """The sentences of a bundle's moments in one language, as `tell_reasons` says them."""

    def __init__(self, bundle: Bundle, as_of_us: int, language: Language) -> None:
        """Prepare to tell what was known at a moment (µs UTC)."""
        self.bundle = bundle
        self.language = language
        self._on = AsOf(as_of_us, bundle.config.project.zone)
        self._silent: dict[int, Words] = {}
        self._length, _ = silences(bundle)
        self._whole = np.array([f.unit == "days" for f in bundle.fitted.features])
        """Features that are told in whole days, so that all of one day share a sentence."""
        self._told: dict[tuple[int, int, float | None, float | None], str] = {}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The moments as people call them, in the order of `Bundle.moment_keys`."""
        return tuple(getattr(moment_label(self.bundle, m), self.language) for m in self.bundle.moment_keys)

    def of(self, moments: npt.NDArray[Any], by: ToldBy) -> list[str | None]:
        """Return the sentences of moments (positions, `[n]`; -1: none) told by `by`, of `[n]` each."""
        told = self._told
        if len(told) > MOST_KEPT:
            for key in list(told)[: MOST_KEPT // 2]:
                del told[key]
        found: list[str | None] = []
        days = np.where(self._whole[by.feature], np.floor(by.value), by.value)
        for key in zip(moments.tolist(), by.feature.tolist(), _known(days), _known(by.usual), strict=True):
            sentence = told.get(key)
            if sentence is None and key[0] >= 0:
                sentence = told[key] = self._tell(*key)
            found.append(sentence)
        return found

    def _tell(self, moment: int, place: int, value: float | None, usual: float | None) -> str:
        feature = self.bundle.fitted.features[place]
        if value is None:
            words = tell_feature(feature, np.nan, moment_label(self.bundle, self.bundle.moment_keys[moment]))
            return str(getattr(words, self.language))
        if place == self._length[moment]:
            if moment not in self._silent:
                group = self.bundle.moment_keys[moment].rpartition(".")[0]
                self._silent[moment] = silent_kind(self.bundle, group)
            name = self._silent[moment]
            return silence_in(self.language, name, value, math.nan if usual is None else usual)
        return tell_value(feature, value, self.language, self._on)


def told_by(bundle: Bundle, X: npt.NDArray[np.float32], top: TopMoments) -> ToldBy:
    """Return by which feature each top moment is told, and its value.

    A silence is told by its length and what is usual, from which every other number of it is derived;
    others by the feature chosen, or the one that says it better where that is known.
    """
    rows = np.arange(len(X))[:, None]
    length, gap = (of[top.moment] for of in silences(bundle))
    better = _better(bundle)[top.feature]
    silent, plainer = (~np.isnan(X[rows, place]) & (place >= 0) for place in (length, better))
    feature = np.where(silent, length, np.where(plainer, better, top.feature))
    usual = np.where(silent & (gap >= 0), X[rows, gap], np.float32(np.nan))
    return ToldBy(feature, X[rows, feature], usual)


def silences(bundle: Bundle) -> tuple[Ints, Ints]:
    """Return, for each moment, the features that tell its silence and what is usual; -1: it is none."""
    place = {name: i for i, name in enumerate(bundle.fitted.names)}
    length, gap = (np.full(len(bundle.moment_keys), -1, np.int64) for _ in range(2))
    for m, key in enumerate(bundle.moment_keys):
        group, _, aspect = key.rpartition(".")
        if aspect == "silence":
            length[m] = place.get(f"days_since_{group}", -1)
            gap[m] = place.get(f"{group}_gap_median", -1)
    return length, gap


def _better(bundle: Bundle) -> Ints:
    place = {name: i for i, name in enumerate(bundle.fitted.names)}
    return np.array([place.get(f.told_by, -1) for f in bundle.fitted.features], np.int64)


def _known(values: Values) -> list[float | None]:
    """Return values as a key can hold them: None where there is none."""
    found: list[float | None] = values.tolist()
    for i in np.flatnonzero(np.isnan(values)).tolist():
        found[i] = None
    return found
