"""Which moments of truth matter at which stage of a customer's life, and how surely that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features.profile import LIFECYCLE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REPLICATES = 200
LEAST_CUSTOMERS = 30
"""A stage with fewer customers is not told: its means are noise."""


def stage_importance(
    moments: Floats,
    keys: Sequence[str],
    stages: npt.NDArray[Any],
    customers: Ints,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rank moments of truth by how much they move predictions at each stage of life.

    At a stage, a moment's weight is the mean of its absolute contributions over the snapshots of that
    stage. Stages differ in size, and what matters to the few who are new must not drown in what matters
    to the many who are settled: so moments are ranked by the mean of their weights over the stages, in
    which each stage counts once.

    Args:
        moments: contributions by moment in log-odds, float64[n_snapshots, n_moments].
        keys: the moments' keys.
        stages: each snapshot's stage, one of `LIFECYCLE`; others are left out.
        customers: whose snapshot each is. Intervals draw customers anew, with all their snapshots.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Plain JSON, the most important first; moments that move nothing are left out:
        `[{"moment", "weight", "interval", "stages": {"new": {"weight", "interval", "direction"}, …}}, …]`.
        Intervals are 95 %; the direction is the mean of the signed contributions.
    """
    _, who = np.unique(customers, return_inverse=True)
    told = [s for s in LIFECYCLE if len(np.unique(who[stages == s])) >= LEAST_CUSTOMERS]
    if not told:
        return []
    drawn = _drawn(int(who.max()) + 1, replicates, seed)
    by_stage = {s: _means(np.abs(moments[stages == s]), drawn[:, who[stages == s]]) for s in told}
    over_stages = np.nanmean(np.stack(list(by_stage.values())), axis=0)
    direction = {s: moments[stages == s].mean(axis=0) for s in told}
    order = np.argsort(-over_stages[0], kind="stable")
    return [
        {
            "moment": keys[m],
            **_told(over_stages[:, m]),
            "stages": {s: _told(by_stage[s][:, m]) | {"direction": float(direction[s][m])} for s in told},
        }
        for m in order.tolist()
        if over_stages[0, m] > 0
    ]


def _drawn(customers: int, replicates: int, seed: int) -> Floats:
    """Return how often each customer is drawn, float64[1 + replicates, customers]; first, once each."""
    random = np.random.default_rng(seed)
    drawn = np.ones((1 + replicates, customers))
    for replicate in drawn[1:]:
        replicate[:] = np.bincount(random.integers(0, customers, customers), minlength=customers)
    return drawn


def _means(values: Floats, weights: Floats) -> Floats:
    """Return the weighted means of columns, float64[1 + replicates, columns]; NaN where nobody was drawn."""
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights @ values / np.where(total > 0, total, np.nan))


def _told(values: Floats) -> dict[str, Any]:
    low, high = np.nanquantile(values[1:] if len(values) > 1 else values, [0.025, 0.975])
    return {"weight": float(values[0]), "interval": [float(low), float(high)]}
