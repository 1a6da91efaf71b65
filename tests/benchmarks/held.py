"""What holds customers, against the truth: `python -m tests.benchmarks.held FOLDER` of a simulated company.

At the last three dates whose truth is known, from what was known before the first of them: Spearman
correlation of each switching-cost index with each latent; of the hostages, the precision among as many
customers as there truly are; and the correlation of estimated with true satisfaction.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from features.clock import as_of_us
from features.settings import COSTS
from serving.workspace import open_workspace
from training.labels import mature_until
from training.panel import build_panel
from training.quarters import join, needed, standing_of
from training.satisfaction import fit_satisfaction
from training.simulate import file_of
from training.train import fit_all_features


def main(folder: Path) -> None:
    """Measure and print."""
    workspace = open_workspace(folder / "corredor.toml")
    histories, config = workspace.histories, workspace.config
    states = pd.read_parquet(file_of(folder, "truth_states"))
    dates = sorted(states.as_of.unique())[-3:]
    until = as_of_us(dates[0], config.project.zone)
    known = histories.known_before(until)
    fitted, panel_dates = fit_all_features(known, config, mature_until(known, config, until), until)
    panel = build_panel(known, config, fitted, panel_dates)
    satisfaction = fit_satisfaction(known, config, fitted, panel)
    names = needed(fitted, satisfaction)
    plan = fitted.plan_of([f for f in fitted.features if f.name in names])
    truths, standings = [], []
    for date in dates:
        truth = states[states.as_of == date]
        some = histories.select(histories.position(list(truth.customer_id)))
        X = plan.run(some, np.array([as_of_us(date, config.project.zone)]))[:, 0]
        standing = standing_of(X, names, satisfaction, config.quarters)
        hostage = truth.hostage.to_numpy()
        first = np.argsort(-np.nan_to_num(standing.hostage), kind="stable")[: hostage.sum()]
        told = spearmanr(standing.satisfaction, truth.satisfaction, nan_policy="omit")[0]
        print(
            f"{date}: {hostage.sum():,} hostages of {len(truth):,}, precision {hostage[first].mean():.3f}; "
            f"satisfaction {told:.3f}"
        )
        truths.append(truth)
        standings.append(standing)
    truth, standing = pd.concat(truths), join(standings)
    print("index \\ latent ", *(f"{cost[:8]:>9}" for cost in COSTS))
    for c, cost in enumerate(COSTS):
        found = [spearmanr(standing.indices[:, c], truth[other], nan_policy="omit")[0] for other in COSTS]
        print(f"{cost:<15}", *(f"{value:9.3f}" for value in found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
