"""Tables of exact SHAP values: trees are cut into groups of leaves that hang on a few decisions each.

The leaves of a group depend on a few bits: one for each feature of the path to the group (has the row
gone this way at all its nodes so far?) and one for each node inside. For every pattern of the bits the
SHAP values of the group are worked out once; a row then only looks up its patterns. A leaf whose path
has more features than a table may have bits is left to `training.shap_walk`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from training.shap_walk import points_of, write_factors
from training.trees import Trees

MOST_BITS = 8
LOOK_UP, BIT, TABLE_VALUE, FACTOR = 0.4, 0.15, 0.003, 0.2
"""Rough costs, ns a row, by which trees are cut: a look-up, a bit, a value of a table, a factor of a walk."""
INSIDE, TABLE, WALK = range(3)


@dataclass(frozen=True)
class Tables:
    """How to explain the trees: for each group of leaves its bits, its columns and its table."""

    group_start: npt.NDArray[np.int64]
    """First group of each tree, int64[n_trees + 1]."""
    bit_start: npt.NDArray[np.int64]
    """First bit of each group, int64[n_groups + 1]."""
    asked_start: npt.NDArray[np.int64]
    """First condition of each bit, int64[n_bits + 1]; a bit is set when all its conditions hold."""
    asked_node: npt.NDArray[np.int32]
    asked_left: npt.NDArray[np.uint8]
    """A condition: did the row go left (1) or right (0) at this node of the tree?"""
    asked: npt.NDArray[np.uint32]
    wanted: npt.NDArray[np.uint32]
    """The same in bits, uint32[n_bits]: node k of the tree is bit k, `wanted` of the `asked` went left."""
    column_start: npt.NDArray[np.int64]
    """First column of each group, int64[n_groups + 1]; of a walk, as many as bits."""
    column: npt.NDArray[np.int32]
    table_start: npt.NDArray[np.int64]
    """First value of each group's table, int64[n_groups], pattern by pattern; -1 is a walk."""
    values: npt.NDArray[Any]
    """float64[n_values] or float32[n_values]."""
    cover: npt.NDArray[np.float64]
    """Of a walk's bits: the share of rows that goes its way, float64[n_bits]."""
    walk_value: npt.NDArray[np.float64]
    """Of a walk: the value of its leaf, float64[n_groups]."""
    factor_start: npt.NDArray[np.int64]
    factors: npt.NDArray[np.float64]
    """Of a walk: its factors (`shap_walk.write_factors`), from `factor_start` on, int64[n_groups]."""

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """The tables as the kernels take them."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return int(self.values.nbytes)

    @property
    def n_walks(self) -> int:
        """Number of leaves that are walked, not looked up."""
        return int((self.table_start < 0).sum())


def build_tables(
    trees: Trees, column: npt.NDArray[np.int32], *, most_bytes: int, single: bool, most_bits: int = MOST_BITS
) -> Tables:
    """Return the tables of `trees` with a feature's SHAP values summed into its column, int32[n_features].

    Tables take at most `most_bytes`: the fewer bits they may have, the less they take, and the more
    leaves are walked.
    """
    kind = np.dtype(np.float32 if single else np.float64)
    shape = (trees.node_start, trees.feature, trees.left, trees.right)
    cut = np.zeros(len(trees.feature) + len(trees.leaf_value), np.int8)
    for bits in range(most_bits, -1, -1):
        groups, n_bits, asked, columns, values, factors, half = _cut(*shape, column, bits, cut)
        if values * kind.itemsize <= most_bytes:
            break
    tables = empty_tables(trees.n_trees, groups, n_bits, asked, columns, values, factors, kind)
    _fill(
        *shape,
        trees.node_rows,
        trees.leaf_value,
        trees.leaf_rows,
        column,
        cut,
        *gauss(half),
        *tables.arrays,
    )
    return tables


def empty_tables(
    n_trees: int,
    groups: int = 0,
    bits: int = 0,
    asked: int = 0,
    columns: int = 0,
    values: int = 0,
    factors: int = 0,
    kind: npt.DTypeLike = np.float64,
) -> Tables:
    """Return tables of a size with nothing in them; of trees that are only scored, without groups."""
    return Tables(
        group_start=np.zeros(n_trees + 1, np.int64),
        bit_start=np.zeros(groups + 1, np.int64),
        asked_start=np.zeros(bits + 1, np.int64),
        asked_node=np.zeros(asked, np.int32),
        asked_left=np.zeros(asked, np.uint8),
        asked=np.zeros(bits, np.uint32),
        wanted=np.zeros(bits, np.uint32),
        column_start=np.zeros(groups + 1, np.int64),
        column=np.zeros(columns, np.int32),
        table_start=np.full(groups, -1, np.int64),
        values=np.zeros(values, kind),
        cover=np.ones(bits),
        walk_value=np.zeros(groups),
        factor_start=np.zeros(groups, np.int64),
        factors=np.zeros(factors),
    )


def gauss(n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return points and weights of Gauss-Legendre on [0, 1], float64[n + 1, n]: row k has k points.

    With k points a polynomial of degree 2k - 1 is integrated exactly, so a path of 2k features.
    """
    points, weights = np.zeros((n + 1, n)), np.zeros((n + 1, n))
    for k in range(1, n + 1):
        x, w = np.polynomial.legendre.leggauss(k)
        points[k, :k], weights[k, :k] = (x + 1) / 2, w / 2
    return points, weights


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _climb(unit: int, stop: int, parent: Any, feature: Any, found: Any) -> int:
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
def _families(n: int, left: Any, right: Any, parent: Any, side: Any, inside: Any) -> None:
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
def _subtree(unit: int, n: int, left: Any, right: Any, nodes: Any, leaves: Any) -> int:
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
def _cut(
    node_start: Any, feature: Any, left: Any, right: Any, column: Any, most_bits: int, cut: Any
) -> tuple[int, int, int, int, int, int, int]:
    """Mark the cheapest cut of each tree; return the sizes of its tables, and the most points of a walk."""
    groups = n_bits = asked = columns = values = factors = 0
    half = (most_bits + 1) // 2 + 1
    cut[:] = 0
    nodes, leaves = np.empty(64, np.int64), np.empty(64, np.int64)
    for tree in range(node_start.size - 1):
        a, z = node_start[tree], node_start[tree + 1]
        n = z - a
        if n == 0:
            continue
        own_feature, own_left, own_right, own = feature[a:z], left[a:z], right[a:z], cut[2 * a + tree :]
        parent, inside = np.empty(2 * n + 1, np.int64), np.empty(2 * n + 1, np.int64)
        found = np.empty(n + 1, np.int32)
        side = np.empty(2 * n + 1, np.int8)
        _families(n, own_left, own_right, parent, side, inside)
        cost, wide = np.empty(2 * n + 1), np.empty((2 * n + 1, 3), np.int64)
        order = 2 * n
        while order >= 0:  # leaves first, then nodes from the last
            u = order
            order -= 1
            distinct = _climb(u, 0, parent, own_feature, found)
            bits = distinct + inside[u]
            wide[u, 0], wide[u, 1] = bits, bits
            cost[u] = np.inf
            if bits <= most_bits:
                n_nodes = _subtree(u, n, own_left, own_right, nodes, leaves)
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(
    node_start: Any,
    feature: Any,
    left: Any,
    right: Any,
    node_rows: Any,
    leaf_value: Any,
    leaf_rows: Any,
    column: Any,
    cut: Any,
    points: Any,
    weights: Any,
    group_start: Any,
    bit_start: Any,
    asked_start: Any,
    asked_node: Any,
    asked_left: Any,
    bit_asked: Any,
    bit_wanted: Any,
    column_start: Any,
    columns: Any,
    table_start: Any,
    values: Any,
    cover: Any,
    walk_value: Any,
    factor_start: Any,
    factors: Any,
) -> None:
    """Write the groups that `cut` marks, in the order of the trees, and their tables."""
    g = bit = asked = n_columns = size = n_factors = 0
    nodes, leaves = np.empty(64, np.int64), np.empty(64, np.int64)
    for tree in range(node_start.size - 1):
        a, z = node_start[tree], node_start[tree + 1]
        n = z - a
        own_feature, own_left, own_right, own = feature[a:z], left[a:z], right[a:z], cut[2 * a + tree :]
        parent, inside = np.empty(2 * n + 1, np.int64), np.empty(2 * n + 1, np.int64)
        found = np.empty(n + 1, np.int32)
        side = np.empty(2 * n + 1, np.int8)
        if n:
            _families(n, own_left, own_right, parent, side, inside)
        share = np.empty(2 * n + 1)  # of the rows of its parent
        for u in range(1, 2 * n + 1):
            rows = node_rows[a + u] if u < n else leaf_rows[a + tree + u - n]
            share[u] = rows / node_rows[a + parent[u]]
        for u in range(2 * n + 1 if n else 0):
            if own[u] != TABLE and own[u] != WALK:
                continue
            distinct = _climb(u, 0, parent, own_feature, found)
            n_nodes = _subtree(u, n, own_left, own_right, nodes, leaves) if own[u] == TABLE else 0
            for k in range(distinct):  # a bit for each feature of the path here
                v = u
                while parent[v] >= 0:
                    if own_feature[parent[v]] == found[k]:
                        asked_node[asked], asked_left[asked] = parent[v], side[v]
                        bit_asked[bit] |= np.uint32(1) << np.uint32(parent[v] & 31)
                        bit_wanted[bit] |= np.uint32(side[v]) << np.uint32(parent[v] & 31)
                        cover[bit] *= share[v]
                        asked += 1
                    v = parent[v]
                bit += 1
                asked_start[bit] = asked
            for k in range(n_nodes):  # and one for each node inside
                found[distinct + k] = own_feature[nodes[k]]
                asked_node[asked], asked_left[asked] = nodes[k], 1
                bit_asked[bit] = bit_wanted[bit] = np.uint32(1) << np.uint32(nodes[k] & 31)
                asked += 1
                bit += 1
                asked_start[bit] = asked
            bits = distinct + n_nodes
            if own[u] == WALK:
                walk_value[g], factor_start[g] = leaf_value[a + tree + u - n], n_factors
                half = points_of(bits)
                own_factors = factors[n_factors : n_factors + bits * half * 4].reshape((bits, half, 4))
                write_factors(cover[bit - bits : bit], points[half, :half], weights[half, :half], own_factors)
                n_factors += bits * half * 4
                for k in range(bits):
                    columns[n_columns] = column[found[k]]
                    n_columns += 1
            else:
                first = n_columns
                for k in range(bits):
                    new = True
                    for m in range(first, n_columns):
                        new &= columns[m] != column[found[k]]
                    if new:
                        columns[n_columns] = column[found[k]]
                        n_columns += 1
                used = n_columns - first
                table_start[g] = size
                table = values[size : size + used * 2**bits].reshape((2**bits, used))
                for k in range(n_nodes + 1):
                    leaf = leaves[k]
                    _tabulate(
                        *(leaf, u, distinct, nodes[:n_nodes], leaf_value[a + tree + leaf - n]),
                        *(parent, side, share, own_feature, found, column),
                        *(columns[first:n_columns], points, weights, table),
                    )
                size += used * 2**bits
            g += 1
            bit_start[g], column_start[g] = bit, n_columns
        group_start[tree + 1] = g


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tabulate(
    leaf: int,
    top: int,
    distinct: int,
    nodes: Any,
    value: float,
    parent: Any,
    side: Any,
    share: Any,
    feature: Any,
    found: Any,
    column: Any,
    columns: Any,
    points: Any,
    weights: Any,
    table: Any,
) -> None:
    """Add the SHAP values of one leaf, for every pattern of its group's bits, to the group's table."""
    path, slot = np.empty(64, np.int32), np.empty(64, np.int64)
    cover, need, want = np.ones(64), np.zeros(64, np.int64), np.zeros(64, np.int64)
    d = 0
    for k in range(distinct):  # the features of the path to the group: a bit each
        path[d] = found[k]
        need[d] = want[d] = 1 << k
        d += 1
    v, within = leaf, leaf != top
    while parent[v] >= 0:
        node = parent[v]
        j = 0
        while j < d and path[j] != feature[node]:
            j += 1
        if j == d:
            path[d] = feature[node]
            d += 1
        cover[j] *= share[v]
        if within:
            for k in range(nodes.size):
                if nodes[k] == node:
                    need[j] |= 1 << (distinct + k)
                    want[j] |= np.int64(side[v]) << (distinct + k)
        v = node
        within &= v != top
    for j in range(d):
        slot[j] = 0
        while columns[slot[j]] != column[path[j]]:
            slot[j] += 1
    shap = np.zeros((1 << d, d))
    _leaf_shap(value, cover[:d], points, weights, shap)
    for pattern in range(table.shape[0]):
        own = 0
        for j in range(d):
            own |= ((pattern & need[j]) == want[j]) << j
        for j in range(d):
            table[pattern, slot[j]] += shap[own, j]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _leaf_shap(value: float, cover: Any, points: Any, weights: Any, shap: Any) -> None:
    """Write the SHAP values of a leaf for every pattern of the features of its path, [2**d, d].

    A leaf is worth `value` x the product of its features' factors: 1 or 0 for a known feature that leads
    here or does not, `cover` for an unknown one. The Shapley value of feature j is the integral over t in
    [0, 1] of value x (o_j - z_j) x the product over the others of ((1 - t) z + t o).
    Source: Owen's multilinear extension (1972) of the path-dependent game of Lundberg et al. (2018).
    """
    d = cover.size
    n = (d + 1) // 2
    before = np.empty(d + 1)
    for pattern in range(shap.shape[0]):
        for q in range(n):
            t = points[n, q]
            before[0] = value * weights[n, q]
            for j in range(d):
                before[j + 1] = before[j] * ((1 - t) * cover[j] + t * ((pattern >> j) & 1))
            after = 1.0
            for j in range(d - 1, -1, -1):
                one = float((pattern >> j) & 1)
                shap[pattern, j] += (one - cover[j]) * before[j] * after
                after *= (1 - t) * cover[j] + t * one
