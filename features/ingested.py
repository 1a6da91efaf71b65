"""A workspace's sources as Parquet by bucket of customers, so that any part of the company is read alone.

`manifest.json` is the only word on what is in a store: a folder that it does not name is of an ingest that
was killed, and is removed by the next one. Each ingest has a folder of its own, with a file for each bucket
(`ingests/000001/touchpoints/0042-0.parquet`), and is never touched by a later one, save where a table is told
anew as a whole. Duplicates count once over all ingests: all rows of a customer are in one bucket, and are
told apart when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.contract import ARROW, CONTRACT, Intake, Tables, newest_moment
from features.duplicates import tell_duplicates
from features.durable import write_text
from features.errors import CorredorError
from features.histories import Histories, build_histories
from features.quarantine import Quarantine, empty_quarantine, rows_as_json

FORMAT = 1
HASH = "fnv1a-64 folded"
MANIFEST = "manifest.json"
QUARANTINE = "quarantine.parquet"
_CODED = ["customer_id", "kind", "channel", "item", "agent_id", "team", "outcome"]
"""Texts of touchpoints that are few, or of many rows each."""
_CODES = pa.dictionary(pa.int32(), pa.string())
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
    aside: int
    """Rows that broke the contract or were not whole in their file."""
    copies: int = 0
    """Rows of files that repeat another byte for byte."""
    last: int | None = None
    """The last moment of the table's facts of the past (µs UTC)."""
    occurred: tuple[int, int] | None = None
    """Of touchpoints: the first and last moment."""
    names: Sequence[str] = ()
    """Kinds of the touchpoints, or products of the relationships."""
    inputs: str = ""
    """Of a table told as a whole: what tells the files that it was made of."""


@dataclass(frozen=True)
class Ingest:
    """One ingest: its folder, the files it read, what it holds of each table."""

    folder: str
    files: Sequence[FileFacts]
    tables: Mapping[str, TableFacts]


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
        write_text(store / MANIFEST, json.dumps(asdict(self), ensure_ascii=False, indent=1))

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
            schema = self.schema(name)
            parts = [] if coded and name == "touchpoints" else [schema.empty_table()]
            for ingest, facts in self.manifest.of(name):
                for bucket in wanted:
                    if str(bucket) in facts.buckets:
                        for piece in range(facts.pieces):
                            path = self.folder / bucket_path(ingest.folder, name, bucket, piece)
                            if path.is_file():
                                parts.append(_read(path, schema, coded and name == "touchpoints"))
            table = pa.concat_tables(parts or [schema.empty_table()])
            told = tell_duplicates(table, CONTRACT[name])
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
            if kept < len(table):  # a name may be of rows alone that do not count
                table = table.filter(pa.array(told.kept)).cast(schema)
            tables[name] = table
        return Tables(tables, intake, newest_moment(tables), quarantine=quarantine.table())

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
        before = [
            pq.read_table(path)
            for ingest in self.manifest.ingests
            if (path := self.folder / ingest.folder / QUARANTINE).is_file()
        ]
        quarantine = pa.concat_tables([empty_quarantine(), *before, found.quarantine])
        return Tables(found.tables, intake, found.extracted_at, quarantine=quarantine)


def bucket_path(folder: str, table: str, bucket: int, piece: int = 0) -> Path:
    """Return where an ingest keeps a bucket of a table, relative to the store."""
    return Path(folder) / table / f"{bucket:04d}-{piece}.parquet"


def _read(path: Path, schema: pa.Schema, coded: bool) -> pa.Table:
    """Return one file with all columns of the table, null where it has none."""
    metadata = pq.read_metadata(path)
    codes = [name for name in metadata.schema.names if coded and name in _CODED]
    with pq.ParquetFile(path, metadata=metadata, read_dictionary=codes or None) as file:
        found = file.read(use_threads=False)
    for at in schema:
        if at.name not in found.column_names:
            found = found.append_column(at, pa.nulls(len(found), at.type))
    if not coded:
        return found.select(schema.names).cast(schema)
    names = pa.schema([at.with_type(_CODES) if at.name in _CODED else at for at in schema])
    return found.select(schema.names).cast(names)
