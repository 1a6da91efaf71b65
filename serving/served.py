"""How customers were served, in the report: by how they meet us, by team, and by person for a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from features.words import STAGES
from serving.page import Words, heads
from training.service import Served
from training.words import Language, number, percent

MOST = 40
"""Rows of a table."""


def served_section(
    served: Mapping[str, Sequence[Served]], words: Words, language: Language
) -> dict[str, Any] | None:
    """Return the facts of the report's section; None where there is nothing to tell apart."""
    if not served:
        return None
    columns = ["served_contacts", "served_answers", "served_said", "served_impression", "served_failed"]
    tables = []
    for grouping, groups in served.items():
        against = any(one.impression is not None for one in groups)
        shown = [c for c in columns if against or c != "served_impression"]
        rows = [
            [
                _label(grouping, one.name, words, language),
                number(one.contacts, language),
                number(one.answers, language),
                _points(one.said, language, 1),
                *([_points(one.impression, language, 2)] if against else []),
                "·" if one.failed_share is None else percent(one.failed_share, language),
            ]
            for one in groups[:MOST]
        ]
        tables.append(
            {
                "title": words[f"served_{grouping}"],
                "columns": heads(words["served_who"], *((words[c],) for c in shown)),
                "rows": rows,
            }
        )
    return {"tables": tables}


def _points(value: float | None, language: Language, decimals: int) -> str:
    return "·" if value is None else number(value, language, decimals=decimals)


def _label(grouping: str, name: str, words: Words, language: Language) -> str:
    """Return a group as people call it; teams and people have their own names."""
    if grouping in ("team", "agent_id"):
        return name
    if grouping == "stage":
        stage = STAGES[name]
        return stage.es if language == "es" else stage.en
    return words[f"served_{grouping}_{name.lower()}"]
