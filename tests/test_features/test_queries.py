import pytest

from features.errors import CorredorError
from features.queries import LINED, ROW, parse_query, plain_sql, sql_with_rows
from tests.test_features.workspaces import CALLS, csv_of, load

KNOWN = frozenset({"calls", "shops"})


def followed(sql):
    return sql_with_rows(parse_query("[sources] touchpoints", sql, KNOWN), KNOWN)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select 1; select 2", "2 statements. A source is exactly one SELECT"),
        ("select 1; drop table calls", "2 statements"),
        ("", "0 statements"),
        ("copy calls to 'x.csv'", "COPY is not allowed"),
        ("copy (select * from calls) to '/tmp/x.parquet'", "COPY is not allowed"),
        ("attach 'x.db'", "ATTACH is not allowed"),
        ("install httpfs", "is not allowed"),
        ("load httpfs", "is not allowed"),
        ("pragma database_list", "PRAGMA is not allowed"),
        ("set threads = 1", "is not allowed"),
        ("reset threads", "is not allowed"),
        ("create table x as select 1", "CREATE is not allowed"),
        ("delete from calls", "DELETE is not allowed"),
        ("with x as (select 1) insert into calls select * from x", "INSERT is not allowed"),
        ("export database 'x'", "EXPORT is not allowed"),
        ("call pragma_version()", "CALL is not allowed"),
        ("explain select 1", "EXPLAIN is not allowed"),
        ("pivot calls on a using sum(b)", "PIVOT is not allowed"),
        ("describe calls", "DESCRIBE"),
        ("from (show tables)", "SHOW"),
        ("summarize calls", "SUMMARIZE"),
        ("selec 1", "syntax error"),
        ("select * from read_csv('x.csv')", r"read_csv guesses .* Declare it under \[files.NAME\]"),
        ("select * from read_csv_auto('x.csv')", "read_csv_auto guesses"),
        ("select * from sniff_csv('x.csv')", "sniff_csv guesses"),
        ("select * from read_json_auto('x.json')", "read_json_auto guesses"),
        ("select (select max(a) from read_csv('/etc/passwd'))", "read_csv guesses"),
        ("with a as (select * from READ_CSV('x')) select * from a", "read_csv guesses"),
        (
            "select * from calls where x in (select t from read_text('/etc/passwd'))",
            "read_text is not allowed",
        ),
        ("select * from read_blob('x')", "read_blob is not allowed"),
        ("select * from glob('*')", "glob is not allowed"),
        ("select * from query('select 1')", "query is not allowed"),
        ("select * from query_table('calls')", "query_table is not allowed"),
        ("select * from duckdb_settings()", "duckdb_settings is not allowed"),
        ("select * from pragma_table_info('calls')", "pragma_table_info is not allowed"),
        ("select * from 'x.csv'", "no table 'x.csv'"),
        ('select * from "/etc/passwd"', "no table '/etc/passwd'"),
        ("select * from information_schema.tables", "no table 'information_schema.tables'"),
        ("select * from main.calls", "no table 'main.calls'"),
        ("select * from cals", r"no table 'cals'. Did you mean calls\?"),
        ("select * from KNOWN", "no table 'KNOWN'"),
        (f"select * from {LINED}calls", "no table"),
        ("select * from read_parquet('x.parquet', hive_partitioning = true)", "no options"),
        ("select * from read_parquet('a' || 'b')", "one path in quotes"),
        ("select * from read_parquet(getvariable('x'))", "one path in quotes"),
    ],
)
def test_what_is_not_one_select_over_declared_tables_is_refused(sql, message):
    with pytest.raises(CorredorError, match=rf"^\[sources\] touchpoints: .*{message}"):
        parse_query("[sources] touchpoints", sql, KNOWN)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from calls",
        "from CALLS select a;",
        "select a from calls -- a remark; with a semicolon",
        "with recursive n as (select 1 as i union all select i + 1 from n where i < 3) from n, calls",
        "select unnest([1, 2]) from calls, range(3), generate_series(1, 2)",
        "select * from calls natural join shops",
        "values (1, 'a')",
    ],
)
def test_any_one_select_is_allowed(sql):
    assert parse_query("x", sql, KNOWN).sql == sql


def test_parquet_files_named_in_a_query_become_tables_of_their_own():
    query = parse_query("x", "select p.a from read_parquet(['a.parquet', 'b/*.parquet']) p", KNOWN, 3)
    assert query.parquet == {"__parquet_3": ("a.parquet", "b/*.parquet")}
    assert "read_parquet" not in plain_sql(query) and "__parquet_3 AS p" in plain_sql(query)


@pytest.mark.parametrize(
    "sql",
    [
        "select a from calls",
        "select * from calls c where a > 1 order by a limit 5",
        "select c.*, s.b from calls c left join shops s using (k)",
        "select a, row_number() over (order by a) from calls",
        "select a, (select max(b) from shops) from calls",
        "select a from calls union all select b from shops",
        "select a from calls union all select max(b) from shops group by c",
        "with s as (select * from shops) select a from calls join s using (k)",
    ],
)
def test_rows_are_followed_through_what_keeps_them(sql):
    assert f"{ROW}" in followed(sql) and LINED in followed(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select max(a) from calls",
        "select a, 1 + sum(b) from calls group by all",
        "select a from calls group by a",
        "select distinct a from calls",
        "select distinct on (a) a, b from calls",
        "select a from calls union select a from shops",
        "select a from calls intersect select a from shops",
        "select a from (select max(a) as a from calls)",
        "with calls as (select 1 as a) select a from calls",
        "select max(columns(*)) from calls",
    ],
)
def test_rows_are_not_followed_where_they_are_mixed(sql):
    assert followed(sql) is None


def test_the_local_variables_of_python_are_no_tables(tmp_path):
    import pyarrow as pa

    secrets = pa.table({"customer": ["x"]})
    csv_of(tmp_path, "customer,moment\n1,2026-01-01\n")
    with pytest.raises(CorredorError, match="no table 'secrets'"):
        load(tmp_path, CALLS.replace("from calls", "from secrets"), {"calls": {"path": "calls.csv"}})
    assert len(secrets) == 1


def test_the_messages_of_a_query_hold_no_values_of_the_data(tmp_path):
    csv_of(tmp_path, "customer,moment\nana@example.com,2026-01-01\n")
    for sql in (
        CALLS.replace("customer,", "customer::int as customer_id,"),
        CALLS.replace("customer,", "strptime(customer, '%Y')::varchar as customer_id,"),
    ):
        with pytest.raises(CorredorError) as caught:
            load(tmp_path, sql, {"calls": {"path": "calls.csv"}})
        assert "ana@" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_query_that_adds_text_is_told_to_declare_it(tmp_path):
    csv_of(tmp_path, "customer,moment,amount\n1,2026-01-01,5\n")
    sql = (
        "select customer as customer_id, moment as occurred_at, 'x' as kind, sum(amount) as amount from calls"
    )
    with pytest.raises(CorredorError, match=r"text unless declared under \[files.NAME\] columns"):
        load(tmp_path, sql + " group by all", {"calls": {"path": "calls.csv"}})
