"""The tables that Corredor reads: their columns, what a value may be, and what came in of each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from features.errors import CorredorError, unknown_name
from features.quarantine import empty_quarantine, write_quarantine

Kind = Literal["text", "time", "number", "flag"]
ARROW: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "time": pa.timestamp("us", tz="UTC"),
    "number": pa.float64(),
    "flag": pa.bool_(),
}
LARGEST = 1e12
"""No number may be larger: sums are counted exactly, in millionths, and 64 bits must hold them."""


@dataclass(frozen=True)
class Column:
    """One column: its kind, and what a value may be."""

    name: str
    kind: Kind
    required: bool = False
    low: float = -LARGEST
    high: float = LARGEST
    words: tuple[str, ...] = ()
    past: bool = False
    """A fact of the past: later than the extraction is impossible."""


@dataclass(frozen=True)
class TableContract:
    """One table: its columns, and what they owe each other within a row."""

    name: str
    columns: tuple[Column, ...]
    either: tuple[tuple[str, ...], ...] = ()
    """Groups of columns of which every row needs at least one."""
    ordered: tuple[tuple[str, str], ...] = ()
    """Pairs (a, b) of columns with a <= b."""
    attributes: bool = False
    """Whether columns beside these are taken in, as what is known about the customer."""
    version_key: tuple[str, ...] = ()
    """What stays the same when a row comes again with a later `recorded_at`."""

    @property
    def by_name(self) -> dict[str, Column]:
        """Columns by name."""
        return {c.name: c for c in self.columns}


def _text(name: str, required: bool = False, words: tuple[str, ...] = ()) -> Column:
    return Column(name, "text", required, words=words)


def _time(name: str, required: bool = False, past: bool = False) -> Column:
    return Column(name, "time", required, past=past)


def _number(name: str, low: float = -LARGEST, high: float = LARGEST, required: bool = False) -> Column:
    return Column(name, "number", required, low, high)


def _flag(name: str) -> Column:
    return Column(name, "flag")


OUTCOMES = ("done", "abandoned", "failed", "transferred", "open")
QUALITIES = ("tangibles", "reliability", "responsiveness", "assurance", "empathy")
_SCORES = (
    *("expected", "adequate", "perceived", "satisfaction", "nps", "effort"),
    *("effective", "easy", "enjoyable"),
    *QUALITIES,
)
_CUSTOMER = _text("customer_id", required=True)
_RECORDED = _time("recorded_at", past=True)

CONTRACT: dict[str, TableContract] = {
    table.name: table
    for table in (
        TableContract(
            "touchpoints",
            (
                _CUSTOMER,
                _time("occurred_at", required=True, past=True),
                _text("kind", required=True),
                _RECORDED,
                _text("touchpoint_id"),
                _text("channel"),
                _flag("direct"),
                _text("case_id"),
                _text("agent_id"),
                _text("team"),
                _text("item"),
                _number("amount"),
                _number("wait_minutes", low=0, high=1e7),
                *(_number(name, 0, 10) for name in _SCORES),
                _text("outcome", words=OUTCOMES),
            ),
            version_key=("customer_id", "touchpoint_id", "kind", "occurred_at", "item"),
        ),
        TableContract(
            "customers",
            (_CUSTOMER, _time("since"), _number("value"), _text("segment"), _time("valid_from")),
            attributes=True,
        ),
        TableContract(
            "relationships",
            (
                _CUSTOMER,
                _text("product", required=True),
                _time("started_at", required=True),
                _time("ended_at"),
                _text("end_reason"),
                _flag("voluntary"),
                _time("committed_until"),
                _number("exit_fee", low=0),
                _number("accrued_benefit", low=0),
                _time("benefit_until"),
                _number("discount", low=0),
                _time("discount_until"),
                _number("amount"),
                _number("market_amount", low=0),
                _flag("autopay"),
                _RECORDED,
            ),
            ordered=(("started_at", "ended_at"),),
            version_key=("customer_id", "product", "started_at"),
        ),
        TableContract(
            "wallet",
            (
                _CUSTOMER,
                _time("observed_at", required=True, past=True),
                _text("provider"),
                _flag("ours"),
                _number("share", 0, 1),
                _number("rank", 1, 1000),
                _RECORDED,
                _text("source"),
            ),
            either=(("provider", "ours"), ("share", "rank")),
        ),
        TableContract(
            "switching_costs",
            (
                _CUSTOMER,
                _time("asked_at", required=True, past=True),
                _text("facet", required=True),
                _number("value", required=True),
                _number("scale_min", required=True),
                _number("scale_max", required=True),
                _RECORDED,
            ),
            ordered=(("scale_min", "value"), ("value", "scale_max")),
        ),
        TableContract(
            "treatments",
            (
                _CUSTOMER,
                _time("assigned_at", required=True, past=True),
                _text("action", required=True),
                _text("arm", required=True),
                _number("propensity", 0, 1),
                _number("cost", low=0),
                _flag("delivered"),
                _flag("accepted"),
                _RECORDED,
            ),
        ),
    )
}


@dataclass(frozen=True)
class Intake:
    """What became of the rows that came in: `rows == kept + duplicates + quarantined`."""

    rows: int
    kept: int
    duplicates: int = 0
    quarantined: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Reason -> rows quarantined for it."""

    def __post_init__(self) -> None:
        if self.rows != self.kept + self.duplicates + self.quarantined:
            raise RuntimeError(f"rows went missing: {self}")

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows in = {self.kept:,} kept + {self.duplicates:,} duplicates"
            f" + {self.quarantined:,} quarantined"
        )


@dataclass(frozen=True)
class Tables:
    """The canonical tables, each as one Arrow table with the contract's types, in no order that matters.

    `intake` counts the rows of each table, with the rows that its files lost on the way; `files` counts
    the rows of each file read. `extracted_at` is the newest moment in the data (µs UTC; None: no rows).
    """

    tables: dict[str, pa.Table]
    intake: dict[str, Intake]
    extracted_at: int | None
    files: dict[str, Intake] = field(default_factory=dict)
    quarantine: pa.Table = field(default_factory=empty_quarantine)

    def __getitem__(self, name: str) -> pa.Table:
        return self.tables[name]

    def write_quarantine(self, path: Path) -> Path:
        """Write the rows that were put aside, one row each with file, line and reason (CSV or Parquet)."""
        return write_quarantine(self.quarantine, path)


def check_tables(tables: Mapping[str, pa.Table]) -> Tables:
    """Return tables that were built in code as `Tables`, none of their rows quarantined.

    Raises:
        CorredorError: a table or column that the contract does not know, a required one missing, or
            another Arrow type than the contract's.
    """
    if "touchpoints" not in tables:
        raise CorredorError("the table touchpoints is required.")
    for name, table in tables.items():
        if name not in CONTRACT:
            raise unknown_name("table", name, CONTRACT)
        contract = CONTRACT[name]
        check_columns(contract, table.column_names)
        for column in contract.columns:
            if column.name not in table.column_names:
                continue
            found, wanted = table.schema.field(column.name).type, ARROW[column.kind]
            if found != wanted:
                raise CorredorError(f"{name}.{column.name} is {found}, and must be {wanted}.")
            missing = table[column.name].null_count
            if column.required and missing:
                raise CorredorError(f"{name}: {missing:,} rows have no {column.name}.")
        for attribute in set(table.column_names) - set(contract.by_name):
            found = table.schema.field(attribute).type
            if found not in (pa.string(), pa.float64(), pa.bool_()):
                raise CorredorError(f"{name}.{attribute} is {found}, and must be string, double or bool.")
    intake = {name: Intake(len(table), len(table)) for name, table in tables.items()}
    return Tables(dict(tables), intake, newest_moment(tables))


def check_columns(contract: TableContract, names: Iterable[str]) -> None:
    """Raise unless a table's columns are those of its contract, with the near matches of wrong names."""
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CorredorError(f"{contract.name}: two columns are called {twice[0]}. Name each one once.")
    known = contract.by_name
    others = [name for name in names if name not in known]
    for column in contract.columns:
        if column.required and column.name not in names:
            near = difflib.get_close_matches(column.name, others, n=1)
            fix = f"Did you mean {near[0]}? " if near else ""
            raise CorredorError(
                f"{contract.name} has no column {column.name}, which is required. {fix}"
                f"Name it in the query: select … as {column.name}. It has: {', '.join(names) or 'none'}."
            )
    if not contract.attributes and others:
        raise unknown_name(f"column of {contract.name}", others[0], known)
    for group in contract.either:
        if not set(group) & set(names):
            raise CorredorError(f"{contract.name} needs a column {' or '.join(group)}.")


def newest_moment(tables: Mapping[str, pa.Table]) -> int | None:
    """Return the newest moment of the facts of the past in the tables (µs UTC), or None."""
    newest = [
        pc.max(table[column.name]).cast(pa.int64()).as_py()
        for name, table in tables.items()
        for column in CONTRACT[name].columns
        if column.past and column.name in table.column_names
    ]
    return max((moment for moment in newest if moment is not None), default=None)
