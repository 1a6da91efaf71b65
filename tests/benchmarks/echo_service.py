"""A BentoML service that does nothing, set as ours is: what a request costs before any of our own work.

Asked in three ways: at `/door`, before BentoML's router, where our guard answers; at `/mounted`, by a router
mounted in the service; at `/echo`, by a BentoML endpoint.
"""

import gc
from typing import Any

import bentoml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router


class Door:
    """Answers at its path, and passes on all else."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != "/door":
            return await self.app(scope, receive, send)
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
        fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})


async def mounted(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


@bentoml.asgi_app(Router([Route("/mounted", mounted, methods=["POST"])]), path="/")
@bentoml.service(
    name="Echo",
    http={"host": "127.0.0.1"},
    traffic={"timeout": 120},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": "/"},
    metrics={"enabled": False},
)
class Echo:
    """Answers with what it was sent."""

    def __init__(self) -> None:
        """Settle the memory, as our service does."""
        gc.collect()
        gc.freeze()

    @bentoml.api
    async def echo(self, customers: Any) -> Any:
        """Return the customers."""
        return customers


service: Any = Echo  # what the decorators make of the class
service.add_asgi_middleware(Door)
