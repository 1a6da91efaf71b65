"""The experience index: how much needs met, ease and enjoyment each weigh, by what they did to churn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from features.answers import PARTS
from features.catalog import FittedFeatures
from features.experience import parts
from features.histories import Histories
from training.config import Config
from training.fitting import hold_out, window_us
from training.labels import churn_labels, eligible

Floats = npt.NDArray[np.float64]
LEAST_LEAVERS = 30
"""With fewer who left among those who had answered, the three parts weigh the same."""
EQUAL = 0.05
"""How strongly the three effects are drawn together, a snapshot: they go up and down with each other."""


def with_experience(
    known: Histories, config: Config, fitted: FittedFeatures, dates: npt.NDArray[np.int64]
) -> FittedFeatures:
    """Return the features with the weights of the experience index fitted on the early dates of a panel.

    The newest dates, on which a model has to prove itself, are left out.

    Args:
        known: what is known.
        config: the configuration.
        fitted: features, with equal weights.
        dates: of the panel, µs UTC.
    """
    if not set(PARTS) <= set(fitted.context.vocabulary.answered):
        return fitted
    split = hold_out(dates, window_us(config))
    if split is None:
        return fitted
    early = split[0]
    here = np.stack([eligible(known, config, int(d)) for d in early], axis=1)
    left = np.stack([churn_labels(known, config, int(d)).value for d in early], axis=1)
    told = fitted.plan_of(parts()).run(known, early).astype(np.float64)
    rows = here & (left >= 0) & ~np.isnan(told).any(axis=2)
    weights = weigh(told[rows], left[rows])
    population = replace(fitted.context.population, experience=weights)
    return FittedFeatures(replace(fitted.context, population=population))


def weigh(scores: Floats, left: npt.NDArray[np.int8]) -> tuple[float, ...]:
    """Return the weights of the parts, which sum to 1: their effects on the log-odds of leaving.

    A logistic regression whose effects cannot be positive (a better experience raises no risk) and are
    drawn towards each other, since the parts rise and fall together.

    Args:
        scores: float64[n, parts], 0 to 10.
        left: 1 or 0.
    """
    n, k = scores.shape
    equal = tuple([1.0 / k] * k)
    if min(left.sum(), n - left.sum()) < LEAST_LEAVERS:
        return equal
    centred = scores - scores.mean(axis=0)

    def loss(b: Floats) -> tuple[float, Floats]:
        z = b[0] + centred @ b[1:]
        apart = b[1:] - b[1:].mean()
        value = np.logaddexp(0.0, z).mean() - (left * z).mean() + EQUAL * (apart**2).sum()
        error = 1 / (1 + np.exp(-z)) - left
        return float(value), np.append(error.mean(), centred.T @ error / n + 2 * EQUAL * apart)

    share = left.mean()
    start = np.append(np.log(share / (1 - share)), np.full(k, -0.01))
    bounds = [(None, None)] + [(None, 0.0)] * k
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[1:]
    if found.sum() > -1e-6:
        return equal
    return tuple(round(float(w), 4) for w in found / found.sum())
