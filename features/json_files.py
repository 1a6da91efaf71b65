"""JSON files as text: one object a line, or one array of objects; every value as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

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
        first = 1
        for texts in _elements(utf8_blocks(path, encoding, where, max(block_bytes // 4, 1)), where):
            yield _block(texts, first, where, typed)
            first += len(texts)
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


def _elements(blocks: Iterator[tuple[bytes, bool]], where: str) -> Iterator[pa.Array]:
    """Yield the elements of a JSON array as text each, some at a time.

    The text is cut at the last comma between elements that has come. Beside a cut an element of our own is
    parsed, which makes the errors those of the whole text.
    """
    head, rest, line = "", b"", 1
    state = np.zeros(4, np.int64)
    for block, final in blocks:
        data = rest + block
        cut = _last_comma(np.frombuffer(data, np.uint8), len(rest), state)
        ended = bool(state[_ENDED]) and bool(data[state[_ENDED] :].strip())
        if final or ended:
            text, own = head + data.decode(), 0
        elif cut > 0:
            text, own = head + data[:cut].decode() + ",0]", 1
        else:
            rest = data
            continue
        texts = _objects_of_array(text, line, where)
        yield texts[1 if head else 0 : len(texts) - own]
        line += data[:cut].count(b"\n")
        head, rest = "[0,", data[cut + 1 :]
        state[_ENDED] -= cut + 1 if state[_ENDED] else 0


def _objects_of_array(text: str, line: int, where: str) -> pa.Array:
    """Return the elements of a JSON array, which begins on a line of its file, as text each."""
    try:
        elements = json.loads(text, parse_float=_Digits, parse_int=_Digits, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise CorredorError(f"{where} is not JSON: line {line + error.lineno - 1}: {error.msg}.") from None
    except ValueError as error:
        raise CorredorError(f"{where} is not JSON: {error}.") from None
    return pa.array([_dump(element) for element in elements], pa.large_string())


_DEPTH, _IN_TEXT, _ESCAPED, _ENDED = range(4)
"""Where the scan of an array is: within how many brackets, in a text, behind a backslash, behind its end."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _last_comma(data: Any, start: int, state: Any) -> int:
    """Return the place of the last comma between elements of an array from `start` on, -1 if none."""
    last = -1
    for i in range(start, len(data)):
        c = data[i]
        if state[_ESCAPED]:
            state[_ESCAPED] = 0
        elif state[_IN_TEXT]:
            state[_IN_TEXT] = c != 34
            state[_ESCAPED] = c == 92
        elif c == 34:
            state[_IN_TEXT] = 1
        elif c == 91 or c == 123:
            state[_DEPTH] += 1
        elif c == 93 or c == 125:
            state[_DEPTH] -= 1
            if state[_DEPTH] == 0 and not state[_ENDED]:
                state[_ENDED] = i + 1
        elif c == 44 and state[_DEPTH] == 1 and not state[_ENDED]:
            last = i
    return last


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
        table = pa.table({"": pa.nulls(len(kept))}).select([])
        if names:
            paths = "[" + ", ".join(quoted(f'$."{name}"') for name in names) + "]"
            cells = [f"nullif(v[{i}], '') as {identifier(name)}" for i, name in enumerate(names, start=1)]
            told = f"(select json_extract_string(t, {paths}) as v from kept)"  # each text is parsed once
            table = connection.sql(f"select {', '.join(cells)} from {told}").to_arrow_table()
            fractions = [f"v[{i}] = 'DOUBLE'" for i in range(1, len(names) + 1)]
            told = f"(select json_type(t, {paths}) as v from kept)"
            fraction = connection.sql(f"select {', '.join(fractions)} from {told}").to_arrow_table()
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
