"""The exact SHAP values of leaves whose paths have too many features for a table, row block by row block."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_leaf(
    value: float,
    cover: Any,  # float64[features of the path]
    column: Any,  # int32[features of the path]
    held: Any,  # uint8[features of the path, rows]: does the row go this way wherever the feature is asked?
    points: Any,  # float64[points]
    weights: Any,  # float64[points]
    product: Any,  # float64[rows], scratch
    sums: Any,  # float64[features of the path, rows], scratch
    shap: Any,  # float64[columns, rows], added to
) -> None:
    """Add the SHAP values of one leaf by quadrature over the polynomial of its path.

    A factor has two values, so its reciprocal has too: the product over all other features is the
    product over all, times a reciprocal. Exact with half as many points as the path has features.
    """
    n_rows, d = held.shape[1], cover.size
    for j in range(d):
        for r in range(n_rows):
            sums[j, r] = 0.0
    for q in range(points.size):
        t = points[q]
        for r in range(n_rows):
            product[r] = value * weights[q]
        for j in range(d):
            off = (1.0 - t) * cover[j]
            on = off + t
            for r in range(n_rows):
                product[r] *= on if held[j, r] else off
        for j in range(d):
            off = (1.0 - t) * cover[j]
            by_off, by_on = 1.0 / off, 1.0 / (off + t)
            for r in range(n_rows):
                sums[j, r] += product[r] * (by_on if held[j, r] else by_off)
    for j in range(d):
        to = shap[column[j]]
        off, on = -cover[j], 1.0 - cover[j]
        for r in range(n_rows):
            to[r] += sums[j, r] * (on if held[j, r] else off)
