"""The scoring service: `bentoml serve serving.service:CorredorService`, or `corredor serve`.

Answers are JSON, given by the guard, which stands before BentoML's router: strict validation, true
status codes and a quarter of the time of a BentoML endpoint. BentoML's own pages stay behind it.
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
from serving.web import Office

_houses: list[House] = []


def house() -> House:
    """Return what stands behind the guard; there once the worker has started."""
    return _houses[-1]


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
            _houses[:] = [_open_house()]
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
_service.add_asgi_middleware(Guard, house=house)


def _open_house() -> House:
    start_lean()
    # imported here: the supervisor, which imports this module too, needs none of it
    from serving.scorer import Scorer

    settings, metrics = load_settings(), service_metrics()
    keys = load_keys()
    bundle = open_bundle(settings)
    scorer = Scorer(bundle, settings)
    scorer.warm()
    metrics.model.labels(bundle.version).set(1)
    return House(settings, keys, metrics, Office(settings, metrics, scorer).answer)


def _forget_tracking() -> None:
    """Have BentoML look again whether it may report usage; it may not."""
    from bentoml._internal.utils.analytics import usage_stats

    usage_stats.do_not_track.cache_clear()
