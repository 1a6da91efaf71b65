"""The DuckDB session in which the `[sources]` queries run: it reads what it was given, and nothing else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.queries import LINED, ROW

Connection = Any
THREAD = 256 << 20
"""Bytes that a thread takes which scans a large Parquet file."""


@contextmanager
def locked_session(
    relations: Mapping[str, pa.Table | str],
    *,
    folders: Sequence[Path],
    timezone: str,
    disk: Path | None = None,
    memory: int | None = None,
) -> Iterator[Connection]:
    """Open a session with the given relations as views, reading from the given folders only.

    A relation is an Arrow table, or the SQL that scans Parquet files. One with the hidden row column
    is seen twice: without that column under its name, and with it under the prefix `__lines_`.

    Times without a zone are read, and calendars counted, in `timezone`. Nothing can be attached,
    installed, written, or set. What does not fit in `memory` (bytes) goes to the folder `disk`, which may be
    read too.
    """
    with tempfile.TemporaryDirectory(prefix="corredor-", dir=disk) as spill:
        connection = duckdb.connect(
            ":memory:",
            config={
                "python_enable_replacements": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
                "temp_directory": spill,
                **({} if memory is None else _limited(memory)),
            },
        )
        try:
            connection.execute(f"set TimeZone = {quoted(timezone)}")
            with suppress(duckdb.InvalidInputException):  # a notebook without what the bar needs has none
                connection.execute("set enable_progress_bar = false")
            for name, relation in relations.items():
                _add(connection, name, relation)
            allowed = ", ".join(quoted(f"{folder}/") for folder in (*folders, disk or spill))
            connection.execute(f"set allowed_directories = [{allowed}]")
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            yield connection
        finally:
            connection.close()


def _limited(memory: int) -> dict[str, str]:
    """Return the settings that keep queries within so many bytes: what a thread scans counts too."""
    threads = max(1, min(os.cpu_count() or 1, memory // THREAD))
    return {"memory_limit": f"{memory}B", "threads": str(threads)}


def quoted(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _add(connection: Connection, name: str, relation: pa.Table | str) -> None:
    """Make a relation visible under its name."""
    if isinstance(relation, str):
        connection.execute(f"create view {identifier(LINED + name)} as {relation}")
    elif ROW not in relation.column_names:
        connection.register(name, relation)
        return
    else:
        connection.register(LINED + name, relation)
    view = f"select * exclude ({identifier(ROW)}) from {identifier(LINED + name)}"
    connection.execute(f"create view {identifier(name)} as {view}")
