"""Times of ISO 8601 as callers mostly write them, read many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from features.clock import FIRST_YEAR, LAST_YEAR, US_PER_DAY, US_PER_SECOND
from features.streams import Ints

_MINUTE = 60 * US_PER_SECOND


def plain_moments(texts: Sequence[str]) -> Ints | None:
    """Return times as µs UTC, or None where one is not a plain time with seconds and an offset.

    Then they are for `datetime.fromisoformat`, which reads these the same and many others.

    >>> plain_moments(["1970-01-02T00:00:00Z", "1970-01-01 01:00:00.5+01:00"]).tolist()
    [86400000000, 500000]
    >>> plain_moments(["1970-01-02"]) is None
    True
    """
    try:
        line = np.frombuffer("\n".join(texts).encode("ascii"), np.uint8)
    except UnicodeEncodeError:
        return None
    moments = np.empty(len(texts), np.int64)
    return moments if _read(line, moments) else None


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number(text: Any, at: int, digits: int) -> int:
    """Return the number that so many digits make, -1 where they do not."""
    if at + digits > text.size:
        return -1
    number = 0
    for i in range(at, at + digits):
        digit = int(text[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        number = 10 * number + digit
    return number


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _days(year: int, month: int, day: int) -> int:
    """Return a date as days since 1970, -1_000_000 where there is none."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month < 1 or month > 12 or day < 1:
        return -1_000_000
    length = 28 + (1 if leap else 0) if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    if day > length:
        return -1_000_000
    # Hinnant, "chrono-compatible low-level date algorithms": years that begin in March
    y = year - 1 if month <= 2 else year
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return 365 * y + y // 4 - y // 100 + y // 400 + of_year - 719_468


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read(text: Any, moments: Any) -> Any:
    """Read one time a line, as many as there is room for; False where a line is something else."""
    at = 0
    for i in range(moments.size):
        if at + 20 > text.size or text[at + 4] != 45 or text[at + 7] != 45:
            return False
        if not (text[at + 10] == 84 or text[at + 10] == 32) or text[at + 13] != 58 or text[at + 16] != 58:
            return False
        year = _number(text, at, 4)
        days = _days(year, _number(text, at + 5, 2), _number(text, at + 8, 2))
        hour, minute = _number(text, at + 11, 2), _number(text, at + 14, 2)
        second = _number(text, at + 17, 2)
        if not FIRST_YEAR <= year <= LAST_YEAR or days == -1_000_000:
            return False
        if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
            return False
        moment = days * US_PER_DAY + (hour * 60 + minute) * _MINUTE + second * US_PER_SECOND
        at += 19
        if text[at] == 46:
            at += 1
            part = 100_000
            first = at
            while at < text.size and 48 <= text[at] <= 57:
                moment += (np.int64(text[at]) - 48) * part
                part //= 10
                at += 1
            if at == first or at - first > 6 or at >= text.size:
                return False
        if text[at] == 90:
            at += 1
        elif text[at] == 43 or text[at] == 45:
            sign = 1 if text[at] == 43 else -1
            hour, minute = _number(text, at + 1, 2), _number(text, at + 4, 2)
            if hour < 0 or hour > 23 or minute < 0 or minute > 59 or text[at + 3] != 58:
                return False
            moment -= sign * (hour * 60 + minute) * _MINUTE
            at += 6
        else:
            return False
        moments[i] = moment
        last = i == moments.size - 1
        if at == text.size:
            return last
        if last or text[at] != 10:
            return False
        at += 1
    return text.size == 0
