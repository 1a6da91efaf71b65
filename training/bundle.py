"""A trained model as a folder: LightGBM text files and `bundle.json`, sealed by SHA-256, without pickle."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from features.catalog import FittedFeatures
from features.engine import Plan
from features.errors import CorredorError
from features.holding import ranks
from features.signals import Signal, signals
from training.calibration import Calibrator
from training.config import Config
from training.forest import Forest, Predictor
from training.opening import check_opens
from training.quarters import Satisfaction, needed
from training.sealed import Sealed, seal, unseal
from training.tellers import Tellers, tellers_of

FORMAT = 2
CHURN, PRINCIPALITY = "churn", "principality"
SAMPLE_ROWS = 24
SAMPLE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Bands:
    """Calibrated churn probabilities from which a customer's risk is called elevated, and high."""

    elevated: float
    high: float

    def of(self, probability: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
        """Return 0 (low), 1 (elevated) or 2 (high) for each probability."""
        return (probability >= self.elevated).astype(np.int8) + (probability >= self.high).astype(np.int8)


@dataclass(frozen=True)
class Window:
    """What a model was trained on; moments are µs UTC."""

    until: int
    first_as_of: int
    last_as_of: int
    dates: int
    snapshots: int
    customers: int
    share: float = 1.0
    """Of all customers, what those it was trained on were drawn from; each stands for `1 / share`."""


@dataclass(frozen=True)
class Sample:
    """Feature rows and the raw scores that the model gave them, to be reproduced wherever it is opened.

    Every column is drawn on its own, so no row is the row of a customer.
    """

    X: npt.NDArray[np.float32]
    raw_scores: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Bundle:
    """All that scoring and explaining need, and nothing that names a customer."""

    fitted: FittedFeatures
    predictors: Mapping[str, Predictor]
    """Question -> model: `churn` always, `principality` when it was asked."""
    config: Config
    """The configuration it was trained with, without sources, files and databases."""
    bands: Bands
    window: Window
    sample: Sample
    measures: Mapping[str, Any] = field(default_factory=dict)
    """Measures out of time by question, model and measure; plain JSON."""
    moments: Mapping[str, Any] = field(default_factory=dict)
    """Question -> global moments of truth, as `global_moments` of `training.reasons` returns them."""
    satisfaction: Satisfaction | None = None
    """How satisfaction is estimated; None when customers were not asked enough."""
    staples: tuple[str, ...] = ()
    """The items whose breadth tells a main provider; none where that does not count."""
    beats_baselines: bool | None = None
    """Whether it was better out of time than every baseline; None when that could not be judged."""
    verdict: str = ""
    """The same in words."""
    versions: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    """SHA-256 of `bundle.json`, which seals everything; empty until saved."""

    @property
    def version(self) -> str:
        """The model version that people see: the beginning of the id."""
        return self.id[:12]

    @cached_property
    def moment_keys(self) -> tuple[str, ...]:
        """The moments of truth that the features belong to, sorted."""
        return tuple(sorted({f.moment for f in self.fitted.features}))

    @cached_property
    def moment_of_feature(self) -> npt.NDArray[np.int64]:
        """Position in `moment_keys` of each feature's moment."""
        place = {key: i for i, key in enumerate(self.moment_keys)}
        return np.array([place[f.moment] for f in self.fitted.features], np.int64)

    @cached_property
    def tellers(self) -> Tellers:
        """By which features the moments are told."""
        return tellers_of(self.fitted, self.moment_keys)

    @cached_property
    def standing_features(self) -> tuple[list[str], Plan]:
        """The features that a customer's standing is read from, and the plan of these alone."""
        names = needed(self.fitted, self.satisfaction)
        return names, self.fitted.plan_of([self.fitted.features[self.fitted.places[name]] for name in names])

    @cached_property
    def features_with_before(self) -> Plan:
        """The plan of all features, and of those that a standing is read from a step of the panel before."""
        features, places = self.fitted.features, self.fitted.places
        before = [features[places[name]] for name in needed(self.fitted, self.satisfaction)]
        return self.fitted.plan_of(features, before, self.config.training.step_days)

    @cached_property
    def signals(self) -> tuple[list[Signal], Plan]:
        """The signals of the switching costs, and the plan of their values and, after these, percentiles."""
        context = self.fitted.context
        paths = context.population.paths
        told = ranks(signals(context.vocabulary, paths), context.population.signals)
        outputs = [s.expression for s, _ in told] + [rank for _, rank in told]
        v = context.vocabulary
        plan = Plan(outputs, v.tags, day_offset=context.day_offset, standards=v.standards, paths=paths)
        return [signal for signal, _ in told], plan

    def check_sample(self) -> None:
        """Check that the model gives the stored rows the stored scores.

        Raises:
            CorredorError: it does not.
        """
        for question, predictor in self.predictors.items():
            now = predictor.forest.raw_score(self.sample.X)
            off = np.abs(now - self.sample.raw_scores[question])
            wrong = ~(off <= SAMPLE_TOLERANCE)
            if wrong.any():
                made_with = ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))
                raise CorredorError(
                    f"bundle {self.version}: {int(wrong.sum())} of {len(off)} stored rows get another "
                    f"{question} score here. It was made with {made_with}. Train again here."
                )


def draw_sample(
    X: npt.NDArray[np.float32], predictors: Mapping[str, Predictor], *, rows: int = SAMPLE_ROWS, seed: int = 0
) -> Sample:
    """Draw rows for a bundle's own check, each column on its own, and score them."""
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(X), (rows, X.shape[1]))
    drawn = np.ascontiguousarray(np.take_along_axis(X, chosen, axis=0), np.float32)
    return Sample(drawn, {question: p.forest.raw_score(drawn) for question, p in predictors.items()})


def save_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """Write the bundle as `folder`, whole or not at all; returns it with its id.

    Raises:
        CorredorError: the folder is there already and holds something else.
    """
    parts: dict[str, bytes] = {"features.json": _json(bundle.fitted.to_dict())}
    questions = {}
    for question, predictor in bundle.predictors.items():
        boosters = []
        for i, text in enumerate(predictor.forest.texts):
            boosters.append(f"{question}-{i}.txt")
            parts[boosters[-1]] = text.encode("utf-8")
        questions[question] = {
            "boosters": boosters,
            "linear": predictor.forest.linear_dict(),
            **({"start": start.to_dict()} if (start := predictor.forest.start) is not None else {}),
            "calibrator": predictor.calibrator.to_dict(),
        }
    sample = {
        "X": bundle.sample.X,
        "raw_scores": bundle.sample.raw_scores,
    }
    parts["sample.json"] = _json(sample)
    bundle = replace(bundle, versions=dict(bundle.versions) or installed_versions())
    manifest = {
        "format": FORMAT,
        "feature_names": bundle.fitted.names,
        "questions": questions,
        "config": scoring_config(bundle.config).model_dump(mode="json"),
        "bands": asdict(bundle.bands),
        "window": asdict(bundle.window),
        "measures": bundle.measures,
        "moments": bundle.moments,
        "satisfaction": bundle.satisfaction.to_dict() if bundle.satisfaction else None,
        "staples": bundle.staples,
        "beats_baselines": bundle.beats_baselines,
        "verdict": bundle.verdict,
        "versions": bundle.versions,
    }
    return replace(bundle, id=seal(folder, _plain(manifest), parts))


def load_bundle(folder: Path, *, verify: bool = True) -> Bundle:
    """Load a bundle after checking its seals.

    With `verify`, which a bundle from outside needs once, it is opened in a child process first, within
    bounds of time and memory, and has to reproduce the scores stored with it.

    Raises:
        CorredorError: something is missing, changed, unreadable, of another format, or does not fit.
    """
    sealed = unseal(folder)
    if sealed.manifest.get("format") != FORMAT:
        raise CorredorError(
            f"{folder}: is a bundle of format {sealed.manifest.get('format')!r}; this version of Corredor "
            f"reads {FORMAT}. Train again."
        )
    if verify:
        check_opens(folder, sealed.id)
    try:
        return _assemble(sealed)
    except CorredorError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ValidationError) as error:
        what = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        raise CorredorError(
            f"{folder}: its parts do not make a model ({what}). Fetch the bundle again, or train."
        ) from None


def scoring_config(config: Config) -> Config:
    """Return the configuration without what only reading data needs: sources, files, databases, folders."""
    return config.model_copy(
        update={
            "sources": {"touchpoints": ""},
            "files": {},
            "databases": {},
            "tracking": type(config.tracking)(),
            "project": config.project.model_copy(update={"data_folders": ()}),
            "folder": Path(),
        }
    )


def installed_versions() -> dict[str, str]:
    """Return the versions that a model's scores may depend on."""
    names = ("corredor", "lightgbm", "numpy", "numba", "pyarrow")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def _assemble(sealed: Sealed) -> Bundle:
    manifest = sealed.manifest
    fitted = FittedFeatures.from_dict(_parsed(sealed, "features.json"))
    names = list(fitted.names)
    if manifest["feature_names"] != names:
        raise CorredorError(
            f"bundle {sealed.id[:12]}: its features are not those its models were trained on."
        )
    predictors = {}
    for question, stored in manifest["questions"].items():
        texts = [sealed.parts[name].decode("utf-8") for name in stored["boosters"]]
        forest = Forest.from_texts(texts, stored["linear"], names, stored.get("start"))
        predictors[question] = Predictor(forest, Calibrator.from_dict(stored["calibrator"]))
    if CHURN not in predictors:
        raise CorredorError(f"bundle {sealed.id[:12]}: holds no churn model.")
    stored = _parsed(sealed, "sample.json")
    X = np.array([[np.nan if v is None else v for v in row] for row in stored["X"]], np.float32)
    if X.ndim != 2 or X.shape[1] != len(names):
        raise CorredorError(f"bundle {sealed.id[:12]}: its sample has not one column per feature.")
    scores = {q: np.array(stored["raw_scores"][q], np.float64) for q in predictors}
    return Bundle(
        fitted=fitted,
        predictors=predictors,
        config=Config.model_validate(manifest["config"]),
        bands=Bands(**manifest["bands"]),
        window=Window(**manifest["window"]),
        sample=Sample(X, scores),
        measures=manifest["measures"],
        moments=manifest["moments"],
        satisfaction=Satisfaction.from_dict(stored) if (stored := manifest["satisfaction"]) else None,
        staples=tuple(manifest.get("staples", ())),
        beats_baselines=manifest["beats_baselines"],
        verdict=manifest["verdict"],
        versions=manifest["versions"],
        id=sealed.id,
    )


def _parsed(sealed: Sealed, name: str) -> Any:
    return json.loads(sealed.parts[name].decode("utf-8"))


def _json(value: Any) -> bytes:
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False).encode("utf-8")


def _plain(value: Any) -> Any:
    """Return a value as JSON can say it: a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
