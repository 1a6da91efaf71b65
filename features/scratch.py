"""DuckDB for our own use: reading, checking and parsing what is already in memory."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

Connection = Any


def scratch() -> Connection:
    """Open a session, in UTC, that sees only what is registered in it; to be closed by `with`."""
    return _database(os.getpid()).cursor()


@lru_cache(maxsize=1)
def _database(process: int) -> Connection:
    """Return this process's database in memory: a session of it opens a hundred times faster."""
    import duckdb  # here, so that the service, which never opens one, need not load it

    del process  # a database does not survive a fork
    database = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
    database.execute("set global TimeZone = 'UTC'")
    return database
