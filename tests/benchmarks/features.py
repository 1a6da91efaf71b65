"""The speed of the feature engine, beside DuckDB, pandas and Polars: `make bench`.

Everything is timed in process CPU, one thread, medians of interleaved rounds, on a generated skewed log
with text ids. The exit code says nothing about speed: read the table.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
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

from tests.benchmarks import peers
from tests.benchmarks.peers import CHANNELS, DAY, HALF_LIVES, KINDS, MEASURES, WINDOWS

END = 20_454 * DAY  # 2026-01-01
DATES = END - np.arange(52) * 7 * DAY
COMPILE = """
import time
import numpy as np
from tests.benchmarks.families import fitted, served
from tests.benchmarks.features import log_table
from features.histories import build_histories
def once():
    start = time.process_time()
    history = build_histories({"touchpoints": served(log_table(1000, 0))})
    fitted(history).plan.run(history, np.array([history.span()[1]]))
    return time.process_time() - start
first = once()
print(first - once())
"""


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=200, help="events of a customer, on average")
    parser.add_argument("--peers-up-to", type=int, default=1_000_000, help="events for pandas and Polars")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows, tell = telling(as_json=options.json)
    if not options.json:
        print(f"{len(peers.feature_names())} features, process CPU, one thread, medians", flush=True)
    tell(one_customer())
    tell([compile_time(options.rounds)])
    with tempfile.TemporaryDirectory() as folder:
        for events in options.events:
            path = Path(folder) / f"log-{events}.parquet"
            write_log(path, events, max(1, events // options.each))
            tell(measure(path, events, options.rounds, events <= options.peers_up_to))
            path.unlink()
    if options.json:
        print(json.dumps(rows, indent=1))


def write_log(path: Path, events: int, customers: int) -> None:
    """Write a log in order of time, a million events a row group: some customers have thousands of them."""
    activity = np.random.default_rng(0).lognormal(0.0, 1.2, customers)
    chances = np.cumsum(activity / activity.sum())
    with pq.ParquetWriter(path, log_table(1, 0).schema) as writer:
        for first in range(0, events, 1_000_000):
            n = min(1_000_000, events - first)
            span = (END - 730 * DAY + 730 * DAY * first // events, 730 * DAY * n // events)
            writer.write_table(log_table(n, first, chances, span))


def log_table(
    n: int, seed: int, chances: np.ndarray | None = None, span: tuple[int, int] = (END - 730 * DAY, 730 * DAY)
) -> pa.Table:
    """Return n touchpoints in order of time, of 20 kinds and 6 channels."""
    rng = np.random.default_rng(seed + 1)
    chances = np.array([1.0]) if chances is None else chances
    who = np.minimum(np.searchsorted(chances, rng.random(n)), len(chances) - 1)
    ids = np.char.add("customer-", np.char.zfill(who.astype("U8"), 8))
    popularity = 1.0 / np.arange(1, 21)
    kinds = rng.choice(20, n, p=popularity / popularity.sum())
    amount = np.rint(rng.lognormal(3.0, 1.0, n) * 100) / 100
    return pa.table(
        {
            "customer_id": pa.array(ids, pa.string()),
            "occurred_at": pa.array(
                np.sort(span[0] + rng.integers(0, span[1], n)), pa.timestamp("us", "UTC")
            ),
            "kind": pa.DictionaryArray.from_arrays(kinds.astype(np.int32), list(KINDS)).cast(pa.string()),
            "channel": pa.DictionaryArray.from_arrays(
                rng.integers(0, 6, n).astype(np.int32), list(CHANNELS)
            ).cast(pa.string()),
            "amount": pa.array(amount, mask=kinds >= 10),
            "wait_minutes": pa.array(np.rint(rng.exponential(6, n) * 10) / 10, mask=rng.random(n) < 0.7),
            "satisfaction": pa.array(rng.integers(0, 11, n).astype(float), mask=rng.random(n) < 0.8),
        }
    )


def plan_of_features() -> Any:
    """Return the plan of the features, by the engine's definitions."""
    from features.engine import Plan
    from features.expressions import Rows

    def tags(stream: str, contact: tuple[str | None, ...]) -> frozenset:
        return frozenset([("any", True), ("activity", True), ("kind", contact[0]), ("channel", contact[1])])

    rows = Rows("touchpoints", ("any", True))
    named = [(f, n) for f, names in (("kind", KINDS), ("channel", CHANNELS)) for n in names]
    features = [Rows("touchpoints", name).count(w) for name in named for w in WINDOWS]
    features += [rows.count(w) for w in WINDOWS]
    features += [rows.total(m, w) for m in MEASURES for w in WINDOWS]
    features += [rows.answered(m, w) for m in MEASURES[1:] for w in WINDOWS]
    features += [Rows("touchpoints", ("kind", kind)).days_since_last() for kind in KINDS]
    features += [rows.days_since_last(), rows.days_since_first()]
    features += [rows.decayed(m, h) for m in ("contacts", "amount") for h in HALF_LIVES]
    return Plan(features, tags)


def load(path: Path) -> Any:
    """Read, encode and sort the log."""
    from features.histories import build_histories

    return build_histories({"touchpoints": pq.read_table(path, use_threads=False)})


def measure(path: Path, events: int, rounds: int, with_peers: bool) -> list[dict[str, Any]]:
    """Return the rows of one size of log."""
    plan = plan_of_features()
    history = load(path)

    def build(n_dates: int) -> Callable[[], None]:
        def run() -> None:
            for _ in plan.iterate(history, DATES[:n_dates]):
                pass

        return run

    cases: dict[str, Callable[[], Any]] = {
        "DuckDB, scan and one group-by": lambda: peers.duckdb_group_by(path),
        "(a) read, encode, sort": lambda: load(path),
        "(b) build, 1 date": build(1),
        "(c) build, 12 dates": build(12),
        "(d) build, 52 dates": build(52),
    }
    if with_peers:
        twelve = [int(d) for d in DATES[:12]]
        pandas_log, polars_log = peers.pandas_frame(path), peers.polars_frame(path)
        n = history.n_customers
        cases["pandas, 12 dates"] = lambda: [peers.pandas_snapshot(pandas_log, d) for d in twelve]
        cases["Polars, 12 dates"] = lambda: [peers.polars_snapshot(polars_log, d, n) for d in twelve]
        check_equal(plan, history, cases, twelve)
    seconds = interleaved(cases, rounds)
    bytes_each = (history.touchpoints.nbytes + history.customer_ids.nbytes) / events
    return report(events, seconds) + [row("resident bytes per event", events, bytes_each, "B", bar=24.0)]


def report(events: int, seconds: dict[str, float]) -> list[dict[str, Any]]:
    """Return the times, and what the bars are about: their ratios."""
    scan, read, one, twelve, many = list(seconds.values())[:5]
    rows = [row(name, events, value, "s") for name, value in seconds.items()]
    rows.append(row("(b) / DuckDB", events, one / scan, "x", bar=1.5))
    rows.append(row("((a) + (b)) / DuckDB", events, (read + one) / scan, "x", bar=1.5))
    rows.append(row("(c) / (b)", events, twelve / one, "x", bar=2.0))
    rows.append(row("(d) / (b)", events, many / one, "x", bar=4.0))
    for name in ("pandas", "Polars"):
        if f"{name}, 12 dates" in seconds:
            peer = seconds[f"{name}, 12 dates"]
            rows.append(row(f"{name} / (c)", events, peer / twelve, "x", bar=20.0, at_least=True))
    return rows


def check_equal(plan: Any, history: Any, cases: dict[str, Callable[[], Any]], dates: list[int]) -> None:
    """Stop unless the peers have the engine's numbers."""
    ours = plan.run(history, np.array(dates))
    for name in ("pandas, 12 dates", "Polars, 12 dates"):
        theirs = np.stack(cases[name](), axis=1)
        np.testing.assert_allclose(theirs, ours, rtol=2e-5, atol=1e-4, err_msg=name)


def interleaved(cases: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median process CPU of each case, all of them run in every round."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            gc.collect()
            start = time.process_time()
            case()
            found[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in found.items()}


def one_customer(repeats: int = 3000) -> list[dict[str, Any]]:
    """Return the µs of one customer with 500 events: the whole call, and the kernels in it."""
    from features import engine
    from features.histories import build_histories

    history = build_histories({"touchpoints": log_table(500, 5)}, compact=False)
    plan, date = plan_of_features(), np.array([END])
    for _ in range(20):
        plan.run(history, date)
    inside: list[int] = []

    def timed(kernel: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> None:
            start = time.perf_counter_ns()
            kernel(*arguments)
            inside.append(time.perf_counter_ns() - start)

        return run

    whole = [_nanoseconds(lambda: plan.run(history, date)) for _ in range(repeats)]
    kernels = engine.walk, engine.evaluate
    engine.walk, engine.evaluate = (timed(k) for k in kernels)
    for _ in range(repeats):
        plan.run(history, date)
    engine.walk, engine.evaluate = kernels
    pairs = np.array(inside).reshape(repeats, -1).sum(axis=1)
    return [
        row("one customer, walk and arithmetic", 500, float(np.median(pairs)) / 1000, "µs", bar=50.0),
        row("one customer, Plan.run", 500, statistics.median(whole) / 1000, "µs"),
    ]


def _nanoseconds(call: Callable[[], Any]) -> int:
    start = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - start


def compile_time(rounds: int) -> dict[str, Any]:
    """Return the CPU seconds that all kernels need to compile, in a new process without a cache."""
    times = []
    for _ in range(min(rounds, 3)):
        with tempfile.TemporaryDirectory() as cache:
            env = {**os.environ, "NUMBA_CACHE_DIR": cache}
            done = subprocess.run(
                [sys.executable, "-c", COMPILE], env=env, capture_output=True, text=True, check=True
            )
            times.append(float(done.stdout))
    return row("compiling all kernels", 0, statistics.median(times), "s", bar=10.0)


def row(
    name: str, events: int, value: float, unit: str, *, bar: float | None = None, at_least: bool = False
) -> dict[str, Any]:
    """Return a line of the report."""
    holds = None if bar is None else (value >= bar if at_least else value <= bar)
    return {
        **{"what": name, "events": events, "value": round(value, 4), "unit": unit},
        **{"bar": bar, "at_least": at_least, "holds": holds},
    }


def telling(*, as_json: bool) -> tuple[list[dict[str, Any]], Callable[[list[dict[str, Any]]], None]]:
    """Return the lines told so far, and what tells more of them: printed as they come, unless as JSON.

    One thread for Arrow and Polars from here on.
    """
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    pa.set_cpu_count(1)
    rows: list[dict[str, Any]] = []

    def tell(found: list[dict[str, Any]]) -> None:
        rows.extend(found)
        if not as_json:
            print("\n".join(line(r) for r in found), flush=True)

    return rows, tell


def line(r: dict[str, Any]) -> str:
    """Return a line of the report as text."""
    bar = "" if r["bar"] is None else f"{'>=' if r['at_least'] else '<='} {r['bar']:g} {r['unit']}"
    holds = {None: "", True: "holds", False: "MISSED"}[r["holds"]]
    events = f"{r['events']:,}" if r["events"] else ""
    return f"{events:>12}  {r['what']:<36} {r['value']:>10.3f} {r['unit']:<3} {bar:<10} {holds}".rstrip()


if __name__ == "__main__":
    main()
