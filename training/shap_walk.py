"""The exact SHAP values of leaves whose paths have too many features for a table, by quadrature.

A leaf is worth its value times a factor for each feature of its path, and at each point of the
quadrature a factor has two values: the row goes this way wherever the feature is asked, or it does not.
The product over all other features is the product over all, times a reciprocal of two values too. Rows
in a block and rows alone are computed in the same order, so they have the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

OFF, ON, BY_OFF, BY_ON = range(4)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def points_of(n_features: int) -> int:
    """Return an even number of points that integrates a path of so many features exactly."""
    return (n_features + 3) // 4 * 2


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_factors(cover: Any, points: Any, weights: Any, factors: Any) -> None:
    """Write the factors of a path and their reciprocals, [features, points, 4]; the weights in the first."""
    for j in range(cover.size):
        for q in range(points.size):
            off = (1.0 - points[q]) * cover[j]
            on = off + points[q]
            factors[j, q, BY_OFF], factors[j, q, BY_ON] = 1.0 / off, 1.0 / on
            weight = weights[q] if j == 0 else 1.0
            factors[j, q, OFF], factors[j, q, ON] = off * weight, on * weight


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_block(
    value: float,
    cover: Any,  # float64[features of the path]
    column: Any,  # int32[features of the path]
    factors: Any,  # float64[features of the path, points, 4]
    held: Any,  # uint8[features of the path, rows]: does the row go this way wherever the feature is asked?
    products: Any,  # float64[2, rows], scratch
    shap: Any,  # float64[features of the path, rows], scratch
    sums: Any,  # float64[columns, rows], added to
) -> None:
    """Add the SHAP values of one leaf: two points and two features at a time, to spare the memory."""
    d, n_rows = held.shape
    first, second = products[0], products[1]
    for q in range(0, factors.shape[1], 2):
        for r in range(n_rows):
            first[r] = second[r] = value
        for j in range(0, d - 1, 2):
            a, b = held[j], held[j + 1]
            a0, a1, b0, b1 = _pair(factors[j, q], factors[j + 1, q])
            c0, c1, d0, d1 = _pair(factors[j, q + 1], factors[j + 1, q + 1])
            for r in range(n_rows):
                first[r] *= (a1 if a[r] else a0) * (b1 if b[r] else b0)
                second[r] *= (c1 if a[r] else c0) * (d1 if b[r] else d0)
        if d % 2:
            a = held[d - 1]
            a0, a1, c0, c1 = _pair(factors[d - 1, q], factors[d - 1, q + 1])
            for r in range(n_rows):
                first[r] *= a1 if a[r] else a0
                second[r] *= c1 if a[r] else c0
        for j in range(d):
            a, to = held[j], shap[j]
            a0, a1, c0, c1 = _pair(factors[j, q, BY_OFF:], factors[j, q + 1, BY_OFF:])
            if q == 0:
                for r in range(n_rows):
                    to[r] = first[r] * (a1 if a[r] else a0) + second[r] * (c1 if a[r] else c0)
            else:
                for r in range(n_rows):
                    to[r] += first[r] * (a1 if a[r] else a0) + second[r] * (c1 if a[r] else c0)
    for j in range(d):
        total, a, part = sums[column[j]], held[j], shap[j]
        off, on = -cover[j], 1.0 - cover[j]
        for r in range(n_rows):
            total[r] += part[r] * (on if a[r] else off)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_row(value: float, cover: Any, column: Any, factors: Any, pattern: Any, shap: Any, sums: Any) -> None:
    """Add the SHAP values of one leaf for one row; bit j of `pattern` says whether feature j holds."""
    d = cover.size
    for q in range(0, factors.shape[1], 2):
        first = second = value
        for j in range(0, d - 1, 2):
            a, b = (pattern >> np.uint64(j)) & np.uint64(1), (pattern >> np.uint64(j + 1)) & np.uint64(1)
            first *= factors[j, q, a] * factors[j + 1, q, b]
            second *= factors[j, q + 1, a] * factors[j + 1, q + 1, b]
        if d % 2:
            a = (pattern >> np.uint64(d - 1)) & np.uint64(1)
            first *= factors[d - 1, q, a]
            second *= factors[d - 1, q + 1, a]
        for j in range(d):
            a = np.uint64(BY_OFF) + ((pattern >> np.uint64(j)) & np.uint64(1))
            part = first * factors[j, q, a] + second * factors[j, q + 1, a]
            shap[j] = part if q == 0 else shap[j] + part
    for j in range(d):
        sums[column[j]] += shap[j] * (
            1.0 - cover[j] if (pattern >> np.uint64(j)) & np.uint64(1) else -cover[j]
        )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pair(first: Any, second: Any) -> tuple[float, float, float, float]:
    return first[OFF], first[ON], second[OFF], second[ON]
