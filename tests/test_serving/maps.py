"""Corridors to draw: of any number of kinds, with names as awkward as can be."""

from __future__ import annotations

import numpy as np

from features.histories import build_histories
from tests.literals import DAY, at, typed
from training.config import Config
from training.corridor import Corridor, read_corridor

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "{{ w.title }} & 'so' \"on\"",
)
TEAMS = ("<i>north</i>", "south")
STAGES = ("inform", "advise", "buy", "use", "after-sales", "leave")
BEGIN = at("2025-01-01")


def corridor_of(kinds: int, *, language: str = "en", customers: int = 250) -> tuple[Corridor, Config]:
    """Return a corridor of so many kinds that mostly goes forward, the fourth kind blocked from a day on."""
    rng = np.random.default_rng(kinds)
    names = [
        *HOSTILE,
        *(f"kind {k} of a rather long name" if k % 2 else f"kind {k}" for k in range(3, kinds)),
    ]
    onward = [np.minimum(k + rng.integers(1, 8, 3), kinds - 1) for k in range(kinds)]
    rows: dict[str, list] = {
        name: [] for name in ("customer_id", "occurred_at", "kind", "case_id", "channel", "team")
    }
    for c in range(customers):
        when = BEGIN + int(rng.integers(0, 30 * DAY))
        for journey in range(8):
            k = int(rng.integers(0, 4))
            for _ in range(12):
                channel = ("phone", "web", "<b>shop</b>")[k % 3]
                team = "tiny" if c == 0 else TEAMS[c % 2]
                row = (f"customer-{c}", when, names[k], f"{c}-{journey}", channel, team)
                for column, cell in zip(rows.values(), row, strict=True):
                    column.append(cell)
                if k == kinds - 1:
                    break
                slow = 12 if k == 3 and when > BEGIN + 150 * DAY and rng.random() < 0.7 else 1
                when += int(slow * DAY * rng.lognormal(0, 0.4))
                k = int(rng.choice(onward[k])) if rng.random() < 0.9 else int(rng.integers(0, kinds))
            when += int(rng.exponential(20)) * DAY
    told = {name: {"stage": STAGES[k * 6 // kinds]} for k, name in enumerate(names)}
    told[names[3]]["deadline_days"] = 5
    config = Config.model_validate(
        {
            "project": {"name": "maze", "language": language, "timezone": "Europe/Madrid"},
            "sources": {"touchpoints": ""},
            "touchpoints": told,
            "churn": {"active_days": 60, "horizon_days": 30},
        }
    )
    histories = build_histories({"touchpoints": typed(rows)})
    return read_corridor(histories, config, BEGIN + 300 * DAY), config
