"""What a customer costs on Spark, beside the embedded run: `python -m tests.benchmarks.spark WORKSPACE`.

A workspace with a champion is scored by both engines; `--copies` makes the company larger, every customer and
row that often under other ids. CPU is of the whole tree of processes (Java, the workers, this one), by phase,
so it may be divided by any number of cores; the lists are compared byte by byte.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.sources import load_tables
from features.spark import opened_company, spark_session
from serving.batch import rank
from serving.list_files import write_list
from serving.nightly import InMemory, scored
from serving.rows import SCHEMA
from serving.spark_batch import SparkNight
from serving.workspace import open_night
from training.config import Config, load_config
from training.registry import champion_bundle


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--buckets", type=int)
    parser.add_argument("--spark-only", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    config = load_config(options.workspace / "corredor.toml")
    bundle = champion_bundle(config, "champion")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        larger, rows = enlarged(config, folder, options.copies)
        phases = Phases()
        lists = []
        with spark_session(options.master, log=folder / "spark.log") as session:
            phases.end("open a session")
            with opened_company(session, larger, folder, buckets=options.buckets) as company:
                phases.end("read, check, cut into buckets")
                night = SparkNight(company, larger)
                found = night.score(bundle, day := night.as_of(None), folder / "scores")
                phases.end("features, scores, reasons")
                lists.append(written(found, bundle, larger, day, folder / "spark.csv"))
                phases.end("rank, tell, write")
        scores = sum(path.stat().st_size for path in (folder / "scores").glob("*.parquet"))
        if not options.spark_only:
            phases = Phases(phases.found)
            embedded = open_night(folder / "corredor.toml")
            phases.end("embedded: read, check, sort")
            with scored(bundle, embedded.parts, larger, day) as found:
                phases.end("embedded: features, scores, reasons")
                lists.append(written(found, bundle, larger, day, folder / "embedded.csv"))
            phases.end("embedded: rank, tell, write")
            assert isinstance(embedded.parts, InMemory)
            assert lists[0].read_bytes() == lists[1].read_bytes(), "the lists differ"
    n = len(found)
    facts = {
        "customers": n,
        "touchpoints": rows,
        "features": len(bundle.fitted.names),
        "bytes_of_a_row_in_memory": round(found.nbytes / n),
        "bytes_of_a_row_on_disk": round(scores / n),
        "columns": len(SCHEMA),
        "phases": phases.found,
    }
    if options.json:
        print(json.dumps(facts, indent=1))
        return
    print(f"{n:,} customers, {rows:,} touchpoints, {facts['features']} features")
    for phase, (cpu, wall) in phases.found.items():
        print(f"  {phase:36} {cpu:8.1f} s CPU {wall:8.1f} s  {1e6 * cpu / n:10,.0f} µs a customer")
    print(f"  a row: {facts['bytes_of_a_row_in_memory']} bytes in memory, {scores / n:.0f} on the disk")


def enlarged(config: Config, folder: Path, copies: int) -> tuple[Config, int]:
    """Write the tables of a workspace so often, with other ids, as Parquet in the contract's own columns."""
    tables = load_tables(config, config.folder).tables
    for name, table in tables.items():
        place = table.schema.get_field_index("customer_id")
        with pq.ParquetWriter(folder / f"{name}.parquet", table.schema) as writer:
            for copy in range(copies):
                ids = pc.binary_join_element_wise(table["customer_id"], pa.scalar(str(copy)), "/")
                writer.write_table(table.set_column(place, table.schema.field(place), ids))
    changed = {
        "sources": {name: f"select * from the_{name}" for name in tables},
        "files": {f"the_{name}": {"path": f"{name}.parquet"} for name in tables},
        "databases": {},
        "folder": folder,
    }
    larger = Config.model_validate({**config.model_dump(), **changed})
    write_config(larger, folder / "corredor.toml")
    return larger, copies * len(tables["touchpoints"])


def write_config(config: Config, path: Path) -> None:
    """Write a configuration as TOML: each key with its value as JSON, which TOML reads alike."""
    lines = []

    def tell(prefix: str, section: dict[str, Any]) -> None:
        plain = {k: v for k, v in section.items() if not isinstance(v, dict) and v is not None}
        if prefix:
            lines.append(f"[{prefix}]")
        lines.extend(f"{json.dumps(k)} = {json.dumps(v, ensure_ascii=False)}" for k, v in plain.items())
        for key, value in section.items():
            if isinstance(value, dict):
                tell(".".join(filter(None, (prefix, json.dumps(key)))), value)

    tell("", config.model_dump(mode="json"))
    path.write_text("\n".join(lines), encoding="utf-8")


def written(rows: pa.Table, bundle: Any, config: Config, day: int, path: Path) -> Path:
    """Rank everyone and write the list."""
    return write_list(rank(rows, bundle, config, day, everyone=True), path)


class Phases:
    """CPU and wall seconds of one phase after the other."""

    def __init__(self, found: dict[str, tuple[float, float]] | None = None) -> None:
        self.found = {} if found is None else found
        self.cpu, self.wall = cpu_of_all(), time.monotonic()

    def end(self, phase: str) -> None:
        """Note what was spent since the phase before."""
        cpu, wall = cpu_of_all(), time.monotonic()
        self.found[phase] = (cpu - self.cpu, wall - self.wall)
        self.cpu, self.wall = cpu, wall


def cpu_of_all() -> float:
    """Return the CPU seconds of this process and all that it started and that still run."""
    me = psutil.Process(os.getpid())
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


if __name__ == "__main__":
    main()
