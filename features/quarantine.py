"""Rows that could not be taken in, each with where it stands and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from features.durable import write_atomically
from features.errors import CorredorError
from features.scratch import scratch

SCHEMA = pa.schema(
    [
        ("source", pa.string()),  # files.NAME, or the table
        ("file", pa.string()),
        ("line", pa.int64()),  # where the row begins in a text file, counted from 1
        ("row", pa.int64()),  # where files have no lines: the row of the file, else of the query's result
        ("column", pa.string()),
        ("reason", pa.string()),
        ("content", pa.string()),  # the raw row, or the query's row as JSON
    ]
)


HELD_ROWS = 50_000
"""Rows that are held before they are handed on."""


@dataclass
class Quarantine:
    """The rows put aside so far; where there is somebody to `take` them, they are handed on and not held."""

    take: Callable[[pa.Table], object] | None = None
    parts: list[pa.Table] = field(default_factory=list)
    _counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, n_rows: int, **columns: Any) -> None:
        """Put `n_rows` rows aside; each column is an array, or one value for all of them, or left out."""
        if not n_rows:
            return
        arrays = []
        for at in SCHEMA:
            value = columns.get(at.name)
            if isinstance(value, (str, int)) or value is None:
                arrays.append(pa.repeat(pa.scalar(value, at.type), n_rows))
            else:
                arrays.append(pa.array(value, at.type) if not isinstance(value, pa.ChunkedArray) else value)
        part = pa.table(arrays, schema=SCHEMA)
        self.parts.append(part)
        told = part.group_by(["source", "column", "reason"], use_threads=False).aggregate([([], "count_all")])
        for row in told.to_pylist():
            reason = f"{row['column']}: {row['reason']}" if row["column"] else row["reason"]
            self._counts.setdefault(row["source"], Counter())[reason] += row["count_all"]
        if self.take is not None and sum(map(len, self.parts)) >= HELD_ROWS:
            self.hand_on()

    def hand_on(self) -> None:
        """Hand on what is held."""
        if self.take is not None and self.parts:
            self.take(self.table())
            self.parts.clear()

    def table(self) -> pa.Table:
        """Return the rows put aside that are held."""
        return pa.concat_tables(self.parts) if self.parts else empty_quarantine()

    def reasons(self, source: str) -> dict[str, int]:
        """Return how many rows of a source were put aside for each reason."""
        return dict(self._counts.get(source, Counter[str]()).most_common())


def empty_quarantine() -> pa.Table:
    """Return a quarantine without rows."""
    return SCHEMA.empty_table()


def rows_as_json(table: pa.Table) -> pa.Array:
    """Return each row of a table as one JSON object in text."""
    with scratch() as connection:
        connection.register("rows", table)
        told = connection.sql("select to_json(rows)::varchar as t from rows").to_arrow_table()
    return told["t"].combine_chunks()


def write_quarantine(table: pa.Table, path: Path) -> Path:
    """Write the rows put aside, whole or not at all, for its owner's eyes only; return the path.

    In CSV, a text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return write_atomically(path, lambda to: pq.write_table(table, to), mode=0o600)
    if path.suffix != ".csv":
        raise CorredorError(f"{path.name}: a quarantine is written as .csv or .parquet.")
    for i, at in enumerate(table.schema):
        if at.type == pa.string():
            harmless = pc.replace_substring_regex(table[at.name], r"\A([=+\-@\t\r])", r"'\1")
            table = table.set_column(i, at, harmless)
    return write_atomically(path, lambda to: pa_csv.write_csv(table, to), mode=0o600)
