"""The tables of `[databases.*]`: SQLite and PostgreSQL through ADBC, read only, as Arrow."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa

from features.errors import CorredorError
from features.files import find_files
from features.names import check_name
from features.settings import DatabaseSource

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)?")
_SPARK_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*){0,2}")
_SELECT = re.compile(r"\s*(select|with)\b", re.IGNORECASE)
SPARK = "spark:catalog"
"""The uri of the tables that a Spark session knows by name."""
_LOOK_AHEAD_ROWS = 1 << 20
"""SQLite has a type for each value, not for each column: the driver takes it from this many rows."""


def load_database(
    name: str,
    source: DatabaseSource,
    wanted: Sequence[str],
    *,
    folder: Path,
    folders: Sequence[Path],
    environment: Mapping[str, str] = os.environ,
) -> dict[str, pa.Table]:
    """Return the wanted tables of a `[databases.NAME]`.

    Raises:
        CorredorError: the database cannot be reached, lies outside the folders that may be read, or a
            table cannot be read. The message never holds the URI, which may hold a password.
    """
    where = f"[databases.{name}]"
    uri = _uri(where, source.uri, environment)
    kind, _, rest = uri.partition(":")
    if kind == "sqlite":
        path = find_files(rest.removeprefix("//"), where=where, folder=folder, folders=folders)[0]
        import adbc_driver_sqlite.dbapi as driver

        connect, address = driver.connect, f"file:{quote(str(path))}?mode=ro"
    elif kind in ("postgresql", "postgres"):
        import adbc_driver_postgresql.dbapi as driver

        connect, address = driver.connect, uri
    elif uri == SPARK:
        raise CorredorError(f"{where}: Spark's own tables are read by --engine spark alone.")
    else:
        raise CorredorError(
            f"{where} uri: it begins with sqlite: or postgresql:, is spark:catalog, or env:VARIABLE."
        )
    secrets = _secrets(uri) if kind != "sqlite" else ()
    try:
        with connect(address) as connection, connection.cursor() as cursor:
            if kind == "sqlite":
                cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_LOOK_AHEAD_ROWS)})
            else:
                cursor.execute("set transaction read only")
            return {table: _read(cursor, where, table, source.tables[table]) for table in wanted}
    except CorredorError:
        raise
    except Exception as error:
        raise CorredorError(f"{where}: {_told(error, secrets)}") from None


def spark_table(source: DatabaseSource) -> Callable[[Any, str, str], Any] | None:
    """Return what opens a table of Spark's catalog, `(session, NAME, table) -> data frame`; None: no such."""
    if source.uri != SPARK:
        return None

    def opened(session: Any, name: str, table: str) -> Any:
        what = source.tables[table].rstrip().removesuffix(";")
        if _SELECT.match(what) and ";" not in what:
            return session.sql(what)
        if _SPARK_NAME.fullmatch(what):
            return session.table(what)
        raise CorredorError(
            f"[databases.{name}] tables.{table}: {what[:60]!r} is neither a table nor one select."
        )

    return opened


def _read(cursor: Any, where: str, table: str, what: str) -> pa.Table:
    """Return one table, or the answer to a select."""
    select = what.rstrip().removesuffix(";")
    if _SELECT.match(select) and ";" not in select:
        sql = f"select * from ({select}) as {table}"
    elif _NAME.fullmatch(what):
        sql = "select * from " + ".".join(f'"{part}"' for part in what.split("."))
    else:
        raise CorredorError(f"{where} tables.{table}: {what[:60]!r} is neither a table nor one select.")
    cursor.execute(sql)
    read = cursor.fetch_arrow_table()
    for i, at in enumerate(read.schema):
        check_name(f"{where} tables.{table}", at.name)
        if isinstance(at.type, pa.OpaqueType):
            # PostgreSQL's numeric comes as its digits, since Arrow has nothing as wide
            plain = read[at.name].cast(at.type.storage_type)
            read = read.set_column(
                i, at.name, plain.cast(pa.float64()) if at.type.type_name == "numeric" else plain
            )
    return read


def _uri(where: str, uri: str, environment: Mapping[str, str]) -> str:
    if not uri.startswith("env:"):
        return uri
    variable = uri.removeprefix("env:")
    if not environment.get(variable):
        raise CorredorError(f"{where} uri: the environment variable {variable} is not set.")
    return environment[variable]


def _secrets(uri: str) -> tuple[str, ...]:
    """Return the parts of a URI that no message may hold."""
    try:
        password = urlsplit(uri).password
    except ValueError:
        password = None
    return tuple(part for part in (uri, password) if part)


def _told(error: Exception, secrets: Sequence[str]) -> str:
    """Return a driver's message in one line without secrets."""
    message = " ".join(str(error).split())
    for secret in secrets:
        message = message.replace(secret, "…")
    if "mismatch" in message.lower() or "expected" in message.lower():
        message += " Give the column one type: cast(… as text) in a select."
    return message[:400]
