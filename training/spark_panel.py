"""The features of a panel computed by Spark's workers, by the very engine; all else is done on the driver."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.catalog import FittedFeatures
from features.errors import CorredorError
from features.histories import Histories
from features.spark import Company
from features.spark_sources import told
from features.spark_tasks import pack, unpack
from training.panel import CHUNK, Ints

Bools = npt.NDArray[np.bool_]
ROWS = pa.schema([("customer_id", pa.string()), ("features", pa.binary())])
"""The features of a customer at the dates that are asked for, ascending: float32, one after the other."""


@dataclass(frozen=True)
class SparkSnapshots:
    """A `training.panel.Snapshots`: asks the workers for the features of a panel.

    The features come back by files in a folder of the workspace, which the workers see, not through the
    driver's Java.
    """

    company: Company
    folder: Path

    def __call__(
        self, fitted: FittedFeatures, histories: Histories, dates: Ints, customers: Ints, here: Bools
    ) -> npt.NDArray[np.float32]:
        """Return float32[here.sum(), n_features] by customer, then date.

        Raises:
            CorredorError: a task failed, or the workers see other customers than the driver.
        """
        n = len(fitted.names)
        X = np.empty((int(here.sum()), n), np.float32)
        ids = histories.customer_ids.take(pa.array(customers))
        asked = pa.table({"customer_id": ids, "here": pa.array(map(bytes, here.view(np.uint8)), pa.binary())})
        shared = self.company.session.sparkContext.broadcast(
            {"fitted": json.dumps(fitted.to_dict()), "asked": pack(asked), "dates": dates.tolist()}
        )
        first = np.concatenate([[0], np.cumsum(here.sum(axis=1))])
        seen = 0
        for found in self._files(partial(panel_parts, shared=shared)):
            place = pc.index_in(found["customer_id"], value_set=ids).to_numpy()
            for p, rows in zip(place.tolist(), found["features"], strict=True):
                X[first[p] : first[p + 1]] = np.frombuffer(rows.as_buffer(), np.float32).reshape(-1, n)
            seen += len(place)
        shared.unpersist()
        if seen != len(customers):
            raise CorredorError(f"{len(customers):,} customers were asked for, and the workers saw {seen:,}.")
        return X

    def _files(self, work: Any) -> Iterator[pa.Table]:
        made = Path(tempfile.mkdtemp(prefix="spark-", dir=self.folder))
        try:
            with told():
                self.company.each(work, ROWS).write.parquet((made / "panel").absolute().as_uri())
            for path in sorted((made / "panel").glob("*.parquet")):
                yield pq.read_table(path)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def panel_parts(histories: Iterator[Histories], *, shared: Any) -> Iterator[pa.RecordBatch]:
    """Yield the features of the customers asked for among those of some buckets, in a worker."""
    facts = shared.value
    fitted = FittedFeatures.from_dict(json.loads(facts["fitted"]))
    asked, dates = unpack(facts["asked"]), np.array(facts["dates"], np.int64)
    wanted = asked["customer_id"].combine_chunks()
    flags = [np.frombuffer(row, np.uint8).astype(bool) for row in asked["here"].to_pylist()]
    for some in histories:
        place = pc.fill_null(pc.index_in(some.customer_ids, value_set=wanted), -1).to_numpy()
        chosen = np.flatnonzero(place >= 0)
        for low in range(0, len(chosen), CHUNK):
            part = chosen[low : low + CHUNK]
            X = fitted.snapshots(some, dates, part)
            rows = [X[i][flags[p]].tobytes() for i, p in enumerate(place[part].tolist())]
            yield pa.RecordBatch.from_arrays(
                [some.customer_ids.take(pa.array(part)), pa.array(rows, pa.binary())], schema=ROWS
            )
