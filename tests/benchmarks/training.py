"""Training on many rows: `python -m tests.benchmarks.training [--rows 1000000] [--threads 1]`.

A question is fitted on a generated panel as `corredor train` does it (`fit_question`: binned, judged on the
later dates with a bag of two, fitted on all with the bag of the recipe, a logistic regression beside each
forest), and as many trees on the same rows by bare LightGBM: once on one binning, once with each
`lightgbm.train` given a `Dataset` of its own, as is usual. Each in a process of its own, interleaved; prints
processor and wall-clock time and the peak of memory. A tenth of the cells is unknown, and the outcome depends
on few features.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import lightgbm as lgb
import numpy as np

from tests.benchmarks.features import line, row
from training import fitting
from training.bundle import CHURN
from training.config import Config
from training.fitting import fit_question, hold_out, recipe_of, window_us
from training.panel import Panel

DATES = 8
DAY = 86_400_000_000
UNITS = {"peak": "GB", "trees": ""}
Case = Callable[[Panel, Config, int], dict[str, float]]
STAGES = ("bin_rows", "fit_forest", "fit_logistic", "judge", "tell_the_date")
"""What `fit_question` is timed by, within it."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1, help="[training] threads")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--trees", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        panel, config = made_panel(asked.rows, asked.features), config_of(asked.threads)
        print(json.dumps(run(CASES[asked.child], panel, config, asked.trees)))
        return
    trees = 0
    told: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for _ in range(asked.rounds):
        for name in CASES:
            sizes = (f"--{what}={getattr(asked, what)}" for what in ("rows", "features", "threads"))
            command = [
                sys.executable,
                "-m",
                "tests.benchmarks.training",
                *sizes,
                f"--child={name}",
                f"--trees={trees}",
            ]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            told[name].append(json.loads(done.stdout))
            trees = int(told["fit_question"][0]["trees"])
    middle = {
        name: {what: statistics.median(t[what] for t in times) for what in times[0]}
        for name, times in told.items()
    }
    print(f"{asked.rows:,} x {asked.features}, {asked.threads} thread(s), median of {asked.rounds}")
    for name, figures in middle.items():
        for what, value in figures.items():
            print(line(row(f"{name}: {what}", asked.rows, value, UNITS.get(what, "s"))))
    ours = middle["fit_question"]["processor"]
    for name in ("one binning", "a binning each"):
        print(
            line(row(f"fit_question / LightGBM, {name}", asked.rows, ours / middle[name]["processor"], "x"))
        )


def run(case: Case, panel: Panel, config: Config, trees: int) -> dict[str, float]:
    """Return what a case took in this process: seconds, and GB at the peak."""
    began, clock = time.process_time(), time.perf_counter()
    stages = case(panel, config, trees)
    return {
        "processor": time.process_time() - began,
        "clock": time.perf_counter() - clock,
        **stages,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / (1 << 30),
    }


def config_of(threads: int) -> Config:
    """Return the configuration of a company of one kind of contact."""
    return Config.model_validate(
        {
            "project": {"name": "training", "timezone": "UTC"},
            "sources": {"touchpoints": "select 1"},
            "training": {"threads": threads},
        }
    )


def made_panel(rows: int, features: int) -> Panel:
    """Return a panel of customers at dates four weeks apart; a tenth of the cells is unknown."""
    random = np.random.default_rng(0)
    X = random.standard_normal((rows, features), dtype=np.float32)
    z = X[:, :20] @ random.normal(size=20).astype(np.float32) / 4 + np.abs(X[:, 20]) - 3
    left = (random.random(rows, dtype=np.float32) < 1 / (1 + np.exp(-z))).astype(np.int8)
    for j in range(features):
        X[random.random(rows, dtype=np.float32) < 0.1, j] = np.nan
    each = -(-rows // DATES)
    place = np.arange(rows)
    return Panel(place % each, 28 * DAY * (place // each), X, left, directions=(0,) * features)


def whole(panel: Panel, config: Config, _: int) -> dict[str, float]:
    """Fit the question; return the seconds of each stage within it, and the trees of each forest."""
    seconds: dict[str, float] = {}

    def timed(stage: str) -> Callable[..., object]:
        original = getattr(fitting, stage)

        def call(*arguments: object, **named: object) -> object:
            began = time.process_time()
            try:
                return original(*arguments, **named)
            finally:
                seconds[stage] = seconds.get(stage, 0.0) + time.process_time() - began

        return call

    with ExitStack() as stack:
        for stage in STAGES:
            stack.enter_context(mock.patch.object(fitting, stage, timed(stage)))
        fit = fit_question(panel, CHURN, config)
    return {**seconds, "trees": float(fit.gate.rounds_on(len(panel)) or recipe_of(config).trees)}


def bare(panel: Panel, config: Config, trees: int, *, once: bool) -> dict[str, float]:
    """Grow as many trees with nothing beside them; return nothing of their stages."""
    recipe = replace(recipe_of(config), trees=trees)
    split = hold_out(panel.dates, window_us(config))
    if split is None:
        raise ValueError("too few dates to judge on")
    early = np.isin(panel.as_of, split[0])
    parameters = recipe.parameters(recipe.seed, ())

    def binned(rows: Panel) -> lgb.Dataset:
        return lgb.Dataset(rows.X, label=rows.churned, params=parameters).construct()

    few = replace(
        recipe, seeds=fitting.JUDGED_SEEDS, trees=round(max(fitting.ROUNDS) * recipe_of(config).trees)
    )
    rows = binned(panel) if once else None
    for which, bag in ((early, few), (None, recipe)):
        part = panel if which is None else panel.take(which)
        if rows is not None:
            part_rows = rows if which is None else rows.subset(np.flatnonzero(which)).construct()
        for i in range(bag.seeds):
            lgb.train(
                {**parameters, "seed": i}, part_rows if once else binned(part), num_boost_round=bag.trees
            )
    return {}


CASES: dict[str, Case] = {
    "fit_question": whole,
    "one binning": partial(bare, once=True),
    "a binning each": partial(bare, once=False),
}


if __name__ == "__main__":
    main()
