"""Rows that say what another row has said: counted once, whatever the order in which they came.

- Identical rows count once.
- A row that differs from another in `recorded_at` alone was told again: the first telling counts.
- Touchpoints with the same customer, touchpoint_id, kind, moment and item that were recorded at
  different moments are versions: the rows recorded last count, from when they were first told so.
  Recorded at the same moment, or without `recorded_at`, they are lines of one contact, and all count.
- Relationships with the same customer, product and start are versions too, and all of them count: as of
  a date, the last one known. Where none can be told to be the last, all of them are put aside.
- Customers have one row, or one for each `valid_from`; two that differ are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.clock import Bool, Int64
from features.contract import TableContract
from features.declared import Problem, mask_of
from features.errors import CorredorError
from features.lockdown import identifier
from features.scratch import scratch

RECORDED = "recorded_at"


@dataclass(frozen=True)
class Told:
    """What became of rows: kept, or put aside; the others are duplicates."""

    kept: Bool
    aside: list[Problem]


def tell_duplicates(table: pa.Table, contract: TableContract) -> Told:
    """Return which rows of a canonical table count.

    Raises:
        CorredorError: customers with several rows that differ, without a `valid_from` that tells when
            each holds.
    """
    names = table.column_names
    content = [name for name in names if name != RECORDED]
    kept = np.ones(len(table), dtype=np.bool_)
    aside: list[Problem] = []
    with scratch() as connection:
        if RECORDED not in names:
            _keep_one(connection, table, names, kept)
            if contract.name == "relationships":
                aside = _contradictions(connection, table, [*contract.version_key], kept)
        elif contract.version_key:
            key = [name for name in contract.version_key if name in names]
            _keep_one(connection, table, names, kept)
            if contract.name == "relationships":
                aside = _contradictions(connection, table, [*key, RECORDED], kept)
                _keep_changes(connection, table, key, kept, all_of_them=True)
            else:
                with_id = np.zeros(len(table), dtype=np.bool_)
                if "touchpoint_id" in names:
                    with_id = mask_of(pc.is_valid(table["touchpoint_id"]))
                    _keep_changes(connection, table, key, kept, all_of_them=False, among=with_id)
                _keep_one(connection, table, content, kept, among=~with_id, first_by=RECORDED)
        else:
            _keep_one(connection, table, content, kept, first_by=RECORDED)
        if contract.name == "customers":
            _refuse_contradictions(connection, table, kept)
    return Told(kept, aside)


def first_of_equals(table: pa.Table) -> Bool:
    """Return which rows are the first of those that have the same value in every column."""
    kept = np.ones(len(table), dtype=np.bool_)
    with scratch() as connection:
        _keep_one(connection, table, table.column_names, kept)
    return kept


def _candidates(connection: Any, table: pa.Table, columns: list[str], among: Bool) -> Int64:
    """Return the positions of the rows, among some, whose values in `columns` may not be theirs alone."""
    connection.register("rows", table.select(columns))
    listed = ", ".join(identifier(name) for name in columns)
    hashes = connection.sql(f"select hash({listed}) as h from rows").to_arrow_table()["h"].to_numpy()
    connection.unregister("rows")
    positions = np.flatnonzero(among)
    mine = hashes if among.all() else hashes[positions]
    ordered = np.sort(mine)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return np.empty(0, dtype=np.int64)
    slot = np.minimum(np.searchsorted(repeated, mine), len(repeated) - 1)
    found: Int64 = positions[repeated[slot] == mine]
    return found


def _select(connection: Any, table: pa.Table, positions: Int64, sql: str) -> pa.Table:
    """Return the answer of a query over some rows, called `candidates`, with their positions as __at."""
    connection.register("candidates", table.take(positions).append_column("__at", pa.array(positions)))
    answer = connection.sql(sql).to_arrow_table()
    connection.unregister("candidates")
    return answer


def _keep_one(
    connection: Any,
    table: pa.Table,
    columns: list[str],
    kept: Bool,
    *,
    among: Bool | None = None,
    first_by: str | None = None,
) -> None:
    """Of the rows with equal values in `columns`, keep one: the first by a column, or any."""
    among = kept if among is None else among & kept
    positions = _candidates(connection, table, columns, among)
    if not len(positions):
        return
    listed = ", ".join(identifier(name) for name in columns)
    pick = "min(__at)"
    if first_by:
        pick = f"arg_min(__at, coalesce(epoch_us({identifier(first_by)}), -9223372036854775807))"
    one = _select(connection, table, positions, f"select {pick} as __at from candidates group by {listed}")
    kept[positions] = False
    kept[one["__at"].to_numpy()] = True


def _keep_changes(
    connection: Any,
    table: pa.Table,
    key: list[str],
    kept: Bool,
    *,
    all_of_them: bool,
    among: Bool | None = None,
) -> None:
    """Of the rows with equal `key`, keep the tellings that differ from the one before: all, or the last."""
    positions = _candidates(connection, table, key, kept if among is None else among & kept)
    if not len(positions):
        return
    content = [n for n in table.column_names if n != RECORDED and n not in key]
    listed = ", ".join(identifier(name) for name in key)
    row = ", ".join(identifier(name) for name in content) or "0"
    same_key = " and ".join(
        f"candidates.{identifier(name)} is not distinct from last.{identifier(name)}" for name in key
    )
    last = "" if all_of_them else f"qualify row_number() over (partition by {listed} order by t desc) = 1"
    sql = f"""
        with tellings as (
            select {listed}, coalesce(epoch_us({RECORDED}), -9223372036854775807) as t,
                   list_sort(list(row({row}))) as said
            from candidates group by all
        ), changes as (
            select *, said is distinct from lag(said) over (partition by {listed} order by t)
                   or row_number() over (partition by {listed} order by t) = 1 as news
            from tellings
        ), last as (select {listed}, t from changes where news {last})
        select __at from candidates join last
            on {same_key} and coalesce(epoch_us(candidates.{RECORDED}), -9223372036854775807) = last.t
    """
    news = _select(connection, table, positions, sql)
    kept[positions] = False
    kept[news["__at"].to_numpy()] = True


def _contradictions(connection: Any, table: pa.Table, key: list[str], kept: Bool) -> list[Problem]:
    """Put aside the rows that differ though their key and moment of recording are the same."""
    positions = _candidates(connection, table, key, kept)
    if not len(positions):
        return []
    listed = ", ".join(identifier(name) for name in key)
    sql = f"select __at from candidates qualify count(*) over (partition by {listed}) > 1"
    rows = np.zeros(len(table), dtype=np.bool_)
    rows[_select(connection, table, positions, sql)["__at"].to_numpy()] = True
    if not rows.any():
        return []
    kept[rows] = False
    reason = "contradicts another row of the same customer, product and start; no recorded_at tells the later"
    return [Problem("recorded_at", rows, reason)]


def _refuse_contradictions(connection: Any, table: pa.Table, kept: Bool) -> None:
    """Raise when a customer has rows that differ and nothing tells when each holds."""
    key = [name for name in ("customer_id", "valid_from") if name in table.column_names]
    positions = _candidates(connection, table, key, kept)
    if not len(positions):
        return
    others = [name for name in table.column_names if name not in key]
    listed = ", ".join(identifier(name) for name in key)
    differing = ", ".join(
        f"count(distinct {n}) + count_if({n} is null)::bool::int > 1 as v{i}"
        for i, n in enumerate(map(identifier, others))
    )
    groups = _select(
        connection,
        table,
        positions,
        f"select {differing} from candidates group by {listed} having count(*) > 1",
    )
    if not len(groups):
        return
    changing = [name for i, name in enumerate(others) if pc.any(groups[f"v{i}"]).as_py()]
    if "valid_from" in key:
        fix = "Keep one row for each valid_from."
    else:
        fix = "Say from when each row holds in a column valid_from, or leave the column out of the query."
    raise CorredorError(
        f"customers: {len(groups):,} customers have rows that differ in {', '.join(changing)}. {fix}"
    )
