"""One feature, and what its definition may depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from features.expressions import ACTIVITY, Expr, Rows
from features.population import Population
from features.settings import Activity
from features.vocabulary import Vocabulary


@dataclass(frozen=True)
class Words:
    """A phrase for people, in both languages; `{value}` stands for the customer's own number."""

    en: str
    es: str


@dataclass(frozen=True)
class Feature:
    """A number known of a customer at `as_of`.

    `moment` is the moment of truth that it belongs to ("purchase.silence"); `direction` is +1 when
    more of it can only mean more risk, -1 when less, 0 when the data decide; `source` names the paper
    of a formula.
    """

    name: str
    expression: Expr
    unit: str
    moment: str
    sentence: Words
    direction: int = 0
    source: str = ""
    family: str = ""
    told_by: str = ""
    """The feature that says it better in a sentence, where that one is known."""
    absent: Words | None = None
    """What is said where the number is not known; by default that nothing is known."""

    def of(self, family: str) -> Feature:
        """Return the feature as one of a family."""
        return replace(self, family=family)


@dataclass(frozen=True)
class Context:
    """What definitions are made from: the names of the company and what was fitted of its customers."""

    vocabulary: Vocabulary
    population: Population
    activity: Activity
    windows: tuple[int, ...]
    exclude: tuple[str, ...] = ()
    day_offset: int = 0
    currency: str = "EUR"
    satisfied_from: float = 6.0
    """From where on the 0-10 scale a customer counts as satisfied."""

    @property
    def activity_name(self) -> str:
        """The word that stands for activity in names and moments: its kind, when there is just one."""
        kinds = self.activity.kinds or self.vocabulary.kinds
        return kinds[0] if len(kinds) == 1 else "contact"

    @property
    def activity_rows(self) -> Rows:
        """The contacts that show that a customer is with us."""
        return ACTIVITY

    def nearest_window(self, days: float) -> int:
        """Return the window whose length is nearest, by ratio."""
        return min(self.windows, key=lambda w: max(w / days, days / w))

    def to_dict(self) -> dict[str, Any]:
        """Return the context as JSON values."""
        return {
            "vocabulary": self.vocabulary.to_dict(),
            "population": self.population.to_dict(),
            "activity": asdict(self.activity),
            "windows": list(self.windows),
            "exclude": list(self.exclude),
            "day_offset": self.day_offset,
            "currency": self.currency,
            "satisfied_from": self.satisfied_from,
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Context:
        """Return the context that `to_dict` described."""
        activity = dict(d["activity"])
        return cls(
            vocabulary=Vocabulary.from_dict(d["vocabulary"]),
            population=Population.from_dict(d["population"]),
            activity=Activity(**{**activity, "kinds": tuple(activity["kinds"])}),
            windows=tuple(d["windows"]),
            exclude=tuple(d["exclude"]),
            day_offset=int(d["day_offset"]),
            currency=str(d["currency"]),
            satisfied_from=float(d["satisfied_from"]),
        )
