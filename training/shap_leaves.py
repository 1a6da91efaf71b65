"""Which leaf a row comes to, without a branch: every node forbids the leaves on the side it does not take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from training.trees import Trees

MOST_LEAVES = 32
"""Leaves of a tree that the bits of one word can tell apart; larger trees are walked down."""
SPREAD = np.uint32(0x077CB531)
"""De Bruijn's sequence: times a power of 2, its five highest bits tell which power."""


def exits(trees: Trees) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64]]:
    """Return the leaves still possible after each node and the leaves' values, where a row looks for them.

    The leaves are those possible when it went to the right and to the left, uint32[n_nodes, 2]; leaf k
    is bit k. The values are float64[n_trees * MOST_LEAVES], each tree's by the five bits of `SPREAD`.
    Trees with more leaves than `MOST_LEAVES` have 0s.
    """
    possible = np.zeros((len(trees.feature), 2), np.uint32)
    placed = np.zeros(trees.n_trees * MOST_LEAVES)
    _exits(trees.node_start, trees.left, trees.right, trees.leaf_value, possible, placed)
    return possible, placed


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _exits(node_start: Any, left: Any, right: Any, leaf_value: Any, possible: Any, placed: Any) -> None:
    for tree in range(node_start.size - 1):
        a, n = node_start[tree], node_start[tree + 1] - node_start[tree]
        if n >= MOST_LEAVES:
            continue
        for k in range(n + 1):
            place = np.uint32((np.uint32(1) << np.uint32(k)) * SPREAD) >> np.uint32(27)
            placed[MOST_LEAVES * tree + np.int64(place)] = leaf_value[a + tree + k]
        for i in range(n - 1, -1, -1):  # first the leaves under each side: children come after their parents
            for side in range(2):
                child = np.int64(left[a + i] if side else right[a + i])
                if child < 0:
                    possible[a + i, side] = np.uint32(1) << np.uint32(-child - 1)
                else:
                    possible[a + i, side] = possible[a + child, 0] | possible[a + child, 1]
        for i in range(n):
            on_right = possible[a + i, 0]
            possible[a + i, 0] = ~possible[a + i, 1]
            possible[a + i, 1] = ~on_right


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def all_leaves(n_nodes: int) -> Any:
    """Return a bit for each leaf of a tree."""
    return np.uint32(0xFFFFFFFF) >> np.uint32(MOST_LEAVES - 1 - n_nodes if n_nodes < MOST_LEAVES else 0)
