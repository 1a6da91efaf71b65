"""Numbers that a reduction adds up: the columns as given, and what is derived from one row alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.histories import MEASURE_SCALES, NUMBER_SCALE
from features.kernels import DAY_MEASURES
from features.streams import NULL, Ints

Column = Callable[[str], Ints]
"""Gives a numeric column's integers for the rows at hand, all NULL when the data has no such column."""


def _log_amount(column: Column) -> Ints:
    """Logarithm of 1 + amount, in thousandths: its spread does not depend on the currency's unit."""
    amount = column("amount")
    whole = np.rint(1000.0 * np.log1p(np.maximum(amount, 0) / MEASURE_SCALES["amount"])).astype(np.int64)
    return np.where(amount == NULL, NULL, whole)


def _log_amount_squared(column: Column) -> Ints:
    whole = _log_amount(column)
    return np.where(whole == NULL, NULL, whole * whole)


DERIVED: dict[str, tuple[int, Callable[[Column], Ints]]] = {
    "log_amount": (1_000, _log_amount),
    "log_amount_squared": (1_000_000, _log_amount_squared),
}
"""Name -> the scale of its integers, and how they follow from the columns."""

_WHOLE = ("autopay", "held", "committed", "committed_days")


def measure_scale(name: str) -> int:
    """Return what a measure's integers are multiples of: value = integer / scale."""
    if name in ("contacts", "lines", *DAY_MEASURES) or name.startswith("has:") or name in _WHOLE:
        return 1
    if name in DERIVED:
        return DERIVED[name][0]
    return MEASURE_SCALES.get(name, NUMBER_SCALE)


def measure_values(name: str, column: Column) -> Ints:
    """Return a measure of the rows at hand as integers, NULL where a row has none."""
    if name.startswith("has:"):
        has: Ints = (measure_values(name[4:], column) != NULL).astype(np.int64)
        return has
    if name in DERIVED:
        return DERIVED[name][1](column)
    return column(name)
