"""A real server of the scoring service, in processes of its own, as people start it."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.test_serving.calls import KEY

START_SECONDS = 300


@dataclass
class Server:
    port: int
    process: subprocess.Popen
    output: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self.process.poll() is None, self.output.read_text()
            with contextlib.suppress(OSError, http.client.HTTPException):
                asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                asked.request("GET", "/readyz")
                if asked.getresponse().status == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(self.output.read_text())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(home: Path, **settings: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CORREDOR_", "BENTOML_"))}
    quiet = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "OMP_NUM_THREADS": "1"}
    return {**kept, **quiet, "OMP_WAIT_POLICY": "passive", "CORREDOR_API_KEYS": KEY, **settings}


@contextlib.contextmanager
def running(command: Sequence[str], port: int, folder: Path, env: dict[str, str]) -> Iterator[Server]:
    """Run a server command in a folder until it is ready; stop it and all that it started."""
    output = folder / "server.log"
    with output.open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = Server(port, process, output)
    try:
        server.wait()
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def bentoml(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bentoml", *arguments]
