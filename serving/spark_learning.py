"""Training from a company that is open on Spark: a sample of its customers here, their features there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.contract import Tables, newest_moment
from features.histories import build_histories
from features.spark import opened_company, spark_session
from serving.spark_batch import SPARK_LOG
from serving.workspace import Workspace, open_store
from training.config import load_config
from training.spark_panel import SparkSnapshots


@contextmanager
def open_spark_workspace(
    path: Path, master: str | None = None, share: float = 1.0
) -> Iterator[tuple[Workspace, SparkSnapshots]]:
    """Open a workspace on Spark for training; the rows of a share of its customers come to the driver.

    What is fitted on the population (names, paths, gaps, percentiles, the baselines) is fitted on these, on
    the driver; the features of the panel are computed by the workers.

    Raises:
        CorredorError: Spark is not there, or the sources cannot be read.
    """
    config = load_config(path)
    with (
        spark_session(master, log=config.folder / SPARK_LOG) as session,
        opened_company(session, config, config.folder, store=open_store(config), share=share) as company,
    ):
        work = config.folder / ".corredor"
        work.mkdir(exist_ok=True)
        tables = company.collect(work)
        known = Tables(tables, dict(company.intake), newest_moment(tables), quarantine=company.quarantine())
        yield Workspace(config, known, build_histories(tables)), SparkSnapshots(company, work)
