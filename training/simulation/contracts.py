"""What holds customers by contract: products, commitments, fees, benefits; and how it ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.clock import US_PER_DAY
from training.simulation.company import PRICES, PRODUCTS, Bools, Company, Floats, Ints
from training.simulation.dice import Dice
from training.simulation.journeys import order
from training.simulation.log import HOUR, MISSING, Log
from training.simulation.people import MONTH, SEGMENTS, People

MAIN = 0
COMMITS_A_DAY = 0.0016
BUYS_A_DAY, DROPS_A_DAY = 0.0006, 0.0002
FEE_BASE, FEE_A_MONTH = 30.0, 6.0
BENEFIT_A_MONTH = 3.0
TOLD_AGAIN_DAYS = 91
"""How often what has accrued is told by another version of the relationship."""
RAISE = 1.04
REASONS = np.array(["competitor", "price", "service", "not needed"], object)


def join(people: People, who: Ints, day: int, company: Company, dice: Dice, log: Log) -> None:
    """Let customers be with the company from a day on; tell the tables of them."""
    people.here[who] = True
    order(people, who, day, np.full(len(who), MAIN), dice, log)
    introduce(people, who, company, log)


def introduce(people: People, who: Ints, company: Company, log: Log) -> None:
    """Write the rows with which customers and their products enter the tables."""
    since = np.array([company.us(int(d)) for d in people.joined[who]], np.int64) + 8 * HOUR
    worth = 12 * people.bill()[who] * 0.45
    names = np.array(SEGMENTS, object)[people.segment[who]]
    log.row("customers", who, people, since=since, value=np.round(worth, 2), segment=names, valid_from=since)
    for product in range(len(PRODUCTS)):
        some = who[people.products[product, who]]
        began = _started(people, some, product, company)
        tell(people, some, product, company, log, recorded=began)


def contracts(people: People, day: int, company: Company, dice: Dice, log: Log) -> None:
    """Live a day of commitments, benefits, products bought and dropped, and prices."""
    people.benefit[people.here] += BENEFIT_A_MONTH * people.activity[people.here] / MONTH
    people.benefit[:] = np.minimum(people.benefit, 400.0)
    if day % 365 == 200:
        people.price_paid *= RAISE
    mood = np.exp(0.15 * (people.satisfaction - 6.0))
    wants = people.here & (people.committed_until < day) & dice.flip(COMMITS_A_DAY * mood)
    term = np.where(dice.uniform() < 0.6, 365, 548)
    commits = _who(wants & (day > people.joined))
    people.committed_until[commits] = day + term[commits]
    people.exit_fee[commits] = FEE_BASE + FEE_A_MONTH * term[commits] / MONTH
    anniversary = people.here & ((day - people.joined) % TOLD_AGAIN_DAYS == 0) & (day > people.joined)
    told = _who((anniversary & (people.benefit > 0)) | wants)
    now = np.full(len(told), company.us(day)) + 12 * HOUR
    tell(people, told, MAIN, company, log, recorded=now)
    _products(people, day, company, dice, log)


def _products(people: People, day: int, company: Company, dice: Dice, log: Log) -> None:
    grown = people.here & (people.joined < day)
    wants = grown & ~people.products.all(axis=0) & dice.flip(BUYS_A_DAY * np.exp(0.4 * people.learning))
    missing = np.argmin(people.products, axis=0)
    who = _who(wants)
    people.products[missing[who], who], people.product_since[missing[who], who] = True, day
    people.usual_bill[who] += PRICES[missing[who]] * people.price_paid[who]
    order(people, who, day, missing[who], dice, log)
    for product in range(1, len(PRODUCTS)):
        some = who[missing[who] == product]
        tell(people, some, product, company, log, recorded=_started(people, some, product, company))
        held = grown & people.products[product] & (people.product_since[product] < day)
        dropped = _who(held & dice.flip(DROPS_A_DAY))
        end = np.full(len(dropped), company.us(day)) + 20 * HOUR
        _tell_end(people, dropped, product, company, log, end, end + HOUR // 2, "not needed", True)
        people.products[product, dropped] = False
        people.usual_bill[dropped] -= PRICES[product] * people.price_paid[dropped]


def leave(
    people: People, who: Ints, willing: Bools, day: int, company: Company, dice: Dice, log: Log
) -> None:
    """End all that customers hold, on the evening of a day; it is recorded at once or days later."""
    lag, reason = dice.uniform()[who], dice.uniform()[who]
    end = np.full(len(who), company.us(day)) + 20 * HOUR + (lag * HOUR / 2).astype(np.int64)
    late = np.where(lag < 0.5, 0.0, (lag - 0.5) * 12.0)
    recorded = end + HOUR // 4 + (late * US_PER_DAY).astype(np.int64)
    said = np.where(willing, REASONS[(reason * len(REASONS)).astype(np.int64)], "moved away or not paid")
    for product in range(len(PRODUCTS)):
        held = people.products[product, who]
        _tell_end(
            *(people, who[held], product, company, log),
            *(end[held], recorded[held], said[held], willing[held]),
        )
    people.here[who] = False


def tell(
    people: People,
    who: Ints,
    product: int,
    company: Company,
    log: Log,
    *,
    recorded: Ints,
    **ended: Any,
) -> None:
    """Write what is known of a product of some customers, as another version of its relationship."""
    main = product == MAIN
    until = people.committed_until[who]
    committed = main & (until > people.joined[who])
    until_us = np.array([company.us(int(d)) for d in until], np.int64)
    log.row(
        *("relationships", who, people),
        product=PRODUCTS[product],
        started_at=_started(people, who, product, company),
        committed_until=np.where(committed, until_us, MISSING),
        exit_fee=_given(committed, people.exit_fee[who]),
        accrued_benefit=_given(np.full(len(who), main), people.benefit[who]),
        amount=np.round(PRICES[product] * people.price_paid[who], 2),
        autopay=people.autopay[who],
        recorded_at=recorded,
        **ended,
    )


def _tell_end(
    people: People,
    who: Ints,
    product: int,
    company: Company,
    log: Log,
    end: Ints,
    recorded: Ints,
    reason: Any,
    willing: Any,
) -> None:
    ended = {"ended_at": end, "end_reason": reason, "voluntary": willing}
    tell(people, who, product, company, log, recorded=recorded, **ended)


def _started(people: People, who: Ints, product: int, company: Company) -> Ints:
    days = people.product_since[product, who]
    return np.array([company.us(int(d)) for d in days], np.int64) + 8 * HOUR


def _given(given: Bools, values: Floats) -> Floats:
    return np.where(given, np.round(values, 2), np.nan)


def _who(flags: Bools) -> Ints:
    return np.flatnonzero(flags)
