"""How satisfied customers are, learnt from those who say so, for those who do not.

Few customers say how satisfied they are, and those who do not are not like those who do. So
satisfaction is estimated from all that is known, and said to be: a ridge regression of the answers
that customers gave in the weeks after each date of the panel on what was known at it, moved towards
those who do not answer by exponential tilting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from features.catalog import FittedFeatures
from features.histories import Histories
from features.measures import measure_scale
from features.quarters import FELT
from features.streams import NULL
from training.config import Config
from training.fitting import hold_out, tell_the_date, window_us
from training.model import fit_ridge
from training.panel import Panel
from training.quarters import Satisfaction

Floats = npt.NDArray[np.float64]

LEAST_ANSWERED = 300
"""With fewer snapshots that were answered afterwards, satisfaction is not estimated."""
MOST_ANSWERED = 60_000
KEPT = 40
"""Features that the estimate reads: the strongest of all."""
PENALTY = 0.1
"""Ridge penalty on standardised features, for each snapshot that was answered."""


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
    first = fit_ridge(X[np.ix_(chosen, columns)], y, penalty=PENALTY * len(chosen))
    strongest = np.argsort(-np.abs(first.weights), kind="stable")[:KEPT]
    columns = np.sort(columns[strongest[np.abs(first.weights[strongest]) > 0]])
    linear = fit_ridge(X[np.ix_(chosen, columns)], y, penalty=PENALTY * len(chosen))
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
    return Satisfaction(measure, tuple(names[c] for c in columns.tolist()), linear, spread, response)


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
