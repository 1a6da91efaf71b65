"""One day in the lives of a block of customers."""

from __future__ import annotations

import numpy as np

from training.simulation.chatter import chatter
from training.simulation.company import Company, Floats, Ints
from training.simulation.contracts import contracts, introduce, join, leave
from training.simulation.dice import Dice
from training.simulation.hazard import ADVISER, INVOLUNTARY, hazard, hit, sink_in
from training.simulation.journeys import bills, claims, deliveries, faults
from training.simulation.log import Ledger, Log
from training.simulation.people import NEVER, People
from training.simulation.treatments import campaign, outreach

MEETINGS_A_DAY = 0.012
FADES_A_DAY, REVIVES_A_DAY = 0.0011, 0.004


def live(people: People, day: int, company: Company, dice: Dice, log: Log) -> list[tuple[int, Ints]]:
    """Let a day pass for those who are with us; return who took part in a campaign, by action.

    The same code lives the days that are written (`Ledger`) and those that the oracle imagines
    (`Nowhere`); only the former have newcomers, and contacts without an effect.
    """
    sink_in(people)
    if isinstance(log, Ledger):
        joining = np.flatnonzero((people.joined == day) & ~people.here)
        join(people, joining, day, company, dice, log)
        if day == 0:
            introduce(people, np.setdiff1d(np.flatnonzero(people.here), joining), company, log)
    deliveries(people, day, dice, log)
    above = bills(people, day, company, dice, log)
    faults(people, day, company, dice, log)
    claims(people, day, company, dice, log, above)
    advisers(people, day, company, dice, log)
    contracts(people, day, company, dice, log)
    moods(people, dice)
    outreach(people, day, company, dice, log)
    enrolled = campaign(people, day, company, dice, log)
    if isinstance(log, Ledger):
        chatter(people, day, company, dice, log)
    return enrolled


def part(people: People, day: int, company: Company, dice: Dice, log: Log) -> None:
    """Let those leave, at the end of a day, who do."""
    if day < 0:
        return
    willing = dice.uniform() < -np.expm1(-hazard(people, day, company))
    forced = dice.flip(INVOLUNTARY)
    who = np.flatnonzero(people.here & (people.joined < day) & (willing | forced))
    leave(people, who, ~forced[who], day, company, dice, log)


def advisers(people: People, day: int, company: Company, dice: Dice, log: Log) -> None:
    """Live a day of advisers: some leave, new ones introduce themselves, customers meet theirs."""
    now, before = company.adviser[:, company.at(day)], company.adviser[:, max(company.at(day) - 1, 0)]
    changed = (now != before)[people.seat] & people.here & (people.joined < day)
    who = np.flatnonzero(changed)
    hit(people, ADVISER, who, day)
    people.bond_since[who] = day
    people.visit_due[who] = day + 1 + (12 * dice.uniform()[who]).astype(np.int64)
    met = people.here & (
        (people.visit_due == day) | dice.flip(MEETINGS_A_DAY * np.exp(0.5 * people.personal))
    )
    who = np.flatnonzero(met & (people.joined < day))
    people.visit_due[who] = np.where(people.visit_due[who] == day, NEVER, people.visit_due[who])
    bond = np.minimum(day - people.bond_since[who], 365) / 365
    log.add("adviser_meeting", who, people, day, agent=now[people.seat[who]], mood=0.4 * bond)


def moods(people: People, dice: Dice) -> None:
    """Let satisfaction return to where it belongs, and use and wallet drift."""
    noise: Floats = dice.normal()
    people.satisfaction += 0.012 * (people.content - people.satisfaction) + 0.07 * noise
    np.clip(people.satisfaction, 0, 10, out=people.satisfaction)
    unhappy = np.exp(-0.2 * (people.satisfaction - 6.0) - 0.3 * people.wallet)
    fades = ~people.fading & dice.flip(FADES_A_DAY * unhappy)
    revives = people.fading & dice.flip(REVIVES_A_DAY)
    people.fading ^= fades | revives
    people.wallet += np.where(people.fading, -0.006, 0.0) + 0.01 * dice.normal()
