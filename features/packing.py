"""Numbers as whole multiples, and integers in the smallest type that holds them: exact, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from features.coding import NULL, Ints
from features.errors import CorredorError

LARGEST = 4e15
"""A number of so many whole parts can still be counted exactly."""
FACTORS = (1_000_000, 10_000, 1_000, 100, 10)
EXACT = 1 << 52
"""Below this, whether a factor divides an integer is told without a division of integers."""
TOGETHER = 1024
"""Values that are looked at before it is told whether all were divided."""
_EMPTY = {np.dtype(kind): int(np.iinfo(kind).min) for kind in (np.int8, np.int16, np.int32, np.int64)}
"""Stands for "no value" in each type."""


@dataclass(frozen=True)
class Packed:
    """Integers kept in the smallest type that holds them: value = base + step * data; exact."""

    data: npt.NDArray[Any]
    step: int = 1
    base: int = 0

    def __len__(self) -> int:
        return len(self.data)

    @property
    def plain(self) -> bool:
        """Whether the data are the values themselves."""
        return self.data.dtype == np.int64 and self.step == 1 and self.base == 0

    def unpack(self, low: int = 0, high: int | None = None) -> Ints:
        """Return the values of rows [low, high) as int64, NULL where there is none."""
        part = self.data[low:high]
        if self.plain:
            return part
        values = np.empty(len(part), np.int64)
        self.unpack_into(values, low, high)
        return values

    def unpack_into(self, values: Ints, low: int, high: int | None) -> None:
        """Write what `unpack` returns."""
        part = self.data[low:high]
        if self.plain:
            values[:] = part
        else:
            _unpack(part, _EMPTY[part.dtype], self.base, self.step, values)

    def take(self, rows: npt.NDArray[Any] | slice) -> Packed:
        """Return the same values for some rows (indices, a mask, or a slice, which copies nothing)."""
        return replace(self, data=self.data[rows])


def pack(values: Ints) -> Packed:
    """Return the values in the smallest integer type that is exact.

    >>> pack(np.array([1_990_000, 250_000, NULL])).data.dtype
    dtype('int16')
    """
    low, high, some = _span(values)
    if not some:
        return Packed(np.full(len(values), np.iinfo(np.int8).min, np.int8))
    base = low if low > 0 and high - low < low else 0
    exact = max(abs(low - base), abs(high - base)) < EXACT
    step = next((factor for factor in FACTORS if _divides(values, base, factor, exact)), 1)
    low, high = (low - base) // step, (high - base) // step
    for kind in (np.int8, np.int16, np.int32):
        info = np.iinfo(kind)
        if low > info.min and high <= info.max:
            data = np.empty(len(values), kind)
            _pack(values, base, step, info.min, data)
            return Packed(data, step, base)
    return Packed(values)


def scaled(values: npt.NDArray[np.float64], scale: int, *, what: str = "value") -> Ints:
    """Return numbers as whole multiples of 1/scale, NULL where NaN; half goes to even.

    Raises:
        CorredorError: a number is infinite or too large to be counted exactly.
    """
    whole = np.empty(len(values), np.int64)
    _check(_scale(np.asarray(values, np.float64), float(scale), whole), scale, what)
    return whole


def scaled_column(column: pa.ChunkedArray, scale: int, *, what: str) -> Ints:
    """Return what `scaled` returns, of a column of numbers; NULL where it is empty."""
    whole, bad = np.empty(len(column), np.int64), 0
    for low, values, given in numbers_given(column):
        into = whole[low : low + len(values)]
        if given is None:
            bad += _scale(values, float(scale), into)
        else:
            bad += _scale_given(values, given, float(scale), into)
    _check(bad, scale, what)
    return whole


def numbers_given(
    column: pa.ChunkedArray,
) -> Iterator[tuple[int, npt.NDArray[np.float64], npt.NDArray[np.bool_] | None]]:
    """Yield the parts of a column of numbers: first row, values, and which are given if not all are."""
    high = 0
    for part in column.cast(pa.float64()).chunks:
        low, high = high, high + len(part)
        given, data = part.buffers()
        if not len(part):
            continue
        values = np.frombuffer(data, np.float64, len(part), part.offset * 8)
        if not part.null_count:
            yield low, values, None
            continue
        last = part.offset + len(part)
        bits = np.unpackbits(np.frombuffer(given, np.uint8), count=last, bitorder="little")
        yield low, values, bits[part.offset :].view(np.bool_)


def _check(bad: int, scale: int, what: str) -> None:
    if bad:
        raise CorredorError(f"{what}: {bad} values are beyond ±{LARGEST / scale:g}. Use a larger unit.")


# what is empty is told by a mask, not by a branch, which would be taken at random: so eight go at a time


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scale(values: npt.NDArray[np.float64], scale: float, whole: Ints) -> int:
    bad = 0
    for i in range(values.size):
        value = np.rint(values[i] * scale)
        fits = abs(value) < LARGEST
        whole[i] = np.int64(value) if fits else NULL
        bad += not (fits or np.isnan(value))
    return bad


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scale_given(
    values: npt.NDArray[np.float64], given: npt.NDArray[np.bool_], scale: float, whole: Ints
) -> int:
    bad = 0
    for i in range(values.size):
        value = np.rint(values[i] * scale)
        fits = abs(value) < LARGEST
        whole[i] = np.int64(value) if fits & given[i] else NULL
        bad += given[i] and not (fits or np.isnan(value))
    return bad


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _span(values: Ints) -> tuple[int, int, int]:
    """Return the least and the largest value, and how many there are."""
    most: Any = np.int64(np.iinfo(np.int64).max)
    low: Any = most
    high: Any = np.int64(NULL)
    some = 0
    for i in range(values.size):
        value = values[i]
        low, high = min(low, most if value == NULL else value), max(high, value)
        some += value != NULL
    return low, high, some


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _divides(values: Ints, base: int, factor: int, exact: bool) -> bool:
    if not exact:
        for value in values:
            if value != NULL and (value - base) % factor != 0:
                return False
        return True
    whole = np.float64(factor)
    part = 1.0 / whole
    for first in range(0, values.size, TOGETHER):
        rest = 0
        for i in range(first, min(first + TOGETHER, values.size)):
            value = np.float64(values[i] - base)  # a multiple's share of the factor is next to an integer
            rest += (values[i] != NULL) & (np.rint(value * part) * whole != value)
        if rest:
            return False
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pack(values: Ints, base: int, step: int, empty: int, data: npt.NDArray[Any]) -> None:
    # what fits in 32 bits is below 2**53 before it is divided: a division of floats is exact, and fast
    for i in range(values.size):
        data[i] = empty if values[i] == NULL else np.int64(np.float64(values[i] - base) / np.float64(step))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unpack(data: npt.NDArray[Any], empty: int, base: int, step: int, values: Ints) -> None:
    for i in range(data.size):
        value = np.int64(data[i])
        values[i] = NULL if value == empty else base + step * value
