"""Calls to the scoring service about the simulated shop's customers."""

import json
from functools import lru_cache
from pathlib import Path

from serving.answers import iso
from tests.test_training.shop import AS_OF, Shop, trained_shop
from training.bundle import Bundle, save_bundle

KEY = "a-key-that-is-long-enough-0123456789"
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}


@lru_cache
def shop() -> Shop:
    return trained_shop()


@lru_cache
def touchpoints() -> dict[str, list[dict]]:
    """Return each customer's rows as a caller sends them."""
    rows: dict[str, list[dict]] = {}
    for row in shop().rows:
        sent = {k: v for k, v in row.items() if k != "customer_id"}
        rows.setdefault(row["customer_id"], []).append({**sent, "occurred_at": iso(row["occurred_at"])})
    return rows


def customer(name: str, **changes) -> dict:
    return {"customer_id": name, "as_of": iso(AS_OF), "touchpoints": touchpoints()[name], **changes}


def body(*customers: dict, **changes) -> bytes:
    return json.dumps({"customers": list(customers), **changes}).encode()


def saved_bundle(folder: Path) -> Bundle:
    return save_bundle(shop().bundle, folder)
