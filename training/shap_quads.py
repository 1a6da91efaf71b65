"""Many rows through small trees, as of the frozen recipe: eight are asked, and four are looked up, at a time.

A tree of at most `NODES` nodes is asked them all at once, and each answer adds a step to one number a row,
which has three places in it: one in the table of each of the tree's two groups, and one among its leaves.
Tables are by the answers as they are, four columns wide, so that what four rows find there is turned round at
once. What is added, and in which order, is as in `training.shap_blocks`: the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from training.lanes import add_four_columns, add_four_rows
from training.shap_narrow import NODES, PATTERNS, NarrowTrees
from training.shap_tables import Tables

GROUPS, QUAD = 2, 4
PLACE, SCORE = 10, 20
"""Bits of a place in a group's table, and where the place among the leaves begins."""
MOST_ROWS, LEAST_ROWS, BLOCK_BYTES = 512, 128, 5 << 18
"""As of `training.shap_blocks`."""
TILE = 8
"""Rows whose features are turned round together; blocks are whole tiles."""


class QuadTrees(NamedTuple):
    """Trees as they are asked: `NODES` questions each, and their leaves."""

    booster_end: npt.NDArray[np.int64]
    asked: npt.NDArray[np.int64]
    """The values that are asked for: positions in a row, or in the row's copy in which what is unknown is
    below all numbers (`NarrowTrees.slot`)."""
    slot: npt.NDArray[np.int64]
    """Of each question, int64[n_trees * NODES]: which of them; questions that there are not add no step."""
    limit: npt.NDArray[Any]
    leaf_start: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.float64]
    """Of each tree from `leaf_start` on, pattern by pattern of its answers: the value of the leaf."""


class QuadTables(NamedTuple):
    """Tables as they are looked up."""

    step: npt.NDArray[np.uint32]
    """Of each question: what going left adds to the places."""
    quad_start: npt.NDArray[np.int64]
    """First quad of each tree's groups, int64[n_trees * GROUPS + 1]."""
    column: npt.NDArray[np.int64]
    """Of each quad `QUAD` columns; where there are fewer, the one behind all, which is never told."""
    begin: npt.NDArray[np.int64]
    """Of each quad: where its table begins in `values`."""
    values: npt.NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return int(self.values.nbytes)


def quad_trees(trees: NarrowTrees, n_features: int) -> QuadTrees:
    """Return narrow trees of rows of so many features as they are asked here."""
    there = trees.slot < 2 * n_features
    asked, slot = np.unique(np.where(there, trees.slot, 0), return_inverse=True)
    patterns = 1 << there.reshape(-1, NODES).sum(axis=1)
    leaf = trees.leaf_start[:, None] + trees.leaf_of.reshape(-1, PATTERNS)[trees.shape]
    return QuadTrees(
        booster_end=trees.booster_end,
        asked=asked.astype(np.int64),
        slot=slot.astype(np.int64),
        limit=trees.limit,
        leaf_start=np.cumsum(patterns) - patterns,
        leaves=trees.leaf_value[leaf[np.arange(PATTERNS) < patterns[:, None]]],
    )


def quad_tables(tables: Tables, sizes: npt.NDArray[np.int64], columns: int, room: int) -> QuadTables | None:
    """Return the tables of narrow trees of so many nodes (int64[n_trees]); None where they are not for here.

    They are not where leaves are walked, tables are single, a tree has more groups than `GROUPS`, or they
    would take more than so many bytes.
    """
    groups = np.diff(tables.group_start)
    if tables.n_walks or tables.values.dtype != np.float64 or groups.max(initial=0) > GROUPS:
        return None
    n_quads, n_values = _room(tables.bit_start, tables.asked, tables.column_start)
    if 8 * n_values > room:
        return None
    found = QuadTables(
        step=np.zeros(len(sizes) * NODES, np.uint32),
        quad_start=np.zeros(len(sizes) * GROUPS + 1, np.int64),
        column=np.full(n_quads * QUAD, columns, np.int64),
        begin=np.zeros(n_quads, np.int64),
        values=np.zeros(n_values),
    )
    of_tables = tables.bit_start, tables.asked, tables.wanted, tables.column_start, tables.column
    _fill(tables.group_start, *of_tables, tables.table_start, tables.values, sizes, *found)
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _room(bit_start: Any, asked: Any, column_start: Any) -> tuple[int, int]:
    """Return how many quads there are, and how many values in their tables."""
    n_quads = n_values = 0
    for g in range(bit_start.size - 1):
        quads = (column_start[g + 1] - column_start[g] + QUAD - 1) // QUAD
        n_quads += quads
        n_values += quads * QUAD << _nodes(bit_start, asked, g)[0]
    return n_quads, n_values


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nodes(bit_start: Any, asked: Any, g: int) -> tuple[int, int]:
    """Return on how many nodes a group hangs, and a bit for each."""
    nodes: Any = np.int64(0)
    n: Any = 0
    for bit in range(bit_start[g], bit_start[g + 1]):
        nodes |= np.int64(asked[bit])
    for k in range(NODES):
        n += (nodes >> k) & 1
    return n, nodes


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(
    group_start: Any,
    bit_start: Any,
    asked: Any,
    wanted: Any,
    column_start: Any,
    columns: Any,
    table_start: Any,
    table_values: Any,
    sizes: Any,
    step: Any,
    quad_start: Any,
    column: Any,
    begin: Any,
    values: Any,
) -> None:
    """Write the tables of `QuadTables`, group by group."""
    quad = size = 0
    at = np.empty(NODES, np.int64)
    for tree in range(sizes.size):
        for k in range(sizes[tree]):
            step[NODES * tree + k] = np.uint32(1) << np.uint32(SCORE + k)
        for own in range(GROUPS):
            g = group_start[tree] + own
            if g < group_start[tree + 1]:
                _, nodes = _nodes(bit_start, asked, g)
                n = 0
                for k in range(NODES):
                    if (nodes >> k) & 1:
                        step[NODES * tree + k] |= np.uint32(QUAD << n) << np.uint32(PLACE * own)
                        at[n] = k
                        n += 1
                first, width = column_start[g], column_start[g + 1] - column_start[g]
                for low in range(0, width, QUAD):
                    begin[quad] = size
                    for k in range(min(QUAD, width - low)):
                        column[QUAD * quad + k] = columns[first + low + k]
                    for answers in range(1 << n):
                        went = np.int64(0)
                        for k in range(n):
                            went |= ((answers >> k) & 1) << at[k]
                        row: Any = 0
                        b = bit_start[g]
                        for k in range(bit_start[g + 1] - b):
                            row |= np.int64((went & np.int64(asked[b + k])) == np.int64(wanted[b + k])) << k
                        for k in range(min(QUAD, width - low)):
                            values[size + k] = table_values[table_start[g] + row * width + low + k]
                        size += QUAD
                    quad += 1
            quad_start[GROUPS * tree + own + 1] = quad


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def explain_quads(X: Any, trees: Any, tables: Any, explains: bool, score: Any, shap: Any) -> None:
    """Write what `training.shap_blocks.explain_blocks` writes."""
    booster_end, asked, slot, limit, leaf_start, leaves = trees
    step, quad_start, column, begin, values = tables
    (n_rows, n_features), n_columns = X.shape, shap.shape[1] - 1
    row_bytes = X.itemsize * asked.size + 8 * n_columns
    width = max(LEAST_ROWS, min(MOST_ROWS, BLOCK_BYTES // row_bytes))
    width = (min(width, n_rows) + TILE - 1) // TILE * TILE
    x = np.zeros((asked.size, width), X.dtype)
    place, one, sums = np.empty(width, np.uint32), np.empty(width), np.empty((n_columns + 1) * width)
    for low in range(0, n_rows, width):
        m = min(width, n_rows - low)
        whole = (m + TILE - 1) // TILE * TILE  # what is behind the last row is looked up, and not told
        for first in range(0, m, TILE):
            for i in range(asked.size):
                f = asked[i] % n_features
                if asked[i] < n_features:
                    for r in range(first, min(first + TILE, m)):
                        x[i, r] = X[low + r, f]
                else:
                    for r in range(first, min(first + TILE, m)):
                        value = X[low + r, f]
                        x[i, r] = -np.inf if value != value else value
        sums[:] = 0.0
        score[low : low + m] = 0.0
        tree = 0
        for end in booster_end:
            one[:] = 0.0
            while tree < end:
                a, z = NODES * tree, NODES * (tree + 1)
                _ask(x, slot[a:z], limit[a:z], step[a:z], place, whole)
                own = leaves[leaf_start[tree] :]
                for r in range(0, whole, QUAD):
                    add_four_rows(own, place, SCORE, NODES, r, one, 0)
                for g in range(GROUPS):
                    for quad in range(quad_start[GROUPS * tree + g], quad_start[GROUPS * tree + g + 1]):
                        own, q = values[begin[quad] :], QUAD * quad
                        to0, to1 = width * column[q], width * column[q + 1]
                        to2, to3 = width * column[q + 2], width * column[q + 3]
                        if g == 0:  # apart, since a place that is constant is found sooner
                            for r in range(0, whole, QUAD):
                                add_four_columns(own, place, 0, PLACE, r, sums, to0, to1, to2, to3)
                        else:
                            for r in range(0, whole, QUAD):
                                add_four_columns(own, place, PLACE, PLACE, r, sums, to0, to1, to2, to3)
                tree += 1
            for r in range(m):
                score[low + r] += one[r]
        if explains:
            for first in range(0, m, TILE):
                for f in range(n_columns):
                    for r in range(first, min(first + TILE, m)):
                        shap[low + r, f] = sums[f * width + r]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ask(x: Any, slot: Any, limit: Any, step: Any, place: Any, n: int) -> None:
    """Write the places of rows in a tree: the sum of the steps of the questions that send them left."""
    f0, f1, f2, f3, f4, f5, f6 = slot[0], slot[1], slot[2], slot[3], slot[4], slot[5], slot[6]
    t0, t1, t2, t3, t4, t5, t6 = limit[0], limit[1], limit[2], limit[3], limit[4], limit[5], limit[6]
    s0, s1, s2, s3, s4, s5, s6 = step[0], step[1], step[2], step[3], step[4], step[5], step[6]
    none = np.uint32(0)
    for r in range(n):  # in one expression, which is turned into a vector of rows
        place[r] = (
            (s0 if x[f0, r] <= t0 else none)
            + (s1 if x[f1, r] <= t1 else none)
            + (s2 if x[f2, r] <= t2 else none)
            + (s3 if x[f3, r] <= t3 else none)
            + (s4 if x[f4, r] <= t4 else none)
            + (s5 if x[f5, r] <= t5 else none)
            + (s6 if x[f6, r] <= t6 else none)
        )
