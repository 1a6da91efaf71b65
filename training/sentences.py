"""Reasons in sentences for a whole list: what many customers are told in the same words is said once."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from training.bundle import Bundle
from training.tellers import ToldBy, Values
from training.telling import AsOf, moment_label, say
from training.words import Language

MOST_KEPT = 1 << 20
"""Sentences that are kept at hand; with more the oldest half is forgotten."""


class Sentences:
    """The sentences of a bundle's moments in one language, as `tell_reasons` says them."""

    def __init__(self, bundle: Bundle, as_of_us: int, language: Language) -> None:
        """Prepare to tell what was known at a moment (µs UTC)."""
        self.bundle = bundle
        self.language = language
        self._on = AsOf(as_of_us, bundle.config.project.zone)
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
                moment, feature, *numbers = key
                value, usual = (math.nan if n is None else n for n in numbers)
                sentence = told[key] = say(
                    self.bundle, moment, feature, value, usual, self.language, self._on
                )
            found.append(sentence)
        return found


def _known(values: Values) -> list[float | None]:
    """Return values as a key can hold them: None where there is none."""
    found: list[float | None] = values.tolist()
    for i in np.flatnonzero(np.isnan(values)).tolist():
        found[i] = None
    return found
