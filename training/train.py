"""Learning from a company's histories: panel, models, their test on later dates, and the bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalog import FittedFeatures, fit_features
from features.clock import local_date
from features.histories import Histories
from training.bundle import CHURN, PRINCIPALITY, Bands, Bundle, Window, draw_sample
from training.config import Config
from training.curves import curves
from training.experience import with_experience
from training.fitting import (
    Fit,
    check_enough,
    fit_question,
    fit_through,
    hold_out,
    judge,
    learnable,
    recipe_of,
    tell_the_date,
    window_us,
)
from training.forest import Predictor
from training.importance import stage_importance
from training.labels import mature_until
from training.leaks import find_leaks, left_out
from training.panel import Panel, Snapshots, build_panel, panel_dates
from training.principality import staples_of
from training.reasons import global_moments
from training.satisfaction import fit_satisfaction
from training.testing import OURS, groups_of, report, run_test
from training.verdict import verdict_of

Floats = npt.NDArray[np.float64]
EXPLAINED_ROWS = 4_000


def learn(
    histories: Histories,
    config: Config,
    until_us: int,
    *,
    share: float = 1.0,
    snapshots: Snapshots | None = None,
) -> Bundle:
    """Learn from what was known and mature before a moment (µs UTC); nothing later is looked at.

    The model is first fitted without its newest dates and tested on them, beside the baselines; what
    earned its place there is then fitted again on all dates.

    Args:
        histories: of all customers, or of those drawn by `features.sampling`.
        config: the configuration.
        until_us: the moment.
        share: of the customers that the histories are. Each of them stands for `1 / share`: who is drawn
            has nothing to do with outcomes, so probabilities need no correction, and none is made.
        snapshots: where the features of the panel are computed; by default here.

    Raises:
        CorredorError: there is not enough to learn from, or a table that a rule reads is missing.
    """
    until = mature_until(histories, config, until_us)
    known = histories.known_before(until_us)
    fitted, dates = fit_all_features(known, config, until, until_us)
    panel = build_panel(known, config, fitted, dates, seed=config.training.seed, snapshots=snapshots)
    predictors: dict[str, Predictor] = {}
    measures: dict[str, Any] = {}
    for question in questions(config):
        if question == PRINCIPALITY and not (panel.outcome(question) >= 0).any():
            continue
        predictors[question], measures[question] = _learn_one(known, config, fitted, panel, question)
    judged = measures[CHURN].get("models")
    beats, verdict = verdict_of(judged)
    y = panel.churned[panel.churned >= 0]
    return Bundle(
        fitted=fitted,
        predictors=predictors,
        config=config,
        bands=bands_of(float(y.mean())),
        window=Window(
            until=int(until_us),
            first_as_of=int(dates.min()),
            last_as_of=int(dates.max()),
            dates=len(dates),
            snapshots=len(panel),
            customers=len(np.unique(panel.customer)),
            share=share,
        ),
        sample=draw_sample(panel.X, predictors),
        measures=measures,
        moments={q: _moments(known, fitted, panel, q, predictor) for q, predictor in predictors.items()},
        satisfaction=fit_satisfaction(known, config, fitted, panel),
        staples=staples_of(known, config, int(dates.min())),
        beats_baselines=beats,
        verdict=verdict,
    )


def questions(config: Config) -> tuple[str, ...]:
    """Return the questions that a configuration asks."""
    return (CHURN,) if config.principality.rule == "none" else (CHURN, PRINCIPALITY)


def fit_all_features(
    known: Histories, config: Config, until: int, vocabulary_until: int
) -> tuple[FittedFeatures, npt.NDArray[np.int64]]:
    """Return the fitted features and the dates of the panel, ascending.

    Args:
        known: what was known before `vocabulary_until`.
        config: the configuration.
        until: outcomes are known up to here.
        vocabulary_until: names come from what was known before.

    Raises:
        CorredorError: too few dates.
    """
    dates = np.sort(panel_dates(known, config, until))
    check_enough(dates, config)
    without = left_out(find_leaks(known, config, until), known)
    fitted = fit_features(
        known,
        config,
        config.activity,
        fit_before=int(dates[0]),
        until=vocabulary_until,
        left_out=without,
    )
    return with_experience(known, config, fitted, dates), dates


def bands_of(share: float) -> Bands:
    """Return the bands of risk for a share of leavers: elevated from 1.5 times their odds, high from 4.

    >>> bands_of(0.2)
    Bands(elevated=0.2727, high=0.5)
    """
    odds = share / max(1.0 - share, 1e-9)
    elevated, high = (round(k * odds / (1 + k * odds), 4) for k in (1.5, 4.0))
    return Bands(elevated, high)


def _learn_one(
    known: Histories, config: Config, fitted: FittedFeatures, panel: Panel, question: str
) -> tuple[Predictor, dict[str, Any]]:
    """Fit without the newest dates, test on them, and fit what earned its place there on all dates."""
    found: dict[str, Any] = {}
    final: Fit | None = None
    if (split := hold_out(panel.dates, window_us(config))) is not None:
        early, late = (panel.take(np.isin(panel.as_of, dates)) for dates in split)
        late = late.take(late.outcome(question) >= 0)
        if learnable(early, question) and len(late):
            fit = fit_question(early, question, config)
            test = run_test(known, config, fitted, question, fit, early, late)
            zone = config.project.zone
            found = {"dates": [local_date(d, zone) for d in late.dates.tolist()], **report([test], config)}
            ours, outcomes = test.models[OURS], test.outcomes
            found["curves"] = curves(outcomes.happened, ours, config.value, value=outcomes.value)
            recipe = recipe_of(config)
            gate = judge(fit.pair, late, question, window_us(config), usual=recipe.trees)
            final = fit_through(panel, question, recipe, gate)
    final = final or fit_question(panel, question, config)
    calendar = [name for name, tells in zip(fitted.names, tell_the_date(panel), strict=True) if tells]
    return final.predictor, found | {"gate": final.gate.facts() | {"tell_the_date": calendar}}


def _moments(
    known: Histories, fitted: FittedFeatures, panel: Panel, question: str, predictor: Predictor
) -> dict[str, Any]:
    """Rank the moments of truth of the newest date's customers, overall and by group.

    Of principality: what speaks against us among those whose main provider we are, so may lose.
    """
    newest_date = panel.as_of == panel.as_of.max()
    if question == PRINCIPALITY and panel.was_principal is not None:
        newest_date &= panel.was_principal == 1
    rows = np.flatnonzero(newest_date)
    if len(rows) > EXPLAINED_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, EXPLAINED_ROWS, replace=False))
    newest = panel.take(rows)
    if not len(rows):
        return {}
    keys = sorted({f.moment for f in fitted.features})
    moments, groups = moments_by_row(fitted, predictor, newest.X), groups_of(known, fitted, newest)
    if question != CHURN:
        return global_moments(moments, keys, groups, side="down")
    by_stage = stage_importance(moments, keys, groups["lifecycle"], newest.customer)
    return {**global_moments(moments, keys, groups), "stages": by_stage}


def moments_by_row(fitted: FittedFeatures, predictor: Predictor, X: npt.NDArray[np.float32]) -> Floats:
    """Return contributions by moment of truth (sorted keys), float64[n, n_moments]."""
    keys = sorted({f.moment for f in fitted.features})
    place = np.array([keys.index(f.moment) for f in fitted.features], np.int64)
    return predictor.forest.explain(X, place)[1][:, :-1]
