"""The catalog of features, listed or computed for everyone at one moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.catalog import FittedFeatures, fit_features
from features.clock import local_date
from features.durable import write_atomically
from features.errors import CorredorError
from serving.workspace import Workspace

CHUNK = 8192


def feature_rows(workspace: Workspace, as_of_us: int) -> list[dict[str, Any]]:
    """Return the catalog as the data of a workspace spell it out: one row per feature.

    `source` is where its formula was published; null where it is a plain count, sum, mean or time.
    """
    fitted = _fitted(workspace, as_of_us)
    language = workspace.config.project.language
    return [
        {
            "name": f.name,
            "unit": f.unit,
            "sentence": getattr(f.sentence, language).replace("{value}", "…"),
            "moment": fitted.moment_label(f.moment, language),
            "family": f.family,
            "source": f.source or None,
        }
        for f in fitted.features
    ]


def write_features(workspace: Workspace, as_of_us: int, path: Path) -> tuple[int, int]:
    """Write customer_id, as_of and every feature as Parquet, chunk by chunk; returns (customers, features).

    Raises:
        CorredorError: the file is not to be .parquet.
    """
    if path.suffix != ".parquet":
        raise CorredorError(f"{path}: features are written as Parquet. Let the name end in .parquet.")
    fitted, histories = _fitted(workspace, as_of_us), workspace.histories
    as_of = local_date(as_of_us, workspace.config.project.zone)
    schema = pa.schema(
        [
            ("customer_id", pa.string()),
            ("as_of", pa.string()),
            *((name, pa.float32()) for name in fitted.names),
        ]
    )

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for low in range(0, histories.n_customers, CHUNK):
                chosen = np.arange(low, min(low + CHUNK, histories.n_customers))
                X = fitted.snapshots(histories, np.array([as_of_us]), chosen)[:, 0]
                columns = [pa.array(X[:, j], from_pandas=True) for j in range(X.shape[1])]
                ids = histories.customer_ids.take(pa.array(chosen))
                writer.write_batch(
                    pa.RecordBatch.from_arrays(
                        [ids, pa.array([as_of] * len(chosen)), *columns], schema=schema
                    )
                )

    write_atomically(path, write)
    return histories.n_customers, len(fitted.names)


def _fitted(workspace: Workspace, as_of_us: int) -> FittedFeatures:
    config = workspace.config
    return fit_features(workspace.histories, config, config.activity, fit_before=as_of_us, until=as_of_us)
