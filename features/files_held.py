"""The rows of files on their way to a query: held in memory, or on the disk, a part at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.lockdown import quoted


class RowsHeld:
    """Takes tables; has their rows together in the end, with all the columns that any of them has.

    With a folder, they are written to it as they come and scanned from there by DuckDB, so that there may
    be more than memory holds. The folder is the caller's to remove.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Begin without rows."""
        self.folder = folder
        self.rows = 0
        self.names: list[str] = []
        """The columns so far."""
        self._tables: list[pa.Table] = []
        self._paths: list[Path] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Take some rows."""
        self.rows += len(table)
        self.names += [name for name in table.column_names if name not in self.names]
        if self.folder is None:
            self._tables.append(table)
            return
        if self._writer is None or table.schema != self._writer.schema:
            self._close()
            self._paths.append(self.folder / f"{len(self._paths):06d}.parquet")
            # statistics would only have a scan leave parts out, for which NaN is not ordered as in a query
            self._writer = pq.ParquetWriter(
                self._paths[-1], table.schema, compression="lz4", use_dictionary=False, write_statistics=False
            )
        self._writer.write_table(table)

    def relation(self) -> pa.Table | str:
        """Return the rows as one table, or the SQL that scans them."""
        if self.folder is None:
            return pa.concat_tables(self._tables, promote_options="permissive")
        self._close()
        return scan_of(self._paths)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def scan_of(paths: Sequence[Path], more: str = "") -> str:
    """Return the SQL that scans Parquet files by the names of their columns; `more` are further columns."""
    listed = ", ".join(quoted(str(path)) for path in paths)
    return f"select *{more} from read_parquet([{listed}], union_by_name = true)"
