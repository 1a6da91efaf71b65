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

from training.shap_cuts import TABLE, WALK, climb, cut_trees, families, subtree
from training.shap_walk import points_of, write_factors
from training.trees import Trees

MOST_BITS = 8


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
    marks = np.zeros(len(trees.feature) + len(trees.leaf_value), np.int8)
    for bits in range(most_bits, -1, -1):
        groups, n_bits, asked, columns, values, factors, half = cut_trees(*shape, column, bits, marks)
        if values * kind.itemsize <= most_bytes:
            break
    tables = empty_tables(trees.n_trees, groups, n_bits, asked, columns, values, factors, kind)
    _fill(
        *shape,
        trees.node_rows,
        trees.leaf_value,
        trees.leaf_rows,
        column,
        marks,
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
def _fill(
    node_start: Any,
    feature: Any,
    left: Any,
    right: Any,
    node_rows: Any,
    leaf_value: Any,
    leaf_rows: Any,
    column: Any,
    marks: Any,
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
    """Write the groups that are marked, in the order of the trees, and their tables."""
    g = bit = asked = n_columns = size = n_factors = 0
    nodes, leaves = np.empty(64, np.int64), np.empty(64, np.int64)
    for tree in range(node_start.size - 1):
        a, z = node_start[tree], node_start[tree + 1]
        n = z - a
        own_feature, own_left, own_right, own = feature[a:z], left[a:z], right[a:z], marks[2 * a + tree :]
        parent, inside = np.empty(2 * n + 1, np.int64), np.empty(2 * n + 1, np.int64)
        found = np.empty(n + 1, np.int32)
        side = np.empty(2 * n + 1, np.int8)
        if n:
            families(n, own_left, own_right, parent, side, inside)
        share = np.empty(2 * n + 1)  # of the rows of its parent
        for u in range(1, 2 * n + 1):
            rows = node_rows[a + u] if u < n else leaf_rows[a + tree + u - n]
            share[u] = rows / node_rows[a + parent[u]]
        for u in range(2 * n + 1 if n else 0):
            if own[u] != TABLE and own[u] != WALK:
                continue
            distinct = climb(u, 0, parent, own_feature, found)
            n_nodes = subtree(u, n, own_left, own_right, nodes, leaves) if own[u] == TABLE else 0
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
