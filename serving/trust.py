"""The part of the report that says how far to trust it: measures beside the baselines, and the curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving import charts
from serving.page import Words, heads, money
from training.bundle import CHURN, Bundle
from training.config import Config
from training.words import Language, number, percent

MEASURES = (
    *("auc", "average_precision", "log_loss", "brier"),
    *("calibration_error", "calibration_slope", "lift_top_decile", "empc"),
)
OURS = "corredor"


def trust_section(bundle: Bundle, config: Config, words: Words, language: Language) -> dict[str, Any]:
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
        "columns": heads(words["model"], *((words[m],) for m in present)),
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
            "columns": heads(*((words[k],) for k in ("predicted", "observed", "interval", "snapshots"))),
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
            "columns": heads((words["contacted"],), (words["churners"],), (words["their_value"],)),
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
                clv=money(economy.empc_clv, language, currency),
                incentive=money(economy.empc_incentive, language, currency),
                contact=money(economy.empc_contact, language, currency),
                acceptance=percent(economy.empc_alpha / (economy.empc_alpha + economy.empc_beta), language),
                best=percent(best["share"], language),
            ),
            "chart": charts.profit(curves["profit"], profit_words),
            "columns": heads((words["contacted"],), (profit_words["profit"],)),
            "rows": [
                [percent(r["share"], language), number(r["profit"], language, decimals=2)]
                for r in curves["profit"][::5]
            ],
        },
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
