"""The compiled walk over each customer's rows, and the arithmetic on what it noted.

Every customer's rows are walked once for all `as_of` dates and windows: running sums are noted at the
sorted edges (each `as_of`, and each `as_of` minus a window) and subtracted. Sums are of integers, and
decayed sums fade by whole days of the one customer, so a snapshot has the same bits whatever else was
asked for.

What is added to a decayed sum is not faded from row to row: it is weighed by how much later than the
customer's first day it came, and the sum is faded once, when it is read.

Source: Cormode, Shkapenyuk, Srivastava and Xu (2009), "Forward decay: a practical time decay model for
streaming systems".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from features.gaps import FIRST_BIN, GAP_BINS, day_value, pace, visit
from features.streams import NULL

US_PER_DAY = 86_400_000_000
LANES = 8
"""Snapshots that stand side by side, so that arithmetic takes them together."""
MAX_FADE = 4096
"""Days after which a decayed sum has faded to nothing."""
MAX_GROWTH = 2048
"""Days from which on what is added to a decayed sum is weighed anew."""

# What a fact reads: first column of the fact tables.
SUM, DECAY, TRACK_LAST, TRACK_FIRST, TRACK_VALUE, DISTINCT, DAYS, WEEKS, PACE = range(9)
ANSWER_DAYS, ANSWER_LAST, ANSWER_LEAST, ANSWER_MOST = range(9, 13)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk(
    offsets: Any,  # int64[customers + 1], into the rows
    moment: Any,  # int64[rows] µs
    known: Any,  # int64[rows] µs, or empty: known at once
    contact: Any,  # int64[rows]
    opens: Any,  # int8[rows], or empty: all open
    values: Any,  # int64[measures, rows]
    classes: Any,  # int64[contacts]: contacts of a class add to the same
    # what a class adds to: int32[], where each class begins, then pairs; see `features.noting.joined`
    adds: Any,  # (slot, measure): running sums of values
    counts: Any,  # (slot, measure): running numbers of rows (-1) or contacts (-2)
    fades: Any,  # (fade, measure): decayed sums of values, of rows (-1), of contacts (-2)
    day_fades: Any,  # (fade, measure): decayed sums of DAY_MEASURES (-3 to -6)
    marks: Any,  # (track, -): last and first rows
    replies: Any,  # (answer, measure): rows that have a value of the measure
    codes: Any,  # int64[dimensions, contacts], -1 where the field does not count
    active: Any,  # int8[classes]
    sizes: Any,  # int64[8]: slots, fades, tracks, codes of a dimension, day offset µs, pace asked, counts,
    #              answers
    powers: Any,  # float64[half-lives, MAX_FADE]: 2^(-days / half-life)
    growth: Any,  # float64[half-lives, MAX_GROWTH]: 2^(days / half-life)
    reach: Any,  # int64[half-lives]: days up to which `growth` is finite enough
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
    base = np.zeros(reach.size, np.int64)  # the day from which what is added is weighed
    weight = np.ones(reach.size, np.float64)
    left = np.ones(reach.size, np.float64)  # what is left of a weighed sum on the day that it is read
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
                faded[f] = 0.0
            last_day = NULL
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
                    for j in range(counts[c], counts[c + 1], 2):
                        sums[counts[j]] += 1 if counts[j + 1] == -1 else opening
                    at = np.uint64(row)  # what is unsigned needs no look whether it counts from the end
                    for j in range(adds[c], adds[c + 1], 2):
                        v = values[np.uint64(adds[j + 1]), at]
                        sums[np.uint64(adds[j])] += v if v != NULL else 0
                    for j in range(marks[c], marks[c + 1], 2):
                        t = marks[j]
                        track[t, 0], track[t, 2] = now, row
                        if track[t, 1] == NULL:
                            track[t, 1] = now
                    for j in range(replies[c], replies[c + 1], 2):
                        v = values[np.uint64(replies[j + 1]), at]
                        if v != NULL:
                            _reply(answer[replies[j]], now, v)
                    for dim in range(n_dims):
                        code = codes[dim, contact[row]]
                        if code >= 0:
                            if seen[dim, code] == NULL:
                                touched[dim, n_touched[dim]] = code
                                n_touched[dim] += 1
                            seen[dim, code] = now
                    if with_days:
                        day = (now - day_offset) // US_PER_DAY
                        if day != last_day:
                            _weigh(day, last_day, base, weight, faded, half, powers, growth, reach)
                            last_day = day
                        for j in range(fades[c], fades[c + 1], 2):
                            fade, m = np.uint64(fades[j]), fades[j + 1]
                            v = values[np.uint64(m), at] if m >= 0 else (1 if m == -1 else opening)
                            more = np.float64(v) if v != NULL else 0.0
                            faded[fade] += more * weight[np.uint64(half[fade])]
                        if active[c] and opening and (gaps[0] == 0 or day != gaps[1]):
                            for j in range(day_fades[c], day_fades[c + 1], 2):
                                f = day_fades[j]
                                faded[f] += day_value(day_fades[j + 1], gaps, day) * weight[half[f]]
                        if paced and active[c] and opening:
                            visit(gaps, day, now)
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
                    if last_day != NULL:
                        ago = min(max((edge - day_offset) // US_PER_DAY - last_day, 0), MAX_FADE - 1)
                        for h in range(reach.size):
                            left[h] = powers[h, ago] / growth[h, last_day - base[h]]
                    _note(
                        noted, block, lane, edge, e, date, facts, low_edge,
                        day_notes, faded, left, half, track, values, answer, seen, touched,
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
def _weigh(
    day: int, last_day: int, base: Any, weight: Any, faded: Any, half: Any, powers: Any, growth: Any,
    reach: Any,
) -> None:  # fmt: skip
    """Find what a row of a later day weighs, by half-life; where it grew too large, begin anew from here."""
    for h in range(base.size):
        days = day - base[h]
        if last_day != NULL and days <= reach[h]:
            weight[h] = growth[h, days]
            continue
        for f in range(faded.size if last_day != NULL else 0):
            if half[f] == h:
                faded[f] *= powers[h, min(days, MAX_FADE - 1)]
        base[h] = day
        weight[h] = 1.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _reply(answer: Any, now: int, value: int) -> None:
    """Take one value of a measure into what is known of its answers."""
    first = answer[0] == NULL
    answer[0] = now
    answer[1] = value
    answer[2] = value if first else min(answer[2], value)
    answer[3] = value if first else max(answer[3], value)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _note(
    noted: Any, block: int, lane: int, edge: int, e: int, date: int, facts: Any, low_edge: Any,
    day_notes: Any, faded: Any, left: Any, half: Any, track: Any, values: Any, answer: Any,
    seen: Any, touched: Any, n_touched: Any, edges: Any, gaps: Any, day_offset: int,
) -> None:  # fmt: skip
    """Write the facts of one snapshot that are not sums."""
    for f in range(facts.shape[0]):
        kind, a, window, register, scale = facts[f, 0], facts[f, 1], facts[f, 2], facts[f, 3], facts[f, 4]
        value = np.nan
        if kind == DECAY:
            value = faded[a] * left[half[a]] / scale
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
            value = pace(gaps, a, window, edge, edge - day_offset)
        noted[block, register, lane] = value
