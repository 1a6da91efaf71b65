"""The files of one ingest: rows sorted into the buckets of their customers as they come."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.bucket_duplicates import only_names_of_rows
from features.bucket_rows import CODED, bucket_path, rows_writer
from features.buckets import buckets_of
from features.contract import CONTRACT, newest_moment
from features.durable import sync_folder
from features.ingested import NAMED, QUARANTINE, TableFacts
from features.quarantine import SCHEMA as QUARANTINE_SCHEMA
from features.quarantine import Quarantine
from features.queries import Query
from features.settings import DataSettings
from features.sources import Answer, Opened
from features.streams import group_by_customer

HELD_BYTES = 128 << 20
"""Bytes of rows that are held before they are written: the more, the larger the pieces of a bucket."""


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
        self._aside: pq.ParquetWriter | None = None
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
            with suppress(Exception):
                self._close_writers()
            shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self, table: str, inputs: str = "") -> None:
        """Begin with a table; `inputs` tell the files of one that is told as a whole."""
        self._close_table()
        self._table, self._schema, self._piece = table, None, -1
        (self.folder / table).mkdir()
        self._tally = {
            "columns": {},
            "buckets": defaultdict(int),
            "stretches": 0,
            "aside": 0,
            "copies": 0,
            "last": None,
            "occurred": None,
            "names": set(),
            "inputs": inputs,
        }

    def quarantine(self) -> Quarantine:
        """Return a quarantine whose rows are written beside those of the table."""
        return Quarantine(self._put_aside)

    def take(self, opened: Opened, query: Query, settings: DataSettings, until: int) -> int:
        """Take the rows that a query gives of opened sources; return how many of the table came so far."""
        answer = Answer(CONTRACT[self._table], query, opened.files, opened.quarantine)
        for rows, _ in answer.checked(opened.session, settings.project.zone, until):
            if self._schema is None or rows.schema != self._schema:
                self._flush()
                self._close_writers()
                self._schema, self._piece = rows.schema, self._piece + 1
                self._tally["columns"] |= {f.name: str(f.type) for f in rows.schema}
            self._note(rows)
            self._held.append(rows)
            if sum(part.nbytes for part in self._held) >= HELD_BYTES:
                self._flush()
        lost = [opened.files[f].intake for f in query.relations if f in opened.files]
        self._tally["aside"] += answer.aside + sum(i.quarantined for i in lost)
        self._tally["copies"] += sum(i.duplicates for i in lost)
        opened.quarantine.hand_on()
        return int(sum(self._tally["buckets"].values())) + sum(map(len, self._held))

    def end(self) -> None:
        """Write what is held, and have the disk hold all of it."""
        self._close_table()
        sync_folder(self.folder)

    def _note(self, rows: pa.Table) -> None:
        """Keep what is said of a table's rows together."""
        tally = self._tally
        if not len(rows):
            return
        newest = newest_moment({self._table: rows})
        tally["last"] = max((m for m in (tally["last"], newest) if m is not None), default=None)
        if self._table == "touchpoints":
            found = pc.min_max(rows["occurred_at"].cast(pa.int64())).as_py()
            low, high = tally["occurred"] or (found["min"], found["max"])
            tally["occurred"] = (min(low, found["min"]), max(high, found["max"]))
        if self._table in NAMED:
            tally["names"].update(pc.unique(rows[NAMED[self._table]]).to_pylist())

    def _put_aside(self, rows: pa.Table) -> None:
        """Write rows of the quarantine, for the owner's eyes only."""
        if self._aside is None:
            path = self.folder / self._table / QUARANTINE
            path.touch(mode=0o600)
            self._aside = pq.ParquetWriter(path, QUARANTINE_SCHEMA, compression="zstd")
        self._aside.write_table(rows)

    def _flush(self) -> None:
        """Write the rows that are held, each to its bucket's file, a customer's rows together."""
        if not self._held:
            return
        rows = pa.concat_tables(self._held)
        self._held = []
        if not len(rows):
            return
        self._tally["stretches"] += 1
        for b, some in by_bucket(rows, self.buckets):
            if b not in self._writers:
                path = self.folder.parent / bucket_path(self.folder.name, self._table, b, self._piece)
                self._writers[b] = rows_writer(path, some.schema)
            self._writers[b].write_table(some)
            self._tally["buckets"][str(b)] += len(some)

    def _close_writers(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _close_table(self) -> None:
        if not self._table:
            return
        self._flush()
        self._close_writers()
        if self._aside is not None:
            self._aside.close()
            self._aside = None
        tally = self._tally | {
            "buckets": dict(self._tally["buckets"]),
            "names": sorted(self._tally["names"]),
        }
        self.facts[self._table] = TableFacts(pieces=self._piece + 1, **tally)
        self._table = ""


def by_bucket(rows: pa.Table, buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of each bucket that has any, a customer's together and else in their order.

    Texts that many rows share are Arrow dictionaries in them, which hold just the names that rows have.
    """
    for i, at in enumerate(rows.schema):
        if at.name in CODED and pa.types.is_string(at.type):
            rows = rows.set_column(i, at.name, rows[at.name].dictionary_encode())
    rows = rows.combine_chunks()
    ids = rows["customer_id"].combine_chunks()
    bucket_of_id = buckets_of(ids.dictionary, buckets)
    by_place = np.argsort(bucket_of_id, kind="stable")
    place = np.empty(len(by_place), np.int64)
    place[by_place] = np.arange(len(by_place))
    customer = place[ids.indices.to_numpy(zero_copy_only=False)]
    order, offsets, _ = group_by_customer(customer, customer, np.arange(len(rows)), len(by_place))
    rows, names = rows.take(pa.array(order)), ids.dictionary.take(pa.array(by_place))
    customer = customer[order].astype(np.int32)
    ends = np.searchsorted(bucket_of_id[by_place], np.arange(buckets + 1))
    for b in np.flatnonzero(np.diff(ends)).tolist():
        first, last = int(offsets[ends[b]]), int(offsets[ends[b + 1]])
        some = only_names_of_rows(rows.slice(first, last - first))
        codes = pa.array(customer[first:last] - np.int32(ends[b]))
        own = pa.DictionaryArray.from_arrays(codes, names[int(ends[b]) : int(ends[b + 1])])
        yield b, some.set_column(some.column_names.index("customer_id"), "customer_id", own)
