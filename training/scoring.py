"""The one function that scores: the nightly batch, the service and Spark all call it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from features.histories import Histories
from training.bundle import CHURN, PRINCIPALITY, Bundle
from training.forest import Predictor
from training.quarters import Standing, join, standing_of
from training.reasons import Floats, Ints, Side, TopMoments, roll_up, top_moments

BANDS = ("low", "elevated", "high")
CHUNK = 4096
SHORT_HISTORY = 3
"""Below so many known contacts a score is said to rest on a short history."""


BOTH_QUESTIONS: Mapping[str, Side] = MappingProxyType({CHURN: "both", PRINCIPALITY: "down"})
"""Explain what moves the risk of leaving, and what speaks against being the main provider."""


@dataclass(frozen=True)
class Explained:
    """The moments behind a question's scores: `base` + the sum of `moments` = its raw score, in log-odds."""

    moments: Floats
    base: float
    top: TopMoments


@dataclass(frozen=True)
class Scores:
    """What the model says of some customers at one moment; arrays have one element per customer.

    `customers` are positions in the histories. Explanations and features are there when reasons were
    asked for; `moments`, `base` and `top` are those of churn.
    """

    customers: Ints
    as_of: int
    churn_probability: Floats
    principality_probability: Floats | None
    """For whom we are the main provider later, if they stay."""
    raw_scores: Mapping[str, Floats]
    standing: Standing
    """Where each customer stands between satisfaction and switching costs."""
    standing_before: Standing | None
    """Where each stood a step of the panel before, if that was asked for."""
    band: npt.NDArray[np.int8]
    """Position in `BANDS`."""
    warnings: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Element -> codes: `no_history`, `short_history`, `unseen_kinds`."""
    unseen_kinds: tuple[str, ...] = ()
    """Kinds of touchpoints that the model has never seen; they counted as `other`."""
    X: npt.NDArray[np.float32] | None = None
    explained: Mapping[str, Explained] = field(default_factory=dict)
    """By question."""

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def moments(self) -> Floats | None:
        """Contributions to the risk of leaving by moment, float64[n, n_moments]."""
        return self.explained[CHURN].moments if CHURN in self.explained else None

    @property
    def base(self) -> float:
        """Where the risk of leaving starts from, in log-odds."""
        return self.explained[CHURN].base if CHURN in self.explained else 0.0

    @property
    def top(self) -> TopMoments | None:
        """The moments that moved the risk of leaving most."""
        return self.explained[CHURN].top if CHURN in self.explained else None

    def probability(self, question: str) -> Floats:
        """Return the probabilities of a question.

        Raises:
            ValueError: the model was not asked it.
        """
        found = self.churn_probability if question == CHURN else self.principality_probability
        if found is None:
            raise ValueError(f"the model does not answer {question}")
        return found


def score(
    bundle: Bundle,
    histories: Histories,
    as_of_us: int,
    customers: npt.NDArray[Any] | None = None,
    *,
    reasons: int = 0,
    explain: Mapping[str, Side] = MappingProxyType({CHURN: "both"}),
    before: bool = False,
) -> Scores:
    """Return the probabilities of some customers (all by default), and the moments behind them.

    A customer's numbers are the same to the last bit whoever is scored beside them, with or without
    reasons. Features that reasons are told from are kept, so ask for many reasons in parts.

    Args:
        bundle: the model.
        histories: what is known; rows not known strictly before `as_of_us` are not looked at.
        as_of_us: the moment of the score, µs UTC.
        customers: positions in the histories.
        reasons: how many moments of truth to give per customer; 0 explains nothing.
        explain: the questions to give them for, and which moments count (`training.reasons.Side`).
        before: also tell where they stood a step of the panel before.
    """
    n = histories.n_customers
    chosen = np.arange(n) if customers is None else np.asarray(customers, np.int64)
    dates = np.array([as_of_us], np.int64)
    names_before = bundle.standing_features[0] if before else ()
    parts, parts_before = [], []
    for low in range(0, max(len(chosen), 1), CHUNK):
        some = chosen[low : low + CHUNK]
        everyone = customers is None and len(some) == n
        those = histories if everyone else histories.select(some)
        if before:
            found, found_before = bundle.features_with_before.run_with_before(those, dates)
            X = found[:, 0]
            of = found_before[:, 0], names_before, bundle.satisfaction, bundle.config.quarters
            parts_before.append(standing_of(*of))
        else:
            X = bundle.fitted.snapshots(those, dates)[:, 0]
        parts.append(_score_rows(bundle, X, reasons, explain if reasons else {}))
    raw = {q: _joined([p.raw[q] for p in parts]) for q in bundle.predictors}
    probability = {q: bundle.predictors[q].calibrator.apply(raw[q]) for q in raw}
    warnings, unseen = _warnings(bundle, histories, as_of_us, chosen)
    explained = {q: _explained_together([p.explained[q] for p in parts]) for q in parts[0].explained}
    return Scores(
        customers=chosen,
        as_of=as_of_us,
        churn_probability=probability[CHURN],
        principality_probability=probability.get(PRINCIPALITY),
        raw_scores=raw,
        standing=join([p.standing for p in parts]),
        standing_before=join(parts_before) if before else None,
        band=bundle.bands.of(probability[CHURN]),
        warnings=warnings,
        unseen_kinds=unseen,
        X=_joined([p.X for p in parts]) if reasons else None,
        explained=explained,
    )


def standings(
    bundle: Bundle, histories: Histories, as_of_us: int, customers: npt.NDArray[Any] | None = None
) -> Standing:
    """Return where some customers (all by default) stood at a moment, without scoring them.

    The same as the standing of their scores, from the features that it is read from alone.
    """
    n = histories.n_customers if customers is None else len(customers)
    names, plan = bundle.standing_features
    parts = []
    for low in range(0, max(n, 1), CHUNK):
        high = min(low + CHUNK, n)
        some = histories.between(low, high) if customers is None else histories.select(customers[low:high])
        X = plan.run(some, np.array([as_of_us], np.int64))[:, 0]
        parts.append(standing_of(X, names, bundle.satisfaction, bundle.config.quarters))
    return join(parts)


@dataclass(frozen=True)
class _Part:
    X: npt.NDArray[np.float32]
    raw: dict[str, Floats]
    standing: Standing
    explained: dict[str, Explained]


def _score_rows(
    bundle: Bundle, X: npt.NDArray[np.float32], reasons: int, explain: Mapping[str, Side]
) -> _Part:
    raw, explained = {}, {}
    standing = standing_of(X, bundle.fitted.names, bundle.satisfaction, bundle.config.quarters)
    for question, predictor in bundle.predictors.items():
        raw[question], contributions = _score_and_explain(predictor, X, question in explain)
        if contributions is not None:
            of_features = contributions[:, :-1]
            moments = roll_up(of_features, bundle.moment_of_feature, len(bundle.moment_keys))
            top = top_moments(
                of_features,
                moments,
                raw[question],
                ~np.isnan(X),
                bundle.moment_of_feature,
                predictor.calibrator,
                reasons,
                explain[question],
            )
            base = float(contributions[0, -1]) if len(X) else 0.0
            explained[question] = Explained(moments, base, top)
    return _Part(X, raw, standing, explained)


def _explained_together(parts: list[Explained]) -> Explained:
    if len(parts) == 1:
        return parts[0]
    top = TopMoments(
        *(_joined([getattr(p.top, name) for p in parts]) for name in TopMoments.__dataclass_fields__)
    )
    return Explained(_joined([p.moments for p in parts]), parts[0].base, top)


def _score_and_explain(
    predictor: Predictor, X: npt.NDArray[np.float32], explain: bool
) -> tuple[Floats, Floats | None]:
    """Return raw scores and, when asked, contributions: one pass over the trees."""
    if not len(X):
        return np.zeros(0), np.zeros((0, X.shape[1] + 1)) if explain else None
    return predictor.forest.explain(X) if explain else (predictor.forest.raw_score(X), None)


def _joined(parts: list[Any]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _warnings(
    bundle: Bundle, histories: Histories, as_of_us: int, chosen: Ints
) -> tuple[dict[int, tuple[str, ...]], tuple[str, ...]]:
    """Return what a reader should know about some scores: by element the codes, and the unseen kinds."""
    stream = histories.touchpoints
    if len(chosen) < histories.n_customers:
        stream = stream.select(chosen)
    known = stream.known_at() < as_of_us
    if stream.opens is None and known.all():
        contacts: Ints = np.diff(stream.offsets)
    else:
        opening = known if stream.opens is None else known & (stream.opens > 0)
        contacts = _per_customer(opening, stream.offsets)
    found: dict[int, tuple[str, ...]] = {}
    for element in np.flatnonzero(contacts < SHORT_HISTORY).tolist():
        found[element] = ("short_history" if contacts[element] else "no_history",)
    seen, place = bundle.fitted.context.vocabulary.facts, stream.fields.index("kind")
    if {contact[place] for contact in stream.contacts} <= seen.keys():
        return found, ()
    new = {c: str(contact[place]) for c, contact in enumerate(stream.contacts) if contact[place] not in seen}
    is_new = np.zeros(len(stream.contacts), bool)
    is_new[list(new)] = True
    strange = is_new[stream.contact] & known
    for element in np.flatnonzero(_per_customer(strange, stream.offsets)).tolist():
        found[element] = (*found.get(element, ()), "unseen_kinds")
    return found, tuple(sorted({new[c] for c in np.unique(stream.contact[strange]).tolist()}))


def _per_customer(mask: npt.NDArray[np.bool_], offsets: Ints) -> Ints:
    if len(offsets) == 2:
        return np.array([np.count_nonzero(mask)])
    before = np.concatenate([[0], np.cumsum(mask)])
    return before[offsets[1:]] - before[offsets[:-1]]  # type: ignore[no-any-return]
