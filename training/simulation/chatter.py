"""What customers do and say that changes nothing: use, visits, surveys, wallets. Only a ledger needs it."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.simulation.company import RIVALS, Company
from training.simulation.dice import Dice
from training.simulation.impressions import responds
from training.simulation.log import HOUR, MINUTE, Ledger
from training.simulation.people import People

FACETS = (
    ("brand_relationship", 0),
    ("personal_relationship", 1),
    ("setup", 2),
    ("evaluation", 2),
    ("benefit_loss", 3),
    ("monetary_loss", 3),
)
SCALE = (1.0, 7.0)
FEATURES_OF_THE_APP = ("usage", "roaming", "invoices", "parental control", "support", "speed test")


def chatter(people: People, day: int, company: Company, dice: Dice, log: Ledger) -> None:
    """Write a day of contacts that have no effect on leaving."""
    elapsed = max(day, 0) / company.days
    busy = people.activity * np.where(people.fading, 0.35, 1.0)
    busy = busy * np.where(day - people.joined < 90, 0.75, 1.0)
    warm = np.exp(0.8 * people.emotional)
    tech = np.exp(0.5 * people.learning)
    recent = (day - people.fault_since) < 12
    rates = {
        "use": 0.13 * busy * (0.4 + 1.2 / (1 + np.exp(-people.wallet))),
        "app_login": 0.11 * busy * tech * (1 + 0.5 * elapsed),
        "web_visit": 0.035 * busy * (1 - 0.4 * elapsed),
        "app_error": 0.012 * np.exp(0.5 * people.line) * np.where(recent, 2.5, 1.0),
        "integration": 0.004 * np.exp(0.9 * people.learning),
        "mailing": 0.035 * np.minimum(warm, 3.0),
        "referral": 0.0022 * warm,
        "review": 0.0022 * warm,
        "event": 0.003 * warm,
    }
    for kind, rate in rates.items():
        who = np.flatnonzero(people.here & dice.flip(rate))
        columns: dict[str, Any] = {}
        if kind == "use":
            columns["amount"] = np.round(log.rng.gamma(2.0, 4.0, len(who)), 2)
        if kind == "app_login":
            breadth = 1 + np.floor(4.9 / (1 + np.exp(-people.learning[who])))
            place = (log.rng.random(len(who)) * breadth).astype(np.int64)
            columns["item"] = np.array(FEATURES_OF_THE_APP, object)[place]
        if kind == "review":
            columns["satisfaction"] = np.clip(np.round(people.satisfaction[who] + 0.5), 0, 10)
        log.add(kind, who, people, day, **columns)
    asked = np.flatnonzero(people.here & (people.joined < day) & dice.flip(1 / 75))
    log.add("survey", asked, people, day)
    if log.writing:
        _switching_costs(people, day, company, dice, log)
        _wallets(people, day, company, dice, log)


def _switching_costs(people: People, day: int, company: Company, dice: Dice, log: Ledger) -> None:
    asked = np.flatnonzero(people.here & (people.joined < day) & dice.flip(1 / 120))
    who = asked[responds(people, asked, 0.2, log.rng)]
    at = company.us(day) + (log.rng.uniform(9, 19, len(who)) * HOUR).astype(np.int64)
    costs = people.costs(day)[:, who] / 100
    low, high = SCALE
    for facet, cost in FACETS:
        said = low + (high - low) * costs[cost] + log.rng.normal(0, 0.9, len(who))
        log.row(
            *("switching_costs", who, people),
            asked_at=at,
            facet=facet,
            value=np.clip(np.round(said), low, high),
            scale_min=low,
            scale_max=high,
            recorded_at=at + 10 * MINUTE,
        )


def _wallets(people: People, day: int, company: Company, dice: Dice, log: Ledger) -> None:
    asked = np.flatnonzero(people.here & (people.joined < day) & dice.flip(1 / 90))
    who = asked[responds(people, asked, 0.4, log.rng)]
    at = company.us(day) + (log.rng.uniform(9, 19, len(who)) * HOUR).astype(np.int64)
    rng = log.rng
    ours = 1 / (1 + np.exp(-(people.wallet[who] + rng.normal(0, 0.25, len(who)))))
    ours = np.round(ours, 2)
    told = {"observed_at": at, "recorded_at": at + 10 * MINUTE, "source": "panel"}
    rank = np.where(ours >= 0.5, 1.0, 2.0)
    log.row("wallet", who, people, provider="us", ours=True, share=ours, rank=rank, **told)
    names = np.array(RIVALS, object)[people.rival[who]]
    rest = np.round(1 - ours, 2)
    log.row("wallet", who, people, provider=names, ours=False, share=rest, rank=3 - rank, **told)
