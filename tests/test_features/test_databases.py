import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest

from features.errors import CorredorError
from tests.test_features.workspaces import CALLS, load, rows, times

SQL = CALLS.replace("customer,", "customer as customer_id,").replace(" from", ", amount from")


@pytest.fixture
def crm(tmp_path):
    path = tmp_path / "crm.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table calls (customer text, moment text, amount real, note blob)")
        told = [
            ("007", "2026-01-02 10:00:00", 1.5),
            ("12E5 😀", "2026-01-03", None),
            (None, "2026-01-03", 1.0),
        ]
        connection.executemany("insert into calls (customer, moment, amount) values (?, ?, ?)", told)
    connection.close()
    return path


def sqlite_of(**tables):
    return {"crm": {"uri": "sqlite:crm.db", "tables": tables or {"calls": "calls"}}}


def test_an_sqlite_table_is_read_with_ids_as_they_are(tmp_path, crm):
    tables = load(tmp_path, SQL, databases=sqlite_of(), timezone="Europe/Madrid")
    assert [(r["customer_id"], r["amount"]) for r in rows(tables)] == [("007", 1.5), ("12E5 😀", None)]
    assert times(tables) == ["2026-01-02T09:00:00", "2026-01-02T23:00:00"]
    (row,) = tables.quarantine.to_pylist()
    assert (row["source"], row["file"], row["row"], row["column"]) == ("touchpoints", None, 3, "customer_id")


def test_a_select_may_stand_for_a_table(tmp_path, crm):
    select = (
        "select customer, max(moment) as moment, 2.0 as amount from calls where customer <> '' group by 1;"
    )
    tables = load(tmp_path, SQL, databases=sqlite_of(calls=select))
    assert [r["amount"] for r in rows(tables)] == [2.0, 2.0]


def test_a_database_and_a_file_meet_in_one_query(tmp_path, crm):
    (tmp_path / "shops.csv").write_text("customer,shop\n007,north\n")
    sql = SQL.replace(" from calls", ", shop as channel from calls join shops using (customer)")
    tables = load(tmp_path, sql, {"shops": {"path": "shops.csv"}}, databases=sqlite_of())
    assert [(r["customer_id"], r["channel"]) for r in rows(tables)] == [("007", "north")]


def test_a_database_is_never_written_to(tmp_path, crm):
    before = crm.read_bytes()
    for what in (
        "delete from calls",
        "drop table calls",
        "calls; drop table calls",
        "pragma user_version = 5",
        'a"b',
        "select 1) as calls; drop table calls; select (2",
        "select * from calls; drop table calls",
    ):
        with pytest.raises(CorredorError, match="neither a table nor one select"):
            load(tmp_path, SQL, databases=sqlite_of(calls=what))
    with pytest.raises(CorredorError, match=r"\[databases.crm\].*syntax error"):
        load(tmp_path, SQL, databases=sqlite_of(calls="with x as (select 1) delete from calls"))
    assert crm.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["crm.db"]


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ({"uri": "sqlite:../crm.db"}, "leads outside the workspace"),
        ({"uri": "sqlite:link.db"}, "leads outside the workspace"),
        ({"uri": "sqlite:missing.db"}, "there is no file missing.db"),
        ({"uri": "sqlite:crm.db", "tables": {"calls": "cals"}}, "no such table"),
        ({"uri": "sqlite:text.db"}, "not a database"),
        ({"uri": "mysql://host/db"}, "begins with sqlite: or postgresql:"),
        ({"uri": "env:CRM_NOT_SET"}, "the environment variable CRM_NOT_SET is not set"),
    ],
)
def test_a_database_that_cannot_be_read_is_told(tmp_path, crm, database, message):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "crm.db").write_bytes(crm.read_bytes())
    (folder / "link.db").symlink_to(crm)
    (folder / "text.db").write_text("no database at all, only text " * 100)
    with pytest.raises(CorredorError, match=message):
        load(folder, SQL, databases={"crm": {"tables": {"calls": "calls"}, **database}})


def test_hostile_names_in_a_database_are_refused(tmp_path, crm):
    with pytest.raises(CorredorError, match=r"tables.calls: the column name .a--b. is refused"):
        load(tmp_path, SQL, databases=sqlite_of(calls='select 1 as "a--b"'))


def test_an_uri_comes_from_the_environment_and_is_never_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CRM", "postgresql://reader:pa55word@127.0.0.1:1/crm?connect_timeout=2")
    with pytest.raises(CorredorError, match=r"\[databases.crm\]") as caught:
        load(tmp_path, SQL, databases={"crm": {"uri": "env:CRM", "tables": {"calls": "calls"}}})
    assert "pa55word" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def postgresql():
    """A PostgreSQL server of our own on a socket, where the machine has one to start."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = str(found[-1]) if found else None
    initdb, pg_ctl = (shutil.which(name, path=programs) for name in ("initdb", "pg_ctl"))
    if not initdb or not pg_ctl:
        pytest.skip("PostgreSQL is not installed: a program of the system, which CI brings")
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if user:
            shutil.chown(folder, user)

        def run(*command):
            quiet = subprocess.DEVNULL
            subprocess.run(command, check=True, user=user, cwd=folder, stdout=quiet, stderr=quiet, timeout=60)

        run(initdb, "-D", f"{folder}/data", "-A", "trust", "-U", "corredor", "--no-sync")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        run(pg_ctl, "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql:///postgres?host={folder}&user=corredor"
        finally:
            run(pg_ctl, "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")


def test_postgresql_tables_come_in_with_their_types_and_are_never_written_to(tmp_path, postgresql):
    import adbc_driver_postgresql.dbapi as driver

    uri = postgresql
    with driver.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("create schema crm")
        cursor.execute("create sequence crm.numbers")
        cursor.execute(
            "create table crm.calls (customer bigint, moment timestamptz, wall timestamp, day date,"
            " amount numeric(12, 2), direct boolean, id uuid)"
        )
        cursor.execute(
            "insert into crm.calls values (7, '2026-01-02 10:00+00', '2026-01-02 10:00',"
            " '2026-01-02', 12.50, true, '00000000-0000-0000-0000-000000000001'), (8, '2026-01-02 10:00+00',"
            " null, null, null, null, null)"
        )
    source = {"crm": {"uri": uri, "tables": {"calls": "crm.calls"}}}
    sql = """select customer as customer_id, moment as occurred_at, 'call' as kind, sum(amount) as amount,
                    id as item, direct from calls group by all"""
    tables = load(tmp_path, sql, databases=source, timezone="Europe/Madrid")
    assert [(r["customer_id"], r["amount"], r["direct"]) for r in rows(tables)] == [
        ("7", 12.5, True),
        ("8", None, None),
    ]
    assert times(tables) == ["2026-01-02T10:00:00"] * 2
    for column, moment in (("wall", "2026-01-02T09:00:00"), ("day", "2026-01-01T23:00:00")):
        sql = f"select customer as customer_id, {column} as occurred_at, 'x' as kind from calls"
        assert times(load(tmp_path, sql, databases=source, timezone="Europe/Madrid")) == [moment]
    for what in (
        "select nextval('crm.numbers')",
        "with gone as (delete from crm.calls returning *) select * from gone",
    ):
        with pytest.raises(CorredorError, match=r"\[databases.crm\]: .*(read-only|top level)"):
            load(tmp_path, sql, databases={"crm": {"uri": uri, "tables": {"calls": what}}})
    assert len(load(tmp_path, sql, databases=source)["touchpoints"]) == 1
