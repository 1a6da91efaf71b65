"""For whom is a brand the main one next? `python -m tests.benchmarks.brand_panels FOLDER`.

FOLDER holds scanner panels as Parquet files (catsup, cracker, yogurt of Croissant and Graves' Ecdat):
a row per purchase of a household, in order, with the brand chosen and which brands were on display, were
featured, and at which price. Each brand in turn is the company, and a configuration is all that it gets:
the order of purchases is the clock (one a day), what a household buys is its wallet. At each of some days the
product learns from the days before and says for whom the brand will be the one bought most in the next
purchases. It prints AUC and log-loss beside the household's own past share, smoothed by the population
and fitted on the same days, with the differences' 95 % intervals by a paired bootstrap over households:
of each brand, of the brands of a panel together (the mean over brands and days), and of all.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import duckdb
import numpy as np

from features.clock import as_of_us
from serving.workspace import open_workspace
from training.backtest import backtest
from training.config import Value
from training.evaluate import Outcomes, measure

NEXT = 5
"""Purchases ahead, or a third of what the median household bought, if that is fewer; at least 3."""
LEAST_HOUSEHOLDS = 30
"""A day is tested when so many households have the purchases before it and all of those after."""
LEAST_SHARE = 0.05
"""A brand with less of the purchases is no company: its households are too few to test on."""
FIRST_DAY = "2001-01-01"

WORKSPACE = """
[project]
name = "{name}"

[files.panel]
path = "{path}"

[sources]
touchpoints = '''
with bought as (
    select id, choice, "feat.{brand}" as featured, {display} as displayed, "price.{brand}" as price,
           date '{first}' + cast(row_number() over (partition by id order by rownames) - 1 as integer) as day
    from panel
)
select id as customer_id, day as occurred_at, 'purchase' as kind, true as direct, price as amount
from bought where choice = '{brand}'
union all
select id, day, 'purchase_elsewhere', true, price from bought where choice <> '{brand}'
union all
select id, day, 'featured', false, price from bought where featured = 1
union all
select id, day, 'displayed', false, price from bought where displayed = 1
'''
wallet = '''
select id as customer_id, choice as provider, choice = '{brand}' as ours, 1.0 as share,
       date '{first}' + cast(row_number() over (partition by id order by rownames) - 1 as integer)
           as observed_at
from panel
'''

[churn]
kinds = ["purchase", "purchase_elsewhere"]
active_days = 1
horizon_days = {ahead}

[principality]
rule = "declared"
wallets = "all"

[features]
windows_days = [1, 2, 3, 5, 10, 20]

[training]
step_days = 1
"""


def main() -> None:
    """Measure and print."""
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    reader.add_argument("folder", type=Path)
    reader.add_argument("--json", action="store_true", help="print the measures as JSON")
    chosen = reader.parse_args()
    found: dict[str, Any] = {}
    cells: list[Cell] = []
    for path in sorted(chosen.folder.glob("*.parquet")):
        ahead, days = test_days(path)
        begins = len(cells)
        for brand, displayed in brands(path):
            name = f"{path.stem} {brand}"
            with tempfile.TemporaryDirectory() as folder:
                config = Path(folder) / "corredor.toml"
                config.write_text(workspace_of(path, brand, displayed, name, ahead), encoding="utf-8")
                (Path(folder) / path.name).write_bytes(path.read_bytes())
                space = open_workspace(config)
                dates = [as_of_us(str(day), space.config.project.zone) for day in days]
                result = backtest(space.histories, space.config, dates)
            for test in result.tests["principality"]:
                cells.append(Cell(path.stem, len(cells), test.outcomes, test.models))
            found[name] = result.questions["principality"]
            if not chosen.json:
                print(line(name, found[name]), flush=True)
        found[path.stem] = pooled(cells[begins:])
        if not chosen.json:
            print(line(path.stem, found[path.stem]), flush=True)
    found["all"] = pooled(cells)
    if not chosen.json:
        print(line("all", found["all"]))
    if chosen.json:
        print(json.dumps(found, indent=1))


@dataclass(frozen=True)
class Cell:
    """The households of a panel tested on a day for a brand."""

    panel: str
    number: int
    outcomes: Outcomes
    models: Mapping[str, np.ndarray]


def pooled(cells: list[Cell]) -> dict[str, Any]:
    """Return the measures of some brands and days together; households are drawn with all of theirs."""
    panels = sorted({cell.panel for cell in cells})
    household = [c.outcomes.customer + 1_000_000 * panels.index(c.panel) for c in cells]
    number = [np.full(len(c.outcomes.customer), c.number) for c in cells]
    happened = np.concatenate([c.outcomes.happened for c in cells])
    outcomes = Outcomes(np.concatenate(household), np.concatenate(number), happened)
    models = {name: np.concatenate([c.models[name] for c in cells]) for name in cells[0].models}
    return {
        "snapshots": len(happened),
        "happened": int(happened.sum()),
        "models": measure(outcomes, models, Value(), replicates=1000),
    }


def workspace_of(path: Path, brand: str, displayed: bool, name: str, ahead: int) -> str:
    """Return the configuration of a brand."""
    display = f'"disp.{brand}"' if displayed else "0"
    return WORKSPACE.format(
        name=name, path=path.name, brand=brand, display=display, first=FIRST_DAY, ahead=ahead
    )


def brands(path: Path) -> list[tuple[str, bool]]:
    """Return the brands that sell enough, best first, and whether their displays are known."""
    rows = duckdb.execute(
        f"select choice, count(*) / sum(count(*)) over () from '{path}' group by 1 order by 2 desc, 1"
    ).fetchall()
    columns = {c[0] for c in duckdb.execute(f"describe select * from '{path}'").fetchall()}
    return [(brand, f"disp.{brand}" in columns) for brand, share in rows if share >= LEAST_SHARE]


def test_days(path: Path) -> tuple[int, list[np.datetime64]]:
    """Return how many purchases ahead to look, and the days to test at: all with enough to learn from."""
    rows = duckdb.execute(f"select count(*) from '{path}' group by id").fetchall()
    lengths = np.array([n for (n,) in rows])
    ahead = int(np.clip(np.median(lengths) // 3, 3, NEXT))
    ends = range(2 * ahead, int(lengths.max()))
    enough = [t for t in ends if (lengths >= t + ahead).sum() >= LEAST_HOUSEHOLDS]
    return ahead, [np.datetime64(FIRST_DAY) + t for t in enough]


def line(name: str, facts: dict[str, Any]) -> str:
    """Return the measures of a brand as a line."""
    models = facts["models"]
    told = [f"{name}: {facts['happened']} of {facts['snapshots']}"]
    for model in ("corredor", "logistic", "own_share", "as_before"):
        told.append(f"{model} {models[model]['auc']['value']:.3f}/{models[model]['log_loss']['value']:.3f}")
    for name in ("auc_behind", "log_loss_behind"):
        m = models["own_share"][name]
        low, high = m["interval"]
        told.append(f"{name} {m['value']:+.4f} ({low:+.4f} to {high:+.4f})")
    return " | ".join(told)


if __name__ == "__main__":
    main()
