"""From a log-odds score to a probability that means what it says, behind a gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from features.errors import CorredorError

Floats = npt.NDArray[np.float64]
Kind = Literal["identity", "platt", "beta"]
KINDS: tuple[Kind, ...] = ("identity", "platt", "beta")


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from raw log-odds to probability.

    `identity` has no parameters; `platt` is (slope, intercept) on the log-odds; `beta` is (a, b, c) of
    `logit(p') = a ln p - b ln(1 - p) + c`.

    Source: Platt (1999); Kull, Silva Filho and Flach (2017), "Beta calibration".

    >>> round(float(Calibrator("platt", (1.0, 0.0)).apply(np.array([0.0]))[0]), 3)
    0.5
    """

    kind: Kind = "identity"
    parameters: tuple[float, ...] = ()

    def log_odds(self, raw: npt.ArrayLike) -> Floats:
        """Return the calibrated log-odds of raw ones."""
        z = np.asarray(raw, dtype=np.float64)
        if self.kind == "identity":
            return z
        # term by term: a matrix product rounds a row differently when other rows are beside it
        if self.kind == "platt":
            slope, intercept = self.parameters
            return np.asarray(z * slope + intercept)
        a, b, c = self.parameters
        return np.asarray(-np.logaddexp(0.0, -z) * a + np.logaddexp(0.0, z) * b + c)

    def apply(self, raw: npt.ArrayLike) -> Floats:
        """Return the probability for raw log-odds."""
        return probability(self.log_odds(raw))

    def to_dict(self) -> dict[str, Any]:
        """Return what a bundle stores."""
        return {"kind": self.kind, "parameters": list(self.parameters)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibrator:
        """Return the calibrator that `to_dict` stored."""
        kind, parameters = stored["kind"], tuple(float(p) for p in stored["parameters"])
        if kind not in KINDS or len(parameters) != KINDS.index(kind) + (kind != "identity"):
            raise CorredorError(f"calibration {kind!r} with {len(parameters)} parameters is not one of ours.")
        return cls(kind, parameters)


@dataclass(frozen=True)
class Verdict:
    """The calibrator that passed the gate, and why: log-loss by kind on dates that it was not fitted on."""

    calibrator: Calibrator
    log_loss: Mapping[Kind, float]
    reason: str


def fit_calibrator(kind: Kind, raw: Floats, happened: npt.ArrayLike) -> Calibrator:
    """Fit a calibrator by maximum likelihood; one that would turn the order around comes back as identity."""
    y = np.asarray(happened, dtype=np.float64)
    if kind == "identity" or len(y) == 0 or y.min() == y.max():
        return Calibrator()
    parameters = _newton(_design(kind, np.asarray(raw, dtype=np.float64)), y)
    slopes = parameters[:-1]
    if not np.isfinite(parameters).all() or (slopes < 0).any():
        return fit_calibrator("platt", raw, y) if kind == "beta" else Calibrator()
    return Calibrator(kind, tuple(float(p) for p in parameters))


def choose_calibrator(
    raw: Floats, happened: npt.NDArray[Any], customer: npt.NDArray[Any], as_of: npt.NDArray[Any], horizon: int
) -> Verdict:
    """Return the calibrator that earns its place out of time; identity when none does or none can be judged.

    Each kind is fitted on the earlier dates and judged on later ones whose label windows do not touch
    theirs. It is kept when it lowers the log-loss by more than three standard errors (over customers),
    and is then fitted again on all dates. `horizon` (gap + horizon) is in the unit of `as_of`.
    """
    dates = np.unique(as_of)
    splits = [d for d in dates if (dates + horizon <= d).any()]
    if not splits:
        return Verdict(Calibrator(), {}, "identity: no dates left to judge another on")
    late = as_of >= splits[len(splits) // 2]
    early = as_of + horizon <= splits[len(splits) // 2]
    y = happened[late]
    losses = {
        k: log_losses(fit_calibrator(k, raw[early], happened[early]).apply(raw[late]), y) for k in KINDS
    }
    measured = {k: float(v.mean()) for k, v in losses.items()}
    best = min(KINDS, key=lambda k: (measured[k], KINDS.index(k)))
    gain = losses["identity"] - losses[best]
    if best == "identity" or gain.mean() <= 3 * clustered_error(gain, customer[late]):
        return Verdict(Calibrator(), measured, "identity: no other was clearly better on later dates")
    return Verdict(fit_calibrator(best, raw, happened), measured, f"{best}: lower log-loss on later dates")


def as_sharp_as(alone: Floats, blend: Floats, happened: npt.NDArray[Any]) -> Calibrator:
    """Return the map after which a blend asks for the same recalibration as one of its parts does alone.

    The mean of two models' log-odds is timider than either. How much so is told by both on the same rows:
    with `a z + b` what recalibrates the blend, `a' z + b'` the part, it is `(a z + b - b') / a'`. What blurs
    both alike, such as the drift from date to date, falls out of it. A blend that is sharper than the part
    stays as it is: it would only be made as timid.

    Source: Satopää et al. (2014), "Combining multiple probability predictions using a simple logit model";
    Ranjan and Gneiting (2010), "Combining probability forecasts".
    """
    of_blend, of_part = (fit_calibrator("platt", z, happened) for z in (blend, alone))
    if "identity" in (of_blend.kind, of_part.kind) or of_part.parameters[0] <= 0:
        return Calibrator()
    (slope, intercept), (own_slope, own_intercept) = of_blend.parameters, of_part.parameters
    if slope <= own_slope:
        return Calibrator()
    return Calibrator("platt", (slope / own_slope, (intercept - own_intercept) / own_slope))


def probability(log_odds: npt.ArrayLike) -> Floats:
    """Return 1 / (1 + exp(-z)) without overflow."""
    z = np.asarray(log_odds, dtype=np.float64)
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def log_losses(p: Floats, happened: npt.ArrayLike) -> Floats:
    """Return each row's log-loss, in nats."""
    y = np.asarray(happened, dtype=bool)
    return np.asarray(-np.log(np.clip(np.where(y, p, 1.0 - p), 1e-15, 1.0)))


def clustered_error(x: Floats, cluster: npt.NDArray[Any]) -> float:
    """Return the standard error of the mean of `x` when rows of one cluster (a customer) move together."""
    _, index = np.unique(cluster, return_inverse=True)
    sums = np.bincount(index, weights=x - x.mean())
    return float(np.sqrt((sums**2).sum()) / len(x)) if len(sums) > 1 else float("inf")


def _design(kind: Kind, z: Floats) -> Floats:
    one = np.ones_like(z)
    if kind == "platt":
        return np.stack([z, one], axis=-1)
    return np.stack([-np.logaddexp(0.0, -z), np.logaddexp(0.0, z), one], axis=-1)


def _newton(design: Floats, y: Floats) -> Floats:
    """Logistic regression without penalty: a few damped Newton steps."""
    beta = np.zeros(design.shape[1])
    beta[:-1] = 1.0  # the identity, for both kinds
    ridge = 1e-9 * np.eye(len(beta))
    loss = log_losses(probability(design @ beta), y).sum()
    for _ in range(50):
        p = probability(design @ beta)
        step = np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]) + ridge, design.T @ (y - p))
        scale = 1.0
        while scale > 1e-6:
            after = log_losses(probability(design @ (beta + scale * step)), y).sum()
            if after <= loss:
                break
            scale /= 2
        else:
            return beta
        beta = beta + scale * step
        if loss - after < 1e-10 * len(y):
            return beta
        loss = after
    return beta
