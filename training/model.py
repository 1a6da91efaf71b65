"""What is learnt, and how: a bag of shallow boosted forests, and a penalised logistic beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # busy waiting takes LightGBM from 2 s to 60 on a full machine

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge

from features.errors import CorredorError
from training.forest import Floats, Forest, Linear, Logistic, squashed, standardised
from training.start import Start


@dataclass(frozen=True)
class Recipe:
    """The frozen recipe: shallow, slow and strongly sampled trees, the same for all data."""

    trees: int = 400
    learning_rate: float = 0.025
    max_depth: int = 3
    leaves: int | None = None
    """Leaves of a tree; by default as many as its depth allows."""
    min_rows: int = 100
    feature_share: float = 0.1
    row_share: float = 0.4
    l2: float = 1.0
    bins: int = 127
    seeds: int = 6
    seed: int = 0
    threads: int = 1
    monotone: bool = False
    """Hold each feature to the direction that its definition knows."""
    logistic_c: float = 0.0005
    start_c: float = 0.1

    def parameters(self, seed: int, directions: Sequence[int]) -> dict[str, Any]:
        """Return LightGBM's parameters for one seed."""
        held = {"monotone_constraints": list(directions)} if self.monotone and any(directions) else {}
        return {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "num_leaves": self.leaves or 2**self.max_depth,
            "min_child_samples": self.min_rows,
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "max_bin": self.bins,
            "num_threads": self.threads,
            "seed": seed,
            "deterministic": True,
            "force_col_wise": True,  # only the tenth of the features that a tree draws is read
            "enable_bundle": False,  # the same trees in half the time: a bundle of features is read whole
            "verbose": -1,
            **held,
        }


def bin_rows(X: npt.NDArray[np.float32], happened: npt.NDArray[Any], *, recipe: Recipe) -> lgb.Dataset:
    """Return rows as LightGBM reads them, for all forests that are grown on them, or on a `subset`.

    Finding the bins takes longer than growing a hundred trees.

    Raises:
        CorredorError: all rows have the same outcome.
    """
    y = _two_classes(happened)
    binned = lgb.Dataset(X, label=y, params=recipe.parameters(recipe.seed, ()), free_raw_data=True)
    return binned.construct()


def fit_forest(
    X: npt.NDArray[np.float32],
    happened: npt.NDArray[Any],
    *,
    recipe: Recipe,
    directions: Sequence[int] | None = None,
    start: Start | None = None,
    binned: lgb.Dataset | None = None,
) -> Forest:
    """Fit the bag of forests, without the logistic. Same rows, recipe and one thread: the same bytes.

    With a `start`, the trees go on from its log-odds. `binned` are the same rows, if they stand binned
    already.
    """
    _two_classes(happened)
    first = recipe.parameters(recipe.seed, directions or ())
    rows = bin_rows(X, happened, recipe=recipe) if binned is None else binned
    if start is not None:
        rows.set_init_score(start.raw_score(X))
    texts = []
    for i in range(recipe.seeds):
        booster = lgb.train({**first, "seed": recipe.seed + i}, rows, num_boost_round=recipe.trees)
        texts.append(booster.model_to_string())
    return Forest(tuple(texts), start=start)


def boosters_of(texts: Sequence[str]) -> tuple[lgb.Booster, ...]:
    """Return the models that LightGBM wrote as texts."""
    return tuple(lgb.Booster(model_str=text) for text in texts)


def fit_logistic(X: npt.NDArray[Any], happened: npt.NDArray[Any], *, recipe: Recipe) -> Logistic:
    """Fit the L2 logistic regression on the same rows and features."""
    y = _two_classes(happened)
    mean, scale = _mean_and_scale(X)
    fitted = LogisticRegression(C=recipe.logistic_c, max_iter=1000).fit(standardised(X, mean, scale), y)
    return Logistic(mean, scale, np.asarray(fitted.coef_[0], dtype=np.float64), float(fitted.intercept_[0]))


def fit_ridge(X: npt.NDArray[Any], y: Floats, *, penalty: float) -> Linear:
    """Fit a ridge regression of a number on features, squashed and standardised like the logistic's."""
    mean, scale = _mean_and_scale(X)
    fitted = Ridge(alpha=penalty).fit(standardised(X, mean, scale), y)
    return Linear(mean, scale, np.asarray(fitted.coef_, dtype=np.float64), float(fitted.intercept_))


def _mean_and_scale(X: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    values = squashed(X)
    known = ~np.isnan(values)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / n
    scale = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / n)
    return mean, np.where(scale > 1e-9, scale, 1.0)


def _two_classes(happened: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    y = np.asarray(happened, dtype=np.float32)
    if len(y) == 0 or y.min() == y.max():
        raise CorredorError(
            f"all {len(y)} snapshots have the same outcome, so there is nothing to learn. "
            "Check the horizon and the kinds that count as activity."
        )
    return y
