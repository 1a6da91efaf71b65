"""A query's answer brought to the types of its contract, and the rows that cannot be."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.clock import FIRST_YEAR, LAST_YEAR, as_of_us
from features.contract import ARROW, LARGEST, Column, TableContract
from features.declared import Form, Problem, mask_of, read_declared, zoned
from features.errors import CorredorError

_TYPE_OF_KIND = {"time": "timestamp", "number": "decimal", "flag": "boolean"}


def conform(
    table: pa.Table, contract: TableContract, *, zone: tzinfo, until: int
) -> tuple[pa.Table, list[Problem]]:
    """Return rows with the contract's types, and which of them break it.

    Whole numbers become the text of an id, empty text and NaN become null, times without a zone are
    read in `zone`. Text is read as a time (ISO 8601), number or flag where the contract has one.

    Args:
        table: An answer's rows; its columns are the contract's.
        contract: What they must be.
        zone: The project's time zone.
        until: The moment of extraction (µs UTC): facts of the past cannot be later.

    Raises:
        CorredorError: a column whose type cannot hold what the contract asks for.
    """
    problems: list[Problem] = []
    for i, at in enumerate(table.schema):
        column = contract.by_name.get(at.name) or _attribute(contract, at)
        values, unread = _typed(table, contract, column, zone)
        problems += unread
        problems += _impossible(values, column, until)
        table = table.set_column(i, column.name, values)
    for group in contract.either:
        present = [name for name in group if name in table.column_names]
        empty = np.logical_and.reduce([mask_of(pc.is_null(table[name])) for name in present])
        problems += _problem(group[0], empty, f"neither {' nor '.join(group)} is given")
    for low, high in contract.ordered:
        if {low, high} <= set(table.column_names):
            wrong = mask_of(pc.greater(table[low], table[high]))
            problems += _problem(high, wrong, f"{high} is before or below {low}")
    return table, problems


def _typed(
    table: pa.Table, contract: TableContract, column: Column, zone: tzinfo
) -> tuple[pa.Array, list[Problem]]:
    """Return one column with its canonical type, and the cells that do not read."""
    values = table[column.name]
    found, where = values.type, f"{contract.name}.{column.name}"
    if pa.types.is_dictionary(found):
        values = values.cast(found.value_type)
        found = values.type
    if pa.types.is_large_string(found) or pa.types.is_string_view(found):
        values = values.cast(pa.string())
        found = values.type
    if pa.types.is_null(found):
        return pa.nulls(len(values), ARROW[column.kind]), []
    whole = pa.types.is_integer(found) or (pa.types.is_decimal(found) and found.scale == 0)
    if column.kind == "text":
        if whole:
            return values.cast(pa.string()).combine_chunks(), []
        if not pa.types.is_string(found):
            raise CorredorError(
                f"{where} is {found}, and must be text or whole numbers. Declare the column as text, or cast"
                " it in the query; an id that was a fraction has already lost its digits."
            )
        values = values.combine_chunks()
        empty = pc.equal(pc.utf8_trim_whitespace(values) if column.required else values, "")
        return pc.if_else(empty, pa.scalar(None, pa.string()), values) if mask_of(empty).any() else values, []
    if pa.types.is_string(found):
        read, problems = read_declared(
            pa.table({column.name: values}), {column.name: _TYPE_OF_KIND[column.kind]}, Form(zone=zone)
        )
        return read[column.name].combine_chunks(), problems
    if column.kind == "time" and (pa.types.is_timestamp(found) or pa.types.is_date(found)):
        if pa.types.is_date(found) or found.tz is None:
            return zoned(values, zone, column.name)
        return values.cast(ARROW["time"], safe=False).combine_chunks(), []
    if column.kind == "number" and (whole or pa.types.is_floating(found) or pa.types.is_decimal(found)):
        numbers = values.cast(pa.float64(), safe=False).combine_chunks()
        nan = pc.is_nan(numbers)
        return pc.if_else(nan, pa.scalar(None, pa.float64()), numbers) if mask_of(nan).any() else numbers, []
    if column.kind == "flag" and pa.types.is_boolean(found):
        return values.combine_chunks(), []
    if column.kind == "flag" and whole:
        numbers = values.cast(pa.int64()).combine_chunks()
        neither = mask_of(pc.invert(pc.is_in(numbers, pa.array([0, 1, None], pa.int64()))))
        return pc.equal(numbers, 1), _problem(column.name, neither, "not a yes or no (true, false, 1, 0)")
    wanted = {"time": "a time", "number": "a number", "flag": "true or false"}[column.kind]
    raise CorredorError(f"{where} is {found}, and must be {wanted}. Declare or cast it.")


def _impossible(values: pa.Array, column: Column, until: int) -> list[Problem]:
    """Return the cells of a column that no fact can have."""
    problems = []
    if column.required:
        problems += _problem(column.name, mask_of(pc.is_null(values)), "required, and not given")
    if column.kind == "time":
        us = np.asarray(pc.fill_null(values.cast(pa.int64()), 0))
        problems += _problem(
            column.name,
            (us < _EARLIEST) | (us >= _LATEST),
            f"outside the years {FIRST_YEAR}-{LAST_YEAR}; leave out what stands for no date",
        )
        if column.past:
            problems += _problem(column.name, us > until, "later than the extraction of the data")
    elif column.kind == "number":
        numbers = np.asarray(pc.fill_null(values, max(column.low, 0)))
        wrong = ~((numbers >= column.low) & (numbers <= column.high))
        problems += _problem(column.name, wrong, _range_reason(column))
    elif column.words:
        known = pc.is_in(values, pa.array([*column.words, None], pa.string()))
        problems += _problem(column.name, ~mask_of(known), f"none of {', '.join(column.words)}")
    return problems


_EARLIEST = as_of_us(f"{FIRST_YEAR}-01-01", UTC)
_LATEST = as_of_us(f"{LAST_YEAR}-12-31", UTC)


def _attribute(contract: TableContract, at: pa.Field) -> Column:
    """Return the column that an attribute of the customer is, by its type."""
    kind = at.type.value_type if pa.types.is_dictionary(at.type) else at.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return Column(at.name, "text")
    if pa.types.is_boolean(kind):
        return Column(at.name, "flag")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Column(at.name, "number")
    raise CorredorError(
        f"{contract.name}.{at.name} is {kind}; an attribute is text, a number, or true or false. Turn it"
        " into one in the query, a date into days or months."
    )


def _range_reason(column: Column) -> str:
    if column.low == -LARGEST:
        return f"not a finite number up to {LARGEST:.0e}"
    if column.high == LARGEST:
        return f"below {column.low:g}, or not a finite number up to {LARGEST:.0e}"
    return f"not between {column.low:g} and {column.high:g}"


def _problem(column: str, rows: Any, reason: str) -> list[Problem]:
    return [Problem(column, rows, reason)] if rows.any() else []
