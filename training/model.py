"""What is learnt: a bag of shallow boosted forests, with a penalised logistic regression beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # busy waiting takes LightGBM from 2 s to 60 on a full machine

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge

from features.errors import CorredorError
from training.calibration import Calibrator
from training.reasons import roll_up
from training.start import Start
from training.treeshap import TreeShap

Floats = npt.NDArray[np.float64]


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


@dataclass(frozen=True)
class Linear:
    """A linear score of `sign(x) log(1 + |x|)`, standardised, clipped at 4; 0 where unknown."""

    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float

    def terms(self, X: npt.NDArray[Any]) -> Floats:
        """Return each feature's part, float64[n, n_features]; with the intercept they add up to the score."""
        return _standardised(X, self.mean, self.scale) * self.weights

    def raw_score(self, X: npt.NDArray[Any]) -> Floats:
        """Return the score: log-odds of a logistic regression."""
        return np.asarray(self.terms(X).sum(axis=1) + self.intercept)

    def to_dict(self) -> dict[str, Any]:
        """Return the score as plain JSON."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")}
        return {"intercept": self.intercept, **arrays}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """Return the score that `to_dict` described."""
        mean, scale, weights = (np.array(d[name], np.float64) for name in ("mean", "scale", "weights"))
        return cls(mean, scale, weights, float(d["intercept"]))


class Logistic(Linear):
    """An L2 logistic regression."""


@dataclass(frozen=True)
class Forest:
    """A bag of boosted forests (the mean of their log-odds), with `share` of it given to the logistic.

    With a `start`, the trees were grown from its log-odds on, and it is added to theirs.
    """

    boosters: Sequence[lgb.Booster]
    logistic: Logistic | None = None
    share: float = 0.0
    start: Start | None = None

    @property
    def n_features(self) -> int:
        """Number of features that a row has."""
        return int(self.boosters[0].num_feature())

    def raw_score(self, X: npt.NDArray[Any], *, rounds: int | None = None) -> Floats:
        """Return log-odds before calibration, float64[n]; of each forest's first `rounds` trees only.

        The same to the last bit as LightGBM's own, whoever is beside a row, explained or not.
        """
        self._check(X)
        if rounds is None:
            return self._with_linear(self.shap.raw_score(X), X)
        bag = sum(b.predict(X, raw_score=True, num_iteration=rounds, num_threads=1) for b in self.boosters)
        return self._with_linear(np.asarray(bag, dtype=np.float64), X)

    def contributions(self, X: npt.NDArray[Any]) -> Floats:
        """Return exact SHAP contributions, float64[n, n_features + 1]; the last is the base.

        A row adds up to `raw_score`. Trees: path-dependent TreeSHAP; logistic and start: weight x
        standardised value.
        """
        return self.explain(X)[1]

    def explain(
        self, X: npt.NDArray[Any], groups: npt.NDArray[np.int64] | None = None
    ) -> tuple[Floats, Floats]:
        """Return `raw_score` and contributions in one pass, which costs less than LightGBM's bare score.

        With `groups` (int64[n_features], a moment's position for each feature) contributions are summed
        by moment from the start: float64[n, n_moments + 1], the last is the base. The first call for a
        grouping builds its tables.
        """
        self._check(X)
        bag, out = self.shap.explain(X, groups)
        out /= len(self.boosters)
        place = np.arange(self.n_features) if groups is None else groups
        if self.start is not None:
            for column, term in zip(self.start.columns, self.start.terms(X).T, strict=True):
                out[:, place[column]] += term
            out[:, -1] += self.start.intercept
        if self.logistic is not None and self.share > 0:
            out *= 1 - self.share
            terms = self.share * self.logistic.terms(X)
            out[:, :-1] += terms if groups is None else roll_up(terms, groups, out.shape[1] - 1)
            out[:, -1] += self.share * self.logistic.intercept
        return self._with_linear(bag, X), out

    @cached_property
    def shap(self) -> TreeShap:
        """The trees as they are scored and explained; read once, tables built when first asked for."""
        return TreeShap(self.texts())

    def _with_linear(self, bag: Floats, X: npt.NDArray[Any]) -> Floats:
        """Return the score of the sum of the boosters' scores, with the start and the logistic."""
        score = bag / len(self.boosters)
        if self.start is not None:
            score = score + self.start.raw_score(X)
        if self.logistic is not None and self.share > 0:
            score = (1 - self.share) * score + self.share * self.logistic.raw_score(X)
        return score

    def texts(self) -> list[str]:
        """Return the boosters as LightGBM writes them."""
        return [booster.model_to_string() for booster in self.boosters]

    def linear_dict(self) -> dict[str, Any] | None:
        """Return the logistic and its share as plain JSON; None when there is none."""
        if self.logistic is None:
            return None
        return {"share": self.share, **self.logistic.to_dict()}

    @classmethod
    def from_texts(
        cls,
        texts: Sequence[str],
        linear: Mapping[str, Any] | None,
        names: Sequence[str],
        start: Mapping[str, Any] | None = None,
    ) -> Forest:
        """Return the forest that `texts`, `linear_dict` and `Start.to_dict` took apart.

        Check the hashes of the texts before.

        Raises:
            CorredorError: there is no booster, or one reads other features than `names`.
        """
        boosters = tuple(lgb.Booster(model_str=text) for text in texts)
        if not boosters:
            raise CorredorError("the model has no trees. Train it again.")
        widths = {b.num_feature() for b in boosters} | ({len(linear["weights"])} if linear else set())
        if widths != {len(names)}:
            raise CorredorError(
                f"the model reads {', '.join(map(str, sorted(widths)))} features, not {len(names)}."
            )
        begins = None if start is None else Start.from_dict(start)
        if begins is not None and not all(0 <= c < len(names) for c in begins.columns):
            raise CorredorError(f"the model starts from features that are not among the {len(names)}.")
        if linear is None:
            return cls(boosters, start=begins)
        return cls(boosters, Logistic.from_dict(linear), float(linear["share"]), begins)

    def _check(self, X: npt.NDArray[Any]) -> None:
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise CorredorError(f"the model reads {self.n_features} features; the matrix is {X.shape}.")


@dataclass(frozen=True)
class Predictor:
    """The answer to one question (churn, principality): a forest and its calibration."""

    forest: Forest
    calibrator: Calibrator = Calibrator()

    def probability(self, X: npt.NDArray[Any]) -> Floats:
        """Return calibrated probabilities, float64[n]."""
        return self.calibrator.apply(self.forest.raw_score(X))


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
    boosters = []
    for i in range(recipe.seeds):
        booster = lgb.train({**first, "seed": recipe.seed + i}, rows, num_boost_round=recipe.trees)
        boosters.append(lgb.Booster(model_str=booster.model_to_string()))  # as it will be when loaded
    return Forest(tuple(boosters), start=start)


def fit_logistic(X: npt.NDArray[Any], happened: npt.NDArray[Any], *, recipe: Recipe) -> Logistic:
    """Fit the L2 logistic regression on the same rows and features."""
    y = _two_classes(happened)
    mean, scale = _mean_and_scale(X)
    fitted = LogisticRegression(C=recipe.logistic_c, max_iter=1000).fit(_standardised(X, mean, scale), y)
    return Logistic(mean, scale, np.asarray(fitted.coef_[0], dtype=np.float64), float(fitted.intercept_[0]))


def fit_ridge(X: npt.NDArray[Any], y: Floats, *, penalty: float) -> Linear:
    """Fit a ridge regression of a number on features, squashed and standardised like the logistic's."""
    mean, scale = _mean_and_scale(X)
    fitted = Ridge(alpha=penalty).fit(_standardised(X, mean, scale), y)
    return Linear(mean, scale, np.asarray(fitted.coef_, dtype=np.float64), float(fitted.intercept_))


def _mean_and_scale(X: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    squashed = _squashed(X)
    known = ~np.isnan(squashed)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, squashed, 0.0).sum(axis=0) / n
    scale = np.sqrt((np.where(known, squashed - mean, 0.0) ** 2).sum(axis=0) / n)
    return mean, np.where(scale > 1e-9, scale, 1.0)


def _two_classes(happened: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    y = np.asarray(happened, dtype=np.float32)
    if len(y) == 0 or y.min() == y.max():
        raise CorredorError(
            f"all {len(y)} snapshots have the same outcome, so there is nothing to learn. "
            "Check the horizon and the kinds that count as activity."
        )
    return y


def _squashed(X: npt.NDArray[Any]) -> Floats:
    x = np.asarray(X, dtype=np.float64)
    return np.sign(x) * np.log1p(np.abs(x))


def _standardised(X: npt.NDArray[Any], mean: Floats, scale: Floats) -> Floats:
    return np.nan_to_num(np.clip((_squashed(X) - mean) / scale, -4.0, 4.0), nan=0.0)
