"""The one in-memory form of all that is known: every customer's dated facts, sorted, as integers.

Built from the contract's tables, whatever their order; a nightly batch, a training panel and the
customer of one request all become a `Histories`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.commitments import LOCK_MEASURES, NEVER, held_changes, lock_changes
from features.errors import CorredorError
from features.ledger import Ledger
from features.packing import numbers_given, scaled_column
from features.streams import NULL, Ints, Stream, build_stream, empty_stream, encode, scaled
from features.wallets import wallet_builder

TOUCHPOINT_FIELDS = ("kind", "channel", "direct", "outcome", "item")
TOUCHPOINT_TEXTS = ("case_id", "agent_id", "team")
"""Texts of touchpoints that are kept as codes."""
MEASURE_SCALES = {
    "amount": 1_000_000,
    "wait_minutes": 1_000,
    **dict.fromkeys(
        (
            *("expected", "adequate", "perceived", "satisfaction", "nps", "effort"),
            *("effective", "easy", "enjoyable"),
            *("tangibles", "reliability", "responsiveness", "assurance", "empathy"),
        ),
        100,
    ),
}
"""Numeric columns of touchpoints, and the whole multiples they are counted in."""
NUMBER_SCALE = 1_000_000
ALWAYS = -(2**61)
"""The moment of a fact that has no date: before anything else (µs UTC)."""


@dataclass(frozen=True)
class Histories:
    """Every customer's dated facts. Customers are in the byte order of their ids.

    `streams` always has `touchpoints`; others are there when their table was given. `ledgers` holds
    the other tables' rows as given. Those of a part of the company (`partial`: a bucket, a partition, a call)
    need not name every kind of contact or product that the configuration does.
    """

    customer_ids: pa.Array
    streams: Mapping[str, Stream]
    ledgers: Mapping[str, Ledger]
    partial: bool = False

    @property
    def n_customers(self) -> int:
        """Number of customers."""
        return len(self.customer_ids)

    @property
    def touchpoints(self) -> Stream:
        """The stream of touchpoints."""
        return self.streams["touchpoints"]

    @property
    def n_touchpoints(self) -> int:
        """Number of rows of touchpoints."""
        return self.touchpoints.n_rows

    def span(self) -> tuple[int, int]:
        """Return the first and last moment of the touchpoints, µs UTC; (0, 0) when there are none."""
        if not self.n_touchpoints:
            return 0, 0
        moments = self.touchpoints.occurred_at.unpack()
        return int(moments.min()), int(moments.max())

    def known_before(self, until: int) -> Histories:
        """Return only what was known strictly before a moment (µs UTC), of the same customers."""
        return replace(
            self,
            streams={n: s.keep(s.known_at() < until) for n, s in self.streams.items()},
            ledgers={n: rows.keep(rows.known_at < until) for n, rows in self.ledgers.items()},
        )

    def select(self, customers: npt.NDArray[Any] | Sequence[int]) -> Histories:
        """Return the histories of some customers (positions), in the order given."""
        chosen = np.asarray(customers, np.int64)
        return Histories(
            self.customer_ids.take(pa.array(chosen)),
            {n: s.select(chosen) for n, s in self.streams.items()},
            {n: rows.select(chosen) for n, rows in self.ledgers.items()},
            self.partial,
        )

    def between(self, low: int, high: int) -> Histories:
        """Return the histories of customers [low, high), as a view: nothing is copied."""
        return Histories(
            self.customer_ids[low:high],
            {n: s.between(low, high) for n, s in self.streams.items()},
            {n: rows.between(low, high) for n, rows in self.ledgers.items()},
            self.partial,
        )

    def position(self, ids: Sequence[str]) -> Ints:
        """Return the position of customers by id, -1 for those that are not known."""
        found = pc.index_in(pa.array(list(ids), pa.string()), value_set=self.customer_ids)
        places: Ints = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return places


def build_histories(tables: Mapping[str, pa.Table], *, compact: bool = True) -> Histories:
    """Build the histories of all customers that any table names.

    Args:
        tables: the contract's tables in canonical types, checked; `touchpoints` is required.
        compact: keep integers in small types (less memory); a single request does without.
    """
    named = {name: t for name, t in tables.items() if "customer_id" in t.column_names}
    ids, positions = _customers(named)
    n = len(ids)
    streams = {"touchpoints": _touchpoints(tables["touchpoints"], positions["touchpoints"], n, compact)}
    ledgers: dict[str, Ledger] = {}
    for name, build in _SIDE_STREAMS.items():
        if name in named:
            stream_name = {"customers": "attributes"}.get(name, name)
            streams[stream_name] = build(tables[name], positions[name], n)
            ledgers[name] = _ledger(name, tables[name], positions[name], n)
    return Histories(ids, streams, ledgers)


def _customers(tables: Mapping[str, pa.Table]) -> tuple[pa.Array, dict[str, Ints]]:
    """Return the sorted ids of all tables, and the position of each row's customer by table."""
    encoded = {}
    for name, table in tables.items():
        column = table.column("customer_id").combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.array([], pa.string())
        encoded[name] = column.dictionary_encode()
    names = pa.concat_arrays([e.dictionary for e in encoded.values()])
    if len(encoded) > 1:
        names = names.unique()
    in_order = pc.array_sort_indices(names).to_numpy()
    ids = names.take(pa.array(in_order))
    positions = {}
    for name, e in encoded.items():
        if len(encoded) == 1:
            place = np.empty(len(ids), np.int64)
            place[in_order] = np.arange(len(ids))
        else:
            found = pc.index_in(e.dictionary, value_set=ids)
            place = found.to_numpy(zero_copy_only=False).astype(np.int64)
        positions[name] = place[e.indices.to_numpy(zero_copy_only=False)]
    return ids, positions


def _times(table: pa.Table, name: str) -> Ints | None:
    """Return a time column as µs UTC, NULL where empty; None when the table has no such column."""
    if name not in table.column_names:
        return None
    column = table.column(name).cast(pa.int64())
    if column.null_count:
        column = pc.fill_null(column, NULL)
    times: Ints = column.to_numpy().astype(np.int64, copy=False)
    return times


def _moments(table: pa.Table, name: str) -> Ints:
    """Return a time column that the table must have."""
    times = _times(table, name)
    if times is None:
        raise CorredorError(f"there is no column {name!r} among {', '.join(table.column_names)}.")
    return times


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Return a numeric column as float64, NaN where empty or where there is no such column."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    numbers = np.empty(table.num_rows)
    for low, values, given in numbers_given(table.column(name)):
        numbers[low : low + len(values)] = values if given is None else np.where(given, values, np.nan)
    return numbers


def _texts(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows)  # of no type: it has no bytes
    column = table.column(name)
    return column if pa.types.is_dictionary(column.type) else column.cast(pa.string())


def _touchpoints(table: pa.Table, customer: Ints, n: int, compact: bool) -> Stream:
    occurred = _moments(table, "occurred_at")
    contact, contacts = encode([_texts(table, f) for f in TOUCHPOINT_FIELDS])
    values = {
        name: scaled_column(table.column(name), scale, what=f"touchpoints.{name}")
        for name, scale in MEASURE_SCALES.items()
        if name in table.column_names
    }
    return build_stream(
        TOUCHPOINT_FIELDS,
        customer,
        n,
        occurred,
        contact,
        contacts,
        recorded_at=_times(table, "recorded_at"),
        values=values,
        texts={name: _texts(table, name) for name in TOUCHPOINT_TEXTS if name in table.column_names},
        touchpoint_id=table.column("touchpoint_id") if "touchpoint_id" in table.column_names else None,
        line_field="item",
        compact=compact,
    )


def _attributes(table: pa.Table, customer: Ints, n: int) -> Stream:
    """One row per attribute: a text attribute's level is in the contact, a number in `number`."""
    fields = ("attribute", "level")
    if not table.num_rows:
        return empty_stream(fields, n)
    valid_from = _times(table, "valid_from")
    when = np.full(table.num_rows, ALWAYS) if valid_from is None else valid_from.copy()
    when[when == NULL] = ALWAYS
    recorded = _times(table, "recorded_at")
    recorded = np.full(table.num_rows, NULL) if recorded is None else recorded
    knowns, moments, people, names, levels, numbers = [], [], [], [], [], []
    for name in table.column_names:
        if name in ("customer_id", "valid_from", "recorded_at"):
            continue
        kind = table.schema.field(name).type
        number, level, moment = np.full(table.num_rows, NULL), pa.nulls(table.num_rows, pa.string()), when
        given, known = np.ones(table.num_rows, bool), recorded
        if pa.types.is_timestamp(kind):
            since = _moments(table, name)
            moment, given = since, since != NULL  # a date becomes known as it happens, an empty one never
            known = np.maximum(when, recorded)  # … and not before the row that tells it
            number = np.full(table.num_rows, NUMBER_SCALE)
        elif pa.types.is_string(kind):
            level = table.column(name).combine_chunks()
        else:
            number = scaled(_numbers(table, name), NUMBER_SCALE, what=f"customers.{name}")
        knowns.append(known[given])
        moments.append(moment[given])
        people.append(customer[given])
        numbers.append(number[given])
        names.append(pa.array([name] * int(given.sum()), pa.string()))
        levels.append(level.filter(pa.array(given)))
    if not names:
        return empty_stream(fields, n)
    contact, contacts = encode([pa.chunked_array(names), pa.chunked_array(levels)])
    who, at, known_at, of_rows = (np.concatenate(a) for a in (people, moments, knowns, numbers))
    return build_stream(
        fields, who, n, at, contact, contacts, recorded_at=known_at, values={"number": of_rows}
    )


def _relationships(table: pa.Table, customer: Ints, n: int) -> Stream:
    """What is held, as changes: + when it is known to begin, - when it ends or a later row replaces it.

    So a sum over all changes before `as_of` is the state at `as_of`: the number of products, their
    amounts, exit fees, discounts and benefits, and the commitments that still run, with the moments
    when the next and the last of them end. A fee lasts as long as its commitment, a benefit to
    `benefit_until`, a discount to `discount_until`; a price counts against the market's where both are given.
    """
    fields = ("product", "change")
    if not table.num_rows:
        return empty_stream(fields, n)
    started = _moments(table, "started_at")
    recorded, ended = (_times(table, c) for c in ("recorded_at", "ended_at"))
    known = started if recorded is None else np.where(recorded == NULL, started, recorded)
    product, products = encode([_texts(table, "product")])
    amounts = {name: _numbers(table, name) for name in ("amount", *_LASTING, "market_amount")}
    amounts["priced"] = np.where(np.isnan(amounts["market_amount"]), np.nan, amounts["amount"])
    amounts["market_amount"] = np.where(np.isnan(amounts["amount"]), np.nan, amounts["market_amount"])
    lasts = {name: _times(table, column) for name, column in _LASTING.items()}
    flags = [_numbers(table, name) for name in ("autopay", "voluntary")]
    ends = np.full(table.num_rows, NEVER) if ended is None else np.where(ended == NULL, NEVER, ended)
    lasting = [np.full(table.num_rows, NULL) if at is None else at for at in lasts.values()]
    order = np.lexsort((*amounts.values(), *lasting, *flags, ends, known, started, product, customer))
    customer, product, started, known, ends = (a[order] for a in (customer, product, started, known, ends))
    same = np.zeros(len(order), bool)
    same[1:] = (np.diff(customer) == 0) & (np.diff(product) == 0) & (np.diff(started) == 0)
    replaced = np.full(len(order), NEVER)
    replaced[:-1] = np.where(same[1:], known[1:], NEVER)
    begin = np.maximum(started, known)
    values = {
        name: scaled(a[order], NUMBER_SCALE, what=f"relationships.{name}") for name, a in amounts.items()
    }
    values["autopay"] = scaled(flags[0][order], 1)
    values["held"] = np.ones(len(order), np.int64)
    until = dict(zip(_LASTING, (at[order] for at in lasting), strict=True))
    stop = np.minimum(replaced, ends)
    parts = [
        *held_changes(values, until, begin, stop),
        *(change for name, at in until.items() for change in lock_changes(customer, begin, stop, at, name)),
    ]
    parts.append((~same, begin, "started", 1, {}))
    newly_ended = (ends < NEVER) & (ends < replaced)
    # a later row about a relationship that was already over does not end it again
    newly_ended[1:] &= ~(same[1:] & (ends[:-1] < known[1:]) & (ends[1:] <= known[1:]))
    parts.append((newly_ended, np.maximum(ends, known), "ended", 1, {}))
    names = (*values, *LOCK_MEASURES)
    contact, contacts = encode(
        [
            pa.chunked_array(
                [pa.array([products[p][0] for p in product[m]], pa.string()) for m, *_ in parts]
            ),
            pa.chunked_array([pa.array([word] * int(m.sum()), pa.string()) for m, _, word, *_ in parts]),
        ]
    )
    signed = {
        name: np.concatenate(
            [
                np.where(v[name][m] == NULL, NULL, sign * v[name][m]) if name in v else np.full(m.sum(), NULL)
                for m, _, _, sign, v in parts
            ]
        )
        for name in names
    }
    moments = np.concatenate([at[m] for m, at, *_ in parts])
    people = np.concatenate([customer[m] for m, *_ in parts])
    return build_stream(fields, people, n, moments, contact, contacts, values=signed)


def _dated(
    fields: tuple[str, ...], moment: str, numbers: tuple[str, ...]
) -> Any:  # a builder of (table, customer, n) -> Stream
    """Return the builder of a stream whose rows are a table's rows."""

    def build(table: pa.Table, customer: Ints, n: int) -> Stream:
        if not table.num_rows:
            return empty_stream(fields, n)
        occurred = _moments(table, moment)
        contact, contacts = encode([_texts(table, f) for f in fields])
        values = {name: scaled(_numbers(table, name), NUMBER_SCALE, what=name) for name in numbers}
        if "scale_min" in values:
            low, high = values.pop("scale_min"), values.pop("scale_max")
            share = 100.0 * (values["value"] - low) / np.maximum(high - low, 1)
            values["value"] = scaled(np.where(values["value"] == NULL, np.nan, share), NUMBER_SCALE)
        recorded = _times(table, "recorded_at")
        return build_stream(
            fields, customer, n, occurred, contact, contacts, recorded_at=recorded, values=values
        )

    return build


def _ledger(name: str, table: pa.Table, customer: Ints, n: int) -> Ledger:
    order = np.argsort(customer, kind="stable")
    columns: dict[str, npt.NDArray[Any]] = {}
    for field in table.schema:
        if field.name == "customer_id":
            continue
        if pa.types.is_timestamp(field.type):
            times = _times(table, field.name)
            columns[field.name] = times[order]  # type: ignore[index]
        elif pa.types.is_boolean(field.type):
            flags = pc.fill_null(table.column(field.name).cast(pa.int8()), -1)
            columns[field.name] = flags.to_numpy()[order]
        elif pa.types.is_floating(field.type):
            columns[field.name] = _numbers(table, field.name)[order]
        else:
            columns[field.name] = table.column(field.name).to_numpy()[order]
    moment = columns.get(_MOMENTS[name])
    known = np.full(len(order), ALWAYS) if moment is None else np.where(moment == NULL, ALWAYS, moment)
    recorded = columns.get("recorded_at")
    if recorded is not None:
        known = np.maximum(known, np.where(recorded == NULL, known, recorded))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(customer, minlength=n))]).astype(np.int64)
    return Ledger(offsets, columns, known)


_LASTING = {"exit_fee": "committed_until", "accrued_benefit": "benefit_until", "discount": "discount_until"}
"""What is lost by leaving, and the column that says until when; in `commitments.LOCKS`, what runs then."""
_MOMENTS = {
    "customers": "valid_from",
    "relationships": "started_at",
    "wallet": "observed_at",
    "switching_costs": "asked_at",
    "treatments": "assigned_at",
}
_SIDE_STREAMS = {
    "customers": _attributes,
    "relationships": _relationships,
    "wallet": wallet_builder(_times, _numbers, NUMBER_SCALE),
    "switching_costs": _dated(("facet",), "asked_at", ("value", "scale_min", "scale_max")),
    "treatments": _dated(("action", "arm"), "assigned_at", ()),
}
