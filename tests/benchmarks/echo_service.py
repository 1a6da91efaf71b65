"""A BentoML service that does nothing: what a request costs before any of our own work.

Asked in two ways: at `/mounted`, by a router mounted in the service, as ours is; at `/echo`, by a BentoML
endpoint.
"""

import gc
from typing import Any

import bentoml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router


async def mounted(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


@bentoml.asgi_app(Router([Route("/mounted", mounted, methods=["POST"])]), path="/")
@bentoml.service(
    name="Echo",
    http={"host": "127.0.0.1"},
    logging={"access": {"enabled": False}},
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
