"""A scored customer as the answer tells them: probabilities, reasons, evidence, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from features.histories import Histories
from serving.requests import Reading
from serving.schema import Language
from serving.standing import told_standing
from serving.two_way import told_two_way
from training.bundle import CHURN, Bundle
from training.evidence import Evidence, leave_out
from training.scoring import BANDS, Scores
from training.telling import evidence_kinds, say_evidence, say_reasons

MAX_NAMES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WARNINGS = {
    "no_history": (
        "Nothing of this customer was known at as_of: the score is that of a stranger.",
        "De este cliente no se sabía nada en as_of: la puntuación es la de un desconocido.",
    ),
    "short_history": (
        "Few contacts were known at as_of: the score rests on little.",
        "En as_of se conocían pocos contactos: la puntuación se apoya en poco.",
    ),
    "unseen_kinds": (
        "The model has never seen these kinds of touchpoints; they counted as other: {names}.",
        "El modelo no conoce estos tipos de contacto; han contado como otros: {names}.",
    ),
    "not_yet_known": (
        "{count} touchpoints were not known before as_of and did not count.",
        "{count} contactos no se conocían antes de as_of y no han contado.",
    ),
    "duplicates": (
        "{count} rows repeat another and counted once.",
        "{count} filas repiten otra y han contado una vez.",
    ),
    "unused_attributes": (
        "The model does not use these attributes: {names}.",
        "El modelo no usa estos atributos: {names}.",
    ),
}
"""Code -> what it says, in English and Spanish."""


@dataclass(frozen=True)
class Told:
    """How much is told: the language, touchpoints of evidence per reason, and whether the arithmetic too."""

    language: Language
    evidence: int
    full: bool


def scored_customer(
    bundle: Bundle,
    histories: Histories,
    scores: Scores,
    element: int,
    reading: Reading,
    told: Told,
    today: int | None,
) -> dict[str, Any]:
    """Return what the answer says of one customer, as plain JSON.

    Args:
        bundle: the model.
        histories: of the customers of the call.
        scores: of several of them.
        element: which of these.
        reading: what the caller sent of that customer.
        told: how much is told.
        today: what we are to that customer (`serving.two_way.principal_today`); None where nobody asks.
    """
    principality = scores.principality_probability
    answer: dict[str, Any] = {
        "customer_id": reading.customer_id,
        "as_of": iso(scores.as_of),
        "churn_probability": float(scores.churn_probability[element]),
        "principality_probability": None if principality is None else float(principality[element]),
        "risk_band": BANDS[scores.band[element]],
        "model_version": bundle.version,
    }
    answer |= told_standing(
        bundle,
        histories,
        scores.standing,
        element,
        int(scores.customers[element]),
        scores.as_of,
        language=told.language,
        full=told.full,
    )
    if told.full:
        answer |= {"base": scores.base, "raw_score": float(scores.raw_scores[CHURN][element])}
    if scores.top is not None:
        answer["reasons"] = _reasons(bundle, histories, scores, element, told)
    answer["two_way"] = None if today is None else told_two_way(bundle, scores, element, today, told.language)
    answer["warnings"] = _warnings(bundle, histories, scores, element, reading, told.language)
    return answer


def iso(moment_us: int) -> str:
    """Return a moment as a time of ISO 8601 in UTC.

    >>> iso(1_504_411_200_000_000)
    '2017-09-03T04:00:00Z'
    """
    return (_EPOCH + timedelta(microseconds=moment_us)).isoformat().replace("+00:00", "Z")


def _reasons(
    bundle: Bundle, histories: Histories, scores: Scores, element: int, told: Told
) -> list[dict[str, Any]]:
    answers = []
    reasons = say_reasons(bundle, scores, element, told.language)
    kinds = [evidence_kinds(bundle, reason.moment) if told.evidence else None for reason in reasons]
    if told.evidence and reasons:
        customer = int(scores.customers[element])
        left_out = leave_out(bundle, histories, scores.as_of, customer, list(dict.fromkeys(kinds)))
    for reason, of_reason in zip(reasons, kinds, strict=True):
        answer: dict[str, Any] = {
            "moment": reason.moment,
            "label": reason.label,
            "direction": "raises" if reason.contribution > 0 else "lowers",
            "contribution": reason.contribution,
            "risk_without": reason.risk_without,
            "sentence": reason.sentence,
        }
        if told.evidence:
            found: tuple[Evidence, ...] = ()
            if reason.contribution:  # what moves nothing has no evidence
                found = left_out.evidence(of_reason, raises=reason.contribution > 0, most=told.evidence)
            answer["evidence"] = [_evidence(bundle, e, scores.as_of, told.language) for e in found]
        answers.append(answer)
    return answers


def _evidence(bundle: Bundle, evidence: Evidence, as_of: int, language: Language) -> dict[str, Any]:
    return {
        "occurred_at": iso(evidence.occurred_at),
        "kind": evidence.kind,
        "channel": evidence.channel,
        "items": list(evidence.items),
        "outcome": evidence.outcome,
        "amount": evidence.amount,
        "wait_minutes": evidence.wait_minutes,
        "contribution": evidence.change,
        "risk_without": evidence.risk_without,
        "sentence": say_evidence(bundle, evidence, as_of, language),
    }


def _warnings(
    bundle: Bundle, histories: Histories, scores: Scores, element: int, reading: Reading, language: Language
) -> list[dict[str, Any]]:
    customer = int(scores.customers[element])
    stream = histories.touchpoints
    low, high = int(stream.offsets[customer]), int(stream.offsets[customer + 1])
    warnings = []
    for code in scores.warnings.get(element, ()):
        names: Sequence[str] = ()
        if code == "unseen_kinds":
            given = reading.tables["touchpoints"]["kind"]
            names = sorted(set(scores.unseen_kinds).intersection(given))
        warnings.append(_warning(code, language, names=names))
    if late := int(np.count_nonzero(stream.known_at(low, high) >= scores.as_of)):
        warnings.append(_warning("not_yet_known", language, count=late))
    if reading.duplicates:
        warnings.append(_warning("duplicates", language, count=reading.duplicates))
    if reading.unused_attributes:
        warnings.append(_warning("unused_attributes", language, names=reading.unused_attributes))
    return warnings


def _warning(code: str, language: Language, *, count: int = 0, names: Sequence[str] = ()) -> dict[str, Any]:
    listed = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
    message = WARNINGS[code][language == "es"].format(count=count, names=listed)
    return {"code": code, "message": message, **({"count": count} if count else {})}
