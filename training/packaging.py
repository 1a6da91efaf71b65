"""The bundle as a model of MLflow's own, for people who live there; Corredor itself never loads it so."""

from __future__ import annotations

import importlib.metadata
import warnings
from pathlib import Path
from typing import Any

import features
import training
from training.bundle import PRINCIPALITY, Bundle
from training.tracking import quiet

TEXT_COLUMNS = ("customer_id", "occurred_at", "kind")
OPTIONAL_TEXT_COLUMNS = ("recorded_at", "touchpoint_id", "channel", "item", "outcome")
OPTIONAL_NUMBER_COLUMNS = ("amount", "wait_minutes", "satisfaction", "nps", "effort")
_NEEDED = (
    "mlflow-skinny",
    "lightgbm",
    "numpy",
    "numba",
    "pandas",
    "pyarrow",
    "pydantic",
    "filelock",
    "tzdata",
)


def save_mlflow_model(bundle: Bundle, bundle_folder: Path, place: Path) -> None:
    """Write `place` as a pyfunc model made from code: touchpoints in, probabilities out.

    It brings the packages `features` and `training` along, so it needs no Corredor where it is loaded.
    """
    import mlflow.pyfunc

    with quiet("mlflow.utils.environment"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an input example would carry a customer's rows
        mlflow.pyfunc.save_model(
            place,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"bundle": str(bundle_folder)},
            code_paths=[str(Path(package.__path__[0])) for package in (features, training)],
            signature=_signature(bundle),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _NEEDED],
            metadata={"bundle": bundle.id},
        )


def _signature(bundle: Bundle) -> Any:
    """One row per touchpoint in, one per customer out; strings and doubles, which every client can send."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    inputs = [ColSpec("string", name) for name in TEXT_COLUMNS]
    inputs += [ColSpec("string", name, required=False) for name in OPTIONAL_TEXT_COLUMNS]
    inputs += [ColSpec("double", name, required=False) for name in OPTIONAL_NUMBER_COLUMNS]
    outputs = [ColSpec("string", "customer_id"), ColSpec("double", "churn_probability")]
    if PRINCIPALITY in bundle.predictors:
        outputs.append(ColSpec("double", "principality_probability"))
    return ModelSignature(Schema(inputs), Schema(outputs), ParamSchema([ParamSpec("as_of", "string", "")]))
