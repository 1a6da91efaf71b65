"""The verbs that begin a workspace: init, demo, simulate."""

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


def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the workspace is to be.")] = Path("simulated"),
    customers: Annotated[
        int, typer.Option(help="How many customers; about half are there at a time.")
    ] = 5_000,
    months: Annotated[int, typer.Option(help="How many months, 8 at least.")] = 24,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bytes.")] = 0,
    start: Annotated[str, typer.Option(metavar="DATE", help="The first day.")] = "2024-01-01",
    debug: Debug = False,
) -> None:
    """Write the workspace of a simulated company whose truth is known."""
    from datetime import date

    from features.errors import CorredorError
    from serving.console import say, steps
    from training.simulate import simulate as simulate_company

    try:
        first = date.fromisoformat(start)
    except ValueError:
        raise CorredorError(f"--start {start!r} is not a date such as 2024-01-01.") from None
    with steps() as step, step(f"writing {folder} ({customers:,} customers, {months} months)") as advance:
        done = simulate_company(folder, customers, months=months, seed=seed, start=first, advance=advance)
    say(
        f"{done.rows['customers']:,} customers, {done.rows['touchpoints']:,} touchpoints, seed {seed}.",
        f"Wrote {done.config}, the tables in {folder / 'data'}, and what is true of them in {done.truth}.",
        f"Next: cd {folder}, then corredor check",
    )
