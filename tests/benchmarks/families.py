"""What each family of features takes: `python -m tests.benchmarks.families`.

All families are fitted to a generated log with cases, agents, endings and answers, and built for one date
beside DuckDB's scan and one group-by of the same file; then each family is left out, which tells what it
adds, since families share their walk. Process CPU, one thread, medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.catalog import FAMILIES, FittedFeatures, fit_features
from features.settings import Activity, DataSettings, Project, TouchpointKind
from tests.benchmarks import features as spine
from tests.benchmarks import peers
from tests.benchmarks.peers import DAY, KINDS

FIT_BEFORE = spine.END - 180 * DAY


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=200, help="events of a customer, on average")
    options = parser.parse_args(arguments)
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        spine.write_log(path, options.events, max(1, options.events // options.each))
        whole = pq.read_table(path)
        pq.write_table(served(whole), path)
        for line in measure(path, options.events, options.rounds):
            print(line, flush=True)


def served(log: pa.Table) -> pa.Table:
    """Return a log with what service leaves behind: cases, agents, endings, what was perceived."""
    rng = np.random.default_rng(7)
    n = log.num_rows
    kind = log.column("kind").combine_chunks().dictionary_encode().indices.to_numpy()
    service = np.isin(kind, np.arange(10))
    cases = np.char.add("case-", rng.integers(0, 40, n).astype("U3"))
    agents = np.char.add("agent-", rng.integers(0, 300, n).astype("U3"))
    ends = rng.choice(["done", "failed", "transferred", "open"], n, p=[0.8, 0.1, 0.05, 0.05])
    return (
        log.append_column("case_id", pa.array(cases, mask=~service))
        .append_column("agent_id", pa.array(agents, mask=~service))
        .append_column("outcome", pa.array(ends, mask=~service))
        .append_column("perceived", pa.array(rng.integers(0, 11, n).astype(float), mask=rng.random(n) < 0.8))
    )


def fitted(history: Any) -> FittedFeatures:
    """Return every family, fitted; half of the kinds have standards and deadlines."""
    kinds = {
        kind: TouchpointKind(adequate=5, desired=8, promised_minutes=10, deadline_days=7)
        for kind in KINDS[:10]
    }
    settings = DataSettings(
        project=Project(name="bench"), sources={"touchpoints": "select 1"}, touchpoints=kinds
    )
    return fit_features(history, settings, Activity(), fit_before=FIT_BEFORE, until=spine.END)


def measure(path: Path, events: int, rounds: int) -> list[str]:
    """Return the lines of the report."""
    history = spine.load(path)
    every = fitted(history)

    def build(plan: Any, dates: int = 1) -> Callable[[], None]:
        def run() -> None:
            for _ in plan.iterate(history, spine.DATES[:dates]):
                pass

        return run

    names = [f for f in FAMILIES if any(x.family == f for x in every.features)]
    cases: dict[str, Callable[[], Any]] = {
        "DuckDB": lambda: peers.duckdb_group_by(path),
        "all": build(every.plan),
        "12 dates": build(every.plan, 12),
    }
    for family in names:
        cases[family] = build(every.plan_of([x for x in every.features if x.family != family]))
    seconds = spine.interleaved(cases, rounds)
    whole, scan = seconds["all"], seconds["DuckDB"]
    lines = [
        f"{events:,} events, {len(every.features)} features of {len(names)} families",
        f"{'all, one date':<24} {whole:>8.3f} s {whole / scan:>6.2f} x DuckDB's scan and group-by",
        f"{'all, 12 dates':<24} {seconds['12 dates']:>8.3f} s {seconds['12 dates'] / whole:>6.2f} x one date",
        f"{'family':<24} {'features':>8} {'adds':>9}",
    ]
    for family in names:
        number = sum(x.family == family for x in every.features)
        lines.append(f"{family:<24} {number:>8} {1 - seconds[family] / whole:>9.0%}")
    return lines


if __name__ == "__main__":
    main()
