"""A test on later snapshots: our probabilities beside the baselines', and all that is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalog import FittedFeatures
from features.histories import Histories
from features.profile import LIFECYCLE
from training.baselines import churn_baselines, principality_baselines
from training.bundle import CHURN
from training.calibration import probability
from training.config import Config
from training.evaluate import Outcomes, measure, measure_groups
from training.fitting import Fit
from training.panel import Panel
from training.worth import worth_per_year

Floats = npt.NDArray[np.float64]
OURS = "corredor"
LOGISTIC = "logistic"
"""The L2 logistic regression on the same features: a part of ours, told beside it, no baseline."""


@dataclass(frozen=True)
class Test:
    """Snapshots whose outcomes are known, what each model says of them, and their groups."""

    outcomes: Outcomes
    models: Mapping[str, Floats]
    groups: Mapping[str, npt.NDArray[Any]]
    was_principal: npt.NDArray[np.int8] | None = None

    __test__ = False  # the name begins like those that pytest collects


def run_test(
    histories: Histories,
    config: Config,
    fitted: FittedFeatures,
    question: str,
    fit: Fit,
    train: Panel,
    later: Panel,
) -> Test:
    """Return a test of a fit and the baselines that the same snapshots make.

    Args:
        histories: all that is known; baselines see only what was known before the first later date.
        config: the configuration.
        fitted: the features.
        question: `churn` or `principality`.
        fit: what is tested; its logistic regression stands beside the whole.
        train: the snapshots that it was fitted on.
        later: snapshots to test on, their outcomes known.
    """
    models = {
        OURS: fit.predictor.probability(later.X),
        LOGISTIC: probability(fit.pair.logistic.raw_score(later.X)),
    }
    before = histories.known_before(int(later.dates[0]))
    baselines = churn_baselines if question == CHURN else principality_baselines
    learnt = train.take(train.outcome(question) >= 0)
    models |= baselines(before, histories, config, learnt, later)
    outcomes = _outcomes(histories, config, later, question)
    was = later.was_principal if question != CHURN else None
    return Test(outcomes, models, groups_of(histories, fitted, later), was)


def report(tests: Sequence[Test], config: Config) -> dict[str, Any]:
    """Return the measures of tests, pooled, as plain JSON: models, groups, and who stops being principal."""
    outcomes = _together([t.outcomes for t in tests])
    models = {name: np.concatenate([t.models[name] for t in tests]) for name in tests[0].models}
    names = set.intersection(*(set(t.groups) for t in tests))
    groups = {name: np.concatenate([t.groups[name] for t in tests]) for name in sorted(names)}
    seed = config.training.seed
    found: dict[str, Any] = {
        "snapshots": len(outcomes.customer),
        "happened": int(outcomes.happened.sum()),
        "models": measure(outcomes, models, config.value, seed=seed),
        "groups": measure_groups(outcomes, models[OURS], groups, config.value),
    }
    states = [t.was_principal for t in tests if t.was_principal is not None]
    rows = np.flatnonzero(np.concatenate(states) == 1) if states else np.zeros(0, np.int64)
    if len(rows):
        part = outcomes.take(rows)
        stops = replace(part, happened=(1 - part.happened).astype(np.int8))
        against = {name: 1 - p[rows] for name, p in models.items()}
        found["stopping"] = {
            "snapshots": len(rows),
            "happened": int(stops.happened.sum()),
            "models": measure(stops, against, config.value, seed=seed),
        }
    return found


def groups_of(histories: Histories, fitted: FittedFeatures, panel: Panel) -> dict[str, npt.NDArray[Any]]:
    """Return each snapshot's lifecycle stage and segment (None: not known)."""
    stage = np.nan_to_num(panel.X[:, fitted.names.index("lifecycle_stage")], nan=len(LIFECYCLE) - 1)
    groups: dict[str, npt.NDArray[Any]] = {"lifecycle": np.array(LIFECYCLE, object)[stage.astype(np.int64)]}
    ledger = histories.ledgers.get("customers")
    if ledger is not None and "segment" in ledger.columns and "segment" in fitted.context.vocabulary.levels:
        segment = np.full(len(panel), None, object)
        order = np.argsort(ledger.known_at, kind="stable")
        customer = ledger.customer_of_rows()
        for date in panel.dates.tolist():
            latest = np.full(histories.n_customers, None, object)
            rows = order[ledger.known_at[order] < date]
            latest[customer[rows]] = ledger.columns["segment"][rows]
            here = panel.as_of == date
            segment[here] = latest[panel.customer[here]]
        groups["segment"] = segment
    return groups


def _outcomes(histories: Histories, config: Config, panel: Panel, question: str) -> Outcomes:
    """Return the outcomes of a panel's snapshots with what each customer is worth at the time."""
    value = np.full(len(panel), np.nan)
    for date in panel.dates.tolist():
        rows = panel.as_of == date
        value[rows] = worth_per_year(histories, config, date)[0][panel.customer[rows]]
    worth = None if np.isnan(value).all() else value
    return Outcomes(panel.customer, panel.as_of, panel.outcome(question), worth)


def _together(parts: Sequence[Outcomes]) -> Outcomes:
    values = [p.value for p in parts if p.value is not None]
    return Outcomes(
        np.concatenate([p.customer for p in parts]),
        np.concatenate([p.as_of for p in parts]),
        np.concatenate([p.happened for p in parts]),
        np.concatenate(values) if len(values) == len(parts) else None,
    )
