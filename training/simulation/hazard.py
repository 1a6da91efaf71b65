"""Why customers leave: the planted moments of truth, and the true hazard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulation.company import Company, Floats, Ints
from training.simulation.people import People


@dataclass(frozen=True)
class Moment:
    """A planted moment of truth: what a customer lives through, and what it does."""

    key: str
    kinds: tuple[str, ...]
    """Kinds of touchpoint in which it can be seen."""
    sentence: str
    effect: tuple[float, float, float, float]
    """Added to the log-hazard of leaving at once, by stage of life: new, growing, settled, fading."""
    half_life_days: float
    satisfaction: float
    """Added to satisfaction, which recovers slowly."""


ACCEPTED_CLAIM_DAYS = 7
ACCEPTED_REPAIR_DAYS = 5.0
ACCEPTED_BILL = 1.25
MOMENTS = (
    Moment(
        "claim_open_too_long",
        ("claim", "claim_answer"),
        f"a claim is open for more than {ACCEPTED_CLAIM_DAYS} days",
        (1.0, 1.5, 1.6, 1.2),
        50.0,
        -0.7,
    ),
    Moment(
        "repair_wait_beyond_accepted",
        ("appointment", "repair"),
        f"a repair is waited for longer than {ACCEPTED_REPAIR_DAYS:.0f} days after its appointment",
        (1.5, 1.4, 1.0, 0.9),
        45.0,
        -0.5,
    ),
    Moment(
        "adviser_changed",
        ("adviser_meeting",),
        "the adviser changes",
        (0.3, 1.0, 1.5, 1.1),
        55.0,
        -0.3,
    ),
    Moment(
        "bill_above_expectation",
        ("bill",),
        f"a bill is more than {ACCEPTED_BILL} times the usual one",
        (1.8, 1.4, 0.9, 1.2),
        40.0,
        -0.5,
    ),
    Moment(
        "second_failure_not_recovered",
        ("repair", "recovery"),
        "a second repair fails, and so did the attempt to make up for the first",
        (1.9, 2.0, 2.0, 1.8),
        60.0,
        -1.2,
    ),
)
CLAIM, REPAIR, ADVISER, BILL, SECOND = range(len(MOMENTS))
DECAY = np.array([0.5 ** (1 / moment.half_life_days) for moment in MOMENTS])[:, None]
EFFECTS = np.array([moment.effect for moment in MOMENTS])

BASE = -7.75
SILENT = 0.00010
"""Daily hazard of leaving without any reason or sign, the same for all."""
INVOLUNTARY = 0.00010
LOCK = -1.9
JUST_FREE, JUST_FREE_DAYS = 0.6, 45
WEIGHTS = {
    "satisfaction": -0.36,
    "emotional": -0.45,
    "psychological": -0.25,
    "learning": -0.32,
    "benefit": -0.40,
    "price": 0.15,
    "price_while_rivals_advertise": 0.40,
    "fading": 1.40,
    "main_relationship_elsewhere": 0.60,
}
"""On the log-hazard: per point of satisfaction, per standard deviation of costs and price, else yes/no."""


def hit(people: People, moment: int, who: Ints, day: int) -> None:
    """Let customers live through a moment of truth."""
    if not len(who):
        return
    effect = EFFECTS[moment][people.stage(day)[who]]
    people.impact[moment, who] = np.maximum(people.impact[moment, who], effect)
    people.satisfaction[who] = np.clip(people.satisfaction[who] + MOMENTS[moment].satisfaction, 0, 10)


def hazard(people: People, day: int, company: Company) -> Floats:
    """Return each customer's true hazard of leaving by their own will on a day, float64[n]."""
    at, w = company.at(day), WEIGHTS
    psychological = (people.costs(day)[1] - 50) / 29.0
    free = day - people.committed_until
    log_hazard = BASE + company.climate[at] + people.frailty + people.impact.sum(axis=0)
    log_hazard += w["satisfaction"] * (people.satisfaction - 6.0)
    log_hazard += w["emotional"] * people.emotional + w["psychological"] * psychological
    log_hazard += w["learning"] * people.learning
    log_hazard += w["benefit"] * (1 - np.exp(-people.benefit / 150.0))
    log_hazard += (w["price"] + w["price_while_rivals_advertise"] * company.rivals[at]) * people.price
    log_hazard += w["fading"] * people.fading
    log_hazard += w["main_relationship_elsewhere"] * (people.wallet < 0)
    log_hazard += np.where(free < 0, LOCK, np.where(free < JUST_FREE_DAYS, JUST_FREE, 0.0))
    log_hazard += np.where(day < people.treated_until, people.treated_effect, 0.0)
    return np.asarray(SILENT + np.exp(log_hazard))
