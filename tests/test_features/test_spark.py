"""A company read by Spark is the one that is read here: the same rows, counted and put aside the same."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.digest import digest_of
from features.errors import CorredorError
from features.histories import build_histories
from features.ingested import Store, read_manifest
from features.ingesting import ingest
from features.sampling import drawn
from features.sources import load_tables
from features.spark import opened_company, settings_of, spark_session
from features.spark_sources import difference
from tests.companies import BEGIN, company
from tests.literals import DAY
from tests.sparks import needs_spark
from tests.test_features.workspaces import NOW, csv_of, load
from tests.test_features.workspaces import settings_of as workspace_of

TABLES = company(11, customers=50)
TABLES["customers"] = TABLES["customers"].slice(0, 47)  # the rows after tell some customers twice, undated
TABLES["treatments"] = TABLES["treatments"].append_column("arm", pa.array(["a"] * 50, pa.string()))


def write_tables(folder, tables):
    """Write tables as Parquet with what an export brings along: rows twice, and rows that cannot be."""
    random = np.random.default_rng(0)
    for name, table in tables.items():
        twice = table.take(pa.array(random.integers(0, len(table), 9)))
        wrong = table.slice(0, 3)
        place = wrong.schema.get_field_index("customer_id")
        wrong = wrong.set_column(place, "customer_id", pa.array([None, "", " "], pa.string()))
        dirty = table if name == "customers" else pa.concat_tables([table, twice, wrong])
        shuffled = dirty.take(pa.array(random.permutation(len(dirty))))
        pq.write_table(shuffled, folder / f"{name}.parquet", row_group_size=200)


def parquet_workspace(tables):
    return workspace_of(
        {name: f"select * from {name}s_file" for name in tables},
        files={f"{name}s_file": {"path": f"{name}.parquet"} for name in tables},
    )


def same(one, other):
    """Compare tables, whatever their order of rows and columns."""
    assert one.keys() == other.keys()
    assert digest_of(build_histories(one)) == digest_of(build_histories(other))


def put_aside(quarantine):
    columns = ("source", "column", "reason", "content")
    return sorted(zip(*(quarantine[name].to_pylist() for name in columns), strict=True), key=repr)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    write_tables(folder, TABLES)
    settings = parquet_workspace(TABLES)
    return folder, settings, load_tables(settings, folder, extracted_us=NOW)


@needs_spark
@pytest.mark.parametrize("buckets", [1, 7])
def test_every_table_has_the_same_rows_and_counts_in_any_number_of_buckets(
    spark, exported, tmp_path, buckets
):
    folder, settings, here = exported
    with opened_company(spark, settings, folder, buckets=buckets, extracted_us=NOW) as there:
        same(there.collect(tmp_path), here.tables)
        assert there.intake == here.intake
        assert there.intake["touchpoints"].duplicates and there.intake["touchpoints"].quarantined == 3
        assert put_aside(there.quarantine()) == put_aside(here.quarantine)
        assert there.span == build_histories(here.tables).span()
        assert there.names["touchpoints"] == set(TABLES["touchpoints"]["kind"].to_pylist())
        assert there.names["relationships"] == set(TABLES["relationships"]["product"].to_pylist())


@needs_spark
def test_a_sample_has_all_rows_of_the_customers_that_are_drawn_and_no_others(spark, exported, tmp_path):
    folder, settings, here = exported
    with opened_company(spark, settings, folder, buckets=3, share=0.4, extracted_us=NOW) as there:
        wanted = {n: t.filter(pa.array(drawn(t["customer_id"], 0.4))) for n, t in here.tables.items()}
        assert 0 < len(wanted["touchpoints"]) < len(here["touchpoints"])
        same(there.collect(tmp_path), wanted)


@needs_spark
def test_what_was_ingested_is_read_instead_of_the_sources(spark, exported, tmp_path):
    folder, settings, here = exported
    ingest(settings, folder, tmp_path / "store", buckets=3, extracted_us=NOW)
    store = Store(tmp_path / "store", read_manifest(tmp_path / "store"))
    with opened_company(spark, settings, folder, store=store) as there:
        same(there.collect(tmp_path), here.tables)
        assert there.span == build_histories(here.tables).span()


@needs_spark
def test_text_files_are_read_by_the_same_code_and_their_broken_rows_are_counted_the_same(spark, tmp_path):
    csv_of(
        tmp_path,
        """
        customer;moment;amount
        007;2026-03-29 01:30;1.234,5
        12E5;not a time;2
        ñ;2026-05-01 10:00;3,25
        too;few
        """,
        "calls-1.csv",
    )
    csv_of(tmp_path, "customer;moment\nlast;2026-06-01 10:00\n", "calls-2.csv")
    csv_of(tmp_path, "customer;moment\nlast;2026-06-01 10:00\n", "calls-3.csv")
    files = {
        "calls": {
            "path": "calls-*.csv",
            "delimiter": ";",
            "decimal": ",",
            "thousands": ".",
            "columns": {"moment": "timestamp", "amount": "decimal"},
            "timezone": "Europe/Madrid",
        }
    }
    query = "select customer as customer_id, moment as occurred_at, 'call' as kind, amount from calls"
    here = load(tmp_path, query, files)
    settings = workspace_of(query, files)
    with opened_company(spark, settings, tmp_path, buckets=2, extracted_us=NOW) as there:
        same(there.collect(tmp_path), here.tables)
        assert there.intake == here.intake
        assert (there.intake["touchpoints"].duplicates, there.intake["touchpoints"].quarantined) == (1, 2)
        assert put_aside(there.quarantine()) == put_aside(here.quarantine)
        assert sorted(there.quarantine()["line"].to_pylist()) == [3, 5]


QUERIES = {
    "grouped": """
        select customer_id, day as occurred_at, 'sum' as kind, sum(n) as amount
        from log group by all""",
    "a union by name": """
        select customer_id, day as occurred_at, 'row' as kind from log
        union all by name
        select 'sum' as kind, customer_id, max(day) as occurred_at, round(sum(n), 2) as amount
        from log group by all""",
    "with a window": """
        select customer_id, day as occurred_at, 'late' as kind from log
        qualify row_number() over (partition by customer_id order by day desc, n) = 1""",
    "with a calendar": """
        select customer_id, date_trunc('month', day) as occurred_at, 'month' as kind from log""",
    "joined": """
        with big as (select customer_id from log group by customer_id having count(*) > 2)
        select l.customer_id, l.day as occurred_at, 'row' as kind, l.n / 4 as amount
        from log l join big using (customer_id)""",
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    random = np.random.default_rng(3)
    moments = pa.array(BEGIN + random.integers(0, 300 * DAY, 4000), pa.timestamp("us"))
    columns = {
        "customer_id": random.integers(0, 900, 4000),
        "day": moments,
        "n": random.integers(0, 99, 4000),
    }
    pq.write_table(pa.table(columns), folder / "log.parquet")
    return folder


@needs_spark
@pytest.mark.parametrize("kind", QUERIES)
def test_a_query_gives_the_same_rows_on_spark(spark, log, tmp_path, kind):
    """In a zone that is not the machine's: the times of the file name none."""
    settings = workspace_of(
        QUERIES[kind], files={"log": {"path": "log.parquet"}}, timezone="America/New_York"
    )
    here = load_tables(settings, log, extracted_us=NOW)
    with opened_company(spark, settings, log, buckets=3, extracted_us=NOW) as there:
        same(there.collect(tmp_path), here.tables)
        assert there.intake == here.intake


@needs_spark
def test_a_query_that_spark_answers_otherwise_is_refused_before_anything_is_computed(spark, log):
    """DuckDB rounds 2.5 to a whole number, Spark cuts it off."""
    query = "select customer_id, day as occurred_at, 'row' as kind, cast(n / 4.0 as int) as amount from log"
    settings = workspace_of(query, files={"log": {"path": "log.parquet"}})
    with (
        pytest.raises(CorredorError, match=r"answer it differently .* log: amount differs in [\d,]+ rows"),
        opened_company(spark, settings, log, extracted_us=NOW),
    ):
        pass


@needs_spark
def test_a_table_of_sparks_own_catalog_is_a_source(spark, log, tmp_path):
    spark.read.parquet(str(log / "log.parquet")).createOrReplaceTempView("crm_log")
    query = "select customer_id, day as occurred_at, 'row' as kind from log"
    databases = {"lake": {"uri": "spark:catalog", "tables": {"log": "crm_log"}}}
    settings = workspace_of(query, databases=databases)
    here = load(log, query, {"log": {"path": "log.parquet"}})
    with opened_company(spark, settings, tmp_path, buckets=2, extracted_us=NOW) as there:
        same(there.collect(tmp_path), here.tables)
    with pytest.raises(CorredorError, match="read by --engine spark alone"):
        load(tmp_path, query, databases=databases)


@needs_spark
def test_what_a_task_refuses_is_told_as_here(spark, tmp_path):
    """Rows of a customer that differ, and nothing that says when each holds."""
    pq.write_table(TABLES["touchpoints"], tmp_path / "touchpoints.parquet")
    people = pa.table({"customer_id": ["a", "a", "b"], "segment": ["gold", "basic", "gold"]})
    pq.write_table(people, tmp_path / "customers.parquet")
    settings = parquet_workspace({name: TABLES[name] for name in ("touchpoints", "customers")})
    told = "^customers: 1 customers have rows that differ in segment. Say from when"
    with pytest.raises(CorredorError, match=told):
        load_tables(settings, tmp_path, extracted_us=NOW)
    with pytest.raises(CorredorError, match=told), opened_company(spark, settings, tmp_path, buckets=2):
        pass


def test_two_answers_differ_by_columns_rows_types_or_cells():
    one = pa.table({"customer_id": ["a", "b"], "amount": [1.0, None]})
    assert difference(one, one.take(pa.array([1, 0]))) is None
    close = one.set_column(1, "amount", pa.array([1.0 + 1e-12, None]))
    assert difference(one, close) is None
    others = {
        "columns": one.drop_columns(["amount"]),
        "2 against 1 rows": one.slice(0, 1),
        "amount is double against string": one.set_column(1, "amount", pa.array(["1", None])),
        "customer_id differs": one.set_column(0, "customer_id", pa.array(["a", "c"])),
        "amount differs in 1 rows": one.set_column(1, "amount", pa.array([1.01, None])),
    }
    for told, other in others.items():
        assert told in difference(one, other)


def test_without_pyspark_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with pytest.raises(CorredorError, match=r"pip install '\.\[spark\]'"), spark_session("local[1]"):
        pass


def test_workers_are_safe_and_the_driver_listens_on_this_machine_alone_when_it_is_local():
    local, cluster = settings_of("local[2]"), settings_of("yarn")
    assert local["spark.driver.host"] == local["spark.driver.bindAddress"] == "127.0.0.1"
    assert "spark.driver.host" not in cluster
    for found in (local, cluster):
        assert found["spark.sql.session.timeZone"] == "UTC"
        assert found["spark.executorEnv.OMP_WAIT_POLICY"] == "passive"
        assert {found[f"spark.executorEnv.{n}_NUM_THREADS"] for n in ("OMP", "NUMBA", "OPENBLAS")} == {"1"}
