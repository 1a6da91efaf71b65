"""What `corredor explain` prints for a person."""

from __future__ import annotations

from typing import Any

from serving.console import percent, say

TODAY_WORDS = {
    "principal": "we are their main provider",
    "secondary": "another is their main provider",
    "not_known": "their main provider is not known",
}


def show_explanation(found: dict[str, Any]) -> None:
    """Print one customer explained."""
    say(
        f"customer {found['customer_id']}, known before {found['as_of']}  (model {found['model_version']})",
        "",
    )
    say(f"  risk of leaving   {percent(found['churn_probability'])}  ({found['risk']})")
    if found["principality_probability"] is not None:
        say(f"  main provider     {percent(found['principality_probability'])} if they stay")
    if two_way := found["two_way"]:
        say(f"  today             {TODAY_WORDS[two_way['today']]}")
        say(f"  likely            {two_way['likely_words']} ({percent(max(two_way['ends'].values()))})")
    if found["value"] == found["value"]:
        say(f"  value at risk     {found['value_at_risk']:,.0f} of {found['value']:,.0f} a year")
    say(f"  stage             {found['lifecycle_stage']}")
    say(*_standing_lines(found))
    if found["warnings"]:
        say(f"  beware            {', '.join(w.replace('_', ' ') for w in found['warnings'])}")
    say("", "Moments of truth, the heaviest first:")
    for k, reason in enumerate(found["moments"][:8], start=1):
        side = "raises" if reason["contribution"] > 0 else "lowers"
        say(f"  {k}. {reason['sentence']}")
        say(f"     {reason['label']} {side} the risk: without it {percent(reason['risk_without'])}")
        say(*(f"       · {line}" for line in reason["evidence"]))
    if two_way and two_way["against"]:
        say("", "What speaks against being their main provider:")
        for reason in two_way["against"][:3]:
            without = percent(reason["probability_without"])
            say(f"  · {reason['sentence']}  ({reason['label']}: without it {without})")
    say("", "How the model weighs what it knows; it does not prove what causes what.")


def _standing_lines(found: dict[str, Any]) -> list[str]:
    """Return where the customer stands between satisfaction and switching costs."""
    felt = found["satisfaction"]
    lines = [f"  quarter           {found['quarter']}"]
    if found["quarter_before"] not in (None, found["quarter"]):
        lines[0] += f" (was {found['quarter_before']})"
    if felt["value"] is not None:
        said = "the customer says so, among others" if felt["provenance"] == "surveyed" else "estimated"
        lines.append(f"  satisfaction      {felt['value']:.1f} of 10 ({said})")
    for cost, of in found["switching_costs"].items():
        if of["value"] is not None:
            known = f"{of['provenance']}, {percent(of['coverage'], 0)} of its signals known"
            lines.append(f"  {cost:<17} {of['value']:.0f} of 100 ({known})")
    for lock in found["locks"]:
        if lock["committed_until"]:
            fee = f", leaving costs {lock['exit_fee']:,.0f} until then" if lock["exit_fee"] else ""
            lines.append(f"  committed         {lock['product']} until {lock['committed_until']}{fee}")
    return lines
