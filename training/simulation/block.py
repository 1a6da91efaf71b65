"""A block of customers, from the first day to the last: the rows of its tables, and its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.simulation.company import BURN_IN, RIVALS, SEATS_PER_TEAM, TEAMS, Company, Floats, Ints
from training.simulation.dice import Dice
from training.simulation.hazard import MOMENTS
from training.simulation.life import live, part
from training.simulation.log import SCHEMAS, Ledger
from training.simulation.oracle import difference, leaving
from training.simulation.people import STAGES, People, customer_ids, draw_people
from training.simulation.treatments import ACTIONS, LASTS_DAYS, effects

BLOCK = 1000
"""Customers who are drawn together. A block is always lived whole, and cut to those asked for."""
SATISFIED, HELD = 6.0, 50.0
COSTS = ("emotional", "psychological", "learning", "economic")
TRUTHS = {
    "truth_customers": pa.schema(
        [
            *(("customer_id", pa.string()), ("joined_on", pa.string()), ("left_on", pa.string())),
            *(("branch", pa.string()), ("satisfaction_usual", pa.float64())),
            *((f"{name}_trait", pa.float64()) for name in (*COSTS[:3], "price_sensitivity")),
        ]
    ),
    "truth_states": pa.schema(
        [
            *(("customer_id", pa.string()), ("as_of", pa.string()), ("probability", pa.float64())),
            *(("satisfaction", pa.float64()), *((name, pa.float64()) for name in COSTS)),
            *(("quarter", pa.string()), ("hostage", pa.bool_()), ("lock_ends_on", pa.string())),
            *(("stage", pa.string()), ("share_of_wallet", pa.float64()), ("main_provider", pa.string())),
            *((moment.key, pa.float64()) for moment in MOMENTS),
        ]
    ),
    "truth_treatments": pa.schema(
        [
            *(("customer_id", pa.string()), ("assigned_on", pa.string()), ("action", pa.string())),
            *(("log_hazard_effect", pa.float64()), ("probability_effect", pa.float64())),
        ]
    ),
}
FILES = {**SCHEMAS, **TRUTHS}


@dataclass(frozen=True)
class Block:
    """What a block leaves behind: a table for each of `FILES`."""

    tables: dict[str, pa.Table]


def live_block(number: int, company: Company, customers: int = BLOCK) -> Block:
    """Return the rows and the truth of block `number`, cut to its first `customers`.

    It depends on the company and on its own number: not on other blocks, nor on where it is cut.
    """
    seed = (company.seed, 1 + number)
    numbers = np.arange(BLOCK, dtype=np.int64) + BLOCK * number
    people = draw_people(numbers, company, np.random.default_rng((*seed, 0)))
    rng = np.random.default_rng((*seed, 1))
    log = Ledger(company, np.random.default_rng((*seed, 2)))
    left = np.full(BLOCK, -1, np.int64)
    states: list[pa.Table] = []
    trials: list[pa.Table] = []
    for day in range(-BURN_IN, company.days):
        log.writing = day >= 0
        if day in company.oracle_days:
            states.append(_states(people, day, company, (*seed, 3, day)))
        dice = Dice(rng, BLOCK)
        for action, who in live(people, day, company, dice, log):
            trials.append(_trial(people.take(who), action, day, company, (*seed, 4, day, action)))
        before = people.here.copy()
        part(people, day, company, dice, log)
        left[before & ~people.here] = day
    tables = log.tables()
    tables["truth_customers"] = _who_they_are(people, left, company)
    tables["truth_states"] = _together("truth_states", states)
    tables["truth_treatments"] = _together("truth_treatments", trials)
    if customers < BLOCK:
        wanted = pa.array(customer_ids(numbers[:customers]), pa.string())
        tables = {n: t.filter(pc.is_in(t["customer_id"], value_set=wanted)) for n, t in tables.items()}
    return Block(tables)


def _states(everyone: People, day: int, company: Company, seed: tuple[int, ...]) -> pa.Table:
    """Return the whole truth about those who are with the company before a day."""
    people = everyone.take(np.flatnonzero(everyone.here))
    costs, satisfied = people.costs(day), people.satisfaction >= SATISFIED
    held = costs.mean(axis=0) >= HELD
    locked = people.committed_until > day
    share = 1 / (1 + np.exp(-people.wallet))
    n = len(people)
    columns: dict[str, object] = {
        "customer_id": customer_ids(people.number),
        "as_of": _dates(np.full(n, day), company),
        "probability": leaving(people, day, company, np.random.default_rng(seed)),
        "satisfaction": people.satisfaction,
        **dict(zip(COSTS, costs, strict=True)),
        "quarter": np.select(
            [satisfied & held, ~satisfied & held, satisfied & ~held],
            ["loyal", "hostage", "mercenary"],
            "defector",
        ),
        "hostage": ~satisfied & locked,
        "lock_ends_on": [
            d if yes else None for d, yes in zip(_dates(people.committed_until, company), locked, strict=True)
        ],
        "stage": np.array(STAGES)[people.stage(day)],
        "share_of_wallet": share,
        "main_provider": np.where(share >= 0.5, "us", np.array(RIVALS)[people.rival]),
        **{moment.key: people.impact[m] for m, moment in enumerate(MOMENTS)},
    }
    return _table("truth_states", columns)


def _trial(people: People, action: int, day: int, company: Company, seed: tuple[int, ...]) -> pa.Table:
    """Return what an action does, or would have done, to those who took part in a campaign."""
    n = len(people)
    effect = effects(people, np.arange(n), action, day)
    return _table(
        "truth_treatments",
        {
            "customer_id": customer_ids(people.number),
            "assigned_on": _dates(np.full(n, day), company),
            "action": [ACTIONS[action]] * n,
            "log_hazard_effect": effect,
            "probability_effect": difference(people, effect, day, LASTS_DAYS, company, seed),
        },
    )


def _who_they_are(people: People, left: Ints, company: Company) -> pa.Table:
    dates = _dates(left, company)
    columns: dict[str, object] = {
        "customer_id": customer_ids(people.number),
        "joined_on": _dates(people.joined, company),
        "left_on": [d if day >= 0 else None for d, day in zip(dates, left, strict=True)],
        "branch": np.array(TEAMS)[people.seat // SEATS_PER_TEAM],
        "satisfaction_usual": people.content,
        "emotional_trait": people.emotional,
        "psychological_trait": people.personal,
        "learning_trait": people.learning,
        "price_sensitivity_trait": people.price,
    }
    return _table("truth_customers", columns)


def _table(name: str, columns: dict[str, object]) -> pa.Table:
    schema = TRUTHS[name]
    return pa.table([pa.array(_plain(columns[f.name]), f.type) for f in schema], schema=schema)


def _plain(values: object) -> object:
    return np.round(values, 6) if isinstance(values, np.ndarray) and values.dtype == np.float64 else values


def _together(name: str, parts: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts).combine_chunks() if parts else TRUTHS[name].empty_table()


def _dates(days: Ints | Floats, company: Company) -> list[str]:
    return [company.date_of(int(day)).isoformat() for day in days]
