"""Names as numbers: distinct texts numbered by their content, and a customer's own ones as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

Ints = npt.NDArray[np.int64]
Contact = tuple[str | None, ...]
Texts: TypeAlias = pa.ChunkedArray | pa.Array | Sequence[str | None]
"""A text column; a plain sequence where there are few, as in a request."""

NULL = int(np.iinfo(np.int64).min)
"""Stands for "no value" among integers."""
OWN_CODES = ("case_id",)
"""Texts that only tell a customer's rows apart: each customer numbers their own."""


def encode(columns: Sequence[pa.ChunkedArray | pa.Array]) -> tuple[Ints, tuple[Contact, ...]]:
    """Number the distinct rows of text columns by their content, nulls first.

    Returns the number of each row, and the rows so numbered. Numbers follow the byte order of the
    content, so that they order rows the same way in a nightly batch and in a request.
    """
    n = len(columns[0])
    combined = np.zeros(n, np.int64)
    levels: list[list[str | None]] = []
    for column in columns:
        if getattr(column, "null_count", 0) == n:  # a column that the log has not
            levels.append([None])
            continue
        places, rank, names = _ranked(column)
        _add_level(combined, places, rank, len(names))
        levels.append(names)
    size = int(np.prod([len(names) for names in levels], dtype=np.float64))
    if size <= 1 << 24:
        present = np.zeros(size, np.int64)
        _mark(present, combined)
        used = np.flatnonzero(present)
        present[used] = np.arange(len(used))
        numbers = present.take(combined)
    else:
        used, numbers = np.unique(combined, return_inverse=True)
    parts: list[list[str | None]] = []
    for names in reversed(levels):
        parts.append([names[i] for i in (used % len(names)).tolist()])
        used = used // len(names)
    return numbers, tuple(zip(*reversed(parts), strict=True))


def text_codes(column: Texts) -> tuple[Ints, list[str | None]]:
    """Number a text column's values by content: 0 is null; returns the codes and the levels."""
    if isinstance(column, (list, tuple)):
        codes, some = _few_codes(column)
        return np.where(codes == NULL, 0, codes + 1), [None, *some]
    places, rank, names = _ranked(column)
    return rank[places], names


def _ranked(
    column: pa.ChunkedArray | pa.Array,
) -> tuple[npt.NDArray[np.int32], Ints, list[str | None]]:
    """Return the place of each value of a text column in a dictionary, and the codes of its places."""
    encoded = _dictionary(column)
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names) + 1, np.int64)
    rank[order] = np.arange(1, len(names) + 1)
    rank[-1] = 0
    indices = encoded.indices
    if indices.null_count:
        indices = pc.fill_null(indices, len(names))
    places = indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return places, rank, [None, *(names[i] for i in order)]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_level(combined: Ints, places: npt.NDArray[np.int32], rank: Ints, levels: int) -> None:
    """Number rows by what they were numbered by, and by one more code."""
    for i in range(combined.size):
        combined[i] = combined[i] * levels + rank[places[i]]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mark(present: Ints, numbers: Ints) -> None:
    for number in numbers:
        present[number] = 1


def _dictionary(column: pa.ChunkedArray | pa.Array) -> pa.DictionaryArray:
    """Return a text column dictionary-encoded in one piece."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # combine_chunks of no chunks
        column = pa.array([], pa.string())
    return column.dictionary_encode()


def _few_codes(column: Sequence[str | None]) -> tuple[Ints, list[str]]:
    """Number a few texts by content, NULL where there is none; return the numbers and what they stand for."""
    levels = sorted({text for text in column if text is not None})
    number: dict[str | None, int] = {text: i for i, text in enumerate(levels)}
    number[None] = NULL
    return np.array([number[text] for text in column], np.int64), levels


def coded(
    texts: Mapping[str, Texts],
) -> tuple[dict[str, Ints], dict[str, tuple[str, ...]]]:
    """Number texts in content order, NULL where there is none; return the numbers and what they stand for."""
    codes: dict[str, Ints] = {}
    labels: dict[str, tuple[str, ...]] = {}
    for name, column in texts.items():
        if isinstance(column, (list, tuple)):
            codes[name], levels = _few_codes(column)
            if name not in OWN_CODES:
                labels[name] = tuple(levels)
            continue
        encoded = _dictionary(column)
        in_order = pc.array_sort_indices(encoded.dictionary)
        rank = np.full(len(in_order) + 1, NULL)
        rank[in_order.to_numpy()] = np.arange(len(in_order))
        codes[name] = rank[pc.fill_null(encoded.indices, len(in_order)).to_numpy(zero_copy_only=False)]
        if name not in OWN_CODES:
            labels[name] = tuple(encoded.dictionary.take(in_order).to_pylist())
    return codes, labels


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def own_numbers(codes: Ints, offsets: Ints) -> Ints:
    """Number each customer's different codes from 0 as they come."""
    most = 0
    for code in codes:
        most = max(most, code + 1)
    number, owner = np.zeros(most, np.int64), np.full(most, -1)
    own = np.full(codes.size, NULL)
    for customer in range(offsets.size - 1):
        n = 0
        for i in range(offsets[customer], offsets[customer + 1]):
            code = codes[i]
            if code != NULL:
                if owner[code] != customer:
                    owner[code], number[code] = customer, n
                    n += 1
                own[i] = number[code]
    return own
