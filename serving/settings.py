"""What the service is told by its environment; the same for `corredor serve`, `bentoml serve` and a Bento."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.errors import CorredorError

PREFIX = "CORREDOR_"


class ServingSettings(BaseModel):
    """`CORREDOR_…` variables; `corredor serve` sets them from its options."""

    model_config = ConfigDict(frozen=True)

    bundle: Path | None = None
    """The folder of a bundle; without it, the champion of the workspace of `config`."""
    bundle_verified: str = ""
    """Id of the bundle that the supervisor has already opened in a child process."""
    config: Path | None = None
    max_body_bytes: int = Field(2**23, ge=1024, le=2**30)
    max_customers: int = Field(1000, ge=1, le=100_000)
    max_rows: int = Field(10_000, ge=1, le=1_000_000)
    """Rows of one table of one customer."""
    body_seconds: float = Field(10.0, gt=0, le=600)
    """A body that takes longer to arrive is refused."""
    max_waiting: int = Field(64, ge=1, le=10_000)
    """Requests that one worker holds at a time; more are asked to come again."""
    open_metrics: bool = False
    """Whether `/metrics` answers without a key."""


def load_settings(environment: Mapping[str, str] = os.environ) -> ServingSettings:
    """Read the settings from `CORREDOR_…` variables; empty ones count as not set.

    Raises:
        CorredorError: a value cannot be used; the message names the variable.
    """
    given = {
        name: environment[PREFIX + name.upper()]
        for name in ServingSettings.model_fields
        if environment.get(PREFIX + name.upper())
    }
    try:
        return ServingSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise CorredorError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}.") from None
