"""The command `corredor`: a verb for each thing that people do in a workspace."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from serving.commands import corridor, data, learning, use, workspace

app = typer.Typer(
    name="corredor",
    help="Who is about to leave, how much is at stake, and which moments of truth are behind it.",
    epilog="Start with `corredor demo`, or with `corredor init` in a folder of your own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

START, DATA, LEARN, USE = "Start", "Data", "Learn", "Use"
for panel, verbs in (
    (START, (workspace.init, workspace.demo, workspace.simulate)),
    (DATA, (data.check, data.ingest, data.features)),
    (LEARN, (learning.train, learning.backtest, learning.promote)),
    (USE, (use.score, use.explain, use.report, corridor.corridor, use.serve)),
):
    for verb in verbs:
        app.command(rich_help_panel=panel)(verb)


def main() -> NoReturn:
    """Run the command line; an error is one line on stderr and exit code 1."""
    # before anything imports OpenMP or MLflow: no spinning threads, nothing sent anywhere
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="corredor")
    except Exception as error:  # noqa: BLE001 - whatever it is, a person reads one line
        if debug:
            raise
        _complain(error)
    sys.exit(1)


def _complain(error: Exception) -> None:
    from features.errors import CorredorError
    from serving.console import note

    text = " ".join(str(error).split())
    if isinstance(error, CorredorError):
        note(f"corredor: {text}")
    elif isinstance(error, OSError) and error.strerror:
        note(f"corredor: {error.filename or 'file'}: {error.strerror}.")
    else:
        kind = type(error).__name__
        note(f"corredor: unexpected {kind}: {text[:300]} (repeat with --debug to see where)")
