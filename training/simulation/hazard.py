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
    """Added to the log-hazard of leaving at its peak, by stage of life: new, growing, settled, fading."""
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
        (1.2, 1.8, 1.9, 1.5),
        70.0,
        -0.7,
    ),
    Moment(
        "repair_wait_beyond_accepted",
        ("appointment", "repair"),
        f"a repair is waited for longer than {ACCEPTED_REPAIR_DAYS:.0f} days after its appointment",
        (1.6, 1.5, 1.2, 1.0),
        60.0,
        -0.5,
    ),
    Moment(
        "adviser_changed",
        ("adviser_meeting",),
        "the adviser changes",
        (0.3, 1.2, 1.8, 1.3),
        80.0,
        -0.3,
    ),
    Moment(
        "bill_above_expectation",
        ("bill",),
        f"a bill is more than {ACCEPTED_BILL} times the usual one",
        (1.9, 1.6, 1.1, 1.3),
        60.0,
        -0.5,
    ),
    Moment(
        "second_failure_not_recovered",
        ("repair", "recovery"),
        "a second repair fails, and so did the attempt to make up for the first",
        (2.0, 2.1, 2.1, 1.8),
        80.0,
        -1.2,
    ),
)
CLAIM, REPAIR, ADVISER, BILL, SECOND = range(len(MOMENTS))
SINKS_IN = 0.04
"""Share of what is still to be felt that is felt each day: nobody leaves at once."""
_FADES = np.array([1 - 0.5 ** (1 / moment.half_life_days) for moment in MOMENTS])
PEAK = (SINKS_IN / _FADES) ** (_FADES / (SINKS_IN - _FADES))
"""By how much more than its peak an effect has to begin with, to be felt as slowly as that."""
PEAK_DAYS = np.log(SINKS_IN / _FADES) / (SINKS_IN - _FADES)
EFFECTS = np.array([moment.effect for moment in MOMENTS])

BASE = -9.15
SILENT = 0.00022
"""Daily hazard of leaving without any reason or sign, the same for all."""
INVOLUNTARY = 0.00010
LOCK = -1.7
JUST_FREE, JUST_FREE_DAYS = 0.6, 45
WEIGHTS = {
    "satisfaction": -0.30,
    "emotional": -0.32,
    "psychological": -0.22,
    "learning": -0.25,
    "benefit": -0.40,
    "price": 0.15,
    "price_while_rivals_advertise": 0.40,
    "fading": 1.20,
    "main_relationship_elsewhere": 0.60,
}
"""On the log-hazard: per point of satisfaction, per standard deviation of costs and price, else yes/no."""


def hit(people: People, moment: int, who: Ints, day: int) -> None:
    """Let customers live through a moment of truth."""
    if not len(who):
        return
    effect = EFFECTS[moment][people.stage(day)[who]]
    to_come = PEAK[moment] * effect - people.impact[moment, who]
    people.pending[moment, who] = np.maximum(people.pending[moment, who], to_come)
    people.satisfaction[who] = np.clip(people.satisfaction[who] + MOMENTS[moment].satisfaction, 0, 10)


def sink_in(people: People) -> None:
    """Let a day pass over what customers have lived through: felt more, then less."""
    felt = SINKS_IN * people.pending
    people.pending -= felt
    people.impact *= 1 - _FADES[:, None]
    people.impact += felt


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
