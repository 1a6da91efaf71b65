"""The compiled look-ups of many rows, block by block, each block feature by feature."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from training.shap_leaves import MOST_LEAVES, SPREAD, all_leaves
from training.shap_walk import points_of, walk_block
from training.trees import LEFT_IF_LESS, LEFT_IF_LESS_OR_UNKNOWN, goes_left

MOST_ROWS, LEAST_ROWS, BLOCK_BYTES = 512, 128, 5 << 18
"""A block has so many rows that its values and sums take no more than these bytes: about the second cache."""
TILE = 8
"""Rows whose features are turned round together."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def explain_blocks(
    X: Any,  # float32 or float64[rows, features]
    bag: Any,  # (booster_end, node_start, feature, threshold in the type of X, kind, left, right, leaf_value,
    #            words_start, words; possible, placed: `exits`)
    tables: Any,  # the arrays of `Tables`
    sizes: Any,  # (nodes of the largest tree, bits of the widest walk, whether to explain)
    score: Any,  # float64[rows], written
    shap: Any,  # float64[rows, columns + 1], written but for the last; [0, 1] when nothing is explained
) -> None:
    """Write the sum of the boosters' scores, each as LightGBM adds it up, and of their SHAP values."""
    booster_end, node_start, feature, threshold, kind, left, right, leaf_value, words_start, words = bag[:10]
    possible, placed = bag[10], bag[11]
    group_start, bit_start, asked_start, asked_node, asked_left = tables[:5]
    column_start, column, table_start, values, cover, walk_value, factor_start, factors = tables[7:]
    most_nodes, most_walked, explains = sizes
    n_rows, n_features = X.shape
    n_columns = shap.shape[1] - 1
    row_bytes = X.itemsize * n_features + 8 * n_columns
    width = min(max(LEAST_ROWS, min(MOST_ROWS, BLOCK_BYTES // row_bytes)), n_rows)
    x = np.empty((n_features, width), X.dtype)
    went = np.empty((most_nodes + 1, width), np.uint8)  # the last for what is asked at several nodes
    may = np.empty(width, np.uint32)
    pattern, place = np.empty(width, np.uint8), np.empty(width, np.uint32)
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
                every = all_leaves(n)
                for r in range(m):
                    may[r] = every
                for i in range(n):
                    at = a + i
                    of, limit, k = np.int64(feature[at]), threshold[at], kind[at]
                    if_right, if_left = possible[at, 0], possible[at, 1]
                    if k == LEFT_IF_LESS:
                        for r in range(m):
                            is_left = x[of, r] <= limit
                            went[i, r] = np.uint8(255) if is_left else np.uint8(0)
                            may[r] &= if_left if is_left else if_right
                    elif k == LEFT_IF_LESS_OR_UNKNOWN:
                        for r in range(m):
                            is_right = x[of, r] > limit
                            went[i, r] = np.uint8(0) if is_right else np.uint8(255)
                            may[r] &= if_right if is_right else if_left
                    else:
                        some = words[words_start[at, 0] : words_start[at, 1]]
                        for r in range(m):
                            is_left = goes_left(x[of, r], limit, k, some)
                            went[i, r] = np.uint8(255) if is_left else np.uint8(0)
                            may[r] &= if_left if is_left else if_right
                if n < MOST_LEAVES:  # the one leaf that no node forbids
                    begin: Any = np.uint64(tree) * np.uint64(MOST_LEAVES)
                    for r in range(m):
                        one[r] += placed[begin + np.uint64(np.uint32(may[r] * SPREAD) >> np.uint32(27))]
                else:
                    for r in range(m):
                        u: Any = np.int64(0)
                        while u >= 0:
                            u = np.int64(left[a + u] if went[u, r] else right[a + u])
                        one[r] += leaf_value[a + tree - u - 1]
                if explains:
                    for g in range(group_start[tree], group_start[tree + 1]):
                        b, n_bits = bit_start[g], bit_start[g + 1] - bit_start[g]
                        c, used = column_start[g], column_start[g + 1] - column_start[g]
                        if table_start[g] < 0:
                            for k in range(n_bits):
                                _both(b + k, asked_start, asked_node, asked_left, went, held, k, m)
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
                        for k in range(n_bits):
                            s, mask = asked_start[b + k], np.uint8(1 << k)
                            asked: Any = np.int64(asked_node[s])
                            if asked_start[b + k + 1] - s > 1 or not asked_left[s]:
                                asked = most_nodes
                                _both(b + k, asked_start, asked_node, asked_left, went, went, asked, m)
                            if k == 0:
                                for r in range(m):
                                    pattern[r] = went[asked, r] & mask
                            else:
                                for r in range(m):
                                    pattern[r] |= went[asked, r] & mask
                        for r in range(m):
                            place[r] = np.uint32(pattern[r]) * np.uint32(used)
                        for j in range(used):
                            to: Any = np.int64(column[c + j])
                            begin = np.uint64(table_start[g] + j)
                            for r in range(m):
                                sums[to, r] += values[begin + np.uint64(place[r])]
                tree += 1
            for r in range(m):
                score[low + r] += one[r]
        if explains:
            for first in range(0, m, TILE):
                for f in range(n_columns):
                    for r in range(first, min(first + TILE, m)):
                        shap[low + r, f] = sums[f, r]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _both(bit: int, start: Any, node: Any, asked_left: Any, went: Any, to: Any, row: int, m: int) -> None:
    """Write into a row of `to` whether rows went the asked way at all the nodes that a bit asks."""
    for k in range(start[bit], start[bit + 1]):
        i, flip = np.int64(node[k]), np.uint8(0 if asked_left[k] else 255)
        if k == start[bit]:
            for r in range(m):
                to[row, r] = went[i, r] ^ flip
        else:
            for r in range(m):
                to[row, r] &= went[i, r] ^ flip
