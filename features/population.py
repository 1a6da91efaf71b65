"""What is fitted of the population, so that a customer with a short history borrows from the others.

Fitted on what was known before the first `as_of` of the panel, and kept in the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.bgnbd import fit_bgnbd
from features.engine import Plan
from features.expressions import ACTIVITY, Expr, Rows, exp, floor, larger
from features.histories import Histories
from features.holding import Percentiles, percentiles
from features.pathfit import fit_paths
from features.paths import Paths
from features.settings import Activity
from features.signals import signals
from features.vocabulary import Vocabulary
from features.wallets import NOT_FITTED, fit_shares

Floats = npt.NDArray[np.float64]

RATE_HALF_LIVES = (15.0, 30.0, 60.0, 120.0, 1e6)
"""Half-lives, in days, of the rates; the last one never forgets."""
WALLET = Rows("wallet", ("any", True))
GAP_HALF_LIVES = (1e6, 120.0)
"""Half-lives, in days, of the gaps that the log-normal is fitted to."""
LEAST_CUSTOMERS = 30
"""With fewer customers than this, nothing is fitted and weak general values stand."""


@dataclass(frozen=True)
class Population:
    """Parameters of the population.

    rates: half-life -> (shape, rate per day) of the gamma from which customers' rates are drawn.
    gaps: half-life -> mean and within-customer variance of log gaps, and how many gaps the mean weighs.
    dropout: r, alpha, a, b of BG/NBD, time in days.
    signals: signal of a switching cost -> its percentiles in the population.
    paths: what is usual on the company's ways.
    experience: weights of needs met, ease and enjoyment in the experience index; they sum to 1.
    wallet: a, b of the beta from which customers' shares of wallet are drawn.
    """

    rates: Mapping[float, tuple[float, float]]
    gaps: Mapping[float, tuple[float, float, float]]
    dropout: tuple[float, float, float, float]
    customers: int = 0
    signals: Mapping[str, Percentiles] = field(default_factory=dict)
    paths: Paths | None = None
    wallet: tuple[float, float] = NOT_FITTED
    experience: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as JSON values."""
        return {
            "rates": [[h, *p] for h, p in self.rates.items()],
            "gaps": [[h, *p] for h, p in self.gaps.items()],
            "dropout": list(self.dropout),
            "customers": self.customers,
            "signals": {name: [list(part) for part in table] for name, table in self.signals.items()},
            "paths": None if self.paths is None else self.paths.to_dict(),
            "wallet": list(self.wallet),
            "experience": list(self.experience),
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Population:
        """Return the parameters that `to_dict` described."""
        r, alpha, a, b = d["dropout"]
        rates = {float(h): (float(shape), float(rate)) for h, shape, rate in d["rates"]}
        gaps = {float(h): (float(m), float(v), float(w)) for h, m, v, w in d["gaps"]}
        signals = {name: (tuple(edges), tuple(shares)) for name, (edges, shares) in d["signals"].items()}
        paths = None if d["paths"] is None else Paths.from_dict(d["paths"])
        wallet = (float(d["wallet"][0]), float(d["wallet"][1]))
        return cls(
            rates, gaps, (r, alpha, a, b), int(d["customers"]), signals, paths, wallet, tuple(d["experience"])
        )


def fading(half_life: float, days: Expr) -> Expr:
    """Return the weight of something so many days ago."""
    return exp(days * (-float(np.log(2.0)) / half_life))


def decayed_exposure(half_life: float, days: Expr) -> Expr:
    """Return the days observed, each counting half after every half-life: h/ln2 · (1 - 2^(-days/h))."""
    return (half_life / float(np.log(2.0))) * (1.0 - fading(half_life, days))


def decayed_repeats(half_life: float) -> Expr:
    """Return the days of activity after the first, each counting half after every half-life."""
    first = fading(half_life, floor(ACTIVITY.pace("age") + 1e-9))
    return larger(ACTIVITY.decayed("days", half_life) - first, 0.0)


def decayed_gaps(half_life: float) -> tuple[Expr, Expr, Expr]:
    """Return number, sum of logs and sum of squared logs of the gaps, fading with the day they ended."""
    n, logs, squares = (ACTIVITY.decayed(m, half_life) for m in ("gaps", "gap_logs", "gap_log_squares"))
    return n, logs, squares


def fit_population(
    histories: Histories, vocabulary: Vocabulary, activity: Activity, fit_before: int, day_offset: int
) -> Population:
    """Fit the parameters on all customers with activity before `fit_before` (µs UTC)."""
    paths = fit_paths(histories.touchpoints, vocabulary, fit_before)
    age = ACTIVITY.pace("age")
    outputs: list[Expr] = [age, ACTIVITY.pace("silence"), ACTIVITY.days()]
    for h in RATE_HALF_LIVES:
        outputs += [decayed_repeats(h), decayed_exposure(h, age), decayed_exposure(h / 2.0, age)]
    for h in GAP_HALF_LIVES:
        outputs += decayed_gaps(h)
    held = signals(vocabulary, paths)
    first_signal = len(outputs)
    outputs += [s.expression for s in held]
    outputs += [WALLET.total("given"), WALLET.total("answers")]
    plan = Plan(outputs, vocabulary.tags, day_offset=day_offset, standards=vocabulary.standards, paths=paths)
    table = plan.run(histories, np.array([fit_before]))[:, 0].astype(np.float64)
    shares_of = fit_shares(*np.nan_to_num(table[:, -2:]).T)
    table = table[table[:, 2] > 0]
    told = {}
    for place, signal in enumerate(held, first_signal):
        if (shares := percentiles(table[:, place])) is not None:
            told[signal.name] = shares
    if len(table) < LEAST_CUSTOMERS:
        weak = {h: (1.0, 30.0) for h in RATE_HALF_LIVES}
        gaps = {h: (2.5, 1.0, 3.0) for h in GAP_HALF_LIVES}
        return Population(weak, gaps, (1.0, 30.0, 1.0, 3.0), 0, told, paths, shares_of)
    ages, silence, days = table[:, :3].T
    rates = {h: _gamma_prior(*table[:, 3 + 3 * i : 6 + 3 * i].T) for i, h in enumerate(RATE_HALF_LIVES)}
    after = 3 + 3 * len(RATE_HALF_LIVES)
    gaps = {h: _gap_prior(*table[:, after + 3 * i :][:, :3].T) for i, h in enumerate(GAP_HALF_LIVES)}
    dropout = astuple(fit_bgnbd(days - 1, ages - silence, ages))
    return Population(rates, gaps, dropout, len(table), told, paths, shares_of)


def _gamma_prior(counts: Floats, exposure: Floats, squared: Floats) -> tuple[float, float]:
    """Return the gamma's shape and rate, by moments: counts are sums of faded Poisson events.

    `exposure` is the sum of the weights over the days, `squared` that of the squared weights, which is
    what the variance of a faded Poisson count goes with.
    """
    mean = max(float(counts.sum()) / max(float(exposure.sum()), 1e-9), 1e-9)
    noise = (counts - mean * exposure) ** 2 - mean * squared
    between = float(noise.sum()) / max(float((exposure**2).sum()), 1e-9)
    between = max(between, 1e-6 * mean**2 + 1e-12)
    return mean**2 / between, mean / between


def _gap_prior(n: Floats, logs: Floats, squares: Floats) -> tuple[float, float, float]:
    """Return mean and within-customer variance of log gaps, and the weight of the mean in gaps."""
    several = n > 2
    if several.sum() < LEAST_CUSTOMERS:
        return 2.5, 1.0, 3.0
    means = logs[n > 0] / n[n > 0]
    k, own = n[several], logs[several] / n[several]
    scatter = squares[several] - logs[several] ** 2 / k
    within = max(float(scatter.sum()) / float((k - 1).sum()), 0.01)
    between = max(float(own.var()) - float((within / k).mean()), 1e-3)
    return float(means.mean()), within, within / between
