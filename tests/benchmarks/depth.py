"""Whether shallow trees lose anything: `python -m tests.benchmarks.depth FOLDER [FOLDER ...]`.

Each folder is a workspace (`corredor.toml`). As `corredor backtest` does, but with trees of several depths
and with LightGBM's usual 31 leaves of any depth, all else equal, gate and bag included: trained for each
date on what was known before it, tested on its customers, the dates pooled. Prints AUC and log-loss with
the paired difference to the depth in use, 95 % by bootstrap over customers, and the CPU of the trainings.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np

from features.clock import as_of_us
from serving.workspace import open_workspace
from training.backtest import backtest_dates
from training.bundle import CHURN
from training.evaluate import Outcomes, measure
from training.fitting import fit_question, recipe_of
from training.model import Recipe
from training.panel import build_panel
from training.train import fit_all_features

USUAL_LEAVES = 31


def main() -> None:
    """Measure and print, workspace by workspace."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--dates", help="days to train before, D1,D2; by default those of the backtest")
    parser.add_argument("--depths", default="3,4,5")
    asked = parser.parse_args()
    for folder in asked.folders:
        days = asked.dates.split(",") if asked.dates else None
        for line in measured(folder, days, [int(d) for d in asked.depths.split(",")]):
            print(line, flush=True)


def measured(folder: Path, days: list[str] | None, depths: list[int]) -> list[str]:
    """Return the lines of a workspace."""
    workspace = open_workspace(folder / "corredor.toml")
    histories, config = workspace.histories, workspace.config
    zone = config.project.zone
    dates = [as_of_us(day, zone) for day in days] if days else backtest_dates(histories, config)
    recipes = kinds_of_trees(recipe_of(config), depths)
    said: dict[str, list[np.ndarray]] = {name: [] for name in recipes}
    seconds = dict.fromkeys(recipes, 0.0)
    tested = []
    for date in dates:
        known = histories.known_before(date)
        fitted, panel_dates = fit_all_features(known, config, date, date)
        train = build_panel(known, config, fitted, panel_dates, seed=config.training.seed)
        later = build_panel(
            *(histories, config, fitted, np.array([date])),
            staples_before=int(panel_dates[0]),
            most_rows=2**62,
        )
        later = later.take(later.churned >= 0)
        tested.append(later)
        for name, recipe in recipes.items():
            began = time.process_time()
            fit = fit_question(train, CHURN, config, recipe)
            seconds[name] += time.process_time() - began
            said[name].append(fit.predictor.probability(later.X))
    outcomes = Outcomes(*(np.concatenate([getattr(p, n) for p in tested]) for n in ("customer", "as_of")),
                        np.concatenate([p.churned for p in tested]))  # fmt: skip
    found = measure(outcomes, {name: np.concatenate(p) for name, p in said.items()}, config.value)
    first = next(iter(recipes))
    lines = [
        f"\n## {config.project.name}: {len(dates)} dates, {len(outcomes.customer):,} snapshots",
        f"{'trees':<10} {'AUC':>7} {'log-loss':>9} {'slope':>6} {'AUC more than ' + first:>29} "
        f"{'log-loss less':>29} {'CPU s':>6}",
    ]
    for name in recipes:
        m = found[name]
        more = [gained(m[f"{measure}_behind"]) if name != first else "" for measure in ("auc", "log_loss")]
        lines.append(
            f"{name:<10} {m['auc']['value']:>7.4f} {m['log_loss']['value']:>9.4f} "
            f"{m['calibration_slope']['value']:>6.3f} {more[0]:>29} {more[1]:>29} {seconds[name]:>6.0f}"
        )
    return lines


def gained(behind: dict[str, Any]) -> str:
    """Return by how much a model is better than the first, with its interval."""
    low, high = behind["interval"]
    return f"{-behind['value']:+.4f} ({-high:+.4f} to {-low:+.4f})"


def kinds_of_trees(usual: Recipe, depths: list[int]) -> dict[str, Recipe]:
    """Return the recipe with each depth, the one in use first, and with the usual leaves of any depth."""
    ordered = [usual.max_depth, *(d for d in depths if d != usual.max_depth)]
    found = {f"depth {d}": replace(usual, max_depth=d) for d in ordered}
    return {**found, f"{USUAL_LEAVES} leaves": replace(usual, max_depth=-1, leaves=USUAL_LEAVES)}


if __name__ == "__main__":
    main()
