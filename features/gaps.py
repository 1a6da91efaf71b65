"""The gaps between a customer's days of activity, as the compiled walk keeps and reads them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from features.streams import NULL

US_PER_DAY = 86_400_000_000
GAP_BINS = 96
FIRST_BIN = 17
LONG_GAPS = (7, 14, 21, 28)
GAP_LOGS = np.rint(1e6 * np.log(np.maximum(np.arange(4096), 1))).astype(np.int64)
"""Logarithms of gaps in millionths, so that their sums are exact."""
LOG_OF_GAP = GAP_LOGS / 1e6
DAY_MEASURES = ("days", "gaps", "gap_logs", "gap_log_squares")
"""What a new day of activity adds to a decayed sum; numbered -3, -4…"""
PACE_STATISTICS = (
    *("n", "mean", "variance", "log_mean", "log_variance", "longest", "last", "median"),
    *("share_as_long", "weekday_concentration", "since_gap_over", "as_long", "silence", "age"),
)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def gap_bin(days: int) -> int:
    """Return the bin of a gap: a day each up to 63, then eighths of a doubling."""
    if days < 64:
        return days
    return min(GAP_BINS - 1, 64 + int(8.0 * math.log2(days / 64.0)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def bin_days(place: int) -> float:
    """Return the gap that stands for a bin."""
    return float(place) if place < 64 else 64.0 * 2.0 ** ((place - 64) / 8.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def day_values(gaps: Any, day: int, added: Any) -> None:
    """Write what a new day of activity adds: 1, and for its gap 1, its logarithm, and that squared."""
    first = gaps[0] == 0
    log = 0.0 if first else LOG_OF_GAP[min(day - gaps[1], LOG_OF_GAP.size - 1)]
    added[0], added[1], added[2], added[3] = 1.0, 0.0 if first else 1.0, log, log * log


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def visit(gaps: Any, day: int, now: int) -> None:
    """Take one contact of activity into a customer's gaps.

    gaps: 0 days with activity, 1 the last, 2 number of gaps, 3 their sum, 4 of squares, 5 of logs,
    6 of squared logs, 7 longest, 8.. moments at which the last gap over LONG_GAPS ended,
    12 weeks with activity, 13 the last, 14 moment of the last contact, 15 last gap, 16 the first day;
    then bins of gaps, then contacts by weekday.
    """
    week = (day + 3) // 7
    if gaps[0] == 0:
        gaps[0] = 1
        gaps[12] = 1
        gaps[13] = week
        gaps[16] = day
        for j in range(len(LONG_GAPS)):
            gaps[8 + j] = NULL
    elif day != gaps[1]:
        gap = day - gaps[1]
        log = GAP_LOGS[min(gap, GAP_LOGS.size - 1)]
        gaps[0] += 1
        gaps[2] += 1
        gaps[3] += gap
        gaps[4] += gap * gap
        gaps[5] += log
        gaps[6] += log * log
        gaps[7] = max(gaps[7], gap)
        gaps[15] = gap
        gaps[FIRST_BIN + gap_bin(gap)] += 1
        for j in range(len(LONG_GAPS)):  # without a branch, as what follows: a gap is anybody's guess
            ended = gaps[8 + j]
            gaps[8 + j] = now if gap > LONG_GAPS[j] else ended
        gaps[12] += week != gaps[13]
        gaps[13] = week
    gaps[1] = day
    gaps[14] = now
    gaps[FIRST_BIN + GAP_BINS + (day + 3) % 7] += 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def pace(gaps: Any, statistic: int, parameter: int, edge: int, local: int) -> Any:
    """Return one statistic of the gaps; the order is that of PACE_STATISTICS."""
    n = gaps[2]
    if statistic == 0:
        return float(n)
    if gaps[0] == 0:
        return np.nan
    if statistic == 12:
        return local / US_PER_DAY - gaps[1]
    if statistic == 13:
        return local / US_PER_DAY - gaps[16]
    if statistic == 9:
        total = 0.0
        squares = 0.0
        for d in range(7):
            visits = float(gaps[FIRST_BIN + GAP_BINS + d])
            total += visits
            squares += visits * visits
        return squares / (total * total)
    if statistic == 10:
        for j in range(len(LONG_GAPS)):
            if LONG_GAPS[j] == parameter and gaps[8 + j] != NULL:
                return (edge - gaps[8 + j]) / US_PER_DAY
        return np.nan
    if n == 0:
        return 0.0 if statistic == 11 else np.nan
    if statistic == 1:
        return gaps[3] / n
    if statistic == 2:
        return max(0.0, gaps[4] / n - (gaps[3] / n) * (gaps[3] / n))
    if statistic == 3:
        return gaps[5] / (n * 1e6)
    if statistic == 4:
        return max(0.0, gaps[6] / (n * 1e12) - (gaps[5] / (n * 1e6)) * (gaps[5] / (n * 1e6)))
    if statistic == 5:
        return float(gaps[7])
    if statistic == 6:
        return float(gaps[15])
    if statistic == 7:
        passed = 0
        for b in range(GAP_BINS):
            passed += gaps[FIRST_BIN + b]
            if 2 * passed >= n:
                return bin_days(b)
    silence = gap_bin(max(0, (edge - gaps[14]) // US_PER_DAY))
    as_long = 0
    for b in range(silence, GAP_BINS):
        as_long += gaps[FIRST_BIN + b]
    return as_long / n if statistic == 8 else float(as_long)
