"""What a query of the configuration may reach, and what not."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import CorredorError
from tests.test_features.workspaces import csv_of, load, rows

CALLS = "select customer as customer_id, moment as occurred_at, 'call' as kind from calls"
FILE = {"calls": {"path": "calls.csv", "columns": {"moment": "timestamp"}}}


def parquet_of(folder, name="calls.parquet", **columns):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_folders_that_the_configuration_names_may_be_read(tmp_path):
    csv_of(tmp_path / "shared", "customer,moment\n1,2026-01-01\n")
    parquet_of(tmp_path / "shared", customer=["2"], moment=["2026-01-01"])
    (tmp_path / "work").mkdir()
    sql = f"{CALLS} union all {CALLS.replace('from calls', '''from read_parquet('../shared/*.parquet')''')}"
    files = {"calls": {"path": str(tmp_path / "shared" / "calls.csv")}}
    tables = load(tmp_path / "work", sql, files, data_folders=["../shared"])
    assert [row["customer_id"] for row in rows(tables)] == ["1", "2"]
    with pytest.raises(CorredorError, match="leads outside"):
        load(tmp_path / "work", sql, files)
    with pytest.raises(CorredorError, match="no folder ../nowhere"):
        load(tmp_path / "work", sql, files, data_folders=["../nowhere"])


@pytest.mark.parametrize(
    "path", ["../secret.parquet", "link.parquet", "/tmp/secret.parquet", "*/../../secret.parquet"]
)
def test_a_parquet_path_in_a_query_cannot_leave_the_workspace(tmp_path, path):
    folder = tmp_path / "work"
    outside = parquet_of(tmp_path, "secret.parquet", customer=["1"], moment=["2026-01-01"])
    (folder / "sub").mkdir(parents=True)
    (folder / "link.parquet").symlink_to(outside)
    with pytest.raises(CorredorError, match="leads outside"):
        load(folder, CALLS.replace("from calls", f"from read_parquet('{path}')"))


@pytest.mark.parametrize(
    "name", ['a"b', "a;b", "a\tb", "a--b", "a/*b", "__row", "x" * 121, "a\u202eb", "a\\b", "a`b"]
)
def test_hostile_names_of_columns_are_refused(tmp_path, name):
    parquet_of(tmp_path, **{"customer_id": ["1"], name: ["2"]})
    with pytest.raises(CorredorError, match="the column name .* is refused"):
        load(tmp_path, "select * from calls", {"calls": {"path": "calls.parquet"}})
    quoted = name.replace('"', '""')
    csv_of(tmp_path, f'customer_id,"{quoted}"\n1,2\n')
    with pytest.raises(CorredorError, match="the column name .* is refused"):
        load(tmp_path, "select * from calls", {"calls": {"path": "calls.csv"}})
    sql = f"select customer_id, 'a' as kind, '2026-01-01' as occurred_at, 1 as \"{quoted}\" from calls"
    csv_of(tmp_path, "customer_id\n1\n")
    with pytest.raises(CorredorError, match="the column name .* is refused|is kept"):
        load(tmp_path, sql, {"calls": {"path": "calls.csv"}})


def test_the_session_is_locked_though_a_query_came_through(tmp_path):
    from features.lockdown import locked_session

    (tmp_path / "in").mkdir()
    outside = parquet_of(tmp_path, "secret.parquet", a=[1])
    inside = parquet_of(tmp_path / "in", a=[1])
    (tmp_path / "in" / "link.parquet").symlink_to(outside)
    with locked_session({}, folders=[tmp_path / "in"], timezone="UTC") as session:
        assert session.sql(f"select * from read_parquet('{inside}')").fetchall() == [(1,)]
        for sql in (
            f"select * from read_parquet('{outside}')",
            f"select * from read_parquet('{tmp_path}/in/../secret.parquet')",
            f"copy (select 1) to '{tmp_path}/out.csv'",
            f"attach '{tmp_path}/x.db'",
            "install httpfs",
            "set enable_external_access = true",
            "set threads = 1",
            "select * from read_csv('/etc/passwd')",
        ):
            with pytest.raises(Exception, match=r"(?i)permission|locked|disabled|cannot|failed"):
                session.sql(sql).fetchall()
