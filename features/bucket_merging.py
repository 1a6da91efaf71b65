"""Small ingests become larger ones, so that a bucket is in few pieces however often something came in.

Ingests that stand next to each other become one, as the runs of a log-structured merge tree do: when there
are eight of which none is more than twice as large as all those after it together. An ingest is then merged
only into one that is at least half as large again, so a row is written anew a number of times that grows with
the logarithm of all rows, and so does the number of ingests that are left. One that was itself written in so
many stretches is sorted before it is there.

Source: O'Neil, Cheng, Gawlick and O'Neil 1996, The log-structured merge-tree, Acta Informatica 33.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.bucket_duplicates import without_repeats
from features.bucket_rows import bucket_path, rows_writer
from features.contract import CONTRACT
from features.durable import sync, sync_folder
from features.ingested import QUARANTINE, Ingest, Manifest, Store, TableFacts
from features.quarantine import SCHEMA as QUARANTINE_SCHEMA
from features.streams import order_by_time

MERGED = 8
"""As many ingests, or stretches of one, become one."""

Tell = Callable[[float, str], None]


def due(rows: Sequence[int]) -> slice | None:
    """Return which ingests, next to each other, are to become one; None when there are few enough.

    Args:
        rows: of each ingest, the oldest first.

    >>> due([1000, 10, 10, 10, 10, 10, 10, 10]), due([1000, 10, 10, 10, 10, 10, 10, 10, 10])
    (None, slice(1, 9, None))
    """
    for last in reversed(range(len(rows))):
        first, together = last, max(rows[last], 1)
        while first and rows[first - 1] <= 2 * together:
            first -= 1
            together += rows[first]
        if last - first + 1 >= MERGED:
            return slice(first, last + 1)
    return None


def merge_small(store: Path, manifest: Manifest, tell: Tell | None = None) -> Manifest:
    """Have small ingests become one until none are due; return what is in the store then.

    Each time, a new folder is whole on the disk before the manifest names it instead of the others, which
    stay where they are, since somebody may be reading them.
    """
    while (some := due([ingest.rows for ingest in manifest.ingests])) is not None:
        ingests = manifest.ingests
        merged = ingests[some]
        if tell is not None:
            tell(1.0, f"{len(merged)} small ingests become one")
        one = merge(Store(store, manifest), merged, next_folder(store))
        sync(store / "ingests")
        manifest = replace(manifest, ingests=(*ingests[: some.start], one, *ingests[some.stop :]))
        manifest.write(store)
    return manifest


def in_few_stretches(store: Store, ingest: Ingest) -> Ingest:
    """Return an ingest that no manifest names yet; a large one sorted as a whole, in another folder."""
    if max((facts.stretches for facts in ingest.tables.values()), default=0) < MERGED:
        return ingest
    return merge(store, [ingest], next_folder(store.folder))


def next_folder(store: Path) -> str:
    """Return the folder of the next ingest, relative to the store: its number is none that there was."""
    number = 1 + max((int(path.name) for path in (store / "ingests").glob("[0-9]*")), default=0)
    return f"ingests/{number:06d}"


def merge(store: Store, ingests: Sequence[Ingest], folder: str) -> Ingest:
    """Write what some ingests hold into a folder as one that holds the same, each row once, and return it."""
    tables = {}
    for name in CONTRACT:
        of = [ingest for ingest in ingests if name in ingest.tables]
        if of:
            (store.folder / folder / name).mkdir(parents=True)
            tables[name] = _merge_table(store, of, folder, name)
            _merge_quarantines(store, of, folder, name)
    (store.folder / folder).mkdir(parents=True, exist_ok=True)
    sync_folder(store.folder / folder)
    return Ingest(folder, tuple(file for ingest in ingests for file in ingest.files), tables)


def _merge_table(store: Store, ingests: Sequence[Ingest], folder: str, name: str) -> TableFacts:
    of = [ingest.tables[name] for ingest in ingests]
    columns = {column: kind for facts in of for column, kind in facts.columns.items()}
    held, copies = {}, 0
    for bucket in sorted({int(bucket) for facts in of for bucket in facts.buckets}):
        came = store.rows_of(name, [bucket], ingests, coded=name == "touchpoints")
        rows = in_order(without_repeats(came.select(list(columns)), CONTRACT[name]))
        held[str(bucket)] = len(rows)
        copies += len(came) - len(rows)
        with rows_writer(store.folder / bucket_path(folder, name, bucket), rows.schema) as writer:
            writer.write_table(rows)
    spans = [facts.occurred for facts in of if facts.occurred]
    return TableFacts(
        columns=columns,
        buckets=held,
        pieces=1,
        stretches=1,
        aside=sum(facts.aside for facts in of),
        copies=copies + sum(facts.copies for facts in of),
        last=max((facts.last for facts in of if facts.last is not None), default=None),
        occurred=(min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None,
        names=sorted({known for facts in of for known in facts.names}),
        inputs=of[-1].inputs,
    )


def _merge_quarantines(store: Store, ingests: Sequence[Ingest], folder: str, name: str) -> None:
    """Write the rows that were put aside on the way to a table as one file, a part at a time."""
    paths = [store.folder / ingest.folder / name / QUARANTINE for ingest in ingests]
    if not any(path.is_file() for path in paths):
        return
    to = store.folder / folder / name / QUARANTINE
    to.touch(mode=0o600)
    with pq.ParquetWriter(to, QUARANTINE_SCHEMA, compression="zstd") as writer:
        for path in filter(Path.is_file, paths):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))


def in_order(rows: pa.Table) -> pa.Table:
    """Return rows by customer id and, where they are touchpoints, moment; else as they came."""
    ids = rows["customer_id"].combine_chunks()
    ids = ids if pa.types.is_dictionary(ids.type) else ids.dictionary_encode()
    by_id = pc.array_sort_indices(ids.dictionary).to_numpy()
    rank = np.empty(len(by_id), np.int64)
    rank[by_id] = np.arange(len(by_id))
    customer = rank[ids.indices.to_numpy(zero_copy_only=False)]
    if "occurred_at" in rows.column_names:
        order, _ = order_by_time(customer, rows["occurred_at"].cast(pa.int64()).to_numpy(), len(by_id))
    else:
        order = np.argsort(customer, kind="stable")
    return rows.take(pa.array(order))
