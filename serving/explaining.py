"""One customer explained: the risk, the moments of truth behind it, and the very touchpoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.clock import local_date
from features.definition import Words
from features.errors import CorredorError, unknown_name
from features.histories import Histories
from serving.batch import GONE, lifecycle_stages, quarters_before
from serving.standing import told_standing
from serving.two_way import joins, principal_today, told_two_way
from training.bundle import Bundle
from training.config import Config
from training.evidence import Evidence, find_evidence
from training.labels import eligible
from training.quarters import QUARTERS
from training.scoring import BANDS, BOTH_QUESTIONS, score
from training.telling import Reason, evidence_kinds, tell_evidence, tell_reasons
from training.words import percent
from training.worth import worth_per_year

EVIDENCE = 3
TOLD = 3
"""Moments that are told with their touchpoints; the others only with their weight."""
LEAST_CHANGE = 0.005
"""A touchpoint without which the risk would be the same is no evidence."""


def explain_customer(
    bundle: Bundle, histories: Histories, config: Config, customer_id: str, as_of_us: int
) -> dict[str, Any]:
    """Return what the model says of one customer and why, as plain JSON.

    Raises:
        CorredorError: there is no such customer, or nothing was known of them by then.
    """
    position = int(histories.position([customer_id])[0])
    if position < 0:
        raise unknown_name("customer", customer_id, histories.customer_ids.to_pylist())
    one = histories.select([position])
    date = local_date(as_of_us, config.project.zone)
    if not (one.touchpoints.known_at() < as_of_us).any():
        raise CorredorError(
            f"customer {customer_id!r}: nothing was known before {date}. Choose a later --as-of."
        )
    language = config.project.language
    scores = score(bundle, one, as_of_us, reasons=len(bundle.moment_keys), explain=BOTH_QUESTIONS)
    worth, source = worth_per_year(histories, config, as_of_us)
    active = bool(eligible(one, config, as_of_us)[0])
    reasons = []
    for k, reason in enumerate(tell_reasons(bundle, scores, 0)):
        evidence: tuple[Words, ...] = ()
        if k < TOLD:
            found = find_evidence(bundle, one, as_of_us, 0, kinds=evidence_kinds(bundle, reason.moment))
            telling = [e for e in found if _tells(e, reason)]
            evidence = tuple(tell_evidence(bundle, e, as_of_us) for e in telling[:EVIDENCE])
        reasons.append(
            {
                "moment": reason.moment,
                "label": getattr(reason.label, language),
                "contribution": reason.contribution,
                "risk_without": reason.risk_without,
                "sentence": getattr(reason.sentence, language),
                "evidence": [getattr(words, language) for words in evidence],
            }
        )
    two_way = None
    if joins(bundle, config):
        today = int(principal_today(bundle, histories, config, as_of_us)[position])
        two_way = told_two_way(bundle, scores, 0, today, language)
    standing = told_standing(bundle, one, scores.standing, 0, 0, as_of_us, language=language, full=True)
    before = int(quarters_before(bundle, one, config, as_of_us, np.array([0]))[0])
    principal = scores.principality_probability
    value = float(worth[position])
    return {
        "customer_id": customer_id,
        "as_of": date,
        "churn_probability": float(scores.churn_probability[0]),
        "risk": BANDS[int(scores.band[0])],
        "principality_probability": None if principal is None else float(principal[0]),
        "value": value,
        "value_source": source,
        "value_at_risk": value * float(scores.churn_probability[0]),
        "lifecycle_stage": str(lifecycle_stages(bundle, scores.X)[0]) if active else GONE,
        **standing,
        "quarter_before": QUARTERS[before] if before >= 0 else None,
        "warnings": list(scores.warnings.get(0, ())),
        "raw_score": float(scores.raw_scores["churn"][0]),
        "base": scores.base,
        "moments": reasons,
        "two_way": two_way,
        "model_version": bundle.version,
    }


def _tells(evidence: Evidence, reason: Reason) -> bool:
    """Return whether a touchpoint moves the risk the way its moment does, and enough to be seen."""
    if (evidence.change > 0) != (reason.contribution > 0):
        return False
    with_it, without = evidence.risk, evidence.risk_without
    return abs(with_it - without) >= LEAST_CHANGE and percent(with_it, "en") != percent(without, "en")
