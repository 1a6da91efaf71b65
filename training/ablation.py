"""What each family of features is worth: the same training without it, on the same later snapshots."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalog import FittedFeatures
from training.config import Config
from training.evaluate import Outcomes, measure
from training.fitting import Fit, fit_through
from training.model import Recipe
from training.panel import Panel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ablation:
    """Snapshots of a test, what the whole model says of them, and the models without one family each."""

    outcomes: Outcomes
    whole: Floats
    without: Mapping[str, Floats]


def ablate(
    fit: Fit, train: Panel, outcomes: Outcomes, X: npt.NDArray[np.float32], fitted: FittedFeatures,
    question: str, recipe: Recipe, only: Collection[str] | None = None,
) -> Ablation:  # fmt: skip
    """Train again without each family, through the gate of the whole, and score the same rows.

    Args:
        fit: the whole model.
        train: the snapshots that it was fitted on.
        outcomes: later snapshots.
        X: their features.
        fitted: the features, which know their families.
        question: `churn` or `principality`.
        recipe: of the whole model.
        only: families to do without; by default each.
    """
    families = np.array([f.family for f in fitted.features])
    without = {}
    for family in dict.fromkeys(families.tolist()):
        if only is not None and family not in only:
            continue
        less = train.X.copy()
        less[:, families == family] = np.nan
        other = fit_through(replace(train, X=less), question, recipe, fit.gate)
        without[family] = other.predictor.probability(X)
    return Ablation(outcomes, fit.predictor.probability(X), without)


def ablation_report(
    parts: Sequence[Ablation], fitted: FittedFeatures, config: Config
) -> dict[str, dict[str, Any]]:
    """Return family -> number of features, and by how much AUC and log-loss are worse without it.

    `auc_cost` and `log_loss_cost` are positive where the family helps, with paired 95 % intervals.
    """
    outcomes = Outcomes(
        *(np.concatenate([getattr(p.outcomes, n) for p in parts]) for n in ("customer", "as_of", "happened"))
    )
    models = {"whole": np.concatenate([p.whole for p in parts])}
    for family in parts[0].without:
        models[family] = np.concatenate([p.without[family] for p in parts if family in p.without])
    models = {name: p for name, p in models.items() if len(p) == len(outcomes.customer)}
    found = measure(outcomes, models, config.value, seed=config.training.seed)
    count = [f.family for f in fitted.features].count
    return {
        family: {
            "features": count(family),
            "auc_cost": found[family]["auc_behind"],
            "log_loss_cost": found[family]["log_loss_behind"],
        }
        for family in models
        if family != "whole"
    }
