"""The four quarters: who is satisfied, who is held, and how they move.

Few customers say how satisfied they are, and those who do not are not like those who do. So
satisfaction is estimated from all that is known, and said to be: a ridge regression of the answers
that customers gave in the weeks after each date of the panel on what was known at it, moved towards
those who do not answer by exponential tilting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtr
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from features.catalog import FittedFeatures
from features.histories import Histories
from features.measures import measure_scale
from features.quarters import FELT
from features.settings import COSTS, Quarters
from features.streams import NULL, Ints
from training.config import Config
from training.fitting import hold_out, tell_the_date, window_us
from training.model import Linear, fit_ridge
from training.panel import Panel

Floats = npt.NDArray[np.float64]

QUARTERS = ("loyal", "hostage", "mercenary", "defector", "unknown")
"""Satisfied and held; not satisfied and held; satisfied and not held; neither; satisfaction not known."""
LOYAL, HOSTAGE, MERCENARY, DEFECTOR, UNKNOWN = range(len(QUARTERS))
PROVENANCES = ("surveyed", "observed", "unknown")
SURVEYED_DAYS = 364
"""An answer older than this no longer counts as asked."""
LEAST_ANSWERED = 300
"""With fewer snapshots that were answered afterwards, satisfaction is not estimated."""
MOST_ANSWERED = 60_000
KEPT = 40
"""Features that the estimate reads: the strongest of all."""
PENALTY = 3_000.0
"""Ridge penalty, on standardised features, where a feature weighs as much as this many snapshots."""


@dataclass(frozen=True)
class Satisfaction:
    """How satisfied customers are, 0 to 10, estimated from features.

    `spread` is the standard deviation of what satisfaction is around its estimate, apart from the
    noise of an answer; `response` the intercept and slope of the log-odds of answering on the estimate.
    """

    measure: str
    names: tuple[str, ...]
    linear: Linear
    spread: float
    response: tuple[float, float]
    tested: Mapping[str, float] = field(default_factory=dict)
    """On later dates: Spearman correlation with the answers, and errors beside that of the mean answer."""

    def estimate(self, X: npt.NDArray[Any]) -> Floats:
        """Return satisfaction, float64[n], of rows of the features `names`.

        Source: exponential tilting, Kim and Yu 2011, J. Am. Stat. Assoc. 106(493): answering depends on
        satisfaction itself by the slope found between customers.
        """
        answered = self.linear.raw_score(X)
        intercept, slope = self.response
        silent = expit(-(intercept + slope * answered))
        return np.clip(answered - slope * silent * self.spread**2, 0.0, 10.0)

    def unsatisfied(self, satisfaction: Floats, satisfied_from: float) -> Floats:
        """Return the probability of being less satisfied than that."""
        return np.asarray(ndtr((satisfied_from - satisfaction) / self.spread))

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON values."""
        return {
            "measure": self.measure,
            "names": list(self.names),
            "linear": self.linear.to_dict(),
            "spread": self.spread,
            "response": list(self.response),
            "tested": dict(self.tested),
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Satisfaction:
        """Return the estimate that `to_dict` described."""
        intercept, slope = d["response"]
        return cls(
            str(d["measure"]),
            tuple(d["names"]),
            Linear.from_dict(d["linear"]),
            float(d["spread"]),
            (float(intercept), float(slope)),
            dict(d["tested"]),
        )


@dataclass(frozen=True)
class Standing:
    """Where customers stand between satisfaction and switching costs; one element per customer.

    `indices` and `coverage` are float64[n, 4] in the order of `COSTS`, NaN where nothing is known;
    `provenance` and `satisfaction_source` are positions in `PROVENANCES`, `quarter` in `QUARTERS`.
    """

    satisfaction: Floats
    satisfaction_source: npt.NDArray[np.int8]
    unsatisfied: Floats
    """Probability of not being satisfied; NaN where nothing tells."""
    quarter: npt.NDArray[np.int8]
    hostage: Floats
    """Probability of not being satisfied while a commitment runs; NaN where nothing tells."""
    indices: Floats
    coverage: Floats
    provenance: npt.NDArray[np.int8]
    next_end_days: Floats
    """Days until the next commitment ends; NaN where none runs."""
    last_end_days: Floats

    def __len__(self) -> int:
        return len(self.quarter)


def join(parts: Sequence[Standing]) -> Standing:
    """Return the standings of several parts as one."""
    names = Standing.__dataclass_fields__
    return Standing(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def needed(fitted: FittedFeatures, satisfaction: Satisfaction | None) -> list[str]:
    """Return the features that a standing is read from, of those that there are."""
    of_costs = [f"switching_{c}_{what}" for c in COSTS for what in ("index", "surveyed", "coverage")]
    others = ("switching_cost_mean", *_SAID, *_ENDS, "commitments")
    wanted = {*of_costs, *others, *(satisfaction.names if satisfaction else ())}
    return [name for name in fitted.names if name in wanted]


def standing_of(
    X: npt.NDArray[np.float32], names: Sequence[str], satisfaction: Satisfaction | None, quarters: Quarters
) -> Standing:
    """Return where customers stand.

    Held is who has a mean switching cost of at least `held_from`, or a commitment that runs. Without an
    estimate of satisfaction the customer's own answers count; without those the quarter is unknown.

    Args:
        X: float32[n, len(names)].
        names: of the columns; those of `needed` are looked for.
        satisfaction: how satisfaction is estimated; None: only by the customer's own answers.
        quarters: from where customers count as satisfied, and as held.
    """
    place = {name: i for i, name in enumerate(names)}

    def column(name: str) -> Floats:
        found = X[:, place[name]] if name in place else np.full(len(X), np.nan)
        return np.asarray(found, np.float64)

    said, age = (column(name) for name in _SAID)
    asked = ~np.isnan(said) & (age <= SURVEYED_DAYS)
    if satisfaction is not None and all(name in place for name in satisfaction.names):
        felt = satisfaction.estimate(X[:, [place[name] for name in satisfaction.names]])
        unsatisfied = satisfaction.unsatisfied(felt, quarters.satisfied_from)
        source = np.where(asked, 0, 1)
    else:
        felt = np.where(asked, said, np.nan)
        unsatisfied = np.where(asked, (said < quarters.satisfied_from).astype(np.float64), np.nan)
        source = np.where(asked, 0, 2)
    indices, coverage, surveyed = (
        np.stack([column(f"switching_{cost}_{what}") for cost in COSTS], axis=1)
        for what in ("index", "coverage", "surveyed")
    )
    committed = np.nan_to_num(column("commitments")) > 0
    held = (np.nan_to_num(column("switching_cost_mean")) >= quarters.held_from) | committed
    unhappy = unsatisfied > 0.5
    quarter = np.select(
        [np.isnan(unsatisfied), ~unhappy & held, unhappy & held, ~unhappy],
        [UNKNOWN, LOYAL, HOSTAGE, MERCENARY],
        DEFECTOR,
    )
    next_end, last_end = (column(name) for name in _ENDS)
    return Standing(
        satisfaction=felt,
        satisfaction_source=source.astype(np.int8),
        unsatisfied=unsatisfied,
        quarter=quarter.astype(np.int8),
        hostage=unsatisfied * committed,
        indices=indices,
        coverage=np.where(np.isnan(indices), 0.0, np.where(np.isnan(coverage), 1.0, coverage)),
        provenance=np.where(np.isnan(indices), 2, np.where(surveyed > 0, 0, 1)).astype(np.int8),
        next_end_days=next_end,
        last_end_days=last_end,
    )


_SAID = ("satisfaction_said", "days_since_satisfaction_said")
_ENDS = ("days_until_uncommitted", "days_until_last_uncommitted")


def movement(before: Ints, now: Ints, value: Floats) -> list[dict[str, Any]]:
    """Return how many customers moved from each quarter to each, and their worth; the largest first.

    Args:
        before: positions in `QUARTERS`; -1 for who was not with us.
        now: the same, today.
        value: worth of each, NaN where not known.
    """
    moves = []
    for a, b in sorted({*zip(before.tolist(), now.tolist(), strict=True)}):
        who = (before == a) & (now == b)
        moves.append(
            {
                "before": QUARTERS[a] if a >= 0 else None,
                "now": QUARTERS[b],
                "customers": int(who.sum()),
                "value": float(np.nansum(value[who])),
            }
        )
    return sorted(moves, key=lambda m: -m["customers"])


def fit_satisfaction(
    known: Histories, config: Config, fitted: FittedFeatures, panel: Panel
) -> Satisfaction | None:
    """Fit how satisfied customers are on the answers given in the window after each date of a panel.

    Judged on the newest dates first: None when the answers there are not told better than by their
    mean, or when there are too few of them.
    """
    for measure in FELT:
        answers = _answers(known, config, panel, measure)
        if (answers.count > 0).sum() >= LEAST_ANSWERED:
            break
    else:
        return None
    usable = ~tell_the_date(panel)
    split = hold_out(panel.dates, window_us(config))
    tested: dict[str, float] = {}
    if split is not None:
        early, late = (np.isin(panel.as_of, dates) for dates in split)
        late &= answers.count > 0
        found = _fit(panel.X, answers, early, usable, fitted.names, measure)
        if found is not None and late.sum() > 1:
            mean = answers.mean[early & (answers.count > 0)].mean()
            tested = _test(found, panel.X[late], fitted.names, answers.mean[late], float(mean))
            if not tested["error"] < tested["error_of_the_mean"]:
                return None
    final = _fit(panel.X, answers, np.ones(len(panel), bool), usable, fitted.names, measure)
    if final is None:
        return None
    return Satisfaction(final.measure, final.names, final.linear, final.spread, final.response, tested)


@dataclass(frozen=True)
class _Answers:
    """Of each snapshot: answers in its window, their mean (NaN without), their scatter around it."""

    count: npt.NDArray[np.int64]
    mean: Floats
    scatter: Floats


def _answers(known: Histories, config: Config, panel: Panel, measure: str) -> _Answers:
    stream, n = known.touchpoints, known.n_customers
    total, squares, count = np.zeros(len(panel)), np.zeros(len(panel)), np.zeros(len(panel), np.int64)
    if measure in stream.values:
        values = stream.values[measure].unpack()
        rows = np.flatnonzero(values != NULL)
        moment, who = stream.occurred_at.unpack()[rows], stream.customer_of_rows()[rows]
        said = values[rows] / measure_scale(measure)
        for date in panel.dates.tolist():
            inside = (moment >= date) & (moment < date + window_us(config))
            at = panel.as_of == date
            of = panel.customer[at]
            for into, weights in ((total, said), (squares, said**2)):
                into[at] = np.bincount(who[inside], weights[inside], minlength=n)[of]
            count[at] = np.bincount(who[inside], minlength=n)[of]
    some = np.maximum(count, 1)
    mean = np.where(count > 0, total / some, np.nan)
    return _Answers(count, mean, np.maximum(squares - total**2 / some, 0.0))


def _fit(
    X: npt.NDArray[np.float32],
    answers: _Answers,
    rows: npt.NDArray[np.bool_],
    usable: npt.NDArray[np.bool_],
    names: Sequence[str],
    measure: str,
) -> Satisfaction | None:
    """Fit on some snapshots: a ridge on all features, then on the strongest; the noise; who answers."""
    chosen = np.flatnonzero(rows & (answers.count > 0))
    if len(chosen) < LEAST_ANSWERED // 2:
        return None
    if len(chosen) > MOST_ANSWERED:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MOST_ANSWERED, replace=False))
    y = answers.mean[chosen]
    columns = np.flatnonzero(usable)
    first = fit_ridge(X[np.ix_(chosen, columns)], y, penalty=PENALTY)
    strongest = np.argsort(-np.abs(first.weights), kind="stable")[:KEPT]
    columns = np.sort(columns[strongest[np.abs(first.weights[strongest]) > 0]])
    linear = fit_ridge(X[np.ix_(chosen, columns)], y, penalty=PENALTY)
    told = linear.raw_score(X[np.ix_(chosen, columns)])
    residual = float(np.mean((y - told) ** 2))
    again = int((answers.count[chosen] - 1).sum())
    noise = float(answers.scatter[chosen].sum()) / again if again >= 50 else residual / 2.0
    own = residual - noise * float((1.0 / answers.count[chosen]).mean())
    spread = float(np.sqrt(max(own, residual / 5.0, 1e-4)))
    everyone = np.flatnonzero(rows)[:: max(1, int(rows.sum()) // MOST_ANSWERED)]
    answered = answers.count[everyone] > 0
    response = (0.0, 0.0)
    if not answered.all():
        by = linear.raw_score(X[np.ix_(everyone, columns)])[:, None]
        slope = LogisticRegression(C=1.0).fit(by, answered)
        response = (float(slope.intercept_[0]), max(float(slope.coef_[0, 0]), 0.0))
    return Satisfaction(measure, tuple(names[c] for c in columns), linear, spread, response)


def _test(
    found: Satisfaction, X: npt.NDArray[np.float32], names: Sequence[str], said: Floats, mean: float
) -> dict[str, float]:
    place = [list(names).index(name) for name in found.names]
    told = found.linear.raw_score(X[:, place])
    return {
        "answers": float(len(said)),
        "spearman": float(spearmanr(told, said)[0]) if told.std() > 0 and said.std() > 0 else 0.0,
        "error": float(np.sqrt(np.mean((said - told) ** 2))),
        "error_of_the_mean": float(np.sqrt(np.mean((said - mean) ** 2))),
    }
