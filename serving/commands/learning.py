"""The verbs that learn: train, backtest, promote."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from serving.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigFile,
    Debug,
    Engine,
    Master,
    check_engine,
)


def train(
    config: ConfigFile = DEFAULT_CONFIG,
    until: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Use only what was known before this day; by default all."),
    ] = None,
    sample: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Learn from a share of the customers, drawn by their ids."),
    ] = 1.0,
    engine: Engine = "embedded",
    master: Master = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train the models, test them on later dates, and register them as the challenger."""
    from features.sampling import check_share
    from serving.commands.show import trained_lines
    from serving.console import say, say_json, steps
    from serving.learning import train_and_register
    from serving.workspace import open_workspace, sample_of

    check_share(sample)
    on_spark = check_engine(engine, {"--master": master})
    with ExitStack() as held:
        step = held.enter_context(steps(quiet=as_json))
        snapshots = None
        with step("reading the sources"):
            if on_spark:
                from serving.spark_learning import open_spark_workspace

                workspace, snapshots = held.enter_context(open_spark_workspace(config, master, sample))
            else:
                workspace = sample_of(open_workspace(config), sample)
        day = workspace.as_of(until)
        trained = train_and_register(workspace, day, step, share=sample, snapshots=snapshots)
    if as_json:
        say_json(trained.to_json())
    else:
        say(*trained_lines(trained))


def backtest(
    config: ConfigFile = DEFAULT_CONFIG,
    dates: Annotated[
        str | None, typer.Option(metavar="D1,D2,…", help="Past days to train before and to test after.")
    ] = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Also train without each family of features.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train and test as it would have been at past dates, beside the baselines."""
    from serving.commands.show import show_backtest
    from serving.console import say_json, steps
    from serving.learning import run_backtest
    from serving.workspace import open_workspace

    with steps(quiet=as_json) as step:
        with step("reading the sources"):
            workspace = open_workspace(config)
        chosen = [day.strip() for day in dates.split(",") if day.strip()] if dates else None
        found = run_backtest(workspace, chosen, step, ablation=ablate)
    if as_json:
        say_json(found.to_json())
    else:
        show_backtest(found)


def promote(
    version: Annotated[str, typer.Argument(help="A version's number, or an alias.")] = "challenger",
    config: ConfigFile = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option(help="Even if it is not better than the baselines.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a registered version the champion: the one that scores."""
    from dataclasses import asdict

    from serving.console import say, say_json
    from training.config import load_config
    from training.registry import promote as make_champion

    found = make_champion(load_config(config), version, force=force)
    if as_json:
        say_json(asdict(found))
    else:
        say(f"{found.name} version {found.version} ({found.bundle_id[:12]}) is the champion now.")
