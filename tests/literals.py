"""Histories written as small tables of text, as they stand in the tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from features.contacts import touchpoints
from features.engine import Plan
from features.expressions import Expr, Rows
from features.histories import Histories, build_histories
from features.settings import DataSettings, FeatureSettings, Project
from features.streams import Contact

DAY = 86_400_000_000
TIMES = (
    *("occurred_at", "recorded_at", "started_at", "ended_at", "committed_until", "since", "valid_from"),
    *("benefit_until", "discount_until"),
    *("observed_at", "asked_at", "assigned_at"),
)
TEXTS = (
    *("customer_id", "kind", "channel", "outcome", "item", "touchpoint_id", "product", "provider", "facet"),
    *("case_id", "agent_id", "team"),
    *("action", "arm", "segment", "city", "end_reason"),
)
FLAGS = ("direct", "autopay", "voluntary", "ours")
ANY = Rows("touchpoints", ("any", True))
PURCHASES = touchpoints("kind", "purchase")
CALLS = touchpoints("kind", "call")


def at(text: str) -> int:
    """Return a moment, UTC, in microseconds: "2026-03-01" or "2026-03-01T10:00"."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000


def table(text: str) -> pa.Table:
    """Return a canonical table: a line of names, then a line a row; `-` is "no value", `_` a space."""
    names, *rows = (line.split() for line in text.strip().splitlines())
    assert all(len(row) == len(names) for row in rows), rows
    cells = zip(*rows, strict=True) if rows else [() for _ in names]
    return typed({name: [None if c == "-" else c for c in of] for name, of in zip(names, cells, strict=True)})


def typed(columns: Mapping[str, list]) -> pa.Table:
    """Return a canonical table of columns given as Python values (times as text or microseconds)."""
    arrays = {}
    for name, cells in columns.items():
        if name in TIMES:
            cells = [at(c) if isinstance(c, str) else c for c in cells]
            arrays[name] = pa.array(cells, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        elif name in TEXTS:
            arrays[name] = pa.array(cells, pa.string())
        elif name in FLAGS:
            arrays[name] = pa.array([None if c is None else c in ("yes", True) for c in cells], pa.bool_())
        else:
            arrays[name] = pa.array([None if c is None else float(c) for c in cells], pa.float64())
    return pa.table(arrays)


def histories(touchpoints: str, **others: str) -> Histories:
    """Return the histories of tables given as text."""
    return build_histories({"touchpoints": table(touchpoints), **{n: table(t) for n, t in others.items()}})


def tags(stream: str, contact: Contact) -> frozenset:
    """Tell the plain names of a contact; purchases are activity."""
    fields = {
        "touchpoints": ("kind", "channel", "direct", "outcome", "item"),
        "relationships": ("product", "change"),
        "attributes": ("attribute", "level"),
        "treatments": ("action", "arm"),
        "wallet": (),
        "switching_costs": ("facet",),
    }[stream]
    found = {("any", True), *((f, v) for f, v in zip(fields, contact, strict=True) if v is not None)}
    if ("kind", "purchase") in found:
        found.add(("activity", True))
    return frozenset(found)


def values(history: Histories, as_of: str | list[str], *expressions: Expr, day_offset: int = 0) -> list:
    """Return what is known of the first customer: a number an expression (a list of dates: a row each)."""
    dates = [as_of] if isinstance(as_of, str) else as_of
    plan = Plan(list(expressions), tags, day_offset=day_offset)
    known = plan.run(history, np.array([at(d) for d in dates]))[0].astype(float)
    rows = [[None if np.isnan(x) else x for x in row] for row in known.tolist()]
    return rows[0] if isinstance(as_of, str) else rows


def settings(**features: object) -> DataSettings:
    """Return the configuration of a company called `test`, in UTC."""
    return DataSettings(
        project=Project(name="test"),
        sources={"touchpoints": "select 1"},
        features=FeatureSettings(**features),  # type: ignore[arg-type]
    )
