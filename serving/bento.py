"""A Bento: the service, its code and one model in a folder of its own, to be served or put in a container.

python -m serving.bento FOLDER_OF_A_BUNDLE
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import features
import serving
import training
from features.errors import CorredorError
from serving.launch import QUIET, SERVICE
from training.bundle import Bundle, load_bundle

NAME = "corredor"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "bundle", "*.nbi", "*.nbc")


def build_bento(bundle: Path, *, home: Path | None = None) -> str:
    """Build a Bento with a bundle inside and return its tag.

    The bundle is verified first. What the Bento needs from PyPI is what Corredor itself requires.

    Args:
        bundle: the folder of the bundle.
        home: BentoML's home, where Bentos are kept; `BENTOML_HOME` or BentoML's own by default.

    Raises:
        CorredorError: the bundle does not open, or BentoML could not build.
    """
    opened = load_bundle(bundle)
    environment = {**os.environ, **QUIET}
    if home is not None:
        environment["BENTOML_HOME"] = str(home.absolute())
    with tempfile.TemporaryDirectory(prefix="corredor-bento-") as scratch:
        context = Path(scratch)
        _lay_out(context, bundle, opened)
        done = subprocess.run(
            [sys.executable, "-m", "bentoml", "build", "--output", "tag", str(context)],
            env=environment,
            cwd=context,
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(rf"__tag__:({NAME}:\S+)", done.stdout)
    if done.returncode or not found:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise CorredorError(f"{bundle}: BentoML could not build: {last}")
    return found.group(1)


def _lay_out(context: Path, bundle: Path, opened: Bundle) -> None:
    """Put together what goes into the Bento, and the file that says so to `bentoml build`."""
    for package in (features, training, serving):
        home = Path(str(package.__file__)).parent
        shutil.copytree(home, context / home.name, ignore=_LEFT_OUT)
    shutil.copytree(bundle, context / "serving" / "bundle")
    bentofile = {
        "service": SERVICE,
        "name": NAME,
        "description": "Churn and principality of customers, with the moments of truth behind them.",
        "labels": {"bundle": opened.version},
        "include": ["features/", "training/", "serving/"],
        "python": {"packages": _requirements(), "lock_packages": False},
    }
    # JSON is YAML
    (context / "bentofile.yaml").write_text(json.dumps(bentofile, indent=1), encoding="utf-8")


def _requirements() -> list[str]:
    """Return what Corredor requires, without its extras."""
    required = importlib.metadata.requires("corredor") or []
    return sorted(r for r in required if "extra ==" not in r)


def main() -> int:
    """Build a Bento of the bundle named by the first argument, and print its tag."""
    if len(sys.argv) != 2:
        print("usage: python -m serving.bento FOLDER_OF_A_BUNDLE", file=sys.stderr)
        return 2
    try:
        print(build_bento(Path(sys.argv[1])))
    except CorredorError as error:
        print(f"corredor: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
