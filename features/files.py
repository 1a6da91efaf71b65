"""The files of `[files.*]`: found in the folders that may be read, and read as they declare."""

from __future__ import annotations

import difflib
import glob
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.clock import Bool, Int64
from features.contract import Intake
from features.csv_files import Block, read_csv_blocks
from features.declared import Form, Problem, check_types, read_declared, zoned
from features.errors import CorredorError, unknown_name
from features.files_held import RowsHeld, scan_of
from features.json_files import is_array, read_json_blocks
from features.names import check_names
from features.quarantine import Quarantine, rows_as_json
from features.queries import ROW
from features.settings import FileSource

_FILE_SHIFT, _SOURCE_SHIFT = 34, 50
_ENDINGS = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
}


@dataclass(frozen=True)
class LoadedFiles:
    """What `[files.NAME]` became: an Arrow table, or the SQL that scans Parquet files."""

    relation: pa.Table | str
    intake: Intake
    paths: tuple[str, ...]
    """As the messages call them: relative to the workspace."""
    has_lines: bool
    """Whether its rows are counted by the line on which they begin, or by their number in the file."""


def load_files(
    name: str,
    source: FileSource,
    *,
    number: int,
    folder: Path,
    folders: Sequence[Path],
    zone: ZoneInfo,
    quarantine: Quarantine,
    patterns: Sequence[str] = (),
    partly: bool = False,
    disk: Path | None = None,
) -> LoadedFiles:
    """Return the rows of a `[files.NAME]`, with the hidden column that numbers them.

    A file that is given twice, byte for byte, under a pattern is read once, its rows counted as
    duplicates. Rows that are not whole, and cells that are not what was declared, go to the quarantine.

    Args:
        name: NAME.
        source: What is declared.
        number: Number of the source, for the rows' numbers.
        folder: The workspace.
        folders: The folders that may be read, the workspace among them, resolved.
        zone: The project's time zone.
        quarantine: Takes the rows put aside.
        patterns: Paths instead of the source's own.
        partly: They are some of its files: what only all of them can lack is not asked of them.
        disk: A folder to hold the rows in, of which then only a part is in memory at a time.
    """
    where = f"[files.{name}]"
    check_types(where, source.columns)
    found = [find_files(p, where=where, folder=folder, folders=folders) for p in patterns or (source.path,)]
    paths = list(dict.fromkeys(path for some in found for path in some))
    kind = source.format or format_of(where, paths[0])
    paths, copies = without_copies(paths)
    called = tuple(_relative(path, folder) for path in paths)
    if kind == "parquet":
        n_rows = check_parquet(where, source, paths, called)
        foreign = source.timezone is not None and source.timezone != zone.key
        if not source.columns and not foreign:
            twice = sum(n * more for n, more in zip(n_rows, copies, strict=True))
            intake = Intake(sum(n_rows) + twice, sum(n_rows), twice)
            return LoadedFiles(_parquet_scan(paths, number), intake, called, has_lines=False)
    has_lines = kind == "csv" or (
        kind == "json" and not any(map(partial(is_array, encoding=source.encoding), paths, called))
    )
    form = Form.of(source, zone)
    held = RowsHeld(disk)
    rows = duplicates = 0
    for i, (path, label) in enumerate(zip(paths, called, strict=True)):
        for block in _blocks(path, label, kind, source, form):
            if kind != "parquet":
                check_names(label, block.table.column_names)
            table, problems = _typed(block, source, form)
            bad = _put_aside(block, problems, quarantine, f"files.{name}", label, has_lines)
            came = len(block.table) + len(block.bad_lines)
            rows += came
            duplicates += copies[i] * came
            table = table.append_column(ROW, pa.array(row_numbers(number, i, block.lines)))
            held.add(table.filter(pa.array(~bad)) if bad.any() else table)
    reasons = quarantine.reasons(f"files.{name}")
    intake = Intake(rows + duplicates, held.rows, duplicates, rows - held.rows, reasons)
    if not partly:
        check_whole(where, source, held.names, intake, called[0])
    return LoadedFiles(held.relation(), intake, called, has_lines)


def check_whole(where: str, source: FileSource, names: Sequence[str], intake: Intake, first: str) -> None:
    """Raise when no file of a source has a column that is declared, or none of its rows can be read."""
    _check_declared(where, source, names)
    if intake.quarantined and not intake.kept:
        raise CorredorError(
            f"{where}: none of the {intake.quarantined:,} rows of {first} can be read: "
            f"{next(iter(intake.reasons))}."
        )


def _put_aside(
    block: Block, problems: Sequence[Problem], quarantine: Quarantine, source: str, file: str, has_lines: bool
) -> Bool:
    """Put the rows of a block that are not whole or do not read into the quarantine; return the latter."""
    place = "line" if has_lines else "row"
    quarantine.add(
        len(block.bad_lines),
        source=source,
        file=file,
        reason=block.bad_reasons,
        content=block.bad_content,
        **{place: block.bad_lines},
    )
    bad = np.zeros(len(block.table), dtype=np.bool_)
    for problem in problems:
        new = problem.rows & ~bad
        bad |= new
        quarantine.add(
            int(new.sum()),
            source=source,
            file=file,
            column=problem.column,
            reason=problem.reason,
            content=block.content(new),
            **{place: block.lines[new]},
        )
    return bad


def check_parquet(where: str, source: FileSource, paths: Sequence[Path], called: Sequence[str]) -> list[int]:
    """Raise for Parquet files that cannot be read or have hostile columns; return their rows."""
    n_rows, names = [], []
    for path, label in zip(paths, called, strict=True):
        try:
            metadata = pq.read_metadata(path)
        except (pa.ArrowInvalid, OSError):
            raise CorredorError(f"{where}: {label} is not a whole Parquet file. Export it again.") from None
        n_rows.append(metadata.num_rows)
        names += metadata.schema.to_arrow_schema().names
    check_names(where, list(dict.fromkeys(names)))
    _check_declared(where, source, names)
    return n_rows


def row_numbers(source: int, file: int, lines: Int64) -> Int64:
    """Return one number for each row that tells its source, file and line."""
    return lines + ((source << _SOURCE_SHIFT) + (file << _FILE_SHIFT))


def row_places(numbers: Int64) -> tuple[Int64, Int64, Int64]:
    """Return the source, file and line that rows' numbers tell."""
    file = (numbers >> _FILE_SHIFT) & ((1 << (_SOURCE_SHIFT - _FILE_SHIFT)) - 1)
    return numbers >> _SOURCE_SHIFT, file, numbers & ((1 << _FILE_SHIFT) - 1)


def find_files(pattern: str, *, where: str, folder: Path, folders: Sequence[Path]) -> list[Path]:
    """Return the files of a path or pattern, sorted, after following every link.

    Raises:
        CorredorError: there is none, or one lies outside the folders that may be read.
    """
    base = folder / pattern
    if "\0" in pattern:
        raise CorredorError(f"{where}: the path holds a NUL character.")
    found = [base] if base.is_file() else sorted(Path(p) for p in glob.glob(str(base), recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    resolved = []
    for path in found if found else [base]:
        real = path.resolve()
        if not any(real.is_relative_to(allowed) for allowed in folders):
            raise CorredorError(
                f"{where}: {pattern} leads outside the workspace. Name its folder in [project] data_folders."
            )
        if real.is_file():
            resolved.append(real)
    if not resolved:
        beside = [p.name for p in base.parent.iterdir()] if base.parent.is_dir() else []
        near = difflib.get_close_matches(base.name, beside, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise CorredorError(f"{where}: there is no file {pattern} in the workspace.{hint}")
    return sorted(set(resolved), key=lambda path: str(path))


def _check_declared(where: str, source: FileSource, names: Sequence[str]) -> None:
    for column in source.columns:
        if column not in names:
            raise CorredorError(f"{where} columns: {unknown_name('column', column, set(names) - {ROW})}")


def format_of(where: str, path: Path) -> str:
    """Return what the ending of a path tells: csv, parquet or json."""
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if ending.lower() not in _ENDINGS:
        raise CorredorError(
            f"{where}: the ending of {path.name} does not tell its format. Declare format = 'csv', 'parquet'"
            " or 'json'."
        )
    return _ENDINGS[ending.lower()]


def without_copies(paths: list[Path]) -> tuple[list[Path], list[int]]:
    """Return the paths without those that repeat another byte for byte, and how many copies each has."""
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        sizes[path.stat().st_size].append(path)
    first: dict[object, Path] = {}
    copies: dict[Path, int] = {}
    for path in paths:
        alike = sizes[path.stat().st_size]
        content: object = path if len(alike) == 1 else file_digest(path)
        original = first.setdefault(content, path)
        copies[original] = copies.get(original, -1) + 1
    return list(copies), list(copies.values())


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path.name)


def _parquet_scan(paths: Sequence[Path], number: int) -> str:
    """Return the SQL that scans Parquet files, with the number of each row."""
    start = number << _SOURCE_SHIFT
    return scan_of(
        paths, f", {start} + file_index::bigint * {1 << _FILE_SHIFT} + file_row_number + 1 as {ROW}"
    )


def _blocks(path: Path, label: str, kind: str, source: FileSource, form: Form) -> Iterator[Block]:
    if kind == "csv":
        yield from read_csv_blocks(
            path, where=label, delimiter=source.delimiter, quote=source.quote, encoding=source.encoding
        )
    elif kind == "json":
        typed = frozenset(name for name, kind in source.columns.items() if kind != "text")
        yield from read_json_blocks(path, where=label, encoding=source.encoding, typed=typed)
    else:
        yield from _parquet_blocks(path)


def _parquet_blocks(path: Path) -> Iterator[Block]:
    first = 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1 << 20):
            yield _parquet_block(pa.table(batch), first)
            first += len(batch)
        if first == 1:
            yield _parquet_block(file.schema_arrow.empty_table(), first)


def _parquet_block(table: pa.Table, first: int) -> Block:
    lines = np.arange(first, first + len(table), dtype=np.int64)
    return Block(table, lines, partial(_told, table), np.empty(0, dtype=np.int64), [], pa.nulls(0))


def _told(table: pa.Table, some: Bool) -> pa.Array:
    return rows_as_json(table.filter(pa.array(some)))


def _typed(block: Block, source: FileSource, form: Form) -> tuple[pa.Table, list[Problem]]:
    """Return a block's table with the declared types, and the cells that are not what was declared.

    In a Parquet file, which has types of its own, only text is read as declared, and times without a
    zone are read in the zone that the file declares.
    """
    declared = {n: t for n, t in source.columns.items() if n in block.table.column_names}
    table, problems = block.table, []
    for i, at in enumerate(table.schema):
        if pa.types.is_timestamp(at.type) and at.type.tz is None and source.timezone:
            values, problem = zoned(table[at.name], form.zone, at.name)
            table = table.set_column(i, at.name, values)
            problems += problem
    texts = {n: t for n, t in declared.items() if pa.types.is_string(table.schema.field(n).type)}
    table, unread = read_declared(table, texts, form)
    return table, problems + unread
