"""The options that several verbs share, written once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from features.errors import CorredorError

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The workspace's configuration.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error happened.")]
AsOf = Annotated[
    str, typer.Option("--as-of", metavar="DATE", help="What was known before this day, such as 2017-11-26.")
]

DEFAULT_CONFIG = Path("corredor.toml")
Engine = Annotated[
    str,
    typer.Option(metavar="embedded|spark", help="Where the work is done: here, or by Spark's workers."),
]
Master = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Spark's master, such as local[2]; by default as configured."),
]


def check_engine(
    engine: str, spark: Mapping[str, object], *, embedded: Mapping[str, object] | None = None
) -> bool:
    """Return whether Spark is asked for, after checking that no option is of the other engine.

    Args:
        engine: what was asked for.
        spark: options of Spark alone, and their values; None: not given.
        embedded: options of the embedded engine alone.

    Raises:
        CorredorError: there is no such engine, or an option that it has not.
    """
    if engine not in ("embedded", "spark"):
        raise CorredorError(f"--engine {engine}: choose embedded or spark.")
    for name, value in ((embedded or {}) if engine == "spark" else spark).items():
        if value is not None:
            other = "embedded" if engine == "spark" else "spark"
            raise CorredorError(f"{name}: is an option of --engine {other}.")
    return engine == "spark"
