"""JSON files as text: one object a line, or one array of objects; every value as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.csv_files import BLOCK_BYTES, Block, utf8_blocks
from features.declared import mask_of
from features.errors import CorredorError
from features.lockdown import identifier, quoted
from features.names import check_name
from features.scratch import scratch


def is_array(path: Path, where: str, encoding: str) -> bool:
    """Whether a JSON file is one array, not a line for each object."""
    for text, _ in utf8_blocks(path, encoding, where, 1 << 16):
        if text.strip():
            return text.lstrip().startswith(b"[")
    return False


def read_json_blocks(
    path: Path, *, where: str, encoding: str, typed: frozenset[str], block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Yield the objects of a JSON file; the `lines` of an array's are the positions of its objects.

    A text is itself, a number its digits, an object or array its JSON; null, an empty text and an
    absent name are null. Columns in `typed` are declared as another type than text.

    Raises:
        CorredorError: an array that is not JSON, or a number that is not whole in a column declared as
            text: 12E5 and 1200000.0 would be the same id.
    """
    if is_array(path, where, encoding):
        text = b"".join(part for part, _ in utf8_blocks(path, encoding, where, block_bytes)).decode()
        yield _block(_objects_of_array(text, where), 1, where, typed)
        return
    rest, line, any_rows = b"", 1, False
    for text_bytes, final in utf8_blocks(path, encoding, where, block_bytes):
        data = rest + text_bytes
        cut = len(data) if final else data.rfind(b"\n") + 1
        rest, data = data[cut:], data[:cut]
        if data:
            block = _block(_lines(data), line, where, typed)
            line += data.count(b"\n")
            any_rows = True
            yield block
    if not any_rows:
        raise CorredorError(f"{where} is empty. Export it again.")


def _lines(data: bytes) -> pa.Array:
    """Return the lines of a text as an Arrow array."""
    if not data.endswith(b"\n"):
        data += b"\n"
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10) + 1
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))


def _objects_of_array(text: str, where: str) -> pa.Array:
    """Return the elements of a JSON array as text each."""
    try:
        elements = json.loads(text, parse_float=_Digits, parse_int=_Digits, parse_constant=_refuse)
    except ValueError as error:
        at = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise CorredorError(f"{where} is not JSON: {at}.") from None
    return pa.array([_dump(element) for element in elements], pa.large_string())


class _Digits(float):
    """A JSON number that is written again with the digits that it came with."""

    def __new__(cls, digits: str) -> _Digits:
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    digits: str


def _dump(value: Any) -> str:
    """Return a value as JSON, its numbers with their own digits."""
    if isinstance(value, _Digits):
        return value.digits
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_dump(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    return json.dumps(value)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _block(texts: pa.Array, first: int, where: str, typed: frozenset[str]) -> Block:
    """Return the objects that texts hold, and aside those that are none."""
    numbers = np.arange(first, first + len(texts), dtype=np.int64)
    filled = np.asarray(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0))
    texts, numbers = texts.filter(pa.array(filled)), numbers[filled]
    with scratch() as connection:
        connection.register("texts", pa.table({"t": texts}))
        good = "case when json_valid(t) then json_type(t) = 'OBJECT' else false end"
        whole = mask_of(connection.sql(f"select {good} as g from texts").to_arrow_table()["g"])
        kept = texts.filter(pa.array(whole))
        connection.register("kept", pa.table({"t": kept}))
        found = connection.sql("select distinct unnest(json_keys(t)) as k from kept order by k").fetchall()
        names = [row[0] for row in found]
        for name in names:
            check_name(where, name)
        keys = [quoted(f'$."{name}"') for name in names]
        cells = [
            f"nullif(json_extract_string(t, {key}), '') as {identifier(name)}"
            for name, key in zip(names, keys, strict=True)
        ]
        fractions = [f"json_type(t, {key}) = 'DOUBLE'" for key in keys]
        table = pa.table({"": pa.nulls(len(kept))}).select([])
        if names:
            table = connection.sql(f"select {', '.join(cells)} from kept").to_arrow_table()
            fraction = connection.sql(f"select {', '.join(fractions)} from kept").to_arrow_table()
            for name, flags in zip(names, fraction.columns, strict=True):
                if name not in typed and (at := np.flatnonzero(mask_of(flags))).size:
                    raise CorredorError(
                        f"{where}: {name} holds numbers that are not whole, or beyond 64 bits (first:"
                        f" {numbers[whole][at[0]]}). Declare it: columns = {{{name} = 'decimal'}}."
                    )
    bad = texts.filter(pa.array(~whole))
    reasons = ["not a JSON object"] * len(bad)
    return Block(
        table, numbers[whole], lambda some: kept.filter(pa.array(some)), numbers[~whole], reasons, bad
    )
