"""The report: one self-contained page that a team can read, print and pass on."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from features.clock import local_date
from features.durable import write_atomically
from serving import charts
from serving.batch import AtRiskList
from serving.page import Words, heads, money
from serving.quarters import quarters_section
from serving.served import served_section
from serving.trust import trust_section
from serving.two_way import two_way_section
from training.bundle import CHURN, Bundle
from training.config import Config
from training.preflight import Preflight
from training.service import Served
from training.words import Language, number, percent

FIRST_PAGE = 15
STAGE_MOMENTS = 10
"""Moments of truth whose weight is told stage by stage."""


def write_report(
    found: AtRiskList, checked: Preflight, path: Path, served: Mapping[str, Sequence[Served]] | None = None
) -> Path:
    """Write the report of a list as one HTML file: whole or not at all."""
    return write_atomically(path, report_html(found, checked, served).encode("utf-8"))


def report_html(
    found: AtRiskList, checked: Preflight, served: Mapping[str, Sequence[Served]] | None = None
) -> str:
    """Return the report of a list as HTML that loads nothing from anywhere.

    Args:
        found: the list.
        checked: what the data hold.
        served: how customers were served (`training.service`); left out when it is not given.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    config, bundle = found.config, found.bundle
    language = config.project.language
    words = report_words(language)
    page = Environment(autoescape=True, trim_blocks=True).from_string(
        files("serving").joinpath("templates/report.html").read_text(encoding="utf-8")
    )
    facts = {
        "language": language,
        "project": config.project.name,
        "as_of": local_date(found.as_of_us, config.project.zone),
        "tiles": _tiles(found, words, language),
        "customers": _customers(found, language, words),
        "quarters": quarters_section(found, words, language),
        "two_way": two_way_section(found, words, language),
        "moments": _moments(bundle, words, language),
        "served": served_section(served or {}, words, language),
        **trust_section(bundle, config, words, language),
        "spread": _spread(found, words, language),
        "data": _data(checked, words, language),
        "footer": _footer(bundle, config, words, language),
    }
    filled = {
        **words,
        "leaving_is": _leaving(config, words),
        "two_way_text": words["two_way_text"].format(horizon=config.churn.horizon_days),
        "list_text": words["list_text"].format(
            value_source=words[f"value_{found.value_source}"], total=number(found.summary["listed"], language)
        ),
        "data_text": words["data_text"].format(
            customers=number(checked.customers, language),
            touchpoints=number(checked.touchpoints, language),
            first=checked.first,
            last=checked.last,
        ),
    }
    return page.render(w=filled, **_marked(facts, Markup))


def report_words(language: Language) -> dict[str, str]:
    """Return the report's words in a language."""
    text = files("serving").joinpath("templates/report.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)[language])


def _tiles(found: AtRiskList, words: Words, language: Language) -> list[dict[str, Any]]:
    s, currency = found.summary, found.config.project.currency
    share = s["expected_leavers"] / max(s["customers"], 1)
    tiles: list[dict[str, Any]] = [
        {"value": number(s["customers"], language), "text": words["tile_customers"]},
        {
            "value": number(round(s["expected_leavers"]), language),
            "text": words["tile_leaving"].format(share=percent(share, language)),
        },
        {
            "value": number(s["high_risk"], language),
            "text": words["tile_high"].format(threshold=percent(found.bundle.bands.high, language)),
            "alarm": True,
        },
    ]
    if s["value_at_risk"] is not None:
        total = money(s["value"], language, currency)
        tiles.append(
            {
                "value": number(round(s["value_at_risk"]), language),
                "text": words["tile_value"].format(currency=currency, total=total),
                "alarm": True,
            }
        )
    if s["expected_principal"] is not None:
        share = s["expected_principal"] / max(s["customers"], 1)
        tiles.append({"value": percent(share, language), "text": words["tile_principal"]})
    return tiles


def _customers(found: AtRiskList, language: Language, words: Words) -> list[dict[str, Any]]:
    def amount(value: float | None) -> str:
        return "·" if value is None else number(value, language)

    return [
        {
            "rank": row["rank"],
            "customer_id": row["customer_id"],
            "risk": percent(row["churn_probability"], language),
            "band": row["risk"],
            "value": amount(row["value"]),
            "value_at_risk": amount(row["value_at_risk"]),
            "stage": words.get(f"stage_{row['lifecycle_stage']}", "·") + _quarter(row["quarter"], words),
            "reasons": [row[f"reason_{k}"] for k in (1, 2, 3) if row[f"reason_{k}"]],
        }
        for row in found.table(FIRST_PAGE).to_pylist()
    ]


def _quarter(quarter: str | None, words: Words) -> str:
    return "" if quarter in (None, "unknown") else f" · {words[f'quarter_{quarter}']}"


def _spread(found: AtRiskList, words: Words, language: Language) -> dict[str, Any]:
    counts, bands = found.summary["risks"], found.bundle.bands
    width = 1 / len(counts)
    rows = []
    for k, count in enumerate(counts):
        low = k * width
        band = "high" if low >= bands.high else "elevated" if low >= bands.elevated else "low"
        rows.append({"low": low, "high": low + width, "customers": count, "band": band})
    return {
        "title": words["spread_title"],
        "text": words["spread_text"],
        "chart": charts.spread(rows, {**words, "customers": words["spread_customers"]}),
        "columns": heads((words["risk"],), (words["spread_customers"],)),
        "rows": [
            [
                f"{percent(r['low'], language)} – {percent(r['high'], language)}",
                number(r["customers"], language),
            ]
            for r in rows
            if r["customers"]
        ],
    }


def _moments(bundle: Bundle, words: Words, language: Language) -> dict[str, Any] | None:
    of_churn = bundle.moments.get(CHURN) or {}
    overall = of_churn.get("overall") or []
    if not overall:
        return None

    def label(key: str) -> str:
        return bundle.fitted.moment_label(key, language)

    shown = [{**row, "moment": label(row["moment"])} for row in overall[:12]]
    names = {
        "raises": words["raises"],
        "lowers": words["lowers"],
        "on average": words["on_average"],
        "weight": words["weight"],
    }
    groups = []
    for grouping in ("lifecycle", "segment"):
        levels = of_churn.get(grouping) or {}
        rows = [
            [
                words.get(f"stage_{level}", level),
                *(label(r["moment"]) for r in (ranked + [None] * 3)[:3] if r),
            ]
            for level, ranked in sorted(levels.items())
        ]
        if rows:
            named = [
                words["stage"] if grouping == "lifecycle" else "",
                words["first"],
                words["second"],
                words["third"],
            ]
            groups.append(
                {
                    "title": words[f"by_{grouping}"],
                    "columns": heads(*named),
                    "rows": [r + [""] * (4 - len(r)) for r in rows],
                }
            )
    if stages := _by_stage(of_churn.get("stages") or [], label, words, language):
        groups.append(stages)
    return {
        "chart": charts.bars(shown, {**words, **names}),
        "columns": heads(words["moment"], (words["weight"],), words["direction"]),
        "rows": [
            [
                r["moment"],
                number(r["weight"], language, decimals=3),
                words["raises"] if r["direction"] > 0 else words["lowers"],
            ]
            for r in shown
        ],
        "groups": groups,
    }


def _by_stage(
    ranked: Sequence[Mapping[str, Any]], label: Callable[[str], str], words: Words, language: Language
) -> dict[str, Any] | None:
    """Return what the first moments weigh at each stage of life, with intervals."""
    if not ranked:
        return None

    def weight(row: Mapping[str, Any]) -> str:
        low, high = (number(x, language, decimals=3) for x in row["interval"])
        return f"{number(row['weight'], language, decimals=3)} ({low} – {high})"

    stages = list(ranked[0]["stages"])
    return {
        "title": words["weight_by_stage"],
        "columns": heads(words["moment"], *((words[f"stage_{stage}"],) for stage in stages)),
        "rows": [
            [label(row["moment"]), *(weight(row["stages"][stage]) for stage in stages)]
            for row in ranked[:STAGE_MOMENTS]
        ],
    }


def _data(checked: Preflight, words: Words, language: Language) -> dict[str, Any]:
    said = []
    if checked.problems:
        said.append({"title": words["not_enough"], "tone": "bad", "lines": list(checked.problems)})
    warned = [*(s.sentence(language) for s in checked.suspects), *checked.warnings]
    if warned:
        said.append({"title": words["warnings"], "tone": "warn", "lines": warned})
    if checked.dark:
        said.append(
            {
                "title": words["dark"],
                "tone": "calm",
                "lines": [getattr(i.words, language) for i in checked.dark],
            }
        )
    rows = [
        [name, *(number(intake[k], language) for k in ("rows", "kept", "duplicates", "quarantined"))]
        for name, intake in checked.intake.items()
    ]
    counted = heads(words["table"], *((words[k],) for k in ("rows_in", "kept", "duplicates", "quarantined")))
    found: dict[str, Any] = {"said": said, "columns": counted, "rows": rows, "silences": None}
    clock = checked.regularity
    if clock.curve:
        axes = {**words, "days": words["silence_days"], "returned": words["silence_returned"]}
        points = [{"days": p.days, "returned": p.returned} for p in clock.curve]
        found["silences"] = {
            "chart": charts.silences(points, axes, marked=clock.horizon_days),
            "text": words["silences_text"].format(days=clock.horizon_days),
            "columns": heads(
                (words["silence_days"],), (words["silence_returned"],), (words["silence_count"],)
            ),
            "rows": [
                [str(p.days), percent(p.returned, language), number(p.silences, language)]
                for p in clock.curve
            ],
        }
    return found


def _footer(bundle: Bundle, config: Config, words: Words, language: Language) -> list[str]:
    window = bundle.window
    model = words["foot_model"].format(
        version=importlib.metadata.version("corredor"),
        model_version=bundle.version,
        trained=number(window.snapshots, language),
        dates=number(window.dates, language),
        until=local_date(window.until, config.project.zone),
    )
    return [words["foot_explain"], model]


def _leaving(config: Config, words: Words) -> str:
    churn = config.churn
    labels = config.touchpoints
    language = config.project.language
    kinds = [
        getattr(labels[k].label, language) if k in labels and labels[k].label else k for k in churn.kinds
    ]
    gap = words["from_gap"].format(gap=churn.gap_days) if churn.gap_days else words["from_then"]
    return words[f"leaving_{churn.rule}"].format(
        kinds=", ".join(kinds) or words["any_contact"],
        products=", ".join(churn.products) or words["any_product"],
        horizon=churn.horizon_days,
        gap_text=gap,
    )


def _marked(value: Any, markup: Any, *, key: str = "") -> Any:
    """Return the facts with the charts marked as safe; all other text is escaped by the template."""
    if isinstance(value, dict):
        return {k: _marked(v, markup, key=k) for k, v in value.items()}
    if isinstance(value, list):
        return [_marked(v, markup) for v in value]
    return markup(value) if key == "chart" else value
