"""The configuration that a new workspace begins with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from features.durable import write_text
from features.errors import CorredorError


def write_starter(path: Path) -> Path:
    """Write the commented starting configuration and return its path.

    Raises:
        CorredorError: there is a configuration already; it is never overwritten.
    """
    if path.exists():
        raise CorredorError(
            f"{path}: is there already and stays as it is. Choose another folder, or edit it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, starter())
    return path


def starter() -> str:
    """Return the text of the commented starting configuration."""
    return files("serving").joinpath("templates/corredor.toml").read_text(encoding="utf-8")
