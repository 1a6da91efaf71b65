"""A small company with every table and every awkwardness, made up from a seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.catalog import FittedFeatures, fit_features
from features.histories import Histories, build_histories
from features.settings import Activity, DataSettings, TouchpointKind
from tests.literals import DAY, at, settings, typed

BEGIN, UNTIL = at("2025-01-01"), at("2026-01-01")
FIT_BEFORE = at("2025-10-01")
ACTIVITY = Activity(("purchase",), active_days=56, gap_days=0, horizon_days=28)
MOMENT = {
    "touchpoints": "occurred_at",
    "customers": "valid_from",
    "relationships": "started_at",
    "wallet": "observed_at",
    "switching_costs": "asked_at",
    "treatments": "assigned_at",
}


def configuration() -> DataSettings:
    """Return what the company says of its contacts."""
    kinds = {
        "purchase": TouchpointKind(stage="buy", flow="product"),
        "mail": TouchpointKind(stage="inform", direct=False, flow="information"),
        "claim": TouchpointKind(stage="after-sales", key=True, adequate=5, desired=8),
        "call": TouchpointKind(promised_minutes=5, adequate=4),
    }
    return settings(windows_days=(7, 28, 56, 84, 364)).model_copy(update={"touchpoints": kinds})


def company(
    seed: int, customers: int = 40, begin: int = BEGIN, end: int = UNTIL + 90 * DAY
) -> dict[str, pa.Table]:
    """Return every table of the contract, with ties, late records, nulls and customers without rows."""
    rng = np.random.default_rng(seed)
    names = [f"{i:03d}" for i in range(customers - 2)] + ["ñandú 🦤", "12E5"]

    def moments(n: int) -> list[int]:
        whole = rng.integers(begin // DAY, end // DAY, n) * DAY
        return (whole + rng.choice([0, DAY // 2, DAY // 3 + 17], n)).tolist()

    def who(n: int) -> list[str]:
        share = rng.lognormal(0, 1.5, customers)
        return [names[i] for i in rng.choice(customers, n, p=share / share.sum())]

    def some(values: list, n: int, p: list[float] | None = None) -> list:
        return [values[i] for i in rng.choice(len(values), n, p=p)]

    def late(times: list[int], share: float = 0.2) -> list[int | None]:
        lags = rng.choice([0, 3_600_000_000, 3 * DAY, 45 * DAY], len(times))
        return [
            None if rng.random() < 0.1 else t + int(lag if rng.random() < share else 0)
            for t, lag in zip(times, lags, strict=True)
        ]

    n = 30 * customers
    times = moments(n)
    tables = {
        "touchpoints": {
            "customer_id": who(n),
            "occurred_at": times,
            "recorded_at": late(times),
            "kind": some(["purchase", "mail", "claim", "call", "rare"], n, [0.5, 0.25, 0.1, 0.14, 0.01]),
            "channel": some([None, "web", "store", "phone"], n),
            "direct": some([None, True, False], n, [0.8, 0.1, 0.1]),
            "outcome": some([None, "done", "open", "failed"], n),
            "item": some([None, "milk", "tea", "coffee", "fish"], n),
            "touchpoint_id": some([None, "a", "b"], n),
            "case_id": some([None, "c1", "c2", "c3"], n, [0.6, 0.2, 0.1, 0.1]),
            "agent_id": some([None, "ana", "bo", "cy"], n),
            "team": some([None, "north", "south"], n),
            "amount": [None if rng.random() < 0.3 else round(float(x), 2) for x in rng.normal(20, 15, n)],
            "wait_minutes": [
                None if rng.random() < 0.7 else round(float(x), 1) for x in rng.exponential(5, n)
            ],
            **{
                score: [None if rng.random() < 0.6 else float(x) for x in rng.integers(0, 11, n)]
                for score in ("expected", "perceived", "satisfaction", "nps", "effort", "empathy")
            },
        }
    }
    parts = np.random.default_rng([seed, 1])
    for score in ("effective", "easy", "enjoyable"):
        tables["touchpoints"][score] = [
            None if parts.random() < 0.6 else float(x) for x in parts.integers(0, 11, n)
        ]
    n = customers
    times = moments(n)
    tables["customers"] = {
        "customer_id": names[: n - 3] + names[:3],
        "valid_from": [None if rng.random() < 0.5 else t for t in times],
        "since": [None if rng.random() < 0.3 else t - 100 * DAY for t in times],
        "segment": some(["gold", "basic", None], n),
        "age": [None if rng.random() < 0.2 else float(x) for x in rng.integers(18, 90, n)],
    }
    times = moments(2 * n)
    times += times[:n]  # versions of the same relationships, recorded later
    people, products = who(2 * n), some(["loan", "card", "account"], 2 * n)
    tables["relationships"] = {
        "customer_id": people + people[:n],
        "product": products + products[:n],
        "started_at": times,
        "recorded_at": [t + int(x) * DAY for t, x in zip(times, rng.integers(-5, 80, 3 * n), strict=True)],
        "ended_at": [None if rng.random() < 0.5 else t + int(rng.integers(1, 200)) * DAY for t in times],
        "committed_until": [
            None if rng.random() < 0.5 else t + int(rng.integers(1, 400)) * DAY for t in times
        ],
        "amount": [round(float(x), 2) for x in rng.exponential(100, 3 * n)],
        "exit_fee": [None if rng.random() < 0.5 else 25.5 for _ in times],
        "accrued_benefit": [None if rng.random() < 0.5 else float(x) for x in rng.integers(0, 90, 3 * n)],
        "benefit_until": [None if rng.random() < 0.5 else t + int(rng.integers(1, 400)) * DAY for t in times],
        "discount": [None if rng.random() < 0.7 else float(x) for x in rng.integers(0, 9, 3 * n)],
        "discount_until": [
            None if rng.random() < 0.5 else t + int(rng.integers(1, 400)) * DAY for t in times
        ],
        "market_amount": [
            None if rng.random() < 0.3 else round(float(x), 2) for x in rng.exponential(100, 3 * n)
        ],
        "autopay": some([None, True, False], 3 * n),
    }
    times = moments(n)
    base = {"customer_id": who(n), "recorded_at": late(times)}
    pair = [i // 2 * 2 for i in range(n)]  # an answer of two rows, which may be recorded apart
    tables["wallet"] = base | {
        "customer_id": [base["customer_id"][i] for i in pair],
        "observed_at": [times[i] for i in pair],
        "provider": some(["us", "them", "others"], n),
        "share": [round(float(x), 2) for x in rng.random(n)],
    }
    tables["wallet"]["ours"] = [provider == "us" for provider in tables["wallet"]["provider"]]
    tables["wallet"]["rank"] = [1.0 + i % 3 if i % 2 else None for i in range(n)]
    tables["switching_costs"] = base | {
        "asked_at": times,
        "facet": some(["learning", "economic", "brand"], n),
        "value": [float(x) for x in rng.integers(1, 8, n)],
        "scale_min": [1.0] * n,
        "scale_max": [7.0] * n,
    }
    tables["treatments"] = base | {"assigned_at": times, "action": some(["call back", "gift"], n)}
    return {name: typed(columns) for name, columns in tables.items()}


def known_from(name: str, table: pa.Table) -> np.ndarray:
    """Return when each row becomes known (µs): once both its moment and its recording are past."""
    times = [np.full(table.num_rows, -(2**61))]
    for column in (MOMENT[name], "recorded_at"):
        if column in table.column_names:
            found = table.column(column).cast(pa.int64()).to_numpy(zero_copy_only=False)
            times.append(np.where(np.isnan(found), -(2**61), found).astype(np.int64))
    return np.maximum.reduce(times)


def fitted(tables: dict[str, pa.Table], fit_before: int = FIT_BEFORE, until: int = UNTIL) -> FittedFeatures:
    """Return the features fitted to some tables."""
    return fit_features(
        build_histories(tables), configuration(), ACTIVITY, fit_before=fit_before, until=until
    )


def of_customers(tables: dict[str, pa.Table], ids: list[str]) -> dict[str, pa.Table]:
    """Return the rows of some customers only."""
    found = {}
    for name, table in tables.items():
        mask = [c in ids for c in table.column("customer_id").to_pylist()]
        found[name] = table.filter(pa.array(mask, pa.bool_()))
    return found


def bits(matrix: np.ndarray) -> bytes:
    """Return the bytes of a matrix, to compare every bit of it, NaN included."""
    return np.ascontiguousarray(matrix).tobytes()


def rows_of(history: Histories, ids: list[str]) -> np.ndarray:
    """Return the positions of customers, all of them known."""
    found = history.position(ids)
    assert (found >= 0).all()
    return found
