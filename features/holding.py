"""What holds a customer, as one number a switching cost: the mean percentile of its signals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from features.expressions import Expr, coalesce, step, unknown
from features.signals import Signal

QUANTILES = np.linspace(0.05, 0.95, 19)

Percentiles = tuple[tuple[float, ...], tuple[float, ...]]
"""Edges, and the share of the population below the middle of each stretch between them."""


def percentiles(values: npt.NDArray[np.float64]) -> Percentiles | None:
    """Return the table that turns a signal into its percentile in the population; None: nothing to tell.

    >>> percentiles(np.array([0.0, 0.0, 1.0, 1.0]))
    ((0.5,), (0.25, 0.75))
    """
    known = np.sort(values[~np.isnan(values)])
    if not len(known) or known[0] == known[-1]:
        return None
    edges = np.unique(np.append(np.quantile(known, QUANTILES, method="inverted_cdf"), known[-1]))
    edges = edges[edges > known[0]]
    first = np.searchsorted(known, edges)
    below = np.concatenate([[0], first, [len(known)]]) / len(known)
    # half way to the value before: a number that a fit rounded is still on its own side
    between = (edges + known[first - 1]) / 2
    return tuple(between.tolist()), tuple(((below[1:] + below[:-1]) / 2).tolist())


def ranks(mine: Iterable[Signal], tables: Mapping[str, Percentiles]) -> list[tuple[Signal, Expr]]:
    """Return each signal with its percentile, 0 to 1, where the population tells customers apart by it."""
    found = []
    for signal in mine:
        if signal.name in tables:
            rank = step(signal.expression, *tables[signal.name])
            found.append((signal, rank if signal.direction > 0 else 1.0 - rank))
    return found


def index(mine: list[Signal], tables: Mapping[str, Percentiles]) -> Expr | None:
    """Return the mean percentile, 0 to 100, of the signals that are known of a customer; None without any."""
    total, known = _sums([rank for _, rank in ranks(mine, tables)])
    return None if total is None or known is None else total / known * 100.0


def coverage(mine: list[Signal], tables: Mapping[str, Percentiles]) -> Expr | None:
    """Return the share of the signals that is known of a customer; None without any."""
    told = ranks(mine, tables)
    _, known = _sums([rank for _, rank in told])
    return None if known is None else known / float(len(told))


def _sums(told: list[Expr]) -> tuple[Expr | None, Expr | None]:
    if not told:
        return None, None
    total, known = coalesce(told[0], 0.0), 1.0 - unknown(told[0])
    for rank in told[1:]:
        total, known = total + coalesce(rank, 0.0), known + (1.0 - unknown(rank))
    return total, known
