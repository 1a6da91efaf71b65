"""One training as an MLflow run: what is written into it, and how it ends whatever happens."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import re
import signal
import tempfile
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from filelock import FileLock, Timeout

from features.errors import CorredorError
from training.bundle import Bundle
from training.config import Config
from training.tracking import open_experiment, public_settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PROCESS_TAG = "corredor.process"
_PARAMETERS = ("churn", "principality", "features", "value", "training")


@dataclass
class Run:
    """A run that is being written."""

    client: MlflowClient
    config: Config
    id: str
    experiment_id: str
    registered: bool = False
    """Whether its model is in the registry: from then on it cannot fail any more."""

    def describe(
        self, bundle: Bundle, plots: Mapping[str, bytes | str], fingerprints: Mapping[str, Any]
    ) -> None:
        """Write what is known of a training: settings, measures, plots, moments, data fingerprints."""
        from mlflow.entities import Metric, Param, RunTag

        settings = public_settings(self.config)
        stored = {name: settings[name] for name in _PARAMETERS} | {"window": asdict(bundle.window)}
        parameters = [Param(key, str(value)[:6000]) for key, value in _flat(stored)]
        metrics = [
            Metric(key, float(value), 0, 0)
            for key, value in _flat(bundle.measures)
            if isinstance(value, int | float) and math.isfinite(value)
        ]
        tags = [
            RunTag("corredor.bundle", bundle.id),
            RunTag("corredor.verdict", bundle.verdict or "not judged"),
            *(RunTag(f"corredor.version.{name}", version) for name, version in bundle.versions.items()),
        ]
        # a store takes at most 100 parameters and 1,000 measures at once
        for low in range(0, len(parameters), 100):
            self.client.log_batch(self.id, params=parameters[low : low + 100])
        for low in range(0, len(metrics), 900):
            self.client.log_batch(self.id, metrics=metrics[low : low + 900])
        self.client.log_batch(self.id, tags=tags)
        self.client.log_dict(self.id, settings, "configuration.json")
        self.client.log_dict(self.id, dict(fingerprints), "data.json")
        self.client.log_dict(self.id, dict(bundle.moments), "moments.json")
        self.client.log_dict(self.id, dict(bundle.measures), "measures.json")
        for name, content in plots.items():
            _log_file(self.client, self.id, name, content)

    def end(self, status: str) -> None:
        """Mark the run as `FINISHED`, `FAILED` or `KILLED`."""
        self.client.set_terminated(self.id, status)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a few calls end before SIGTERM or an interrupt from the keyboard ends the process.

    A call to the store that is broken off may go on holding it, and how the run ended cannot be written. A
    second signal waits for nothing.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            _stop(number, frame)

    with _on_signals(note, signal.SIGTERM, signal.SIGINT):
        yield
    if came:
        raise SystemExit(128 + came[0])


@contextlib.contextmanager
def recorded_run(client: MlflowClient, config: Config) -> Iterator[Run]:
    """Open a run, and mark it as failed or killed when its training does not reach the registry.

    Under `mlflow run` it is the run that MLflow has made. A run whose process was killed without a
    chance to say so is marked by the next training.
    """
    experiment = open_experiment(client, config)
    folder = config.folder.absolute() / ".corredor" / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    _mark_abandoned(client, folder, experiment)
    # The lock is there before the run, which names it from its first moment: a process that is killed
    # right then leaves a run that the next training can tell from one that goes on.
    process = uuid.uuid4().hex
    alive = folder / f"{process}.lock"
    run: Run | None = None
    try:
        with FileLock(alive).acquire(timeout=0), _on_signals(_stop, signal.SIGTERM):
            with uninterrupted():
                identity = _inherited_run(client)
                if identity is None:
                    identity = client.create_run(experiment, tags={_PROCESS_TAG: process}).info.run_id
                else:
                    client.set_tag(identity, _PROCESS_TAG, process)
                run = Run(client, config, identity, experiment)
            yield run
    except BaseException as error:
        if run is not None and not run.registered:
            _end(run, error)
        elif run is None:
            with contextlib.suppress(Exception):
                _kill_runs(client, experiment, process)
        raise
    finally:
        alive.unlink(missing_ok=True)


def _end(run: Run, error: BaseException) -> None:
    """Mark a run as failed or killed.

    A call that a signal broke off may hold the store, as long as what it left is not collected: the frames
    of the error, whose place nobody asks for.
    """
    if not isinstance(error, Exception):
        traceback.clear_frames(error.__traceback__)
        gc.collect()
    with contextlib.suppress(Exception):
        run.end("FAILED" if isinstance(error, Exception) else "KILLED")


def _inherited_run(client: MlflowClient) -> str | None:
    from mlflow import MlflowException

    identity = os.environ.get("MLFLOW_RUN_ID")
    if identity is not None:
        try:
            client.get_run(identity)
        except MlflowException:
            raise CorredorError(
                f"the run {identity} of MLFLOW_RUN_ID is not in the tracking store. Give MLFLOW_TRACKING_URI "
                "as an address that does not depend on the folder, such as sqlite:////srv/mlflow.db."
            ) from None
    return identity


def _mark_abandoned(client: MlflowClient, folder: Path, experiment: str) -> None:
    """Mark as killed the running runs whose processes are gone: the system has let go of their locks."""
    for left in folder.glob("*.lock"):
        with contextlib.suppress(Timeout), FileLock(left).acquire(timeout=0):
            with contextlib.suppress(Exception):
                _kill_runs(client, experiment, left.stem)
            left.unlink(missing_ok=True)


def _kill_runs(client: MlflowClient, experiment: str, process: str) -> None:
    """Mark as killed what a process left running."""
    for run in client.search_runs([experiment], f"tags.`{_PROCESS_TAG}` = '{process}'"):
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _on_signals(handler: Callable[[int, FrameType | None], Any], *numbers: int) -> Iterator[None]:
    """Handle signals for a while; only the main thread can ask for that, any other goes on as it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, was in zip(numbers, before, strict=True):
            signal.signal(number, was)


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:  # names of segments come from the data; a store takes few characters
        yield re.sub(r"[^\w\-. ]", "_", prefix)[:250], value


def _log_file(client: MlflowClient, run_id: str, name: str, content: bytes | str) -> None:
    if "/" in name or name.startswith("."):
        raise CorredorError(f"{name!r} cannot be the name of a plot.")
    with tempfile.TemporaryDirectory(prefix="corredor-") as scratch:
        path = Path(scratch) / name
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        client.log_artifact(run_id, str(path), "plots")
