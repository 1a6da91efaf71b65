"""The verb that shows the corridor: the map, and the stretches to repair."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serving.commands.options import DEFAULT_CONFIG, AsJson, ConfigFile, Debug
from serving.commands.use import AsOf


def corridor(
    config: ConfigFile = DEFAULT_CONFIG,
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option(help="The page to write, such as map.html.")] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the journeys that come through this channel.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Whose probabilities of leaving count: a registered version's number, an alias, or `none`; "
            "the champion by default, if there is one.",
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell where the corridor is congested or blocked, since when, and the value at risk; draw its map."""
    from features.errors import CorredorError
    from serving.console import say, say_json, steps
    from serving.map import write_map
    from serving.map_words import repair_lines, repair_rows, show_corridor
    from serving.workspace import open_workspace
    from training.corridor import read_corridor
    from training.registry import champion_at_hand, champion_bundle

    with steps(quiet=as_json) as step:
        with step("reading the sources"):
            workspace = open_workspace(config)
        with step("looking for a model"):
            bundle = None
            if model is None:
                try:
                    bundle = champion_at_hand(workspace.config)
                except CorredorError as error:
                    raise CorredorError(f"{error} Or do without a model: --model none.") from None
            elif model != "none":
                bundle = champion_bundle(workspace.config, model)
        with step("walking the journeys"):
            found = read_corridor(
                workspace.histories,
                workspace.config,
                workspace.as_of(as_of),
                channel=channel,
                bundle=bundle,
            )
        if out is not None:
            with step(f"drawing {out}"):
                write_map(found, workspace.config, out)
    if as_json:
        version = found.repairs.model_version
        rows = repair_rows(found, workspace.config)
        say_json({"repairs": rows, "model_version": version, "map": out and str(out)})
        return
    show_corridor(found, workspace.config)
    say(*repair_lines(found, workspace.config))
    if out is not None:
        say(f"Wrote {out}: open it in a browser.")
