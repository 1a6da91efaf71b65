"""The speed of the map of the corridor, beside DuckDB's scan and one group-by of the same file.

Process CPU, one thread, medians of interleaved rounds, on the log of `tests.benchmarks.features`. The map is
drawn from histories that are in memory, as features are built; reading the file is told beside it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.benchmarks import peers
from tests.benchmarks.features import END, interleaved, line, load, row, write_log


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=200, help="events of a customer, on average")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    pa.set_cpu_count(1)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for events in options.events:
            path = Path(folder) / f"log-{events}.parquet"
            write_log(path, events, max(1, events // options.each))
            rows = measure(path, events, options.rounds)
            found += rows
            if not options.json:
                print("\n".join(line(r) for r in rows), flush=True)
            path.unlink()
    if options.json:
        print(json.dumps(found, indent=1))


def measure(path: Path, events: int, rounds: int) -> list[dict[str, Any]]:
    """Return the rows of one size of log."""
    from features.corridor_map import draw_map
    from training.config import Config
    from training.corridor import read_corridor

    config = Config.model_validate(
        {
            "project": {"name": "bench"},
            "sources": {"touchpoints": ""},
            "touchpoints": {"kind-00": {"promised_minutes": 600}, "kind-03": {"deadline_days": 2}},
        }
    )
    history = load(path)
    cases: dict[str, Callable[[], Any]] = {
        "DuckDB, scan and one group-by": lambda: peers.duckdb_group_by(path),
        "read, encode, sort": lambda: load(path),
        "map": lambda: draw_map(history, config, END),
        "map, parts and repair list": lambda: read_corridor(history, config, END),
    }
    for case in list(cases.values())[2:]:
        case()  # compiled before it is timed
    seconds = interleaved(cases, rounds)
    scan, _, drawn, everything = seconds.values()
    return [
        *(row(name, events, value, "s") for name, value in seconds.items()),
        row("map / DuckDB", events, drawn / scan, "x", bar=4.0 if events >= 10_000_000 else None),
        row("map, parts and repair list / DuckDB", events, everything / scan, "x"),
    ]


if __name__ == "__main__":
    main()
