"""What customers say of a contact and of the company, and who does not answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.contract import QUALITIES
from training.simulation.company import Company, Floats, Ints
from training.simulation.people import People

RATED = ("repair", "claim_answer", "adviser_meeting", "call", "recovery", "card_delivery")
SURVEYED = ("survey",)
LENIENCY = 0.45
"""How much more the log-odds of answering are for each point of satisfaction: silence is not random."""


def responds(people: People, who: Ints, odds: float, rng: np.random.Generator) -> Any:
    """Return which of the customers asked answer: the satisfied do more often."""
    z = odds + LENIENCY * (people.satisfaction[who] - 6.0)
    return rng.random(len(who)) < 1 / (1 + np.exp(-z))


def ratings(
    people: People,
    who: Ints,
    company: Company,
    agent: Ints | None,
    mood: float | Floats,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Return what those who answer say of one contact: expected, adequate, perceived; NaN the others."""
    n = len(who)
    silent = ~responds(people, who, -0.4, rng)
    felt = people.satisfaction[who] + mood + rng.normal(0, 1.1, n)
    if agent is not None:
        felt = felt + company.impression[agent]
    adequate = people.adequate[who] + rng.normal(0, 0.5, n)
    said = {
        "expected": adequate + 1.0 + np.abs(rng.normal(1.0, 0.5, n)),
        "adequate": adequate,
        "perceived": felt,
    }
    return {name: np.where(silent, np.nan, _point(value)) for name, value in said.items()}


def answers(people: People, who: Ints, day: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the answers to a survey about the company; an unanswered one has an outcome and no scores."""
    n = len(who)
    silent = ~responds(people, who, -0.3, rng)
    mood = people.satisfaction[who]

    def said(weight: float, noise: float, shift: float | Floats = 0.0) -> Floats:
        return _point(6.0 + weight * (mood - 6.0) + shift + rng.normal(0, noise, n))

    scores = {
        "satisfaction": said(1.0, 0.8),
        "nps": said(1.2, 1.3, 0.3 * people.emotional[who]),
        "effort": _point(4.0 - 0.8 * (mood - 6.0) + 0.4 * people.line[who] + rng.normal(0, 1.2, n)),
        "effective": said(0.9, 1.0, -0.3 * people.line[who]),
        "easy": said(0.8, 1.1, 0.2 * people.learning[who]),
        "enjoyable": said(0.8, 1.1, 0.4 * people.emotional[who]),
        **{name: said(0.7, 1.3) for name in QUALITIES},
    }
    scores = {name: np.where(silent, np.nan, value) for name, value in scores.items()}
    return {**scores, "outcome": np.where(silent, 1, 0)}


def _point(values: Floats) -> Floats:
    return np.asarray(np.clip(np.round(values), 0, 10))
