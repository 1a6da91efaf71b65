"""The curves of a model on snapshots it has not seen: reliability, captured churn, expected profit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from training.config import Value

Floats = npt.NDArray[np.float64]

BINS = 10
POINTS = 50


def curves(
    churned: npt.NDArray[Any], probability: Floats, economy: Value, *, value: Floats | None = None
) -> dict[str, Any]:
    """Return the curves of one model as plain JSON.

    Args:
        churned: 1 or 0 for each snapshot.
        probability: the calibrated prediction for each snapshot.
        economy: what a retained customer is worth, and what a contact and an incentive cost.
        value: each customer's own value, for the share of value captured; None when not known.

    Returns:
        `{"snapshots", "churners", "reliability": [{"predicted", "observed", "snapshots", "low",
        "high"}], "gains": [{"share", "captured", "lift", "value_captured"}], "profit": [{"share",
        "profit"}]}`. Reliability has ten groups of equal size with the 95 % interval (Wilson) of the
        observed share; `share` is the part of all customers who are contacted, riskiest first;
        profit is expected, per customer, in the currency.

    Source:
        Verbraken, Verbeke and Baesens (2013), eq. 5: profit of a campaign that contacts a share,
        at the mean of the Beta distribution of the acceptance rate.
    """
    truth = np.asarray(churned, np.float64)
    order = np.argsort(-probability, kind="stable")
    n, churners = len(truth), float(truth.sum())
    result: dict[str, Any] = {"snapshots": n, "churners": int(churners)}
    result["reliability"] = [
        _bin(truth[rows], probability[rows]) for rows in np.array_split(order[::-1], BINS) if len(rows)
    ]
    counts = np.unique(np.linspace(0, n, POINTS + 1).round().astype(np.int64))
    left = np.concatenate([[0.0], np.cumsum(truth[order])])[counts]
    share = counts / max(n, 1)
    captured = left / max(churners, 1.0)
    worth = None
    if value is not None and (at_stake := float((value * truth).sum())) > 0:
        worth = np.concatenate([[0.0], np.cumsum((value * truth)[order])])[counts] / at_stake
    result["gains"] = [
        {
            "share": float(s),
            "captured": float(c),
            "lift": float(c / s) if s else None,
            "value_captured": None if worth is None else float(worth[i]),
        }
        for i, (s, c) in enumerate(zip(share, captured, strict=True))
    ]
    gamma = economy.empc_alpha / (economy.empc_alpha + economy.empc_beta)
    kept = economy.empc_clv * gamma - economy.empc_incentive * gamma - economy.empc_contact
    wasted = economy.empc_incentive + economy.empc_contact
    profit = (kept * left - wasted * (counts - left)) / max(n, 1)
    result["profit"] = [{"share": float(s), "profit": float(p)} for s, p in zip(share, profit, strict=True)]
    return result


def _bin(truth: Floats, probability: Floats) -> dict[str, Any]:
    n = len(truth)
    observed = float(truth.mean())
    z = 1.959964
    centre = (observed + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(observed * (1 - observed) / n + z * z / (4 * n * n)))
    return {
        "predicted": float(probability.mean()),
        "observed": observed,
        "snapshots": n,
        "low": max(centre - half, 0.0),
        "high": min(centre + half, 1.0),
    }
