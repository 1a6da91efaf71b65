"""What a feature is, and all of them: fitted to a company's data, computed by the one engine."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from features import (
    contacts,
    corridor,
    experience,
    pace,
    people,
    principality,
    profile,
    recovery,
    switching_costs,
    trend,
)
from features.definition import Context, Feature, Words
from features.engine import Plan
from features.errors import CorredorError
from features.histories import Histories
from features.population import Population, fit_population
from features.settings import Activity, DataSettings
from features.signals import with_declared
from features.streams import Ints
from features.vocabulary import Vocabulary, fit_vocabulary
from features.words import Phrase, moment_words

DEFINITIONS = (
    ("contacts", contacts.define),
    ("trend", trend.define),
    ("pace", pace.define),
    ("experience", experience.define),
    ("experience", recovery.define),
    ("corridor", corridor.define),
    ("experience", people.define),
    ("profile", profile.define),
    ("switching_costs", switching_costs.define),
    ("principality", principality.define),
)
"""(Family, its definitions given the context), in the order of the columns."""
FAMILIES = tuple(dict.fromkeys(family for family, _ in DEFINITIONS))


@dataclass(frozen=True)
class FittedFeatures:
    """The features of one company: definitions, vocabulary and what was fitted of its population.

    Everything that a feature needs besides the customer's own history is in here, and goes into the
    bundle; so a snapshot does not depend on who else is asked for.
    """

    context: Context

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Every feature, in the order of the columns."""
        features: list[Feature] = []
        for family, define in DEFINITIONS:
            for feature in define(self.context):
                if not any(fnmatch.fnmatchcase(feature.name, p) for p in self.context.exclude):
                    features.append(feature.of(family))
        names = [f.name for f in features]
        repeated = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
        if repeated:
            raise CorredorError(f"features: {len(repeated)} names are defined twice (first: {repeated[0]})")
        return tuple(features)

    @cached_property
    def plan(self) -> Plan:
        """The compiled definitions."""
        return self.plan_of(self.features)

    def plan_of(
        self, features: Sequence[Feature], before: Sequence[Feature] = (), days_before: int = 0
    ) -> Plan:
        """Compile some definitions only; with `before`, others of a moment so many days before as well."""
        v = self.context.vocabulary
        return Plan(
            [f.expression for f in features],
            v.tags,
            day_offset=self.context.day_offset,
            standards=v.standards,
            paths=self.context.population.paths,
            before=[f.expression for f in before],
            days_before=days_before,
        )

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns of a snapshot."""
        return [f.name for f in self.features]

    def snapshots(
        self, histories: Histories, as_of: Ints | Sequence[int], customers: Ints | None = None
    ) -> npt.NDArray[np.float32]:
        """Return float32[customers, dates, features]; NaN is "not known".

        Args:
            histories: of any customers.
            as_of: µs UTC; only what was known strictly before each counts.
            customers: positions; all by default.
        """
        chosen = histories if customers is None else histories.select(customers)
        return self.plan.run(chosen, np.asarray(as_of, np.int64))

    @cached_property
    def places(self) -> dict[str, int]:
        """Name -> column of a snapshot."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def _moment_words(self) -> dict[str, Phrase]:
        return {}

    def moment_label(self, moment: str, language: str = "en") -> str:
        """Return a moment of truth as people call it."""
        words = self._moment_words.get(moment)
        if words is None:
            words = self._moment_words[moment] = moment_words(moment, self.context.vocabulary)
        return words.es if language == "es" else words.en

    def to_dict(self) -> dict[str, Any]:
        """Return all that was fitted, as JSON values."""
        return {**self.context.to_dict(), "features": self.names}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> FittedFeatures:
        """Return the features that `to_dict` described.

        Raises:
            CorredorError: this version defines other features than the one that fitted them.
        """
        fitted = cls(Context.from_dict({k: v for k, v in d.items() if k != "features"}))
        stored = list(d["features"])
        if fitted.names != stored:
            missing, new = set(stored) - set(fitted.names), set(fitted.names) - set(stored)
            raise CorredorError(
                "features: this version of Corredor defines other features than the one that fitted these "
                f"({len(missing)} gone, {len(new)} new). Train again, or install the version of the bundle."
            )
        return fitted

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what was fitted."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def fit_features(
    histories: Histories,
    settings: DataSettings,
    activity: Activity,
    *,
    fit_before: int,
    until: int,
    left_out: Iterable[str] = (),
) -> FittedFeatures:
    """Fit the features to a company's data.

    Args:
        histories: all that is at hand; nothing known at or after `until` is looked at.
        settings: the data's part of the configuration.
        activity: which contacts show that a customer is with us, and the horizon asked about.
        fit_before: parameters of the population come from what was known before this (µs UTC): the
            first `as_of` of the panel, so that no snapshot of it is described by its own future.
        until: names come from what was known before this (µs UTC).
        left_out: attributes of `customers` that must not become features.
    """
    vocabulary = fit_vocabulary(histories.known_before(until), settings, activity, left_out=left_out)
    offset = _day_offset(settings, until)
    vocabulary = with_declared(vocabulary, settings, histories)
    population = fit_population(histories.known_before(fit_before), vocabulary, activity, fit_before, offset)
    context = Context(
        vocabulary=vocabulary,
        population=population,
        activity=activity,
        windows=settings.features.windows_days,
        exclude=settings.features.exclude,
        day_offset=offset,
        currency=settings.project.currency,
        satisfied_from=settings.quarters.satisfied_from,
    )
    return FittedFeatures(context)


def _day_offset(settings: DataSettings, until: int) -> int:
    """Return by how many µs local days begin after UTC days, in the zone's standard time."""
    import datetime as dt

    zone = settings.project.zone
    year = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=until)).year
    offsets = [dt.datetime(year, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)]
    standard = min(o for o in offsets if o is not None)
    return -int(standard.total_seconds() * 1_000_000)


__all__ = [
    "FAMILIES",
    "Context",
    "Feature",
    "FittedFeatures",
    "Population",
    "Vocabulary",
    "Words",
    "fit_features",
]
