"""A workspace in a few lines: files, tables declared over them, and what loading gives."""

from __future__ import annotations

import textwrap
from pathlib import Path

from features.clock import as_of_us
from features.contract import Tables
from features.settings import DataSettings
from features.sources import load_tables

NOW = as_of_us("2027-01-01T00:00:00Z", None)  # type: ignore[arg-type]
CALLS = "select customer, moment as occurred_at, 'call' as kind from calls"


def settings_of(
    sources: dict[str, str] | str, files=None, databases=None, timezone="UTC", data_folders=()
) -> DataSettings:
    if isinstance(sources, str):
        sources = {"touchpoints": sources}
    return DataSettings.model_validate(
        {
            "project": {"name": "test", "timezone": timezone, "data_folders": data_folders},
            "sources": sources,
            "files": files or {},
            "databases": databases or {},
        }
    )


def load(folder: Path, sources, files=None, **rest) -> Tables:
    return load_tables(settings_of(sources, files, **rest), folder, extracted_us=NOW)


def csv_of(folder: Path, text: str, name: str = "calls.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(textwrap.dedent(text).lstrip("\n").encode(encoding))
    return path


def times(tables: Tables, column: str = "occurred_at", table: str = "touchpoints") -> list[str]:
    """Moments in UTC as ISO text, in order."""
    return sorted(t.strftime("%Y-%m-%dT%H:%M:%S") for t in tables[table][column].to_pylist() if t)


def rows(tables: Tables, table: str = "touchpoints") -> list[dict]:
    """Rows in an order of their own."""
    return sorted(tables[table].to_pylist(), key=repr)
