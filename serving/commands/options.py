"""The options that several verbs share, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The workspace's configuration.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error happened.")]
AsOf = Annotated[
    str, typer.Option("--as-of", metavar="DATE", help="What was known before this day, such as 2017-11-26.")
]

DEFAULT_CONFIG = Path("corredor.toml")
