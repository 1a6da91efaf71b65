"""The `[sources]` as Spark data frames: the files, databases and Spark tables that queries name, and these.

A query is DuckDB's SQL. Spark runs it in its own dialect, as sqlglot tells it, and only after both engines
gave the same answer on the first rows of the very tables that the query reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features import spark_tasks as tasks
from features.conform import conform
from features.contract import CONTRACT, Intake, TableContract, check_columns
from features.databases import load_database, spark_table
from features.errors import CorredorError
from features.files import check_parquet, check_whole, find_files, format_of, without_copies
from features.lockdown import locked_session
from features.names import check_names
from features.queries import Query, plain_sql
from features.settings import DataSettings, FileSource
from features.sources import file_sources, read_queries, readable_folders

Frame = Any
Session = Any
PROBED = 2_000
"""Rows of each relation that both engines are asked about."""
_CLOCK = "spark.sql.session.timeZone"
_EXACT = 1e-9
"""Two sums of the same numbers in another order may differ by so much of themselves."""


@dataclass
class Relations:
    """What queries read, by name, and what became of the rows of files on the way."""

    frames: dict[str, Frame] = field(default_factory=dict)
    intake: dict[str, Intake] = field(default_factory=dict)
    aside: list[Frame] = field(default_factory=list)
    kept: list[Frame] = field(default_factory=list)
    """What is held on the disks of the workers, to be let go of in the end."""


@dataclass(frozen=True)
class SourceFrames:
    """The answers of the queries, by table, and what they were asked of."""

    answers: Mapping[str, Frame]
    queries: Mapping[str, Query]
    relations: Relations


def source_frames(session: Session, settings: DataSettings, folder: Path, until_us: int) -> SourceFrames:
    """Return the answer of each `[sources]` query as a data frame, not yet computed.

    Raises:
        CorredorError: a source cannot be read, or Spark cannot run a query, or answers it differently.
    """
    folder = Path(folder).resolve()
    queries = read_queries(settings)
    relations = open_relations(session, settings, folder, queries)
    apart = session.newSession()  # whose views and clock are nobody else's
    apart.conf.set(_CLOCK, settings.project.timezone)
    answers = {}
    for name, query in queries.items():
        chosen = {n: relations.frames[n] for n in query.relations}
        answers[name] = _asked(session, query, chosen, settings.project.timezone)
        contract = CONTRACT[name]
        check_names(query.where, answers[name].columns)
        check_columns(contract, tasks.canonical(contract, answers[name].columns))
        compare(apart, settings, folder, query, contract, chosen, until_us)
    return SourceFrames(answers, queries, relations)


def open_relations(
    session: Session, settings: DataSettings, folder: Path, queries: Mapping[str, Query]
) -> Relations:
    """Return the files, database tables and Spark tables that queries name, and none else."""
    wanted = frozenset().union(*(query.relations for query in queries.values()))
    folders, zone = readable_folders(settings, folder), settings.project.zone
    found = Relations()
    for name, (source, patterns) in file_sources(settings, queries).items():
        if name.lower() not in wanted:
            continue
        where = f"[files.{name}]"
        some = [find_files(p, where=where, folder=folder, folders=folders) for p in patterns]
        paths, copies = without_copies(list(dict.fromkeys(path for paths in some for path in paths)))
        foreign = source.timezone is not None and source.timezone != zone.key
        scanned = (source.format or format_of(where, paths[0])) == "parquet"
        if scanned and not source.columns and not foreign:
            n_rows = check_parquet(where, source, paths, [path.name for path in paths])
            twice = sum(n * more for n, more in zip(n_rows, copies, strict=True))
            found.intake[name.lower()] = Intake(sum(n_rows) + twice, sum(n_rows), twice)
            reader = session.read.option("mergeSchema", True)
            found.frames[name.lower()] = reader.parquet(*(path.as_uri() for path in paths))
        else:
            _read_files(session, name, source, settings, folder, folders, paths, copies, found)
    for name, database in settings.databases.items():
        asked = [table for table in database.tables if table.lower() in wanted]
        if asked and (catalog := spark_table(database)):
            for table in asked:
                found.frames[table.lower()] = catalog(session, name, table)
        elif asked:
            for table, rows in load_database(name, database, asked, folder=folder, folders=folders).items():
                found.frames[table.lower()] = _to_spark(session, rows)
    return found


def _read_files(
    session: Session,
    name: str,
    source: FileSource,
    settings: DataSettings,
    folder: Path,
    folders: Sequence[Path],
    paths: Sequence[Path],
    copies: Sequence[int],
    found: Relations,
) -> None:
    """Have the workers read files by the very code of the embedded run, each file whole by one task."""
    from pyspark.sql import functions as F

    listed = session.createDataFrame([(str(path),) for path in paths], "path string")
    task = partial(
        tasks.read_files,
        name=name,
        source=source.model_dump_json(),
        folder=str(folder),
        folders=tuple(map(str, folders)),
        timezone=settings.project.timezone,
    )
    pieces = listed.repartition(len(paths)).mapInArrow(task, frame_type()).persist(on_disk())
    found.kept.append(pieces)
    facts = collect_facts(pieces)
    schema = pa.unify_schemas(
        [tasks.read_schema(bytes.fromhex(f["schema"])) for f in facts], promote_options="permissive"
    )
    times = {str(path): more for path, more in zip(paths, copies, strict=True)}
    twice = sum(f["rows"] * times[f["path"]] for f in facts)
    rows, aside = (tasks.total(facts, what) for what in ("rows", "quarantined"))
    reasons = dict(tasks.reasons_of(facts).most_common())
    found.intake[name.lower()] = Intake(rows + twice, rows - aside, twice, aside, reasons)
    first = paths[0].relative_to(folder) if paths[0].is_relative_to(folder) else paths[0].name
    check_whole(f"[files.{name}]", source, schema.names, found.intake[name.lower()], str(first))
    found.aside.append(pieces.filter(F.col("what") == tasks.ASIDE))
    unpack = partial(tasks.unpack_rows, schema=schema.serialize().to_pybytes())
    found.frames[name.lower()] = pieces.filter(F.col("what") == name).mapInArrow(unpack, type_of(schema))


def spark_answer(session: Session, query: Query) -> Frame:
    """Return a query's answer as Spark gives it, over the session's views.

    Raises:
        CorredorError: Spark has no such query.
    """
    import sqlglot
    from pyspark.errors import PySparkException
    from sqlglot.errors import SqlglotError

    try:
        return _answer(session, sqlglot.parse_one(plain_sql(query), read="duckdb"), query.where)
    except (SqlglotError, PySparkException) as error:
        raise CorredorError(f"{query.where}: Spark cannot run it: {_first_line(error)} {_INSTEAD}") from None


_INSTEAD = "Say it more plainly, or run `corredor ingest` once: Spark then reads what was ingested."


def _answer(session: Session, tree: Any, where: str) -> Frame:
    """Run a tree of SQL; UNION BY NAME, which Spark's SQL has not, by its data frames."""
    from sqlglot import ErrorLevel, exp

    if isinstance(tree, exp.Union) and tree.args.get("by_name"):
        if any(tree.args.get(part) for part in ("order", "limit", "offset")) or tree.ctes:
            raise CorredorError(
                f"{where}: a UNION BY NAME with WITH, ORDER BY or LIMIT is not read on Spark. {_INSTEAD}"
            )
        left, right = (_answer(session, side, where) for side in (tree.left, tree.right))
        both = left.unionByName(right, allowMissingColumns=True)
        return both.distinct() if tree.args.get("distinct") else both
    if any(union.args.get("by_name") for union in tree.find_all(exp.Union)):
        raise CorredorError(f"{where}: a UNION BY NAME inside another query is not read on Spark. {_INSTEAD}")
    return session.sql(tree.sql(dialect="spark", unsupported_level=ErrorLevel.RAISE))


def _asked(session: Session, query: Query, relations: Mapping[str, Frame], timezone: str) -> Frame:
    """Ask a query of the relations, calendars counted in a time zone as the embedded run does."""
    before = session.conf.get(_CLOCK)
    session.conf.set(_CLOCK, timezone)
    try:
        for name, frame in relations.items():
            frame.createOrReplaceTempView(name)
        return spark_answer(session, query)
    finally:
        session.conf.set(_CLOCK, before)
        for name in relations:
            session.catalog.dropTempView(name)


def compare(
    apart: Session,
    settings: DataSettings,
    folder: Path,
    query: Query,
    contract: TableContract,
    relations: Mapping[str, Frame],
    until_us: int,
) -> None:
    """Check that Spark and DuckDB answer a query alike on the first rows of what it reads.

    Raises:
        CorredorError: they do not.
    """
    from pyspark.errors import PySparkException

    some = {name: frame.limit(PROBED).toArrow() for name, frame in relations.items()}
    folders = readable_folders(settings, folder)
    with locked_session(some, folders=folders, timezone=settings.project.timezone) as duck:
        ours = duck.sql(plain_sql(query)).to_arrow_table()
    try:
        there = {name: _to_spark(apart, rows) for name, rows in some.items()}
        theirs = _asked(apart, query, there, settings.project.timezone).toArrow()
    except PySparkException as error:
        raise CorredorError(f"{query.where}: Spark cannot run it: {_first_line(error)} {_INSTEAD}") from None
    zone = settings.project.zone
    answers = []
    for rows in (ours, theirs):
        rows = rows.rename_columns(tasks.canonical(contract, rows.column_names))
        checked, problems = conform(rows, contract, zone=zone, until=until_us)
        bad, reasons, _ = tasks.set_aside(rows, contract.name, problems)
        answers.append((checked.filter(pa.array(~bad)), reasons))
    (one, one_reasons), (other, other_reasons) = answers
    told = difference(one, other)
    if told is None and one_reasons != other_reasons:
        told = f"{sum(one_reasons.values()):,} against {sum(other_reasons.values()):,} rows are quarantined"
    if told is not None:
        raise CorredorError(
            f"{query.where}: DuckDB and Spark answer it differently on the first {PROBED:,} rows of "
            f"{', '.join(sorted(relations))}: {told}. {_INSTEAD}"
        )


def difference(one: pa.Table, other: pa.Table) -> str | None:
    """Return in which two tables of the same contract differ as sets of rows, None if in nothing."""
    if sorted(one.column_names) != sorted(other.column_names):
        return f"columns {', '.join(one.column_names)} against {', '.join(other.column_names)}"
    if len(one) != len(other):
        return f"{len(one):,} against {len(other):,} rows"
    for at in one.schema:
        if other.schema.field(at.name).type != at.type:
            return f"{at.name} is {at.type} against {other.schema.field(at.name).type}"
    numbers = [at.name for at in one.schema if pa.types.is_floating(at.type)]
    exact = [name for name in one.column_names if name not in numbers]
    by = [(name, "ascending") for name in (*exact, *numbers)]
    one, other = (t.take(pc.sort_indices(t, by)) for t in (one, other))
    for name in exact:
        if not one[name].equals(other[name]):
            return f"{name} differs"
    for name in numbers:
        a, b = (pc.fill_null(t[name], np.nan).to_numpy() for t in (one, other))
        close = np.isclose(a, b, rtol=_EXACT, atol=_EXACT, equal_nan=True)
        if not close.all():
            return f"{name} differs in {int((~close).sum()):,} rows"
    return None


def collect_facts(frame: Frame) -> list[dict[str, Any]]:
    """Return the facts of a frame of `spark_tasks.FRAME`."""
    from pyspark.sql import functions as F

    with told():
        rows = frame.filter(F.col("what") == tasks.FACTS).select("payload").toArrow()
    return [json.loads(payload) for payload in rows["payload"].to_pylist()]


class told:
    """Within it, an error of ours in a task is raised as it was raised there, in one line."""

    def __enter__(self) -> None:
        """Do nothing yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """Raise what a task said."""
        if error is None or isinstance(error, CorredorError):
            return
        lines = [line for line in str(error).splitlines() if "features.errors.CorredorError: " in line]
        if lines:
            raise CorredorError(lines[-1].split("features.errors.CorredorError: ", 1)[1]) from None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{(lines or ['?'])[0][:300].rstrip('.')}."


def _to_spark(session: Session, rows: pa.Table) -> Frame:
    """Return rows as a data frame; times without a zone stay so."""
    return session.createDataFrame(rows, schema=type_of(rows.schema))


def type_of(schema: pa.Schema) -> Any:
    """Return Spark's type of rows of an Arrow schema."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema, prefer_timestamp_ntz=True)


def frame_type() -> Any:
    """Return Spark's type of a `spark_tasks.FRAME`."""
    return type_of(tasks.FRAME)


def on_disk() -> Any:
    """Return where what is asked of more than once is kept: on the workers' disks."""
    from pyspark import StorageLevel

    return StorageLevel.DISK_ONLY
