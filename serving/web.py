"""The paths of the service, behind the guard."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from serving.guard import House
from serving.metrics import exposition

if TYPE_CHECKING:
    from serving.scorer import Answer, Scorer

LARGE_BODY = 24 * 1024
"""Bodies from this size on are scored in a thread, so that others are answered meanwhile."""


class Office:
    """What stands behind the paths once a worker has started."""

    def __init__(self, house: House, scorer: Scorer) -> None:
        """Take over when the model is loaded."""
        self.house = house
        self.scorer = scorer
        self.thread = anyio.CapacityLimiter(1)

    @cached_property
    def docs(self) -> bytes:
        """The OpenAPI document, made when it is first asked for."""
        from serving.openapi import openapi_document

        return json.dumps(openapi_document(self.house.settings, self.scorer.bundle.version)).encode()


def scoring_app(office: Callable[[], Office]) -> Router:
    """Return the application; `office` is asked at each request, as the model is loaded later."""
    return Router(
        [
            Route("/score", partial(_ask, office, "score"), methods=["POST"]),
            Route("/explain", partial(_ask, office, "explain"), methods=["POST"]),
            Route("/docs.json", partial(_docs, office), methods=["GET"]),
            Route("/metrics", _metrics, methods=["GET"]),
        ]
    )


async def _ask(office: Callable[[], Office], question: str, request: Request) -> Response:
    body = await request.body()
    here = office()
    answer_to: Callable[[bytes], Answer] = getattr(here.scorer, question)
    if len(body) < LARGE_BODY and question == "score":
        answer = answer_to(body)
    else:
        answer = await anyio.to_thread.run_sync(answer_to, body, limiter=here.thread)
    here.house.metrics.told(answer.scored, answer.refused)
    return Response(answer.body, media_type="application/json")


async def _docs(office: Callable[[], Office], request: Request) -> Response:
    return Response(office().docs, media_type="application/json")


async def _metrics(request: Request) -> Response:
    text, media_type = await anyio.to_thread.run_sync(exposition)
    return Response(text, headers={"Content-Type": media_type})
