"""From the customers of a call to histories: the same streams as of a nightly batch, without its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa

from features.clock import FIRST_YEAR, LAST_YEAR, as_of_us, local_to_us
from features.contract import CONTRACT, Column, TableContract
from features.errors import CorredorError
from features.histories import (
    MEASURE_SCALES,
    NUMBER_SCALE,
    TOUCHPOINT_FIELDS,
    TOUCHPOINT_TEXTS,
    Histories,
    build_histories,
)
from features.streams import NULL, Contact, Ints, Stream, build_stream, scaled
from features.vocabulary import Vocabulary
from serving.moments import plain_moments
from serving.problems import FieldError
from serving.schema import TABLES, Customer

SINCE = "since"
"""The one attribute that is a moment."""
LARGEST = 4e15
"""A number times its scale stays below this, or it could not be counted exactly."""

_ARROW = {"text": pa.string(), "number": pa.float64(), "flag": pa.bool_()}
_EPOCH, _EPOCH_LOCAL = datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


class Unusable(Exception):
    """A customer whose fields are well formed but cannot be used as they are."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{len(errors)} fields")
        self.errors = tuple(errors)


@dataclass(frozen=True)
class Reading:
    """A customer's rows by table and column, in canonical values, and the moment asked about."""

    customer_id: str
    as_of: int
    tables: Mapping[str, Mapping[str, Sequence[Any]]]
    duplicates: int = 0
    unused_attributes: tuple[str, ...] = ()


def read_customer(customer: Customer, vocabulary: Vocabulary, zone: ZoneInfo, now: int) -> Reading:
    """Return a customer's rows in canonical values.

    Raises:
        Unusable: a time cannot be read, a number cannot be counted, an attribute is of another type
            than the model has learnt it in.
    """
    errors: list[FieldError] = []
    as_of = now
    if text := customer.get("as_of"):
        try:
            as_of = as_of_us(text, zone)
        except CorredorError:
            errors.append(_unreadable("as_of"))
    tables: dict[str, Mapping[str, Sequence[Any]]] = {}
    duplicates = 0
    for name in TABLES:
        rows: list[Any] | None = customer.get(name)  # type: ignore[assignment]
        if rows:
            columns = _columns(name, rows, zone, errors)
            tables[name], repeated = _once(columns)
            duplicates += repeated
    attributes, unused = _attributes(customer.get("attributes") or {}, vocabulary, zone, errors)
    if attributes:
        tables["customers"] = attributes
    if errors:
        raise Unusable(errors)
    return Reading(customer["customer_id"], as_of, tables, duplicates, unused)


def build_call(readings: Sequence[Reading]) -> Histories:
    """Return the histories of the customers of a call: customer i of the histories is reading i.

    The ids within are places in the call, so the same customer may be asked about at two moments.
    """
    if all(r.tables.keys() <= {"touchpoints"} for r in readings):
        return Histories(_places(len(readings)), {"touchpoints": _touchpoints(readings)}, {}, partial=True)
    names = dict.fromkeys(("touchpoints", *(name for r in readings for name in r.tables)))
    tables = {name: _table(name, readings) for name in names}
    if "customers" not in tables:
        # so that the customers who have no row in any table are there too
        tables["customers"] = pa.table({"customer_id": _places(len(readings))})
    return replace(build_histories(tables, compact=False), partial=True)


def _place(i: int) -> str:
    return f"{i:08d}"


@lru_cache(maxsize=16)
def _places(n: int) -> pa.Array:
    return pa.array([_place(i) for i in range(n)], pa.string())


def _unreadable(path: str) -> FieldError:
    return FieldError(
        path, "time", f"Input should be a time of ISO 8601 that exists, within {FIRST_YEAR}-{LAST_YEAR}"
    )


def _columns(
    table: str, rows: Sequence[Any], zone: ZoneInfo, errors: list[FieldError]
) -> dict[str, Sequence[Any]]:
    """Turn rows, dictionaries or structs, into columns; times become µs UTC."""
    columns: dict[str, Sequence[Any]]
    if isinstance(rows[0], msgspec.Struct):
        cells = zip(*map(msgspec.structs.astuple, rows), strict=True)
        named = zip(rows[0].__struct_fields__, cells, strict=True)
        columns = {
            name: column for name, column in named if column[0] is not None or column.count(None) < len(rows)
        }
    else:
        names = tuple(dict.fromkeys(chain.from_iterable(rows)))
        columns = {name: [row.get(name) for row in rows] for name in names}
    for column in CONTRACT[table].columns:
        if column.name not in columns:
            continue
        path = f"{table}[{{}}].{column.name}"
        if column.kind == "time":
            columns[column.name] = _moments(columns[column.name], zone, path, errors)
        elif column.kind == "number":
            _check_countable(table, column, columns[column.name], errors)
    _check_rows(CONTRACT[table], columns, errors)
    return columns


def _check_countable(
    table: str, column: Column, values: Sequence[float | None], errors: list[FieldError]
) -> None:
    name = column.name
    largest = LARGEST / (MEASURE_SCALES[name] if table == "touchpoints" else NUMBER_SCALE)
    if column.low is not None and column.high is not None and -largest < column.low <= column.high < largest:
        return  # held already
    errors += [
        FieldError(f"{table}[{i}].{name}", "out_of_range", f"Input should be within ±{largest:g}")
        for i, value in enumerate(values)
        if value is not None and not -largest < value < largest
    ]


def _check_rows(
    contract: TableContract, columns: Mapping[str, Sequence[Any]], errors: list[FieldError]
) -> None:
    """Check what the columns of a row owe each other."""
    if not contract.either and not contract.ordered:
        return
    n = len(next(iter(columns.values())))
    nothing = [None] * n
    for group in contract.either:
        for i, values in enumerate(zip(*(columns.get(name, nothing) for name in group), strict=True)):
            if all(value is None for value in values):
                message = f"One of {', '.join(group)} is needed"
                errors.append(FieldError(f"{contract.name}[{i}]", "missing", message))
    for low, high in contract.ordered:
        pairs = zip(columns.get(low, nothing), columns.get(high, nothing), strict=True)
        for i, (first, second) in enumerate(pairs):
            if first is not None and second is not None and first > second:
                errors.append(
                    FieldError(f"{contract.name}[{i}].{low}", "order", f"Input should not be after {high}")
                )


def _moments(
    texts: Sequence[str | None], zone: ZoneInfo, path: str, errors: list[FieldError]
) -> list[int | None]:
    """Return times as µs UTC, as `features.clock.as_of_us` reads them, many at a time."""
    if None not in texts and (plain := plain_moments(texts)) is not None:  # type: ignore[arg-type]
        return list(plain.tolist())
    moments: list[int | None] = []
    local: list[int] = []
    for i, text in enumerate(texts):
        if text is None:
            moments.append(None)
            continue
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            errors.append(_unreadable(path.format(i)))
            moments.append(None)
            continue
        if not FIRST_YEAR <= when.year <= LAST_YEAR:
            errors.append(_unreadable(path.format(i)))
            moments.append(None)
        elif when.tzinfo is not None:
            moments.append((when - _EPOCH) // _MICROSECOND)
        else:
            moments.append((when - _EPOCH_LOCAL) // _MICROSECOND)
            local.append(i)
    if local:
        us, exists = local_to_us(np.array([moments[i] for i in local], np.int64), zone)
        for i, moment, exists_here in zip(local, us.tolist(), exists.tolist(), strict=True):
            moments[i] = moment
            if not exists_here and len(texts[i] or "") > len("2026-03-04"):
                errors.append(_unreadable(path.format(i)))
    return moments


def _once(columns: dict[str, Sequence[Any]]) -> tuple[dict[str, Sequence[Any]], int]:
    """Return the rows without repetitions of a whole row, and how many were left out."""
    some = next(iter(columns.values()))
    if len(set(some)) == len(some):
        return columns, 0
    rows = list(zip(*columns.values(), strict=True))
    distinct = dict.fromkeys(rows)
    if len(distinct) == len(rows):
        return columns, 0
    kept = zip(*distinct, strict=True)
    return dict(zip(columns, kept, strict=True)), len(rows) - len(distinct)


def _attributes(
    given: Mapping[str, Any], vocabulary: Vocabulary, zone: ZoneInfo, errors: list[FieldError]
) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """Return the attributes that the model uses, one value each, and the names of those it does not."""
    used: dict[str, list[Any]] = {}
    unused = []
    for name, value in given.items():
        path = f"attributes.{name}"
        kind = "time" if name == SINCE else "text" if name in vocabulary.levels else "number"
        if name not in vocabulary.levels and name not in vocabulary.numbers:
            if name != "value":
                unused.append(name)
        elif value is None:
            used[name] = [None]
        elif kind != ("number" if not isinstance(value, str) else "time" if name == SINCE else "text"):
            errors.append(FieldError(path, "attribute_type", f"The model knows this attribute as a {kind}"))
        elif kind == "time":
            used[name] = _moments([value], zone, f"attributes.{SINCE}", errors)
        elif kind == "number" and abs(value) >= LARGEST / NUMBER_SCALE:
            errors.append(
                FieldError(path, "out_of_range", f"Input should be within ±{LARGEST / NUMBER_SCALE:g}")
            )
        else:
            used[name] = [value if kind == "text" else float(value)]
    return used, tuple(unused)


def _touchpoints(readings: Sequence[Reading]) -> Stream:
    """Build the stream as `features.histories` does from a table; a test holds the two equal."""
    given = [r.tables.get("touchpoints", {}) for r in readings]
    counts = [len(columns.get("occurred_at", ())) for columns in given]
    present = {name for columns in given for name in columns}

    def joined(name: str) -> Sequence[Any]:
        if len(given) == 1:
            return given[0].get(name) or [None] * counts[0]
        values: list[Any] = []
        for columns, count in zip(given, counts, strict=True):
            values += columns.get(name) or [None] * count
        return values

    contact, contacts = _contacts(
        [_flag_texts(joined(f)) if f == "direct" and f in present else joined(f) for f in TOUCHPOINT_FIELDS]
    )
    one = len(readings) == 1
    return build_stream(
        TOUCHPOINT_FIELDS,
        np.zeros(counts[0], np.int64) if one else np.repeat(np.arange(len(readings)), counts),
        len(readings),
        np.array(joined("occurred_at"), np.int64),
        contact,
        contacts,
        recorded_at=_or_null(joined("recorded_at")) if "recorded_at" in present else None,
        values={
            name: scaled(np.array(joined(name), np.float64), scale, what=name)
            for name, scale in MEASURE_SCALES.items()
            if name in present
        },
        texts={name: joined(name) for name in TOUCHPOINT_TEXTS if name in present},
        touchpoint_id=joined("touchpoint_id") if "touchpoint_id" in present else None,
        line_field="item",
        compact=False,
    )


def _contacts(columns: Sequence[Sequence[str | None]]) -> tuple[Ints, tuple[Contact, ...]]:
    """Number the distinct contacts in the order of their content, nulls first."""
    rows: list[Contact] = list(zip(*columns, strict=True))
    distinct = set(rows)
    try:
        ordered = sorted(distinct)
    except TypeError:  # a null beside a text: no text of a contact is empty, so the empty one stands for null
        ordered = sorted(distinct, key=lambda contact: [part or "" for part in contact])
    number = dict(zip(ordered, range(len(ordered)), strict=True))
    return np.array([number[row] for row in rows], np.int64), tuple(ordered)


def _flag_texts(flags: Iterable[bool | None]) -> list[str | None]:
    return [None if flag is None else "true" if flag else "false" for flag in flags]


def _or_null(moments: Iterable[int | None]) -> Ints:
    return np.array([NULL if m is None else m for m in moments], np.int64)


def _table(name: str, readings: Sequence[Reading]) -> pa.Table:
    """Return the rows of all customers as a table of the contract."""
    given = [r.tables.get(name, {}) for r in readings]
    counts = [max((len(c) for c in columns.values()), default=0) for columns in given]
    names = dict.fromkeys(column for columns in given for column in columns)
    ids = [_place(i) for i, count in enumerate(counts) for _ in range(count)]
    if name == "customers":
        counts, ids = [1] * len(readings), [_place(i) for i in range(len(readings))]
    arrays = {"customer_id": pa.array(ids, pa.string())}
    for column in names:
        values: list[Any] = []
        for columns, count in zip(given, counts, strict=True):
            values += columns.get(column) or [None] * count
        arrays |= _arrays(name, column, values)
    if name == "touchpoints" and "occurred_at" not in arrays:
        arrays |= _arrays(name, "occurred_at", []) | _arrays(name, "kind", [])
    return pa.table(arrays)


def _arrays(table: str, column: str, values: list[Any]) -> dict[str, pa.Array]:
    known = CONTRACT[table].by_name.get(column)
    if known is None:
        return {column: pa.array(values)}
    if known.kind == "time":
        return {column: pa.array(values, pa.int64()).cast(pa.timestamp("us", tz="UTC"))}
    return {column: pa.array(values, _ARROW[known.kind])}
