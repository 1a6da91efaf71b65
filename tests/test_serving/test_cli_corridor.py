"""`corredor corridor`, as a person types it."""

import json

import pytest

from tests.test_serving.test_cli_workspace import run, run_well
from training.simulate import simulate


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    simulate(folder, 400, months=14, seed=11)
    return folder


def test_it_prints_what_to_repair_and_writes_the_map(company):
    out = run_well(company, "corridor", "--out", "map.html")
    assert "What to repair first" in out
    assert "claim → answer to a claim" in out and "appointment → repair" in out
    assert "association, not an effect" in out
    assert "from first to last contact at the median" in out
    assert "times what today's are worth a year (without a model)" in out
    assert not (company / "mlflow.db").exists(), "to look for a model makes no store"
    assert "Wrote map.html" in out
    page = (company / "map.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "claim → answer to a claim" in page
    assert "technician-" not in page and "adviser-0" not in page, "no name of those who serve"


def test_for_a_machine_it_prints_the_list_with_dates_and_intervals(company):
    found = json.loads(run_well(company, "corridor", "--as-of", "2025-02-15", "--json"))
    assert found["map"] is None and found["model_version"] is None
    rows = {(r["from"], r["to"]): r for r in found["repairs"]}
    repair = rows["appointment", "repair"]
    assert repair["target_days"] == 5 and repair["promised"] is True
    assert "2024-06" < repair["worse_since"] < "2024-08"
    assert repair["value_at_risk"]["low"] < repair["value_at_risk"]["value"] < repair["value_at_risk"]["high"]
    values = [r["value_at_risk"]["value"] for r in found["repairs"]]
    assert values == sorted(values, reverse=True)


def test_only_the_journeys_of_a_channel(company):
    everything = run_well(company, "corridor").splitlines()[-1]
    branch = run_well(company, "corridor", "--channel", "branch").splitlines()[-1]
    journeys = [int(line.split(" journeys")[0].replace(",", "")) for line in (everything, branch)]
    assert 0 < journeys[1] < journeys[0] / 5


def test_errors_are_one_line_that_says_what_to_do(company):
    code, out, err = run(company, "corridor", "--channel", "brnch")
    assert code == 1 and out == ""
    assert "Did you mean branch" in err.splitlines()[-1]
    code, _, err = run(company, "corridor", "--as-of", "2020-01-01")
    assert code == 1
    assert "nothing is known of any customer before 2020-01-01" in err.splitlines()[-1]
