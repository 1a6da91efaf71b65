"""A night of scoring beside the obvious stack: `python -m tests.benchmarks.nightly`.

Ours: an ingested company, bucket by bucket: features, score, top moments, everyone ranked, told in words and
written as Parquet. The obvious stack: one scan by Polars into conditional aggregates, then `Booster.predict`
and `pred_contrib` of the very same forests, the three strongest features written as Parquet. Process CPU, one
thread, medians of interleaved rounds; `pred_contrib` is run on some rows and multiplied, which is said. Whole
runs are children of their own, so that the peak of memory is theirs. `--larger-than-memory 100_000_000` only
takes in and scores a log of so many touchpoints, within `--memory`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.ingested import read_manifest
from features.ingesting import ingest
from serving.memory import bytes_of
from tests.benchmarks import features as spine
from tests.benchmarks import night_company as company
from tests.benchmarks import peers
from training.bundle import save_bundle
from training.model import Recipe

CHILD = "from tests.benchmarks.nightly import {what}; {what}({folder!r}, {memory!r})"


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=50_000, help="customers of the slice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--explained", type=int, default=2_000, help="rows that pred_contrib is run on")
    parser.add_argument(
        "--whole", type=int, nargs="*", default=[10_000, 100_000], help="customers of whole runs"
    )
    parser.add_argument("--memory", default="2GB", help="what a whole run may take")
    parser.add_argument("--seeds", type=int, default=6, help="forests of the bag")
    parser.add_argument("--trees", type=int, default=400, help="trees of each forest")
    parser.add_argument("--depth", type=int, default=3, help="their depth")
    parser.add_argument(
        "--larger-than-memory", type=int, metavar="N", help="only take in and score so many touchpoints"
    )
    parser.add_argument("--folder", type=Path, help="where generated data goes, to be removed in the end")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows, tell = spine.telling(as_json=options.json)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        recipe = Recipe(seeds=options.seeds, trees=options.trees, max_depth=options.depth)
        bundle = company.trained(folder, recipe)
        save_bundle(bundle, folder / "bundle")
        if not options.json:
            n = len(bundle.fitted.features)
            bag = f"{recipe.seeds} x {recipe.trees} trees of depth {recipe.max_depth}"
            print(f"{company.EACH} touchpoints a customer, {n} features, {bag}", flush=True)
        if options.larger_than_memory:
            tell(larger_than_memory(folder, options.larger_than_memory, options.memory))
        elif options.customers:
            where = company.ingested(folder / "slice", options.customers)
            tell(compare(bundle, where, options.customers, options.rounds, options.explained))
        if options.whole and not options.larger_than_memory:
            tell(whole_runs(folder, options.whole, options.memory))
    if options.json:
        print(json.dumps(rows, indent=1))


def compare(bundle: Any, folder: Path, customers: int, rounds: int, explained: int) -> list[dict[str, Any]]:
    """Return the rows of the slice, ours beside the obvious stack's."""
    log, frame = folder / "log.parquet", {}
    night = company.Night(bundle, folder)
    n = night.customers()

    def polars() -> None:
        table = peers.polars_frame(log)
        frame["X"] = peers.polars_snapshot(table, company.AS_OF, int(table["customer"].max()) + 1)

    X = night.features()
    boosters = bundle.predictors["churn"].forest.boosters
    check_equal(bundle, X[:200])

    def predict() -> None:
        frame["score"] = sum(b.predict(X, raw_score=True, num_threads=1) for b in boosters)

    def contribute() -> None:
        frame["shap"] = sum(b.predict(X[:explained], pred_contrib=True, num_threads=1) for b in boosters)

    def write() -> None:
        strongest = np.argsort(-np.abs(frame["shap"][:, :-1]), axis=1)[:, :3]
        columns = {f"feature_{k}": strongest[:, k] for k in range(3)}
        pq.write_table(pa.table(columns), folder / "obvious.parquet")

    cases: dict[str, Callable[[], Any]] = {
        "ours, read a night's buckets": night.read,
        "ours, rows: features, score, moments": night.rows,
        "ours, rank, tell, write": night.write,
        "Polars, features": polars,
        "Booster.predict": predict,
        "pred_contrib, some rows": contribute,
        "strongest three, written, some rows": write,
    }
    seconds = spine.interleaved(cases, rounds)
    per = {name: 1e6 * s / n for name, s in seconds.items()}
    for name in ("pred_contrib, some rows", "strongest three, written, some rows"):
        per[name] *= n / explained
    ours, theirs = (sum(list(per.values())[a:b]) for a, b in ((0, 3), (3, None)))
    found = [spine.row(name, n, value, "µs") for name, value in per.items()]
    found += [
        spine.row("ours, a customer", n, ours, "µs"),
        spine.row("obvious stack, a customer", n, theirs, "µs"),
        spine.row("obvious / ours", n, theirs / ours, "x", bar=40.0, at_least=True),
        spine.row("customers a CPU second", n, 1e6 / ours, ""),
        spine.row("1M customers, ours, projected", 1_000_000, ours, "s"),
        spine.row("1M customers, obvious, projected", 1_000_000, theirs, "s"),
    ]
    return found


def check_equal(bundle: Any, X: np.ndarray) -> None:
    """Stop unless our scores and contributions are the boosters' own."""
    predictor = bundle.predictors["churn"]
    forest = predictor.forest
    score = sum(b.predict(X, raw_score=True) for b in forest.boosters) / len(forest.boosters)
    np.testing.assert_allclose(forest.raw_score(X), score, rtol=0, atol=1e-9)
    shap = sum(b.predict(X, pred_contrib=True) for b in forest.boosters) / len(forest.boosters)
    np.testing.assert_allclose(forest.contributions(X), shap, rtol=0, atol=1e-9)


def whole_runs(folder: Path, sizes: list[int], memory: str) -> list[dict[str, Any]]:
    """Return CPU, clock and peak memory of whole runs, each in a process of its own."""
    found, per = [], {}
    for customers in sizes:
        where = company.ingested(folder / f"whole-{customers}", customers)
        told = run_alone("child", where, memory)
        n, per[customers] = told["customers"], 1e6 * told["cpu"] / told["customers"]
        found += [
            spine.row("whole run, getting ready", n, told["start"], "s"),
            spine.row("whole run, CPU", n, told["cpu"], "s"),
            spine.row("whole run, a customer", n, per[customers], "µs"),
            spine.row("whole run, peak memory", n, told["peak"] / (1 << 30), "GB", bar=2.0),
        ]
        for path in where.rglob("*.parquet"):
            path.unlink()
    if len(sizes) > 1:
        ratio = per[sizes[-1]] / per[sizes[0]]
        found.append(spine.row("a customer of the largest / of the least", sizes[-1], ratio, "x", bar=1.1))
    return found


def larger_than_memory(folder: Path, touchpoints: int, memory: str) -> list[dict[str, Any]]:
    """Return what taking in and scoring a log takes, each in a process of its own."""
    where = folder / "large"
    where.mkdir()
    company.write_log(where / "log.parquet", touchpoints // company.EACH)
    log = (where / "log.parquet").stat().st_size
    taken = run_alone("take_in", where, memory)
    night = run_alone("child", where, memory)
    n = night["customers"]
    return [
        spine.row("the log, as Parquet", touchpoints, log / (1 << 30), "GB"),
        spine.row("taken in by bucket, as Parquet", taken["rows"], taken["bytes"] / (1 << 30), "GB"),
        spine.row("taking it in, CPU", taken["rows"], taken["cpu"], "s"),
        spine.row("taking it in, peak memory", taken["rows"], taken["peak"] / (1 << 30), "GB", bar=2.0),
        spine.row("a night, getting ready", n, night["start"], "s"),
        spine.row("a night, CPU", n, night["cpu"], "s"),
        spine.row("a night, a customer", n, 1e6 * night["cpu"] / n, "µs"),
        spine.row("a night, peak memory", n, night["peak"] / (1 << 30), "GB", bar=2.0),
    ]


def run_alone(what: str, folder: Path, memory: str) -> dict[str, Any]:
    """Run a function of this module in a process of its own; return what it tells."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(what=what, folder=str(folder), memory=memory)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def take_in(folder: str, memory: str) -> None:
    """Take a log in as the verb does, in this process; print what it took."""
    began, where = time.process_time(), Path(folder)
    ingest(company.config(where), where, where / "store", memory=bytes_of(memory))
    cpu, peak = time.process_time() - began, peak_bytes()
    manifest = read_manifest(where / "store")
    assert manifest is not None
    told = {
        "rows": sum(ingest.rows for ingest in manifest.ingests),
        "bytes": sum(path.stat().st_size for path in (where / "store").rglob("*.parquet")),
        "cpu": cpu,
        "peak": peak,
    }
    print(json.dumps(told))


def child(folder: str, memory: str) -> None:
    """Run a night as the verb does, in this process; print what it took."""
    began = time.process_time()
    night = company.Night.opened(Path(folder), memory)
    night.warm()
    ready = time.process_time()
    listed = night.run()
    told = {
        "customers": listed,
        "cpu": time.process_time() - ready,
        "start": ready - began,
        "peak": peak_bytes(),
    }
    print(json.dumps(told))


def peak_bytes() -> int:
    """Return the most memory that this process had.

    What `getrusage` says of a child begins with what its parent had when it was started.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used << 10


if __name__ == "__main__":
    main()
