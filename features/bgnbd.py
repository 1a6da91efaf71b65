"""BG/NBD, the peer to beat on repeat purchases: the published likelihood, in a few lines.

The library that has it (lifetimes) has not been maintained since 2020; its successors bring a compiler
and a probabilistic programming system with them, to fit four numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PULL = 1e-3


@dataclass(frozen=True)
class BgNbd:
    """Purchases are Poisson with a gamma rate (r, alpha); after each, a beta chance (a, b) of leaving.

    Time is in days. `x` repeats, the last of them at `t`, of a customer first seen `age` days ago.

    Source: Fader, Hardie and Lee (2005), "Counting your customers" the easy way, Marketing Science 24(2).
    """

    r: float
    alpha: float
    a: float
    b: float

    def alive(self, x: Floats, t: Floats, age: Floats) -> Floats:
        """Return the probability of not having left."""
        odds = (self.r + x) * np.log((self.alpha + age) / (self.alpha + t))
        gone = self.a / (self.b + np.maximum(x, 1) - 1) * np.exp(np.minimum(odds, 700.0))
        return np.where(x > 0, 1.0 / (1.0 + gone), 1.0)

    def none_in(self, x: Floats, t: Floats, age: Floats, days: float) -> Floats:
        """Return the probability of no purchase in the next days: having left, or a wait that long."""
        here = self.alive(x, t, age)
        waits = (self.r + x) * np.log1p(days / (self.alpha + age))
        return np.asarray(1.0 - here + here * np.exp(-waits))


def fit_bgnbd(x: Floats, t: Floats, age: Floats) -> BgNbd:
    """Return the maximum-likelihood model of customers' repeats, last repeat and age (days).

    A slight pull of the logarithms to 0 keeps parameters that the data do not tell from running away.
    """
    # imported here: the service, which fits nothing, need not load it
    from scipy.optimize import minimize

    x, t, age = np.maximum(x, 0.0), np.maximum(t, 0.0), np.maximum(age, 1e-3)

    def loss(logs: Floats) -> float:
        return PULL * float((logs**2).sum()) - _log_likelihood(np.exp(logs), x, t, age)

    start = np.log([1.0, max(float(age.mean()) / max(float(x.mean()), 0.1), 1e-2), 0.5, 3.0])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(-6.0, 9.0)] * 4)
    return BgNbd(*(float(np.round(p, 9)) for p in np.exp(found.x)))


def _log_likelihood(parameters: Floats, x: Floats, t: Floats, age: Floats) -> float:
    from scipy.special import betaln, gammaln

    r, alpha, a, b = parameters
    head = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    alive = betaln(a, b + x) - (r + x) * np.log(alpha + age)
    more = np.maximum(x, 1)
    gone = np.where(x > 0, betaln(a + 1, b + more - 1) - (r + x) * np.log(alpha + t), -np.inf)
    return float((head + np.logaddexp(alive, gone)).mean())
