"""What scores: a bag of boosted forests, a linear score beside it; without the libraries that fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from features.errors import CorredorError
from training.calibration import Calibrator
from training.reasons import roll_up
from training.start import Start
from training.treeshap import TreeShap

if TYPE_CHECKING:
    import lightgbm as lgb

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """A linear score of `sign(x) log(1 + |x|)`, standardised, clipped at 4; 0 where unknown."""

    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float

    def terms(self, X: npt.NDArray[Any]) -> Floats:
        """Return each feature's part, float64[n, n_features]; with the intercept they add up to the score."""
        return standardised(X, self.mean, self.scale) * self.weights

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

    texts: tuple[str, ...]
    """The boosters as LightGBM writes them."""
    logistic: Logistic | None = None
    share: float = 0.0
    start: Start | None = None

    @property
    def n_features(self) -> int:
        """Number of features that a row has."""
        return self.shap.trees.n_features

    @cached_property
    def boosters(self) -> tuple[lgb.Booster, ...]:
        """The boosters as LightGBM reads them; scoring and explaining whole forests do without."""
        # imported here: LightGBM takes a second, and may end a process by a text that it cannot read
        from training.model import boosters_of

        return boosters_of(self.texts)

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
        out /= len(self.texts)
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
        return TreeShap(self.texts)

    def _with_linear(self, bag: Floats, X: npt.NDArray[Any]) -> Floats:
        """Return the score of the sum of the boosters' scores, with the start and the logistic."""
        score = bag / len(self.texts)
        if self.start is not None:
            score = score + self.start.raw_score(X)
        if self.logistic is not None and self.share > 0:
            score = (1 - self.share) * score + self.share * self.logistic.raw_score(X)
        return score

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
        if not texts:
            raise CorredorError("the model has no trees. Train it again.")
        begins = None if start is None else Start.from_dict(start)
        logistic, share = (Logistic.from_dict(linear), float(linear["share"])) if linear else (None, 0.0)
        forest = cls(tuple(texts), logistic, share, begins)
        widths = {forest.n_features} | ({len(logistic.weights)} if logistic else set())
        if widths != {len(names)}:
            raise CorredorError(
                f"the model reads {', '.join(map(str, sorted(widths)))} features, not {len(names)}."
            )
        if begins is not None and not all(0 <= c < len(names) for c in begins.columns):
            raise CorredorError(f"the model starts from features that are not among the {len(names)}.")
        return forest

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


def squashed(X: npt.NDArray[Any]) -> Floats:
    """Return `sign(x) log(1 + |x|)`."""
    x = np.asarray(X, dtype=np.float64)
    return np.sign(x) * np.log1p(np.abs(x))


def standardised(X: npt.NDArray[Any], mean: Floats, scale: Floats) -> Floats:
    """Return squashed values in units of their scale from their mean, clipped at 4; 0 where unknown."""
    return np.nan_to_num(np.clip((squashed(X) - mean) / scale, -4.0, 4.0), nan=0.0)
