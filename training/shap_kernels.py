"""The compiled look-ups: scores and SHAP values of rows, a block at a time and one alone, the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from training.shap_leaves import MOST_LEAVES, SPREAD, all_leaves
from training.shap_walk import points_of, walk_block
from training.trees import LEFT_IF_LESS, LEFT_IF_LESS_OR_UNKNOWN, goes_left

BLOCK = 256
"""Rows that are explained together: a block and its sums stay in the second cache."""
TILE = 16


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def explain_blocks(
    X: Any,  # float32 or float64[rows, features]
    bag: Any,  # (booster_end, node_start, feature, threshold in the type of X, kind, left, right, leaf_value,
    #            words_start, words; possible, placed: `exits`)
    tables: Any,  # the arrays of `Tables`
    sizes: Any,  # (nodes of the largest tree, bits of the widest walk, whether to explain)
    score: Any,  # float64[rows], written
    shap: Any,  # float64[rows, columns], written
) -> None:
    """Write the sum of the boosters' scores, each as LightGBM adds it up, and of their SHAP values."""
    booster_end, node_start, feature, threshold, kind, left, right, leaf_value, words_start, words = bag[:10]
    possible, placed = bag[10], bag[11]
    group_start, bit_start, asked_start, asked_node, asked_left = tables[:5]
    column_start, column, table_start, values, cover, walk_value, factor_start, factors = tables[7:]
    most_nodes, most_walked, explains = sizes
    n_rows, n_features = X.shape
    n_columns = shap.shape[1]
    width = min(BLOCK, n_rows)
    x = np.empty((n_features, width), X.dtype)
    went = np.empty((most_nodes, width), np.uint8)
    may = np.empty(width, np.uint32)
    pattern, place = np.empty(width, np.uint8), np.empty(width, np.uint32)
    both = np.empty(width, np.uint8)
    sums = np.empty((n_columns, width))
    held, walked = np.empty((most_walked, width), np.uint8), np.empty((most_walked, width))
    products, one = np.empty((2, width)), np.empty(width)
    for low in range(0, n_rows, width):
        m = min(width, n_rows - low)
        for first in range(0, m, TILE):
            for f in range(n_features):
                for r in range(first, min(first + TILE, m)):
                    x[f, r] = X[low + r, f]
        if explains:
            sums[:] = 0.0
        score[low : low + m] = 0.0
        tree = 0
        for end in booster_end:
            one[:m] = 0.0
            while tree < end:
                a, n = node_start[tree], node_start[tree + 1] - node_start[tree]
                may[:m] = all_leaves(n)
                for i in range(n):
                    xs, to, limit, k = x[feature[a + i]], went[i], threshold[a + i], kind[a + i]
                    if k == LEFT_IF_LESS:
                        for r in range(m):
                            to[r] = np.uint8(255) if xs[r] <= limit else np.uint8(0)
                    elif k == LEFT_IF_LESS_OR_UNKNOWN:
                        for r in range(m):
                            to[r] = np.uint8(0) if xs[r] > limit else np.uint8(255)
                    else:
                        some = words[words_start[a + i, 0] : words_start[a + i, 1]]
                        for r in range(m):
                            to[r] = np.uint8(255) if goes_left(xs[r], limit, k, some) else np.uint8(0)
                    if_right, if_left = possible[a + i]
                    for r in range(m):
                        may[r] &= if_left if to[r] else if_right
                if n < MOST_LEAVES:  # the one leaf that no node forbids
                    own = placed[MOST_LEAVES * tree :]
                    for r in range(m):
                        one[r] += own[np.uint32(may[r] * SPREAD) >> np.uint32(27)]
                else:
                    for r in range(m):
                        i = np.int64(0)
                        while i >= 0:
                            i = np.int64(left[a + i] if went[i, r] else right[a + i])
                        one[r] += leaf_value[a + tree - i - 1]
                if explains:
                    for g in range(group_start[tree], group_start[tree + 1]):
                        b, n_bits = bit_start[g], bit_start[g + 1] - bit_start[g]
                        c, used = column_start[g], column_start[g + 1] - column_start[g]
                        if table_start[g] < 0:
                            for k in range(n_bits):
                                _both(asked_start[b + k], asked_start[b + k + 1], asked_node, asked_left, went, held[k], m)
                            half, f = points_of(n_bits), factor_start[g]
                            walk_block(
                                walk_value[g],
                                cover[b : b + n_bits],
                                column[c : c + n_bits],
                                factors[f : f + n_bits * half * 4].reshape((n_bits, half, 4)),
                                held[:n_bits, :m],
                                products,
                                walked,
                                sums,
                            )
                            continue
                        for r in range(m):
                            pattern[r] = 0
                        for k in range(n_bits):
                            s, e = asked_start[b + k], asked_start[b + k + 1]
                            to = both
                            if e - s == 1 and asked_left[s]:
                                to = went[asked_node[s]]
                            else:
                                _both(s, e, asked_node, asked_left, went, both, m)
                            mask = np.uint8(1 << k)
                            for r in range(m):
                                pattern[r] |= to[r] & mask
                        for r in range(m):
                            place[r] = np.uint32(pattern[r]) * np.uint32(used)
                        table = values[table_start[g] :]
                        for j in range(used):
                            to_sum, part = sums[column[c + j]], table[j:]
                            for r in range(m):
                                to_sum[r] += part[place[r]]
                tree += 1
            for r in range(m):
                score[low + r] += one[r]
        if explains:
            for first in range(0, m, TILE):
                for f in range(n_columns):
                    for r in range(first, min(first + TILE, m)):
                        shap[low + r, f] = sums[f, r]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _both(start: int, end: int, node: Any, goes_left: Any, went: Any, to: Any, m: int) -> None:
    """Write whether rows went the asked way at all the nodes from `start` to `end`."""
    first, flip = went[node[start]], np.uint8(0 if goes_left[start] else 255)
    for r in range(m):
        to[r] = first[r] ^ flip
    for k in range(start + 1, end):
        more, flip = went[node[k]], np.uint8(0 if goes_left[k] else 255)
        for r in range(m):
            to[r] &= more[r] ^ flip
