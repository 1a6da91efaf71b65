"""Whether a model is better than the baselines, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {
    "recency": "recency",
    "rfm": "RFM logistic regression",
    "bgnbd": "BG/NBD",
    "as_before": "as before",
    "own_share": "own past share, smoothed",
}


def verdict_of(models: Mapping[str, Mapping[str, Any]] | None) -> tuple[bool | None, str]:
    """Return whether the first model beats every baseline, and a sentence that says so.

    It beats one that it is ahead of in AUC, and in log-loss by more than chance (95 %, paired over
    customers). None, when there is nothing to judge by.
    """
    others = {name: m for name, m in (models or {}).items() if name in NAMES and "auc_behind" in m}
    if not models or not others:
        return None, "Not judged: the history leaves no later dates to test on."
    lost = [name for name, m in others.items() if not _behind(m)]
    if lost:
        names = ", ".join(NAMES.get(name, name) for name in lost)
        return False, f"Not better than the baselines: it does not clearly beat {names} on later dates."
    nearest = min(others, key=lambda name: float(others[name]["auc_behind"]["value"]))
    by = others[nearest]["auc_behind"]
    low, high = by.get("interval", [by["value"]] * 2)
    return True, (
        f"Better than the baselines on later dates; the nearest is {NAMES.get(nearest, nearest)}, "
        f"behind in AUC by {by['value']:.3f} ({low:.3f} to {high:.3f})."
    )


def _behind(m: Mapping[str, Any]) -> bool:
    auc, loss = m.get("auc_behind"), m.get("log_loss_behind")
    if auc is None or loss is None:
        return False
    return bool(auc["value"] > 0 and loss.get("interval", [loss["value"]])[0] > 0)
