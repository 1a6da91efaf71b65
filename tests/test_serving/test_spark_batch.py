"""What Spark lists and learns is what is listed and learnt here, to the byte."""

import json
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import CorredorError
from serving.rows import SCHEMA, score_rows
from serving.spark_batch import bundle_parts, open_spark_night
from tests.sparks import needs_spark
from tests.test_serving.test_cli_workspace import DAY, run, run_well, write_workspace
from tests.test_serving.test_rows import assert_same
from tests.test_training.shop import trained_shop
from training.bundle import load_bundle, save_bundle
from training.config import load_config
from training.registry import champion_bundle

STAPLES = "[principality]\nmin_items = 2\nmin_weeks_share = 0.5"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A workspace with a champion, whose rule of principality counts staples that nobody named."""
    folder = write_workspace(tmp_path_factory.mktemp("shop"), customers=300)
    text = (folder / "corredor.toml").read_text()
    (folder / "corredor.toml").write_text(text.replace("[principality]", STAPLES))
    (folder / "trained.json").write_text(run_well(folder, "train", "--until", DAY, "--json"))
    return folder


@needs_spark
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_list_of_spark_has_the_bytes_of_the_list_made_here(spark, shop, tmp_path, ending):
    lists = []
    for name, engine in (("here", ()), ("spark", ("--engine", "spark"))):
        out = tmp_path / f"{name}.{ending}"
        run_well(shop, "score", "--as-of", DAY, "--all", "--out", str(out), *engine)
        lists.append(out.read_bytes())
    assert lists[0] == lists[1]
    assert {p.name for p in tmp_path.iterdir()} == {f"here.{ending}", f"spark.{ending}"}


@needs_spark
def test_the_rows_of_all_customers_are_kept_as_parquet_when_asked(spark, shop, tmp_path):
    folder = tmp_path / "scores"
    told = run_well(shop, "score", "--as-of", DAY, "--engine", "spark", "--scores-out", str(folder), "--json")
    assert json.loads(told)["list"]
    kept = pq.read_table(folder)
    assert kept.column_names == SCHEMA.names and len(kept) == 300
    code, _, err = run(shop, "score", "--as-of", DAY, "--engine", "spark", "--scores-out", str(folder))
    assert code == 1 and "is there already" in err.splitlines()[-1]


@needs_spark
def test_every_number_of_every_customer_has_the_same_bits(spark, shop, tmp_path):
    from features.histories import build_histories
    from features.sources import load_tables

    config = load_config(shop / "corredor.toml")
    bundle = champion_bundle(config, "champion")
    histories = build_histories(load_tables(config, shop).tables)
    with open_spark_night(config) as night:
        day = night.as_of(DAY)
        there = night.score(bundle, day, tmp_path / "scores")
    here = score_rows(bundle, histories, config, day)
    order = pa.compute.sort_indices(there["customer_id"])
    assert_same(there.take(order), pa.table(here))


@needs_spark
def test_an_ingested_workspace_is_read_by_its_buckets(spark, shop, tmp_path):
    copy = Path(shutil.copytree(shop, tmp_path / "shop"))
    run_well(copy, "ingest", "--buckets", "3")
    for name, engine in (("here.csv", ()), ("spark.csv", ("--engine", "spark"))):
        run_well(copy, "score", "--as-of", DAY, "--all", "--out", name, *engine)
    assert (copy / "here.csv").read_bytes() == (copy / "spark.csv").read_bytes()


@needs_spark
def test_spark_learns_the_model_that_is_learnt_here(spark, shop, tmp_path):
    copy = Path(shutil.copytree(shop, tmp_path / "shop"))
    told = json.loads(run_well(copy, "train", "--until", DAY, "--engine", "spark", "--json"))
    assert told["bundle"] == json.loads((shop / "trained.json").read_text())["bundle"]


@needs_spark
def test_of_a_sample_too_and_the_bundle_states_its_share(spark, shop, tmp_path):
    bundles = []
    for engine in ((), ("--engine", "spark")):
        copy = Path(shutil.copytree(shop, tmp_path / f"shop{len(engine)}"))
        told = json.loads(run_well(copy, "train", "--until", DAY, "--sample", "0.6", "--json", *engine))
        bundles.append(told["bundle"])
        assert told["window"]["share"] == 0.6
        everyone = json.loads((shop / "trained.json").read_text())["window"]
        assert everyone["share"] == 1.0
        assert 0.4 < told["window"]["customers"] / everyone["customers"] < 0.8
    assert bundles[0] == bundles[1]


@needs_spark
def test_a_session_of_its_own_is_opened_and_closed_and_what_spark_says_is_kept_apart(shop, tmp_path):
    """As a person types it, in a process of its own: the terminal has our words alone."""
    import subprocess

    command = [sys.executable, "-c", "from serving.cli import main; main()", "score", "--as-of", DAY]
    command += ["--engine", "spark", "--master", "local[2]", "--out", str(tmp_path / "list.csv")]
    done = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARN" not in done.stderr and "pandas" not in done.stderr
    assert (shop / ".corredor" / "spark.log").read_text()
    run_well(shop, "score", "--as-of", DAY, "--out", str(tmp_path / "here.csv"))
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "list.csv").read_bytes()


def test_a_bundle_travels_as_its_sealed_files(tmp_path):
    saved = save_bundle(trained_shop().bundle, tmp_path / "one")
    identity, parts = bundle_parts(saved)
    assert identity == saved.id
    (tmp_path / "two").mkdir()
    for name, content in parts.items():
        assert isinstance(content, bytes)
        (tmp_path / "two" / name).write_bytes(content)
    assert load_bundle(tmp_path / "two", verify=False).id == saved.id
    (tmp_path / "two" / "features.json").write_bytes(parts["features.json"] + b" ")
    with pytest.raises(CorredorError):
        load_bundle(tmp_path / "two", verify=False)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--engine", "flink"], "choose embedded or spark"),
        (["--master", "local[2]"], "--master: is an option of --engine spark"),
        (["--scores-out", "x"], "--scores-out: is an option of --engine spark"),
        (["--engine", "spark", "--memory", "2GB"], "--memory: is an option of --engine embedded"),
        (["--engine", "spark", "--features-out", "x.parquet"], "is an option of --engine embedded"),
    ],
)
def test_options_of_the_other_engine_are_refused(tmp_path, options, told):
    code, _, err = run(tmp_path, "score", *options)
    assert code == 1 and told in err
