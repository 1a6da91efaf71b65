import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import CorredorError
from tests.test_training.shop import AS_OF, SECRET, shop_config, trained_shop
from training.bundle import save_bundle
from training.registry import champion_bundle, log_training, promote, registered_versions
from training.scoring import score
from training.tracking import open_tracking

pytestmark = pytest.mark.slow
TRAINER = """
import sys
from pathlib import Path
from tests.test_training.shop import shop_config
from training.bundle import load_bundle
from training.registry import log_training
config = shop_config(Path(sys.argv[1]))
print("ready", flush=True)
print(log_training(load_bundle(Path(sys.argv[2]), verify=False), config).version, flush=True)
"""


@pytest.fixture(autouse=True)
def no_tracking_server(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def fresh_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    open_tracking(shop_config(folder))
    return folder / "mlflow.db"


@pytest.fixture
def config(tmp_path, fresh_store):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copy(fresh_store, workspace)
    return shop_config(workspace)


@pytest.fixture(scope="module")
def shop():
    return trained_shop()


@pytest.fixture
def saved(shop, tmp_path):
    save_bundle(shop.bundle, tmp_path / "saved")
    return tmp_path / "saved"


def rows(config, query):
    with sqlite3.connect(config.folder / "mlflow.db") as database:
        return database.execute(query).fetchall()


def start(config, saved):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", TRAINER, str(config.folder), str(saved)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def forget_copies(config):
    """As on another machine, which has no copy of its own yet."""
    shutil.rmtree(config.folder / ".corredor" / "bundles")


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory, fresh_store, shop):
    """A workspace where two models were trained: the second does not beat the baselines."""
    workspace = tmp_path_factory.mktemp("two")
    shutil.copy(fresh_store, workspace)
    config = shop_config(workspace)
    worse = replace(shop.bundle, beats_baselines=False, verdict="no better than recency")
    return config, log_training(shop.bundle, config), log_training(worse, config)


@pytest.fixture
def trained(tmp_path, two_versions):
    """The same, with aliases of its own."""
    config, first, second = two_versions
    workspace = tmp_path / "trained"
    workspace.mkdir()
    shutil.copy(config.folder / "mlflow.db", workspace)
    return shop_config(workspace), first, second


def test_the_first_version_is_champion_and_the_next_a_challenger(trained):
    config, first, second = trained
    assert (first.name, first.version, first.aliases) == ("corredor-shop", 1, ("challenger", "champion"))
    assert (second.version, second.aliases) == (2, ("challenger",))
    assert [(v.version, v.aliases) for v in registered_versions(config)] == [
        (2, ("challenger",)),
        (1, ("champion",)),
    ]
    assert champion_bundle(config).id == first.bundle_id
    assert champion_bundle(config, "challenger").id == champion_bundle(config, 2).id == second.bundle_id


def test_the_champion_scores_as_the_model_that_was_trained(trained, shop):
    expected = score(shop.bundle, shop.histories, AS_OF)
    served = score(champion_bundle(trained[0]), shop.histories, AS_OF)
    np.testing.assert_array_equal(expected.churn_probability, served.churn_probability)


def test_a_model_that_does_not_beat_the_baselines_is_promoted_only_by_force(trained):
    config, first, second = trained
    with pytest.raises(CorredorError, match="not promoted: no better than recency.*--force"):
        promote(config)
    assert champion_bundle(config).id == first.bundle_id
    assert promote(config, force=True).aliases == ("challenger", "champion")
    assert champion_bundle(config).id == second.bundle_id
    assert promote(config, 1).aliases == ("champion",)
    assert champion_bundle(config).id == first.bundle_id


def test_unknown_versions_and_an_empty_registry_are_named(config, trained):
    with pytest.raises(CorredorError, match="nothing is registered yet"):
        champion_bundle(config)
    with pytest.raises(CorredorError, match="no version of corredor-shop '7'"):
        promote(trained[0], 7)


def test_a_run_tells_what_was_learnt_without_secrets_ids_or_rows(config, shop):
    bundle = replace(
        shop.bundle,
        moments={"overall": [{"moment": "purchase.silence", "weight": 1.0}]},
        measures={
            "churn": {"corredor": {"auc": 0.9, "log_loss": float("nan")}, "segment a/b: «ñ»": {"auc": 0.8}}
        },
    )
    prints = {"touchpoints": {"rows": 3, "sha256": "ab"}}
    version = log_training(bundle, config, plots={"lift.html": "<p>lift</p>"}, fingerprints=prints)
    run = open_tracking(config).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["churn.horizon_days"] == "30"
    assert run.data.params["window.dates"] == "7"
    assert run.data.metrics == {"churn.corredor.auc": 0.9, "churn.segment a_b_ _ñ_.auc": 0.8}
    artifacts = config.folder / "mlruns" / version.run_id / "artifacts"
    assert (artifacts / "plots" / "lift.html").read_text() == "<p>lift</p>"
    assert json.loads((artifacts / "data.json").read_text()) == prints
    assert json.loads((artifacts / "moments.json").read_text()) == bundle.moments
    for path in (p for p in config.folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        assert SECRET.encode() not in content and b"hunter2" not in content, path
        if "code" not in path.parts:
            assert b"customer-0" not in content, path


def test_a_model_that_changed_in_the_store_is_not_served(config, shop):
    log_training(shop.bundle, config)
    forget_copies(config)
    (part,) = config.folder.glob("mlruns/models/*/artifacts/artifacts/bundle/churn-0.txt")
    part.write_bytes(part.read_bytes().replace(b"leaf_value=", b"leaf_value= ", 1))
    with pytest.raises(CorredorError, match=r"churn-0\.txt"):
        champion_bundle(config)


def test_another_bundle_in_the_place_of_the_registered_one_is_not_served(config, shop, tmp_path):
    log_training(shop.bundle, config)
    forget_copies(config)
    (place,) = config.folder.glob("mlruns/models/*/artifacts/artifacts/bundle")
    shutil.rmtree(place)
    save_bundle(replace(shop.bundle, verdict="another"), place)
    with pytest.raises(CorredorError, match="not the one that was registered"):
        champion_bundle(config)


def test_a_damaged_copy_in_the_workspace_is_fetched_again(config, shop):
    version = log_training(shop.bundle, config)
    copy = config.folder / ".corredor" / "bundles" / version.bundle_id / "churn-0.txt"
    copy.write_text("damaged")
    assert champion_bundle(config).id == version.bundle_id
    assert copy.read_text() != "damaged"


def test_a_workspace_that_was_moved_still_finds_its_champion(config, shop, tmp_path):
    version = log_training(shop.bundle, config)
    forget_copies(config)
    shutil.move(config.folder, tmp_path / "elsewhere")
    assert champion_bundle(shop_config(tmp_path / "elsewhere")).id == version.bundle_id


def test_two_trainers_at_once_both_end_well(config, saved, shop):
    trainers = [start(config, saved), start(config, saved)]
    outputs = [trainer.communicate(timeout=180) for trainer in trainers]
    assert [trainer.returncode for trainer in trainers] == [0, 0], outputs
    assert sorted(out.split()[-1] for out, _ in outputs) == ["1", "2"]
    assert registered_versions(config)[-1].aliases == ("champion",)
    assert rows(config, "select status from runs") == [("FINISHED",), ("FINISHED",)]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGKILL, "run"),
        (signal.SIGKILL, "model"),
        (signal.SIGKILL, "upload"),
        (signal.SIGTERM, "model"),
        (signal.SIGTERM, "finished"),
    ],
)
def test_a_killed_training_leaves_no_half_of_a_version(config, saved, shop, number, moment):
    reached = {
        "run": "select 1 from runs",
        "model": "select 1 from logged_models",
        "upload": "select 1 from logged_models where status = 2",
        "finished": "select 1 from runs where status = 'FINISHED'",
    }[moment]
    trainer = start(config, saved)
    deadline = time.monotonic() + 120
    while not rows(config, reached) and trainer.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    trainer.send_signal(number)
    trainer.communicate(timeout=120)
    whole = rows(config, "select version from model_versions")
    if whole:  # the signal came too late: then all of it is there
        assert champion_bundle(config, 1).verdict == shop.bundle.verdict
    else:
        with pytest.raises(CorredorError):
            champion_bundle(config)
        if number == signal.SIGTERM and trainer.returncode != 0:
            assert rows(config, "select status from runs") == [("KILLED",)]
    after = log_training(shop.bundle, config)
    assert "challenger" in after.aliases
    assert after.version == len(whole) + 1
    assert champion_bundle(config).verdict == shop.bundle.verdict
    assert ("RUNNING",) not in rows(config, "select status from runs")
    assert not list((config.folder / ".corredor" / "runs").iterdir())


def test_people_who_live_in_mlflow_load_it_by_its_alias(trained, shop, tmp_path):
    config, *_ = trained
    code = """
import json, sys
import pandas as pd
import mlflow
model = mlflow.pyfunc.load_model("models:/corredor-shop@champion")
table = pd.DataFrame(json.loads(open(sys.argv[1]).read()))
print(model.predict(table, params={"as_of": sys.argv[2]}).to_json(orient="records", double_precision=15))
"""
    some = [row for row in shop.rows if row["customer_id"] < "customer-0005" and row["occurred_at"] < AS_OF]
    texts = [
        {**row, "occurred_at": np.datetime_as_string(np.datetime64(row["occurred_at"], "us")) + "Z"}
        for row in some
    ]
    (tmp_path / "rows.json").write_text(json.dumps(texts))
    as_of = np.datetime_as_string(np.datetime64(AS_OF, "us")) + "Z"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{config.folder}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "rows.json"), as_of],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    expected = score(shop.bundle, shop.histories, AS_OF, np.arange(5))
    assert [row["customer_id"] for row in answer] == [f"customer-{c:04d}" for c in range(5)]
    np.testing.assert_allclose(
        [r["churn_probability"] for r in answer], expected.churn_probability, atol=1e-14
    )
    assert "principality_probability" in answer[0]
