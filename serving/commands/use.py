"""The verbs that use a model: score, explain, report, serve."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

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

AsOf = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="What was known before this day; by default the day after the data."),
]
Model = Annotated[str, typer.Option(metavar="VERSION", help="A registered version's number, or an alias.")]


def score(
    config: ConfigFile = DEFAULT_CONFIG,
    as_of: AsOf = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="Every known customer, not only those with us and at risk.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The list to write: .csv or .parquet.")] = None,
    top: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most so many customers.")] = None,
    by: Annotated[
        str, typer.Option(metavar="value|risk", help="Sorted by value at risk, or by risk.")
    ] = "value",
    features_out: Annotated[
        Path | None, typer.Option(help="A Parquet file for the features that customers were scored by.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the run may take, such as 2GB.")
    ] = None,
    engine: Engine = "embedded",
    master: Master = None,
    scores_out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="With Spark: keep the rows of all customers here, as Parquet."),
    ] = None,
    model: Model = "champion",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List who is at risk, the most at stake first, with the moments of truth behind it."""
    from features.errors import CorredorError
    from serving.batch import rank
    from serving.commands.show import list_lines, show_list
    from serving.console import note, say, say_json, steps
    from serving.list_files import check_ending, write_list
    from serving.memory import customers_at_a_time
    from serving.nightly import scored
    from serving.workspace import open_night
    from training.registry import champion_bundle
    from training.scoring import CHUNK

    if by not in ("value", "risk"):
        raise CorredorError(f"--by {by}: sort by value or by risk.")
    if out is not None:
        check_ending(out)
    on_spark = check_engine(
        engine,
        {"--master": master, "--scores-out": scores_out},
        embedded={"--memory": memory, "--features-out": features_out},
    )
    with ExitStack() as held:
        step = held.enter_context(steps(quiet=as_json))
        with step("reading the sources"):
            if on_spark:
                from serving.spark_batch import open_spark_night, scores_folder
                from training.config import load_config

                spark_night = held.enter_context(open_spark_night(load_config(config), master))
                night: Any = spark_night
            else:
                night = open_night(config, memory)
            day = night.as_of(as_of)
        with step("opening the model"):
            bundle = champion_bundle(night.config, model)
        with step("scoring") as tell:
            if on_spark:
                folder = held.enter_context(scores_folder(scores_out, out))
                rows = spark_night.score(bundle, day, folder)
            else:
                rows = held.enter_context(
                    scored(
                        bundle,
                        night.parts,
                        night.config,
                        day,
                        out=out,
                        features_out=features_out,
                        chunk=customers_at_a_time(night.limit, len(bundle.fitted.features), CHUNK),
                        tell=tell,
                    )
                )
            found = rank(
                rows,
                bundle,
                night.config,
                day,
                everyone=everyone,
                top=top,
                order="risk" if by == "risk" else "value",
            )
        if out is not None:
            with step(f"writing {out}"):
                write_list(found, out)
        if found.summary["unseen_kinds"]:
            kinds = ", ".join(found.summary["unseen_kinds"])
            note(f"kinds that the model has not seen count as other: {kinds}")
        if as_json:
            told = found.table().to_pylist() if out is None else str(out)
            say_json({"summary": found.summary, "list": told})
            return
        show_list(found, rows=10 if out is not None else 20)
        say(*list_lines(found, config, out))


def explain(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer_id.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_of: AsOf = None,
    model: Model = "champion",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell one customer's risk, the moments of truth behind it, and the very touchpoints."""
    from serving.commands.show_customer import show_explanation
    from serving.console import say_json, steps
    from serving.explaining import explain_customer
    from serving.workspace import open_workspace
    from training.registry import champion_bundle

    with steps(quiet=as_json) as step:
        with step("reading the sources"):
            workspace = open_workspace(config)
        with step("opening the model"):
            bundle = champion_bundle(workspace.config, model)
    found = explain_customer(bundle, workspace.histories, workspace.config, customer, workspace.as_of(as_of))
    if as_json:
        say_json(found)
    else:
        show_explanation(found)


def report(
    config: ConfigFile = DEFAULT_CONFIG,
    as_of: AsOf = None,
    out: Annotated[
        Path | None, typer.Option(help="The page to write; by default report.html beside the data.")
    ] = None,
    model: Model = "champion",
    role: Annotated[
        str | None, typer.Option(help="The reader's role; those in [people] names_to see who served by name.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the report: one page with the list, the moments, how far to trust them, and the data."""
    from serving.batch import at_risk_list
    from serving.console import say, steps
    from serving.report import write_report
    from serving.workspace import open_workspace
    from training.preflight import preflight
    from training.registry import champion_bundle
    from training.service import served_by

    with steps() as step:
        with step("reading the sources"):
            workspace = open_workspace(config)
        with step("opening the model"):
            bundle = champion_bundle(workspace.config, model)
        with step("looking at the data"):
            checked = preflight(workspace.tables, workspace.histories, workspace.config)
        with step("scoring"):
            day = workspace.as_of(as_of)
            vocabulary = bundle.fitted.context.vocabulary
            served = served_by(workspace.histories, workspace.config, vocabulary, day, role=role)
            found = at_risk_list(bundle, workspace.histories, workspace.config, day)
        path = out or workspace.config.folder / "report.html"
        with step("drawing"):
            write_report(found, checked, path, served)
    say(f"Wrote {path}: open it in a browser.")


def serve(
    config: ConfigFile = DEFAULT_CONFIG,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 3000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes, each with the model.")] = 1,
    bundle: Annotated[
        Path | None, typer.Option(help="The folder of a bundle, instead of the workspace's champion.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Answer scoring requests over HTTP."""
    from serving.launch import serve as run_service

    if bundle is None:
        run_service(config, host=host, port=port, workers=workers)
    else:
        run_service(bundle=bundle, host=host, port=port, workers=workers)
