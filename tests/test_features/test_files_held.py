"""Rows of files that are held on the disk are those that are held in memory, and take no memory."""

from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import csv_files, files
from features.contract import CONTRACT
from features.errors import CorredorError
from features.files import load_files
from features.files_held import RowsHeld
from features.quarantine import Quarantine
from features.settings import FileSource
from features.sources import Answer, load_tables, open_sources, read_queries
from tests.test_features.workspaces import settings_of

UTC = ZoneInfo("UTC")
TYPES = {"amount": "decimal", "at": "timestamp", "n": "integer", "day": "date", "ok": "boolean"}


def load(folder, path, disk=None, columns=TYPES, **rest):
    source = FileSource(path=path, columns=columns, **rest)
    quarantine = Quarantine()
    loaded = load_files(
        "x", source, number=1, folder=folder, folders=[folder], zone=UTC, quarantine=quarantine, disk=disk
    )
    return loaded, quarantine.table()


def rows_of(relation):
    if isinstance(relation, str):
        with duckdb.connect(":memory:") as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.sql(relation).to_arrow_table()
    return relation


def write_csv(folder):
    (folder / "1.csv").write_text(
        "id,amount,at,n,day,ok\n007,1.5,2026-03-01 10:00,1,2026-03-01,yes\n8,x,2026-03-01,2,,\n,,,,,\n"
    )
    (folder / "2.csv").write_text(
        'id,amount,at,n,day,ok,note\n9,-0.0,2026-03-02T10:00:00.123456Z,,,no,"a\nb"\nx,1\n'
    )
    return "*.csv"


def write_json(folder):
    (folder / "1.json").write_text(
        '{"id": 7, "amount": 1.25, "at": "2026-03-01"}\nno\n{"id": 8, "n": 3, "late": [1, 2]}\n'
    )
    (folder / "2.json").write_text('{"id": 9, "ok": true, "day": "2026-01-01"}\n{"amount": "much"}\n')
    return "*.json"


def write_parquet(folder):
    first = {"id": [1, 2], "amount": ["1.5", "x"], "at": pa.array([1, 2], pa.timestamp("ns"))}
    pq.write_table(pa.table({**first, "n": [float("nan"), 4.0]}), folder / "1.parquet")
    coded = pa.array(["3", None]).dictionary_encode()
    second = {"id": [3, 4], "day": coded, "ok": ["yes", "no"]}
    pq.write_table(pa.table(second), folder / "2.parquet")
    pq.write_table(pa.table({"id": pa.array([], pa.int64())}), folder / "3.parquet")
    return "*.parquet"


@pytest.mark.parametrize("write", [write_csv, write_json, write_parquet])
def test_rows_on_the_disk_are_the_rows_in_memory(tmp_path, write):
    path, disk = write(tmp_path), tmp_path / "disk"
    disk.mkdir()
    (in_memory, aside), (on_disk, aside_too) = load(tmp_path, path), load(tmp_path, path, disk)
    assert isinstance(in_memory.relation, pa.Table) and isinstance(on_disk.relation, str)
    assert (on_disk.intake, on_disk.paths) == (in_memory.intake, in_memory.paths)
    assert aside_too.equals(aside) and len(aside)
    held = rows_of(on_disk.relation)
    assert held.column_names == in_memory.relation.column_names
    for name in held.column_names:
        expected, found = in_memory.relation[name], held[name]
        if pa.types.is_dictionary(expected.type):
            expected = expected.cast(pa.string())
        assert list(map(repr, found.cast(expected.type).to_pylist())) == list(map(repr, expected.to_pylist()))


def test_a_file_that_is_much_larger_than_what_is_held_takes_no_more_memory(tmp_path, monkeypatch):
    line = "ana,2026-03-01 10:00,{:06d},a text of some length to fill the file\n"
    (tmp_path / "big.csv").write_text("id,at,n,note\n" + "".join(line.format(i) for i in range(60_000)))
    monkeypatch.setitem(csv_files.read_csv_blocks.__kwdefaults__, "block_bytes", 1 << 16)
    taken = {}
    for where, disk in (("memory", None), ("disk", tmp_path / "disk")):
        before, seen = pa.total_allocated_bytes(), []

        class Watched(RowsHeld):
            def add(self, table, seen=seen, before=before):
                super().add(table)
                seen.append(pa.total_allocated_bytes() - before)

        monkeypatch.setattr(files, "RowsHeld", Watched)
        if disk is not None:
            disk.mkdir()
        loaded, _ = load(tmp_path, "big.csv", disk, columns={"at": "timestamp", "n": "integer"})
        assert loaded.intake.kept == 60_000
        taken[where] = max(seen)
        del loaded
    size = (tmp_path / "big.csv").stat().st_size
    assert taken["memory"] > size / 2
    assert taken["disk"] < size / 8


def test_a_query_over_rows_on_the_disk_gives_what_it_gives_over_rows_in_memory(tmp_path):
    (tmp_path / "log.csv").write_text(
        "who,moment,amount\n" + "".join(f"c{i % 7},2026-03-01 {i % 24:02d}:00,{i}\n" for i in range(500))
    )
    query = """select who as customer_id, moment as occurred_at, 'purchase' as kind, sum(amount) as amount
               from log group by all"""
    settings = settings_of(
        query, {"log": {"path": "log.csv", "columns": {"moment": "timestamp", "amount": "decimal"}}}
    )
    expected = load_tables(settings, tmp_path, extracted_us=2**60)["touchpoints"]
    queries, disk = read_queries(settings), tmp_path / "disk"
    disk.mkdir()
    with open_sources(settings, tmp_path, queries, disk=disk, memory=1 << 28) as opened:
        answer = Answer(CONTRACT["touchpoints"], queries["touchpoints"], opened.files, opened.quarantine)
        found, _ = answer.load(opened.session, UTC, 2**60)
    assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, expected.to_pylist()))


def test_a_query_that_the_memory_does_not_hold_says_so(tmp_path):
    (tmp_path / "log.csv").write_text("who,moment\nana,2026-03-01\n")
    query = """select who as customer_id, moment as occurred_at, 'call' as kind, channel from log
               join (select string_agg(repeat('x', 1000000), '') as channel from range(100)) on true"""
    settings = settings_of(query, {"log": {"path": "log.csv", "columns": {"moment": "timestamp"}}})
    queries = read_queries(settings)
    with open_sources(settings, tmp_path, queries, memory=20 << 20) as opened:
        answer = Answer(CONTRACT["touchpoints"], queries["touchpoints"], opened.files, opened.quarantine)
        with pytest.raises(CorredorError, match="touchpoints: the query does not fit in the memory"):
            answer.load(opened.session, UTC, 2**60)
