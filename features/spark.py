"""The same engine on Spark: the sources cut by bucket of customers, the histories of each built in one task.

A task reads rows, checks them by the very code of the embedded run and sorts them into buckets; after the one
shuffle a bucket is whole, its rows count once, and what is asked of it is asked of its `Histories`. So every
number of a customer is the embedded run's, to the bit, however many workers there are. Where a workspace was
ingested, its buckets are there already and nothing is shuffled.

What Spark carries to its workers (it pickles functions for that) are names of functions of this package and
plain values: text, numbers, bytes. The package is installed on the workers as it is on the driver.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features import spark_tasks as tasks
from features.clock import now_us
from features.conform import conform
from features.contract import CONTRACT, Intake
from features.errors import CorredorError
from features.ingested import NAMED, Store
from features.settings import DataSettings
from features.spark_sources import (
    SourceFrames,
    collect_facts,
    frame_type,
    on_disk,
    source_frames,
    told,
    type_of,
)

Session = Any
BUCKET_BYTES = 16 << 20
"""Bytes of the sources that a bucket is made of, where nothing else is said."""
MOST_BUCKETS = 1 << 16
LOOPBACK = "127.0.0.1"
_WORKER = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


@contextmanager
def spark_session(master: str | None = None, *, log: Path | None = None) -> Iterator[Session]:
    """Open a Spark session, or take the one that is there, which stays open.

    Args:
        master: as Spark names it, such as `local[2]`; by default what Spark's own settings say.
        log: a file for what Spark itself has to say, and its workers; by default the standard error output.

    Raises:
        CorredorError: pyspark, sqlglot or Java is not there, or the session cannot be opened.
    """
    try:
        import sqlglot  # noqa: F401 - told now rather than in the middle of a run
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise CorredorError(
            f"--engine spark: {error.name} is not installed. "
            "Run, in Corredor's folder: pip install '.[spark]'."
        ) from None
    there = SparkSession.getActiveSession()
    if there is not None:
        yield there
        return
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if master is None or master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", LOOPBACK)
    builder = SparkSession.builder.appName("corredor")
    if master is not None:
        builder = builder.master(master)
    for name, value in settings_of(master).items():
        builder = builder.config(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that pandas 3 is new to Spark: we pass Arrow
        try:
            with _errors_to(log):
                session = builder.getOrCreate()
        except Exception as error:
            where = "" if log is None else f" Its own words: {log}."
            raise CorredorError(
                f"--engine spark: no session opens ({str(error).splitlines()[0][:200]}). It needs Java 17 or "
                f"later (JAVA_HOME), and a --master that answers.{where}"
            ) from None
        try:
            yield session
        finally:
            session.stop()


@contextmanager
def _errors_to(log: Path | None) -> Iterator[None]:
    """Have what this process starts write its errors to a file; it goes on to after the context."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    ours = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


def settings_of(master: str | None) -> dict[str, str]:
    """Return Spark's settings: times in UTC, Arrow, no page of its own, one thread for each worker."""
    found = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        **{f"spark.executorEnv.{name}": value for name, value in _WORKER.items()},
    }
    if master is None or master.startswith("local"):
        found |= {"spark.driver.host": LOOPBACK, "spark.driver.bindAddress": LOOPBACK}
    return found


@dataclass
class Company:
    """A company on Spark: every customer is in just one bucket, and every row counts once."""

    session: Session
    frame: Any
    tables: Any
    """A function of `spark_tasks` that gives the tables of each bucket of the frame."""
    schemas: Mapping[str, bytes]
    """Of each table."""
    buckets: int
    span: tuple[int, int]
    """The first and last moment of the touchpoints (µs UTC); (0, 0) when there are none."""
    names: Mapping[str, frozenset[str]]
    """The kinds of the touchpoints, and the products of the relationships."""
    intake: Mapping[str, Intake]
    share: float = 1.0
    """Of the customers that are in it."""
    aside: list[Any] = field(default_factory=list)

    def each(self, work: tasks.Work, schema: pa.Schema) -> Any:
        """Return, as a data frame, what some work makes of the histories of each bucket.

        Args:
            work: a function of a module, or a `functools.partial` of one with plain values.
            schema: of what it yields.
        """
        return self.frame.mapInArrow(
            partial(tasks.on_histories, tables=self.tables, work=work), type_of(schema)
        )

    def collect(self, folder: Path) -> dict[str, pa.Table]:
        """Return the tables of all customers that are in it, here; they come by files in a folder.

        Args:
            folder: one that the workers see too; what is written there is removed.
        """
        made = Path(tempfile.mkdtemp(prefix="spark-", dir=folder))
        try:
            rows = self.frame.mapInArrow(partial(tasks.packed_tables, tables=self.tables), frame_type())
            with told():
                rows.write.parquet((made / "tables").absolute().as_uri())
            parts = [pq.read_table(path) for path in sorted((made / "tables").glob("*.parquet"))]
        finally:
            shutil.rmtree(made, ignore_errors=True)
        payloads: dict[str, list[pa.Buffer]] = {table: [] for table in self.schemas}
        for part in parts:
            for what, payload in zip(part["what"].to_pylist(), part["payload"], strict=True):
                payloads[what].append(payload.as_buffer())
        return {t: tasks.joined(payloads[t], tasks.read_schema(schema)) for t, schema in self.schemas.items()}

    def quarantine(self) -> pa.Table:
        """Return the rows that were put aside; files and lines are told where a file itself was not whole."""
        from pyspark.sql import functions as F

        found: list[bytes] = []
        with told():
            for frame in self.aside:
                rows = frame.filter(F.col("what") == tasks.ASIDE).select("payload").toArrow()
                found += rows["payload"].to_pylist()
        return tasks.quarantined(found)


@contextmanager
def opened_company(
    session: Session,
    settings: DataSettings,
    folder: Path,
    *,
    store: Store | None = None,
    buckets: int | None = None,
    share: float = 1.0,
    extracted_us: int | None = None,
) -> Iterator[Company]:
    """Open a company's sources on Spark, checked, by bucket of customers.

    Args:
        session: Spark's.
        settings: the configuration.
        folder: the workspace, which the workers see under the same path.
        store: what is ingested of it, to be read instead of the sources.
        buckets: how many to make; by default one for every 16 MB of the sources. Changes no number.
        share: of the customers that are wanted, drawn by the hash of their ids (`features.sampling`).
        extracted_us: the moment of the extraction (µs UTC), after which nothing can have happened.

    Raises:
        CorredorError: a source cannot be read, a query is not Spark's too, or no row is left of a table.
    """
    if store is not None:
        yield _ingested(session, store, share)
        return
    until = now_us() if extracted_us is None else extracted_us
    with told():
        sources = source_frames(session, settings, folder, until)
    held = sources.relations.kept
    try:
        with told():
            company = _bucketed(session, settings, sources, buckets, share, until)
        held.append(company.frame)
        yield company
    finally:
        for frame in held:
            frame.unpersist()


def _ingested(session: Session, store: Store, share: float) -> Company:
    n = store.manifest.buckets
    frame = session.range(0, n, 1, n)
    names = {table: frozenset(store.names(table)) for table in NAMED}
    tables = partial(tasks.from_store, store=str(store.folder.resolve()), share=share)
    schemas = {t: store.schema(t).serialize().to_pybytes() for t in store.manifest.tables()}
    return Company(session, frame, tables, schemas, n, store.span(), names, {}, share)


def _bucketed(
    session: Session,
    settings: DataSettings,
    sources: SourceFrames,
    buckets: int | None,
    share: float,
    until: int,
) -> Company:
    """Check the answers of the queries, cut them into buckets, and have each row count once."""
    n = buckets or _usual_buckets(session, sources)
    schemas: dict[str, bytes] = {}
    parts = None
    for table, answer in sources.answers.items():
        empty = answer.limit(0).toArrow()
        empty = empty.rename_columns(tasks.canonical(CONTRACT[table], empty.column_names))
        checked, _ = conform(empty, CONTRACT[table], zone=settings.project.zone, until=until)
        schemas[table] = checked.schema.serialize().to_pybytes()
        task = partial(
            tasks.check_rows,
            table=table,
            timezone=settings.project.timezone,
            until_us=until,
            buckets=n,
            share=share,
        )
        rows = answer.mapInArrow(task, frame_type())
        parts = rows if parts is None else parts.union(rows)
    assert parts is not None
    together = parts.repartitionById(n, "bucket").sortWithinPartitions("bucket", "what")
    frame = together.mapInArrow(partial(tasks.settle, schemas=schemas), frame_type()).persist(on_disk())
    facts = collect_facts(frame)
    intake = {}
    for table in sources.answers:
        of = [f for f in facts if f["table"] == table]
        intake[table] = _intake(table, of, sources, share)
    spans = [f["span"] for f in facts if "span" in f]
    names = {
        table: frozenset(n for f in facts if f["table"] == table for n in f.get("names", ()))
        for table in NAMED
    }
    return Company(
        session,
        frame,
        partial(tasks.from_frame, schemas=schemas),
        schemas,
        n,
        (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else (0, 0),
        names,
        intake,
        share,
        [*sources.relations.aside, frame],
    )


def _intake(table: str, facts: list[dict[str, Any]], sources: SourceFrames, share: float) -> Intake:
    """Return what became of a table's rows, as the embedded run counts them.

    Raises:
        CorredorError: none is left.
    """
    rows, kept, duplicates = (tasks.total(facts, what) for what in ("rows", "kept", "duplicates"))
    reasons = tasks.reasons_of(facts)
    aside = sum(reasons.values())
    lost = [
        sources.relations.intake[name]
        for name in sources.queries[table].relations
        if name in sources.relations.intake
    ]
    for loaded in lost if share == 1.0 else []:
        reasons.update(loaded.reasons)
        rows += loaded.quarantined + loaded.duplicates
        aside += loaded.quarantined
        duplicates += loaded.duplicates
    found = Intake(rows, kept, duplicates, aside, dict(reasons.most_common()))
    if not kept and (aside or table == "touchpoints"):
        why = f": {next(iter(reasons))}" if reasons else ""
        raise CorredorError(f"{sources.queries[table].where}: no row is left of {rows:,}{why}.")
    return found


def _usual_buckets(session: Session, sources: SourceFrames) -> int:
    """Return how many buckets the size of the sources asks for."""
    size = 0
    for frame in sources.relations.frames.values():
        plan = frame._jdf.queryExecution().optimizedPlan()  # what Spark's own planner knows of its size
        size += min(int(str(plan.stats().sizeInBytes())), 1 << 46)
    return max(int(session.sparkContext.defaultParallelism), min(size // BUCKET_BYTES, MOST_BUCKETS))
