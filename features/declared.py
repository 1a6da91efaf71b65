"""Text read as the type that was declared for it: all of the cell, or not at all; nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal, cast, get_args
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.clock import Bool, days_to_us, local_to_us
from features.errors import CorredorError, unknown_name
from features.lockdown import quoted
from features.scratch import scratch
from features.settings import FileSource

Type = Literal["text", "integer", "decimal", "boolean", "date", "timestamp"]
TYPES: tuple[str, ...] = get_args(Type)
YES = ("true", "t", "yes", "y", "1", "sí", "si", "s", "verdadero")
NO = ("false", "f", "no", "n", "0", "falso")

_ISO_DATE = r"\d{4}-\d{2}-\d{2}"
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)"
_ISO_TIME = rf"{_ISO_DATE}([T ]\d{{2}}:\d{{2}}(:\d{{2}}([.,]\d{{1,9}})?)?( ?{_ZONE})?)?"
_DAY_FIRST = r"\d{1,2}/\d{1,2}/\d{4}"
_DAY_FIRST_FORMATS = ("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S.%f")


@dataclass(frozen=True)
class Form:
    """How numbers and times are written."""

    decimal: str = "."
    thousands: str = ""
    day_first: bool = False
    time_format: str | None = None
    zone: tzinfo = ZoneInfo("UTC")

    @classmethod
    def of(cls, source: FileSource, project_zone: tzinfo) -> Form:
        """Return the form that a file declares."""
        zone = ZoneInfo(source.timezone) if source.timezone else project_zone
        return cls(source.decimal, source.thousands, source.day_first, source.time_format, zone)


@dataclass(frozen=True)
class Problem:
    """Rows of a table that cannot be taken, and why."""

    column: str
    rows: Bool
    reason: str


def check_types(where: str, types: Mapping[str, str]) -> None:
    """Raise for a declared type that does not exist."""
    for column, kind in types.items():
        if kind not in TYPES:
            raise CorredorError(f"{where} columns.{column}: {unknown_name('type', kind, TYPES)}")


def read_declared(table: pa.Table, types: Mapping[str, str], form: Form) -> tuple[pa.Table, list[Problem]]:
    """Return a table whose text columns became what was declared, null where a cell does not read.

    integer -> int64, decimal -> double, boolean -> bool, date -> date32, timestamp -> timestamp in UTC
    (µs). An empty cell is null and no problem.
    """
    wanted = {name: cast(Type, kind) for name, kind in types.items() if kind != "text"}
    if not wanted:
        return table, []
    texts, expressions = {}, []
    for i, (name, kind) in enumerate(wanted.items()):
        texts[f"t{i}"] = pc.utf8_trim_whitespace(table[name])
        expressions.append(f"{_expression(f't{i}', kind, form)} as v{i}")
        if kind == "timestamp":
            expressions.append(f"{_zoned(f't{i}', form)} as z{i}")
    with scratch() as connection:
        read = connection.from_arrow(pa.table(texts)).project(", ".join(expressions)).to_arrow_table()
    problems = []
    for i, (name, kind) in enumerate(wanted.items()):
        values = read[f"v{i}"].combine_chunks()
        given = pc.not_equal(texts[f"t{i}"], "")
        failed = mask_of(pc.and_(given, pc.is_null(values)))
        if failed.any():
            problems.append(Problem(name, failed, _REASONS[kind](form)))
        if kind == "timestamp":
            values, skipped = _to_utc(values, mask_of(read[f"z{i}"]), form.zone)
            problems += _skipped(name, skipped, form.zone)
        table = table.set_column(table.column_names.index(name), name, values)
    return table, problems


def zoned(times: pa.ChunkedArray, zone: tzinfo, name: str) -> tuple[pa.Array, list[Problem]]:
    """Return times without a zone, or days, as moments in UTC, read on the wall of `zone`."""
    if pa.types.is_date(times.type):
        days = times.cast(pa.date32()).cast(pa.int32()).combine_chunks()
        us = days_to_us(np.asarray(pc.fill_null(days, 0)), zone)
        return pa.array(us, pa.timestamp("us", tz="UTC"), mask=mask_of(pc.is_null(days))), []
    local = times.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).combine_chunks()
    values, skipped = _to_utc(local, np.zeros(len(local), dtype=np.bool_), zone)
    return values, _skipped(name, skipped, zone)


def _skipped(name: str, rows: Bool, zone: tzinfo) -> list[Problem]:
    if not rows.any():
        return []
    return [Problem(name, rows, f"this local time does not exist: the clocks of {zone} skip that hour")]


def _expression(text: str, kind: Type, form: Form) -> str:
    """Return the SQL that reads a text, null where it does not read; a timestamp is local µs."""
    if kind == "boolean":
        yes, no = (", ".join(quoted(word) for word in words) for words in (YES, NO))
        return f"case when lower({text}) in ({yes}) then true when lower({text}) in ({no}) then false end"
    if kind in ("integer", "decimal"):
        pattern = _number_pattern(form, kind)
        plain = text
        if form.thousands:
            plain = f"regexp_replace({plain}, {quoted(_separators(form.thousands))}, '', 'g')"
        if form.decimal != "." and kind == "decimal":
            plain = f"replace({plain}, {quoted(form.decimal)}, '.')"
        matches = f"regexp_full_match({text}, {quoted(pattern)})"
        if kind == "integer":
            return f"case when {matches} then try_cast({plain} as bigint) end"
        number = f"try_cast({plain} as double)"
        return f"case when {matches} and isfinite({number}) then {number} end"
    return _date(text, form) if kind == "date" else _local_us(text, form)


def _date(text: str, form: Form) -> str:
    """Return the SQL that reads a day."""
    if form.time_format:
        return f"try_strptime({text}, {quoted(form.time_format)})::date"
    day_first = ""
    if form.day_first:
        slashed = f"replace(replace({text}, '-', '/'), '.', '/')"
        matches = f"regexp_full_match({slashed}, {quoted(_DAY_FIRST)})"
        day_first = f"when {matches} then try_strptime({slashed}, '{_DAY_FIRST_FORMATS[0]}')::date"
    matches = f"regexp_full_match({text}, {quoted(_ISO_DATE)})"
    return f"case when {matches} then try_cast({text} as date) {day_first} end"


def _local_us(text: str, form: Form) -> str:
    """Return the SQL of the µs on the wall that a text tells, or in UTC where it is zoned."""
    if form.time_format:
        return f"epoch_us(try_strptime({text}, {quoted(form.time_format)}))"
    pointed = f"case when contains({text}, ',') then replace({text}, ',', '.') else {text} end"
    tight = f"regexp_replace({pointed}, ' (Z|[+-])', '\\1')"
    iso = (
        f"when regexp_full_match({text}, {quoted(_ISO_TIME)}) then"
        f" case when {_zoned(text, form)} then epoch_us(try_cast({tight} as timestamptz))"
        f" else epoch_us(try_cast({pointed} as timestamp)) end"
    )
    day_first = ""
    if form.day_first:
        slashed = f"regexp_replace({text}, '^(\\d{{1,2}})[-.](\\d{{1,2}})[-.]', '\\1/\\2/')"
        slashed = f"regexp_replace(replace({slashed}, ',', '.'), '[T .]+(\\d{{1,2}}:)', ' \\1')"
        pattern = rf"{_DAY_FIRST}( \d{{1,2}}:\d{{2}}(:\d{{2}}(\.\d{{1,6}})?)?)?"
        formats = ", ".join(map(quoted, _DAY_FIRST_FORMATS))
        matches = f"regexp_full_match({slashed}, {quoted(pattern)})"
        day_first = f"when {matches} then epoch_us(try_strptime({slashed}, [{formats}]))"
    return f"case {iso} {day_first} end"


def _zoned(text: str, form: Form) -> str:
    """Return the SQL of whether a time that reads names its own offset from UTC."""
    if form.time_format:
        return "true" if re.search(r"%[zZ]", form.time_format) else "false"
    after = f"substr({text}, 11)"  # behind the day, whose signs are hyphens
    return f"(ends_with({text}, 'Z') or contains({after}, '+') or contains({after}, '-'))"


def _to_utc(local: pa.Array, zoned: Bool, zone: tzinfo) -> tuple[pa.Array, Bool]:
    """Return moments in UTC of times read on the wall, and which of them do not exist there."""
    valid = mask_of(pc.is_valid(local))
    wall = np.asarray(pc.fill_null(local, 0))
    us, exists = local_to_us(wall, zone)
    us = np.where(zoned, wall, us)
    skipped = valid & ~zoned & ~exists
    return pa.array(us, pa.timestamp("us", tz="UTC"), mask=~valid | skipped), skipped


def _number_pattern(form: Form, kind: Type) -> str:
    """Return the pattern of a whole or decimal number in a form."""
    whole = r"\d+"
    if form.thousands:
        whole = rf"(\d+|\d{{1,3}}({_separators(form.thousands)}\d{{3}})+)"
    if kind == "integer":
        return rf"[+-]?{whole}"
    point = re.escape(form.decimal)
    return rf"[+-]?({whole}({point}\d*)?|{point}\d+)([eE][+-]?\d{{1,3}})?"


def _separators(thousands: str) -> str:
    """Return the pattern of a thousands separator; a blank may be one that does not break."""
    return "[ \u00a0\u202f]" if thousands == " " else re.escape(thousands)


def mask_of(flags: Any) -> Bool:
    """Return Arrow flags as numpy, null as False."""
    return np.asarray(pc.fill_null(flags, False), dtype=np.bool_)


def _time_reason(form: Form) -> str:
    if form.time_format:
        return f"not a time of the format {form.time_format}"
    if form.day_first:
        return "not a time, day first (04/03/2026 10:00) or ISO 8601"
    return "not a time of ISO 8601 (2026-03-04T10:00:00); is it day_first, or has it a time_format?"


_REASONS: dict[Type, Any] = {
    "integer": lambda form: "not a whole number of at most 64 bits",
    "decimal": lambda form: f"not a number with the decimal sign {form.decimal!r}",
    "boolean": lambda form: "not a yes or no (true, false, 1, 0, yes, no)",
    "date": _time_reason,
    "timestamp": _time_reason,
}
