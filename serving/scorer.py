"""From the body of a call to its answer: read, build histories, score, tell; no SQL and no data frame."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
import numpy as np

from features.clock import now_us
from serving.answers import Told, scored_customer
from serving.problems import MAX_ERRORS, FieldError, Problem
from serving.requests import Reading, Unusable, build_call, read_customer
from serving.schema import Call, ExplainRequest, Reader, Refused, ScoreRequest
from serving.settings import ServingSettings
from serving.two_way import joins, principal_today
from training.bundle import CHURN, Bundle
from training.scoring import BOTH_QUESTIONS, Scores, score

GC_THRESHOLD = 20_000
"""Objects that may come to be before the collector looks for cycles; a request leaves none behind."""
MANY = 8
"""Customers of a call that goes through what scores many."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Answer:
    """The body of an answer, and what is counted of it."""

    body: bytes
    scored: int
    refused: tuple[str, ...] = ()
    """The first error's code of each customer who was refused."""


class Scorer:
    """A loaded model and the limits of the service; answers bodies with bodies."""

    def __init__(self, bundle: Bundle, settings: ServingSettings) -> None:
        """Hold a model for as long as the worker lives."""
        self.bundle = bundle
        self._most_customers = settings.max_customers
        self._score_reader = Reader(ScoreRequest, settings)
        self._explain_reader = Reader(ExplainRequest, settings)

    def score(self, body: bytes) -> Answer:
        """Return the answer to `POST /score`.

        Raises:
            Problem: the body is not a request, or none of its customers can be scored.
        """
        call = self._score_reader.read(body)
        return self._answer(call, call.reasons, full=False)

    def explain(self, body: bytes) -> Answer:
        """Return the answer to `POST /explain`: as `/score`, with every moment and its arithmetic.

        Raises:
            Problem: the body is not a request, or none of its customers can be scored.
        """
        call = self._explain_reader.read(body)
        return self._answer(call, len(self.bundle.moment_keys), full=True)

    def warm(self) -> None:
        """Go once through all that a request goes through, then settle the memory.

        The first use of a compiled kernel loads it; and what stands in memory now stays, so the garbage
        collector need not look at it, now or again and again.
        """
        kinds = self.bundle.fitted.context.vocabulary.kinds or ("purchase",)
        first = {"occurred_at": "2001-01-01T10:00:00Z", "kind": kinds[0], "amount": 1.0, "item": "a"}
        touchpoints = [
            first,
            {**first, "item": "b"},
            {**first, "occurred_at": "2001-02-01", "recorded_at": "2001-02-02"},
        ]
        plain = {"customer_id": "1", "as_of": "2001-03-01", "touchpoints": touchpoints}
        rich = {**plain, "relationships": [{"product": "p", "started_at": "2001-01-01"}]}
        # one row, few and many go through kernels of their own
        for customers in ([plain], [rich, plain], [plain] * MANY):
            body = json.dumps({"customers": customers[: self._most_customers]}).encode()
            self.score(body)
            self.explain(body)
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 10, 10)

    def _answer(self, call: Call, reasons: int, *, full: bool) -> Answer:
        refused: dict[int, tuple[str | None, tuple[FieldError, ...]]] = {}
        readings: dict[int, Reading] = {}
        now = now_us()
        vocabulary, zone = self.bundle.fitted.context.vocabulary, self.bundle.config.project.zone
        for place, customer in enumerate(call.customers):
            if isinstance(customer, Refused):
                refused[place] = customer.customer_id, customer.errors
                continue
            try:
                readings[place] = read_customer(customer, vocabulary, zone, now)
            except Unusable as unusable:
                refused[place] = customer["customer_id"], unusable.errors
        inside = {place: _inside(place, errors) for place, (_, errors) in refused.items()}
        if not readings:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "No customer of the call can be scored.",
                errors=[error for errors in inside.values() for error in errors],
            )
        answers = dict(zip(readings, self._scored(list(readings.values()), call, reasons, full), strict=True))
        for place, (name, _) in refused.items():
            answers[place] = _refusal(name, inside[place])
        document = {
            "model_version": self.bundle.version,
            "customers": [answers[place] for place in range(len(call.customers))],
        }
        codes = tuple(errors[0].code for errors in inside.values())
        return Answer(_encode(document), len(readings), codes)

    def _scored(
        self, readings: Sequence[Reading], call: Call, reasons: int, full: bool
    ) -> list[dict[str, Any]]:
        histories = build_call(readings)
        moments = [reading.as_of for reading in readings]
        answers: list[dict[str, Any]] = [{}] * len(readings)
        config = self.bundle.config
        asked = joins(self.bundle, config)
        explain = BOTH_QUESTIONS if asked else {CHURN: BOTH_QUESTIONS[CHURN]}
        told = Told(call.language or config.project.language, call.evidence, full)
        for as_of in dict.fromkeys(moments):
            chosen = [place for place, moment in enumerate(moments) if moment == as_of]
            everyone = len(chosen) == len(readings)
            some = None if everyone else np.array(chosen)
            scores = score(self.bundle, histories, as_of, some, reasons=reasons, explain=explain)
            _check_finite(scores)
            today: list[int | None] = [None] * len(chosen)
            if asked:
                theirs = histories if everyone else histories.select(chosen)
                today = principal_today(self.bundle, theirs, config, as_of).tolist()
            for element, customer in enumerate(chosen):
                answers[customer] = scored_customer(
                    self.bundle, histories, scores, element, readings[customer], told, today[element]
                )
        return answers


def _check_finite(scores: Scores) -> None:
    """Refuse to tell a score that is no number: written as JSON it would be null."""
    if not all(math.isfinite(score) for raw in scores.raw_scores.values() for score in raw.tolist()):
        raise ValueError("a score is not a number")


def _inside(place: int, errors: Sequence[FieldError]) -> list[FieldError]:
    """Return errors with paths that begin at the body."""
    prefix = f"customers[{place}]"
    return [
        FieldError(f"{prefix}.{e.path}" if e.path else prefix, e.code, e.message)
        for e in errors[: MAX_ERRORS + 1]
    ]


def _refusal(customer_id: str | None, errors: Sequence[FieldError]) -> dict[str, Any]:
    listed = [error.to_dict() for error in errors[:MAX_ERRORS]]
    return {
        "customer_id": customer_id,
        "error": {"detail": "This customer cannot be scored.", "errors": listed},
    }
