"""Training and testing as it would have been at past dates, beside the baselines on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalog import FittedFeatures
from features.clock import US_PER_DAY, local_date
from features.errors import CorredorError
from features.histories import Histories
from training.ablation import Ablation, ablate, ablation_report
from training.bundle import CHURN, PRINCIPALITY
from training.config import Config
from training.drift import TwoWay, drift_moments, ends_of, outturn, together
from training.evaluate import measure
from training.fitting import Fit, fit_question, fit_through, learnable, recipe_of
from training.importance import stage_importance
from training.labels import check_mature, mature_until
from training.panel import Panel, build_panel, panel_dates
from training.reasons import Floats, agreement
from training.testing import Test, report, run_test
from training.train import EXPLAINED_ROWS, fit_all_features, moments_by_row, questions
from training.verdict import verdict_of

USUAL_DATES = 4
ANOTHER_SEED = 1_000


@dataclass(frozen=True)
class Backtest:
    """What came out, pooled over the dates and by date."""

    dates: tuple[str, ...]
    horizon_days: int
    questions: Mapping[str, Mapping[str, Any]]
    by_date: tuple[Mapping[str, Any], ...]
    stability: float | None
    """Mean Jaccard index of each customer's top three moments, with other seeds, on the last date."""
    beats_baselines: bool | None
    verdict: str
    ablation: Mapping[str, Mapping[str, Any]] | None = None
    """What each family of features is worth; when it was asked for."""
    importance: Sequence[Mapping[str, Any]] = ()
    """What moments of truth weigh at each stage of life, on the last date, as `stage_importance` says it."""
    two_way: Sequence[Mapping[str, Any]] = ()
    """Who left joined with whose main provider we were, expected and happened (`training.drift.outturn`)."""
    tests: Mapping[str, Sequence[Test]] = field(default_factory=dict)
    """Question -> the snapshots of each date, and what every model said of them."""
    drift_moments: Sequence[Mapping[str, Any]] = ()
    """What speaks against us more among those who drifted away in silence (`training.drift`)."""

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON."""
        churn = self.questions[CHURN]
        return {
            "dates": list(self.dates),
            "horizon_days": self.horizon_days,
            "models": churn["models"],
            "groups": churn["groups"],
            "by_date": [dict(d) for d in self.by_date],
            "importance": [dict(row) for row in self.importance],
            "principality": {
                **self.questions.get(PRINCIPALITY, {}),
                **({"two_way": list(self.two_way)} if self.two_way else {}),
                **({"drift_moments": list(self.drift_moments)} if self.drift_moments else {}),
            },
            "stability": {"top_moments": 3, "jaccard": self.stability},
            "beats_baselines": self.beats_baselines,
            "verdict": self.verdict,
            **({} if self.ablation is None else {"ablation": dict(self.ablation)}),
        }


def backtest_dates(histories: Histories, config: Config, *, most: int = USUAL_DATES) -> list[int]:
    """Return past dates to test at, ascending: the newest whose outcome is known, a horizon apart.

    Raises:
        CorredorError: there is none with a date to learn from before it.
    """
    window = (config.churn.gap_days + config.churn.horizon_days) * US_PER_DAY
    newest = mature_until(histories, config, 2**62) - window
    dates: list[int] = []
    while len(dates) < most:
        date = newest - len(dates) * window
        if not len(panel_dates(histories, config, date)):
            break
        dates.append(date)
    if not dates:
        raise CorredorError(
            "the history is too short for a backtest: no date has an earlier one to learn from, and its "
            "outcome in the data. Export a longer history, or shorten horizon_days in [churn]."
        )
    return dates[::-1]


def backtest(
    histories: Histories,
    config: Config,
    dates: Sequence[int] | None = None,
    *,
    ablation: bool = False,
    tell: Callable[[float], None] | None = None,
) -> Backtest:
    """Train for each date on what was known and mature then, test on its customers, pool the dates.

    Args:
        histories: all that is known; each training sees only what was known before its date.
        config: the configuration.
        dates: µs UTC; by default those of `backtest_dates`.
        ablation: also train without each family of features, to tell what it is worth.
        tell: called with the share that is done.

    Raises:
        CorredorError: a date's outcome is not known yet, or there is too little before it.
    """
    chosen = sorted(set(dates)) if dates is not None else backtest_dates(histories, config)
    for date in chosen:
        check_mature(histories, config, date)
    rounds = []
    for i, date in enumerate(chosen):
        rounds.append(_round(histories, config, date, last=i == len(chosen) - 1, ablation=ablation))
        if tell is not None:
            tell((i + 1) / len(chosen))
    found: dict[str, dict[str, Any]] = {}
    tests = {q: [r.tests[q] for r in rounds if q in r.tests] for q in questions(config)}
    for question, of_question in tests.items():
        if of_question:
            found[question] = report(of_question, config)
    if CHURN not in found:
        raise CorredorError("before none of these dates had some customers left and others stayed.")
    if PRINCIPALITY in found:
        found[PRINCIPALITY]["beats_baselines"], found[PRINCIPALITY]["verdict"] = verdict_of(
            found[PRINCIPALITY]["models"]
        )
    beats, verdict = verdict_of(found[CHURN]["models"])
    drifts = [r.drift for r in rounds if r.drift is not None]
    zone = config.project.zone
    return Backtest(
        dates=tuple(local_date(d, zone) for d in chosen),
        horizon_days=config.churn.horizon_days,
        questions=found,
        by_date=tuple(r.facts for r in rounds),
        stability=rounds[-1].stability,
        beats_baselines=beats,
        verdict=verdict,
        ablation=ablation_report([r.ablation for r in rounds if r.ablation], rounds[-1].fitted, config)
        if ablation
        else None,
        importance=rounds[-1].importance,
        two_way=outturn(together([d.picture for d in drifts])) if drifts else (),
        tests=tests,
        drift_moments=_drift_moments(drifts),
    )


@dataclass(frozen=True)
class _Drift:
    """The two-way picture of a date, and what moved the score of the principals who stayed."""

    picture: TwoWay
    keys: tuple[str, ...]
    moments: Floats
    drifted: npt.NDArray[np.bool_]


def _drift(later: Panel, fits: Mapping[str, Fit], fitted: FittedFeatures, seed: int) -> _Drift | None:
    """Return the two-way picture of a date's customers; None where one of the two questions has no model."""
    if len(fits) < 2 or later.principal is None or later.was_principal is None:
        return None
    churn, principal = (fits[q].predictor for q in (CHURN, PRINCIPALITY))
    ends = ends_of(churn.probability(later.X), principal.probability(later.X))
    picture = TwoWay(later.was_principal, ends, later.churned, later.principal)
    rows = np.flatnonzero((later.was_principal == 1) & (later.churned == 0) & (later.principal >= 0))
    if len(rows) > EXPLAINED_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, EXPLAINED_ROWS, replace=False))
    keys = tuple(sorted({f.moment for f in fitted.features}))
    moments = moments_by_row(fitted, principal, later.X[rows]) if len(rows) else np.zeros((0, len(keys)))
    return _Drift(picture, keys, moments, later.principal[rows] == 0)


def _drift_moments(drifts: Sequence[_Drift]) -> list[dict[str, Any]]:
    """Return what speaks against us more among those who drifted; of moments that all dates know."""
    if not drifts:
        return []
    keys = sorted(set.intersection(*(set(d.keys) for d in drifts)))
    moments = np.concatenate([d.moments[:, [d.keys.index(k) for k in keys]] for d in drifts])
    return drift_moments(moments, np.concatenate([d.drifted for d in drifts]), keys)


@dataclass(frozen=True)
class _Round:
    tests: dict[str, Test]
    facts: dict[str, Any]
    stability: float | None
    importance: list[dict[str, Any]]
    fitted: FittedFeatures
    ablation: Ablation | None
    drift: _Drift | None


def _round(histories: Histories, config: Config, date: int, *, last: bool, ablation: bool) -> _Round:
    known = histories.known_before(date)
    fitted, dates = fit_all_features(known, config, date, date)
    train = build_panel(known, config, fitted, dates, seed=config.training.seed)
    later = build_panel(
        histories, config, fitted, np.array([date]), staples_before=int(dates[0]), most_rows=2**62
    )
    tests: dict[str, Test] = {}
    facts: dict[str, Any] = {
        "date": local_date(date, config.project.zone),
        "trained_on": {"dates": len(dates), "snapshots": len(train)},
    }
    stability, ablated = None, None
    importance: list[dict[str, Any]] = []
    fits: dict[str, Fit] = {}
    for question in questions(config):
        rows = later.take(later.outcome(question) >= 0)
        if not len(rows) or not learnable(train, question):
            continue
        fit = fits[question] = fit_question(train, question, config)
        test = run_test(histories, config, fitted, question, fit, train, rows)
        tests[question] = test
        facts[question] = {
            "snapshots": len(rows),
            "happened": int(test.outcomes.happened.sum()),
            "gate": fit.gate.facts(),
            "models": measure(test.outcomes, test.models, config.value, replicates=0),
        }
        recipe = recipe_of(config)
        if ablation and question == CHURN:
            ablated = ablate(fit, train, test.outcomes, rows.X, fitted, question, recipe)
        if last and question == CHURN:
            recipe = replace(recipe, seed=recipe.seed + ANOTHER_SEED)
            moments = moments_by_row(fitted, fit.predictor, rows.X)
            other = fit_through(train, question, recipe, fit.gate).predictor
            stability = agreement(moments, moments_by_row(fitted, other, rows.X))
            keys = sorted({f.moment for f in fitted.features})
            importance = stage_importance(moments, keys, test.groups["lifecycle"], rows.customer)
    drift = _drift(later, fits, fitted, config.training.seed)
    return _Round(tests, facts, stability, importance, fitted, ablated, drift)
