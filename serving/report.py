"""The report: one self-contained page that a team can read, print and pass on."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from features.clock import local_date
from features.durable import write_atomically
from serving import charts
from serving.batch import AtRiskList
from training.bundle import CHURN, Bundle
from training.config import Config
from training.preflight import Preflight
from training.words import Language, number, percent

FIRST_PAGE = 15
MEASURES = (
    *("auc", "average_precision", "log_loss", "brier"),
    *("calibration_error", "calibration_slope", "lift_top_decile", "empc"),
)
OURS = "corredor"

Words = Mapping[str, str]


def write_report(found: AtRiskList, checked: Preflight, path: Path) -> Path:
    """Write the report of a list as one HTML file: whole or not at all."""
    return write_atomically(path, report_html(found, checked).encode("utf-8"))


def report_html(found: AtRiskList, checked: Preflight) -> str:
    """Return the report of a list as HTML that loads nothing from anywhere."""
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
        "moments": _moments(bundle, words, language),
        **_trust(bundle, config, words, language),
        "spread": _spread(found, words, language),
        "data": _data(checked, words, language),
        "footer": _footer(bundle, config, words, language),
    }
    filled = {
        **words,
        "leaving_is": _leaving(config, words),
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
        total = _money(s["value"], language, currency)
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
            "stage": words.get(f"stage_{row['lifecycle_stage']}", "·"),
            "reasons": [row[f"reason_{k}"] for k in (1, 2, 3) if row[f"reason_{k}"]],
        }
        for row in found.table(FIRST_PAGE).to_pylist()
    ]


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
        "columns": _heads((words["risk"],), (words["spread_customers"],)),
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
    overall = bundle.moments.get("overall") or []
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
        levels = bundle.moments.get(grouping) or {}
        rows = [
            [
                words.get(f"stage_{level}", level),
                *(label(r["moment"]) for r in (ranked + [None] * 3)[:3] if r),
            ]
            for level, ranked in sorted(levels.items())
        ]
        if rows:
            heads = [
                words["stage"] if grouping == "lifecycle" else "",
                words["first"],
                words["second"],
                words["third"],
            ]
            groups.append(
                {
                    "title": words[f"by_{grouping}"],
                    "columns": _heads(*heads),
                    "rows": [r + [""] * (4 - len(r)) for r in rows],
                }
            )
    return {
        "chart": charts.bars(shown, {**words, **names}),
        "columns": _heads(words["moment"], (words["weight"],), words["direction"]),
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


def _trust(bundle: Bundle, config: Config, words: Words, language: Language) -> dict[str, Any]:
    """Return what the out-of-time test says: the verdict, the measures beside the baselines, the curves."""
    measures = bundle.measures.get(CHURN) or {}
    models = measures.get("models") or {}
    found: dict[str, Any] = {
        "verdict": bundle.verdict or words["no_verdict"],
        "better": bool(bundle.beats_baselines),
        "tested": words["not_tested"],
        "measures": None,
        "curves": [],
    }
    if not models:
        return found
    curves = measures.get("curves") or {}
    if curves:
        dates = ", ".join(str(d) for d in measures.get("dates", []))
        found["tested"] = words["tested"].format(
            snapshots=number(curves["snapshots"], language),
            churners=number(curves["churners"], language),
            dates=dates,
        )
        found["curves"] = _curves(curves, config, words, language)
    ranked = sorted(models, key=lambda name: (name != OURS, -_auc(models, name)))
    shown = [
        {
            "model": words.get(f"model_{name}", name.replace("_", " ")),
            "ours": name == OURS,
            "value": _auc(models, name),
            "low": _interval(models[name]["auc"])[0],
            "high": _interval(models[name]["auc"])[1],
        }
        for name in ranked
        if models[name].get("auc") is not None
    ]
    present = [m for m in MEASURES if any(models[name].get(m) is not None for name in ranked)]
    found["measures"] = {
        "chart": charts.comparison(shown, {**words, "measure": words["auc"]}),
        "columns": _heads(words["model"], *((words[m],) for m in present)),
        "rows": [
            [
                words.get(f"model_{name}", name.replace("_", " ")),
                *(_measured(models[name].get(m), language) for m in present),
            ]
            for name in ranked
        ],
    }
    return found


def _curves(
    curves: Mapping[str, Any], config: Config, words: Words, language: Language
) -> list[dict[str, Any]]:
    currency, economy = config.project.currency, config.value
    tenth = min(curves["gains"], key=lambda r: abs(r["share"] - 0.1))
    best = max(curves["profit"], key=lambda r: r["profit"])
    reach = {"churners": words["churners"], "value": words["their_value"], "random": words["random"]}
    axes = {"contacted": words["contacted"], "reached": words["reached"]}
    profit_words = {
        **words,
        "contacted": words["contacted"],
        "profit": words["profit"].format(currency=currency),
    }
    return [
        {
            "title": words["reliability_title"],
            "text": words["reliability_text"],
            "chart": charts.reliability(curves["reliability"], words),
            "columns": _heads(*((words[k],) for k in ("predicted", "observed", "interval", "snapshots"))),
            "rows": [
                [
                    percent(b["predicted"], language),
                    percent(b["observed"], language),
                    f"{percent(b['low'], language)} – {percent(b['high'], language)}",
                    number(b["snapshots"], language),
                ]
                for b in curves["reliability"]
            ],
        },
        {
            "title": words["gains_title"],
            "text": words["gains_text"].format(
                captured=percent(tenth["captured"], language),
                lift=number(tenth["lift"] or 1.0, language, decimals=1),
            ),
            "chart": charts.gains(curves["gains"], {**words, **reach, **axes}),
            "columns": _heads((words["contacted"],), (words["churners"],), (words["their_value"],)),
            "rows": [
                [
                    percent(r["share"], language),
                    percent(r["captured"], language),
                    "·" if r["value_captured"] is None else percent(r["value_captured"], language),
                ]
                for r in curves["gains"][::5]
            ],
        },
        {
            "title": words["profit_title"],
            "text": words["profit_text"].format(
                clv=_money(economy.empc_clv, language, currency),
                incentive=_money(economy.empc_incentive, language, currency),
                contact=_money(economy.empc_contact, language, currency),
                acceptance=percent(economy.empc_alpha / (economy.empc_alpha + economy.empc_beta), language),
                best=percent(best["share"], language),
            ),
            "chart": charts.profit(curves["profit"], profit_words),
            "columns": _heads((words["contacted"],), (profit_words["profit"],)),
            "rows": [
                [percent(r["share"], language), number(r["profit"], language, decimals=2)]
                for r in curves["profit"][::5]
            ],
        },
    ]


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
    heads = _heads(words["table"], *((words[k],) for k in ("rows_in", "kept", "duplicates", "quarantined")))
    found: dict[str, Any] = {"said": said, "columns": heads, "rows": rows, "silences": None}
    clock = checked.regularity
    if clock.curve:
        axes = {**words, "days": words["silence_days"], "returned": words["silence_returned"]}
        points = [{"days": p.days, "returned": p.returned} for p in clock.curve]
        found["silences"] = {
            "chart": charts.silences(points, axes, marked=clock.horizon_days),
            "text": words["silences_text"].format(days=clock.horizon_days),
            "columns": _heads(
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


def _money(amount: float, language: Language, currency: str) -> str:
    return f"{number(amount, language)} {currency}"


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


def _heads(*heads: str | tuple[str]) -> list[dict[str, Any]]:
    """Return table heads; a head in a tuple is of a column of numbers."""
    return [
        {"head": h[0], "number": True} if isinstance(h, tuple) else {"head": h, "number": False}
        for h in heads
    ]


def _interval(measure: Mapping[str, Any]) -> tuple[float, float]:
    low, high = measure.get("interval") or [measure["value"]] * 2
    return float(low), float(high)


def _measured(measure: Mapping[str, Any] | None, language: Language) -> str:
    if measure is None:
        return "·"
    text, *ends = (number(v, language, decimals=3) for v in (measure["value"], *_interval(measure)))
    return f"{text} ({ends[0]} – {ends[1]})" if "interval" in measure else text


def _auc(models: Mapping[str, Any], name: str) -> float:
    measure = models[name].get("auc")
    return 0.0 if measure is None else float(measure["value"])


def _marked(value: Any, markup: Any, *, key: str = "") -> Any:
    """Return the facts with the charts marked as safe; all other text is escaped by the template."""
    if isinstance(value, dict):
        return {k: _marked(v, markup, key=k) for k, v in value.items()}
    if isinstance(value, list):
        return [_marked(v, markup) for v in value]
    return markup(value) if key == "chart" else value
