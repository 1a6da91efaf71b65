"""The compiled look-ups of a few rows, one by one: the same bits as in blocks, without their preparation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from training.shap_leaves import MOST_LEAVES, SPREAD, all_leaves
from training.shap_walk import points_of, walk_row
from training.trees import LEFT_IF_LESS_OR_UNKNOWN, goes_left


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def explain_rows(X: Any, bag: Any, tables: Any, sizes: Any, score: Any, shap: Any) -> None:
    """Write what `explain_blocks` writes, of trees with at most `MOST_LEAVES` leaves."""
    booster_end, node_start, feature, threshold, kind, _left, _right, _leaves, words_start, words = bag[:10]
    possible, placed = bag[10], bag[11]
    group_start, bit_start, asked, wanted = tables[0], tables[1], tables[5], tables[6]
    column_start, column, table_start, values, cover, walk_value, factor_start, factors = tables[7:]
    explains = sizes[2]
    n_columns = shap.shape[1] - 1
    walked, sums = np.empty(sizes[1]), np.empty(n_columns)
    patterns = np.empty(table_start.size, np.uint32)
    for row in range(X.shape[0]):
        x = X[row]
        for f in range(n_columns):
            sums[f] = 0.0
        total, tree = 0.0, 0
        for end in booster_end:
            one = 0.0
            while tree < end:
                a, z = node_start[tree], node_start[tree + 1]
                may, went = all_leaves(z - a), np.uint32(0)
                for at in range(a, z):
                    v, k = x[feature[at]], kind[at]
                    if k <= LEFT_IF_LESS_OR_UNKNOWN:
                        is_left = (v <= threshold[at]) | ((v != v) & (k == LEFT_IF_LESS_OR_UNKNOWN))
                    else:
                        is_left = goes_left(
                            v, threshold[at], k, words[words_start[at, 0] : words_start[at, 1]]
                        )
                    went |= np.uint32(is_left) << np.uint32(at - a)
                    may &= possible[at, np.uint64(is_left)]  # a branch here would be guessed wrong
                one += placed[
                    np.int64(tree) * MOST_LEAVES + np.int64(np.uint32(may * SPREAD) >> np.uint32(27))
                ]
                first, last = (group_start[tree], group_start[tree + 1]) if explains else (0, 0)
                for g in range(first, last):
                    b, pattern = bit_start[g], np.uint64(0)
                    for k in range(bit_start[g + 1] - b):
                        pattern |= np.uint64((went & asked[b + k]) == wanted[b + k]) << np.uint64(k)
                    patterns[g] = pattern
                tree += 1
            total += one
        score[row] = total
        if not explains:
            continue
        for g in range(table_start.size):  # apart, so that the look-ups wait for memory together
            c, pattern = column_start[g], np.uint64(patterns[g])
            if table_start[g] < 0:
                b, n_bits = bit_start[g], bit_start[g + 1] - bit_start[g]
                half, f = points_of(n_bits), factor_start[g]
                own = factors[f : f + n_bits * half * 4].reshape((n_bits, half, 4))
                walk_row(
                    *(walk_value[g], cover[b : b + n_bits], column[c : c + n_bits]),
                    *(own, pattern, walked, sums),
                )
                continue
            used = column_start[g + 1] - c
            place = table_start[g] + np.int64(pattern) * used
            for j in range(used):
                sums[column[c + j]] += values[place + j]
        for f in range(n_columns):
            shap[row, f] = sums[f]
