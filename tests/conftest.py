"""The demonstration, run once for all tests that look at what it leaves behind."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says nothing of what is tested: the first one may compile.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@dataclass(frozen=True)
class DemoRun:
    folder: Path
    printed: str


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """`corredor demo`, as `make demo` runs it, in an empty folder."""
    home = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-c", "from serving.cli import main; main()", "demo"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return DemoRun(home / "demo", done.stderr + done.stdout)


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """Spark on two cores of this machine, opened once."""
    from features.spark import spark_session

    with spark_session("local[2]", log=tmp_path_factory.mktemp("spark") / "log") as session:
        yield session
