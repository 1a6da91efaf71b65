"""Where to cut a tree into groups of leaves: the cheapest way to look them up or to walk them.

Units of a tree are its nodes, in their order, then its leaves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from training.shap_walk import points_of

LOOK_UP, BIT, TABLE_VALUE, FACTOR = 0.4, 0.15, 0.003, 0.2
"""Rough costs, ns a row, by which trees are cut: a look-up, a bit, a value of a table, a factor of a walk."""
INSIDE, TABLE, WALK = range(3)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def climb(unit: int, stop: int, parent: Any, feature: Any, found: Any) -> int:
    """Write the distinct features of the nodes above `unit`, up to the root; return how many."""
    n = stop
    while parent[unit] >= 0:
        unit = parent[unit]
        known = False
        for k in range(n):
            known |= found[k] == feature[unit]
        if not known:
            found[n] = feature[unit]
            n += 1
    return n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def families(n: int, left: Any, right: Any, parent: Any, side: Any, inside: Any) -> None:
    """Write the parent, the side and the nodes within each unit of a tree: its nodes, then its leaves."""
    parent[0] = -1
    for i in range(n):
        for s in range(2):
            child = right[i] if s == 0 else left[i]
            unit = child if child >= 0 else n - child - 1
            parent[unit], side[unit] = i, s
    inside[: 2 * n + 1] = 0
    for i in range(n - 1, -1, -1):
        inside[i] += 1
        if i:
            inside[parent[i]] += inside[i]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def subtree(unit: int, n: int, left: Any, right: Any, nodes: Any, leaves: Any) -> int:
    """Write the nodes and the leaves (as units) under `unit`; return the number of nodes."""
    n_nodes = n_leaves = 0
    stack = np.empty(64, np.int64)
    stack[0] = unit
    depth = 1
    while depth:
        depth -= 1
        u = stack[depth]
        if u >= n:
            leaves[n_leaves] = u
            n_leaves += 1
        else:
            nodes[n_nodes] = u
            n_nodes += 1
            for child in (right[u], left[u]):
                stack[depth] = child if child >= 0 else n - child - 1
                depth += 1
    return n_nodes


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cut_trees(
    node_start: Any, feature: Any, left: Any, right: Any, column: Any, most_bits: int, marks: Any
) -> tuple[int, int, int, int, int, int, int]:
    """Mark the cheapest cut of each tree; return the sizes of its tables, and the most points of a walk."""
    groups = n_bits = asked = columns = values = factors = 0
    half = (most_bits + 1) // 2 + 1
    marks[:] = 0
    nodes, leaves = np.empty(64, np.int64), np.empty(64, np.int64)
    for tree in range(node_start.size - 1):
        a, z = node_start[tree], node_start[tree + 1]
        n = z - a
        if n == 0:
            continue
        own_feature, own_left, own_right, own = feature[a:z], left[a:z], right[a:z], marks[2 * a + tree :]
        parent, inside = np.empty(2 * n + 1, np.int64), np.empty(2 * n + 1, np.int64)
        found = np.empty(n + 1, np.int32)
        side = np.empty(2 * n + 1, np.int8)
        families(n, own_left, own_right, parent, side, inside)
        cost, wide = np.empty(2 * n + 1), np.empty((2 * n + 1, 3), np.int64)
        order = 2 * n
        while order >= 0:  # leaves first, then nodes from the last
            u = order
            order -= 1
            distinct = climb(u, 0, parent, own_feature, found)
            bits = distinct + inside[u]
            wide[u, 0], wide[u, 1] = bits, bits
            cost[u] = np.inf
            if bits <= most_bits:
                n_nodes = subtree(u, n, own_left, own_right, nodes, leaves)
                for k in range(n_nodes):
                    found[distinct + k] = own_feature[nodes[k]]
                used = 0
                for k in range(bits):
                    new = True
                    for m in range(k):
                        new &= column[found[m]] != column[found[k]]
                    used += new
                wide[u, 1] = used
                cost[u] = LOOK_UP * used + BIT * bits + TABLE_VALUE * used * 2**bits
                own[u] = TABLE
            elif u >= n:
                cost[u] = FACTOR * distinct * points_of(distinct)
                own[u] = WALK
            if u < n:
                parts = 0.0
                for child in (own_left[u], own_right[u]):
                    parts += cost[child if child >= 0 else n - child - 1]
                if parts < cost[u]:
                    cost[u] = parts
                    own[u] = INSIDE
        for u in range(2 * n + 1):  # what lies under a whole group is no group of its own
            above = parent[u] if u else -1
            if above >= 0 and own[above] != INSIDE:
                own[u] = -1
                continue
            if own[u] == INSIDE:
                continue
            groups += 1
            n_bits += wide[u, 0]
            columns += wide[u, 1]
            if own[u] == TABLE:
                values += wide[u, 1] * 2 ** wide[u, 0]
            else:
                half = max(half, points_of(wide[u, 0]))
                factors += wide[u, 0] * points_of(wide[u, 0]) * 4
            asked += inside[u]
            while above >= 0:
                asked += 1
                above = parent[above]
    return groups, n_bits, asked, columns, values, factors, half
