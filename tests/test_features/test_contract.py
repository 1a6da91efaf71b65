import pyarrow as pa
import pytest

from features.contract import CONTRACT, Intake, check_tables
from features.errors import CorredorError
from tests.test_features.workspaces import csv_of, load, rows

UUID = "00000000-0000-0000-0000-000000000001"
CALL = {"customer_id": "'c'", "occurred_at": "'2026-01-02'", "kind": "'call'"}
NEEDS = {
    "touchpoints": CALL,
    "customers": {"customer_id": "'c'"},
    "relationships": {"customer_id": "'c'", "product": "'p'", "started_at": "'2026-01-02'"},
    "wallet": {"customer_id": "'c'", "observed_at": "'2026-01-02'", "provider": "'us'", "share": "0.5"},
    "switching_costs": {
        **{"customer_id": "'c'", "asked_at": "'2026-01-02'", "facet": "'brand'"},
        **{"value": "3", "scale_min": "1", "scale_max": "5"},
    },
    "treatments": {
        **{"customer_id": "'c'", "assigned_at": "'2026-01-02'", "action": "'call'", "arm": "'control'"},
    },
}


def select(**columns):
    return "select " + ", ".join(f"{value} as {name}" for name, value in columns.items())


def load_row(tmp_path, table, **columns):
    """Load one row beside a good one (customer g), so that a table is never empty."""
    row = {**NEEDS[table], **columns}
    good = {n: ("'g'" if n == "customer_id" else NEEDS[table].get(n, "null")) for n in row}
    sources = {"touchpoints": select(**CALL), table: f"{select(**good)} union all {select(**row)}"}
    return load(tmp_path, sources)


def taken(tables, table):
    found = [row for row in rows(tables, table) if row["customer_id"] == "c"]
    return found[0] if found else None


@pytest.mark.parametrize("table", CONTRACT)
def test_every_table_is_taken_with_what_it_needs(tmp_path, table):
    tables = load_row(tmp_path, table)
    assert taken(tables, table) and tables.intake[table].kept == 2
    check_tables(tables.tables)


@pytest.mark.parametrize(
    ("table", "column"),
    [(t, c.name) for t, contract in CONTRACT.items() for c in contract.columns if c.required],
)
def test_a_required_column_must_be_there_and_filled(tmp_path, table, column):
    tables = load_row(tmp_path, table, **{column: "null"})
    assert tables.intake[table].quarantined == 1
    assert tables.quarantine["reason"].to_pylist() == ["required, and not given"]
    missing = {n: v for n, v in NEEDS[table].items() if n != column}
    with pytest.raises(CorredorError, match=f"{table} has no column {column}, which is required"):
        load(tmp_path, {"touchpoints": select(**CALL), table: select(**missing or {"x": "1"})})


@pytest.mark.parametrize(
    ("table", "column", "value", "reason"),
    [
        ("touchpoints", "nps", "11", "not between 0 and 10"),
        ("touchpoints", "nps", "-1", "not between 0 and 10"),
        ("touchpoints", "satisfaction", "10.01", "not between 0 and 10"),
        ("touchpoints", "empathy", "'high'", "not a number"),
        ("touchpoints", "wait_minutes", "-0.5", "not between 0 and"),
        ("touchpoints", "amount", "'inf'::double", "not a finite number"),
        ("touchpoints", "amount", "1e13", "not a finite number up to 1e"),
        ("touchpoints", "outcome", "'Done'", "none of done, abandoned, failed, transferred, open"),
        ("touchpoints", "direct", "2", "not a yes or no"),
        ("touchpoints", "direct", "'perhaps'", "not a yes or no"),
        ("touchpoints", "kind", "''", "required, and not given"),
        ("touchpoints", "customer_id", "'  '", "required, and not given"),
        ("touchpoints", "occurred_at", "'2027-01-02'", "later than the extraction"),
        ("touchpoints", "recorded_at", "'2027-01-02'", "later than the extraction"),
        ("touchpoints", "occurred_at", "'0001-01-01'", "outside the years"),
        ("relationships", "ended_at", "'9999-12-31'", "outside the years 1900-2199; leave out"),
        ("relationships", "ended_at", "'2026-01-01'", "ended_at is before or below started_at"),
        ("relationships", "exit_fee", "-1", "below 0"),
        ("customers", "since", "'01/02/2020'", "not a time of ISO 8601"),
        ("wallet", "share", "1.1", "not between 0 and 1"),
        ("wallet", "share", "50", "not between 0 and 1"),
        ("wallet", "share", "null", "neither share nor rank is given"),
        ("wallet", "provider", "null", "neither provider nor ours is given"),
        ("wallet", "rank", "0", "not between 1 and"),
        ("switching_costs", "value", "6", "scale_max is before or below value"),
        ("switching_costs", "value", "0", "value is before or below scale_min"),
        ("treatments", "propensity", "1.5", "not between 0 and 1"),
        ("treatments", "cost", "-1", "below 0"),
    ],
)
def test_impossible_values_are_put_aside_with_the_reason(tmp_path, table, column, value, reason):
    rest = {"rank": "2"} if table == "wallet" and column == "rank" else {}
    if column in ("share", "provider") and value == "null":
        rest = {"rank": "null", "ours": "null"}
    tables = load_row(tmp_path, table, **{**rest, column: value})
    assert taken(tables, table) is None
    (found,) = tables.quarantine.to_pylist()
    assert reason in found["reason"] and found["source"] == table
    assert '"customer_id"' in found["content"]


@pytest.mark.parametrize(
    ("table", "column", "value", "stored"),
    [
        ("touchpoints", "nps", "10", 10.0),
        ("touchpoints", "nps", "'7'", 7.0),
        ("touchpoints", "amount", "-12.5::decimal(9,2)", -12.5),
        ("touchpoints", "amount", "'NaN'::double", None),
        ("touchpoints", "amount", "''", None),
        ("touchpoints", "direct", "0", False),
        ("touchpoints", "direct", "'yes'", True),
        ("touchpoints", "channel", "''", None),
        ("touchpoints", "agent_id", "42", "42"),
        ("touchpoints", "item", "'a'::enum('a', 'b')", "a"),
        ("touchpoints", "case_id", "12345678901234567890123::hugeint", "12345678901234567890123"),
        ("touchpoints", "touchpoint_id", f"'{UUID}'::uuid", UUID),
        ("touchpoints", "outcome", "'open'", "open"),
        ("customers", "age", "45", 45.0),
        ("customers", "city", "'Íñigo'", "Íñigo"),
        ("customers", "club", "true", True),
        ("customers", "nothing", "null", None),
        ("wallet", "ours", "1", True),
    ],
)  # fmt: skip
def test_values_take_the_contract_s_types(tmp_path, table, column, value, stored):
    tables = load_row(tmp_path, table, **{column: value})
    assert taken(tables, table)[column] == stored


def test_the_end_of_a_relationship_may_lie_ahead(tmp_path):
    row = taken(load_row(tmp_path, "relationships", ended_at="'2030-06-01'"), "relationships")
    assert row["ended_at"].year == 2030


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"amuont": "1"}, "no column of touchpoints 'amuont'. Did you mean amount"),
        ({"amount": "current_date"}, "touchpoints.amount is date32.*must be a number"),
        ({"item": "1.5::double"}, "touchpoints.item is double, and must be text or whole numbers"),
        ({"direct": "1.5::double"}, "touchpoints.direct is double, and must be true or false"),
        ({"recorded_at": "5"}, "touchpoints.recorded_at is int32, and must be a time"),
    ],
)
def test_columns_that_cannot_be_are_refused_by_name(tmp_path, columns, message):
    with pytest.raises(CorredorError, match=message):
        load(tmp_path, select(**CALL, **columns))


def test_a_misspelt_required_column_is_recognised(tmp_path):
    with pytest.raises(CorredorError, match=r"no column occurred_at, .* Did you mean ocurred_at\?"):
        load(tmp_path, "select 1 as customer_id, 'x' as kind, '2026-01-01' as ocurred_at")


def test_capitals_in_the_names_of_columns_do_not_matter(tmp_path):
    tables = load(tmp_path, "select 'c' as CUSTOMER_ID, '2026-01-02' as Occurred_At, 'call' as KIND")
    assert tables["touchpoints"].column_names == ["customer_id", "occurred_at", "kind"]


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(CorredorError, match="two columns are called amount"):
        load(tmp_path, select(**CALL) + ", 1 as amount, 2 as amount")


def test_an_attribute_that_is_a_date_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(CorredorError, match="customers.birth is date32.*days or months"):
        load(
            tmp_path,
            {"touchpoints": select(**CALL), "customers": "select 1 as customer_id, current_date as birth"},
        )


def test_wallet_needs_a_provider_and_a_measure(tmp_path):
    with pytest.raises(CorredorError, match="wallet needs a column share or rank"):
        load(
            tmp_path,
            {
                "touchpoints": select(**CALL),
                "wallet": "select 1 as customer_id, '2026-01-01' as observed_at, true as ours",
            },
        )


def test_attributes_of_a_csv_are_text_unless_declared(tmp_path):
    csv_of(tmp_path, "customer_id,age,size\n1,45,45\n", "people.csv")
    tables = load(
        tmp_path,
        {"touchpoints": select(**CALL), "customers": "select * from people"},
        {"people": {"path": "people.csv", "columns": {"age": "integer"}}},
    )
    assert rows(tables, "customers") == [{"customer_id": "1", "age": 45.0, "size": "45"}]


def test_tables_made_in_code_are_checked_too():
    good = pa.table(
        {
            "customer_id": ["a"],
            "occurred_at": pa.array([0], pa.timestamp("us", "UTC")),
            "kind": ["x"],
        }
    )
    tables = check_tables({"touchpoints": good})
    assert tables.extracted_at == 0 and tables.intake["touchpoints"].kept == 1
    naive = good.set_column(1, "occurred_at", pa.array([0], pa.timestamp("us")))
    for table, message in [
        (naive, r"touchpoints.occurred_at is timestamp\[us\], and must be timestamp\[us, tz=UTC\]"),
        (good.drop_columns(["kind"]), "has no column kind"),
        (good.set_column(0, "customer_id", pa.array([None], pa.string())), "1 rows have no customer_id"),
    ]:
        with pytest.raises(CorredorError, match=message):
            check_tables({"touchpoints": table})
    with pytest.raises(CorredorError, match="touchpoints is required"):
        check_tables({})
    with pytest.raises(CorredorError, match="no table 'visits'"):
        check_tables({"touchpoints": good, "visits": good})


def test_an_intake_that_does_not_add_up_cannot_exist():
    assert str(Intake(1000, 990, 4, 6)) == "1,000 rows in = 990 kept + 4 duplicates + 6 quarantined"
    with pytest.raises(RuntimeError, match="went missing"):
        Intake(10, 9)
