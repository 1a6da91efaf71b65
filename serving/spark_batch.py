"""The at-risk list on Spark: each bucket scored with its reasons in the pass that builds its features."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.durable import sync
from features.errors import CorredorError
from features.histories import Histories
from features.spark import Company, opened_company, spark_session
from features.spark_sources import told
from serving.rows import SCHEMA, score_chunks
from serving.workspace import check_named, chosen_day, open_store
from training.bundle import Bundle, load_bundle, save_bundle, scoring_config
from training.config import Config

SPARK_LOG = Path(".corredor") / "spark.log"
"""Where Spark writes what it has to say, in the workspace."""


@dataclass(frozen=True)
class SparkNight:
    """A company that is open on Spark for scoring everyone."""

    company: Company
    config: Config

    def as_of(self, date: str | None) -> int:
        """Return the moment of the list (see `serving.workspace.chosen_day`)."""
        return chosen_day(date, self.company.span[1], self.config)

    def score(self, bundle: Bundle, as_of_us: int, folder: Path) -> pa.Table:
        """Score everyone; return the rows (`serving.rows.SCHEMA`), which are the Parquet files of a folder.

        Raises:
            CorredorError: the folder is there already, or a task failed.
        """
        if folder.exists():
            raise CorredorError(f"{folder}: is there already. Remove it, or give another name.")
        session = self.company.session
        identity, parts = bundle_parts(bundle)
        work = partial(
            score_parts,
            identity=identity,
            parts=session.sparkContext.broadcast(parts),
            config=scoring_config(self.config).model_dump_json(),
            as_of_us=as_of_us,
        )
        rows = self.company.each(work, SCHEMA)
        with told():
            rows.write.option("compression", "zstd").parquet(folder.absolute().as_uri())
        sync(folder)
        return read_rows(folder)


@contextmanager
def open_spark_night(config: Config, master: str | None = None) -> Iterator[SparkNight]:
    """Open a workspace on Spark, as ingested if it is, else its sources.

    Raises:
        CorredorError: Spark is not there, or the sources cannot be read.
    """
    with (
        spark_session(master, log=config.folder / SPARK_LOG) as session,
        opened_company(session, config, config.folder, store=open_store(config)) as company,
    ):
        check_named(company.names, config)
        yield SparkNight(company, config)


def score_parts(
    histories: Iterator[Histories],
    *,
    identity: str,
    parts: Any,
    config: str,
    as_of_us: int,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the customers of some buckets, in a worker.

    Args:
        histories: of each bucket.
        identity: the id of the bundle.
        parts: Spark's broadcast of its files (`bundle_parts`).
        config: the workspace's configuration as JSON, without its sources, which workers need not know.
        as_of_us: the moment of the list, µs UTC.
    """
    bundle = _opened(identity, parts)
    settings = Config.model_validate_json(config)
    for some in histories:
        for chunk in score_chunks(bundle, some, settings, as_of_us):
            yield chunk.rows


def bundle_parts(bundle: Bundle) -> tuple[str, dict[str, bytes]]:
    """Return a bundle's files by name, sealed as they are on a disk, and the id that their seal has.

    It is the bundle's own, unless the bundle was written by an earlier version.
    """
    with tempfile.TemporaryDirectory(prefix="corredor-") as scratch:
        folder = Path(scratch) / "bundle"
        saved = save_bundle(bundle, folder)
        return saved.id, {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _opened(identity: str, parts: Any) -> Bundle:
    """Return the bundle of a broadcast, opened once in this process."""
    if identity not in _OPEN:
        _OPEN.clear()
        _OPEN[identity] = _unsealed(identity, parts.value)
    return _OPEN[identity]


_OPEN: dict[str, Bundle] = {}


def _unsealed(identity: str, parts: Mapping[str, bytes]) -> Bundle:
    with tempfile.TemporaryDirectory(prefix="corredor-") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        for name, content in parts.items():
            (folder / name).write_bytes(content)
        bundle = load_bundle(folder, verify=False)  # the driver opened the same in a child process
    if bundle.id != identity:
        raise CorredorError(f"bundle {bundle.version}: arrived on a worker as another than {identity[:12]}.")
    bundle.check_sample()  # and this worker's libraries give the scores that are stored with it
    return bundle


def read_rows(folder: Path) -> pa.Table:
    """Return the rows that Spark wrote into a folder, with the types of `serving.rows.SCHEMA`."""
    files = sorted(folder.glob("*.parquet"))
    tables = [pq.read_table(file).select(SCHEMA.names).cast(SCHEMA) for file in files]
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


@contextmanager
def scores_folder(asked: Path | None, out: Path | None) -> Iterator[Path]:
    """Give the folder for the rows of all customers: the one asked for, or one that is removed in the end."""
    if asked is not None:
        yield asked
        return
    beside = Path.cwd() if out is None else out.absolute().parent
    work = Path(tempfile.mkdtemp(prefix=".corredor-spark-", dir=beside))
    try:
        yield work / "scores"
    finally:
        shutil.rmtree(work, ignore_errors=True)
