"""A small simulated shop with real models trained on it: histories whose truth is known."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow as pa

from features.catalog import fit_features
from features.histories import Histories, build_histories
from training.bundle import Bands, Bundle, Window, draw_sample
from training.calibration import Calibrator
from training.config import Config
from training.forest import Forest, Predictor
from training.model import Recipe, fit_logistic

DAY = 86_400_000_000
START = 1_600_000_000_000_000
AS_OF = START + 360 * DAY
SECRET = "postgresql://ana:hunter2@db.example/crm"


def shop_config(folder: Path, **sections) -> Config:
    labels = {"purchase": ("purchase", "compra"), "complaint": ("complaint", "reclamación")}
    return Config.model_validate(
        {
            "project": {"name": "shop", "timezone": "Europe/Madrid"},
            "sources": {"touchpoints": "select * from sales"},
            "databases": {"crm": {"uri": SECRET}},
            "churn": {"kinds": ["purchase"], "active_days": 60, "horizon_days": 30},
            "touchpoints": {k: {"label": {"en": en, "es": es}} for k, (en, es) in labels.items()},
            "folder": folder,
            **sections,
        }
    )


def shop_rows(customers: int = 300, days: int = 400, seed: int = 0) -> list[dict]:
    """Purchases at each customer's own rate until they leave; an unlucky complaint makes them leave."""
    random = np.random.default_rng(seed)
    rows = []
    for c in range(customers):
        gap, leaves, t = random.uniform(3, 20), random.uniform(100, 900), random.uniform(0, 40)
        who = {"customer_id": f"customer-{c:04d}"}
        while t < min(days, leaves):
            at, place = START + int(t * DAY), str(random.choice(["store", "web"]))
            for _ in range(random.integers(1, 3)):
                item = f"item {random.integers(6)}"
                amount = round(float(random.gamma(2, 20)), 2)
                ticket = f"{c}-{at}"
                rows.append(
                    {**who, "occurred_at": at, "kind": "purchase", "channel": place}
                    | {"touchpoint_id": ticket, "item": item, "amount": amount}
                )
            if random.random() < 0.1:
                rows.append({**who, "occurred_at": at + DAY // 2, "kind": "complaint", "channel": "phone"})
                if random.random() < 0.3:
                    leaves = min(leaves, t + 5)
            t += random.exponential(gap)
    return rows


def to_histories(rows: list[dict]) -> Histories:
    types = {"occurred_at": pa.timestamp("us", tz="UTC"), "recorded_at": pa.timestamp("us", tz="UTC")}
    types |= {"amount": pa.float64()}
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {n: pa.array([row.get(n) for row in rows], types.get(n, pa.string())) for n in names}
    return build_histories({"touchpoints": pa.table(columns)})


@dataclass(frozen=True)
class Shop:
    rows: list[dict]
    histories: Histories
    bundle: Bundle
    X: np.ndarray
    """The rows it was trained on."""


@lru_cache
def trained_shop(seed: int = 0) -> Shop:
    config = shop_config(Path())
    rows = shop_rows()
    histories = to_histories(rows)
    dates = np.array([START + d * DAY for d in range(150, 331, 30)])
    fitted = fit_features(histories, config, config.activity, fit_before=int(dates[0]), until=AS_OF)
    active = np.stack([bought(histories, d - 60 * DAY, d) for d in dates], axis=1)
    stays = np.stack([bought(histories, d, d + 30 * DAY) for d in dates], axis=1)
    often = np.stack([bought(histories, d, d + 30 * DAY, 5) for d in dates], axis=1)
    X = fitted.snapshots(histories, dates)[active]
    predictors = {
        "churn": train(X, ~stays[active], fitted.names, 3, seed, Calibrator("platt", (1.1, -0.2))),
        "principality": train(X, often[active], fitted.names, 2, seed + 10, Calibrator("identity", ())),
    }
    bundle = Bundle(
        fitted=fitted,
        predictors=predictors,
        config=config,
        bands=Bands(0.2, 0.5),
        window=Window(AS_OF, int(dates[0]), int(dates[-1]), len(dates), len(X), histories.n_customers),
        sample=draw_sample(X, predictors),
        measures={"churn": {"corredor": {"auc": 0.9, "log_loss": float("nan")}}},
        beats_baselines=True,
        verdict="better than every baseline",
    )
    return Shop(rows, histories, bundle, X)


def bought(histories: Histories, low: int, high: int, times: int = 1) -> np.ndarray:
    stream = histories.touchpoints
    when = stream.occurred_at.unpack()
    kind = np.array([contact[0] == "purchase" for contact in stream.contacts])[stream.contact]
    mine = stream.customer_of_rows()[kind & (when >= low) & (when < high)]
    return np.bincount(mine, minlength=histories.n_customers) >= times


def train(X, y, names, bag, seed, calibrator) -> Predictor:
    shape = dict(objective="binary", max_depth=3, num_leaves=8, learning_rate=0.05, min_child_samples=30)
    still = dict(feature_fraction=0.3, lambda_l2=10.0, num_threads=1, deterministic=True, verbose=-1)
    boosters = [
        lightgbm.train({**shape, **still, "seed": seed + i}, lightgbm.Dataset(X, y.astype(int)), 60)
        for i in range(bag)
    ]
    texts = tuple(booster.model_to_string() for booster in boosters)
    return Predictor(Forest(texts, fit_logistic(X, y, recipe=Recipe()), 0.3), calibrator)
