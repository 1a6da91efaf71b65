"""What the engine must answer, worked out slowly and obviously from the tables themselves.

No code of the engine is used: rows are Python dictionaries, windows are comparisons, sums are sums of
whole numbers, and relationships and attributes are looked up as the state of a date.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from features.expressions import Expr
from tests.arithmetic_oracle import operate

DAY = 86_400_000_000
NAN = math.nan
FIELDS = {
    "touchpoints": ("kind", "channel", "direct", "outcome", "item"),
    "attributes": ("attribute", "level"),
    "switching_costs": ("facet",),
    "treatments": ("action", "arm"),
}
MOMENT = {
    "touchpoints": "occurred_at",
    "switching_costs": "asked_at",
    "treatments": "assigned_at",
}
ALWAYS = -(2**61)
ANSWERS = (
    *("perceived", "satisfaction", "nps", "effort", "effective", "easy", "enjoyable"),
    *("tangibles", "reliability", "responsiveness", "assurance", "empathy"),
)
Tagger = Callable[[str, tuple], frozenset]


def decimals(name: str) -> int:
    """Return how many decimals of a measure count."""
    scores = ("expected", "adequate", *ANSWERS)
    return {"wait_minutes": 3, **dict.fromkeys(scores, 2)}.get(name, 6)


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table's rows, times as microseconds and flags as words."""
    columns = {}
    for field in table.schema:
        column = table.column(field.name)
        if pa.types.is_timestamp(field.type):
            column = column.cast(pa.int64())
        columns[field.name] = column.to_pylist()
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    for row in rows:
        if row.get("direct") is not None:
            row["direct"] = "true" if row["direct"] else "false"
    return rows


class Oracle:
    """The answer to every expression, for a customer and a date."""

    def __init__(self, tables: Mapping[str, pa.Table], tagger: Tagger, day_offset: int = 0) -> None:
        self.tagger, self.day_offset = lru_cache(None)(tagger), day_offset
        self.tables = {name: rows_of(t) for name, t in tables.items()}
        self.known = lru_cache(None)(self._known)
        self.answers: dict[tuple[Expr, str, int], float] = {}

    def matrix(self, expressions: list[Expr], customers: list[str], dates: list[int]) -> np.ndarray:
        """Return float64[customers, dates, expressions]."""
        return np.array(
            [[[self.value(e, c, d) for e in expressions] for d in dates] for c in customers], float
        ).reshape(len(customers), len(dates), len(expressions))

    def value(self, e: Expr, customer: str, as_of: int) -> float:
        """Return one answer."""
        place = (e, customer, as_of)
        if place not in self.answers:
            if e.op == "const":
                answer = e.key[0]
            elif e.op == "fact":
                answer = self.fact(customer, as_of, *e.key)
            else:
                arguments = [self.value(a, customer, as_of) for a in e.args]
                answer = operate(e.op, arguments, e.key)
            self.answers[place] = answer
        return self.answers[place]

    def fact(self, customer: str, as_of: int, stream: str, kind: str, *key: Any) -> float:
        """Return one reduction of the rows known strictly before `as_of`."""
        if stream == "clock":
            return as_of / DAY
        if stream == "relationships":
            return self.relationship(customer, as_of, kind, *key)
        wanted, *rest = key
        known = self.known(stream, customer, as_of)
        mine = [r for r in known if wanted <= self.tagger(stream, r["contact"])]
        if kind == "track":
            what, measure = rest
            if not mine:
                return NAN
            if what == "value":
                return units(mine[-1], measure) / scale(measure) if has(mine[-1], measure) else NAN
            return (as_of - (mine[-1] if what == "last" else mine[0])["moment"]) / DAY
        if kind == "answer":
            what, measure = rest
            given = [r for r in mine if has(r, measure)]
            if not given:
                return NAN
            if what == "days":
                return (as_of - given[-1]["moment"]) / DAY
            whole = [units(r, measure) for r in given]
            return {"last": whole[-1], "least": min(whole), "most": max(whole)}[what] / scale(measure)
        if kind == "decay":
            measure, half_life = rest
            today = (as_of - self.day_offset) // DAY
            if measure in ("days", "gaps", "gap_logs", "gap_log_squares"):
                return self.faded_days(mine, today, measure, half_life)
            ages = [(today - (r["moment"] - self.day_offset) // DAY, r) for r in mine if has(r, measure)]
            return math.fsum(
                units(r, measure) / scale(measure) * 0.5 ** (a / half_life) for a, r in ages if a < 4095
            )
        visits = [r for r in known if ("activity", True) in self.tagger(stream, r["contact"]) and r["opens"]]
        if kind == "pace":
            return pace(visits, as_of, self.day_offset, *rest)
        window = rest[-1]
        since = -math.inf if window is None else as_of - window * DAY
        if kind in ("days", "weeks"):
            days = {(r["moment"] - self.day_offset) // DAY for r in visits if r["moment"] >= since}
            return float(len(days if kind == "days" else {(d + 3) // 7 for d in days}))
        mine = [r for r in mine if r["moment"] >= since]
        if kind == "distinct":
            return float(len({r.get(rest[0]) for r in mine} - {None}))
        return sum(units(r, rest[0]) for r in mine if has(r, rest[0])) / scale(rest[0])

    def faded_days(self, rows: list[dict[str, Any]], today: int, measure: str, half_life: float) -> float:
        """Return the sum of what each new day of activity brings, faded by its age in whole days."""
        days = sorted({(r["moment"] - self.day_offset) // DAY for r in rows})
        gaps = [None, *(b - a for a, b in zip(days, days[1:], strict=False))][: len(days)]
        total = 0.0
        for day, gap in zip(days, gaps, strict=True):
            brings = 1.0
            if measure != "days":
                power = {"gaps": 0, "gap_logs": 1, "gap_log_squares": 2}[measure]
                brings = 0.0 if gap is None else math.log(gap) ** power
            total += brings * 0.5 ** ((today - day) / half_life) if today - day < 4095 else 0.0
        return total

    def _known(self, stream: str, customer: str, as_of: int) -> list[dict[str, Any]]:
        """Return the known rows of one customer in order of time, ties by content."""
        rows = self.attributes() if stream == "attributes" else self.tables[stream]
        found = []
        for given in rows:
            moment = given["moment"] if stream == "attributes" else given[MOMENT[stream]]
            recorded = given.get("recorded_at")
            if given["customer_id"] != customer or moment >= as_of:
                continue
            if recorded is not None and recorded >= as_of:
                continue
            row = {**given, "moment": moment, "lag": max(0, (recorded or moment) - moment), "opens": True}
            row["contact"] = tuple(given.get(f) for f in FIELDS[stream])
            if stream == "switching_costs":
                low, high = given["scale_min"], given["scale_max"]
                row["value"] = (
                    None if given["value"] is None else 100.0 * (given["value"] - low) / (high - low)
                )
            found.append(row)
        lines = stream == "touchpoints"
        found.sort(key=lambda r: _order(r, lines))
        if lines:
            for before, now in zip(found, found[1:], strict=False):
                now["opens"] = not _same_contact(before, now)
        return found

    def attributes(self) -> list[dict[str, Any]]:
        """Return one row per customer, attribute and validity."""
        found = []
        for row in self.tables["customers"]:
            for name, cell in row.items():
                if name in ("customer_id", "valid_from", "recorded_at"):
                    continue
                when = ALWAYS if row.get("valid_from") is None else row["valid_from"]
                base = {
                    "customer_id": row["customer_id"],
                    "recorded_at": row.get("recorded_at"),
                    "attribute": name,
                }
                if name == "since":
                    if cell is not None:
                        told = max(when, base["recorded_at"] or when)
                        found.append(
                            {**base, "moment": cell, "recorded_at": told, "level": None, "number": 1}
                        )
                elif isinstance(cell, str):
                    found.append({**base, "moment": when, "level": cell, "number": None})
                else:
                    found.append({**base, "moment": when, "level": None, "number": cell})
        return found

    # Relationships: the state as of a date, from the versions known by then.

    def versions(self, customer: str, as_of: int) -> dict[tuple[str, int], dict[str, Any]]:
        """Return the last version known of every relationship."""
        last: dict[tuple[str, int], dict[str, Any]] = {}
        rows = [r for r in self.tables["relationships"] if r["customer_id"] == customer]
        for row in sorted(
            rows, key=lambda r: r["started_at"] if r.get("recorded_at") is None else r["recorded_at"]
        ):
            recorded = row["started_at"] if row.get("recorded_at") is None else row["recorded_at"]
            if row["started_at"] < as_of and recorded < as_of:
                last[row["product"], row["started_at"]] = row
        return last

    def relationship(self, customer: str, as_of: int, kind: str, *key: Any) -> float:
        """Return a reduction of what is held, committed, started or ended."""
        wanted, *rest = key
        change = next(v for t, v in wanted if t == "change")
        products = [v for t, v in wanted if t == "product"]
        if change in ("held", "committed"):
            total, ends = 0.0, []
            for (product, _), row in self.versions(customer, as_of).items():
                if products and products != [product]:
                    continue
                if row.get("ended_at") is not None and row["ended_at"] < as_of:
                    continue
                until = row.get("committed_until")
                if change == "committed" and (until is None or until < as_of or until <= row["started_at"]):
                    continue
                if change == "committed":
                    ends.append(until)
                lasting = {"exit_fee": "committed_until", "accrued_benefit": "benefit_until"}
                over = row.get(lasting.get(rest[0], ""))
                if over is not None and (over < as_of or over <= _known(row)):
                    continue
                counts = {"held": 1, "committed": 1, "committed_days": (until or 0) // DAY}
                counts |= {"next_end": 0, "last_end": 0}
                total += counts[rest[0]] if rest[0] in counts else row.get(rest[0]) or 0.0
            return (
                {"next_end": min, "last_end": max}[rest[0]](ends, default=0) if "_end" in rest[0] else total
            )
        moments = [m for p, m in self.changes(customer, as_of, change) if not products or products == [p]]
        if kind == "track":
            return (as_of - max(moments)) / DAY if moments else NAN
        since = -math.inf if rest[-1] is None else as_of - rest[-1] * DAY
        return float(sum(m >= since for m in moments))

    def changes(self, customer: str, as_of: int, change: str) -> list[tuple[str, int]]:
        """Return when each relationship was first seen to begin, or to have ended."""
        rows = [r for r in self.tables["relationships"] if r["customer_id"] == customer]
        times = {
            t for r in rows for n in ("started_at", "ended_at", "recorded_at") if (t := r.get(n)) is not None
        }
        found, before = [], set()
        for t in sorted(times):
            if t >= as_of:
                break
            seen = self.versions(customer, t + 1)
            if change == "ended":
                seen = {k: r for k, r in seen.items() if r.get("ended_at") is not None and r["ended_at"] <= t}
            found += [(k[0], t) for k in seen if k not in before]
            before = set(seen)
        return found


def _known(row: dict[str, Any]) -> int:
    recorded = row.get("recorded_at")
    return row["started_at"] if recorded is None else max(row["started_at"], recorded)


def _none_first(text: str | None) -> tuple[bool, str]:
    return (text is not None, text or "")


def _order(row: dict[str, Any], lines: bool) -> tuple:
    content = [_none_first(part) for part in row["contact"]]
    names = ("amount", "wait_minutes", "satisfaction") if lines else ("number", "share", "rank", "value")
    numbers = [-math.inf if row.get(n) is None else units(row, n) for n in names]
    if lines:
        return (
            row["moment"],
            _none_first(row.get("touchpoint_id")),
            content[:-1],
            row["lag"],
            content[-1],
            numbers,
        )
    return row["moment"], content, row["lag"], numbers


def _same_contact(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Tell whether two rows in order are lines of one contact."""
    if before["moment"] != now["moment"] or before["contact"][:-1] != now["contact"][:-1]:
        return False
    ids = before.get("touchpoint_id"), now.get("touchpoint_id")
    if ids[0] != ids[1]:
        return False
    items = before.get("item"), now.get("item")
    return ids[0] is not None or (None not in items and items[0] != items[1])


def has(row: dict[str, Any], measure: str) -> bool:
    """Tell whether a row has a value of a measure."""
    if measure in ("contacts", "lines") or measure.startswith("has:"):
        return True
    if measure == "said":
        return any(row.get(question) is not None for question in ANSWERS)
    return row.get("amount" if measure.startswith("log_amount") else measure) is not None


def scale(measure: str) -> int:
    """Return into how many parts a unit of a measure is cut."""
    if measure in ("contacts", "lines", "said") or measure.startswith("has:"):
        return 1
    return {"log_amount": 1000, "log_amount_squared": 1_000_000}.get(measure, 10 ** decimals(measure))


def units(row: dict[str, Any], measure: str) -> int:
    """Return a value as a whole number of the measure's smallest parts."""
    if measure in ("lines", "said"):
        return 1
    if measure == "contacts":
        return int(row["opens"])
    if measure.startswith("has:"):
        return int(has(row, measure[4:]))
    if measure.startswith("log_amount"):
        whole = round(1000 * math.log1p(max(0.0, row["amount"])))
        return whole if measure == "log_amount" else whole * whole
    return round(row[measure] * 10 ** decimals(measure))


def pace(visits: list[dict[str, Any]], as_of: int, day_offset: int, statistic: str, *key: int) -> float:
    """Return a statistic of the gaps between days of activity."""
    local = [(r["moment"] - day_offset) // DAY for r in visits]
    days = sorted(set(local))
    gaps = [b - a for a, b in zip(days, days[1:], strict=False)]
    if statistic == "n":
        return float(len(gaps))
    if statistic == "weekday_concentration":
        shares = defaultdict(int)
        for day in local:
            shares[day % 7] += 1
        return sum(n * n for n in shares.values()) / len(local) ** 2 if local else NAN
    if statistic == "since_gap_over":
        ends = [b for a, b in zip(days, days[1:], strict=False) if b - a > key[0]]
        arrivals = [min(r["moment"] for r, d in zip(visits, local, strict=True) if d == e) for e in ends]
        return (as_of - max(arrivals)) / DAY if arrivals else NAN
    if statistic in ("silence", "age"):
        return (as_of - day_offset) / DAY - days[-1 if statistic == "silence" else 0] if days else NAN
    if not gaps:
        return 0.0 if statistic == "as_long" and days else NAN
    if statistic in ("share_as_long", "as_long"):
        silence = (as_of - visits[-1]["moment"]) // DAY
        as_long = sum(bin_of(g) >= bin_of(silence) for g in gaps)
        return as_long / len(gaps) if statistic == "share_as_long" else float(as_long)
    logs = [math.log(g) for g in gaps]
    answers = {
        "mean": lambda: sum(gaps) / len(gaps),
        "variance": lambda: float(np.var(gaps)),
        "log_mean": lambda: sum(logs) / len(logs),
        "log_variance": lambda: float(np.var(logs)),
        "longest": lambda: float(max(gaps)),
        "last": lambda: float(gaps[-1]),
        "median": lambda: bin_floor(sorted(gaps)[(len(gaps) - 1) // 2]),
    }
    return answers[statistic]()


def bin_of(days: int) -> int:
    """Return a gap's bin: a day each up to 63, then eighths of a doubling, 96 in all."""
    return days if days < 64 else min(95, 64 + math.floor(8 * math.log2(days / 64)))


def bin_floor(days: int) -> float:
    """Return the gap that stands for a gap's bin."""
    place = bin_of(days)
    return float(place) if place < 64 else 64.0 * 2 ** ((place - 64) / 8)
