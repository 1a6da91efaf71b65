"""The compiled walk over each customer's rows, and the arithmetic on what it noted.

Every customer's rows are walked once for all `as_of` dates and windows: running sums are noted at the
sorted edges (each `as_of`, and each `as_of` minus a window) and subtracted. Sums are of integers and
decayed sums fade by whole days from row to row of the one customer, so a snapshot has the same bits
whatever else was asked for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from features.streams import NULL

US_PER_DAY = 86_400_000_000
LANES = 8
"""Snapshots that stand side by side, so that arithmetic takes them together."""
GAP_BINS = 96
FIRST_BIN = 17
MAX_FADE = 4096
"""Days after which a decayed sum has faded to nothing."""
LONG_GAPS = (7, 14, 21, 28)
GAP_LOGS = np.rint(1e6 * np.log(np.maximum(np.arange(4096), 1))).astype(np.int64)
"""Logarithms of gaps in millionths, so that their sums are exact."""

# What a fact reads: first column of the fact tables.
SUM, DECAY, TRACK_LAST, TRACK_FIRST, TRACK_VALUE, DISTINCT, DAYS, WEEKS, PACE = range(9)
ANSWER_DAYS, ANSWER_LAST, ANSWER_LEAST, ANSWER_MOST = range(9, 13)
DAY_MEASURES = ("days", "gaps", "gap_logs", "gap_log_squares")
"""What a new day of activity adds to a decayed sum; numbered -3, -4…"""
PACE_STATISTICS = (
    *("n", "mean", "variance", "log_mean", "log_variance", "longest", "last", "median"),
    *("share_as_long", "weekday_concentration", "since_gap_over", "as_long", "silence", "age"),
)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gap_bin(days: int) -> int:
    """Return the bin of a gap: a day each up to 63, then eighths of a doubling."""
    if days < 64:
        return days
    return min(GAP_BINS - 1, 64 + int(8.0 * math.log2(days / 64.0)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _bin_days(place: int) -> float:
    """Return the gap that stands for a bin."""
    return float(place) if place < 64 else 64.0 * 2.0 ** ((place - 64) / 8.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk(
    offsets: Any,  # int64[customers + 1], into the rows
    moment: Any,  # int64[rows] µs
    known: Any,  # int64[rows] µs, or empty: known at once
    contact: Any,  # int64[rows]
    opens: Any,  # int8[rows], or empty: all open
    values: Any,  # int64[measures, rows]
    classes: Any,  # int64[contacts]: contacts of a class add to the same
    adds: Any,  # (ptr, slot, measure) by class: running sums of values
    counts: Any,  # (ptr, slot, measure) by class: running numbers of rows (-1) or contacts (-2)
    fades: Any,  # (ptr, fade, measure) by class: decayed sums; -3 to -6 are DAY_MEASURES
    marks: Any,  # (ptr, track, -) by class: last and first rows
    replies: Any,  # (ptr, answer, measure) by class: rows that have a value of the measure
    codes: Any,  # int64[dimensions, contacts], -1 where the field does not count
    active: Any,  # int8[classes]
    sizes: Any,  # int64[8]: slots, fades, tracks, codes of a dimension, day offset µs, pace asked, counts,
    #              answers
    powers: Any,  # float64[half-lives, MAX_FADE]
    half: Any,  # int64[fades]: which half-life
    edges: Any,  # int64[edges] µs, ascending
    edge_of: Any,  # int64[dates]
    low_edge: Any,  # int64[dates, windows]
    scales: Any,  # float64[slots]: what a sum is divided by
    summed: Any,  # int64[2, sums]: slot, register; those of one window together
    direct: Any,  # int64[2, sums]: slot, feature; sums that are features as they are
    spans: Any,  # int64[spans, 5]: window (-1: all that is known), its parts of `summed` and `direct`
    facts: Any,  # int64[facts, 5]: kind, a, window, parameter or measure, register, scale; all but sums
    noted: Any,  # float64[blocks, registers, LANES], written
    result: Any,  # float32[snapshots, features], written where `direct`
) -> None:
    """Write each customer's facts at each date; snapshot = customer * dates + date."""
    n_dates, n_edges = edge_of.size, edges.size
    n_slots, n_fades, n_tracks, n_codes, day_offset = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    paced, n_counts = sizes[5] > 0, sizes[6]
    with_days = n_fades > 0 or paced
    tallies = np.zeros((n_edges + 2, n_counts), np.float64)  # counts: whole numbers, exact to 2**53
    number = np.empty(n_slots, np.float64)
    n_dims = codes.shape[0]
    sums = np.empty(n_slots, np.int64)
    notes = np.zeros((n_edges + 2, n_slots), np.int64)
    note_of = np.zeros(n_edges, np.int64)
    day_notes = np.zeros((n_edges, 6), np.int64)  # days, last day, next day; weeks, last, next week
    faded = np.empty(n_fades, np.float64)
    fade_day = np.empty(n_fades, np.int64)
    track = np.empty((n_tracks, 3), np.int64)  # moment of the last, of the first; row of the last
    answer = np.empty((sizes[7], 4), np.int64)  # moment and value of the last, the least, the most
    seen = np.full((n_dims, n_codes), NULL)
    touched = np.empty((n_dims, n_codes), np.int64)
    n_touched = np.zeros(n_dims, np.int64)
    gaps = np.zeros(FIRST_BIN + GAP_BINS + 7, np.int64)
    for customer in range(offsets.size - 1):
        low, high = offsets[customer], offsets[customer + 1]
        late = False
        if known.size:
            for i in range(low, high):
                if known[i] > moment[i]:
                    for k in range(n_dates):
                        late |= moment[i] < edges[edge_of[k]] <= known[i]
        # A row recorded after a date that follows it splits what is known by date: walk date by date.
        for first in range(n_dates if late else 1):
            last_edge = edge_of[first] if late else n_edges - 1
            cut = edges[last_edge]
            for s in range(n_slots):
                sums[s] = 0
            for f in range(n_fades):
                faded[f], fade_day[f] = 0.0, NULL
            for t in range(n_tracks):
                track[t, 0] = track[t, 1] = track[t, 2] = NULL
            for t in range(answer.shape[0]):
                answer[t, 0] = NULL
            for g in range(gaps.size if paced else 0):
                gaps[g] = 0
            n_notes, changed, pending = 1, False, 0
            date = first
            i = low
            for e in range(last_edge + 1):
                edge = edges[e]
                while i < high and moment[i] < edge:
                    row = i
                    i += 1
                    if late and known[row] >= cut:
                        continue
                    changed = True
                    now = moment[row]
                    c = classes[contact[row]]
                    opening = opens[row] if opens.size else 1
                    for j in range(counts[0, c], counts[0, c + 1]):
                        sums[counts[1, j]] += 1 if counts[2, j] == -1 else opening
                    for j in range(adds[0, c], adds[0, c + 1]):
                        v = values[adds[2, j], row]
                        if v != NULL:
                            sums[adds[1, j]] += v
                    for j in range(marks[0, c], marks[0, c + 1]):
                        t = marks[1, j]
                        track[t, 0], track[t, 2] = now, row
                        if track[t, 1] == NULL:
                            track[t, 1] = now
                    for j in range(replies[0, c], replies[0, c + 1]):
                        v = values[replies[2, j], row]
                        if v != NULL:
                            _reply(answer[replies[1, j]], now, v)
                    for dim in range(n_dims):
                        code = codes[dim, contact[row]]
                        if code >= 0:
                            if seen[dim, code] == NULL:
                                touched[dim, n_touched[dim]] = code
                                n_touched[dim] += 1
                            seen[dim, code] = now
                    if with_days:
                        day = (now - day_offset) // US_PER_DAY
                        for j in range(fades[0, c], fades[0, c + 1]):
                            m, more = fades[2, j], 0.0
                            if m >= 0:
                                if values[m, row] == NULL:
                                    continue
                                more = np.float64(values[m, row])
                            elif m == -1:
                                more = 1.0
                            elif m == -2:
                                more = np.float64(opening)
                            elif active[c] and opening and (gaps[0] == 0 or day != gaps[1]):
                                more = _day_value(m, gaps, day)
                            if more != 0.0:
                                f = fades[1, j]
                                if fade_day[f] != day:
                                    if fade_day[f] != NULL:
                                        faded[f] *= powers[half[f], min(day - fade_day[f], MAX_FADE - 1)]
                                    fade_day[f] = day
                                faded[f] += more
                        if paced and active[c] and opening:
                            _visit(gaps, day, now)
                            while pending < e:
                                day_notes[pending, 2] = day
                                day_notes[pending, 5] = (day + 3) // 7
                                pending += 1
                if changed:
                    for s in range(n_counts):
                        tallies[n_notes, s] = sums[s]
                    for s in range(n_counts, n_slots):
                        notes[n_notes, s] = sums[s]
                    n_notes += 1
                    changed = False
                note_of[e] = n_notes - 1
                if paced:
                    day_notes[e, 0], day_notes[e, 1], day_notes[e, 2] = gaps[0], gaps[1], NULL
                    day_notes[e, 3], day_notes[e, 4], day_notes[e, 5] = gaps[12], gaps[13], NULL
                while date < n_dates and edge_of[date] == e:
                    snapshot = customer * n_dates + date
                    lane = snapshot % LANES
                    block = snapshot // LANES
                    top = note_of[e]
                    for span in range(spans.shape[0]):
                        window = spans[span, 0]
                        before = note_of[low_edge[date, window]] if window >= 0 else 0
                        if before == top:  # nothing happened in the window
                            for j in range(spans[span, 1], spans[span, 2]):
                                noted[block, summed[1, j], lane] = 0.0
                            for j in range(spans[span, 3], spans[span, 4]):
                                result[snapshot, direct[1, j]] = 0.0
                            continue
                        for j in range(n_counts):
                            number[j] = tallies[top, j] - tallies[before, j]
                        for j in range(n_counts, n_slots):
                            number[j] = np.float64(notes[top, j] - notes[before, j]) / scales[j]
                        for j in range(spans[span, 1], spans[span, 2]):
                            noted[block, summed[1, j], lane] = number[summed[0, j]]
                        for j in range(spans[span, 3], spans[span, 4]):
                            result[snapshot, direct[1, j]] = np.float32(number[direct[0, j]])
                    today = (edge - day_offset) // US_PER_DAY
                    _note(
                        noted, block, lane, edge, e, date, facts, low_edge,
                        day_notes, faded, fade_day, powers, half, today, track, values, answer, seen, touched,
                        n_touched, edges, gaps, day_offset,
                    )  # fmt: skip
                    date += 1
                    if late:
                        break
            for dim in range(n_dims):
                for j in range(n_touched[dim]):
                    seen[dim, touched[dim, j]] = NULL
                n_touched[dim] = 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _reply(answer: Any, now: int, value: int) -> None:
    """Take one value of a measure into what is known of its answers."""
    first = answer[0] == NULL
    answer[0] = now
    answer[1] = value
    answer[2] = value if first else min(answer[2], value)
    answer[3] = value if first else max(answer[3], value)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _day_value(measure: int, gaps: Any, day: int) -> float:
    """Return what a new day of activity adds: 1, or for its gap 1, its logarithm, or that squared."""
    if measure == -3:
        return 1.0
    if gaps[0] == 0:
        return 0.0
    log = GAP_LOGS[min(day - gaps[1], GAP_LOGS.size - 1)] / 1e6
    return 1.0 if measure == -4 else (log if measure == -5 else log * log)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _visit(gaps: Any, day: int, now: int) -> None:
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
        gaps[FIRST_BIN + _gap_bin(gap)] += 1
        for j in range(len(LONG_GAPS)):
            if gap > LONG_GAPS[j]:
                gaps[8 + j] = now
        if week != gaps[13]:
            gaps[12] += 1
            gaps[13] = week
    gaps[1] = day
    gaps[14] = now
    gaps[FIRST_BIN + GAP_BINS + (day + 3) % 7] += 1


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _note(
    noted: Any, block: int, lane: int, edge: int, e: int, date: int, facts: Any, low_edge: Any,
    day_notes: Any, faded: Any, fade_day: Any, powers: Any, half: Any, today: int, track: Any, values: Any,
    answer: Any, seen: Any, touched: Any, n_touched: Any, edges: Any, gaps: Any, day_offset: int,
) -> None:  # fmt: skip
    """Write the facts of one snapshot that are not sums."""
    for f in range(facts.shape[0]):
        kind, a, window, register, scale = facts[f, 0], facts[f, 1], facts[f, 2], facts[f, 3], facts[f, 4]
        value = np.nan
        if kind == DECAY:
            ago = 0 if fade_day[a] == NULL else max(today - fade_day[a], 0)
            value = faded[a] * powers[half[a], min(ago, MAX_FADE - 1)] / scale
        elif kind == TRACK_LAST or kind == TRACK_FIRST:
            at = track[a, kind - TRACK_LAST]
            if at != NULL:
                value = (edge - at) / US_PER_DAY
        elif kind == TRACK_VALUE:
            if track[a, 0] != NULL:
                last = values[window, track[a, 2]] if window >= 0 else 1
                if last != NULL:
                    value = last / scale
        elif kind >= ANSWER_DAYS:
            if answer[a, 0] == NULL:
                value = np.nan
            elif kind == ANSWER_DAYS:
                value = (edge - answer[a, 0]) / US_PER_DAY
            else:
                value = answer[a, kind - ANSWER_DAYS] / scale
        elif kind == DISTINCT:
            since = edges[low_edge[date, window]] if window >= 0 else NULL + 1
            count = 0
            for j in range(n_touched[a]):
                count += seen[a, touched[a, j]] >= since
            value = float(count)
        elif kind == DAYS or kind == WEEKS:
            p = 3 * (kind - DAYS)
            whole = day_notes[e, p]
            if window >= 0:
                before = low_edge[date, window]
                whole -= day_notes[before, p]
                # a day that began before the window and goes on inside it was counted before
                whole += day_notes[before, p] > 0 and day_notes[before, p + 1] == day_notes[before, p + 2]
            value = float(whole)
        else:
            value = _pace(gaps, a, window, edge, edge - day_offset)
        noted[block, register, lane] = value


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pace(gaps: Any, statistic: int, parameter: int, edge: int, local: int) -> Any:
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
                return _bin_days(b)
    silence = _gap_bin(max(0, (edge - gaps[14]) // US_PER_DAY))
    as_long = 0
    for b in range(silence, GAP_BINS):
        as_long += gaps[FIRST_BIN + b]
    return as_long / n if statistic == 8 else float(as_long)
