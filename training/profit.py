"""Expected maximum profit of a retention campaign that follows a model (EMPC)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.special import betainc

from training.config import Value

Floats = npt.NDArray[np.float64]


def expected_maximum_profit(
    churned: npt.NDArray[Any], score: Floats, economy: Value, weight: Floats | None = None
) -> float:
    """Return the EMPC per customer, in the currency of `[value]`.

    A campaign contacts the riskiest share of customers. A contact costs f, an incentive d; a churner
    accepts with probability gamma, which follows Beta(alpha, beta), and is then worth CLV. For every
    gamma the best share is contacted (on the convex hull of the ROC curve), and the profit averaged.

    Args:
        churned: 1 or 0 for each snapshot.
        score: the higher, the riskier.
        economy: CLV, d, f, alpha, beta.
        weight: how often each snapshot counts.

    Source:
        Verbraken, Verbeke and Baesens (2013), "A novel profit maximizing metric for measuring
        classification performance of customer churn prediction models", IEEE TKDE 25(5), eq. 13-19.

    >>> round(expected_maximum_profit(np.array([1, 0]), np.array([0.9, 0.1]), Value()), 3)
    28.0
    """
    clv, alpha, beta = economy.empc_clv, economy.empc_alpha, economy.empc_beta
    delta, phi = economy.empc_incentive / clv, economy.empc_contact / clv
    if not len(churned) or (weight is not None and not weight.any()):
        return float("nan")  # a replicate that drew none of these customers
    tpr, fpr, pi0 = _hull(np.asarray(churned, np.float64), score, weight)
    pi1 = 1.0 - pi0
    if pi0 == 0 or delta >= 1:
        return 0.0
    # Gamma from which it pays to go on to the next corner of the hull.
    gain, cost = (
        pi0 * (1 - delta) * np.diff(tpr),
        pi1 * (delta + phi) * np.diff(fpr) + pi0 * phi * np.diff(tpr),
    )
    with np.errstate(divide="ignore"):
        pays_from = np.where(gain > 0, cost / np.maximum(gain, 1e-300), np.inf)
    low = np.clip(np.concatenate([[0.0], pays_from]), 0.0, 1.0)
    high = np.concatenate([low[1:], [1.0]])
    mean = alpha / (alpha + beta)
    mass = betainc(alpha, beta, high) - betainc(alpha, beta, low)
    first_moment = mean * (betainc(alpha + 1, beta, high) - betainc(alpha + 1, beta, low))
    profit = pi0 * tpr * (1 - delta) * first_moment - (phi * pi0 * tpr + (delta + phi) * pi1 * fpr) * mass
    return float(clv * profit.sum())


def _hull(churned: Floats, score: Floats, weight: Floats | None) -> tuple[Floats, Floats, float]:
    """Return the corners of the upper convex hull of the ROC curve, and the share of churners.

    The hull's corners are the blocks of an isotonic regression of the outcome on the rank.
    """
    w = np.ones_like(churned) if weight is None else weight
    order = np.argsort(-score, kind="stable")
    order = order[w[order] > 0]
    w, y, s = w[order], churned[order], score[order]
    starts = np.flatnonzero(np.concatenate([[True], s[1:] != s[:-1]]))
    left, all_ = np.add.reduceat(w * y, starts), np.add.reduceat(w, starts)
    churners, stayers = float(left.sum()), float((all_ - left).sum())
    if churners <= 0 or stayers <= 0:
        share = float(churners > 0)
        return np.array([0.0, share]), np.array([0.0, 1.0 - share]), share
    corners = isotonic_regression(left / all_, weights=all_, increasing=False).blocks
    t = np.concatenate([[0.0], np.cumsum(left)])[corners] / churners
    x = np.concatenate([[0.0], np.cumsum(all_ - left)])[corners] / stayers
    return t, x, churners / (churners + stayers)
