"""What is true of a company as a whole, as `truth.json` says it."""

from __future__ import annotations

from typing import Any

from training.simulation.block import HELD, SATISFIED
from training.simulation.company import HORIZON, TEAMS, Company, staff_name
from training.simulation.hazard import (
    ACCEPTED_CLAIM_DAYS,
    ACCEPTED_REPAIR_DAYS,
    BASE,
    INVOLUNTARY,
    JUST_FREE,
    JUST_FREE_DAYS,
    LOCK,
    MOMENTS,
    PEAK_DAYS,
    SILENT,
    WEIGHTS,
)
from training.simulation.impressions import LENIENCY
from training.simulation.journeys import (
    BLOCKED_AFTER,
    BLOCKED_BEFORE,
    CONGESTED_REPAIR_DAYS,
    USUAL_REPAIR_DAYS,
)
from training.simulation.oracle import PATHS
from training.simulation.people import STAGES
from training.simulation.treatments import ACTIONS, LASTS_DAYS, OUTREACH_EFFECT, PROPENSITY

ORACLE = (
    "probability: of leaving by one's own will from as_of on, within the horizon. From the whole true state "
    f"before that day {PATHS} futures are imagined, the hazard summed in each, and 1 - exp(-sum) averaged: "
    "exact but for the error of that mean, and given that nothing ends the relationship against the "
    "customer's will."
)
DECOY = {
    "kind": "app_error",
    "sentence": "the app fails",
    "effect": 0.0,
    "common_cause": "a bad line, which also breaks down more: what follows a breakdown has an effect",
}


def truth_of(company: Company, customers: int, months: int) -> dict[str, Any]:
    """Return what is true of the company, as plain JSON."""
    return {
        "seed": company.seed,
        "customers": customers,
        "months": months,
        "first_day": company.first.isoformat(),
        "last_day": company.date_of(company.days - 1).isoformat(),
        "moments": [
            {
                "key": moment.key,
                "kinds": list(moment.kinds),
                "sentence": moment.sentence,
                "log_hazard": dict(zip(STAGES, moment.effect, strict=True)),
                "peaks_after_days": round(float(PEAK_DAYS[m]), 1),
                "half_life_days": moment.half_life_days,
                "satisfaction": moment.satisfaction,
            }
            for m, moment in enumerate(MOMENTS)
        ],
        "decoy": DECOY,
        "hazard": {
            "base": BASE,
            "weights": WEIGHTS,
            "locked_by_a_commitment": LOCK,
            "just_free": JUST_FREE,
            "just_free_days": JUST_FREE_DAYS,
            "without_any_sign_a_day": SILENT,
            "against_their_will_a_day": INVOLUNTARY,
        },
        "corridor": {
            "congested": {
                "from": "appointment",
                "to": "repair",
                "since": company.date_of(company.congested_from).isoformat(),
                "usual_days": [USUAL_REPAIR_DAYS, CONGESTED_REPAIR_DAYS],
                "accepted_days": ACCEPTED_REPAIR_DAYS,
            },
            "blocked": {
                "from": "claim",
                "to": "claim_answer",
                "since": company.date_of(company.blocked_from).isoformat(),
                "share_stuck": [BLOCKED_BEFORE, BLOCKED_AFTER],
                "accepted_days": ACCEPTED_CLAIM_DAYS,
            },
        },
        "staff": {
            staff_name(n): round(float(points), 4) for n, points in enumerate(company.impression.tolist())
        },
        "teams": list(TEAMS),
        "quarters": {"satisfied_from": SATISFIED, "held_from_mean_cost": HELD},
        "hostage": "satisfaction below satisfied_from, and a commitment that runs beyond as_of",
        "survey_log_odds_per_point_of_satisfaction": LENIENCY,
        "treatments": {
            "actions": list(ACTIONS),
            "propensity": PROPENSITY,
            "days": [company.date_of(day).isoformat() for day in company.campaigns],
            "lasts_days": LASTS_DAYS,
            "not_drawn_by_lot": {"action": "call", "log_hazard": OUTREACH_EFFECT, "to": "the unhappiest"},
        },
        "oracle": {
            "horizon_days": HORIZON,
            "dates": [company.date_of(day).isoformat() for day in company.oracle_days],
            "how": ORACLE,
        },
    }
