"""Where a forest may start from: a logistic regression of a few shares, so that trees learn only the rest.

A customer's own past share, smoothed by the population, says most of who their main provider will be. A
few hundred customers are enough for a line through its log-odds, and too few for trees to find it step by
step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CLOSEST = 1e-4
"""Shares nearer to 0 or 1 than this count as this near."""


@dataclass(frozen=True)
class Start:
    """An L2 logistic regression of the standardised log-odds of some shares; unknown ones count as usual."""

    columns: tuple[int, ...]
    """Positions of the shares among the features."""
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def terms(self, X: npt.NDArray[Any]) -> Floats:
        """Return each share's part of the log-odds, float64[n, n_columns]."""
        z = (_log_odds(X[:, self.columns]) - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(np.nan_to_num(z, nan=0.0) * np.array(self.weights))

    def raw_score(self, X: npt.NDArray[Any]) -> Floats:
        """Return the log-odds, float64[n]."""
        score = np.full(len(X), self.intercept)
        for term in self.terms(X).T:  # one by one: a sum over an axis rounds a lone row differently
            score += term
        return score

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Start:
        """Return the start that `to_dict` stored."""
        lists = {name: tuple(float(x) for x in stored[name]) for name in ("mean", "scale", "weights")}
        return cls(tuple(int(c) for c in stored["columns"]), **lists, intercept=float(stored["intercept"]))


def fit_start(X: npt.NDArray[Any], happened: npt.NDArray[Any], columns: Sequence[int], c: float) -> Start:
    """Fit a start on some columns of the features; `c` is the inverse strength of the penalty."""
    z = _log_odds(X[:, columns])
    known = ~np.isnan(z)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, z, 0.0).sum(axis=0) / n
    scale = np.sqrt((np.where(known, z - mean, 0.0) ** 2).sum(axis=0) / n)
    scale = np.where(scale > 1e-9, scale, 1.0)
    standardised = np.nan_to_num((z - mean) / scale, nan=0.0)
    # imported here: the service, which starts from what was fitted, need not load it
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=c, max_iter=1000).fit(standardised, np.asarray(happened, np.int8))
    return Start(
        tuple(int(column) for column in columns),
        tuple(mean.tolist()),
        tuple(scale.tolist()),
        tuple(fitted.coef_[0].tolist()),
        float(fitted.intercept_[0]),
    )


def _log_odds(share: npt.NDArray[Any]) -> Floats:
    p = np.clip(np.ascontiguousarray(share, np.float64), CLOSEST, 1 - CLOSEST)
    return np.asarray(np.log(p) - np.log1p(-p))
