"""A list as a file: CSV that no spreadsheet runs, or Parquet; the whole file, or the one there was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.durable import write_atomically
from features.errors import CorredorError

if TYPE_CHECKING:
    from serving.batch import AtRiskList

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
SOUGHT_BY = ["rank", "customer_id", "churn_probability", "value_at_risk"]
"""Columns whose bounds a Parquet file tells, for those who read only some of its rows."""
_SPECIAL = re.compile(r'[",\r\n]')


def write_list(found: AtRiskList, path: Path) -> Path:
    """Write a list as CSV or Parquet, by the ending of its name: whole or not at all.

    In CSV a text that a spreadsheet would run as a formula, or that begins with an apostrophe, gets
    an apostrophe in front; numbers stay as they are. To read an id back, drop one leading apostrophe.

    Raises:
        CorredorError: the name ends in something else.
    """
    if path.suffix == ".parquet":
        return write_atomically(path, lambda temporary: _write_parquet(found, temporary))
    if path.suffix == ".csv":
        return write_atomically(path, lambda temporary: _write_csv(found, temporary))
    raise _unknown_ending(path)


def check_ending(path: Path) -> None:
    """Check that a list can be written under a name, before it is made.

    Raises:
        CorredorError: the name ends in neither .csv nor .parquet.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise _unknown_ending(path)


def _unknown_ending(path: Path) -> CorredorError:
    return CorredorError(f"{path}: a list is written as .csv or .parquet. Give it one of these endings.")


def harmless(text: str) -> str:
    r"""Return text as a CSV cell that no spreadsheet takes for a formula.

    >>> harmless("=1+1"), harmless("-5"), harmless("'quoted"), harmless("007")
    ("'=1+1", "'-5", "''quoted", '007')
    """
    return "'" + text if text.startswith((*FORMULA_STARTS, "'")) else text


def _write_csv(found: AtRiskList, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_rows([found.schema.names]))
        for batch in found.batches():
            cells = [_cells(column) for column in batch.columns]
            file.write("".join([",".join(row) + "\n" for row in zip(*cells, strict=True)]))


def csv_rows(rows: Iterable[Sequence[str]]) -> str:
    r"""Return rows of cells as CSV text, quoted where needed.

    >>> csv_rows([["a", 'b "c", d', "e\r"]])
    'a,"b ""c"", d","e\r"\n'
    """
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell


def _cells(column: pa.Array) -> list[str]:
    """Return a column as cells of CSV, quoted where needed."""
    if not pa.types.is_string(column.type):
        return ["" if v is None else repr(v) for v in column.to_pylist()]
    different = column.dictionary_encode()  # most texts of a list are said many times
    told = [_quoted(harmless(text)) for text in different.dictionary.to_pylist()]
    told.append("")
    return [told[i] for i in pc.fill_null(different.indices, len(told) - 1).to_pylist()]


def _write_parquet(found: AtRiskList, path: Path) -> None:
    repeated = [f.name for f in found.schema if pa.types.is_string(f.type) and f.name != "customer_id"]
    with pq.ParquetWriter(
        path, found.schema, compression="zstd", use_dictionary=repeated, write_statistics=SOUGHT_BY
    ) as writer:
        for batch in found.batches():
            writer.write_batch(batch)
