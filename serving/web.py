"""The desk of the service: what answers at its paths, behind the guard."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from serving.guard import Page
from serving.metrics import ServiceMetrics, exposition
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from serving.scorer import Scorer

LARGE_BODY = 24 * 1024
"""Bodies from this size on are scored in a thread, so that others are answered meanwhile."""


class Office:
    """Who sits at the desk once a worker has started."""

    def __init__(self, settings: ServingSettings, metrics: ServiceMetrics, scorer: Scorer) -> None:
        """Take over when the model is loaded."""
        self.scorer = scorer
        self._settings, self._metrics = settings, metrics
        self._thread = anyio.CapacityLimiter(1)

    async def answer(self, path: str, body: bytes) -> Page:
        """Return the page of a path.

        Raises:
            Problem: the body is not a request, or none of its customers can be scored.
        """
        if path == "/docs.json":
            return Page(self._docs)
        if path == "/metrics":
            text, media_type = await anyio.to_thread.run_sync(exposition)
            return Page(text, media_type.encode("ascii"))
        answer_to = self.scorer.score if path == "/score" else self.scorer.explain
        if len(body) < LARGE_BODY and path == "/score":
            answer = answer_to(body)
        else:
            answer = await anyio.to_thread.run_sync(answer_to, body, limiter=self._thread)
        self._metrics.told(answer.scored, answer.refused)
        return Page(answer.body)

    @cached_property
    def _docs(self) -> bytes:
        """The OpenAPI document, made when it is first asked for."""
        from serving.openapi import openapi_document

        return json.dumps(openapi_document(self._settings, self.scorer.bundle.version)).encode()
