"""The compiled walk over each customer's rows, and the arithmetic on what it noted.

Every customer's rows are walked once for all `as_of` dates and windows: running sums are noted at the
sorted edges (each reading, and each reading minus a window) and subtracted. A reading is an `as_of`, or so
many days before one: what is read then is another view of the same rows. Sums are of integers, and
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

from features.gaps import DAY_MEASURES, FIRST_BIN, GAP_BINS, day_values, pace, visit
from features.lanes import FOUR, add_four_weighted
from features.streams import NULL

US_PER_DAY = 86_400_000_000
MOST = np.iinfo(np.int64).max
LANES = 32
"""Snapshots that stand side by side at most, so that arithmetic takes them together."""
MAX_FADE = 4096
"""Days after which a decayed sum has faded to nothing."""
MAX_GROWTH = 2048
"""Days from which on what is added to a decayed sum is weighed anew."""

TILE = 64
"""Rows of a customer whose numbers are laid out at a time: of each source `TILE` numbers."""
VALUE, SOME, ROW, CONTACT, DAY = range(5)
"""What is added: a number of the row, 0 if it has none; 1 if it has one; 1; 1 if it opens a contact; what a
new day of activity adds, by `DAY_MEASURES`."""
FIRST_DAY_MEASURE = -3
"""What stands for the first of `DAY_MEASURES`; the others follow downwards."""

# What a fact reads: first column of the fact tables.
SUM, DECAY, TRACK_LAST, TRACK_FIRST, TRACK_VALUE, DISTINCT, DAYS, WEEKS, PACE = range(9)
ANSWER_DAYS, ANSWER_LAST, ANSWER_LEAST, ANSWER_MOST = range(9, 13)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def walk(
    offsets: Any,  # int64[customers + 1], into the rows
    moment: Any,  # int64[rows] µs
    known: Any,  # int64[rows] µs, or empty: known at once
    contact: Any,  # int64[rows]
    opens: Any,  # int8[rows], or empty: all open
    values: Any,  # int64[measures, rows]
    classes: Any,  # int64[contacts]: contacts of a class add to the same
    ones: Any,  # int32[2, classes, counts]: what a row adds to running numbers; [1]: if it opens a contact
    work: Any,  # int32[]: what else a class adds to; see `features.noting.work_of`
    sources: Any,  # int64[2, sources]: what is added (VALUE...), and of which measure
    codes: Any,  # int32[contacts, dimensions], the number of codes where the field does not count
    active: Any,  # int8[classes]
    sizes: Any,  # int64[7]: slots, fades, tracks, codes of a dimension, day offset µs, pace asked, answers
    powers: Any,  # float64[half-lives, MAX_FADE]: 2^(-days / half-life)
    growth: Any,  # float64[MAX_GROWTH, half-lives]: 2^(days / half-life)
    reach: Any,  # int64[half-lives]: days up to which `growth` is finite enough
    half: Any,  # int64[fades]: which half-life each decayed sum has; see `features.fading`
    edges: Any,  # int64[edges] µs, ascending
    edge_of: Any,  # int64[readings], ascending: where each is among the edges
    low_edge: Any,  # int64[readings, windows]
    date_of: Any,  # int64[readings]: the date that is asked for
    view_of: Any,  # int64[readings]: which facts are read, of `views` and `parts`
    n_dates: int,
    scales: Any,  # float64[slots - counts]: what a sum is divided by
    summed: Any,  # int64[2, sums]: slot, register; those of one window together
    direct: Any,  # int64[2, sums]: slot, feature; sums that are features as they are
    spans: Any,  # int64[spans, 5]: window (-1: all that is known), its parts of `summed` and `direct`
    views: Any,  # int64[views + 1]: where the spans of each view begin
    facts: Any,  # int64[facts, 5]: kind, a, window, parameter or measure, register, scale; all but sums
    parts: Any,  # int64[views, kinds + 1]: where the facts of each kind begin
    noted: Any,  # float64[blocks, registers, lanes], written
    result: Any,  # float32[snapshots, features], written where `direct`
) -> None:
    """Write each customer's facts at each date; snapshot = customer * dates + date."""
    U = np.uint64  # no look is needed whether such a place counts from the end
    n_readings, n_edges, n_lanes = edge_of.size, edges.size, noted.shape[2]
    n_slots, n_fades, n_tracks, n_codes, day_offset = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    paced, n_counts = sizes[5] > 0, ones.shape[2]
    with_days = n_fades > 0 or paced
    number = np.empty(n_slots, np.float64)
    single = np.empty(n_slots, np.float32)
    n_dims = codes.shape[1]
    tally = np.zeros(n_counts, np.int32)
    tallies = np.zeros((n_edges + 2, n_counts), np.int32)
    sums = np.empty(n_slots, np.int64)
    notes = np.zeros((n_edges + 2, n_slots - n_counts), np.int64)
    note_of = np.zeros(n_edges, np.int64)
    day_notes = np.zeros((n_edges, 6), np.int64)  # days, last day, next day; weeks, last, next week
    faded = np.empty(n_fades, np.float64)
    base = np.zeros(reach.size, np.int64)  # the day from which what is added is weighed
    weight = np.ones(reach.size + FOUR - 1, np.float64)  # by half-life; fours are read to their end
    left = np.ones(reach.size, np.float64)  # what is left of a weighed sum on the day that it is read
    track = np.empty((n_tracks, 2), np.int64)  # row of the last, of the first
    answer = np.empty((sizes[6], 4), np.int64)  # moment and value of the last, the least, the most
    seen = np.full((n_dims, n_codes + 1), NULL)
    seen[:, n_codes] = 0  # what does not count is never new
    touched = np.empty((n_dims, n_codes + 1), np.int64)
    n_touched = np.zeros(n_dims, np.int64)
    gaps = np.zeros(FIRST_BIN + GAP_BINS + 7, np.int64)
    tile = np.zeros(TILE * max(sources.shape[1], 1), np.float64)
    of_day = np.zeros(len(DAY_MEASURES), np.float64)
    for customer in range(offsets.size - 1):
        low, high = offsets[customer], offsets[customer + 1]
        late = False
        if known.size:
            for i in range(low, high):
                if known[i] > moment[i]:
                    for k in range(n_readings):
                        late |= moment[i] < edges[edge_of[k]] <= known[i]
        # A row recorded after a date that follows it splits what is known by date: walk date by date.
        for first in range(n_readings if late else 1):
            last_edge = edge_of[first] if late else n_edges - 1
            cut = edges[last_edge]
            tally[:] = 0
            sums[:] = 0
            faded[:] = 0.0
            last_day = NULL
            track[:] = -1
            answer[:] = NULL
            answer[:, 2] = MOST
            if paced:
                gaps[:] = 0
            n_notes, changed, pending = 1, False, 0
            reading = first
            i = laid = low
            for e in range(last_edge + 1):
                edge = edges[e]
                while i < high and moment[U(i)] < edge:
                    row, r = i, U(i)
                    i += 1
                    if late and known[r] >= cut:
                        continue
                    changed = True
                    now, whom = moment[r], U(contact[r])
                    c = U(classes[whom])
                    opening = opens.size == 0 or opens[r] != 0
                    for s in range(n_counts):
                        tally[s] += ones[U(opening), c, U(s)]
                    fresh = False
                    if with_days:
                        day = (now - day_offset) // US_PER_DAY
                        if day != last_day:
                            for h in range(reach.size):
                                days = day - base[U(h)]
                                if last_day == NULL or days > reach[U(h)]:
                                    _begin_anew(h, days, last_day, faded, half, powers)
                                    base[U(h)], days = day, 0
                                weight[U(h)] = growth[U(days), U(h)]
                            last_day = day
                        fresh = active[c] and opening and (gaps[0] == 0 or day != gaps[1])
                        if fresh:
                            day_values(gaps, day, of_day)
                    if row >= laid:
                        tile_from, laid = row, min(row + TILE, high)
                        _lay_out(tile, values, opens, sources, row, laid)
                    _add(
                        work, work[c], r, now, values, tile, row - tile_from, fresh, of_day, weight,
                        track, sums, faded, answer,
                    )  # fmt: skip
                    if paced and active[c] and opening:
                        visit(gaps, day, now)
                        while pending < e:
                            day_notes[pending, 2] = day
                            day_notes[pending, 5] = (day + 3) // 7
                            pending += 1
                    for dim in range(n_dims):
                        code, d = U(codes[whom, U(dim)]), U(dim)
                        touched[d, U(n_touched[d])] = code
                        n_touched[d] += seen[d, code] == NULL
                        seen[d, code] = now
                if changed:
                    for s in range(n_counts):
                        tallies[n_notes, s] = tally[s]
                    for s in range(n_slots - n_counts):
                        notes[n_notes, s] = sums[n_counts + s]
                    n_notes += 1
                    changed = False
                note_of[e] = n_notes - 1
                if paced:
                    day_notes[e, 0], day_notes[e, 1], day_notes[e, 2] = gaps[0], gaps[1], NULL
                    day_notes[e, 3], day_notes[e, 4], day_notes[e, 5] = gaps[12], gaps[13], NULL
                while reading < n_readings and edge_of[reading] == e:
                    snapshot, view = customer * n_dates + date_of[reading], view_of[reading]
                    features = result[snapshot]
                    block, lane = snapshot // n_lanes, snapshot % n_lanes
                    top = note_of[e]
                    for span in range(views[view], views[view + 1]):
                        window = spans[span, 0]
                        before = note_of[low_edge[reading, window]] if window >= 0 else 0
                        if before == top:  # nothing happened in the window
                            for j in range(spans[span, 1], spans[span, 2]):
                                noted[block, summed[1, j], lane] = 0.0
                            for j in range(spans[span, 3], spans[span, 4]):
                                result[snapshot, direct[1, j]] = 0.0
                            continue
                        for j in range(n_counts):
                            count = np.int32(tallies[top, j] - tallies[before, j])
                            number[j], single[j] = np.float64(count), np.float32(count)
                        for j in range(n_slots - n_counts):
                            total = np.float64(notes[top, j] - notes[before, j]) / scales[j]
                            number[n_counts + j], single[n_counts + j] = total, np.float32(total)
                        for j in range(spans[span, 1], spans[span, 2]):
                            noted[block, summed[1, j], lane] = number[summed[0, j]]
                        for j in range(U(spans[span, 3]), U(spans[span, 4])):
                            features[U(direct[1, j])] = single[U(direct[0, j])]
                    if last_day != NULL:
                        ago = min(max((edge - day_offset) // US_PER_DAY - last_day, 0), MAX_FADE - 1)
                        for h in range(reach.size):
                            left[h] = powers[h, ago] / growth[last_day - base[h], h]
                    _note(
                        noted, block, lane, edge, e, low_edge[reading], facts, parts[view],
                        day_notes, faded, left, half, track, moment, values, answer, seen, touched,
                        n_touched, edges, gaps, day_offset,
                    )  # fmt: skip
                    reading += 1
                    if late:
                        break
            for dim in range(n_dims):
                for j in range(n_touched[dim]):
                    seen[dim, touched[dim, j]] = NULL
                n_touched[dim] = 0


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _add(
    work: Any, begin: int, row: int, now: int, values: Any, tile: Any, at: int, fresh: bool, of_day: Any,
    weight: Any, track: Any, sums: Any, faded: Any, answer: Any,
) -> None:  # fmt: skip
    """Add a row to all that its class adds to; what is unsigned needs no look if it counts from the end."""
    U = np.uint64
    end = begin + 1 + work[U(begin)]
    for j in range(begin + 1, end):
        t = U(work[U(j)])
        first, track[t, 0] = track[t, 1], row
        track[t, 1] = first if first >= 0 else row
    begin, end = end + 1, end + 1 + work[U(end)]
    for j in range(begin, end, 2):
        sums[U(work[U(j)])] += np.int64(tile[U(work[U(j + 1)] + at)])
    begin, end = end + 1, end + 1 + work[U(end)]
    for j in range(begin, end, 3):
        number = tile[U(work[U(j + 1)] + at)]
        add_four_weighted(faded, U(work[U(j)]), weight, U(work[U(j + 2)]), number)
    begin, end = end + 1, end + 1 + work[U(end)]
    for j in range(begin, end, 3):
        faded[U(work[U(j)])] += tile[U(work[U(j + 1)] + at)] * weight[U(work[U(j + 2)])]
    begin, end = end + 1, end + 1 + work[U(end)]
    for j in range(begin, end if fresh else begin, 3):
        number = of_day[U(work[U(j + 1)])]
        add_four_weighted(faded, U(work[U(j)]), weight, U(work[U(j + 2)]), number)
    begin, end = end + 1, end + 1 + work[U(end)]
    for j in range(begin, end if fresh else begin, 3):
        faded[U(work[U(j)])] += of_day[U(work[U(j + 1)])] * weight[U(work[U(j + 2)])]
    begin, end = end + 1, end + 1 + work[U(end)]
    for j in range(begin, end, 2):
        a, value = U(work[U(j)]), values[U(work[U(j + 1)]), row]
        there, when, last = value != NULL, answer[a, 0], answer[a, 1]  # read first: then it takes no branch
        answer[a, 0] = now if there else when
        answer[a, 1] = value if there else last
        answer[a, 2] = min(answer[a, 2], value if there else MOST)
        answer[a, 3] = max(answer[a, 3], value)  # `NULL` is the least of all numbers


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _lay_out(tile: Any, values: Any, opens: Any, sources: Any, low: int, high: int) -> None:
    """Write what the rows [low, high) add, source by source; whole ones are below 2**53."""
    U = np.uint64
    for s in range(sources.shape[1]):
        what, measure, at = sources[0, s], U(sources[1, s]), U(TILE * s)
        if what == VALUE:
            for r in range(high - low):
                value = values[measure, U(low + r)]
                tile[at + U(r)] = np.float64(value if value != NULL else 0)
        elif what == SOME:
            for r in range(high - low):
                tile[at + U(r)] = np.float64(values[measure, U(low + r)] != NULL)
        else:
            for r in range(high - low):
                counts = what == ROW or opens.size == 0 or opens[U(low + r)] != 0
                tile[at + U(r)] = np.float64(counts)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _begin_anew(h: int, days: int, last_day: int, faded: Any, half: Any, powers: Any) -> None:
    """Fade the sums of a half-life to a day from which on what is added is weighed."""
    for f in range(half.size if last_day != NULL else 0):
        if half[f] == h:
            faded[f] *= powers[h, min(days, MAX_FADE - 1)]


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _note(
    noted: Any, block: int, lane: int, edge: int, e: int, low_edge: Any, facts: Any, parts: Any,
    day_notes: Any, faded: Any, left: Any, half: Any, track: Any, moment: Any, values: Any, answer: Any,
    seen: Any, touched: Any, n_touched: Any, edges: Any, gaps: Any, day_offset: int,
) -> None:  # fmt: skip
    """Write the facts of one snapshot that are not sums; a loop for each kind, as they come most often."""
    U = np.uint64
    into = noted[block, :, lane]
    for f in range(parts[DECAY], parts[DECAY + 1]):
        a = U(facts[f, 1])
        into[U(facts[f, 3])] = faded[a] * left[U(half[a])] / facts[f, 4]
    for f in range(parts[TRACK_LAST], parts[TRACK_FIRST + 1]):
        at = track[U(facts[f, 1]), U(facts[f, 0] - TRACK_LAST)]
        into[U(facts[f, 3])] = (edge - moment[U(at)]) / US_PER_DAY if at >= 0 else np.nan
    for f in range(parts[TRACK_VALUE], parts[TRACK_VALUE + 1]):
        at, measure, value = track[U(facts[f, 1]), 0], facts[f, 2], np.nan
        if at >= 0:
            last = values[U(measure), U(at)] if measure >= 0 else 1
            if last != NULL:
                value = last / facts[f, 4]
        into[U(facts[f, 3])] = value
    for f in range(parts[ANSWER_DAYS], parts[ANSWER_DAYS + 1]):
        when = answer[U(facts[f, 1]), 0]
        into[U(facts[f, 3])] = (edge - when) / US_PER_DAY if when != NULL else np.nan
    for f in range(parts[ANSWER_LAST], parts[ANSWER_MOST + 1]):
        a = U(facts[f, 1])
        known = answer[a, 0] != NULL
        into[U(facts[f, 3])] = answer[a, U(facts[f, 0] - ANSWER_DAYS)] / facts[f, 4] if known else np.nan
    for f in range(parts[DISTINCT], parts[DISTINCT + 1]):
        a, window = facts[f, 1], facts[f, 2]
        since = edges[low_edge[window]] if window >= 0 else NULL + 1
        count = 0
        for j in range(n_touched[a]):
            count += seen[a, touched[a, j]] >= since
        into[U(facts[f, 3])] = float(count)
    for f in range(parts[DAYS], parts[WEEKS + 1]):
        p, window = 3 * (facts[f, 0] - DAYS), facts[f, 2]
        whole = day_notes[e, p]
        if window >= 0:
            before = low_edge[window]
            whole -= day_notes[before, p]
            # a day that began before the window and goes on inside it was counted before
            whole += day_notes[before, p] > 0 and day_notes[before, p + 1] == day_notes[before, p + 2]
        into[U(facts[f, 3])] = float(whole)
    for f in range(parts[PACE], parts[PACE + 1]):
        into[U(facts[f, 3])] = pace(gaps, facts[f, 1], facts[f, 2], edge, edge - day_offset)
