"""The verbs that begin a workspace: init, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serving.commands.options import Debug


def init(
    folder: Annotated[Path, typer.Argument(help="Where the workspace is to be.")] = Path(),
    debug: Debug = False,
) -> None:
    """Write a commented starting configuration."""
    from serving.console import say
    from serving.starter import write_starter

    path = write_starter(folder / "corredor.toml")
    say(f"Wrote {path}. Say in it where your data is, then run: corredor check -c {path}")


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demo's workspace is to be.")] = Path("demo"),
    debug: Debug = False,
) -> None:
    """Run everything on a year of grocery trips: check, train, score, list, report."""
    from serving.commands.show import show_demo
    from serving.console import steps
    from serving.demo import run_demo

    with steps() as step:
        done = run_demo(folder, step)
    show_demo(done)
