"""Reasons in sentences for a whole list: what many customers are told in the same words is said once."""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.bundle import Bundle
from training.tellers import ToldBy
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
        self._told: dict[bytes, str] = {}
        """By the bytes of `_KEY`."""

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The moments as people call them, in the order of `Bundle.moment_keys`."""
        return tuple(getattr(moment_label(self.bundle, m), self.language) for m in self.bundle.moment_keys)

    def of(self, moments: npt.NDArray[Any], by: ToldBy) -> pa.Array:
        """Return the sentences of moments (positions, `[n]`; -1: none) told by `by`, of `[n]` each."""
        if len(self._told) > MOST_KEPT:
            for key in list(self._told)[: MOST_KEPT // 2]:
                del self._told[key]
        keys = np.empty(len(moments), _KEY)
        keys["moment"], keys["feature"], keys["usual"] = moments, by.feature, by.usual
        keys["value"] = np.where(self._whole[by.feature], np.floor(by.value), by.value)
        whole = pa.FixedSizeBinaryArray.from_buffers(_BYTES, len(keys), [None, pa.py_buffer(keys)])
        coded = whole.dictionary_encode()
        different = np.frombuffer(coded.dictionary.buffers()[1], f"V{_KEY.itemsize}", len(coded.dictionary))
        return pa.array([self._sentence(key) for key in different.tolist()], pa.string()).take(coded.indices)

    def _sentence(self, key: bytes) -> str | None:
        sentence = self._told.get(key)
        if sentence is None:
            moment, feature, value, usual = _UNPACKED.unpack(key)
            if moment >= 0:
                sentence = say(self.bundle, moment, feature, value, usual, self.language, self._on)
                self._told[key] = sentence
        return sentence


_KEY = np.dtype(
    [("moment", np.int32), ("feature", np.int32), ("value", np.float32), ("usual", np.float32)]
)  # what a sentence is told from
_BYTES, _UNPACKED = pa.binary(_KEY.itemsize), struct.Struct("=iiff")
