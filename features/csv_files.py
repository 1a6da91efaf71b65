"""CSV files as text: every cell as it stands, every row with the line on which it begins.

The rows are told apart here, so that a row that is not whole is put aside with its line, and only its
own line; the cells of whole rows are then taken apart by Arrow.
"""

from __future__ import annotations

import codecs
import csv
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numba import njit

from features.clock import Bool
from features.errors import CorredorError

BLOCK_BYTES = 1 << 23
LONGEST_CELL = 1 << 20
"""A quote that is not closed within these bytes is taken for a quote too many."""

_OPEN, _AFTER = 1, 2
_FLAWS = {_OPEN: "a quote is not closed", _AFTER: "text follows a closing quote"}
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file."""

    table: pa.Table
    """The whole rows; of a text file every column as text, an empty cell as null."""
    lines: Ints
    """Where each begins, counted from 1: its line in a text file, else its place among the rows."""
    content: Callable[[Bool], pa.Array]
    """The raw text of some of the whole rows."""
    bad_lines: Ints
    """Where each row begins that is not whole."""
    bad_reasons: list[str]
    bad_content: pa.Array


def read_csv_blocks(
    path: Path, *, where: str, delimiter: str, quote: str, encoding: str, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Yield the rows of a CSV file, which begins with the names of its columns.

    A column without a name is called column_N. The first block comes even when there are no rows.

    Raises:
        CorredorError: the file is not in its encoding (with the line), is empty, or its header cannot
            be read.
    """
    if not (delimiter.isascii() and quote.isascii()) or delimiter == quote:
        raise CorredorError(f"{where}: delimiter and quote must be two different ASCII characters.")
    header: list[str] = []
    rest, line = b"", 1
    for text, final in utf8_blocks(path, encoding, where, block_bytes):
        data = np.frombuffer(rest + text, dtype=np.uint8)
        starts, stops, lines, cells, flaws, consumed, line = _rows(
            data, ord(delimiter), ord(quote), final, line, LONGEST_CELL
        )
        first = not header
        if first and len(starts):
            if flaws[0]:
                raise CorredorError(f"{where}: line {lines[0]}, the header: {_FLAWS[int(flaws[0])]}.")
            raw = data[starts[0] : stops[0]].tobytes().decode()
            header = _header(raw, delimiter, quote)
            starts, stops, lines, cells, flaws = (a[1:] for a in (starts, stops, lines, cells, flaws))
        if header and (len(starts) or first):
            yield _block(data, starts, stops, lines, cells, flaws, header, delimiter, quote)
        rest = data[consumed:].tobytes()
    if not header:
        raise CorredorError(f"{where} is empty: not even a header. Export it again.")


def utf8_blocks(path: Path, encoding: str, where: str, block_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Yield a text file's bytes in UTF-8 without byte order mark, each with whether it is the last.

    Raises:
        CorredorError: bytes that the encoding does not have, with their line.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    line, first = 1, True
    with _opened(path) as file:
        chunk = file.read(block_bytes)
        for mark, name in _MARKS:
            if name != encoding and chunk.startswith(mark):
                raise CorredorError(f"{where} begins with the mark of {name}. Declare encoding = '{name}'.")
        while True:
            following = file.read(block_bytes)
            final = not following
            try:
                text = decoder.decode(chunk, final)
            except UnicodeDecodeError as error:
                wide = "utf-16-le" if "le" in error.encoding else "utf-16-be"
                before = error.object[: error.start].decode(wide if encoding == "utf-16" else "latin-1")
                line += before.count("\n")
                raise CorredorError(
                    f"{where}: line {line} is not {encoding}: {error.reason}. Declare the file's encoding"
                    " (utf-8, latin-1, utf-16), or export it again."
                ) from None
            if first:
                text = text.removeprefix("\ufeff")
                first = False
            if "\0" in text:
                line += text[: text.index("\0")].count("\n")
                raise CorredorError(f"{where}: line {line} holds a NUL character. Is the file utf-16?")
            line += text.count("\n")
            yield text.encode(), final
            if final:
                return
            chunk = following


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _header(raw: str, delimiter: str, quote: str) -> list[str]:
    names = next(csv.reader([raw], delimiter=delimiter, quotechar=quote, strict=True))
    return [name.strip() or f"column_{i}" for i, name in enumerate(names, start=1)]


def _block(
    data: npt.NDArray[np.uint8],
    starts: Ints,
    stops: Ints,
    lines: Ints,
    cells: Ints,
    flaws: npt.NDArray[np.int8],
    header: list[str],
    delimiter: str,
    quote: str,
) -> Block:
    """Return a block of rows from where they stand in the data."""
    whole = (flaws == 0) & (cells == len(header))
    reasons = [
        _FLAWS[int(flaw)] if flaw else f"{count} cells where the header has {len(header)}"
        for flaw, count in zip(flaws[~whole], cells[~whole], strict=True)
    ]
    if whole.any():
        clean = data[starts[0] : stops[-1]] if whole.all() else _gather(data, starts[whole], stops[whole])
        table = pa_csv.read_csv(
            pa.py_buffer(clean),
            read_options=pa_csv.ReadOptions(
                column_names=header, block_size=len(clean) + 1, use_threads=False
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, quote_char=quote, newlines_in_values=True, double_quote=True
            ),
            convert_options=pa_csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(header, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    else:
        table = pa.table({name: pa.array([], pa.string()) for name in header})
    if len(table) != int(whole.sum()):
        raise RuntimeError("rows were told apart in two ways")
    return Block(
        table,
        lines[whole],
        lambda some: _texts(data, starts[whole][some], stops[whole][some]),
        lines[~whole],
        reasons,
        _texts(data, starts[~whole], stops[~whole]),
    )


def _texts(data: npt.NDArray[np.uint8], starts: Ints, stops: Ints) -> pa.Array:
    """Return pieces of the data as an Arrow array of text."""
    joined = _gather(data, starts, stops)
    offsets = np.concatenate([[0], np.cumsum(stops - starts + 1)]).astype(np.int64)
    texts = pa.LargeStringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(joined))
    return pc.utf8_rtrim(texts, "\n").cast(pa.string())


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gather(data: Any, starts: Any, stops: Any) -> Any:
    """Copy pieces of the data one after the other, each with a line end."""
    size = 0
    for i in range(len(starts)):
        size += stops[i] - starts[i] + 1
    out = np.empty(size, np.uint8)
    at = 0
    for i in range(len(starts)):
        for j in range(starts[i], stops[i]):
            out[at] = data[j]
            at += 1
        out[at] = 10
        at += 1
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _rows(data: Any, delimiter: int, quote: int, final: bool, line: int, longest: int) -> Any:
    """Tell the rows of a block apart: start, stop, line, cells and flaw of each; what was consumed.

    A quote counts only where a cell begins. A row whose quoted cell does not end as it should ends with
    the line on which that cell begins, and the next line is a row again: damage stays where it is.
    """
    n = len(data)
    room = 1
    for i in range(n):
        if data[i] == 10 or data[i] == 13:
            room += 1
    starts = np.empty(room, np.int64)
    stops = np.empty(room, np.int64)
    lines = np.empty(room, np.int64)
    cells = np.empty(room, np.int64)
    flaws = np.empty(room, np.int8)
    count = 0
    i = 0
    consumed = 0
    while i < n:
        start, start_line, n_cells, flaw = i, line, 1, 0
        ended = False
        cell_begins = True
        while i < n:
            c = data[i]
            if cell_begins and c == quote:
                j = i + 1
                breaks = 0
                closed = False
                while j < n and j - i <= longest:
                    d = data[j]
                    if d == quote:
                        if j + 1 < n and data[j + 1] == quote:
                            j += 2
                            continue
                        closed = True
                        break
                    if d == 10 or (d == 13 and not (j + 1 < n and data[j + 1] == 10)):
                        breaks += 1
                    j += 1
                if not final and (j >= n or (closed and j + 1 >= n)) and j - i <= longest:
                    break  # the cell may go on in the next block
                k = j + 1
                if closed and (k >= n or data[k] == delimiter or data[k] == 10 or data[k] == 13):
                    line += breaks
                    i = k
                    cell_begins = False
                    continue
                flaw = _AFTER if closed else _OPEN
                while i < n and data[i] != 10 and data[i] != 13:
                    i += 1
                if i >= n:
                    ended = final
                    break
                c = data[i]
            if c == 10 or c == 13:
                if c == 13 and i + 1 >= n and not final:
                    break  # its line feed may come with the next block
                ended = True
                break
            if c == delimiter:
                n_cells += 1
                cell_begins = True
            else:
                cell_begins = False
            i += 1
        if i >= n and final:
            ended = True
        if not ended:
            line = start_line
            break
        if i > start:
            starts[count], stops[count], lines[count] = start, i, start_line
            cells[count], flaws[count] = n_cells, flaw
            count += 1
        if i < n:
            i += 2 if data[i] == 13 and i + 1 < n and data[i + 1] == 10 else 1
            line += 1
        consumed = i
    return starts[:count], stops[:count], lines[:count], cells[:count], flaws[:count], consumed, line
