"""The Parquet files of one bucket of a table: where they are, how they are written, what they give back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import CorredorError

CODED = ["customer_id", "kind", "channel", "item", "agent_id", "team", "outcome"]
"""Texts of touchpoints that are few, or of many rows each."""
_CODES = pa.dictionary(pa.int32(), pa.string())


def bucket_path(folder: str, table: str, bucket: int, piece: int = 0) -> Path:
    """Return where an ingest keeps a bucket of a table, relative to the store."""
    return Path(folder) / table / f"{bucket:04d}-{piece}.parquet"


def rows_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a file of a bucket for writing, for the least work when it is read, again and again.

    Texts may come as Arrow dictionaries, and are texts in it.
    """
    times = [at.name for at in schema if pa.types.is_timestamp(at.type)]
    texts = [at.name for at in schema if pa.types.is_string(at.type) or pa.types.is_dictionary(at.type)]
    return pq.ParquetWriter(
        path,
        schema,
        compression="lz4",
        use_dictionary=texts,
        column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
        write_statistics=False,
        store_schema=False,
    )


def read_rows(paths: Sequence[Path], schema: pa.Schema, rows: int, *, coded: bool = False) -> list[pa.Table]:
    """Return the rows of a bucket that one ingest holds, with all columns of a table, null where it has none.

    Args:
        paths: the files that it may have.
        schema: the table's columns.
        rows: how many there must be.
        coded: leave names that many rows share as Arrow dictionaries, which reads faster.

    Raises:
        CorredorError: there are not so many: an ingest has put the data elsewhere since, or damage.
    """
    try:
        found = [_read(path, schema, coded) for path in paths if path.is_file()]
    except (OSError, pa.ArrowInvalid):
        found = []
    if sum(map(len, found)) != rows:
        raise CorredorError(
            f"{paths[0].parent}: holds other rows than it did. If an ingest ended meanwhile, run this again; "
            "else run `corredor ingest --anew`."
        )
    return found


def _read(path: Path, schema: pa.Schema, coded: bool) -> pa.Table:
    """Return one file with all columns of the table, null where it has none."""
    metadata = pq.read_metadata(path)
    codes = [name for name in metadata.schema.names if coded and name in CODED]
    with pq.ParquetFile(path, metadata=metadata, read_dictionary=codes or None) as file:
        found = file.read(use_threads=False)
    for at in schema:
        if at.name not in found.column_names:
            found = found.append_column(at, pa.nulls(len(found), at.type))
    wanted = coded_schema(schema) if coded else schema
    return found if found.schema.equals(wanted) else found.select(schema.names).cast(wanted)


def coded_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema with the names that many rows share as Arrow dictionaries."""
    return pa.schema([at.with_type(_CODES) if at.name in CODED else at for at in schema])
