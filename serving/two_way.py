"""The part of the report that joins churn with principality: silent drift, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.batch import AtRiskList
from serving.page import Words, heads
from training.bundle import PRINCIPALITY
from training.drift import ENDS, SHOWN_MOMENTS
from training.words import Language, number, percent

CELLS = {("principal", "secondary"), ("principal", "leaves"), ("secondary", "leaves")}
"""What is lost: marked in the table."""


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
