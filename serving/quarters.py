"""The four quarters in the report: the picture, who moved, and the hostages whose commitment ends."""

from __future__ import annotations

from typing import Any

from features.words import GROUPS
from serving.batch import AtRiskList
from serving.page import Words, heads, money
from training.quarters import PROVENANCES
from training.words import Language, number, percent

MOVES, NAMED = 12, 15
PLACES = (("loyal", "hostage"), ("mercenary", "defector"))
"""Rows: held, not held; columns: satisfied, not satisfied."""


def quarters_section(found: AtRiskList, words: Words, language: Language) -> dict[str, Any] | None:
    """Return the facts of the report's section; None when nobody's satisfaction is known."""
    s, currency = found.summary["quarters"], found.config.project.currency
    counts = s["counts"]
    total = sum(of["customers"] for of in counts.values())
    if total == counts["unknown"]["customers"]:
        return None

    def cell(name: str) -> dict[str, Any]:
        of = counts[name]
        share = of["customers"] / max(total, 1)
        worth = money(of["value"], language, currency) if found.value_source != "none" else None
        told = words["quarters_value"].format(value=worth) if worth else ""
        return {
            "key": name,
            "name": words[f"quarter_{name}"],
            "means": words[f"quarter_{name}_means"],
            "customers": number(of["customers"], language),
            "share": percent(share, language),
            "value": told,
            "weight": round(0.06 + 0.5 * share, 3),
        }

    def quarter(name: str | None) -> str:
        return words["quarter_absent"] if name is None else words[f"quarter_{name}"]

    moved = [m for m in s["movement"] if m["before"] != m["now"]]
    unknown = counts["unknown"]["customers"]
    estimated = s["satisfaction_estimated"] / max(total, 1)
    return {
        "text": words["quarters_text"].format(
            satisfied_from=number(found.bundle.config.quarters.satisfied_from, language),
            held_from=number(found.bundle.config.quarters.held_from, language),
            estimated=percent(estimated, language),
        ),
        "cells": [[cell(name) for name in row] for row in PLACES],
        "unknown": words["quarters_unknown"].format(n=number(unknown, language)) if unknown else "",
        "costs_text": words["quarters_costs_text"],
        "costs_columns": heads(
            words["quarters_cost"],
            *((words[f"quarters_{k}"],) for k in ("mean", "surveyed", "observed", "dark", "coverage")),
        ),
        "costs": [
            [
                getattr(GROUPS[f"switching.{cost}"], language),
                "·" if of["mean"] is None else number(of["mean"], language, decimals=0),
                *(percent(of[name] / max(total, 1), language) for name in PROVENANCES),
                percent(of["coverage"], language),
            ]
            for cost, of in s["switching_costs"].items()
        ],
        "moved_text": words["quarters_moved_text"].format(since=s["since"]),
        "moved_columns": heads(
            words["quarters_before"], words["quarters_now"], (words["spread_customers"],), (words["value"],)
        ),
        "moved": [
            [
                quarter(m["before"]),
                quarter(m["now"]),
                number(m["customers"], language),
                number(round(m["value"]), language),
            ]
            for m in moved[:MOVES]
        ],
        "freed_text": words["quarters_freed_text"].format(
            total=number(s["freed_hostages_total"], language),
            days=found.config.churn.gap_days + found.config.churn.horizon_days,
        ),
        "freed_columns": heads(
            words["customer"],
            (words["quarters_free_on"],),
            (words["quarters_satisfaction"],),
            (words["risk"],),
            (words["value"],),
        ),
        "freed": [
            [
                h["customer_id"],
                h["uncommitted_on"],
                number(h["satisfaction"], language, decimals=1),
                percent(h["churn_probability"], language),
                "·" if h["value"] is None else number(h["value"], language),
            ]
            for h in s["freed_hostages"][:NAMED]
        ],
    }
