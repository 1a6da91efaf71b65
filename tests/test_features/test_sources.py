import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.clock import as_of_us
from features.errors import CorredorError
from tests.test_features.workspaces import csv_of, load, rows, times

CALLS = "select customer as customer_id, moment as occurred_at, 'call' as kind from calls"
FILE = {"calls": {"path": "calls.csv", "columns": {"moment": "timestamp"}}}


def parquet_of(folder, name="calls.parquet", **columns):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_a_csv_file_becomes_touchpoints(tmp_path):
    csv_of(tmp_path, "customer,moment\n007,2026-01-02 10:00:00\n12E5,2026-01-02T10:00:00Z\n 7,2026-01-03\n")
    tables = load(tmp_path, CALLS, FILE, timezone="Europe/Madrid")
    assert tables["touchpoints"].schema.types == [pa.string(), pa.timestamp("us", "UTC"), pa.string()]
    assert {row["customer_id"] for row in rows(tables)} == {"007", "12E5", " 7"}
    assert times(tables) == ["2026-01-02T09:00:00", "2026-01-02T10:00:00", "2026-01-02T23:00:00"]
    assert str(tables.intake["touchpoints"]) == "3 rows in = 3 kept + 0 duplicates + 0 quarantined"
    assert tables.extracted_at == as_of_us("2026-01-02T23:00:00Z", None)


def test_times_that_are_not_declared_are_still_read_when_they_are_iso(tmp_path):
    csv_of(tmp_path, "customer,moment\n1,2026-01-02 10:00\n2,03/04/2026\n")
    tables = load(tmp_path, CALLS, {"calls": {"path": "calls.csv"}}, timezone="Europe/Madrid")
    assert times(tables) == ["2026-01-02T09:00:00"]
    (row,) = tables.quarantine.to_pylist()
    assert (row["file"], row["line"], row["column"]) == ("calls.csv", 3, "occurred_at")


def test_the_zone_of_a_file_wins_over_the_project_s(tmp_path):
    csv_of(tmp_path, "customer,moment\n1,2026-01-02 10:00\n")
    files = {"calls": {**FILE["calls"], "timezone": "America/New_York"}}
    assert times(load(tmp_path, CALLS, files, timezone="Europe/Madrid")) == ["2026-01-02T15:00:00"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_a_spanish_export_is_read_by_its_declaration(tmp_path, encoding):
    text = 'cliente;fecha;importe;alta\nÍñigo;03/04/2026 19:05;"1.234,56";sí\n'
    csv_of(tmp_path, text, encoding=encoding)
    files = {
        "calls": {
            "path": "calls.csv",
            "delimiter": ";",
            "encoding": encoding.removesuffix("-sig"),
            "decimal": ",",
            "thousands": ".",
            "day_first": True,
            "columns": {"fecha": "timestamp", "importe": "decimal", "alta": "boolean"},
        }
    }
    sql = """select cliente as customer_id, fecha as occurred_at, 'x' as kind, importe as amount,
                    alta as direct from calls"""
    tables = load(tmp_path, sql, files, timezone="Europe/Madrid")
    (row,) = rows(tables)
    assert (row["customer_id"], row["amount"], row["direct"]) == ("Íñigo", 1234.56, True)
    assert times(tables) == ["2026-04-03T17:05:00"]


def test_declared_times_are_moments_in_the_query_and_days_are_local(tmp_path):
    csv_of(tmp_path, "customer,moment\n1,2026-01-02T23:30:00Z\n")
    sql = CALLS.replace("moment as", "date_trunc('day', moment) as")
    assert times(load(tmp_path, sql, FILE, timezone="Europe/Madrid")) == ["2026-01-02T23:00:00"]
    sql = CALLS.replace("moment as", "moment::date as")
    assert times(load(tmp_path, sql, FILE, timezone="Europe/Madrid")) == ["2026-01-02T23:00:00"]
    assert times(load(tmp_path, sql, FILE, timezone="UTC")) == ["2026-01-02T00:00:00"]


def test_what_comes_in_is_kept_or_a_duplicate_or_in_quarantine_with_its_line(tmp_path):
    csv_of(
        tmp_path,
        """
        customer,moment,amount
        1,2026-01-01,5
        1,2026-01-01,5
        2,2026-01-01,5,6
        3,yesterday,5
        4,2026-01-01,five
        ,2026-01-01,5
        5,2027-06-01,5
        6,1026-06-01,5
        7,2026-01-01,"1
        """,
    )
    files = {"calls": {"path": "calls.csv", "columns": {"moment": "timestamp", "amount": "decimal"}}}
    tables = load(tmp_path, CALLS.replace(" from", ", amount from"), files)
    told = {
        row["line"]: (row["source"], row["column"], row["reason"]) for row in tables.quarantine.to_pylist()
    }
    assert told == {
        4: ("files.calls", None, "4 cells where the header has 3"),
        5: ("files.calls", "moment", told[5][2]),
        6: ("files.calls", "amount", "not a number with the decimal sign '.'"),
        7: ("touchpoints", "customer_id", "required, and not given"),
        8: ("touchpoints", "occurred_at", "later than the extraction of the data"),
        9: ("touchpoints", "occurred_at", told[9][2]),
        10: ("files.calls", None, "a quote is not closed"),
    }
    assert "1900-2199" in told[9][2]
    intake = tables.intake["touchpoints"]
    assert (intake.rows, intake.kept, intake.duplicates, intake.quarantined) == (9, 1, 1, 7)
    assert sum(intake.reasons.values()) == 7 == len(tables.quarantine)
    assert (tables.files["calls"].rows, tables.files["calls"].kept) == (9, 5)
    assert {row["file"] for row in tables.quarantine.to_pylist()} == {"calls.csv"}


def test_rows_of_a_grouping_query_are_told_by_their_content(tmp_path):
    csv_of(tmp_path, "customer,moment,amount\n1,2026-01-01,5\n,2026-01-01,6\n,2026-01-01,7\n")
    files = {"calls": {**FILE["calls"], "columns": {"moment": "timestamp", "amount": "integer"}}}
    sql = CALLS.replace(" from", ", sum(amount) as amount from") + " group by all"
    tables = load(tmp_path, sql, files)
    (row,) = tables.quarantine.to_pylist()
    assert (row["file"], row["line"]) == (None, None) and row["row"] in (1, 2)
    assert '"amount":13' in row["content"] and tables.intake["touchpoints"].rows == 2


def test_lines_are_told_through_a_union_of_files(tmp_path):
    csv_of(tmp_path, "customer,moment\n1,2026-01-01\n2,2030-01-01\n")
    parquet_of(tmp_path, "shop.parquet", who=["a", None], day=pa.array([20000, 20001], pa.date32()))
    sql = CALLS + " union all select who, day, 'visit' from shop"
    tables = load(tmp_path, sql, {**FILE, "shop": {"path": "shop.parquet"}})
    told = {(row["file"], row["line"], row["row"]) for row in tables.quarantine.to_pylist()}
    assert told == {("calls.csv", 3, None), ("shop.parquet", None, 2)}
    assert tables["touchpoints"].column_names == ["customer_id", "occurred_at", "kind"]


def test_the_hidden_row_column_is_never_seen(tmp_path):
    csv_of(tmp_path, "customer_id,occurred_at,kind\n1,2026-01-01,call\n")
    files = {"calls": {"path": "calls.csv"}}
    assert load(tmp_path, "select * from calls", files)["touchpoints"].num_columns == 3
    sql = "select c.* from calls c natural join calls d"
    assert len(load(tmp_path, sql, files)["touchpoints"]) == 1
    for sql in ("select *, __row as r from calls", "select *, 5 as __row from calls"):
        with pytest.raises(CorredorError, match="the name __row is kept"):
            load(tmp_path, sql, files)


def test_order_and_repetition_of_rows_change_nothing(tmp_path):
    lines = [f"{i % 7},2026-01-{1 + i % 28:02d} 10:00,{i % 5}" for i in range(200)]
    files = {"calls": {"path": "calls*.csv", "columns": {"moment": "timestamp", "amount": "decimal"}}}
    sql = CALLS.replace(" from", ", amount from")
    csv_of(tmp_path, "\n".join(["customer,moment,amount", *lines]))
    once = load(tmp_path, sql, files)
    random.Random(0).shuffle(lines)
    csv_of(tmp_path, "\n".join(["customer,moment,amount", *lines, *lines]))
    shuffled = load(tmp_path, sql, files)
    assert rows(once) == rows(shuffled) and len(rows(once)) < 200
    assert shuffled.intake["touchpoints"].duplicates == 400 - len(rows(once))


def test_a_file_given_twice_is_read_once_even_where_a_query_sums(tmp_path):
    files = {"calls": {"path": "calls*.csv", "columns": {"moment": "timestamp", "amount": "decimal"}}}
    sql = CALLS.replace(" from", ", sum(amount) as amount from") + " group by all"
    for name in ("calls.csv", "calls-again.csv"):
        csv_of(tmp_path, "customer,moment,amount\n1,2026-01-01,5\n1,2026-01-01,6\n", name)
    csv_of(tmp_path, "customer,moment,amount\n2,2026-01-01,5\n1,2026-01-01,6\n", "calls-other.csv")
    tables = load(tmp_path, sql, files)
    assert [row["amount"] for row in rows(tables)] == [17.0, 5.0]
    assert str(tables.files["calls"]) == "6 rows in = 4 kept + 2 duplicates + 0 quarantined"


def test_parquet_keeps_its_types_and_whole_number_ids_become_their_digits(tmp_path):
    parquet_of(
        tmp_path,
        customer_id=pa.array([7, 2**63 - 1], pa.int64()),
        occurred_at=pa.array([0, 10**18], pa.timestamp("ns")),
        kind=pa.array(["a", "b"]).dictionary_encode(),
        amount=pa.array([float("nan"), 2.5]),
        nps=pa.array([0, 10], pa.int8()),
    )
    tables = load(tmp_path, "select * from read_parquet('calls.parquet')", timezone="Europe/Madrid")
    assert [(r["customer_id"], r["kind"], r["amount"], r["nps"]) for r in rows(tables)] == [
        ("7", "a", None, 0.0),
        ("9223372036854775807", "b", 2.5, 10.0),
    ]
    assert times(tables) == ["1969-12-31T23:00:00", "2001-09-08T23:46:40"]
    assert list(tables.files) == ["calls.parquet"]
    again = load(tmp_path, "select * from calls", {"calls": {"path": "*.parquet"}}, timezone="Europe/Madrid")
    assert rows(again) == rows(tables)


def test_a_parquet_file_may_declare_a_zone_and_the_types_of_its_texts(tmp_path):
    parquet_of(
        tmp_path,
        customer_id=["1", "2", "3"],
        occurred_at=pa.array([0, 0, 0], pa.timestamp("us")),
        amount=["1,5", "x", "2"],
        kind=["a"] * 3,
    )
    files = {
        "calls": {
            "path": "calls.parquet",
            "timezone": "America/New_York",
            "columns": {"amount": "decimal"},
            "decimal": ",",
        }
    }
    tables = load(tmp_path, "select * from calls", files)
    assert [r["amount"] for r in rows(tables)] == [1.5, 2.0] and times(tables)[0] == "1970-01-01T05:00:00"
    (row,) = tables.quarantine.to_pylist()
    assert (row["line"], row["row"], row["column"]) == (None, 2, "amount") and '"x"' in row["content"]


def test_times_without_a_zone_in_the_hour_that_does_not_exist_are_put_aside(tmp_path):
    there, not_there = as_of_us("2026-03-29T03:30:00Z", None), as_of_us("2026-03-29T02:30:00Z", None)
    parquet_of(
        tmp_path,
        customer_id=["1", "2"],
        occurred_at=pa.array([there, not_there], pa.timestamp("us")),
        kind=["a", "a"],
    )
    tables = load(
        tmp_path, "select * from calls", {"calls": {"path": "calls.parquet"}}, timezone="Europe/Madrid"
    )
    assert times(tables) == ["2026-03-29T01:30:00"]
    assert "does not exist" in tables.quarantine["reason"][0].as_py()


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.timestamp("us"), pa.bool_()])
def test_an_id_that_is_no_text_or_whole_number_is_refused(tmp_path, kind):
    parquet_of(
        tmp_path,
        customer_id=pa.array([1], pa.int64()).cast(kind),
        occurred_at=pa.array([0], pa.timestamp("us")),
        kind=["a"],
    )
    with pytest.raises(CorredorError, match=r"touchpoints.customer_id is .*must be text or whole numbers"):
        load(tmp_path, "select * from calls", {"calls": {"path": "calls.parquet"}})


def test_json_lines_are_text_unless_declared_and_bad_lines_are_told(tmp_path):
    csv_of(
        tmp_path,
        """
        {"customer": "007", "moment": "2026-01-01", "extra": {"a": [1]}, "amount": 1.50}
        {"customer": 12, "moment": "2026-01-02", "amount": null}

        not json
        ["a"]
        {"customer": "12E5 é", "moment": "2026-01-03", "amount": "x"}
        {"customer": "", "moment": "2026-01-04"}
        """,
        "calls.jsonl",
    )
    files = {"calls": {"path": "calls.jsonl", "columns": {"amount": "decimal"}}}
    tables = load(tmp_path, CALLS.replace(" from", ", amount, extra->>'$.a[0]' as item from"), files)
    assert [(r["customer_id"], r["amount"], r["item"]) for r in rows(tables)] == [
        ("007", 1.5, "1"),
        ("12", None, None),
    ]
    assert {(r["line"], r["reason"][:17]) for r in tables.quarantine.to_pylist()} == {
        (4, "not a JSON object"),
        (5, "not a JSON object"),
        (6, "not a number with"),
        (7, "required, and not"),
    }
    assert str(tables.intake["touchpoints"]) == "6 rows in = 2 kept + 0 duplicates + 4 quarantined"


def test_a_json_array_is_read_with_the_place_of_each_object(tmp_path):
    text = '[{"customer": 18446744073709551615, "moment": "2026-01-01"},\n {"customer": "é"}, 5]'
    csv_of(tmp_path, text, "calls.json")
    tables = load(tmp_path, CALLS, {"calls": {"path": "calls.json"}})
    assert rows(tables)[0]["customer_id"] == "18446744073709551615"
    assert {(r["line"], r["row"]) for r in tables.quarantine.to_pylist()} == {(None, 2), (None, 3)}


@pytest.mark.parametrize("text", ['{"customer": 12E5, "moment": "2026-01-01"}', '[{"customer": 1.0}]'])
def test_a_json_number_that_is_not_whole_is_no_text(tmp_path, text):
    csv_of(tmp_path, text, "calls.json")
    with pytest.raises(CorredorError, match="customer holds numbers that are not whole"):
        load(tmp_path, CALLS, {"calls": {"path": "calls.json"}})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"path": "missing.csv"}, "there is no file missing.csv"),
        ({"path": "call.csv"}, "Did you mean calls.csv"),
        (
            {"path": "../secret.csv"},
            r"leads outside the workspace. Name its folder in \[project\] data_folders",
        ),
        ({"path": "link.csv"}, "leads outside the workspace"),
        ({"path": "linked/secret.csv"}, "leads outside the workspace"),
        ({"path": "l*.csv"}, "leads outside the workspace"),
        ({"path": "/etc/passwd", "format": "csv"}, "leads outside the workspace"),
        ({"path": "."}, "no file"),
        ({"path": "calls.dat"}, "does not tell its format"),
        ({"path": "calls.csv", "format": "parquet"}, "calls.csv is not a whole Parquet file"),
        ({"path": "calls.csv", "format": "json"}, "none of the 2 rows of calls.csv can be read: not a JSON"),
        ({"path": "calls.csv", "columns": {"momnt": "timestamp"}}, "no column 'momnt'. Did you mean moment"),
        ({"path": "calls.csv", "columns": {"moment": "time"}}, "no type 'time'. Did you mean timestamp"),
        (
            {"path": "calls.csv", "columns": {"moment": "integer"}},
            "none of the 1 rows of calls.csv can be read",
        ),
    ],
)
def test_a_file_that_cannot_be_read_as_declared_is_refused(tmp_path, files, message):
    folder = tmp_path / "work"
    csv_of(folder, "customer,moment\n1,2026-01-01\n")
    csv_of(folder, "customer,moment\n1,2026-01-01\n", "calls.dat")
    outside = csv_of(tmp_path, "customer,moment\n1,2026-01-01\n", "secret.csv")
    (folder / "link.csv").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    with pytest.raises(CorredorError, match=message):
        load(folder, CALLS, {"calls": files})


def test_names_that_differ_in_capitals_only_are_refused(tmp_path):
    csv_of(tmp_path, "id,ID\n1,2\n")
    with pytest.raises(CorredorError, match=r"calls.csv: two columns are called ID"):
        load(tmp_path, "select * from calls", {"calls": {"path": "calls.csv"}})


@pytest.mark.parametrize("name", ["a b", "a;drop", "_x", "é", "1a", ""])
def test_names_of_sources_are_plain(tmp_path, name):
    with pytest.raises(CorredorError, match="is refused"):
        load(tmp_path, "select 1", {name: {"path": "x.csv"}})


def test_two_tables_of_one_name_and_tables_unknown_are_refused(tmp_path):
    with pytest.raises(CorredorError, match="two tables .* are called calls"):
        load(tmp_path, CALLS, FILE, databases={"d": {"uri": "sqlite:x.db", "tables": {"Calls": "calls"}}})
    with pytest.raises(CorredorError, match="no table 'custmers'. Did you mean customers"):
        load(tmp_path, {"touchpoints": CALLS, "custmers": "select 1"}, FILE)


def test_a_table_of_which_no_row_is_left_is_an_error_with_the_reason(tmp_path):
    csv_of(tmp_path, "customer,moment\n,2026-01-01\n,2026-01-02\n")
    with pytest.raises(CorredorError, match="no row is left of 2: customer_id: required, and not given"):
        load(tmp_path, CALLS, FILE)
    csv_of(tmp_path, "customer,moment\n")
    with pytest.raises(CorredorError, match="no row is left of 0"):
        load(tmp_path, CALLS, FILE)


def test_files_that_no_query_reads_are_not_opened(tmp_path):
    csv_of(tmp_path, "customer,moment\n1,2026-01-01\n")
    tables = load(tmp_path, CALLS, {**FILE, "other": {"path": "missing.csv"}})
    assert list(tables.files) == ["calls"]


def test_files_of_a_pattern_may_lack_each_other_s_columns(tmp_path):
    csv_of(tmp_path, "customer,moment\n1,2026-01-01\n", "calls-1.csv")
    csv_of(tmp_path, "moment,customer,amount\n2026-01-01,2,5\n2026,2,5\n", "calls-2.csv")
    files = {"calls": {"path": "calls-*.csv", "columns": {"moment": "timestamp", "amount": "decimal"}}}
    tables = load(tmp_path, CALLS.replace(" from", ", amount from"), files)
    assert [(r["customer_id"], r["amount"]) for r in rows(tables)] == [("1", None), ("2", 5.0)]
    assert [(r["file"], r["line"]) for r in tables.quarantine.to_pylist()] == [("calls-2.csv", 3)]
