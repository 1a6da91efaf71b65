"""The application of the service on a bare ASGI server: what BentoML itself costs is the difference.

`uvicorn tests.benchmarks.bare_service:app`, with the environment of `corredor serve`: the same guard, the
same router, the same scorer, mounted alone.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serving.guard import Guard, House
from serving.keys import load_keys
from serving.loading import open_bundle
from serving.metrics import service_metrics
from serving.scorer import Scorer
from serving.settings import load_settings
from serving.web import Office, scoring_app

offices: list[Office] = []


async def ready(request: Any) -> PlainTextResponse:
    return PlainTextResponse("ready")


def open_office() -> None:
    settings = load_settings()
    scorer = Scorer(open_bundle(settings), settings)
    scorer.warm()
    offices[:] = [Office(House(settings, load_keys(), service_metrics()), scorer)]


router = scoring_app(lambda: offices[-1])
router.routes.append(Route("/readyz", ready))
guarded = Guard(router, house=lambda: offices[-1].house)


async def app(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Open the office as the server starts, and pass on what it is asked."""
    if scope["type"] == "lifespan":
        await receive()
        open_office()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    await guarded(scope, receive, send)
