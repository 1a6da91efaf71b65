"""What a Spark task does with Arrow batches: plain functions of the engine's own parts, without Spark.

Rows travel as `FRAME`: the bucket of their customers (`features.buckets`), the table that they are of, and an
Arrow stream. A few large pieces are shuffled instead of many rows of seventy columns, most of them empty, and
a task has all tables of its customers at once, which no cogroup of two tables gives.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.buckets import buckets_of
from features.conform import conform
from features.contract import CONTRACT, TableContract
from features.declared import Problem
from features.duplicates import tell_duplicates
from features.files import load_files
from features.histories import Histories, build_histories
from features.ingested import NAMED, Store, read_manifest
from features.quarantine import SCHEMA as QUARANTINE
from features.quarantine import Quarantine, rows_as_json
from features.queries import ROW
from features.sampling import drawn
from features.scratch import scratch
from features.settings import FileSource

FRAME = pa.schema([("bucket", pa.int32()), ("what", pa.string()), ("payload", pa.binary())])
FACTS, ASIDE = "facts", "aside"
"""What a payload is beside a table's rows: what is told of some (JSON), and rows of the quarantine."""
NOWHERE = -1
"""The bucket of what belongs to no customer."""
HELD_ROWS = 1_000_000
"""Rows that a task holds before it sorts them into buckets: the more, the larger the pieces."""
PIECE_ROWS = 1_000_000

Batches = Iterator[pa.RecordBatch]
Work = Callable[[Iterator[Histories]], Batches]
"""What is done with the histories of each group of customers."""


def canonical(contract: TableContract, names: Iterable[str]) -> list[str]:
    """Return the contract's spelling of the names of columns."""
    return [name.lower() if name.lower() in contract.by_name else name for name in names]


def check_rows(
    batches: Batches, *, table: str, timezone: str, until_us: int, buckets: int, share: float
) -> Batches:
    """Check the rows that a query gives, and yield those that keep the contract by bucket.

    Args:
        batches: the rows.
        table: the table that they become.
        timezone: the project's, for times that name none.
        until_us: the moment of the extraction, µs UTC.
        buckets: how many there are.
        share: of the customers that are wanted (`features.sampling`).
    """
    one_thread()
    contract, zone = CONTRACT[table], ZoneInfo(timezone)
    held: list[pa.Table] = []
    for batch in batches:
        held.append(pa.table(batch))
        if sum(map(len, held)) >= HELD_ROWS:
            yield from _checked(held, contract, zone, until_us, buckets, share)
            held = []
    if held:
        yield from _checked(held, contract, zone, until_us, buckets, share)


def _checked(
    held: list[pa.Table], contract: TableContract, zone: ZoneInfo, until: int, buckets: int, share: float
) -> Batches:
    rows = pa.concat_tables(held).combine_chunks()
    rows = rows.rename_columns(canonical(contract, rows.column_names))
    if share < 1.0 and len(rows):
        ids = rows["customer_id"]
        if not pa.types.is_null(ids.type):
            # who has no id belongs to no sample; whole numbers are the text that the contract makes of them
            names = ids.cast(pa.string()).fill_null("")
            rows = rows.filter(pa.array(drawn(names, share)))
    found, problems = conform(rows, contract, zone=zone, until=until)
    bad, reasons, aside = set_aside(rows, contract.name, problems)
    yield frame(NOWHERE, FACTS, json_bytes({**_told(contract.name, found, ~bad), "rows": len(rows)}))
    if bad.any():
        yield frame(NOWHERE, FACTS, json_bytes({"table": contract.name, "reasons": reasons}))
        yield frame(NOWHERE, ASIDE, pack(aside))
        found = found.filter(pa.array(~bad))
    if not len(found):
        return
    bucket = buckets_of(found["customer_id"], buckets)
    order = np.argsort(bucket, kind="stable")
    found = found.take(pa.array(order)).combine_chunks()
    ends = np.searchsorted(bucket[order], np.arange(buckets + 1))
    for b in np.flatnonzero(np.diff(ends)).tolist():
        yield frame(b, contract.name, pack(found.slice(int(ends[b]), int(ends[b + 1] - ends[b]))))


def set_aside(
    rows: pa.Table, table: str, problems: Iterable[Problem]
) -> tuple[Any, dict[str, int], pa.Table]:
    """Return which rows have problems, how many for which reason, and these rows of the quarantine."""
    quarantine = Quarantine()
    bad = np.zeros(len(rows), np.bool_)
    for problem in problems:
        new = problem.rows & ~bad
        bad |= new
        if new.any():
            quarantine.add(
                int(new.sum()),
                source=table,
                column=problem.column,
                reason=problem.reason,
                content=rows_as_json(rows.filter(pa.array(new))),
            )
    return bad, quarantine.reasons(table), quarantine.table()


def _told(table: str, rows: pa.Table, good: Any) -> dict[str, Any]:
    """Return what is said of rows that keep the contract: their span, newest moment and names."""
    told: dict[str, Any] = {"table": table}
    if not good.any():
        return told
    rows = rows.filter(pa.array(good))
    if table == "touchpoints":
        ends = pc.min_max(rows["occurred_at"].cast(pa.int64())).as_py()
        told["span"] = [ends["min"], ends["max"]]
    if table in NAMED:
        told["names"] = sorted(pc.unique(rows[NAMED[table]]).to_pylist())
    return told


def settle(batches: Batches, *, schemas: Mapping[str, bytes]) -> Batches:
    """Yield the same by bucket with each row once, and what became of the others."""
    one_thread()
    for bucket, what, payloads in _by_bucket(batches):
        if bucket == NOWHERE:
            for payload in payloads:
                yield frame(bucket, what, payload)
            continue
        rows = joined(payloads, read_schema(schemas[what]))
        told = tell_duplicates(rows, CONTRACT[what])
        kept = int(told.kept.sum())
        bad, reasons, aside = set_aside(rows, what, told.aside)
        facts = {"table": what, "kept": kept, "duplicates": len(rows) - kept - int(bad.sum())}
        yield frame(NOWHERE, FACTS, json_bytes({**facts, "reasons": reasons}))
        if bad.any():
            yield frame(NOWHERE, ASIDE, pack(aside))
        if kept < len(rows):
            rows = rows.filter(pa.array(told.kept)).combine_chunks()
        for low in range(0, len(rows), PIECE_ROWS):
            yield frame(bucket, what, pack(rows.slice(low, PIECE_ROWS)))


def from_frame(batches: Batches, *, schemas: Mapping[str, bytes]) -> Iterator[dict[str, pa.Table]]:
    """Yield the tables of each bucket, all of them, those without rows too."""
    kinds = {table: read_schema(schema) for table, schema in schemas.items()}
    current, parts = NOWHERE, dict[str, list[Any]]()
    for bucket, what, payloads in _by_bucket(batches):
        if bucket == NOWHERE:
            continue
        if bucket != current and parts:
            yield {t: joined(parts.get(t, []), kind) for t, kind in kinds.items()}
            parts = {}
        current = bucket
        parts[what] = payloads
    if parts:
        yield {t: joined(parts.get(t, []), kind) for t, kind in kinds.items()}


def from_store(batches: Batches, *, store: str, share: float) -> Iterator[dict[str, pa.Table]]:
    """Yield the tables of each bucket of an ingested workspace that all workers can read."""
    manifest = read_manifest(Path(store))
    if manifest is None:
        raise FileNotFoundError(f"{store}: this worker does not see the ingested workspace.")
    opened = Store(Path(store), manifest)
    for batch in batches:
        for bucket in batch.column(0).to_pylist():
            tables = opened.tables([bucket]).tables
            if share < 1.0:
                tables = {n: t.filter(pa.array(drawn(t["customer_id"], share))) for n, t in tables.items()}
            yield tables


def on_histories(batches: Batches, *, tables: Callable[..., Any], work: Work) -> Batches:
    """Yield what some work makes of the histories of each bucket."""
    one_thread()
    yield from work(replace(build_histories(t), partial=True) for t in tables(batches))


def packed_tables(batches: Batches, *, tables: Callable[..., Any]) -> Batches:
    """Yield the tables of each bucket as payloads."""
    one_thread()
    for found in tables(batches):
        for table, rows in found.items():
            if len(rows):
                yield frame(NOWHERE, table, pack(rows.combine_chunks()))


def read_files(
    batches: Batches, *, name: str, source: str, folder: str, folders: tuple[str, ...], timezone: str
) -> Batches:
    """Read each file of a `[files.NAME]` as the embedded run does; yield its rows, and the others' fate."""
    one_thread()
    declared = FileSource.model_validate_json(source)
    for batch in batches:
        for path in batch.column("path").to_pylist():
            aside = Quarantine()
            loaded = load_files(
                name,
                declared,
                number=0,
                folder=Path(folder),
                folders=[Path(f) for f in folders],
                zone=ZoneInfo(timezone),
                quarantine=aside,
                patterns=[path],
                partly=True,
            )
            assert isinstance(loaded.relation, pa.Table)
            rows = loaded.relation.drop_columns([ROW]).combine_chunks()
            told = {
                "path": path,
                "schema": rows.schema.serialize().to_pybytes().hex(),
                "rows": loaded.intake.rows,
                "quarantined": loaded.intake.quarantined,
                "reasons": dict(loaded.intake.reasons),
            }
            yield frame(NOWHERE, FACTS, json_bytes(told))
            if loaded.intake.quarantined:
                yield frame(NOWHERE, ASIDE, pack(aside.table()))
            for low in range(0, len(rows), PIECE_ROWS):
                yield frame(NOWHERE, name, pack(rows.slice(low, PIECE_ROWS)))


def unpack_rows(batches: Batches, *, schema: bytes) -> Batches:
    """Yield the rows of payloads, with all the columns of a schema."""
    wanted = read_schema(schema)
    for _, _, payloads in _by_bucket(batches):
        for payload in payloads:
            yield from joined([payload], wanted).to_batches(max_chunksize=1 << 16)


def quarantined(payloads: Iterable[bytes]) -> pa.Table:
    """Return the rows of the quarantine in some payloads."""
    return pa.concat_tables([QUARANTINE.empty_table(), *(unpack(p) for p in payloads)])


def one_thread() -> None:
    """Have this worker use one thread: Spark runs one for each core."""
    if _SET.get("process") == os.getpid():
        return
    pa.set_cpu_count(1)
    with scratch() as connection:
        connection.execute("set threads = 1")
    _SET["process"] = os.getpid()


_SET: dict[str, int] = {}


def frame(bucket: int, what: str, payload: bytes | pa.Buffer) -> pa.RecordBatch:
    """Return one row of a `FRAME`."""
    return pa.RecordBatch.from_arrays(
        [pa.array([bucket], pa.int32()), pa.array([what]), pa.array([bytes(payload)], pa.binary())],
        schema=FRAME,
    )


def json_bytes(facts: Mapping[str, Any]) -> bytes:
    """Return facts as JSON."""
    return json.dumps(facts, ensure_ascii=False).encode()


def pack(rows: pa.Table) -> bytes:
    """Return rows as a compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def unpack(payload: bytes | pa.Buffer) -> pa.Table:
    """Return the rows of an Arrow stream."""
    with pa.ipc.open_stream(payload) as reader:
        return reader.read_all()


def read_schema(schema: bytes) -> pa.Schema:
    """Return the schema that its own `serialize` wrote."""
    return pa.ipc.read_schema(pa.py_buffer(schema))


def total(facts: Iterable[Mapping[str, Any]], name: str) -> int:
    """Return the sum of one number over facts."""
    return sum(int(f.get(name, 0)) for f in facts)


def reasons_of(facts: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Return the reasons of facts, counted together."""
    found: Counter[str] = Counter()
    for fact in facts:
        found.update(fact.get("reasons", {}))
    return found


def _by_bucket(batches: Batches) -> Iterator[tuple[int, str, list[pa.Buffer]]]:
    """Yield what follows each other of one bucket and table, with its payloads."""
    at: tuple[int, str] | None = None
    payloads: list[pa.Buffer] = []
    for batch in batches:
        buckets, whats = (batch.column(i).to_pylist() for i in range(2))
        for i, key in enumerate(zip(buckets, whats, strict=True)):
            if key != at and at is not None and payloads:
                yield (*at, payloads)
                payloads = []
            at = key
            payloads.append(batch.column(2)[i].as_buffer())
    if at is not None and payloads:
        yield (*at, payloads)


def joined(payloads: Iterable[Any], schema: pa.Schema) -> pa.Table:
    """Return the rows of payloads as one table with the columns of a schema, null where it has none."""
    parts = [schema.empty_table()]
    for payload in payloads:
        rows = unpack(payload)
        missing = [at for at in schema if at.name not in rows.column_names]
        for at in missing:
            rows = rows.append_column(at, pa.nulls(len(rows), at.type))
        parts.append(rows.select(schema.names).cast(schema))
    return pa.concat_tables(parts).combine_chunks()
