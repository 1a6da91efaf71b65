"""A few rows through small trees, as of the frozen recipe: no branch, and little memory to go through.

A tree of at most `NODES` nodes is asked them all, which gives a pattern of bits. Trees of the same shape
share one list of the leaf of each pattern; groups that hang on the same decisions share one list of their own
patterns. What is added, and in which order, is as in `training.shap_blocks`: the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from training.shap_tables import MOST_BITS, Tables
from training.trees import LEFT_IF_LESS_OR_UNKNOWN, Trees

NODES = 7
PATTERNS = np.uint32(1 << NODES)
FEW = np.iinfo(np.uint16).max
"""Trees, groups, columns and twice the features are numbered in 16 bits: what is smaller is sooner there."""


class NarrowTrees(NamedTuple):
    """Trees as they are asked: `NODES` questions each, and where their leaves are."""

    booster_end: npt.NDArray[np.int64]
    slot: npt.NDArray[np.uint16]
    """Of each question, uint16[n_trees * NODES]: where its value is in the row, or in the row's copy in which
    what is unknown is below all numbers; behind both, for questions that there are not, is nothing known."""
    limit: npt.NDArray[Any]
    """The value goes left that is not above it; in the type of the values."""
    shape: npt.NDArray[np.uint16]
    """Of each tree: which it has."""
    leaf_of: npt.NDArray[np.uint8]
    """Of each shape and pattern: the leaf."""
    leaf_start: npt.NDArray[np.uint32]
    leaf_value: npt.NDArray[np.float64]


class NarrowTables(NamedTuple):
    """Tables as they are looked up: by group, then by entry, which is a column of a group."""

    tree: npt.NDArray[np.uint16]
    """Of each group."""
    kind: npt.NDArray[np.uint16]
    """Of each group: on which decisions it hangs."""
    key_of: npt.NDArray[np.uint8]
    """Of each kind of group and pattern of its tree: the group's own pattern."""
    place: npt.NDArray[np.uint32]
    """Of each group: where its table begins in `values`, less its first entry; tables have more than that."""
    width: npt.NDArray[np.uint8]
    """Columns of each group."""
    group: npt.NDArray[np.uint16]
    """Of each entry."""
    column: npt.NDArray[np.uint16]
    """Of each entry."""
    values: npt.NDArray[Any]


def narrow_trees(trees: Trees, threshold: npt.NDArray[Any]) -> NarrowTrees | None:
    """Return the trees, with thresholds in the type of the values that they meet; None where they do not fit.

    They fit if they are small, and ask only whether a plain number is above a threshold.
    """
    sizes = np.diff(trees.node_start)
    if sizes.max(initial=0) > NODES or max(trees.n_trees, 2 * trees.n_features) >= FEW:
        return None
    if (trees.kind > LEFT_IF_LESS_OR_UNKNOWN).any() or np.isnan(threshold).any():
        return None
    n = trees.n_trees
    at = _places(sizes, NODES)
    slot = np.full(n * NODES, 2 * trees.n_features, np.uint16)
    slot[at] = trees.feature + trees.n_features * (trees.kind == LEFT_IF_LESS_OR_UNKNOWN)
    limit = np.full(n * NODES, -np.inf, threshold.dtype)
    limit[at] = threshold
    children = np.full((2, n * NODES), -1, np.int8)
    children[0, at], children[1, at] = trees.right, trees.left
    shapes, shape = _distinct(np.concatenate(children.reshape(2, n, NODES), axis=1))
    node = np.zeros((len(shapes), PATTERNS), np.int8)
    node[:] = np.where((shapes == -1).all(axis=1), -1, 0)[:, None]
    pattern = np.arange(PATTERNS)
    for _ in range(NODES):
        went = (pattern >> np.maximum(node, 0)) & 1
        child = np.take_along_axis(shapes, NODES * went + np.maximum(node, 0), axis=1)
        node = np.where(node < 0, node, child)
    return NarrowTrees(
        booster_end=trees.booster_end,
        slot=slot,
        limit=limit,
        shape=shape.astype(np.uint16),
        leaf_of=(~node).astype(np.uint8).ravel(),
        leaf_start=(trees.node_start[:-1] + np.arange(n)).astype(np.uint32),
        leaf_value=trees.leaf_value,
    )


def narrow_tables(tables: Tables) -> NarrowTables | None:
    """Return the tables of narrow trees; None where some leaves are walked, or where there are too many."""
    most = max(len(tables.table_start), len(tables.group_start), int(tables.column.max(initial=0)))
    if tables.n_walks or most >= FEW or tables.values.size > np.iinfo(np.uint32).max:
        return None
    groups, bits = len(tables.table_start), np.diff(tables.bit_start)
    asked, wanted = np.zeros((groups, MOST_BITS), np.uint8), np.ones((groups, MOST_BITS), np.uint8)
    at = _places(bits, MOST_BITS)
    asked.ravel()[at], wanted.ravel()[at] = tables.asked, tables.wanted
    kinds, kind = _distinct(np.concatenate([asked, wanted], axis=1))
    went = np.arange(PATTERNS, dtype=np.uint8)[None, :, None]
    held = (went & kinds[:, None, :MOST_BITS]) == kinds[:, None, MOST_BITS:]
    width = np.diff(tables.column_start)
    return NarrowTables(
        tree=np.repeat(np.arange(len(tables.group_start) - 1), np.diff(tables.group_start)).astype(np.uint16),
        kind=kind.astype(np.uint16),
        key_of=(held @ (1 << np.arange(MOST_BITS))).astype(np.uint8).ravel(),
        place=(tables.table_start - tables.column_start[:-1]).astype(np.uint32),
        width=width.astype(np.uint8),
        group=np.repeat(np.arange(groups), width).astype(np.uint16),
        column=tables.column.astype(np.uint16),
        values=tables.values,
    )


def _places(counts: npt.NDArray[np.int64], room: int) -> npt.NDArray[np.int64]:
    """Return where things are that come by tree in counts, if each tree has that much room."""
    first = np.cumsum(counts) - counts
    of = np.repeat(np.arange(len(counts)), counts)
    return of * room + np.arange(len(of)) - first[of]


def _distinct(rows: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return the distinct rows, and which of them each row is."""
    whole = np.ascontiguousarray(rows).view([("", rows.dtype)] * rows.shape[1]).ravel()
    _, first, number = np.unique(whole.view(f"V{whole.itemsize}"), return_index=True, return_inverse=True)
    return rows[first], number.ravel()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def explain_narrow(X: Any, trees: Any, tables: Any, explains: bool, score: Any, shap: Any) -> None:
    """Write what `training.shap_blocks.explain_blocks` writes."""
    booster_end, slot, limit, shape, leaf_of, leaf_start, leaf_value = trees
    n_features, n_columns = X.shape[1], shap.shape[1] - 1
    twice = np.empty(2 * n_features + 1, X.dtype)
    twice[2 * n_features] = np.nan
    went = np.empty(shape.size, np.uint8)
    for row in range(X.shape[0]):
        for f in range(n_features):  # nothing unknown is below a limit; where it goes left, it is below all
            x = X[row, f]
            twice[f], twice[n_features + f] = x, -np.inf if x != x else x
        total, tree = 0.0, 0
        for end in booster_end:
            one = 0.0
            while tree < end:
                pattern, at = np.uint32(0), NODES * tree
                for k in range(NODES):
                    pattern |= np.uint32(twice[slot[at + k]] <= limit[at + k]) << np.uint32(k)
                went[tree] = pattern
                one += leaf_value[leaf_start[tree] + leaf_of[PATTERNS * shape[tree] + pattern]]
                tree += 1
            total += one
        score[row] = total
        if explains:
            _look_up(went, tables, shap[row, :n_columns])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _look_up(went: Any, tables: Any, sums: Any) -> None:
    """Write the sums of the entries by column, for the patterns of the trees."""
    tree, kind, key_of, place, width, group, column, values = tables
    sums[:] = 0.0
    begin = np.empty(tree.size, np.uint32)
    for g in range(tree.size):
        begin[g] = place[g] + key_of[PATTERNS * kind[g] + went[tree[g]]] * width[g]
    for e in range(column.size):
        sums[column[e]] += values[begin[group[e]] + np.uint32(e)]
