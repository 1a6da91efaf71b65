"""Open a bundle in a process of its own first, within bounds of time and memory: what is wrong ends there."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

from features.errors import CorredorError
from features.lean import start_lean

SECONDS = 120
MEMORY = 6 * 2**30


def check_opens(folder: Path, identity: str, *, seconds: float = SECONDS) -> None:
    """Check that the bundle opens in a child process and reproduces the scores stored with it.

    Raises:
        CorredorError: it does not, or takes too much time or memory, or is not the one with this id.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(part for part in sys.path if part),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
    }
    command = [sys.executable, "-m", "training.opening", str(Path(folder).absolute())]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CorredorError(f"{folder}: did not open within {seconds:.0f} seconds. Do not use it.") from None
    answer = _answer(done.stdout)
    if done.returncode < 0 or answer is None:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise CorredorError(f"{folder}: opening it ended its process ({how}). Do not use it.")
    if "error" in answer:
        raise CorredorError(answer["error"])
    if answer.get("id") != identity:
        raise CorredorError(f"{folder}: changed while it was being opened. Repeat.")


def _answer(output: bytes) -> dict[str, str] | None:
    lines = output.decode("utf-8", "replace").splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def main() -> int:
    """Open the bundle named by the first argument and print its id, or what is wrong, as JSON."""
    _limit()
    gc.disable()
    start_lean()
    from training.bundle import load_bundle

    try:
        bundle = load_bundle(Path(sys.argv[1]), verify=False)
        bundle.check_sample()
    except CorredorError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps({"id": bundle.id}))
    return 0


def _limit() -> None:
    if os.name == "nt":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    sys.exit(main())
