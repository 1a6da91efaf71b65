"""Dated facts of every customer in one compact, exactly ordered form: the only thing the engine reads.

A stream is a table whose rows are (customer, moment, contact, integers). Touchpoints are one stream;
relationships, attributes, wallet answers and treatments are others, in the same form, so that one
engine and one rule of what is known serve them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from features.coding import (
    NULL,
    OWN_CODES,
    Contact,
    Ints,
    Texts,
    coded,
    encode,
    own_numbers,
    text_codes,
)
from features.packing import Packed, pack, scaled


@dataclass(frozen=True)
class Stream:
    """Rows sorted by (customer, moment, content); rows of customer c are offsets[c]:offsets[c+1].

    `contact` numbers the distinct `contacts` (tuples of text, sorted by content); `lag` is how much
    later than `occurred_at` a row was recorded (None: at once); `opens` is 0 on the second and
    further lines of one contact (None: every row is a contact of its own); `values` are integers.
    `codes` are names that are not worth a contact each, NULL where there is none: those in `labels`
    number its texts in content order, the others number the customer's own from 0.
    """

    fields: tuple[str, ...]
    offsets: Ints
    occurred_at: Packed
    contact: npt.NDArray[Any]
    contacts: tuple[Contact, ...]
    lag: Packed | None = None
    opens: npt.NDArray[np.int8] | None = None
    values: Mapping[str, Packed] = field(default_factory=dict)
    codes: Mapping[str, Packed] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows of all customers."""
        return len(self.contact)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays: list[npt.NDArray[Any]] = [
            self.offsets,
            self.occurred_at.data,
            self.contact,
            *(v.data for v in self.values.values()),
            *(v.data for v in self.codes.values()),
        ]
        if self.lag is not None:
            arrays.append(self.lag.data)
        if self.opens is not None:
            arrays.append(self.opens)
        return sum(a.nbytes for a in arrays)

    def known_at(self, low: int = 0, high: int | None = None) -> Ints:
        """Return the moment from which each row [low, high) is known (it is known strictly after it)."""
        occurred = self.occurred_at.unpack(low, high)
        return occurred if self.lag is None else occurred + self.lag.unpack(low, high)

    def customer_of_rows(self) -> Ints:
        """Return each row's customer position."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def keep(self, mask: npt.NDArray[np.bool_]) -> Stream:
        """Return the stream with the rows of a mask only, of the same customers."""
        if mask.all():
            return self
        before = np.concatenate([[0], np.cumsum(mask)])
        return self._take(mask, before[self.offsets])

    def select(self, customers: Ints) -> Stream:
        """Return the stream of some customers (positions), in the order given."""
        lengths = np.diff(self.offsets)[customers]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][customers] - offsets[:-1], lengths)
        return self._take(rows, offsets)

    def between(self, low: int, high: int) -> Stream:
        """Return the stream of customers [low, high); nothing is copied."""
        first, last = int(self.offsets[low]), int(self.offsets[high])
        return self._take(slice(first, last), self.offsets[low : high + 1] - first)

    def _take(self, rows: npt.NDArray[Any] | slice, offsets: Ints) -> Stream:
        return replace(
            self,
            offsets=offsets,
            occurred_at=self.occurred_at.take(rows),
            contact=self.contact[rows],
            lag=None if self.lag is None else self.lag.take(rows),
            opens=None if self.opens is None else self.opens[rows],
            values={name: v.take(rows) for name, v in self.values.items()},
            codes={name: v.take(rows) for name, v in self.codes.items()},
        )


def empty_stream(fields: tuple[str, ...], n_customers: int) -> Stream:
    """Return a stream without rows."""
    nothing = np.zeros(0, np.int64)
    return Stream(fields, np.zeros(n_customers + 1, np.int64), Packed(nothing), nothing, ())


def build_stream(
    fields: tuple[str, ...],
    customer: Ints,
    n_customers: int,
    occurred_at: Ints,
    contact: Ints,
    contacts: tuple[Contact, ...],
    *,
    recorded_at: Ints | None = None,
    values: Mapping[str, Ints] | None = None,
    texts: Mapping[str, Texts] | None = None,
    touchpoint_id: Texts | None = None,
    line_field: str | None = None,
    compact: bool = True,
) -> Stream:
    """Sort rows into a stream; the order of the rows given never matters.

    Args:
        fields: names of the parts of a contact.
        customer: position of each row's customer, 0 to n_customers - 1.
        n_customers: how many customers there are, with or without rows.
        occurred_at: µs UTC.
        contact: number of each row's contact in `contacts`.
        contacts: the distinct contacts, in content order.
        recorded_at: µs UTC, NULL where unknown (then known at once).
        values: name -> integers, NULL where there is none.
        texts: name -> text to be kept as `codes`; those of `OWN_CODES` by the customer's own numbers.
        touchpoint_id: text that rows of one contact share.
        line_field: the field in which lines of one contact differ (`item`).
        compact: keep the integers in small types; not worth the time for a single request.
    """
    values = dict(values or {})
    codes, labels = coded(texts or {})
    order, offsets = order_by_time(customer, occurred_at, n_customers)
    late = None
    if recorded_at is not None:
        late = np.maximum(np.where(recorded_at == NULL, occurred_at, recorded_at) - occurred_at, 0)
        if not late.any():
            late = None
    opens = None
    moments = occurred_at.take(order)
    tied = _tied_with_previous(offsets, moments)
    if tied.any():
        ranked = values | codes
        # rows that are tied have one moment: `moments` is as it was
        opens = _order_ties(order, tied, contact, contacts, fields, late, ranked, touchpoint_id, line_field)
    shrink = pack if compact else Packed
    contact_type: Any = np.uint16 if compact and len(contacts) <= 1 << 16 else np.int64
    return Stream(
        fields=fields,
        offsets=offsets,
        occurred_at=shrink(moments),
        contact=contact.astype(contact_type, copy=False).take(order),
        contacts=contacts,
        lag=None if late is None else shrink(late[order]),
        opens=opens,
        values={name: shrink(v).take(order) for name, v in values.items()},
        codes={
            name: shrink(own_numbers(code[order], offsets) if name in OWN_CODES else code[order])
            for name, code in codes.items()
        },
        labels=labels,
    )


def _order_ties(
    order: Ints,
    tied: npt.NDArray[np.bool_],
    contact: Ints,
    contacts: tuple[Contact, ...],
    fields: tuple[str, ...],
    late: Ints | None,
    values: Mapping[str, Ints],
    touchpoint_id: Texts | None,
    line_field: str | None,
) -> npt.NDArray[np.int8] | None:
    """Order rows of one customer and moment by content, in place; return which rows open a contact."""
    member = tied.copy()
    member[:-1] |= tied[1:]
    rows = np.flatnonzero(member)
    group = np.cumsum(~tied)[rows]
    source = order[rows]
    if touchpoint_id is None:
        identity = np.zeros(len(rows), np.int64)
    else:
        few = isinstance(touchpoint_id, (list, tuple))
        ids: Any = touchpoint_id
        identity, _ = text_codes([ids[i] for i in source.tolist()] if few else ids.take(pa.array(source)))
    head = np.arange(len(contacts))
    if line_field is not None:
        line = fields.index(line_field)
        heads: dict[Contact, int] = {}
        head = np.array([heads.setdefault(c[:line] + c[line + 1 :], len(heads)) for c in contacts], np.int64)
    keys: list[npt.NDArray[Any]] = [v[source] for v in reversed(list(values.values()))]
    keys.append(contact[source])
    if late is not None:  # the line known first opens the contact, so that a later one changes nothing
        keys.append(late[source])
    keys += [head[contact[source]], identity, group]
    by_content = np.lexsort(keys)
    order[rows] = source[by_content]
    if line_field is None:
        return None
    has_item = np.array([c[line] is not None for c in contacts])
    now, before = by_content[1:], by_content[:-1]
    codes = contact[source]
    same = (group[now] == group[before]) & (identity[now] == identity[before])
    same &= head[codes[now]] == head[codes[before]]
    same &= (identity[now] > 0) | (
        (codes[now] != codes[before]) & has_item[codes[now]] & has_item[codes[before]]
    )
    opens = np.ones(len(order), np.int8)
    opens[rows[1:][same]] = 0
    return opens if same.any() else None


def order_by_time(customer: Ints, moment: Ints, n_customers: int) -> tuple[Ints, Ints]:
    """Return the row order by (customer, moment), and the offsets of the customers."""
    order, offsets, in_time = group_by_customer(customer, moment, np.arange(len(customer)), n_customers)
    if not in_time:  # logs mostly come in order of time: sort by time only those that do not
        by_time = np.argsort(moment, kind="stable")
        order, offsets, _ = group_by_customer(customer, moment, by_time, n_customers)
    return order, offsets


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def group_by_customer(customer: Ints, moment: Ints, rows: Ints, n_customers: int) -> tuple[Ints, Ints, bool]:
    """Group rows by customer, keeping their order; also tell whether each group is in order of time."""
    offsets = np.zeros(n_customers + 1, np.int64)
    for c in customer:
        offsets[c + 1] += 1
    for c in range(n_customers):
        offsets[c + 1] += offsets[c]
    place = offsets[:-1].copy()
    order = np.empty(customer.size, np.int64)
    last = np.full(n_customers, NULL)
    in_time = True
    for row in rows:
        c = customer[row]
        order[place[c]] = row
        place[c] += 1
        in_time &= moment[row] >= last[c]
        last[c] = moment[row]
    return order, offsets, in_time


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tied_with_previous(offsets: Ints, moment: Ints) -> npt.NDArray[np.bool_]:
    """Return which sorted rows have the customer and moment of the row before."""
    tied = np.zeros(moment.size, np.bool_)
    for customer in range(offsets.size - 1):
        for i in range(offsets[customer] + 1, offsets[customer + 1]):
            tied[i] = moment[i] == moment[i - 1]
    return tied


__all__ = [
    "NULL",
    "Contact",
    "Ints",
    "Packed",
    "Stream",
    "build_stream",
    "empty_stream",
    "encode",
    "order_by_time",
    "pack",
    "scaled",
]
