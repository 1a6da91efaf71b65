"""The `[sources]` queries: what they may say, what they read, and how a row finds back to its line."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from features.errors import CorredorError, unknown_name
from features.scratch import scratch

Node = dict[str, Any]

ROW = "__row"
"""The hidden column that numbers a row's source, file and line (`features.files.row_number`)."""
LINED = "__lines_"
"""Prefix of the view of a file that has the hidden column."""

_READERS = ("read_csv", "read_csv_auto", "sniff_csv", "read_json", "read_json_auto", "read_ndjson")
_TABLE_FUNCTIONS = ("unnest", "range", "generate_series", "json_each", "json_tree")


@dataclass(frozen=True)
class Query:
    """One checked SELECT: the tables it reads by name, and the Parquet files that it names itself."""

    where: str
    sql: str
    tree: Node
    relations: frozenset[str]
    parquet: Mapping[str, tuple[str, ...]]
    """Name given to a `read_parquet` in the query -> its paths."""


def parse_query(where: str, sql: str, known: Set[str], numbered_from: int = 0) -> Query:
    """Return a query after checking that it is one SELECT over tables that exist.

    Args:
        where: What the configuration calls it, for the errors: `[sources] touchpoints`.
        sql: The query.
        known: Names of `[files.*]` and of the tables of `[databases.*]`, in lower case.
        numbered_from: First number for the files that the query reads by `read_parquet`.

    Raises:
        CorredorError: another statement than a SELECT, a second statement, a table or reader of files
            that is not declared.
    """
    with scratch() as connection:
        try:
            statements = connection.extract_statements(sql)
        except duckdb.Error as error:
            raise CorredorError(f"{where}: {one_line(error)}") from None
        if len(statements) != 1:
            raise CorredorError(f"{where}: {len(statements)} statements. A source is exactly one SELECT.")
        answer = connection.sql("select json_serialize_sql(?)", params=[sql]).fetchall()[0][0]
    serialized = json.loads(answer)
    if serialized["error"]:
        kind = statements[0].type.name.replace("MULTI", "PIVOT")
        raise CorredorError(f"{where}: {kind} is not allowed. A source is exactly one SELECT.")
    tree = serialized["statements"][0]["node"]
    parquet: dict[str, tuple[str, ...]] = {}
    relations = set()
    ctes = _cte_names(tree)
    for node in _nodes(tree):
        if node.get("alias") == ROW or ROW in node.get("column_names", ()):
            raise CorredorError(f"{where}: the name {ROW} is kept for the lines of files. Use another.")
        match node.get("type"):
            case "TABLE_FUNCTION":
                _check_table_function(where, node)
                name = node["function"]["function_name"].lower()
                if name in ("read_parquet", "parquet_scan"):
                    view = f"__parquet_{numbered_from + len(parquet)}"
                    parquet[view] = _literal_paths(where, node["function"]["arguments"])
                    _become_table(node, view)
                    relations.add(view)
            case "SHOW_REF":
                raise CorredorError(f"{where}: SHOW, DESCRIBE and SUMMARIZE are not allowed in a source.")
            case "BASE_TABLE" if node["table_name"] not in parquet:
                path = node["qualified_name"]["path"]
                name = path[-1].lower()
                if len(path) > 1 or (name not in known and name not in ctes):
                    raise _no_such_table(where, ".".join(path), known)
                if name in known:
                    relations.add(name)
    return Query(where, sql, tree, frozenset(relations), parquet)


def plain_sql(query: Query) -> str:
    """Return the query's SQL over the session's views."""
    return _to_sql(query.tree) if query.parquet else query.sql


def sql_with_rows(query: Query, lined: Set[str]) -> str | None:
    """Return the query with the hidden row column added, or None where rows cannot be followed.

    A row can be followed through projections, filters, joins (from the first table) and UNION ALL,
    not through grouping and DISTINCT. Of a UNION ALL with some grouped parts, only the others are.
    """
    tree = copy.deepcopy(query.tree)
    ctes = _cte_names(tree)
    try:
        followed = _follow(tree, {name for name in lined if name not in ctes})
        return _to_sql(tree) if followed else None
    except (_NotFollowed, duckdb.Error):
        return None


def goes_row_by_row(query: Query, lined: Set[str]) -> bool:
    """Return whether each row of one relation gives its own rows, so that new rows can be asked for alone.

    So it is where a query only projects and filters: no grouping, DISTINCT, windows, subqueries, joins,
    unions, WITH parts or LIMIT.
    """
    if len(query.relations) != 1 or query.tree["type"] != "SELECT_NODE":
        return False
    table = query.tree["from_table"]
    alone = table["type"] == "BASE_TABLE" and not table.get("sample") and not _cte_names(query.tree)
    plain = not [m for m in query.tree["modifiers"] if m["type"] != "ORDER_MODIFIER"]
    whole = any(n.get("class") in ("WINDOW", "SUBQUERY") for n in _nodes(query.tree))
    return alone and plain and not whole and sql_with_rows(query, lined) is not None


def one_line(error: Exception) -> str:
    """Return a message of DuckDB in one line, without values of the data."""
    message = str(error).split("\n\n")[0].split("\nLINE ")[0].split("Candidate functions")[0]
    message = " ".join(line.strip() for line in message.splitlines() if line.strip(" ^"))
    spoken_of_the_query = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
    if not isinstance(error, (*spoken_of_the_query, duckdb.PermissionException)):
        message = _without_values(message)
    if isinstance(error, duckdb.BinderException) and "VARCHAR" in message:
        message += " Columns of a CSV or JSON file are text unless declared under [files.NAME] columns."
    return message[:600]


class _NotFollowed(Exception):
    """The rows of a query cannot be followed to lines."""


def _follow(node: Node, lined: Set[str]) -> bool:
    """Add the row column to a query node in place; return whether any part of it has lines."""
    if any(m["type"] == "DISTINCT_MODIFIER" for m in node["modifiers"]):
        raise _NotFollowed
    if node["type"] == "SET_OPERATION_NODE":
        if node["setop_type"] not in ("UNION", "UNION_BY_NAME") or not node["setop_all"]:
            raise _NotFollowed
        return any([_follow(child, lined) for child in node["children"]])
    if node["type"] != "SELECT_NODE":
        raise _NotFollowed
    table = node["from_table"]
    while table["type"] == "JOIN":
        table = table["left"]
    name = table["table_name"].lower() if table["type"] == "BASE_TABLE" else ""
    stars = [n for item in node["select_list"] for n in _nodes(item) if n.get("type") == "STAR"]
    top = [item for item in node["select_list"] if item.get("type") == "STAR"]
    grouped = (
        node["group_expressions"]
        or node["having"]
        or node["aggregate_handling"] != "STANDARD_HANDLING"
        or any(_is_aggregate(item) for item in node["select_list"])
    )
    if name not in lined or grouped or len(stars) > len(top) or any(s["columns"] for s in stars):
        node["select_list"].append(_constant_null())
        return False
    alias = table["alias"] or table["table_name"]
    _become_table(table, LINED + name, alias)
    for star in top:
        if star["relation_name"].lower() in ("", alias.lower()):
            star["exclude_list"].append(ROW)
    node["select_list"].append(
        {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": ROW, "column_names": [alias, ROW]}
    )
    return True


def _become_table(node: Node, name: str, alias: str | None = None) -> None:
    """Make a node of the FROM clause the table `name`, known by the alias it had."""
    if alias is None:
        alias = node["alias"] or node["function"]["function_name"]
    columns = node["column_name_alias"]
    node.clear()
    node.update(type="BASE_TABLE", alias=alias, sample=None, schema_name="", table_name=name)
    node.update(column_name_alias=columns, catalog_name="", at_clause=None, qualified_name={"path": [name]})


def _is_aggregate(item: Node) -> bool:
    """Whether an expression aggregates rows outside of subqueries and windows."""
    if item.get("class") in ("SUBQUERY", "WINDOW"):
        return False
    if item.get("class") == "FUNCTION" and item["function_name"].lower() in _aggregates():
        return True
    parts = [v for value in item.values() for v in (value if isinstance(value, list) else [value])]
    return any(_is_aggregate(part) for part in parts if isinstance(part, dict))


@cache
def _aggregates() -> frozenset[str]:
    """Return the names of DuckDB's aggregate functions."""
    listed = "select distinct function_name from duckdb_functions() where function_type = 'aggregate'"
    with scratch() as connection:
        return frozenset(row[0].lower() for row in connection.sql(listed).fetchall())


def _constant_null() -> Node:
    literal = {"kind": "NULL_LITERAL", "text": ""}
    return {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": ROW, "literal": literal}


def _to_sql(tree: Node) -> str:
    statement = json.dumps({"error": False, "statements": [{"node": tree, "named_param_map": []}]})
    with scratch() as connection:
        return str(connection.sql("select json_deserialize_sql(?)", params=[statement]).fetchall()[0][0])


def _nodes(tree: Any) -> Iterator[Node]:
    """Every node of a syntax tree, parents first."""
    if isinstance(tree, dict):
        yield tree
        for value in list(tree.values()):
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _cte_names(tree: Node) -> set[str]:
    """Names of the WITH parts anywhere in a query, in lower case."""
    return {
        cte["key"].lower() for node in _nodes(tree) if "cte_map" in node for cte in node["cte_map"]["map"]
    }


def _check_table_function(where: str, node: Node) -> None:
    name = node["function"]["function_name"].lower()
    if name in ("read_parquet", "parquet_scan", *_TABLE_FUNCTIONS):
        return
    if name in _READERS:
        raise CorredorError(
            f"{where}: {name} guesses what a file means. Declare it under [files.NAME] with its path and"
            " options, and select from NAME."
        )
    raise CorredorError(
        f"{where}: the table function {name} is not allowed. Declare files under [files.NAME], and"
        " databases under [databases.NAME]."
    )


def _literal_paths(where: str, arguments: list[Node]) -> tuple[str, ...]:
    """Return the paths that a read_parquet names, which must be plain texts."""
    if len(arguments) == 1:
        argument = arguments[0]["expression"]
        items = [argument]
        if argument.get("function_name") == "list_value":
            items = [a["expression"] for a in argument["arguments"]]
        literals = [item.get("literal", {}) for item in items]
        if literals and all(literal.get("kind") == "STRING" for literal in literals):
            return tuple(literal["text"] for literal in literals)
    raise CorredorError(
        f"{where}: read_parquet takes one path in quotes, or a list of them, and no options. Declare the"
        " file under [files.NAME] for more."
    )


def _no_such_table(where: str, name: str, known: Set[str]) -> CorredorError:
    error = unknown_name("table", name, known)
    return CorredorError(f"{where}: {error} Declare it under [files.NAME] or [databases.NAME] tables.")


def _without_values(message: str) -> str:
    """Return a message up to the first quote: what follows may be a value of the data."""
    told = re.split("['\"]", message, maxsplit=1)
    rest = " … A value cannot be read; declare the column under [files.NAME], or use try_cast."
    return told[0].strip() + (rest if len(told) > 1 else "")
