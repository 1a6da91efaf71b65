import csv
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import quarantine as quarantine_module
from features.errors import CorredorError
from features.quarantine import Quarantine, write_quarantine
from tests.test_features.workspaces import csv_of, load

CALLS = "select customer as customer_id, moment as occurred_at, 'call' as kind from calls"


def test_the_quarantine_file_says_where_why_and_what(tmp_path):
    csv_of(tmp_path, 'customer,moment\n1,2026-01-01\n"é, x",2026-01-01,5\n,2026-01-01\n')
    tables = load(tmp_path, CALLS, {"calls": {"path": "calls.csv"}})
    path = tables.write_quarantine(tmp_path / "out" / "quarantine.csv")
    with path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(r["source"], r["file"], r["line"], r["reason"]) for r in found] == [
        ("files.calls", "calls.csv", "3", "3 cells where the header has 2"),
        ("touchpoints", "calls.csv", "4", "required, and not given"),
    ]
    assert found[0]["content"] == '"é, x",2026-01-01,5'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    parquet = tables.write_quarantine(tmp_path / "quarantine.parquet")
    assert pq.read_table(parquet).to_pylist() == tables.quarantine.to_pylist()
    assert stat.S_IMODE(parquet.stat().st_mode) == 0o600


def test_a_text_that_a_spreadsheet_would_run_is_made_harmless_in_csv_only(tmp_path):
    quarantine = Quarantine()
    contents = ["=cmd()", "+1", "-1", "@x", "\tx", "\rx", "plain"]
    quarantine.add(7, source="files.x", reason="r", line=list(range(7)), content=contents)
    with write_quarantine(quarantine.table(), tmp_path / "q.csv").open(newline="") as file:
        assert [r["content"] for r in csv.DictReader(file)] == [f"'{c}" for c in contents[:-1]] + ["plain"]
    assert quarantine.table()["content"].to_pylist() == contents


def test_reasons_are_counted_by_source_most_frequent_first():
    quarantine = Quarantine()
    quarantine.add(1, source="a", reason="odd")
    quarantine.add(2, source="a", reason="bad", column="x")
    quarantine.add(3, source="b", reason="bad", column="x")
    assert list(quarantine.reasons("a").items()) == [("x: bad", 2), ("odd", 1)]


def test_an_empty_quarantine_is_written_too_and_other_endings_are_refused(tmp_path):
    assert (
        write_quarantine(Quarantine().table(), tmp_path / "q.csv").read_text().startswith('"source","file"')
    )
    with pytest.raises(CorredorError, match=r"\.csv or \.parquet"):
        write_quarantine(Quarantine().table(), tmp_path / "q.txt")


def test_rows_are_handed_on_in_parts_and_still_counted(monkeypatch):
    monkeypatch.setattr(quarantine_module, "HELD_ROWS", 3)
    taken = []
    quarantine = Quarantine(taken.append)
    for line in range(1, 6):
        quarantine.add(2, source="files.x", reason="r", line=[line, line + 10], content=["a", "b"])
        assert sum(map(len, quarantine.parts)) < 3
    quarantine.hand_on()
    assert pa.concat_tables(taken)["line"].to_pylist() == [1, 11, 2, 12, 3, 13, 4, 14, 5, 15]
    assert quarantine.reasons("files.x") == {"r": 10}
    assert len(quarantine.table()) == 0
