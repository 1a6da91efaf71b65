import multiprocessing
import os
from pathlib import Path

import pytest

from features.errors import CorredorError
from tests.test_training.shop import shop_config
from training.tracking import (
    held,
    hide_secrets,
    open_experiment,
    open_tracking,
    public_settings,
    sqlite_file,
    tracking_uri,
)


@pytest.fixture(autouse=True)
def no_tracking_server(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


def test_runs_are_kept_in_the_workspace_unless_told_otherwise(tmp_path, monkeypatch):
    assert tracking_uri(shop_config(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"
    told = shop_config(tmp_path, tracking={"uri": "sqlite:////srv/runs.db"})
    assert tracking_uri(told) == "sqlite:////srv/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(told) == "http://127.0.0.1:5000"


def test_the_file_behind_an_address_is_told():
    assert sqlite_file("sqlite:////srv/my%20runs.db") == Path("/srv/my runs.db")
    assert sqlite_file("sqlite:///runs.db") == Path("runs.db").absolute()
    assert sqlite_file("sqlite://") is None
    assert sqlite_file("http://127.0.0.1:5000") is None


def test_secrets_are_hidden_wherever_they_stand(tmp_path):
    config = shop_config(
        tmp_path,
        sources={"touchpoints": "select * from postgres_scan('host=db password=hunter2 user=x')"},
        databases={"a": {"uri": "env:CRM"}, "b": {"uri": "postgresql://ana:s3cret@db/crm"}},
        tracking={"uri": "http://ana:s3cret@mlflow.example"},
    )
    text = str(public_settings(config))
    assert "s3cret" not in text and "hunter2" not in text
    assert "env:CRM" in text
    assert hide_secrets("nothing to hide: 3 = 2 + 1") == "nothing to hide: 3 = 2 + 1"


@pytest.mark.slow
def test_a_new_store_is_made_beside_its_place_with_its_artifacts_in_the_workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = shop_config(tmp_path / "work" / "space")
    (tmp_path / "work" / "space").mkdir(parents=True)
    (tmp_path / "work" / "space" / ".mlflow.db.123").write_text("half a store of a process that was killed")
    client = open_tracking(config)
    experiment = client.get_experiment(open_experiment(client, config))
    assert experiment.name == "shop"
    assert client.get_experiment("0").artifact_location == str(tmp_path / "work" / "space" / "mlruns" / "0")
    assert experiment.artifact_location == str(tmp_path / "work" / "space" / "mlruns")
    assert sorted(p.name for p in (tmp_path / "work" / "space").iterdir()) == ["mlflow.db", "mlflow.db.lock"]
    assert [p.name for p in tmp_path.iterdir()] == ["work"]
    assert open_experiment(client, config) == experiment.experiment_id


@pytest.mark.slow
def test_three_processes_may_open_a_fresh_store_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open, args=(str(tmp_path),)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def _open(folder):
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    config = shop_config(Path(folder))
    open_experiment(open_tracking(config), config)


def test_who_finds_the_store_locked_says_so(tmp_path):
    config = shop_config(tmp_path)
    with (
        held(config, "promoting"),
        pytest.raises(CorredorError, match="locked by another process while training"),
    ):
        with held(config, "training", seconds=0.05):
            pass


@pytest.mark.slow
def test_a_file_that_is_no_store_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to look at its header" * 10)
    with pytest.raises(CorredorError, match=r"mlflow\.db"):
        open_tracking(shop_config(tmp_path))
