"""`corredor serve`: the scoring service of a workspace, started and stopped."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from features.errors import CorredorError
from serving.keys import load_keys
from serving.settings import load_settings

SERVICE = "serving.service:CorredorService"
STOP_SECONDS = 30
QUIET = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""One thread per worker, and nothing sent anywhere."""


def serve(
    config: Path | None = None,
    *,
    bundle: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 3000,
    workers: int = 1,
) -> None:
    """Run the service until it is told to stop; requests that are being answered are finished.

    Args:
        config: the workspace's configuration, whose champion is served.
        bundle: the folder of a bundle, instead.
        host: the address to listen on; other than loopback, put a proxy with TLS in front.
        port: where.
        workers: processes, each with the model.

    Raises:
        CorredorError: there is no API key, the address cannot be used, or the service failed.
    """
    load_keys()
    load_settings()
    _check_address(host, port)
    verified = ""
    if bundle is None and config is not None:
        bundle, verified = _champion(config)
    home = tempfile.mkdtemp(prefix="corredor-serve-")
    try:
        environment = serving_environment(bundle, workers, Path(home), verified=verified)
        code = _run(_command(host, port), environment)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if code not in (0, -signal.SIGTERM, -signal.SIGINT):
        raise CorredorError(f"the service ended with exit code {code}; see what it wrote above.")


def serving_environment(
    bundle: Path | None,
    workers: int,
    home: Path,
    *,
    verified: str = "",
    base: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Return the environment that the service is started in.

    Args:
        bundle: the folder of a bundle; without it, what `serving.loading.open_bundle` finds.
        workers: processes.
        home: a private folder for BentoML's own files; a `BENTOML_HOME` that is set stays.
        verified: the id of the bundle, when it has been opened already.
        base: what is set already.
    """
    environment = {**base, **QUIET}
    environment.setdefault("BENTOML_HOME", str(home))
    environment["BENTOML_CONFIG_OVERRIDES"] = json.dumps(
        {"services": {"CorredorService": {"workers": workers}}}
    )
    if bundle is not None:
        environment["CORREDOR_BUNDLE"] = str(bundle.absolute())
        environment["CORREDOR_BUNDLE_VERIFIED"] = verified
    return environment


def _champion(config: Path) -> tuple[Path, str]:
    """Return the folder and the id of the champion, fetched and verified: the workers need no MLflow."""
    # imported here: MLflow takes seconds, and a bundle that is named needs none
    from training.config import load_config
    from training.registry import champion_bundle

    workspace = load_config(config)
    bundle = champion_bundle(workspace)
    return workspace.folder.absolute() / ".corredor" / "bundles" / bundle.id, bundle.id


def _command(host: str, port: int) -> list[str]:
    return [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", host, "--port", str(port)]


def _check_address(host: str, port: int) -> None:
    """Refuse an address here and in words: BentoML's supervisor would try again and again."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise CorredorError(
            f"{host}: is not an IP address. Give 127.0.0.1 or the address to listen on."
        ) from None
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = (error.strerror or "not usable").lower()
            raise CorredorError(f"{host}:{port}: {reason}. Choose another with --port.") from None


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run a process, pass on the signals that end it, and return its exit code."""
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def pass_on(number: int, frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
