"""What the product finds of a planted truth: `python -m tests.benchmarks.truth [--seeds 1,2,3]`.

For each simulated company: trained once on what was known before the first of the oracle's last three
dates, by the code of `corredor backtest`, and tested on the three together. Prints, beside its bar,

    churn      AUC beside LightGBM on plain counts and the oracle, the share of their gap that is closed,
               and the slope of the calibration;
    moments    where the planted moments of truth stand by stage-wise importance, and the decoy;
    costs      Spearman's correlation of each switching-cost index with each latent;
    repairs    whether the congested and the blocked stretch lead the repair list, and their dates;
    hostages   precision at the true number of hostages;
    ablation   what AUC it costs to do without a family of features (`--ablate`).

Intervals are 95 %, by bootstrap over customers. Nothing here is seen by the product.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalog import FittedFeatures
from features.clock import as_of_us, local_date
from features.settings import COSTS
from features.vocabulary import slug
from serving.workspace import Workspace, open_workspace
from tests.benchmarks.simulated import scored
from training.ablation import ablate, ablation_report
from training.bundle import CHURN
from training.corridor import read_corridor
from training.evaluate import Outcomes, auc, measure
from training.fitting import Fit, fit_question, recipe_of
from training.importance import stage_importance
from training.panel import Panel, build_panel
from training.quarters import standing_of
from training.satisfaction import fit_satisfaction
from training.simulate import simulate
from training.testing import groups_of
from training.train import fit_all_features, moments_by_row

Floats = npt.NDArray[np.float64]
REPLICATES = 200
EXPLAINED_ROWS = 12_000
GAP_BAR, SLOPE_BARS, COST_BAR, HOSTAGE_BAR = 0.65, (0.9, 1.1), 0.6, 0.7
FIRST, PLANTED_BAR, WEEKS = 7, 4, 2
ASPECTS = {
    "claim_open_too_long": ("open", "wait", "promise"),
    "repair_wait_beyond_accepted": ("wait", "promise"),
    "adviser_changed": ("people",),
    "bill_above_expectation": ("surge", "value", "gap"),
    "second_failure_not_recovered": ("recovery", "failure", "outcome"),
}
"""Which aspects of its kinds (`kinds` in truth.json) show a planted moment; fixed, for all companies."""
ABLATED = ("experience", "corridor", "switching_costs")
Row = tuple[str, str, bool | None]
"""What, how it came out, and whether it holds its bar (None: it has none)."""


@dataclass(frozen=True)
class Study:
    """A company, what was learnt of it, and the snapshots that it is tested on, with their truth."""

    folder: Path
    truth: dict[str, Any]
    workspace: Workspace
    fitted: FittedFeatures
    fit: Fit
    train: Panel
    test: Panel
    known: pd.DataFrame
    """One row per snapshot of `test`: the scores of counts and oracle, and the true state."""


def main() -> None:
    """Measure and print, company by company."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--customers", default="20000", help="one number or several: 5000,20000")
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--work", type=Path, help="keep the companies here; used again when there")
    parser.add_argument("--ablate", action="store_true", help="also do without a family of features each")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for seed in map(int, asked.seeds.split(",")):
            for customers in map(int, asked.customers.split(",")):
                folder = (asked.work or Path(temporary)) / f"seed{seed}-{customers}-{asked.months}"
                began = time.process_time()
                if not (folder / "corredor.toml").exists():
                    simulate(folder, customers, months=asked.months, seed=seed)
                simulated = time.process_time() - began
                study = learnt(folder)
                print(f"\n## seed {seed}, {customers:,} customers, {asked.months} months")
                print(f"{simulated:.0f} s CPU to simulate, {len(study.train):,} snapshots to learn from")
                for measured in (churn, moments, costs, repairs, hostages, *([ablation] * asked.ablate)):
                    show(measured, study)
                print(f"{time.process_time() - began:.0f} s CPU in all", flush=True)


def show(measured: Callable[[Study], list[Row]], study: Study) -> None:
    """Print the rows of a measure, each with whether it holds its bar."""
    for what, value, held in measured(study):
        mark = {True: "✓", False: "✗", None: " "}[held]
        print(f"{mark} {measured.__name__:9} {what:44} {value}", flush=True)


def learnt(folder: Path) -> Study:
    """Return the study of a company: trained before the first of the oracle's last three dates."""
    truth = json.loads((folder / "truth.json").read_text())
    workspace = open_workspace(folder / "corredor.toml")
    config, histories = workspace.config, workspace.histories
    named = truth["oracle"]["dates"][-3:]
    dates = [as_of_us(day, config.project.zone) for day in named]
    known = histories.known_before(dates[0])
    fitted, panel_dates = fit_all_features(known, config, dates[0], dates[0])
    train = build_panel(known, config, fitted, panel_dates, seed=config.training.seed)
    later = build_panel(
        *(histories, config, fitted, np.array(dates)),
        staples_before=int(panel_dates[0]),
        most_rows=2**62,
    )
    day_of = dict(zip(dates, pd.to_datetime(named), strict=True))
    rows = pd.DataFrame(
        {
            "customer_id": np.array(histories.customer_ids.to_pylist(), object)[later.customer],
            "as_of": pd.Series(later.as_of).map(day_of).astype("datetime64[us]"),
            "churned_here": later.churned,
        }
    )
    rows = rows.merge(scored(folder), on=["customer_id", "as_of"], how="left")
    tested = ((later.churned >= 0) & rows.oracle.notna()).to_numpy()
    test, rows = later.take(tested), rows[tested].reset_index(drop=True)
    if not (rows.churned == rows.churned_here).all():
        raise AssertionError("the counts' labels are not the product's")
    fit = fit_question(train, CHURN, config)
    return Study(folder, truth, workspace, fitted, fit, train, test, rows)


def churn(study: Study) -> list[Row]:
    """How much of the gap between plain counts and the oracle is closed."""
    test, rows = study.test, study.known
    ours = study.fit.predictor.probability(test.X)
    scores = {"product": ours, "counts": rows.counts.to_numpy(), "oracle": rows.oracle.to_numpy()}
    happened = test.churned
    _, who = np.unique(test.customer, return_inverse=True)
    random = np.random.default_rng(0)
    areas = []
    for replicate in range(1 + REPLICATES):
        drawn = np.bincount(random.integers(0, who.max() + 1, who.max() + 1), minlength=who.max() + 1)
        weight = np.ones(len(who)) if replicate == 0 else drawn[who].astype(np.float64)
        areas.append([auc(happened, score, weight) for score in scores.values()])
    found = np.array(areas)
    closed = (found[:, 0] - found[:, 1]) / (found[:, 2] - found[:, 1])
    measured = measure(outcomes_of(test), {"product": ours}, study.workspace.config.value)["product"]
    slope = measured["calibration_slope"]
    gate = study.fit.gate.facts()
    return [
        ("snapshots, share that left", f"{len(who):,}, {happened.mean():.3f}", None),
        *((f"AUC of {name}", told(found[:, i]), None) for i, name in enumerate(scores)),
        (f"share of the gap closed (≥ {GAP_BAR})", told(closed), closed[0] >= GAP_BAR),
        (
            f"calibration slope ({SLOPE_BARS[0]} to {SLOPE_BARS[1]})",
            f"{slope['value']:.3f} ({slope['interval'][0]:.3f} to {slope['interval'][1]:.3f})",
            SLOPE_BARS[0] <= slope["value"] <= SLOPE_BARS[1],
        ),
        ("the gate let through", f"{gate['rounds']} rounds, {gate['logistic_share']} logistic", None),
    ]


def moments(study: Study) -> list[Row]:
    """Where the planted moments stand among all moments of a kind of touchpoint, by stage-wise importance.

    A planted moment stands where the best of its moments does; switching costs, profile and what is said
    of all contacts together are no kind of touchpoint, and are ranked beside.
    """
    rows = np.arange(len(study.test))
    if len(rows) > EXPLAINED_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, EXPLAINED_ROWS, replace=False))
    test = study.test.take(rows)
    by_row = moments_by_row(study.fitted, study.fit.predictor, test.X)
    keys = sorted({f.moment for f in study.fitted.features})
    stages = groups_of(study.workspace.histories, study.fitted, test)["lifecycle"]
    found = stage_importance(by_row, keys, stages, test.customer)
    kinds = {slug(kind) for kind in study.fitted.context.vocabulary.kinds}
    own = [row for row in found if row["moment"].rpartition(".")[0] in kinds]
    planted = {
        moment["key"]: {
            f"{slug(kind)}.{a}" for kind in moment["kinds"] for a in ASPECTS.get(moment["key"], ())
        }
        for moment in study.truth["moments"]
    }
    places = {key: place_of(own, names) for key, names in planted.items()}
    told_rows: list[Row] = []
    for key, names in planted.items():
        place = places[key]
        best = own[place - 1] if place else None
        value = "not found" if best is None else f"{place}: {best['moment']} {weight(best)}"
        if best is not None:
            value += f"; of all moments {place_of(found, {best['moment']})}"
            value += "; by stage " + ", ".join(
                f"{s} {place_of(at_stage(own, s), names)}" for s in best["stages"]
            )
        told_rows.append((key, value, None))
    first = [place for place in places.values() if place and place <= FIRST]
    told_rows.append(
        (f"planted in the first {FIRST} (≥ {PLANTED_BAR})", str(len(first)), len(first) >= PLANTED_BAR)
    )
    among_all = [place_of(found, names) for names in planted.values()]
    said = str(sum(place is not None and place <= FIRST for place in among_all))
    told_rows.append((f"the same among all moments (first {FIRST})", said, None))
    decoys = {r["moment"] for r in own if r["moment"].startswith(f"{slug(study.truth['decoy']['kind'])}.")}
    decoy = place_of(own, decoys)
    below = decoy is None or all(place < decoy for place in first)
    told_rows.append(("place of the decoy (below all found)", str(decoy or "moves nothing"), below))
    said = ", ".join(f"{r['moment']} {r['weight']:.3f}" for r in own[:10])
    told_rows.append(("first ten of a kind", said, None))
    told_rows.append(
        ("first ten of all", ", ".join(f"{r['moment']} {r['weight']:.3f}" for r in found[:10]), None)
    )
    return told_rows


def costs(study: Study) -> list[Row]:
    """How each switching-cost index ranks customers against each true cost."""
    rows: list[Row] = []
    truths = study.known[list(COSTS)]
    for cost in COSTS:
        name = f"switching_{cost}_index"
        if name not in study.fitted.names:
            rows.append((f"{cost} index", "there is none", False))
            continue
        index = pd.Series(study.test.X[:, study.fitted.names.index(name)].astype(np.float64))
        found = {other: float(truths[other].corr(index, method="spearman")) for other in COSTS}
        held = found[cost] >= COST_BAR and all(found[cost] > found[o] for o in COSTS if o != cost)
        said = ", ".join(f"{other} {r:.2f}" for other, r in found.items())
        rows.append(
            (f"{cost} index (≥ {COST_BAR}, its own most)", f"{said}; known {index.notna().mean():.0%}", held)
        )
    return rows


def repair_list_of(workspace: Workspace, as_of: int) -> list[tuple[str, str, str | None]]:
    """Return the stretches to repair, the most urgent first: (from, to, day since when it is worse)."""
    corridor, zone = (
        read_corridor(workspace.histories, workspace.config, as_of),
        workspace.config.project.zone,
    )
    kinds = corridor.map.steps.kinds
    return [
        (
            kinds[r.stretch // len(kinds)],
            kinds[r.stretch % len(kinds)],
            None if r.worsened is None else local_date(r.worsened.since, zone),
        )
        for r in corridor.repairs.repairs
    ]


def repairs(study: Study) -> list[Row]:
    """Whether the congested and the blocked stretch are found, and since when."""
    found = repair_list_of(study.workspace, int(study.test.as_of.max()))
    rows: list[Row] = []
    for name, true in study.truth["corridor"].items():
        places = [i for i, (a, b, _) in enumerate(found) if (a, b) == (true["from"], true["to"])]
        place = places[0] + 1 if places else None
        since = found[places[0]][2] if places else None
        off = None if since is None else (pd.Timestamp(since) - pd.Timestamp(true["since"])).days
        rows.append((f"{name} stretch (first two)", str(place), place is not None and place <= 2))
        rows.append(
            (
                f"worse since {true['since']} (± 14 days)",
                f"{since} ({off})",
                off is not None and abs(off) <= 7 * WEEKS,
            )
        )
    return rows


def hostage_scores_of(study: Study) -> Floats | None:
    """Return how likely each snapshot of the test is a hostage; None: satisfaction cannot be told."""
    config, fitted = study.workspace.config, study.fitted
    known = study.workspace.histories.known_before(int(study.test.as_of.min()))
    satisfaction = fit_satisfaction(known, config, fitted, study.train)
    if satisfaction is None:
        return None
    return standing_of(study.test.X, fitted.names, satisfaction, config.quarters).hostage


def hostages(study: Study) -> list[Row]:
    """How many of those who seem most held are, when as many are named as there are."""
    score, true = hostage_scores_of(study), study.known.hostage.to_numpy(bool)
    if score is None:
        return [("hostages", f"not told ({true.mean():.3f} are)", None)]
    named = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")[: int(true.sum())]
    precision = float(true[named].mean())
    return [(f"precision at {true.sum():,} (≥ {HOSTAGE_BAR})", f"{precision:.3f}", precision >= HOSTAGE_BAR)]


def ablation(study: Study) -> list[Row]:
    """What AUC it costs to do without a family of features."""
    config = study.workspace.config
    part = ablate(
        *(
            study.fit,
            study.train,
            outcomes_of(study.test),
            study.test.X,
            study.fitted,
            CHURN,
            recipe_of(config),
        ),
        only=ABLATED,
    )
    rows: list[Row] = []
    for family, facts in ablation_report([part], study.fitted, config).items():
        cost = facts["auc_cost"]
        low, high = cost["interval"]
        said = f"{cost['value']:+.4f} ({low:+.4f} to {high:+.4f}), {facts['features']} features"
        rows.append((f"AUC lost without {family}", said, low > 0))
    return rows


def outcomes_of(panel: Panel) -> Outcomes:
    """Return the outcomes of a panel's snapshots."""
    return Outcomes(panel.customer, panel.as_of, panel.churned)


def at_stage(ranked: list[dict[str, Any]], stage: str) -> list[dict[str, Any]]:
    """Return moments in the order of their weights at one stage."""
    return sorted(ranked, key=lambda row: -row["stages"][stage]["weight"])


def place_of(ranked: list[dict[str, Any]], names: set[str]) -> int | None:
    """Return the place, from 1, of the first of some moments; None when none is there."""
    return next((i for i, row in enumerate(ranked, 1) if row["moment"] in names), None)


def weight(row: dict[str, Any]) -> str:
    """Return a weight with its interval."""
    low, high = row["interval"]
    return f"{row['weight']:.3f} ({low:.3f} to {high:.3f})"


def told(values: Floats) -> str:
    """Return a value with its interval from its replicates."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
