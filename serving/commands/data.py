"""The verbs that look at the data, and take it in: check, ingest, features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serving.commands.options import DEFAULT_CONFIG, AsJson, ConfigFile, Debug


def check(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Tell what the data hold, what is missing and what that costs, and whether it is enough."""
    from serving.commands.show import show_preflight
    from serving.console import say, say_json, steps
    from serving.workspace import open_workspace
    from training.preflight import preflight

    with steps(quiet=as_json) as step:
        with step("reading the sources"):
            workspace = open_workspace(config)
        with step("looking at them"):
            found = preflight(workspace.tables, workspace.histories, workspace.config)
    aside = None
    if workspace.tables.quarantine.num_rows:
        aside = workspace.tables.write_quarantine(workspace.config.folder / ".corredor" / "quarantine.csv")
    if as_json:
        say_json({**found.to_json(), "quarantine": aside and str(aside)})
    else:
        show_preflight(found)
        if aside is not None:
            say(f"The rows put aside, each with its reason: {aside}")
    raise typer.Exit(0 if found.enough else 1)


def ingest(
    config: ConfigFile = DEFAULT_CONFIG,
    buckets: Annotated[
        int | None,
        typer.Option(metavar="N", help="Parts to cut the company into; at first 64."),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what was ingested before.")] = False,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the run may take, such as 2GB.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Take the sources in by bucket of customers: new files only; what is there already stays."""
    from features.ingesting import ingest as take_in
    from serving.console import say, say_json, steps
    from serving.memory import bytes_of
    from serving.workspace import STORE
    from training.config import load_config

    settings = load_config(config)
    store = settings.folder / STORE
    with steps(quiet=as_json) as step, step("taking the sources in") as tell:
        taken = take_in(
            settings,
            settings.folder,
            store,
            buckets=buckets,
            anew=anew,
            memory=None if memory is None else bytes_of(memory),
            tell=tell,
        )
    counts = {
        name: {"rows": sum(facts.buckets.values()) + facts.aside + facts.copies, "quarantined": facts.aside}
        for name, facts in taken.tables.items()
    }
    if as_json:
        say_json({"files": taken.files, "known": taken.known, "tables": counts, "whole": taken.whole})
        return
    say(f"{taken.files} new files, {taken.known} that were ingested before.")
    for name, count in counts.items():
        how = "told anew as a whole" if name in taken.whole else "added"
        say(f"  {name}: {count['rows']:,} rows in, {count['quarantined']:,} of them quarantined; {how}")
    say(f"In {store}: from now on every verb reads it. Duplicates count once over all ingests.")


def features(
    config: ConfigFile = DEFAULT_CONFIG,
    build: Annotated[
        bool, typer.Option("--build", help="Compute the features, one row per customer.")
    ] = False,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="The day they are known before.")] = None,
    out: Annotated[Path | None, typer.Option(help="The Parquet file to write.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the features: name, unit, what it says, its moment of truth, where its formula is from."""
    from features.errors import CorredorError
    from serving.catalog import feature_rows, write_features
    from serving.console import say, say_json, say_table, steps
    from serving.workspace import open_workspace

    if build and (as_of is None or out is None):
        raise CorredorError("features --build needs --as-of DATE and --out FILE.parquet.")
    if not build and out is not None:
        raise CorredorError("features --out writes a file only together with --build.")
    with steps(quiet=as_json) as step:
        with step("reading the sources"):
            workspace = open_workspace(config)
        moment = workspace.as_of(as_of)
        if build and out is not None:
            with step("computing the features"):
                shape = write_features(workspace, moment, out)
    if build:
        say(f"Wrote {out}: {shape[0]:,} customers, {shape[1]:,} features.")
        return
    rows = feature_rows(workspace, moment)
    if as_json:
        say_json(rows)
    else:
        say_table(
            ("feature", "unit", "says", "moment of truth", "source"),
            [(r["name"], r["unit"], r["sentence"], r["moment"], r["source"] or "") for r in rows],
            wrap=("says", "moment of truth", "source"),
        )
        say(f"{len(rows)} features.")
