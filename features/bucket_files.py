"""The files of one ingest: rows sorted into the buckets of their customers as they come."""

from __future__ import annotations

import shutil
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.buckets import buckets_of
from features.contract import CONTRACT, newest_moment
from features.durable import sync
from features.ingested import NAMED, QUARANTINE, TableFacts
from features.quarantine import SCHEMA as QUARANTINE_SCHEMA
from features.queries import Query
from features.settings import DataSettings
from features.sources import Answer, Opened

HELD_ROWS = 2_000_000
"""Rows that are held before they are written: the more, the larger the pieces of a bucket."""


class BucketFiles:
    """Takes rows, a table at a time, and leaves a file for each bucket; after an error, none."""

    def __init__(self, folder: Path, buckets: int) -> None:
        """Prepare to write into a folder, which is made."""
        self.folder, self.buckets = folder, buckets
        self.facts: dict[str, TableFacts] = {}
        self._table = ""
        self._schema: pa.Schema | None = None
        self._piece = -1
        self._held: list[pa.Table] = []
        self._writers: dict[int, pq.ParquetWriter] = {}
        self._aside: list[pa.Table] = []
        self._tally: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Make the folder."""
        self.folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder after an error, or when nothing came."""
        if error is not None or not self.facts:
            for writer in self._writers.values():
                with suppress(Exception):
                    writer.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def take(
        self, opened: Opened, table: str, query: Query, settings: DataSettings, until: int, inputs: str
    ) -> int:
        """Take the rows that a query gives of opened sources; return how many of the table came so far."""
        if table != self._table:
            self._close_table()
            self._table, self._schema, self._piece = table, None, -1
            self._tally = {
                "columns": {},
                "buckets": defaultdict(int),
                "aside": 0,
                "copies": 0,
                "last": None,
                "occurred": None,
                "names": set(),
                "inputs": inputs,
                "rows": 0,
            }
        answer = Answer(CONTRACT[table], query, opened.files, opened.quarantine)
        for rows, _ in answer.checked(opened.session, settings.project.zone, until):
            if self._schema is None or rows.schema != self._schema:
                self._flush()
                self._close_writers()
                self._schema, self._piece = rows.schema, self._piece + 1
                self._tally["columns"] |= {f.name: str(f.type) for f in rows.schema}
            self._note(rows)
            self._held.append(rows)
            if sum(map(len, self._held)) >= HELD_ROWS:
                self._flush()
        lost = [opened.files[f].intake for f in query.relations if f in opened.files]
        self._tally["aside"] += answer.aside + sum(i.quarantined for i in lost)
        self._tally["copies"] += sum(i.duplicates for i in lost)
        self._aside.append(opened.quarantine.table())
        return int(self._tally["rows"])

    def end(self) -> None:
        """Write what is held, and have the disk hold all of it."""
        self._close_table()
        if self._aside and self.facts:
            aside = pa.concat_tables(self._aside)
            if len(aside):  # what two tables read of one file is put aside once
                aside = aside.group_by(QUARANTINE_SCHEMA.names, use_threads=False).aggregate([])
            pq.write_table(aside.select(QUARANTINE_SCHEMA.names), self.folder / QUARANTINE)
            (self.folder / QUARANTINE).chmod(0o600)
        for path in sorted(self.folder.rglob("*"), reverse=True):
            sync(path)
        if self.folder.is_dir():
            sync(self.folder)

    def _note(self, rows: pa.Table) -> None:
        """Keep what is said of a table's rows together."""
        tally = self._tally
        if not len(rows):
            return
        tally["rows"] += len(rows)
        newest = newest_moment({self._table: rows})
        tally["last"] = max((m for m in (tally["last"], newest) if m is not None), default=None)
        if self._table == "touchpoints":
            found = pc.min_max(rows["occurred_at"].cast(pa.int64())).as_py()
            low, high = tally["occurred"] or (found["min"], found["max"])
            tally["occurred"] = (min(low, found["min"]), max(high, found["max"]))
        if self._table in NAMED:
            tally["names"].update(pc.unique(rows[NAMED[self._table]]).to_pylist())

    def _flush(self) -> None:
        """Write the rows that are held, each to its bucket's file, a customer's rows together."""
        if not self._held:
            return
        rows = pa.concat_tables(self._held).combine_chunks()
        self._held = []
        if not len(rows):
            return
        ids = rows["customer_id"].combine_chunks().dictionary_encode()
        bucket_of_id = buckets_of(ids.dictionary, self.buckets)
        codes = ids.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        bucket = bucket_of_id[codes]
        order = np.argsort(bucket * len(ids.dictionary) + codes, kind="stable")
        rows, bucket = rows.take(pa.array(order)), bucket[order]
        ends = np.searchsorted(bucket, np.arange(self.buckets + 1))
        for b in np.flatnonzero(np.diff(ends)).tolist():
            if b not in self._writers:
                path = self.folder / self._table / f"{b:04d}-{self._piece}.parquet"
                path.parent.mkdir(exist_ok=True)
                self._writers[b] = pq.ParquetWriter(path, rows.schema, compression="zstd")
            self._writers[b].write_table(rows.slice(int(ends[b]), int(ends[b + 1] - ends[b])))
            self._tally["buckets"][str(b)] += int(ends[b + 1] - ends[b])

    def _close_writers(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _close_table(self) -> None:
        if not self._table:
            return
        self._flush()
        self._close_writers()
        facts = {name: value for name, value in self._tally.items() if name != "rows"}
        facts |= {"buckets": dict(facts["buckets"]), "names": sorted(facts["names"])}
        self.facts[self._table] = TableFacts(pieces=self._piece + 1, **facts)
        self._table = ""
