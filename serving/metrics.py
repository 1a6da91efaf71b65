"""What the service counts for Prometheus: never by customer, never by a text that a caller chose."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class ServiceMetrics:
    """Counters of one worker; `exposition` gives those of all workers."""

    requests: Any
    seconds: Any
    scored: Any
    refused: Any
    model: Any
    _counted: dict[tuple[str, int], tuple[Any, Any]] = field(default_factory=dict)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer to one of the known paths; status 0 is a caller who went away."""
        counted = self._counted.get((path, status))
        if counted is None:
            counted = self.requests.labels(path, str(status)), self.seconds.labels(path)
            self._counted[path, status] = counted
        counted[0].inc()
        counted[1].observe(seconds)

    def told(self, scored: int, refused: Iterable[str]) -> None:
        """Count the customers of an answer: those scored, and the code of each who was not."""
        self.scored.inc(scored)
        for code in refused:
            self.refused.labels(code).inc()


@cache
def service_metrics() -> ServiceMetrics:
    """Return the metrics of this process, made at the first call.

    prometheus_client decides when it is imported whether it shares files with the other workers, so
    it is imported here, when the worker's environment stands.
    """
    from prometheus_client import Counter, Gauge, Histogram

    return ServiceMetrics(
        requests=Counter("corredor_requests", "Answers, by path and status.", ["path", "status"]),
        seconds=Histogram("corredor_request_seconds", "Time to an answer.", ["path"], buckets=SECONDS),
        scored=Counter("corredor_customers_scored", "Customers who got a score."),
        refused=Counter("corredor_customers_refused", "Customers who got an error of their own.", ["code"]),
        model=Gauge("corredor_model", "1 for the model in use.", ["version"], multiprocess_mode="max"),
    )


def exposition() -> tuple[bytes, str]:
    """Return the metrics of all workers as text, and its content type."""
    import prometheus_client
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry = prometheus_client.REGISTRY
    return generate_latest(registry), prometheus_client.CONTENT_TYPE_LATEST
