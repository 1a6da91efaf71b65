"""A generated company for the benchmark of the night: a log of any length, a model of the frozen recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from features.catalog import fit_features
from tests.benchmarks import features as spine
from tests.benchmarks.peers import DAY
from training.bundle import Bands, Bundle, Window, draw_sample
from training.config import Config
from training.labels import churn_labels, eligible
from training.model import Predictor, Recipe, fit_forest

EACH = 50
"""Touchpoints of a customer, on average."""
LEARNT_FROM = 8_000
"""Customers that the model is trained on; the night scores others of the same company."""
AS_OF = spine.END
DATES = tuple(AS_OF - days * DAY for days in (120, 90, 60))


def config(folder: Path = Path()) -> Config:
    """Return the configuration: about 200 features, leaving is 56 days without a contact."""
    return Config.model_validate(
        {
            "project": {"name": "night", "timezone": "Europe/Madrid"},
            "files": {"log": {"path": "log.parquet"}},
            "sources": {"touchpoints": "select * from log"},
            "churn": {"active_days": 182, "horizon_days": 56},
            "features": {"windows_days": (28, 91, 364), "max_kinds": 6, "max_channels": 3},
            "folder": folder,
        }
    )


def write_log(path: Path, customers: int) -> None:
    """Write the log of so many customers as one Parquet file, in order of time."""
    spine.write_log(path, customers * EACH, customers)


def trained(folder: Path) -> Bundle:
    """Return a model of the frozen recipe: a bag of 6 forests of 400 trees, depth 3."""
    path = folder / "learnt.parquet"
    write_log(path, LEARNT_FROM)
    histories, asked = spine.load(path), config()
    path.unlink()
    fitted = fit_features(histories, asked, asked.activity, fit_before=DATES[0], until=AS_OF)
    X: Any = fitted.snapshots(histories, np.array(DATES))
    here = np.stack([eligible(histories, asked, d) for d in DATES], axis=1)
    gone = np.stack([churn_labels(histories, asked, d).value for d in DATES], axis=1)
    rows = X[here]
    forest = fit_forest(rows, gone[here], recipe=Recipe(), directions=[f.direction for f in fitted.features])
    predictors = {"churn": Predictor(forest)}
    share = float(gone[here].mean())
    return Bundle(
        fitted=fitted,
        predictors=predictors,
        config=asked,
        bands=Bands(round(1.2 * share, 4), round(min(2 * share, 0.9), 4)),
        window=Window(AS_OF, DATES[0], DATES[-1], len(DATES), len(rows), histories.n_customers),
        sample=draw_sample(rows, predictors),
    )


def with_id(bundle: Bundle, id_: str) -> Bundle:
    """Return the bundle as one that was saved."""
    return replace(bundle, id=id_)
