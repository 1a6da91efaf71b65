"""From contributions of features to moments of truth: exact sums, what the risk would be without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from training.calibration import Calibrator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Side = Literal["both", "down"]
"""Which moments count: those that move a prediction most either way, or that lower it most."""


@dataclass(frozen=True)
class TopMoments:
    """The moments that moved each prediction most, `[n_snapshots, k]`, by size of their contribution.

    `moment` and `feature` are positions (in `Bundle.moment_keys` and in the features); `feature` is
    the one to tell the moment by. Contributions are log-odds before calibration: positive raises the
    risk. `risk_without` is the calibrated probability had the moment contributed nothing; it tells
    how the model weighs the moment, not what would happen.
    """

    moment: Ints
    feature: Ints
    contribution: Floats
    risk_without: Floats


def roll_up(contributions: Floats, moment_of_feature: Ints, n_moments: int) -> Floats:
    """Return the sum of the features' contributions by moment, `float64[n_snapshots, n_moments]`.

    Features are added in their own order, so a row's sums do not depend on the rows beside it.

    >>> roll_up(np.array([[0.5, -0.25, 1.0]]), np.array([0, 1, 0]), 2)
    array([[ 1.5 , -0.25]])
    """
    sums = np.zeros((len(contributions), n_moments))
    _add_up(np.asarray(contributions, np.float64), moment_of_feature, sums)
    return sums


def top_moments(
    contributions: Floats,
    moments: Floats,
    raw: Floats,
    known: npt.NDArray[np.bool_],
    moment_of_feature: Ints,
    calibrator: Calibrator,
    k: int,
    side: Side = "both",
) -> TopMoments:
    """Return the k moments that moved each prediction most; ties go to the moment that comes first.

    With `side` "down", those that lowered it most come first, and those that raised it, last.

    A moment is told by a feature that pushes the same way at least half as hard as the one that
    pushes hardest: the first such in the catalog, which goes from plain to derived, with a known
    value (`known`, one flag per feature) if there is one.
    """
    n = len(moments)
    k = min(k, moments.shape[1])
    chosen, feature = np.zeros((n, k), np.int64), np.zeros((n, k), np.int64)
    contribution = np.zeros((n, k))
    members, begins = _members(moment_of_feature.tobytes(), moments.shape[1])
    _choose(contributions, moments, known, members, begins, side == "both", chosen, contribution, feature)
    without = calibrator.apply((raw[:, None] - contribution).ravel()).reshape(n, k)
    return TopMoments(chosen, feature, contribution, without)


@lru_cache(maxsize=16)
def _members(moment_of_feature: bytes, n_moments: int) -> tuple[Ints, Ints]:
    """Return the features by moment, in their own order, and where each moment's begin."""
    of = np.frombuffer(moment_of_feature, np.int64)
    members = np.argsort(of, kind="stable")
    return members, np.searchsorted(of[members], np.arange(n_moments + 1))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_up(contributions: Floats, moment_of_feature: Ints, sums: Floats) -> None:
    for row in range(contributions.shape[0]):
        for f in range(contributions.shape[1]):
            sums[row, moment_of_feature[f]] += contributions[row, f]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _choose(
    contributions: Floats,
    moments: Floats,
    known: npt.NDArray[np.bool_],
    members: Ints,
    begins: Ints,
    both: bool,
    chosen: Ints,
    contribution: Floats,
    feature: Ints,
) -> None:
    """Choose the top moments of each row, and the feature of each to tell it by, into the last three."""
    n_moments, k = moments.shape[1], chosen.shape[1]
    weight = np.empty(n_moments)
    for row in range(moments.shape[0]):
        for m in range(n_moments):
            weight[m] = abs(moments[row, m]) if both else -moments[row, m]
        for j in range(k):
            best = 0
            for m in range(1, n_moments):
                if weight[m] > weight[best]:
                    best = m
            weight[best] = -np.inf
            chosen[row, j], contribution[row, j] = best, moments[row, best]
            sign = -1.0 if moments[row, best] < 0 else 1.0
            most = -np.inf
            for i in range(begins[best], begins[best + 1]):
                most = max(most, contributions[row, members[i]] * sign)
            first, first_known = -1, -1
            for i in range(begins[best], begins[best + 1]):
                f = members[i]
                if contributions[row, f] * sign >= most / 2:
                    if first < 0:
                        first = f
                    if known[row, f]:
                        first_known = f
                        break
            feature[row, j] = first if first_known < 0 else first_known


def global_moments(
    moments: Floats,
    keys: Sequence[str],
    groups: Mapping[str, Sequence[str] | npt.NDArray[Any]],
    *,
    top: int = 12,
    side: Side = "both",
) -> dict[str, Any]:
    """Rank the moments of truth by mean absolute contribution, overall and within groups.

    Args:
        moments: contributions by moment, `float64[n_snapshots, n_moments]`.
        keys: the moments' keys.
        groups: name of a grouping ("lifecycle", "segment") -> each snapshot's group; None is left out.
        top: how many each group keeps (a segment's dozen); overall keeps all.
        side: with "down" only what lowers the score counts: the weight is the mean of that alone.

    Returns:
        Plain JSON: `{"overall": [{"moment", "weight", "direction"}, …], "lifecycle": {"new": […], …}}`.
        The weight is the mean of the absolute contributions in log-odds, the direction the mean of
        the signed ones.
    """
    result: dict[str, Any] = {"overall": _ranked(moments, keys, len(keys), side)}
    for name, labels in groups.items():
        values = np.asarray(labels, object)
        present = sorted({str(v) for v in values if v is not None})
        result[name] = {level: _ranked(moments[values == level], keys, top, side) for level in present}
    return result


def _ranked(moments: Floats, keys: Sequence[str], top: int, side: Side) -> list[dict[str, Any]]:
    if not len(moments):
        return []
    weight = (np.abs(moments) if side == "both" else np.maximum(-moments, 0.0)).mean(axis=0)
    direction = moments.mean(axis=0)
    order = np.argsort(-weight, kind="stable")[:top]
    return [
        {"moment": keys[i], "weight": float(weight[i]), "direction": float(direction[i])}
        for i in order
        if weight[i] > 0
    ]


def agreement(first: Floats, second: Floats, *, k: int = 3) -> float:
    """Return how much two models agree on each customer's top k moments: the mean Jaccard index.

    Both are contributions by moment of the same snapshots and moments, `float64[n, n_moments]`.

    >>> agreement(np.array([[3.0, 2.0, 0.0]]), np.array([[3.0, 0.0, 2.0]]), k=2)
    0.3333333333333333
    """
    k = min(k, first.shape[1])
    chosen = []
    for moments in (first, second):
        top = np.zeros(moments.shape, bool)
        np.put_along_axis(top, np.argsort(-np.abs(moments), axis=1, kind="stable")[:, :k], True, axis=1)
        chosen.append(top)
    both = (chosen[0] & chosen[1]).sum(axis=1)
    either = (chosen[0] | chosen[1]).sum(axis=1)
    return float((both / either).mean())
