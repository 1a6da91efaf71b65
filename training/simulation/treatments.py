"""Retention actions: calls to those who seem worst, and trials by lot; what each does to whom."""

from __future__ import annotations

import numpy as np

from training.simulation.company import Company, Floats, Ints
from training.simulation.dice import Dice
from training.simulation.log import HOUR, MINUTE, Log
from training.simulation.people import People

ACTIONS = ("discount", "call")
COSTS = (30.0, 6.0)
ENROLLED, PROPENSITY, DELIVERED = 0.25, 0.5, 0.92
LASTS_DAYS = 75
OUTREACH_A_DAY = 0.0022
OUTREACH_EFFECT, OUTREACH_LASTS_DAYS = -0.15, 45


def effects(people: People, who: Ints, action: int, day: int) -> Floats:
    """Return what an action adds to the log-hazard of leaving of each of some customers.

    A discount holds those who mind prices, and wakes the others a little. A call holds those who have
    lately lived through something bad; who is quiet, or held by a commitment only, it reminds of leaving.
    """
    if action == 0:
        return np.asarray(np.clip(-0.35 - 0.55 * people.price[who], -1.6, 0.45))
    hurt = (people.impact + people.pending)[:, who].sum(axis=0)
    calm = np.where(people.committed_until[who] > day, 0.5, 0.15) + 0.1 * people.emotional[who]
    return np.asarray(np.where(hurt > 0.4, -0.75, calm))


def outreach(people: People, day: int, company: Company, dice: Dice, log: Log) -> None:
    """Call customers because they seem unhappy: the history of actions that nobody drew by lot."""
    worse = np.exp(-0.45 * (people.satisfaction - 6.0) + 0.5 * people.fading)
    grown = people.here & (people.joined < day) & (people.treated_until < day)
    who = np.flatnonzero(grown & dice.flip(OUTREACH_A_DAY * worse))
    people.treated_until[who], people.treated_effect[who] = day + OUTREACH_LASTS_DAYS, OUTREACH_EFFECT
    log.add("outreach", who, people, day, item="how are you")
    _tell(people, who, day, company, log, action="call", arm="treated", cost=COSTS[1], delivered=True)


def campaign(people: People, day: int, company: Company, dice: Dice, log: Log) -> list[tuple[int, Ints]]:
    """Draw by lot who is treated, on the days of a campaign; return (action, those who took part)."""
    if day not in company.campaigns:
        return []
    lot, which, arm = dice.uniform(), dice.uniform(), dice.flip(PROPENSITY)
    delivered, accepted = dice.flip(DELIVERED), dice.uniform()
    found = []
    for action, name in enumerate(ACTIONS):
        chosen = (which * len(ACTIONS)).astype(np.int64) == action
        who = np.flatnonzero(people.here & (people.joined < day) & (lot < ENROLLED) & chosen)
        effect = effects(people, who, action, day)
        treated, reached = arm[who], arm[who] & delivered[who]
        took = reached & (accepted[who] < 1 / (1 + np.exp(0.3 + 1.5 * effect)))
        _tell(
            *(people, who, day, company, log),
            action=name,
            arm=np.where(treated, "treated", "control").astype(object),
            cost=np.where(reached, COSTS[action], 0.0),
            delivered=reached,
            accepted=took,
            propensity=PROPENSITY,
        )
        if name == "call":
            log.add("outreach", who[reached], people, day, item="campaign", hours=(11, 19))
        some = who[reached]
        people.treated_until[some], people.treated_effect[some] = day + LASTS_DAYS, effect[reached]
        found.append((action, who))
    return found


def _tell(people: People, who: Ints, day: int, company: Company, log: Log, **columns: object) -> None:
    at = np.full(len(who), company.us(day)) + 10 * HOUR
    log.row("treatments", who, people, assigned_at=at, recorded_at=at + 5 * MINUTE, **columns)
