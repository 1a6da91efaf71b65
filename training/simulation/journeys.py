"""The journeys of service: faults and their repair, claims and their answer, bills, orders."""

from __future__ import annotations

import numpy as np

from training.simulation.company import PRODUCTS, Bools, Company, Ints
from training.simulation.dice import Dice
from training.simulation.hazard import (
    ACCEPTED_BILL,
    ACCEPTED_CLAIM_DAYS,
    ACCEPTED_REPAIR_DAYS,
    BILL,
    CLAIM,
    REPAIR,
    SECOND,
    hit,
)
from training.simulation.log import ABANDONED, DONE, FAILED, OPEN, TRANSFERRED, Log
from training.simulation.people import NEVER, People

FAULTS_A_DAY = 0.0075
REPAIR_FAILS, SECOND_REPAIR_FAILS, RECOVERY_FAILS = 0.40, 0.60, 0.65
CLAIMS_A_DAY = 0.0030
CLAIM_AFTER_BILL, CLAIM_AFTER_FAILURE = 0.30, 0.15
BILL_SHOCK = 0.07
USUAL_REPAIR_DAYS, CONGESTED_REPAIR_DAYS = 2.0, 4.6
BLOCKED_BEFORE, BLOCKED_AFTER = 0.08, 0.55
DAY_MINUTES = 1440.0


def faults(people: People, day: int, company: Company, dice: Dice, log: Log) -> None:
    """Live a day of lines that fail: call, appointment, repair, perhaps again, perhaps made up for."""
    rate = FAULTS_A_DAY * company.faults[company.at(day)] * np.exp(0.35 * people.line)
    waiting = people.repair_due < NEVER
    new = _who(people.here & ~waiting & dice.flip(rate))
    people.fault_since[new], people.repairs_failed[new] = day, 0
    people.recovery_failed[new], people.recovery_due[new] = False, NEVER
    people.fault_case[new] = _open_case(people, new)
    outcome, wait, reach = dice.uniform(), np.exp(1.3 + 0.9 * dice.normal()), dice.uniform()
    ended = np.select([outcome < 0.07, outcome < 0.2], [ABANDONED, TRANSFERRED], DONE)
    for channel, chosen in (("phone", reach[new] < 0.75), ("web", reach[new] >= 0.75)):
        some = new[chosen]
        log.add(
            *("call", some, people, day),
            hours=(8.5, 12),
            channel=channel,
            case=people.fault_case[some],
            item="fault",
            wait_minutes=np.round(wait[some], 1),
            outcome=ended[some],
        )
    _book(people, new, day, company, dice, log, hours=(12.5, 18.0))

    due = _who(people.here & (people.repair_due == day))
    people.repair_due[due] = NEVER
    lag, again = people.repair_lag[due], people.repairs_failed[due]
    fails = dice.uniform()[due] < np.where(again > 0, SECOND_REPAIR_FAILS, REPAIR_FAILS)
    log.add(
        *("repair", due, people, day),
        hours=(9.0, 18.0),
        case=people.fault_case[due],
        wait_minutes=np.round(lag * DAY_MINUTES),
        outcome=np.where(fails, FAILED, DONE),
        mood=np.where(fails, -2.0, 0.3) - np.where(lag > ACCEPTED_REPAIR_DAYS, 1.2, 0.0),
    )
    hit(people, REPAIR, due[lag > ACCEPTED_REPAIR_DAYS], day)
    once, twice = due[fails & (again == 0)], due[fails & (again > 0)]
    people.repairs_failed[due[fails]] += 1
    people.satisfaction[due[fails]] -= 0.4
    people.recovery_due[once] = day + 2
    hit(people, SECOND, twice[people.recovery_failed[twice]], day)
    _book(people, once, day, company, dice, log, hours=(18.1, 19.5), least=3.0)  # after the recovery

    made_up = _who(people.here & (people.recovery_due == day))
    refused = dice.uniform()[made_up] < RECOVERY_FAILS
    people.recovery_failed[made_up] = refused
    people.satisfaction[made_up[~refused]] += 0.5
    log.add(
        *("recovery", made_up, people, day),
        case=people.fault_case[made_up],
        outcome=np.where(refused, FAILED, DONE),
        mood=np.where(refused, -1.2, 1.2),
        amount=np.where(refused, 0.0, 10.0),
    )


def _book(
    people: People,
    who: Ints,
    day: int,
    company: Company,
    dice: Dice,
    log: Log,
    *,
    hours: tuple[float, float],
    least: float = 0.0,
) -> None:
    """Book an appointment, and draw how many days the repair will be waited for, `least` at least."""
    usual = CONGESTED_REPAIR_DAYS if day >= company.congested_from else USUAL_REPAIR_DAYS
    lag = np.maximum(0.5 + usual * np.exp(0.55 * dice.normal())[who], least)
    case = people.fault_case[who]
    log.add("appointment", who, people, day, hours=hours, case=case, item="repair")
    people.repair_lag[who] = lag
    people.repair_due[who] = day + np.maximum(np.round(lag), 2).astype(np.int64)


def bills(people: People, day: int, company: Company, dice: Dice, log: Log) -> Bools:
    """Live a day of bills and payments; return who was billed too much."""
    billed = people.here & ((day + people.bill_offset) % 30 == 0) & (day > people.joined)
    shock, size, noise = dice.flip(BILL_SHOCK), dice.uniform(), dice.normal()
    amount = people.bill() * (1 + 0.03 * noise) * np.where(shock, 1.32 + 0.5 * size, 1.0)
    usual = np.where(people.usual_bill > 0, people.usual_bill, amount)
    above = billed & (amount > ACCEPTED_BILL * usual) & (people.usual_bill > 0)
    who = _who(billed)
    log.add("bill", who, people, day, amount=np.round(amount[who], 2), hours=(8.5, 10))
    people.usual_bill[who] = np.where(above[who], usual[who], 0.7 * usual[who] + 0.3 * amount[who])
    lag = np.where(people.autopay, 5, 3 + (12 * dice.uniform()).astype(np.int64))
    people.payment_due[who] = day + lag[who]
    hit(people, BILL, _who(above), day)
    pays = _who(people.here & (people.payment_due == day))
    fails = dice.uniform()[pays] < np.where(people.autopay[pays], 0.01, 0.03)
    log.add(
        *("payment", pays, people, day),
        amount=np.round(people.usual_bill[pays], 2),
        outcome=np.where(fails, FAILED, DONE),
    )
    return np.asarray(above)


def claims(people: People, day: int, company: Company, dice: Dice, log: Log, billed_too_much: Bools) -> None:
    """Live a day of claims: opened, chased by calls, answered; from a date on, many are not."""
    failed = people.here & (people.repairs_failed > 0) & (people.recovery_due == day + 1)
    chance = np.where(billed_too_much, CLAIM_AFTER_BILL, np.where(failed, CLAIM_AFTER_FAILURE, CLAIMS_A_DAY))
    idle = people.claim_since == NEVER
    new = _who(people.here & idle & dice.flip(chance))
    stuck = dice.uniform() < (BLOCKED_AFTER if day >= company.blocked_from else BLOCKED_BEFORE)
    quick, slow = np.exp(1.2 + 0.5 * dice.normal()), 45 + 60 * dice.uniform()
    lag = np.where(stuck, slow, quick)
    people.claim_since[new], people.claim_case[new] = day, _open_case(people, new)
    people.claim_due[new] = day + np.maximum(np.round(lag[new]), 1).astype(np.int64)
    items = np.where(billed_too_much, "bill", np.where(failed, "repair", "service")).astype(object)
    log.add(
        *("claim", new, people, day),
        hours=(12, 19.5),
        channel="web",
        case=people.claim_case[new],
        item=items[new],
        outcome=OPEN,
    )
    overdue = people.here & (day - people.claim_since == ACCEPTED_CLAIM_DAYS + 1)
    hit(people, CLAIM, _who(overdue), day)
    waits = people.here & (people.claim_since < NEVER) & (day - people.claim_since > 3)
    chasing = _who(waits & (people.claim_due > day) & dice.flip(0.04))
    wait = np.exp(1.4 + 0.9 * dice.normal())
    log.add(
        *("call", chasing, people, day),
        case=people.claim_case[chasing],
        item="claim",
        wait_minutes=np.round(wait[chasing], 1),
        outcome=TRANSFERRED,
        mood=-0.8,
    )
    answered = _who(people.here & (people.claim_due == day))
    lasted = (day - people.claim_since[answered]).astype(np.float64)
    refused = dice.uniform()[answered] < 0.2
    log.add(
        *("claim_answer", answered, people, day),
        case=people.claim_case[answered],
        wait_minutes=lasted * DAY_MINUTES,
        outcome=np.where(refused, FAILED, DONE),
        mood=np.where(refused, -1.5, 0.4) - np.where(lasted > ACCEPTED_CLAIM_DAYS, 1.0, 0.0),
    )
    people.satisfaction[answered] += np.where(refused, -0.4, 0.2)
    people.claim_since[answered], people.claim_due[answered] = NEVER, NEVER


def order(people: People, who: Ints, day: int, products: Ints, dice: Dice, log: Log) -> None:
    """Order a product for each of some customers: a purchase, and a card on its way."""
    people.delivery_case[who] = _open_case(people, who)
    names = np.array(PRODUCTS, object)[products]
    log.add("purchase", who, people, day, hours=(8.6, 9), case=people.delivery_case[who], item=names)
    people.delivery_due[who] = day + 2 + (4 * dice.uniform()[who]).astype(np.int64)


def deliveries(people: People, day: int, dice: Dice, log: Log) -> None:
    """Live a day of cards delivered and activated; a delivery that fails is tried again."""
    arrives = _who(people.here & (people.delivery_due == day))
    fails = dice.uniform()[arrives] < 0.08
    log.add(
        *("card_delivery", arrives, people, day),
        hours=(9, 14),
        case=people.delivery_case[arrives],
        outcome=np.where(fails, FAILED, DONE),
        mood=np.where(fails, -1.5, 0.2),
    )
    people.activation_due[arrives[~fails]] = day + 1
    people.delivery_due[arrives[fails]] = day + 4
    starts = _who(people.here & (people.activation_due == day))
    log.add("activation", starts, people, day, case=people.delivery_case[starts], outcome=DONE)


def _open_case(people: People, who: Ints) -> Ints:
    people.cases[who] += 1
    return np.asarray(people.cases[who])


def _who(flags: Bools) -> Ints:
    return np.flatnonzero(flags)
