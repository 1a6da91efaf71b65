import csv
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.test_training.shop import shop_rows
from training.config import load_config
from training.registry import champion_bundle, registered_versions

ROOT = Path(__file__).parents[2]
CONFIG = """
[project]
name = "shop"
[files.sales]
path = "sales.csv"
columns = { occurred_at = "timestamp", amount = "decimal" }
[sources]
touchpoints = "select customer_id, occurred_at, kind, channel, item, amount from sales"
[churn]
kinds = ["purchase"]
active_days = 60
horizon_days = 30
[features]
windows_days = [28, 84, 364]
[training]
max_dates = 8
seeds = 1
"""


def commands():
    return dict(
        re.findall(
            r"^  (\w+):\n.*?command: \"corredor (.*?)\"", (ROOT / "MLproject").read_text(), re.M | re.S
        )
    )


def test_every_entry_point_is_a_verb_with_those_options():
    found = commands()
    assert sorted(found) == ["backtest", "promote", "score", "train"]
    for entry, command in found.items():
        verb, *rest = command.split()
        assert verb == entry
        told = subprocess.run(
            [Path(sys.executable).parent / "corredor", verb, "--help"],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for option in (word for word in rest if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){option}\b", told), f"corredor {verb} has no {option}"


@pytest.mark.slow
def test_mlflow_run_trains_into_the_run_that_it_made(tmp_path):
    (tmp_path / "corredor.toml").write_text(CONFIG)
    names = ["customer_id", "occurred_at", "kind", "channel", "item", "amount"]
    with (tmp_path / "sales.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        for row in shop_rows(200):
            when = datetime.fromtimestamp(row["occurred_at"] // 1_000_000, UTC)
            writer.writerow({**row, "occurred_at": when.strftime("%Y-%m-%dT%H:%M:%SZ")})
    binaries = Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [
            binaries / "mlflow",
            "run",
            ROOT,
            "-e",
            "train",
            "--env-manager",
            "local",
            "-P",
            "config=corredor.toml",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    config = load_config(tmp_path / "corredor.toml")
    (version,) = registered_versions(config)
    assert version.aliases == ("challenger", "champion")
    assert f"run with ID '{version.run_id}'" in done.stderr + done.stdout
    assert champion_bundle(config).id == version.bundle_id
