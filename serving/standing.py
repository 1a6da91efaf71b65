"""Where a customer stands between satisfaction and switching costs, as lists, answers and reports say it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.clock import US_PER_DAY, local_date
from features.commitments import locks_of
from features.histories import Histories
from features.settings import COSTS
from features.words import GROUPS
from training.bundle import Bundle
from training.quarters import HOSTAGE, PROVENANCES, QUARTERS, Standing, movement
from training.words import Language

FIELDS = (
    ("quarter", pa.string()),
    ("quarter_before", pa.string()),
    ("satisfaction", pa.float64()),
    ("satisfaction_source", pa.string()),
    ("hostage_probability", pa.float64()),
    ("uncommitted_on", pa.string()),
    ("all_uncommitted_on", pa.string()),
    *(
        (f"{cost}_cost{part}", kind)
        for cost in COSTS
        for part, kind in (("", pa.float64()), ("_source", pa.string()), ("_coverage", pa.float64()))
    ),
)
"""Columns of the list that tell of it."""


def columns(rows: Mapping[str, npt.NDArray[Any]], as_of_us: int, zone: ZoneInfo) -> dict[str, Any]:
    """Return the columns `FIELDS` of some customers.

    Args:
        rows: their numbers, as `serving.rows.SCHEMA` names them.
        as_of_us: the moment, µs UTC.
        zone: of the dates.
    """
    here = rows["active"]
    found: dict[str, Any] = {
        "quarter": named(QUARTERS, np.where(here, rows["quarter"], -1)),
        "quarter_before": named(QUARTERS, rows["quarter_before"]),
        "satisfaction": np.round(rows["satisfaction"], 2),
        "satisfaction_source": named(PROVENANCES, rows["satisfaction_source"]),
        "hostage_probability": np.where(here, rows["hostage_probability"], np.nan),
        "uncommitted_on": _dates(rows["next_end_days"], as_of_us, zone),
        "all_uncommitted_on": _dates(rows["last_end_days"], as_of_us, zone),
    }
    for cost in COSTS:
        found[f"{cost}_cost"] = np.round(rows[f"{cost}_cost"].astype(np.float64), 1)
        found[f"{cost}_cost_source"] = named(PROVENANCES, rows[f"{cost}_cost_source"])
        found[f"{cost}_cost_coverage"] = np.round(rows[f"{cost}_cost_coverage"].astype(np.float64), 3)
    return found


def named(names: Sequence[str], codes: npt.NDArray[Any]) -> pa.Array:
    """Return the names of codes as text, null for -1.

    >>> named(("low", "high"), np.array([1, -1, 0])).to_pylist()
    ['high', None, 'low']
    """
    return pa.array([*names, None], pa.string()).take(pa.array(np.where(codes < 0, len(names), codes)))


def _dates(days: npt.NDArray[np.float32], as_of_us: int, zone: ZoneInfo) -> pa.Array:
    """Return the local date of so many days after a moment, null where they are not known."""
    different, place = np.unique(days, return_inverse=True)
    dates = [date_in(as_of_us, float(d), zone) for d in different]
    return pa.array(dates, pa.string()).take(pa.array(place))


def date_in(as_of_us: int, days: float, zone: ZoneInfo) -> str | None:
    """Return the local date of so many days after a moment, to the minute; None when days are not known.

    >>> date_in(0, 1.9999999, ZoneInfo("UTC")), date_in(0, float("nan"), ZoneInfo("UTC"))
    ('1970-01-03', None)
    """
    return None if math.isnan(days) else local_date(moment_in(as_of_us, days), zone)


def moment_in(as_of_us: int, days: float) -> int:
    """Return the moment (µs UTC) so many days after another, to the minute: features are float32."""
    minute = 60_000_000
    return round((as_of_us + days * US_PER_DAY) / minute) * minute


def told_standing(
    bundle: Bundle,
    histories: Histories,
    standing: Standing,
    element: int,
    customer: int,
    as_of_us: int,
    *,
    language: Language,
    full: bool,
) -> dict[str, Any]:
    """Return where one customer stands, as plain JSON; in full with every signal and every lock.

    Args:
        bundle: the model.
        histories: what is known.
        standing: of several customers.
        element: which of them.
        customer: the same one's position in the histories.
        as_of_us: the moment, µs UTC.
        language: of the labels.
        full: whether signals and locks are told too.
    """
    zone = bundle.config.project.zone
    costs: dict[str, dict[str, Any]] = {
        cost: {
            "value": _plain(standing.indices[element, c]),
            "provenance": PROVENANCES[standing.provenance[element, c]],
            "coverage": float(standing.coverage[element, c]),
        }
        for c, cost in enumerate(COSTS)
    }
    told: dict[str, Any] = {
        "quarter": QUARTERS[standing.quarter[element]],
        "satisfaction": {
            "value": _plain(standing.satisfaction[element]),
            "provenance": PROVENANCES[standing.satisfaction_source[element]],
            "unsatisfied_probability": _plain(standing.unsatisfied[element]),
        },
        "hostage_probability": _plain(standing.hostage[element]),
        "uncommitted_on": date_in(as_of_us, float(standing.next_end_days[element]), zone),
        "all_uncommitted_on": date_in(as_of_us, float(standing.last_end_days[element]), zone),
        "switching_costs": costs,
    }
    if full:
        of_company, plan = bundle.signals
        one = histories.select([customer])
        values = plan.run(one, np.array([as_of_us], np.int64))[0, 0].astype(np.float64)
        half = len(of_company)
        for cost in COSTS:
            costs[cost]["label"] = getattr(GROUPS[f"switching.{cost}"], language)
            costs[cost]["signals"] = [
                {
                    "signal": signal.name,
                    "label": getattr(signal.label, language),
                    "value": _plain(values[k]),
                    "unit": signal.unit,
                    "percentile": _plain(100.0 * values[half + k]),
                    "surveyed": signal.surveyed,
                }
                for k, signal in enumerate(of_company)
                if signal.cost == cost
            ]
        told["locks"] = [
            {
                **lock._asdict(),
                **{
                    name: None if moment is None else local_date(moment, zone)
                    for name, moment in lock._asdict().items()
                    if name.endswith("_until")
                },
            }
            for lock in locks_of(one, as_of_us, 0)
            if lock.holds
        ]
    return told


def quarters_summary(
    rows: Mapping[str, npt.NDArray[Any]],
    worth: npt.NDArray[np.float64],
    stake: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Return how many stand in each quarter, their worth, who moved from where, and what holds them.

    Args:
        rows: numbers of all known customers, as `serving.rows.SCHEMA` names them.
        worth: of each per year, NaN where not known.
        stake: what of it is at risk.
    """
    active, quarter = rows["active"], rows["quarter"]
    counts = {}
    for q, name in enumerate(QUARTERS):
        who = active & (quarter == q)
        counts[name] = {
            "customers": int(who.sum()),
            "value": float(np.nansum(worth[who])),
            "value_at_risk": float(np.nansum(stake[who])),
        }
    moves = movement(rows["quarter_before"][active], quarter[active], worth[active])
    costs = {}
    for cost in COSTS:
        index = rows[f"{cost}_cost"][active].astype(np.float64)
        coverage = rows[f"{cost}_cost_coverage"][active].astype(np.float64)
        sources = rows[f"{cost}_cost_source"][active]
        known = index[~np.isnan(index)]
        costs[cost] = {
            "mean": float(known.mean()) if len(known) else None,
            "coverage": float(coverage.mean()) if len(index) else 0.0,
            **{name: int((sources == p).sum()) for p, name in enumerate(PROVENANCES)},
        }
    estimated = int((active & (rows["satisfaction_source"] == 1)).sum())
    return {
        "counts": counts,
        "movement": moves,
        "satisfaction_estimated": estimated,
        "switching_costs": costs,
    }


def freed_hostages(rows: Mapping[str, npt.NDArray[Any]], horizon_days: int) -> npt.NDArray[np.int64]:
    """Return the hostages with us of whom a commitment ends within the horizon, the first to end first."""
    ends = rows["next_end_days"]
    soon = np.nan_to_num(ends, nan=np.inf) <= horizon_days
    who = np.flatnonzero(rows["active"] & (rows["quarter"] == HOSTAGE) & soon)
    return who[np.lexsort((-rows["hostage_probability"][who], ends[who]))]


def _plain(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
