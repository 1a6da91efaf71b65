"""Which rows of some buckets count, told with little work: what cannot repeat another is not compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.clock import Bool, Int64
from features.contract import TableContract
from features.duplicates import Told, first_of_equals, tell_duplicates

_ODD = np.uint64(0x9E3779B97F4A7C15)


def tell_in_buckets(table: pa.Table, contract: TableContract) -> Told:
    """Return which rows of a canonical table count (`features.duplicates`)."""
    if not _few_can_repeat(table, contract):
        return tell_duplicates(table, contract)
    return Told(_among_shared(table, lambda some: tell_duplicates(some, contract).kept), [])


def without_repeats(table: pa.Table, contract: TableContract) -> pa.Table:
    """Return a canonical table without the rows that have in every column what an earlier one has."""
    few = _few_can_repeat(table, contract)
    kept = _among_shared(table, first_of_equals) if few else first_of_equals(table)
    return table if kept.all() else only_names_of_rows(table.filter(pa.array(kept)))


def only_names_of_rows(table: pa.Table) -> pa.Table:
    """Return a table whose Arrow dictionaries hold just the names that rows have, each in one piece."""
    for i, at in enumerate(table.schema):
        if pa.types.is_dictionary(at.type) and len(table):
            table = table.set_column(i, at, _of_rows(table.column(i).combine_chunks()))
    return table


def _of_rows(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a dictionary array without the names that no row has."""
    codes = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    has = np.zeros(len(column.dictionary), np.bool_)
    has[codes[codes >= 0]] = True
    if has.all():
        return column
    place = (np.cumsum(has) - 1).astype(np.int32)
    codes = np.where(codes >= 0, place[codes], -1).astype(np.int32)
    indices = pa.array(codes, mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, column.dictionary.filter(pa.array(has)))


def _few_can_repeat(table: pa.Table, contract: TableContract) -> bool:
    """Whether rows that repeat or replace one another have customer and moment in common, which is soon told.

    So have touchpoints; their customers must come as an Arrow dictionary.
    """
    return contract.name == "touchpoints" and pa.types.is_dictionary(table.schema.field("customer_id").type)


def _among_shared(table: pa.Table, tell: Callable[[pa.Table], Bool]) -> Bool:
    """Return which rows are kept, where those that share customer and moment with another are told apart."""
    kept = np.ones(len(table), np.bool_)
    rows = np.flatnonzero(_shared(table))
    if len(rows):
        kept[rows] = tell(table.take(pa.array(rows)))
    return kept


def _shared(table: pa.Table) -> Bool:
    """Return which touchpoints have their customer and moment in common with another."""
    ids: Any = table["customer_id"].combine_chunks()
    if isinstance(ids, pa.ChunkedArray):  # of no chunks
        return np.zeros(0, np.bool_)
    codes = ids.indices.to_numpy(zero_copy_only=False)
    moments = table["occurred_at"].cast(pa.int64()).to_numpy()
    shared: Bool = np.zeros(len(codes), np.bool_)
    if not _in_time(codes, moments, len(ids.dictionary), shared):
        shared[:] = False
        _look_up(codes, moments, shared)
    return shared


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _in_time(codes: Any, moments: Int64, customers: int, shared: Bool) -> bool:
    """Mark the rows that share customer and moment; False once a customer's are not in order of time."""
    last = np.full(customers, -1)
    for i in range(codes.size):
        before = last[codes[i]]
        last[codes[i]] = i
        if before < 0 or moments[before] < moments[i]:
            continue
        if moments[before] > moments[i]:
            return False
        shared[before] = shared[i] = True
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _look_up(codes: Any, moments: Int64, shared: Bool) -> None:
    """Mark the rows that share customer and moment, in whatever order they come, by a table of hashes."""
    size = 16
    while size < 2 * codes.size:
        size *= 2
    slots = np.full(size, -1, np.int32)
    for i in range(codes.size):
        mixed = (np.uint64(moments[i]) + np.uint64(codes[i]) * _ODD) * _ODD
        at = np.int64(mixed >> np.uint64(20)) & (size - 1)
        while slots[at] >= 0:
            j = slots[at]
            if codes[j] == codes[i] and moments[j] == moments[i]:
                shared[j] = shared[i] = True
                break
            at = (at + 1) & (size - 1)
        if slots[at] < 0:
            slots[at] = i
