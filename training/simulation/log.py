"""What a block of customers leaves in the company's tables: rows gathered by day, given as Arrow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.clock import US_PER_DAY
from features.contract import ARROW, CONTRACT, OUTCOMES, QUALITIES
from training.simulation.company import CALL_AGENTS, TEAMS, TECHNICIANS, Company, Ints, staff_name
from training.simulation.impressions import RATED, SURVEYED, answers, ratings
from training.simulation.people import People, customer_ids

HOUR = US_PER_DAY // 24
MINUTE = HOUR // 60
KINDS = (
    *("bill", "payment", "claim", "claim_answer", "call", "appointment", "repair", "recovery"),
    *("adviser_meeting", "purchase", "card_delivery", "activation", "use", "app_login", "web_visit"),
    *("app_error", "integration", "mailing", "referral", "review", "event", "survey", "outreach"),
)
CHANNELS = ("phone", "branch", "home", "web", "app", "email", "post")
DONE, ABANDONED, FAILED, TRANSFERRED, OPEN = range(len(OUTCOMES))
USUAL_CHANNEL = {
    **dict.fromkeys(("adviser_meeting", "event"), "branch"),
    **dict.fromkeys(("repair",), "home"),
    **dict.fromkeys(("use", "app_login", "app_error", "integration"), "app"),
    **dict.fromkeys(("web_visit", "review", "payment", "activation", "purchase"), "web"),
    **dict.fromkeys(("bill", "survey", "claim_answer", "referral"), "email"),
    **dict.fromkeys(("mailing", "card_delivery"), "post"),
}
SERVED_BY_CALL_AGENTS = ("call", "claim_answer", "recovery", "outreach")
LATE = {**dict.fromkeys(("claim", "repair", "recovery"), 0.15), **dict.fromkeys(("app_login", "use"), 0.01)}
USUALLY_LATE = 0.05
MOST_LATE_DAYS = 9.0
CODED: Mapping[str, tuple[str, ...]] = {
    "kind": KINDS,
    "channel": CHANNELS,
    "team": TEAMS,
    "outcome": OUTCOMES,
}
SCORES = (
    *("expected", "adequate", "perceived", "satisfaction", "nps", "effort"),
    *("effective", "easy", "enjoyable"),
    *QUALITIES,
)
TOUCHPOINT_COLUMNS = (
    *("customer_id", "occurred_at", "recorded_at", "kind", "channel", "case_id", "agent_id", "team"),
    *("item", "amount", "wait_minutes", "outcome"),
    *SCORES,
)
SCHEMAS: Mapping[str, pa.Schema] = {
    name: pa.schema([(c, ARROW[CONTRACT[name].by_name[c].kind]) for c in columns])
    for name, columns in {
        "touchpoints": TOUCHPOINT_COLUMNS,
        "customers": ("customer_id", "since", "value", "segment", "valid_from"),
        "relationships": tuple(CONTRACT["relationships"].by_name),
        "wallet": tuple(CONTRACT["wallet"].by_name),
        "switching_costs": tuple(CONTRACT["switching_costs"].by_name),
        "treatments": tuple(CONTRACT["treatments"].by_name),
    }.items()
}


class Log(Protocol):
    """Where the days of customers are written down."""

    def add(self, kind: str, who: Ints, people: People, day: int, **columns: Any) -> None:
        """Write a touchpoint of each of some customers; columns are scalars or one value each."""

    def row(self, table: str, who: Ints, people: People, **columns: Any) -> None:
        """Write a row of another table for each of some customers; columns named as in the contract."""


class Nowhere:
    """A log for lives that are only imagined."""

    def add(self, kind: str, who: Ints, people: People, day: int, **columns: Any) -> None:
        """Forget it."""

    def row(self, table: str, who: Ints, people: People, **columns: Any) -> None:
        """Forget it."""


class Ledger:
    """The log of a block. It draws moments, staff and answers, which change nothing in the lives."""

    def __init__(self, company: Company, rng: np.random.Generator) -> None:
        self.company, self.rng = company, rng
        self.writing = False
        """Whether the days that pass are written; not in the burn-in."""
        self._touchpoints: list[tuple[int, dict[str, Any]]] = []
        self._rows: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)

    def add(
        self,
        kind: str,
        who: Ints,
        people: People,
        day: int,
        *,
        hours: tuple[float, float] = (8.5, 19.5),
        mood: float | np.ndarray[Any, Any] = 0.0,
        **columns: Any,
    ) -> None:
        """Write a touchpoint of each of some customers.

        Args:
            kind: one of `KINDS`.
            who: places among `people`.
            people: the block as it is now.
            day: the day.
            hours: between which it happens.
            mood: what this contact itself adds to what is perceived.
            columns: `channel`, `case` (number), `agent` (number), `item`, `amount`, `wait_minutes`,
                `outcome` (number).
        """
        n = len(who)
        if not n or not self.writing:
            return
        rng = self.rng
        at = self.company.us(day) + (rng.uniform(*hours, n) * HOUR).astype(np.int64)
        lag = rng.uniform(1, 20, n)
        late = rng.random(n) < LATE.get(kind, USUALLY_LATE)
        lag[late] += rng.uniform(0.5, MOST_LATE_DAYS, int(late.sum())) * 1440
        row = {"occurred_at": at, "recorded_at": at + (lag * MINUTE).astype(np.int64), **columns}
        row["number"] = people.number[who]
        row["kind"] = KINDS.index(kind)
        row["channel"] = CHANNELS.index(columns.get("channel", USUAL_CHANNEL.get(kind, "phone")))
        if kind in SERVED_BY_CALL_AGENTS:
            row.setdefault("agent", rng.integers(CALL_AGENTS, size=n))
        if kind == "repair":
            row.setdefault("agent", CALL_AGENTS + rng.integers(TECHNICIANS, size=n))
        if kind in ("adviser_meeting", "repair", "appointment", "event"):
            row["team"] = people.seat[who] // (self.company.adviser.shape[0] // len(TEAMS))
        if kind in RATED:
            row |= ratings(people, who, self.company, row.get("agent"), mood, rng)
        if kind in SURVEYED:
            row |= answers(people, who, day, rng)
        self._touchpoints.append((n, row))

    def row(self, table: str, who: Ints, people: People, **columns: Any) -> None:
        """Write a row of a table for each of some customers."""
        if len(who) and self.writing:
            self._rows[table].append((len(who), {"number": people.number[who], **columns}))

    def tables(self) -> dict[str, pa.Table]:
        """Return what was known when the data were extracted, sorted by customer and moment."""
        tables = {"touchpoints": self._touchpoint_table()}
        for name, schema in SCHEMAS.items():
            if name != "touchpoints":
                tables[name] = self._table(name, schema)
        return tables

    def _touchpoint_table(self) -> pa.Table:
        chunks = self._touchpoints
        number, at = _ints(chunks, "number"), _ints(chunks, "occurred_at")
        recorded = _ints(chunks, "recorded_at")
        kind = _ints(chunks, "kind")
        known = np.flatnonzero(recorded < self.company.end_us)
        order = known[np.lexsort((kind[known], at[known], number[known]))]
        arrays: dict[str, pa.Array] = {
            "customer_id": _ids(number[order]),
            "occurred_at": pa.array(at[order], ARROW["time"]),
            "recorded_at": pa.array(recorded[order], ARROW["time"]),
            "item": pa.array(_objects(chunks, "item")[order], pa.string()),
        }
        for name, words in CODED.items():
            arrays[name] = _coded(_ints(chunks, name)[order], words)
        staff = tuple(map(staff_name, range(len(self.company.impression))))
        arrays["agent_id"] = _coded(_ints(chunks, "agent")[order], staff)
        case = _ints(chunks, "case")[order]
        numbered = pa.array(case, mask=case < 0).cast(pa.string())
        arrays["case_id"] = pc.binary_join_element_wise(arrays["customer_id"], numbered, "-")
        for name in ("amount", "wait_minutes", *SCORES):
            values = _floats(chunks, name)[order]
            arrays[name] = pa.array(values, pa.float64(), mask=np.isnan(values))
        schema = SCHEMAS["touchpoints"]
        return pa.table([arrays[name] for name in schema.names], schema=schema)

    def _table(self, name: str, schema: pa.Schema) -> pa.Table:
        chunks = self._rows[name]
        number = _ints(chunks, "number")
        keep = np.ones(len(number), np.bool_)
        for column in CONTRACT[name].columns:
            if column.past:
                keep &= _ints(chunks, column.name) < self.company.end_us
        if name == "customers":
            keep &= _ints(chunks, "since") < self.company.end_us
        first = next(c.name for c in CONTRACT[name].columns if c.kind == "time")
        at = np.flatnonzero(keep)
        order = at[np.lexsort((_ints(chunks, "recorded_at")[at], _ints(chunks, first)[at], number[at]))]
        arrays = []
        for field in schema:
            if field.name == "customer_id":
                arrays.append(_ids(number[order]))
            elif field.type == ARROW["time"]:
                moments = _ints(chunks, field.name)[order]
                arrays.append(pa.array(moments, field.type, mask=moments == MISSING))
            elif field.type == ARROW["number"]:
                values = _floats(chunks, field.name)[order]
                arrays.append(pa.array(values, field.type, mask=np.isnan(values)))
            else:
                arrays.append(pa.array(_objects(chunks, field.name)[order].tolist(), field.type))
        return pa.table(arrays, schema=schema)


MISSING = -(2**60)
"""Where a time, or a number of something, is not given."""


def _ids(numbers: Ints) -> pa.Array:
    distinct, place = np.unique(numbers, return_inverse=True)
    return pa.DictionaryArray.from_arrays(place, pa.array(customer_ids(distinct), pa.string())).cast(
        pa.string()
    )


def _coded(codes: Ints, words: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), list(words)).cast(pa.string())


def _gathered(chunks: list[tuple[int, dict[str, Any]]], name: str, out: Any) -> Any:
    start = 0
    for n, row in chunks:
        value = row.get(name)
        if value is not None:
            out[start : start + n] = value
        start += n
    return out


def _total(chunks: list[tuple[int, dict[str, Any]]]) -> int:
    return sum(n for n, _ in chunks)


def _ints(chunks: list[tuple[int, dict[str, Any]]], name: str) -> Ints:
    found: Ints = _gathered(chunks, name, np.full(_total(chunks), MISSING, np.int64))
    return found


def _floats(chunks: list[tuple[int, dict[str, Any]]], name: str) -> Any:
    return _gathered(chunks, name, np.full(_total(chunks), np.nan))


def _objects(chunks: list[tuple[int, dict[str, Any]]], name: str) -> Any:
    return _gathered(chunks, name, np.full(_total(chunks), None, object))
