"""The application of the service on a bare ASGI server: what BentoML itself costs is the difference.

`uvicorn tests.benchmarks.bare_service:app`, with the environment of `corredor serve`: the same guard, the
same desk, the same scorer, alone.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from serving.guard import Guard
from serving.service import CorredorService, house


async def ready(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ready"})


guarded = Guard(ready, house)


async def app(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Open the house as the server starts, and pass on what it is asked."""
    if scope["type"] == "lifespan":
        await receive()
        CorredorService()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    await guarded(scope, receive, send)
