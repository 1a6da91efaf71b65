"""One clock for the whole product: int64 microseconds since 1970, UTC; calendars only at the edges.

A local time that exists twice (the hour repeated when summer time ends) is read as the first of the
two. A local time that does not exist (the hour skipped when summer time begins) is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from features.errors import CorredorError

US_PER_SECOND = 1_000_000
US_PER_DAY = 86_400_000_000
FIRST_YEAR, LAST_YEAR = 1900, 2199
"""Times outside these years are impossible values: 9999-12-31 is a placeholder, not a moment."""

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_LOCAL = datetime(1970, 1, 1)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


def as_of_us(when: str | date | datetime, zone: tzinfo) -> int:
    """Return a moment in µs since 1970 UTC.

    A date is the first moment of that day in `zone`: local midnight, or the first moment that
    exists where the clocks skip midnight. A datetime without an offset is read in `zone`.

    >>> from zoneinfo import ZoneInfo
    >>> as_of_us("2017-09-03", ZoneInfo("America/New_York")) == as_of_us("2017-09-03T04:00:00Z", UTC)
    True

    Raises:
        CorredorError: the text is not ISO 8601, the local time does not exist, or the year is
            outside 1900-2199.
    """
    if isinstance(when, str):
        text = when.strip()
        try:
            when = date.fromisoformat(text) if _DATE.match(text) else datetime.fromisoformat(text)
        except ValueError:
            raise CorredorError(
                f"{text!r} is not a date (2026-03-04) or a time (2026-03-04T10:00:00Z) of ISO 8601."
            ) from None
    if not FIRST_YEAR <= when.year <= LAST_YEAR:
        raise CorredorError(f"{when.isoformat()}: the year is outside {FIRST_YEAR}-{LAST_YEAR}.")
    if not isinstance(when, datetime):
        return int(days_to_us(np.array([(when - date(1970, 1, 1)).days]), zone)[0])
    if when.tzinfo is not None:
        return (when - _EPOCH) // timedelta(microseconds=1)
    local = (when - _EPOCH_LOCAL) // timedelta(microseconds=1)
    us, exists = local_to_us(np.array([local]), zone)
    if not exists[0]:
        raise CorredorError(f"{when.isoformat()} does not exist in {zone}: the clocks skip that hour.")
    return int(us[0])


def local_date(us: int, zone: tzinfo) -> str:
    """Return the ISO date that a moment has in `zone`.

    >>> from zoneinfo import ZoneInfo
    >>> local_date(as_of_us("2017-09-03T02:00:00Z", UTC), ZoneInfo("America/New_York"))
    '2017-09-02'
    """
    return local_datetime(us, zone).date().isoformat()


def local_datetime(us: int, zone: tzinfo) -> datetime:
    """Return a moment as a datetime in `zone`."""
    return (_EPOCH + timedelta(microseconds=int(us))).astimezone(zone)


def now_us() -> int:
    """Return this moment."""
    return (datetime.now(UTC) - _EPOCH) // timedelta(microseconds=1)


def local_to_us(local: Int64, zone: tzinfo) -> tuple[Int64, Bool]:
    """Return the UTC µs of local wall-clock times (µs since 1970 on that wall), and which of them exist.

    Of a repeated hour, the first. A time that does not exist comes back as the moment of the jump,
    marked False.
    """
    local = np.asarray(local, dtype=np.int64)
    jumps, offsets = _offsets(zone)
    # Piece k covers [jumps[k], jumps[k+1]) in UTC: on the wall it starts at jumps[k] + offsets[k]. The
    # wall time at which piece k-1 ends is jumps[k] + offsets[k-1]; only from there on is k tried, so a
    # repeated hour falls to the earlier piece.
    piece = np.searchsorted(jumps[1:] + offsets[:-1], local, side="right")
    us = local - offsets[piece]
    exists = us >= jumps[piece]
    return np.where(exists, us, jumps[piece]), exists


def us_to_local(us: Int64, zone: tzinfo) -> Int64:
    """Return the wall-clock time in `zone` (µs since 1970 on that wall) of moments in UTC µs."""
    us = np.asarray(us, dtype=np.int64)
    jumps, offsets = _offsets(zone)
    return us + offsets[np.searchsorted(jumps[1:], us, side="right")]


def days_to_us(days: npt.NDArray[np.integer], zone: tzinfo) -> Int64:
    """Return the first moment, in UTC µs, of local days counted from 1970-01-01."""
    return local_to_us(np.asarray(days, dtype=np.int64) * US_PER_DAY, zone)[0]


def local_days(us: Int64, zone: tzinfo) -> Int64:
    """Return the local days, counted from 1970-01-01, in which moments in UTC µs fall."""
    return np.floor_divide(us_to_local(us, zone), US_PER_DAY)


@lru_cache(maxsize=64)
def _offsets(zone: tzinfo) -> tuple[Int64, Int64]:
    """Return where each constant offset of a zone begins (UTC µs), and the offset (µs), 1900 to 2199.

    The zone is sampled every five days, and the second of each change found by halving. No zone has
    ever changed its clocks and gone back within five days.
    """
    step = 5 * 86400
    first = int((datetime(FIRST_YEAR, 1, 1) - _EPOCH_LOCAL).total_seconds()) - 2 * 86400
    last = int((datetime(LAST_YEAR + 1, 1, 1) - _EPOCH_LOCAL).total_seconds()) + 2 * 86400

    def offset(second: int) -> int:
        found = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
        return 0 if found is None else found // timedelta(microseconds=1)

    jumps, offsets = [np.iinfo(np.int64).min // 2], [offset(first)]
    for second in range(first + step, last, step):
        here = offset(second)
        if here == offsets[-1]:
            continue
        low, high = second - step, second
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
        jumps.append(high * US_PER_SECOND)
        offsets.append(here)
    for array in (starts := np.array(jumps, dtype=np.int64), shifts := np.array(offsets, dtype=np.int64)):
        array.setflags(write=False)
    return starts, shifts
