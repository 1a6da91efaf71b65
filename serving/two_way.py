"""Churn joined with principality, as answers, explanations and the report tell it: silent drift is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from features.errors import CorredorError
from features.histories import Histories
from serving.page import Words, heads
from training.bundle import PRINCIPALITY, Bundle
from training.config import Config
from training.drift import ENDS, SHOWN_MOMENTS, TODAY, WAY_WORDS, WAYS, States, TwoWay, ends_of
from training.principality import principals
from training.scoring import Scores
from training.telling import tell_reasons
from training.words import Language, number, percent

if TYPE_CHECKING:
    from serving.batch import AtRiskList

CELLS = {("principal", "secondary"), ("principal", "leaves"), ("secondary", "leaves")}
"""What is lost: marked in the table."""


def joins(bundle: Bundle, config: Config) -> bool:
    """Return whether the two-way picture is told: the model answers principality, and it is asked."""
    return PRINCIPALITY in bundle.predictors and config.principality.rule != "none"


def principal_today(bundle: Bundle, histories: Histories, config: Config, as_of_us: int) -> States:
    """Return what we are to each customer on the day: 1 the main provider, 0 another is, -1 not known.

    Args:
        bundle: the model, which knows the staples that were fitted.
        histories: what is known; of a part of the company (`partial`), what the rule reads and they lack is
            not known.
        config: the configuration.
        as_of_us: the moment, µs UTC.

    Raises:
        CorredorError: what the rule reads is missing from whole data, or from the model.
    """
    if not histories.partial:
        check_staples(bundle, config)
    before = min(bundle.window.first_as_of, as_of_us)
    return principals(histories, config, as_of_us, before, staples=bundle.staples).value


def check_staples(bundle: Bundle, config: Config) -> None:
    """Check that the model knows the staples that the rule of principality counts, if it counts some.

    Raises:
        CorredorError: it does not, and none are named.
    """
    rule = config.principality
    if rule.rule == "usage" and rule.min_items and not rule.staples and not bundle.staples:
        raise CorredorError(
            f"[principality] min_items counts staples, and model {bundle.version} was trained without any. "
            "Train again, name them in `staples`, or set min_items = 0."
        )


def told_two_way(
    bundle: Bundle, scores: Scores, element: int, today: int, language: Language
) -> dict[str, Any]:
    """Return what we are to one customer today, how likely each end is, and what speaks against us.

    Plain JSON; `against` is there when the scores were explained, the heaviest first.

    Args:
        bundle: the model.
        scores: of several customers.
        element: which of them.
        today: what we are to that customer, as `principal_today` returns it.
        language: of the words.
    """
    chosen = slice(element, element + 1)
    ends = ends_of(scores.churn_probability[chosen], scores.probability(PRINCIPALITY)[chosen])
    (way,) = TwoWay(np.array([today], np.int8), ends).way
    ways = WAYS[TODAY[today]]
    told: dict[str, Any] = {
        "today": TODAY[today],
        "likely": str(way),
        "likely_words": getattr(WAY_WORDS[way], language),
        "ends": {ways[end]: float(p) for end, p in zip(ENDS, ends[0], strict=True)},
    }
    if PRINCIPALITY in scores.explained:
        told["against"] = [
            {
                "moment": reason.moment,
                "label": getattr(reason.label, language),
                "contribution": reason.contribution,
                "probability_without": reason.risk_without,
                "sentence": getattr(reason.sentence, language),
            }
            for reason in tell_reasons(bundle, scores, element, PRINCIPALITY)
            if reason.contribution < 0
        ]
    return told


def two_way_section(found: AtRiskList, words: Words, language: Language) -> dict[str, Any] | None:
    """Return the two-way table of today's customers, and the moments that speak against us.

    None where principality is not asked.
    """
    rows = found.summary["two_way"]
    if not rows:
        return None
    total = sum(row["customers"] for row in rows)
    return {
        "columns": [words["two_way_today"], *(words[f"two_way_{end}"] for end in ENDS)],
        "rows": [_row(row, total, words, language) for row in rows],
        "moments": _moments(found, words, language),
    }


def _row(row: Mapping[str, Any], total: int, words: Words, language: Language) -> dict[str, Any]:
    def cell(end: str) -> dict[str, Any]:
        facts = row["ends"][end]
        lines = [words["two_way_mean"].format(share=percent(facts["mean"], language))]
        if facts["value"] is not None:
            worth = number(round(facts["value"]), language)
            lines.append(words["two_way_value"].format(value=worth))
        return {
            "name": words[f"way_{facts['way']}"],
            "count": number(facts["customers"], language, decimals=0),
            "lines": lines,
            "lost": (row["today"], end) in CELLS,
        }

    share = percent(row["customers"] / total, language)
    return {
        "today": words[f"two_way_is_{row['today']}"],
        "count": words["two_way_count"].format(count=number(row["customers"], language), share=share),
        "cells": [cell(end) for end in ENDS],
    }


def _moments(found: AtRiskList, words: Words, language: Language) -> dict[str, Any] | None:
    overall = (found.bundle.moments.get(PRINCIPALITY) or {}).get("overall") or []
    if not overall:
        return None
    return {
        "columns": heads(words["moment"], (words["weight"],)),
        "rows": [
            [
                found.bundle.fitted.moment_label(m["moment"], language),
                number(m["weight"], language, decimals=3),
            ]
            for m in overall[:SHOWN_MOMENTS]
        ],
    }
