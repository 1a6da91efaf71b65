"""The nightly run: part by part, each kept on the disk until the list is whole, so that a killed run goes on.

A part is some customers: a bucket of an ingested workspace, or a stretch of one in memory. Its rows are
written durably beside the list under a name that tells model, day, data and code apart; a later run of the
same takes the parts that are there, and ends with the very same bytes. Parts of anything else are removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from features.clock import local_date
from features.digest import digest_of
from features.durable import write_atomically
from features.errors import CorredorError
from features.histories import Histories
from features.ingested import Store
from features.ingesting import MOST_BUCKETS
from serving.memory import rows_that_fit, said
from serving.rows import SCHEMA, ScoredChunk, score_chunks
from training.bundle import Bundle, installed_versions
from training.config import Config
from training.scoring import CHUNK

Tell = Callable[[float, str], None]
"""`tell(done, note)`: the share of the work that is done, 0 to 1, and how it goes in words."""
PART = 16 * CHUNK
"""Customers of a part of histories in memory."""
TOGETHER = 200_000
"""Touchpoints that buckets are read together up to: what is made of more goes through memory, not caches."""


class Parts(Protocol):
    """A company in parts: every customer is in just one of them."""

    @property
    def unit(self) -> str:
        """What `sizes` count, as a person says it."""
        ...

    @property
    def digest(self) -> str:
        """What tells these data, and how they are cut, from any others."""
        ...

    @property
    def sizes(self) -> Sequence[int]:
        """How much each part is to read and score."""
        ...

    def read(self, part: int) -> Histories:
        """Return the histories of a part."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Histories that are in memory already, in stretches of so many customers."""

    histories: Histories
    size: int = PART
    unit: str = "customers"

    @property
    def digest(self) -> str:
        """SHA-256 of all that the histories hold."""
        return f"{digest_of(self.histories)}/{self.size}"

    @property
    def sizes(self) -> Sequence[int]:
        """Customers of each part."""
        n = self.histories.n_customers
        return [min(self.size, n - low) for low in range(0, n, self.size)]

    def read(self, part: int) -> Histories:
        """Return a stretch of the customers; nothing is copied."""
        low = part * self.size
        return self.histories.between(low, min(low + self.size, self.histories.n_customers))


@dataclass(frozen=True)
class InBuckets:
    """The buckets of an ingested workspace, some at a time."""

    store: Store
    groups: Sequence[range]
    unit: str = "touchpoints"

    @classmethod
    def of(cls, store: Store, limit: int | None = None) -> InBuckets:
        """Return the buckets in groups that fit in so many bytes.

        Raises:
            CorredorError: a bucket alone does not.
        """
        room = 2**62 if limit is None else rows_that_fit(limit)
        rows = store.rows
        if max(rows) > room:
            more = len(rows)
            while max(rows) * len(rows) / more > room and more < MOST_BUCKETS:
                more *= 2
            raise CorredorError(
                f"--memory {said(limit or 0)}: the largest of the {len(rows)} buckets has {max(rows):,} "
                f"touchpoints, and {room:,} fit. Run `corredor ingest --anew --buckets {more}`."
            )
        groups, low = [], 0
        for bucket in range(len(rows) + 1):
            full = bucket == len(rows) or sum(rows[low : bucket + 1]) > min(room, TOGETHER)
            if full and bucket > low:
                groups.append(range(low, bucket))
                low = bucket
        return cls(store, groups)

    @property
    def digest(self) -> str:
        """What tells the store and its grouping from any others."""
        return f"{self.store.digest}/{list(self.groups)}"

    @property
    def sizes(self) -> Sequence[int]:
        """Touchpoints of each group."""
        rows = self.store.rows
        return [sum(rows[bucket] for bucket in group) for group in self.groups]

    def read(self, part: int) -> Histories:
        """Return the histories of a group of buckets."""
        return self.store.histories(self.groups[part])


@contextmanager
def scored(
    bundle: Bundle,
    parts: Parts,
    config: Config,
    as_of_us: int,
    *,
    out: Path | None = None,
    features_out: Path | None = None,
    chunk: int = CHUNK,
    tell: Tell | None = None,
) -> Iterator[pa.Table]:
    """Score every part; within the context are the rows of all customers (`serving.rows.SCHEMA`).

    What is done is kept beside the files that are to be written, until the context ends without an error.

    Args:
        bundle: the model.
        parts: the company.
        config: the workspace's configuration.
        as_of_us: the moment of the list, µs UTC.
        out: the list that is to be written from the rows; None: nothing is kept.
        features_out: the Parquet file to write the features to that the customers were scored by.
        chunk: customers whose features are in memory at a time.
        tell: told how far it is.

    Raises:
        CorredorError: another run is writing the same list, or the features are not to be Parquet.
    """
    if features_out is not None and features_out.suffix != ".parquet":
        raise CorredorError(f"{features_out}: features are written as Parquet. Let the name end in .parquet.")
    beside = out or features_out
    night = _Night(bundle, parts, config, as_of_us, chunk, features_out is not None, _Progress(parts, tell))
    if beside is None:
        yield pa.concat_tables([night.rows(part) for part in range(len(parts.sizes))] or [_none()])
        return
    work = beside.parent / f".{beside.name}.parts"
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(work / "lock", timeout=0))
        except Timeout:
            raise CorredorError(
                f"{beside}: another run is writing it. Wait for it to end, or give another name."
            ) from None
        kept = work / night.key()
        for stale in work.iterdir():
            if stale != kept and stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
        kept.mkdir(exist_ok=True)
        for half in kept.glob(".*"):  # of a write that was killed
            half.unlink()
        tables = [night.kept_rows(part, kept) for part in range(len(parts.sizes))] or [_none()]
        if features_out is not None:
            night.join_features(kept, features_out)
        yield pa.concat_tables(tables)
        shutil.rmtree(work, ignore_errors=True)


@dataclass
class _Night:
    """One run: what is scored, and how its parts are kept."""

    bundle: Bundle
    parts: Parts
    config: Config
    as_of_us: int
    chunk: int
    features: bool
    progress: _Progress

    def key(self) -> str:
        """Return the name of all that a part's bytes depend on."""
        facts = {
            "model": self.bundle.id,
            "as_of": self.as_of_us,
            "data": self.parts.digest,
            "config": self.config.model_dump(mode="json"),
            "versions": installed_versions(),
            "columns": str(SCHEMA),
            "features": self.features,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]

    def rows(self, part: int, features_to: Path | None = None) -> pa.Table:
        """Return the rows of a part; with its features, if asked, written to a file."""
        found = []
        with ExitStack() as stack:
            writer = None
            if features_to is not None:
                writer = stack.enter_context(
                    pq.ParquetWriter(features_to, self.features_schema(), compression="zstd")
                )
            histories, size = self.parts.read(part), self.parts.sizes[part]
            for scored_chunk in score_chunks(
                self.bundle, histories, self.config, self.as_of_us, size=self.chunk
            ):
                found.append(scored_chunk.rows)
                if writer is not None:
                    writer.write_batch(self.features_of(scored_chunk))
                self.progress.more(size * len(scored_chunk.rows) / histories.n_customers)
        return pa.Table.from_batches(found, SCHEMA)

    def kept_rows(self, part: int, folder: Path) -> pa.Table:
        """Return the rows of a part from its file in the folder, which is made first if it is not there."""
        path = folder / f"rows-{part:05d}.arrow"
        if path.exists():
            self.progress.was_there(part)
        elif self.features:
            made: list[pa.Table] = []
            write_atomically(_features_path(folder, part), lambda to: made.append(self.rows(part, to)))
            write_atomically(path, lambda to: _write_rows(made[0], to))
        else:
            write_atomically(path, lambda to: _write_rows(self.rows(part), to))
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_file(file).read_all()

    def features_schema(self) -> pa.Schema:
        """Return the columns of the file of features."""
        names = self.bundle.fitted.names
        columns = [("customer_id", pa.string()), ("as_of", pa.string()), *((n, pa.float32()) for n in names)]
        return pa.schema(columns)

    def features_of(self, chunk: ScoredChunk) -> pa.RecordBatch:
        """Return the features of some customers as they are written."""
        day = local_date(self.as_of_us, self.config.project.zone)
        columns = [pa.array(chunk.X[:, j], from_pandas=True) for j in range(chunk.X.shape[1])]
        ids = chunk.customer_ids
        return pa.RecordBatch.from_arrays(
            [ids, pa.repeat(day, len(ids)), *columns], schema=self.features_schema()
        )

    def join_features(self, folder: Path, path: Path) -> None:
        """Write the features of all parts as one file, a row group at a time."""

        def write(to: Path) -> None:
            with pq.ParquetWriter(to, self.features_schema(), compression="zstd") as writer:
                for part in range(len(self.parts.sizes)):
                    with pq.ParquetFile(_features_path(folder, part)) as file:
                        for group in range(file.num_row_groups):
                            writer.write_table(file.read_row_group(group))

        write_atomically(path, write)


class _Progress:
    """How far a run is, at what rate, and how long it still takes."""

    def __init__(self, parts: Parts, tell: Tell | None) -> None:
        self.parts, self.tell = parts, tell
        self.total = sum(parts.sizes)
        self.done = self.worked = 0.0
        self.began = time.monotonic()

    def was_there(self, part: int) -> None:
        """Count a part that an earlier run left."""
        self.done += self.parts.sizes[part]
        self.began = time.monotonic() if not self.worked else self.began
        self._say()

    def more(self, amount: float) -> None:
        """Count what was just scored."""
        self.done += amount
        self.worked += amount
        self._say()

    def _say(self) -> None:
        if self.tell is None:
            return
        told = f"{self.done:,.0f} of {self.total:,} {self.parts.unit}"
        if self.worked:
            rate = self.worked / max(time.monotonic() - self.began, 1e-6)
            left = round((self.total - self.done) / max(rate, 1e-6))
            told += f", {rate:,.0f} a second, {left // 60}:{left % 60:02d} left"
        self.tell(self.done / max(self.total, 1), told)


def _none() -> pa.Table:
    return SCHEMA.empty_table()


def _features_path(folder: Path, part: int) -> Path:
    return folder / f"features-{part:05d}.parquet"


def _write_rows(rows: pa.Table, to: Path) -> None:
    with pa.ipc.new_file(str(to), SCHEMA) as writer:
        writer.write_table(rows)
