"""Where a customer stands between satisfaction and switching costs, as lists, answers and reports say it."""

from __future__ import annotations

import math
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


def columns(
    standing: Standing,
    before: npt.NDArray[np.int8],
    active: npt.NDArray[np.bool_],
    as_of_us: int,
    zone: ZoneInfo,
) -> dict[str, list[Any]]:
    """Return the columns `FIELDS` of some customers.

    Args:
        standing: of each of them.
        before: their quarter a step earlier, -1 where they were not with us.
        active: who is with us.
        as_of_us: the moment, µs UTC.
        zone: of the dates.
    """
    ends = zip(standing.next_end_days.tolist(), standing.last_end_days.tolist(), strict=True)
    dates = [[date_in(as_of_us, days, zone) for days in of] for of in ends]
    here = active.tolist()
    found: dict[str, list[Any]] = {
        "quarter": [QUARTERS[q] if yes else None for q, yes in zip(standing.quarter, here, strict=True)],
        "quarter_before": [QUARTERS[q] if q >= 0 else None for q in before],
        "satisfaction": np.round(standing.satisfaction, 2).tolist(),
        "satisfaction_source": [PROVENANCES[s] for s in standing.satisfaction_source],
        "hostage_probability": np.where(active, standing.hostage, np.nan).tolist(),
        "uncommitted_on": [first for first, _ in dates],
        "all_uncommitted_on": [last for _, last in dates],
    }
    for c, cost in enumerate(COSTS):
        found[f"{cost}_cost"] = np.round(standing.indices[:, c], 1).tolist()
        found[f"{cost}_cost_source"] = [PROVENANCES[p] for p in standing.provenance[:, c]]
        found[f"{cost}_cost_coverage"] = np.round(standing.coverage[:, c], 3).tolist()
    return found


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
    standing: Standing,
    before: npt.NDArray[np.int8],
    active: npt.NDArray[np.bool_],
    worth: npt.NDArray[np.float64],
    stake: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Return how many stand in each quarter, their worth, who moved from where, and what holds them."""
    counts = {}
    for q, name in enumerate(QUARTERS):
        who = active & (standing.quarter == q)
        counts[name] = {
            "customers": int(who.sum()),
            "value": float(np.nansum(worth[who])),
            "value_at_risk": float(np.nansum(stake[who])),
        }
    moves = movement(before[active], standing.quarter[active], worth[active])
    costs = {}
    for c, cost in enumerate(COSTS):
        index, sources = standing.indices[active, c], standing.provenance[active, c]
        known = index[~np.isnan(index)]
        costs[cost] = {
            "mean": float(known.mean()) if len(known) else None,
            "coverage": float(standing.coverage[active, c].mean()) if len(index) else 0.0,
            **{name: int((sources == p).sum()) for p, name in enumerate(PROVENANCES)},
        }
    estimated = int((active & (standing.satisfaction_source == 1)).sum())
    return {
        "counts": counts,
        "movement": moves,
        "satisfaction_estimated": estimated,
        "switching_costs": costs,
    }


def freed_hostages(
    standing: Standing, active: npt.NDArray[np.bool_], horizon_days: int
) -> npt.NDArray[np.int64]:
    """Return the hostages with us of whom a commitment ends within the horizon, the first to end first."""
    soon = np.nan_to_num(standing.next_end_days, nan=np.inf) <= horizon_days
    who = np.flatnonzero(active & (standing.quarter == HOSTAGE) & soon)
    return who[np.lexsort((-standing.hostage[who], standing.next_end_days[who]))]


def _plain(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
