"""Numbers as whole multiples, and integers in the smallest type that holds them: exact, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from features.coding import NULL, Ints
from features.errors import CorredorError

LARGEST = 4e15
"""A number of so many whole parts can still be counted exactly."""
FACTORS = (1_000_000, 10_000, 1_000, 100, 10)


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
            return
        np.multiply(part, self.step, out=values, dtype=np.int64)
        if self.base:
            values += self.base
        empty = part == np.iinfo(part.dtype).min
        if empty.any():
            np.copyto(values, NULL, where=empty)

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
    step = next((factor for factor in FACTORS if _divides(values, base, factor)), 1)
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
    bad = _scale(np.asarray(values, np.float64), float(scale), whole)
    if bad:
        raise CorredorError(f"{what}: {bad} values are beyond ±{LARGEST / scale:g}. Use a larger unit.")
    return whole


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scale(values: npt.NDArray[np.float64], scale: float, whole: Ints) -> int:
    bad = 0
    for i in range(values.size):
        value = np.rint(values[i] * scale)
        if np.isnan(value):
            whole[i] = NULL
        elif abs(value) < LARGEST:
            whole[i] = np.int64(value)
        else:
            bad += 1
    return bad


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _span(values: Ints) -> tuple[int, int, int]:
    """Return the least and the largest value, and how many there are."""
    low, high, some = np.iinfo(np.int64).max, np.iinfo(np.int64).min, 0
    for value in values:
        if value != NULL:
            low, high, some = min(low, value), max(high, value), some + 1
    return low, high, some


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _divides(values: Ints, base: int, factor: int) -> bool:
    for value in values:
        if value != NULL and (value - base) % factor != 0:
            return False
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pack(values: Ints, base: int, step: int, empty: int, data: npt.NDArray[Any]) -> None:
    # what fits in 32 bits is below 2**53 before it is divided: a division of floats is exact, and fast
    for i in range(values.size):
        data[i] = empty if values[i] == NULL else np.int64(np.float64(values[i] - base) / np.float64(step))
