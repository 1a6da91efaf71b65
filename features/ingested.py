"""A workspace's sources as Parquet by bucket of customers, so that any part of the company is read alone.

`manifest.json` is the only word on what is in a store: a folder that it does not name is of an ingest that
was killed, or was replaced, and is removed by the next one. Each ingest has a folder of its own, with a file
for each bucket (`ingests/000001/touchpoints/0042-0.parquet`) and the rows that were put aside on the way to
a table. What is in a folder never changes; a table may be told anew as a whole in a later one, and small
ingests become one (`features.bucket_merging`). Duplicates count once over all ingests: all rows of a customer
are in one bucket, and are told apart when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.bucket_duplicates import only_names_of_rows, tell_in_buckets
from features.bucket_rows import bucket_path, coded_schema, read_rows
from features.contract import ARROW, CONTRACT, Intake, Tables, newest_moment
from features.durable import write_text
from features.errors import CorredorError
from features.histories import Histories, build_histories
from features.quarantine import SCHEMA as QUARANTINED
from features.quarantine import Quarantine, empty_quarantine, rows_as_json

FORMAT = 2
HASH = "fnv1a-64 folded"
MANIFEST = "manifest.json"
QUARANTINE = "quarantine.parquet"
NAMED = {"touchpoints": "kind", "relationships": "product"}
"""Tables of which the names are kept that a configuration may ask for."""
_TYPES = {str(kind): kind for kind in ARROW.values()}


@dataclass(frozen=True)
class FileFacts:
    """One file that was ingested; size and time only save reading it again to know it."""

    source: str
    path: str
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class TableFacts:
    """What an ingest holds of one table."""

    columns: Mapping[str, str]
    """Column -> Arrow type."""
    buckets: Mapping[str, int]
    """Bucket -> rows."""
    pieces: int
    """Files that a bucket may have: a new one where the columns of the sources change."""
    stretches: int
    """In how many stretches of rows it was written, each sorted by itself."""
    aside: int
    """Rows that broke the contract or were not whole in their file."""
    copies: int = 0
    """Rows that repeat another, and are not kept: of files that repeat one, and left out of a merge."""
    last: int | None = None
    """The last moment of the table's facts of the past (µs UTC)."""
    occurred: tuple[int, int] | None = None
    """Of touchpoints: the first and last moment."""
    names: Sequence[str] = ()
    """Kinds of the touchpoints, or products of the relationships."""
    inputs: str = ""
    """Of a table told as a whole: what tells the files that it was made of."""

    @property
    def rows(self) -> int:
        """Rows of all buckets."""
        return sum(self.buckets.values())


@dataclass(frozen=True)
class Ingest:
    """One ingest, or several that became one: the folder, the files read, what it holds of each table."""

    folder: str
    files: Sequence[FileFacts]
    tables: Mapping[str, TableFacts]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(facts.rows for facts in self.tables.values())


@dataclass(frozen=True)
class Manifest:
    """What is in a store."""

    buckets: int
    queries: Mapping[str, str]
    """Table -> SHA-256 of the query and of what is declared of its files."""
    ingests: Sequence[Ingest] = ()
    format: int = FORMAT
    hash: str = HASH

    def write(self, store: Path) -> None:
        """Make this the word on what is in a store."""
        write_text(store / MANIFEST, json.dumps(asdict(self), ensure_ascii=False))

    def tables(self) -> tuple[str, ...]:
        """Return the tables, in the order of the contract."""
        return tuple(t for t in CONTRACT if any(t in i.tables for i in self.ingests))

    def of(self, table: str) -> list[tuple[Ingest, TableFacts]]:
        """Return the ingests that hold rows of a table."""
        return [(i, i.tables[table]) for i in self.ingests if table in i.tables]

    def files(self) -> dict[tuple[str, str], FileFacts]:
        """Return the files that were ingested, by source and content."""
        return {(f.source, f.sha256): f for i in self.ingests for f in i.files}


def read_manifest(store: Path) -> Manifest | None:
    """Return what is in a store; None when there is none.

    Raises:
        CorredorError: it is of another format.
    """
    path = store / MANIFEST
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if (raw["format"], raw["hash"]) != (FORMAT, HASH):
            raise KeyError
        ingests = tuple(
            Ingest(
                i["folder"],
                tuple(FileFacts(**f) for f in i["files"]),
                {
                    name: TableFacts(**{**t, "occurred": t["occurred"] and tuple(t["occurred"])})
                    for name, t in i["tables"].items()
                },
            )
            for i in raw["ingests"]
        )
        return Manifest(int(raw["buckets"]), raw["queries"], ingests)
    except (KeyError, TypeError, ValueError):
        raise CorredorError(
            f"{path}: is not of this version of Corredor. Run `corredor ingest --anew`."
        ) from None


@dataclass(frozen=True)
class Store:
    """An ingested workspace."""

    folder: Path
    manifest: Manifest
    _schemas: dict[str, pa.Schema] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of all that is in it, however it came in."""
        facts = asdict(self.manifest)
        for ingest in facts["ingests"]:
            for file in ingest["files"]:
                del file["mtime_ns"]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def rows(self) -> list[int]:
        """Rows of touchpoints in each bucket."""
        found = [0] * self.manifest.buckets
        for _, facts in self.manifest.of("touchpoints"):
            for bucket, rows in facts.buckets.items():
                found[int(bucket)] += rows
        return found

    def span(self) -> tuple[int, int]:
        """Return the first and last moment of the touchpoints (µs UTC); (0, 0) when there are none."""
        spans = [facts.occurred for _, facts in self.manifest.of("touchpoints") if facts.occurred]
        return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else (0, 0)

    def names(self, table: str) -> set[str]:
        """Return the kinds of the touchpoints, or the products of the relationships."""
        return {name for _, facts in self.manifest.of(table) for name in facts.names}

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table over all ingests.

        Raises:
            CorredorError: two ingests hold a column with different types.
        """
        if table not in self._schemas:
            columns: dict[str, str] = {}
            for ingest, facts in self.manifest.of(table):
                for name, kind in facts.columns.items():
                    if columns.setdefault(name, kind) != kind:
                        raise CorredorError(
                            f"{table}.{name} is {kind} in {ingest.folder} and was {columns[name]} before. "
                            "Declare its type, and run `corredor ingest --anew`."
                        )
            self._schemas[table] = pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
        return self._schemas[table]

    def tables(self, buckets: Iterable[int], *, only: Sequence[str] = (), coded: bool = False) -> Tables:
        """Return the tables of some buckets, each row once, with all the columns that the store has.

        Args:
            buckets: which.
            only: some tables; by default all.
            coded: leave names that many touchpoints share as Arrow dictionaries, which reads faster.
        """
        wanted = list(buckets)
        tables, intake = {}, {}
        quarantine = Quarantine()
        for name in only or self.manifest.tables():
            as_codes = coded and name == "touchpoints"
            table = self.rows_of(name, wanted, self.manifest.ingests, coded=as_codes)
            told = tell_in_buckets(table, CONTRACT[name])
            for problem in told.aside:
                quarantine.add(
                    int(problem.rows.sum()),
                    source=name,
                    column=problem.column,
                    reason=problem.reason,
                    content=rows_as_json(table.filter(pa.array(problem.rows))),
                )
            kept, aside = int(told.kept.sum()), sum(int(p.rows.sum()) for p in told.aside)
            reasons = quarantine.reasons(name)
            intake[name] = Intake(len(table), kept, len(table) - kept - aside, aside, reasons)
            if kept < len(table):
                table = only_names_of_rows(table.filter(pa.array(told.kept)))
            tables[name] = table
        return Tables(tables, intake, newest_moment(tables), quarantine=quarantine.table())

    def rows_of(
        self, name: str, buckets: Iterable[int], ingests: Sequence[Ingest], *, coded: bool = False
    ) -> pa.Table:
        """Return all rows of a table that some ingests hold in some buckets, in the order in which they came.

        Raises:
            CorredorError: the store is not as the manifest says any more.
        """
        schema, wanted = self.schema(name), list(buckets)
        parts = [(coded_schema(schema) if coded else schema).empty_table()]
        for ingest, facts in [(i, i.tables[name]) for i in ingests if name in i.tables]:
            for bucket in wanted:
                if rows := facts.buckets.get(str(bucket)):
                    places = [bucket_path(ingest.folder, name, bucket, i) for i in range(facts.pieces)]
                    parts += read_rows([self.folder / p for p in places], schema, rows, coded=coded)
        table = pa.concat_tables(parts)
        for i, at in enumerate(table.schema if coded else ()):
            if at.name in ("customer_id", "occurred_at") and len(table):  # read more than once: in one piece
                table = table.set_column(i, at, table.column(i).combine_chunks())
        return table

    def histories(self, buckets: Iterable[int]) -> Histories:
        """Return the histories of the customers of some buckets."""
        return replace(build_histories(self.tables(buckets, coded=True).tables), partial=True)

    def everything(self) -> Tables:
        """Return the tables of all customers, with what became of every row that ever came in."""
        found = self.tables(range(self.manifest.buckets))
        intake = {}
        for name, now in found.intake.items():
            of = [facts for _, facts in self.manifest.of(name)]
            aside, copies = (sum(getattr(f, what) for f in of) for what in ("aside", "copies"))
            intake[name] = Intake(
                now.rows + aside + copies,
                now.kept,
                now.duplicates + copies,
                now.quarantined + aside,
                now.reasons,
            )
        quarantine = pa.concat_tables([self._put_aside(), found.quarantine])
        return Tables(found.tables, intake, found.extracted_at, quarantine=quarantine)

    def _put_aside(self) -> pa.Table:
        """Return the rows put aside by all ingests; those of a file that several tables read, once."""
        found = empty_quarantine().append_column("table", pa.array([], pa.string()))
        for ingest in self.manifest.ingests:
            for name in ingest.tables:
                path = self.folder / ingest.folder / name / QUARANTINE
                if path.is_file():
                    some = pq.read_table(path)
                    some = some.append_column("table", pa.repeat(name, len(some)))
                    found = pa.concat_tables([found, some])
        columns = QUARANTINED.names
        of_file = pc.starts_with(found["source"], "files.")
        each = found.filter(of_file).group_by([*columns, "table"], use_threads=False)
        most = each.aggregate([([], "count_all")]).group_by(columns, use_threads=False)
        most = most.aggregate([("count_all", "max")])
        times = np.repeat(np.arange(len(most)), most["count_all_max"].to_numpy())
        once = most.select(columns).take(pa.array(times))
        return pa.concat_tables([once, found.filter(pc.invert(of_file)).select(columns)])
