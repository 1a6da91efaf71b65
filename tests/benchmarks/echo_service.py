"""A BentoML service that does nothing: what a request costs before any of our own work."""

from typing import Any

import bentoml


@bentoml.service(
    name="Echo",
    http={"host": "127.0.0.1"},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Echo:
    """Answers with what it was sent."""

    @bentoml.api
    async def echo(self, customers: Any) -> Any:
        """Return the customers."""
        return customers
