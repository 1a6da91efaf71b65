"""A column that knows too much, and how a person is told."""

from __future__ import annotations

from dataclasses import dataclass

from features.definition import Words

KNOWN_OTHERWISE = ("customer_id", "valid_from", "recorded_at", "since", "value")
"""Columns of `customers` with a rule of their own, which says when they are known."""


@dataclass(frozen=True)
class Suspect:
    """A table or column that separates stayers from leavers more than could be known at the time.

    `column` is None when having a row at all does it; `group` says who hardly leaves: `with`, `without`
    (a value), or `level` (then `level` names it). `expected` are the leavers among their snapshots if
    they left like comparable others, `observed` those who did.
    """

    table: str
    column: str | None
    group: str
    level: str | None
    customers: int
    observed: int
    expected: float
    at_most: float
    """Upper bound of observed / expected, chance and the number of tests allowed for."""
    grew: bool = False
    """Whether it is the growth of the effect towards the end of the data that is too much."""
    restates: Words | None = None
    """What of the log's end the column says again; then nothing is counted."""

    @property
    def name(self) -> str:
        """The key for `[features] known_since`."""
        return self.table if self.column is None else f"{self.table}.{self.column}"

    def sentence(self, language: str = "en") -> str:
        """Return the warning for a person."""
        where, facts = self.name, (self.customers, self.observed, self.expected)
        if self.restates is not None:
            return self._restated(language)
        if language == "es":
            who = {
                "with": "que tienen fila" if self.column is None else "que tienen valor",
                "without": "que no tienen fila" if self.column is None else "que no tienen valor",
                "level": f"con {self.level!r}",
            }[self.group]
            return (
                f"{where}: los {facts[0]:,} clientes {who} se van mucho menos ({facts[1]} veces; por su "
                f"comportamiento se esperaban {facts[2]:.0f}){', y más cuanto más reciente' * self.grew}. "
                "Parece recogido después, de quienes seguían: "
                f"queda fuera del modelo. Si se sabía antes, indíquelo en [features.known_since]."
            )
        who = {
            "with": "who have a row" if self.column is None else "who have a value",
            "without": "who have no row" if self.column is None else "who have no value",
            "level": f"with {self.level!r}",
        }[self.group]
        more = ", and the more so the later" if self.grew else ""
        return (
            f"{where}: the {facts[0]:,} customers {who} leave far less often ({facts[1]} times, where their "
            f"behaviour leads to expect {facts[2]:.0f}){more}. It looks collected later, from those who were "
            "still there, so it is left out of the model. If it was known before, say since when in "
            f'[features.known_since]: "{where}" = "2020-01-01".'
        )

    def _restated(self, language: str) -> str:
        where, words = self.name, self.restates or Words("", "")
        if language == "es":
            return (
                f"{where}: dice lo mismo que {words.es} al final de los datos, que en fechas anteriores "
                "nadie sabía: queda fuera del modelo. Si se sabía antes, indíquelo en [features.known_since]."
            )
        return (
            f"{where}: says the same as {words.en} at the end of the data, which nobody knew on earlier "
            "dates, so it is left out of the model. If it was known before, say since when in "
            f'[features.known_since]: "{where}" = "2020-01-01".'
        )
