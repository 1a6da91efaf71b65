"""The only reader of files and databases: the `[sources]` queries in, the canonical tables out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa

from features.clock import Bool, now_us
from features.conform import conform
from features.contract import (
    CONTRACT,
    Intake,
    TableContract,
    Tables,
    check_columns,
    check_tables,
    newest_moment,
)
from features.databases import load_database
from features.declared import Problem
from features.duplicates import tell_duplicates
from features.errors import CorredorError, unknown_name
from features.files import LoadedFiles, load_files, row_places
from features.lockdown import locked_session
from features.names import check_name
from features.quarantine import Quarantine, rows_as_json
from features.queries import ROW, Query, one_line, parse_query, plain_sql, sql_with_rows
from features.settings import DataSettings, FileSource

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_BATCH_ROWS = 1 << 18


def load_tables(settings: DataSettings, folder: Path, *, extracted_us: int | None = None) -> Tables:
    """Return the tables that the `[sources]` queries give, checked, each row once.

    The files and databases that no query names are not opened. Queries are run in a session that reads
    the workspace and `project.data_folders`, and can do nothing else. Rows that break the contract, or
    were not whole in their file, are in the quarantine of the result, with file and line where the
    query lets a row be followed (no grouping, no DISTINCT).

    Args:
        settings: The configuration.
        folder: The workspace: paths are relative to it.
        extracted_us: The moment of the extraction (µs UTC), after which nothing can have happened; by
            default now. Files' own dates are not asked: copying changes them.

    Raises:
        CorredorError: a source, file or database cannot be read, a query may not be run, a column is
            missing or unknown, or no row is left of a table.
    """
    zone = settings.project.zone
    until = now_us() if extracted_us is None else extracted_us
    queries = read_queries(settings)
    tables: dict[str, pa.Table] = {}
    intake: dict[str, Intake] = {}
    with open_sources(settings, folder, queries) as opened:
        for name, query in queries.items():
            answer = Answer(CONTRACT[name], query, opened.files, opened.quarantine)
            tables[name], intake[name] = answer.load(opened.session, zone, until)
    checked = check_tables(tables)
    read = opened.files.items()
    return Tables(
        checked.tables,
        intake,
        newest_moment(tables),
        {", ".join(f.paths) if name.startswith("__") else name: f.intake for name, f in read},
        opened.quarantine.table(),
    )


@dataclass(frozen=True)
class Opened:
    """The sources that some queries read, in a session in which they can be run."""

    session: Any
    files: Mapping[str, LoadedFiles]
    quarantine: Quarantine


@contextmanager
def open_sources(
    settings: DataSettings,
    folder: Path,
    queries: Mapping[str, Query],
    *,
    chosen: Mapping[str, Sequence[Path]] | None = None,
    quarantine: Quarantine | None = None,
    disk: Path | None = None,
    memory: int | None = None,
) -> Iterator[Opened]:
    """Open the files and databases that queries name, and none else.

    Args:
        settings: the configuration.
        folder: the workspace.
        queries: by table.
        chosen: name of a source of files, in lower case -> which of its files to read; by default all.
        quarantine: takes the rows put aside; by default one of their own.
        disk: a folder to hold rows in that memory need not hold; its content is the caller's to remove.
        memory: bytes that the queries may take; by default most of what the machine has.
    """
    folder, zone = Path(folder).resolve(), settings.project.zone
    wanted = frozenset().union(*(query.relations for query in queries.values()))
    folders = readable_folders(settings, folder)
    quarantine = Quarantine() if quarantine is None else quarantine
    files: dict[str, LoadedFiles] = {}
    for name, (source, patterns) in file_sources(settings, queries).items():
        if name.lower() in wanted:
            some = (chosen or {}).get(name.lower())
            files[name.lower()] = load_files(
                name,
                source,
                number=len(files),
                folder=folder,
                folders=folders,
                zone=zone,
                quarantine=quarantine,
                patterns=patterns if some is None else [str(path) for path in some],
                disk=None if disk is None else _made(disk / f"files-{len(files)}"),
            )
    relations: dict[str, pa.Table | str] = {name: loaded.relation for name, loaded in files.items()}
    for name, database in settings.databases.items():
        asked = [table for table in database.tables if table.lower() in wanted]
        if asked:
            read = load_database(name, database, asked, folder=folder, folders=folders)
            relations |= {table.lower(): rows for table, rows in read.items()}
    with locked_session(
        relations, folders=folders, timezone=settings.project.timezone, disk=disk, memory=memory
    ) as session:
        yield Opened(session, files, quarantine)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@dataclass
class Answer:
    """One query, and the table that its answer becomes."""

    contract: TableContract
    query: Query
    files: Mapping[str, LoadedFiles]
    quarantine: Quarantine
    rows: int = 0
    """Rows that the query has given so far."""
    aside: int = 0
    """Rows of these that broke the contract."""

    def checked(self, session: Any, zone: ZoneInfo, until: int) -> Iterator[tuple[pa.Table, Any]]:
        """Run the query; yield the rows that keep the contract, some at a time, and their places.

        The first part has no rows, and the columns. Places are int64[2, n]: the file's row, the answer's.
        """
        columns: list[str] = []
        for batch in self._batches(session):
            plain, place = _without_place(batch)
            if not columns:
                columns = plain.column_names
                self._check_names(columns)
            plain = plain.rename_columns([self._canonical(column) for column in plain.column_names])
            checked, problems = conform(plain, self.contract, zone=zone, until=until)
            numbers = np.arange(self.rows, self.rows + len(plain))
            bad = self._put_aside(plain, place, numbers, problems)
            self.aside += int(bad.sum())
            self.rows += len(plain)
            good = checked.filter(pa.array(~bad)) if bad.any() else checked
            yield good, np.stack([place, numbers])[:, ~bad]

    def load(self, session: Any, zone: ZoneInfo, until: int) -> tuple[pa.Table, Intake]:
        """Run the query; return the rows that count, and what became of the others."""
        name = self.contract.name
        parts, places = zip(*self.checked(session, zone, until), strict=True)
        table = pa.concat_tables(parts)
        place = np.concatenate(places, axis=1)
        told = tell_duplicates(table, self.contract)
        self.aside += int(self._put_aside(table, place[0], place[1], told.aside).sum())
        kept = int(told.kept.sum())
        lost = [self.files[f] for f in self.query.relations if f in self.files]
        reasons = Counter(self.quarantine.reasons(name))
        for loaded in lost:
            reasons.update(loaded.intake.reasons)
        before = sum(loaded.intake.quarantined for loaded in lost)
        copied = sum(loaded.intake.duplicates for loaded in lost)
        intake = Intake(
            self.rows + before + copied,
            kept,
            self.rows - kept - self.aside + copied,
            self.aside + before,
            dict(reasons.most_common()),
        )
        if not kept and (self.aside or name == "touchpoints"):
            why = f": {next(iter(reasons))}" if reasons else ""
            raise CorredorError(f"{self.query.where}: no row is left of {intake.rows:,}{why}.")
        return (table if kept == len(table) else table.filter(pa.array(told.kept))), intake

    def _batches(self, session: Any) -> Any:
        """Yield the query's answer, with the hidden row column where rows can be followed."""
        lined = {name for name in self.query.relations if name in self.files}
        relation = None
        if (followed := sql_with_rows(self.query, lined)) is not None:
            try:
                relation = session.sql(followed)
            except duckdb.Error:
                relation = None
        try:
            relation = session.sql(plain_sql(self.query)) if relation is None else relation
            reader = relation.to_arrow_reader(_BATCH_ROWS)
            yield reader.schema.empty_table()
            for batch in reader:
                yield pa.Table.from_batches([batch])
        except duckdb.OutOfMemoryException:
            raise CorredorError(
                f"{self.query.where}: the query does not fit in the memory that it may take. Allow more, or "
                "let it only choose columns and rows: then the files are read a part at a time."
            ) from None
        except duckdb.Error as error:
            raise CorredorError(f"{self.query.where}: {one_line(error)}") from None

    def _check_names(self, names: Sequence[str]) -> None:
        for name in names:
            check_name(self.query.where, name)
        check_columns(self.contract, [self._canonical(name) for name in names])

    def _canonical(self, name: str) -> str:
        """Return the contract's spelling of a column's name."""
        return name.lower() if name.lower() in self.contract.by_name else name

    def _put_aside(self, rows: pa.Table, place: Any, numbers: Any, problems: Sequence[Problem]) -> Bool:
        """Put the rows with problems into the quarantine, each for its first; return which they are."""
        bad = np.zeros(len(rows), dtype=np.bool_)
        for problem in problems:
            new = problem.rows & ~bad
            if not new.any():
                continue
            bad |= new
            known = place[new] >= 0
            source, file, line = row_places(place[new])
            loaded = list(self.files.values())
            lined = np.array([entry.has_lines for entry in loaded] or [False])
            has_line = known & lined[np.where(known, source, 0)]
            paths = [loaded[s].paths[f] if k else None for s, f, k in zip(source, file, known, strict=True)]
            self.quarantine.add(
                int(new.sum()),
                source=self.contract.name,
                file=paths,
                line=pa.array(line, mask=~has_line),
                row=pa.array(np.where(known, line, numbers[new] + 1), mask=has_line),
                column=problem.column,
                reason=problem.reason,
                content=rows_as_json(rows.filter(pa.array(new))),
            )
        return bad


def _without_place(batch: pa.Table) -> tuple[pa.Table, Any]:
    """Return an answer's rows without the hidden column, and that column, -1 where it has none."""
    if ROW not in batch.column_names:
        return batch, np.full(len(batch), -1, dtype=np.int64)
    place = batch[ROW].cast(pa.int64()).fill_null(-1).to_numpy()
    return batch.drop_columns([ROW]), place


def read_queries(settings: DataSettings) -> dict[str, Query]:
    """Return the checked queries, in the order of the contract."""
    declared = [*settings.files, *(t for d in settings.databases.values() for t in d.tables)]
    for name in declared:
        if not _NAME.fullmatch(name):
            raise CorredorError(
                f"[files] and [databases] tables: the name {name[:40]!r} is refused."
                " Use letters, digits and _."
            )
    known = [name.lower() for name in declared]
    for name in known:
        if known.count(name) > 1:
            raise CorredorError(f"two tables of [files] and [databases] are called {name}. Rename one.")
    for table in settings.sources:
        if table not in CONTRACT:
            raise CorredorError(f"[sources]: {unknown_name('table', table, CONTRACT)}")
    queries: dict[str, Query] = {}
    n_parquet = 0
    for table in CONTRACT:
        if table in settings.sources:
            where = f"[sources] {table}"
            queries[table] = parse_query(where, settings.sources[table], frozenset(known), n_parquet)
            n_parquet += len(queries[table].parquet)
    return queries


def file_sources(
    settings: DataSettings, queries: Mapping[str, Query]
) -> dict[str, tuple[FileSource, tuple[str, ...]]]:
    """Return the declared files, and those that queries name in a read_parquet, with their paths."""
    sources: dict[str, tuple[FileSource, tuple[str, ...]]] = {
        name: (source, (source.path,)) for name, source in settings.files.items()
    }
    for query in queries.values():
        for name, paths in query.parquet.items():
            sources[name] = (FileSource(path=paths[0], format="parquet"), paths)
    return sources


def readable_folders(settings: DataSettings, folder: Path) -> tuple[Path, ...]:
    """Return the folders that may be read, resolved."""
    folders = [folder]
    for name in settings.project.data_folders:
        path = (folder / name).resolve()
        if not path.is_dir():
            raise CorredorError(f"[project] data_folders: there is no folder {name}.")
        folders.append(path)
    return tuple(dict.fromkeys(folders))
