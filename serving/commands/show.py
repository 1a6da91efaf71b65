"""What the verbs print for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.clock import local_date
from serving.batch import AtRiskList
from serving.console import percent, say, say_table
from training.bundle import CHURN, PRINCIPALITY
from training.preflight import Preflight
from training.worth import WorthSource

if TYPE_CHECKING:
    from serving.demo import Demo
    from serving.learning import Trained
    from training.backtest import Backtest

WORTH: dict[WorthSource, str] = {
    "customers": "value: the customers table",
    "configured": "value: [value] annual",
    "spend": "value: spend of the last 365 days, as none is given",
    "none": "no value is known, so the list is sorted by risk",
}
STATES = {"principal": "we are", "secondary": "another is", "not_known": "not known"}
ENDS = {"principal": "stays, we are it", "secondary": "stays, another is it", "leaves": "leaves"}
ASKED = {CHURN: "who left", PRINCIPALITY: "for whom we were the main provider, of those who stayed"}
TOLD_MOMENTS = 10
CHECK, CROSS = "✓", "✗"
OURS = "corredor"
MODELS = {
    "corredor": "Corredor",
    "logistic": "logistic (all features)",
    "recency": "recency only",
    "rfm": "RFM logistic",
    "bgnbd": "BG/NBD",
    "as_before": "as before",
    "own_share": "own past share, smoothed",
}
SHOWN = {
    "auc": "AUC",
    "average_precision": "avg. precision",
    "log_loss": "log-loss",
    "calibration_error": "calibration error",
    "calibration_slope": "slope",
    "lift_top_decile": "lift, first tenth",
    "empc": "EMPC",
}


def show_preflight(found: Preflight) -> None:
    """Print what `corredor check` found."""
    say(
        f"{found.project}: {found.customers:,} customers, {found.touchpoints:,} touchpoints, "
        f"{found.first} to {found.last}",
        "",
    )
    say_table(
        ("table", "rows in", "= kept", "+ duplicates", "+ put aside", "columns there"),
        [
            (
                name,
                *(intake[k] for k in ("rows", "kept", "duplicates", "quarantined")),
                ", ".join(
                    _column(c.column, c.filled)
                    for c in found.columns
                    if c.table == name and c.filled is not None
                ),
            )
            for name, intake in found.intake.items()
        ],
        wrap=("columns there",),
    )
    if found.dark:
        say("Not in these data, so it stays dark:")
        say(*(f"  · {idea.words.en}  [{' or '.join(idea.needs[:3])}]" for idea in found.dark), "")
    clock = found.regularity
    if clock.curve:
        say_table(
            ("a silence of … days", *(str(p.days) for p in clock.curve)),
            [
                ("so many such silences", *(p.silences for p in clock.curve)),
                ("of which end in a return", *(percent(p.returned, 0) for p in clock.curve)),
            ],
        )
        say(
            f"98% of returns come within {clock.horizon_days} days: a clock that fits these customers is "
            f"horizon_days = {clock.horizon_days}, active_days = {clock.active_days}.",
            "",
        )
    for suspect in found.suspects:
        say(f"! {suspect.sentence('en')}")
    for warning in found.warnings:
        say(f"! {warning}")
    if found.suspects or found.warnings:
        say("")
    data = found.learnable
    for problem in found.problems:
        say(f"{CROSS} {problem}")
    if found.enough:
        say(
            f"{CHECK} enough to learn from: {data.dates} dates, {data.snapshots:,} snapshots, "
            f"{data.churned:,} "
            f"that left and {data.stayed:,} that stayed; {data.customers:,} customers with us at the "
            "newest date "
            "whose outcome is known"
        )


def trained_lines(trained: Trained) -> list[str]:
    """Return what to say after a training."""
    bundle, registered, zone = trained.bundle, trained.registered, trained.config.project.zone
    window = bundle.window
    champion = "champion" in registered.aliases
    return [
        f"Trained on {window.snapshots:,} snapshots of {window.customers:,} customers at {window.dates} "
        "dates, "
        f"{local_date(window.first_as_of, zone)} to {local_date(window.last_as_of, zone)}.",
        *_sampled_lines(window.share),
        *_tested_lines(bundle.measures.get(CHURN) or {}),
        bundle.verdict,
        f"Registered {registered.name} version {registered.version} (model {bundle.version}) as "
        + ("the champion: it scores from now on." if champion else "the challenger."),
    ]


def _sampled_lines(share: float) -> list[str]:
    if share == 1.0:
        return []
    return [
        f"Of a sample of {share:.4g} of the customers, drawn by the hash of their ids: each stands for "
        f"{1 / share:,.4g}; probabilities need no correction, and none is made."
    ]


def _tested_lines(measures: Mapping[str, Any]) -> list[str]:
    models = measures.get("models") or {}
    if not models:
        return []
    ranked = sorted(models, key=lambda name: (name != OURS, -_auc(models, name)))
    told = ", ".join(f"{MODELS.get(name, name)} {_auc(models, name):.3f}" for name in ranked)
    return [f"Tested on {measures['snapshots']:,} snapshots of later dates. AUC: {told}."]


def show_backtest(found: Backtest) -> None:
    """Print a backtest: every model beside the others, by question, and by date."""
    for question, facts in found.questions.items():
        what = ASKED[question]
        _show_models(
            facts["models"],
            f"{what}: {facts['happened']:,} of {facts['snapshots']:,} snapshots at {', '.join(found.dates)}",
        )
        stopping = facts.get("stopping")
        if stopping:
            _show_models(
                stopping["models"],
                f"who stopped having us as their main provider: {stopping['happened']:,} of "
                f"{stopping['snapshots']:,}",
            )
        if "verdict" in facts:
            say(facts["verdict"])
    show_drift(found.two_way, found.drift_moments)
    dates = [d for d in found.by_date if CHURN in d]
    say_table(
        ("date", "trained on", "tested on", "left", *("AUC", "log-loss", "lift, first tenth")),
        [
            (
                d["date"],
                d["trained_on"]["snapshots"],
                d[CHURN]["snapshots"],
                d[CHURN]["happened"],
                *(d[CHURN]["models"][OURS][m]["value"] for m in ("auc", "log_loss", "lift_top_decile")),
            )
            for d in dates
        ],
        title="by date",
    )
    if found.ablation is not None:
        say_table(
            ("without", "features", "AUC worse by", "log-loss worse by"),
            [
                (family, facts["features"], _cost(facts["auc_cost"]), _cost(facts["log_loss_cost"]))
                for family, facts in found.ablation.items()
            ],
            title="what each family of features is worth",
        )
    if found.importance:
        stages = list(found.importance[0]["stages"])
        say_table(
            ("moment of truth", *stages),
            [
                (row["moment"], *(_weight(row["stages"][stage]) for stage in stages))
                for row in found.importance[:TOLD_MOMENTS]
            ],
            title="what moments of truth weigh at each stage of life (mean absolute log-odds)",
        )
    if found.stability is not None:
        say(f"Top three moments of each customer, with other seeds: Jaccard {found.stability:.2f}.")
    say(found.verdict)


def show_drift(two_way: Sequence[Mapping[str, Any]], moments: Sequence[Mapping[str, Any]]) -> None:
    """Print who left and whose main provider we were: expected and happened; and what drift goes with."""
    if not two_way:
        return
    say_table(
        ("today", "snapshots", "end", "expected", "happened"),
        [
            (
                STATES[row["today"]] if end == "principal" else "",
                row["snapshots"] if end == "principal" else "",
                ENDS[end],
                f"{cell['expected']:,.0f}",
                f"{cell['happened']:,}",
            )
            for row in two_way
            for end, cell in row["ends"].items()
        ],
        title="the main provider today, and what became of it (of those who stayed: where it is known)",
    )
    if moments:
        say_table(
            ("moment", "drifted", "stayed", "difference"),
            [(m["moment"], *(f"{m[k]:+.3f}" for k in ("drifted", "stayed", "difference"))) for m in moments],
            title="what speaks against us where silent drift followed (log-odds; no proof of cause)",
        )


def _weight(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['weight']:.3f} ({low:.3f}-{high:.3f})"


def _cost(measure: Mapping[str, Any]) -> str:
    low, high = measure.get("interval") or [measure["value"]] * 2
    return f"{measure['value']:.4f} ({low:.4f} to {high:.4f})"


def _show_models(models: Mapping[str, Any], title: str) -> None:
    ranked = sorted(models, key=lambda name: (name != OURS, -_auc(models, name)))
    say_table(
        ("model", *SHOWN.values()),
        [(MODELS.get(name, name), *(_measured(models[name].get(m)) for m in SHOWN)) for name in ranked],
        title=title,
    )


def _measured(measure: Mapping[str, Any] | None) -> str:
    if measure is None:
        return "·"
    low, high = measure.get("interval") or (None, None)
    return f"{measure['value']:.3f}" + ("" if low is None else f" ({low:.3f}-{high:.3f})")


def _auc(models: Mapping[str, Any], name: str) -> float:
    measure = models[name].get("auc")
    return 0.0 if measure is None else float(measure["value"])


def show_list(found: AtRiskList, *, rows: int) -> None:
    """Print the first rows of a list."""
    heads = ["#", "customer", "risk", "main provider", "value", "at risk", "stage", "quarter", "because"]
    table = found.table(rows).to_pylist()
    principal = any(r["principality_probability"] is not None for r in table)
    standing = any(r["quarter"] not in (None, "unknown") for r in table)
    if not principal:
        heads.remove("main provider")
    if not standing:
        heads.remove("quarter")
    say_table(
        heads,
        [
            (
                str(r["rank"]),
                r["customer_id"],
                percent(r["churn_probability"]),
                *([percent(r["principality_probability"], 0)] if principal else []),
                *("·" if r[k] is None else f"{r[k]:,.0f}" for k in ("value", "value_at_risk")),
                r["lifecycle_stage"],
                *([r["quarter"] or "·"] if standing else []),
                r["reason_1"] or "·",
            )
            for r in table
        ],
        wrap=("because",),
    )


def list_lines(found: AtRiskList, config: Path, out: Path | None) -> list[str]:
    """Return what to say after a list: of whom it is, what its value means, the next command."""
    s, currency = found.summary, found.config.project.currency
    lines = [
        f"{s['customers']:,} customers with us; {s['expected_leavers']:,.0f} expected to leave "
        f"({percent(s['expected_leavers'] / max(s['customers'], 1))}), {s['high_risk']:,} at high risk."
    ]
    if s["value_at_risk"] is not None:
        at_risk = f"{s['value_at_risk']:,.0f} of {s['value']:,.0f} {currency} a year at risk"
        lines.append(f"{at_risk} ({WORTH[found.value_source]}).")
    for row in s["two_way"] or ():
        if row["today"] == "principal":
            drifting, leaving = (row["ends"][end]["customers"] for end in ("secondary", "leaves"))
            lines.append(
                f"Main provider of {row['customers']:,} today: {leaving:,.0f} of them expected to leave, "
                f"{drifting:,.0f} to drift away in silence."
            )
    if out is not None:
        lines.append(f"Wrote {out}: {len(found):,} customers.")
    if len(found):
        first = found.table(1).column("customer_id")[0].as_py()
        lines.append(f"Why the first? corredor explain {_argument(first)}{_with_config(config)}")
    return lines


def _column(name: str, filled: float) -> str:
    return name if filled > 0.995 else f"{name} ({percent(filled, 0)})"


def _argument(text: str) -> str:
    import shlex

    return shlex.quote(text) if not text.startswith("-") else f"-- {shlex.quote(text)}"


def _with_config(config: Path) -> str:
    return "" if config == Path("corredor.toml") else f" -c {config}"


def show_demo(done: Demo) -> None:
    """Print what the demonstration found, and what to type next."""
    checked, found = done.checked, done.found
    say(
        "",
        f"{checked.customers:,} customers, {checked.touchpoints:,} touchpoints, {checked.first} to "
        f"{checked.last}",
    )
    say(*(f"! {suspect.sentence('en')}" for suspect in checked.suspects))
    say(*trained_lines(done.trained))
    show_list(found, rows=8)
    say(*list_lines(found, done.config, done.out)[:-1])
    first = found.table(1).column("customer_id")[0].as_py()
    say(
        f"Wrote {done.report}: open it in a browser.",
        "",
        f"Next: cd {done.config.parent}, then corredor explain {_argument(first)}",
    )
