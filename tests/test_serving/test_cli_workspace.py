"""Every verb on a small workspace, as a person types it."""

import csv
import json
import os
import shutil
import sys
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from serving import cli
from tests.test_training.shop import AS_OF, shop_rows

CONFIG = """
[project]
name = "shop"
timezone = "Europe/Madrid"

[files.contacts]
path = "contacts.csv"
columns = {{ occurred_at = "timestamp", amount = "decimal" }}
timezone = "UTC"

[sources]
touchpoints = "select customer_id, occurred_at, kind, channel, touchpoint_id, item, amount from contacts"

[churn]
kinds = ["{kind}"]
active_days = 60
horizon_days = {horizon}

[principality]
rule = "usage"
kinds = ["purchase"]

[training]
seeds = 1
max_dates = 8
"""
DAY = datetime.fromtimestamp(AS_OF // 1_000_000, UTC).date().isoformat()


def write_workspace(folder, *, kind="purchase", horizon=30, customers=420):
    rows = shop_rows(customers=customers)
    names = ["customer_id", "occurred_at", "kind", "channel", "touchpoint_id", "item", "amount"]
    with (folder / "contacts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            moment = datetime.fromtimestamp(row["occurred_at"] / 1e6, UTC).replace(tzinfo=None)
            writer.writerow({**row, "occurred_at": moment.isoformat(sep=" ")})
    (folder / "corredor.toml").write_text(CONFIG.format(kind=kind, horizon=horizon))
    return folder


def run(folder, *arguments):
    """Run a command in a folder; returns (exit code, stdout, stderr)."""
    import contextlib
    import io

    out, err, before, argv = io.StringIO(), io.StringIO(), os.getcwd(), sys.argv  # noqa: PTH109
    os.chdir(folder)
    sys.argv = ["corredor", *arguments]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
    finally:
        os.chdir(before)
        sys.argv = argv
    return ended.value.code, out.getvalue(), err.getvalue()


def run_well(folder, *arguments):
    code, out, err = run(folder, *arguments)
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A workspace with a registered champion."""
    folder = write_workspace(tmp_path_factory.mktemp("shop"))
    (folder / "trained.json").write_text(run_well(folder, "train", "--until", DAY, "--json"))
    return folder


def test_check_tells_what_is_there_what_is_dark_and_that_it_is_enough(shop):
    out = run_well(shop, "check")
    assert "420 customers" in out
    assert "enough to learn from" in out
    assert "congestion: waits and promises not kept" in out
    assert "of which end in a return" in out


def test_check_for_a_machine_adds_up(shop):
    found = json.loads(run_well(shop, "check", "--json"))
    intake = found["intake"]["touchpoints"]
    assert intake["rows"] == intake["kept"] + intake["duplicates"] + intake["quarantined"]
    assert found["enough"] is True
    assert found["regularity"]["horizon_days"] % 7 == 0
    assert {"idea", "text", "needs"} <= found["dark"][0].keys()


def test_rows_put_aside_are_written_where_check_says(shop, tmp_path):
    folder = write_workspace(tmp_path)
    with (folder / "contacts.csv").open("a") as file:
        file.write(
            "customer-0001,not a time,purchase,store,x,,1.0\n,2020-10-01 10:00:00,purchase,store,y,,1.0\n"
        )
    code, out, _ = run(folder, "check")
    assert code == 0
    assert "2 of " in out and "rows were put aside" in out
    told = next(line for line in out.splitlines() if "quarantine.csv" in line)
    rows = list(csv.DictReader((folder / ".corredor/quarantine.csv").open(encoding="utf-8")))
    assert str(folder) in told or ".corredor/quarantine.csv" in told
    assert len(rows) == 2


def test_too_short_a_history_is_not_enough_and_check_names_the_column_and_the_fix(tmp_path):
    folder = write_workspace(tmp_path, horizon=390, customers=50)
    code, out, _ = run(folder, "check")
    assert code == 1
    problem = next(line for line in out.splitlines() if line.startswith("✗"))
    assert "touchpoints.occurred_at" in problem
    assert "Export a longer history, or shorten" in problem


def test_a_kind_that_is_not_in_the_data_is_not_enough_and_near_matches_are_told(tmp_path):
    folder = write_workspace(tmp_path, kind="purchse", customers=50)
    code, out, _ = run(folder, "check")
    assert code == 1
    assert "Did you mean purchase?" in out
    code, _, err = run(folder, "train")
    assert code == 1
    assert "Did you mean purchase?" in err.splitlines()[-1]


def test_features_are_listed_with_unit_sentence_moment_and_source(shop):
    rows = json.loads(run_well(shop, "features", "--json"))
    assert {"name", "unit", "sentence", "moment", "family", "source"} == rows[0].keys()
    sources = {row["name"]: row["source"] for row in rows}
    assert {s for name, s in sources.items() if name.endswith("_rate_120d")} == {
        "gamma-Poisson with faded counts and exposure: Harvey and Fernandes (1989)"
    }
    assert all(row["sentence"] and row["moment"] for row in rows)
    out = run_well(shop, "features")
    assert all(row["name"] in out for row in rows)


def test_features_are_built_as_parquet_one_row_per_customer(shop):
    run_well(shop, "features", "--build", "--as-of", DAY, "--out", "features.parquet")
    table = pq.read_table(shop / "features.parquet")
    assert len(table) == 420
    assert table.column_names[:2] == ["customer_id", "as_of"]
    assert set(table["as_of"].to_pylist()) == {DAY}


def test_training_tells_a_machine_what_it_registered(shop):
    trained = json.loads((shop / "trained.json").read_text())
    assert trained["aliases"] == ["challenger", "champion"]
    assert trained["version"] == 1
    assert "auc" in trained["measures"]["churn"]["models"]["corredor"]


def test_the_list_is_printed_and_written_with_all_who_were_known(shop):
    out = run_well(shop, "score", "--as-of", DAY, "--all", "--out", "all.csv")
    rows = list(csv.DictReader((shop / "all.csv").open(encoding="utf-8")))
    known = {r["customer_id"] for r in shop_rows(customers=420) if r["occurred_at"] < AS_OF - 86_400_000_000}
    assert known <= {r["customer_id"] for r in rows}
    assert all(0 <= float(r["churn_probability"]) <= 1 for r in rows)
    assert {r["as_of"] for r in rows} == {DAY}
    assert "Wrote all.csv" in out
    assert "spend of the last 365 days" in out


def test_the_top_is_cut_and_sorted_by_risk_when_asked(shop):
    found = json.loads(run_well(shop, "score", "--as-of", DAY, "--top", "5", "--by", "risk", "--json"))
    risks = [row["churn_probability"] for row in found["list"]]
    assert len(risks) == 5
    assert risks == sorted(risks, reverse=True)


def test_the_same_list_twice_is_the_same_bytes(shop):
    for name in ("one.parquet", "two.parquet"):
        run_well(shop, "score", "--as-of", DAY, "--all", "--out", name)
    assert (shop / "one.parquet").read_bytes() == (shop / "two.parquet").read_bytes()


def test_an_ingested_workspace_gives_the_same_list_and_says_what_it_does_not_have(shop, tmp_path):
    run_well(shop, "score", "--as-of", DAY, "--all", "--out", str(tmp_path / "files.csv"))
    copy = shutil.copytree(shop, tmp_path / "shop")
    code, _, err = run(copy, "ingest", "--memory", "500MB")
    assert code == 1
    assert "--memory: taking sources in takes 1280 MB, however large they are. Allow more." in err
    assert "contacts" not in run_well(copy, "ingest", "--buckets", "4", "--memory", "2GB", "--json")
    assert "0 new files, 1 that were ingested before" in run_well(copy, "ingest")
    run_well(copy, "score", "--as-of", DAY, "--all", "--out", "buckets.csv", "--memory", "2GB")
    assert (copy / "buckets.csv").read_bytes() == (tmp_path / "files.csv").read_bytes()
    assert run_well(copy, "check") == run_well(shop, "check")
    with (copy / "contacts.csv").open("a") as file:
        file.write("new,2020-09-20 10:00:00,purchase,web,t,item 1,5\n")
    code, _, err = run(copy, "score", "--as-of", DAY)
    assert code == 1
    assert "1 files are not ingested yet (first: contacts.csv). Run `corredor ingest`" in err


def test_a_day_long_after_the_data_is_refused(shop):
    code, _, err = run(shop, "score", "--as-of", "2030-01-01")
    assert code == 1
    assert "days after the last touchpoint" in err.splitlines()[-1]


def test_a_day_that_is_none_is_refused(shop):
    code, _, err = run(shop, "score", "--as-of", "26/11/2017")
    assert code == 1
    assert "is not a date" in err.splitlines()[-1]


def test_one_customer_is_explained_with_moments_that_add_up_and_evidence(shop):
    first = json.loads(run_well(shop, "score", "--as-of", DAY, "--top", "1", "--json"))["list"][0]
    found = json.loads(run_well(shop, "explain", first["customer_id"], "--as-of", DAY, "--json"))
    assert found["churn_probability"] == first["churn_probability"]
    total = found["base"] + sum(m["contribution"] for m in found["moments"])
    assert total == pytest.approx(found["raw_score"], abs=1e-9)
    assert any(m["evidence"] for m in found["moments"][:3])
    out = run_well(shop, "explain", first["customer_id"], "--as-of", DAY)
    assert found["moments"][0]["sentence"] in out


def test_an_unknown_customer_gets_near_matches(shop):
    code, _, err = run(shop, "explain", "customer-001", "--as-of", DAY)
    assert code == 1
    assert "Did you mean customer-0" in err.splitlines()[-1]


def test_the_report_is_written(shop):
    run_well(shop, "report", "--as-of", DAY)
    html = (shop / "report.html").read_text(encoding="utf-8")
    assert html.count("</svg>") >= 6


def test_the_repair_list_takes_the_champion_where_there_is_one_or_the_model_that_is_asked(shop):
    trained = json.loads((shop / "trained.json").read_text())
    found = json.loads(run_well(shop, "corridor", "--as-of", DAY, "--json"))
    assert found["model_version"] == trained["bundle"][:12]
    assert json.loads(run_well(shop, "corridor", "--model", "none", "--json"))["model_version"] is None
    code, _, err = run(shop, "corridor", "--model", "77")
    assert code == 1 and "there is no version" in err


def test_a_challenger_is_promoted(shop):
    out = run_well(shop, "promote", "--force")
    assert "shop version 1" in out
    assert "is the champion now" in out


def test_a_version_that_is_not_there_is_refused(shop):
    code, _, err = run(shop, "promote", "9")
    assert code == 1
    assert "9" in err.splitlines()[-1]


def test_a_backtest_for_a_machine_has_every_model_with_intervals(shop):
    found = json.loads(run_well(shop, "backtest", "--dates", "2021-07-01,2021-08-01", "--json"))
    assert found["dates"] == ["2021-07-01", "2021-08-01"]
    assert found["horizon_days"] == 30
    assert {"corredor", "recency", "rfm", "bgnbd"} <= found["models"].keys()
    for measure in (
        "auc",
        "average_precision",
        "log_loss",
        "brier",
        "calibration_error",
        "calibration_slope",
    ):
        measured = found["models"]["corredor"][measure]
        low, high = measured["interval"]
        assert low <= measured["value"] <= high
    assert "corredor" in found["principality"]["models"]


def test_a_backtest_beyond_the_data_is_refused(shop):
    code, _, err = run(shop, "backtest", "--dates", "2021-10-10")
    assert code == 1
    assert "its outcome is known on" in err.splitlines()[-1]
