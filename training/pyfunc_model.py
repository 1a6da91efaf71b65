"""The model as MLflow runs it (models from code): rows of touchpoints in, one row per customer out.

MLflow executes this file when it saves or loads the model; nothing else imports it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from features.clock import as_of_us
from features.errors import CorredorError
from features.histories import build_histories
from training.bundle import load_bundle
from training.scoring import score

_TIMES = ("occurred_at", "recorded_at")
_NUMBERS = ("amount", "wait_minutes", "satisfaction", "nps", "effort")


class CorredorModel(PythonModel):  # type: ignore[misc]
    """Churn and principality probabilities as of the parameter `as_of`.

    `as_of` is an ISO date or time, a date being midnight in the project's time zone; without it, it
    is the moment after the last touchpoint given.
    """

    def load_context(self, context: Any) -> None:
        """Load the bundle; its seals are checked."""
        self.bundle = load_bundle(Path(context.artifacts["bundle"]), verify=False)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return customer_id, churn_probability and, if the model has it, principality_probability."""
        rows = model_input
        zone = self.bundle.config.project.zone
        columns: dict[str, pa.Array] = {}
        for name in rows.columns:
            values = [None if pd.isna(v) else v for v in rows[name]]
            if name in _TIMES:
                moments = [None if v is None else as_of_us(str(v), zone) for v in values]
                columns[name] = pa.array(moments, pa.timestamp("us", tz="UTC"))
            elif name in _NUMBERS:
                columns[name] = pa.array(values, pa.float64())
            else:
                columns[name] = pa.array([None if v is None else str(v) for v in values], pa.string())
        for name in ("customer_id", "occurred_at", "kind"):
            if name not in columns or columns[name].null_count:
                raise CorredorError(f"touchpoints: every row needs a {name}.")
        histories = build_histories({"touchpoints": pa.table(columns)})
        asked = (params or {}).get("as_of") or ""
        moment = as_of_us(asked, zone) if asked else histories.span()[1] + 1
        scores = score(self.bundle, histories, moment)
        result = {
            "customer_id": np.array(histories.customer_ids.to_pylist(), object),
            "churn_probability": scores.churn_probability,
        }
        if scores.principality_probability is not None:
            result["principality_probability"] = scores.principality_probability
        return pd.DataFrame(result)


set_model(CorredorModel())
