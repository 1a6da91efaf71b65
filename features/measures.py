"""Numbers that a reduction adds up: the columns as given, and what is derived from one row alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from features.histories import MEASURE_SCALES, NUMBER_SCALE
from features.kernels import DAY_MEASURES
from features.paths import step_scale
from features.streams import NULL, Ints

Column = Callable[[str], Ints]
"""Gives a numeric column's integers for the rows at hand, all NULL when the data has no such column."""


def _log_amount(column: Column) -> Ints:
    """Logarithm of 1 + amount, in thousandths: its spread does not depend on the currency's unit."""
    amount = column("amount")
    whole = np.rint(1000.0 * np.log1p(np.maximum(amount, 0) / MEASURE_SCALES["amount"])).astype(np.int64)
    return np.where(amount == NULL, NULL, whole)


Standards = tuple[int, ...]
STANDARDS = ("adequate", "desired", "promised_minutes")
"""What is promised of a contact by its kind (`[touchpoints.KIND]`), where the row itself says nothing."""


def _both(a: Ints, b: Ints, result: Ints) -> Ints:
    """Return a result of two columns, NULL where either has no value."""
    return np.where((a == NULL) | (b == NULL), NULL, result)


def _expectation_gap(column: Column) -> Ints:
    perceived, expected = column("perceived"), column("expected")
    return _both(perceived, expected, perceived - expected)


def _adequacy(column: Column) -> Ints:
    perceived, adequate = column("perceived"), column("adequate")
    return _both(perceived, adequate, perceived - adequate)


def _superiority(column: Column) -> Ints:
    """Perceived less desired; a desired service that is not above the adequate one is no answer."""
    perceived, desired, adequate = column("perceived"), column("desired"), column("adequate")
    desired = np.where((adequate != NULL) & (desired != NULL) & (desired <= adequate), NULL, desired)
    return _both(perceived, desired, perceived - desired)


def _below_adequate(column: Column) -> Ints:
    margin = _adequacy(column)
    return np.where(margin == NULL, NULL, margin < 0)


def _delight(column: Column) -> Ints:
    margin = _superiority(column)
    return np.where(margin == NULL, NULL, margin > 0)


ANSWERS = tuple(
    name for name in MEASURE_SCALES if name not in ("amount", "wait_minutes", "expected", "adequate")
)
"""Columns that hold what the customer says of a contact: the scores of surveys, and the service perceived."""


def _said(column: Column) -> Ints:
    """Return 1 where any question was answered."""
    some = np.logical_or.reduce([column(name) != NULL for name in ANSWERS])
    return np.where(some, 1, NULL)


def _wait_excess(column: Column) -> Ints:
    """Minutes waited beyond what is promised, 0 where the promise was kept."""
    wait, promised = column("wait_minutes"), column("promised_minutes")
    return _both(wait, promised, np.maximum(wait - promised, 0))


def _log_amount_squared(column: Column) -> Ints:
    whole = _log_amount(column)
    return np.where(whole == NULL, NULL, whole * whole)


DERIVED: dict[str, tuple[int, Callable[[Column], Ints]]] = {
    "log_amount": (1_000, _log_amount),
    "log_amount_squared": (1_000_000, _log_amount_squared),
    "expectation_gap": (100, _expectation_gap),
    "adequacy": (100, _adequacy),
    "superiority": (100, _superiority),
    "below_adequate": (1, _below_adequate),
    "delight": (1, _delight),
    "wait_excess": (1_000, _wait_excess),
    "said": (1, _said),
}
"""Name -> the scale of its integers, and how they follow from the columns."""

_WHOLE = ("autopay", "held", "committed", "committed_days", "next_end", "last_end")


def measure_scale(name: str) -> int:
    """Return what a measure's integers are multiples of: value = integer / scale."""
    if name in ("contacts", "lines", *DAY_MEASURES) or name.startswith(("has:", "only:")) or name in _WHOLE:
        return 1
    if (of_path := step_scale(name)) is not None:
        return of_path
    if name in DERIVED:
        return DERIVED[name][0]
    if name == "desired":
        return MEASURE_SCALES["adequate"]
    if name == "promised_minutes":
        return MEASURE_SCALES["wait_minutes"]
    return MEASURE_SCALES.get(name, NUMBER_SCALE)


def measure_values(name: str, column: Column) -> Ints:
    """Return a measure of the rows at hand as integers, NULL where a row has none."""
    if name.startswith("has:"):
        has: Ints = (measure_values(name[4:], column) != NULL).astype(np.int64)
        return has
    if name.startswith("only:"):
        return np.where(measure_values(name[5:], column) > 0, 1, NULL)
    if name in DERIVED:
        return DERIVED[name][1](column)
    return column(name)


def steps_among(measures: Iterable[str]) -> list[str]:
    """Return the measures of a customer's way (`features.pathwalk`) that some measures rest on."""
    names = [name.removeprefix("has:").removeprefix("only:") for name in measures]
    return list(dict.fromkeys(name for name in names if step_scale(name) is not None))
