"""The scoring service: `bentoml serve serving.service:CorredorService`, or `corredor serve`.

Answers are JSON, by a Starlette router mounted in the BentoML service: strict validation, true status
codes and half the time of a BentoML endpoint. The guard stands before everything, and BentoML's own
pages stay behind it.
"""

from __future__ import annotations

import gc
import os
from typing import Any

import bentoml

from features.errors import CorredorError
from features.lean import start_lean
from serving.guard import Guard, House
from serving.keys import load_keys
from serving.launch import QUIET
from serving.loading import open_bundle, verified_id
from serving.metrics import service_metrics
from serving.settings import load_settings
from serving.web import Office, scoring_app

_offices: list[Office] = []


def office() -> Office:
    """Return what stands behind the paths; there once the worker has started."""
    return _offices[-1]


@bentoml.asgi_app(scoring_app(office), path="/")
@bentoml.service(
    workers=1,
    http={"host": "127.0.0.1", "port": 3000},
    traffic={"timeout": 120},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": "/"},  # spans that go nowhere took a sixth of a request
    metrics={"enabled": False},  # ours count by path, BentoML's by whatever path is asked for
)
class CorredorService:
    """Churn and principality of customers, with the moments of truth behind them."""

    def __init__(self) -> None:
        """Load, verify and warm the model; the worker answers when this is done."""
        gc.disable()  # what comes to be here stays
        try:
            _offices[:] = [_open_office()]
        finally:
            gc.enable()

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Refuse to start without a key or a model that opens; runs once, before there are workers."""
        os.environ.update(QUIET)
        _forget_tracking()
        try:
            load_keys()
            identity = verified_id(load_settings())
        except CorredorError as error:
            raise bentoml.exceptions.BentoMLException(str(error)) from None
        os.environ["CORREDOR_BUNDLE_VERIFIED"] = identity


_service: Any = CorredorService  # what the decorators make of the class
_service.add_asgi_middleware(Guard, house=lambda: office().house)


def _open_office() -> Office:
    start_lean()
    # imported here: the supervisor, which imports this module too, needs none of it
    from serving.scorer import Scorer

    settings, metrics = load_settings(), service_metrics()
    keys = load_keys()
    bundle = open_bundle(settings)
    scorer = Scorer(bundle, settings)
    scorer.warm()
    metrics.model.labels(bundle.version).set(1)
    return Office(House(settings, keys, metrics), scorer)


def _forget_tracking() -> None:
    """Have BentoML look again whether it may report usage; it may not."""
    from bentoml._internal.utils.analytics import usage_stats

    usage_stats.do_not_track.cache_clear()
