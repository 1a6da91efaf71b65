"""The language in which features are defined: reductions of a stream, and arithmetic on them.

    purchases = Rows("touchpoints", ("kind", "purchase"))
    purchases.count(28) / purchases.count(364)

An expression is a value: equal expressions are computed once. NaN means "not known" and spreads
through arithmetic; a division by zero is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Tag = tuple[str, Any]
"""Something true of a contact: ("kind", "purchase"), ("channel", "store"), ("stage", "buy")."""

BINARY = ("add", "sub", "mul", "div", "min", "max", "gt", "eq", "pow", "coalesce", "gamma_sf")
UNARY = ("log", "log1p", "exp", "sqrt", "isnan", "normal_sf", "lgamma", "floor")


@dataclass(frozen=True)
class Expr:
    """A number per snapshot: `op` on `args`, with constants in `key`."""

    op: str
    args: tuple[Expr, ...] = ()
    key: tuple[Any, ...] = ()

    def __add__(self, other: Expr | float) -> Expr:
        return Expr("add", (self, lift(other)))

    def __radd__(self, other: float) -> Expr:
        return lift(other) + self

    def __sub__(self, other: Expr | float) -> Expr:
        return Expr("sub", (self, lift(other)))

    def __rsub__(self, other: float) -> Expr:
        return lift(other) - self

    def __mul__(self, other: Expr | float) -> Expr:
        return Expr("mul", (self, lift(other)))

    def __rmul__(self, other: float) -> Expr:
        return lift(other) * self

    def __truediv__(self, other: Expr | float) -> Expr:
        return Expr("div", (self, lift(other)))

    def __rtruediv__(self, other: float) -> Expr:
        return lift(other) / self

    def __pow__(self, other: Expr | float) -> Expr:
        return Expr("pow", (self, lift(other)))

    def __neg__(self) -> Expr:
        return lift(0.0) - self


def lift(value: Expr | float) -> Expr:
    """Return a constant as an expression."""
    return value if isinstance(value, Expr) else Expr("const", key=(float(value),))


def log(x: Expr) -> Expr:
    """Return the natural logarithm; not known at or below 0."""
    return Expr("log", (x,))


def log1p(x: Expr) -> Expr:
    """Return log(1 + x)."""
    return Expr("log1p", (x,))


def exp(x: Expr) -> Expr:
    """Return e to the x."""
    return Expr("exp", (x,))


def sqrt(x: Expr) -> Expr:
    """Return the square root; not known below 0."""
    return Expr("sqrt", (x,))


def floor(x: Expr) -> Expr:
    """Return the largest whole number not above x."""
    return Expr("floor", (x,))


def lgamma(x: Expr) -> Expr:
    """Return the logarithm of the gamma function."""
    return Expr("lgamma", (x,))


def normal_sf(x: Expr) -> Expr:
    """Return the probability that a standard normal exceeds x."""
    return Expr("normal_sf", (x,))


def gamma_sf(shape: Expr | float, x: Expr) -> Expr:
    """Return the probability that a gamma variable of unit scale exceeds x."""
    return Expr("gamma_sf", (lift(shape), x))


def unknown(x: Expr) -> Expr:
    """Return 1 where x is not known, else 0."""
    return Expr("isnan", (x,))


def coalesce(x: Expr, other: Expr | float) -> Expr:
    """Return x, or the other where x is not known."""
    return Expr("coalesce", (x, lift(other)))


def smaller(x: Expr, other: Expr | float) -> Expr:
    """Return the smaller of two; not known when either is not."""
    return Expr("min", (x, lift(other)))


def larger(x: Expr, other: Expr | float) -> Expr:
    """Return the larger of two; not known when either is not."""
    return Expr("max", (x, lift(other)))


def above(x: Expr, other: Expr | float) -> Expr:
    """Return 1 where x > other, 0 where not, not known when either is not."""
    return Expr("gt", (x, lift(other)))


def equals(x: Expr, other: Expr | float) -> Expr:
    """Return 1 where x = other, 0 where not, not known when either is not."""
    return Expr("eq", (x, lift(other)))


def where(condition: Expr, then: Expr | float, otherwise: Expr | float) -> Expr:
    """Return `then` where the condition is above 0, `otherwise` where it is 0; not known when it is not."""
    return Expr("where", (condition, lift(then), lift(otherwise)))


def step(x: Expr, edges: tuple[float, ...], values: tuple[float, ...]) -> Expr:
    """Return values[number of edges <= x]: a table of len(edges) + 1 values; not known when x is not."""
    if len(values) != len(edges) + 1:
        raise ValueError(f"{len(edges)} edges need {len(edges) + 1} values, not {len(values)}")
    return Expr("step", (x,), (edges, values))


AS_OF_DAYS = Expr("fact", key=("clock", "as_of"))
"""`as_of` in days since 1970-01-01 UTC."""


@dataclass(frozen=True)
class Rows:
    """The rows of a stream whose contact carries every one of some tags; its methods are reductions.

    Windows are days that end at `as_of`; None is all that is known. `measure` is a numeric column,
    or a derived one (`features.measures`).
    """

    stream: str
    tags: frozenset[Tag]

    def __init__(self, stream: str, *tags: Tag) -> None:
        object.__setattr__(self, "stream", stream)
        object.__setattr__(self, "tags", frozenset(tags))

    def _fact(self, kind: str, *key: Any) -> Expr:
        return Expr("fact", key=(self.stream, kind, self.tags, *key))

    def count(self, window: int | None = None) -> Expr:
        """Return the number of contacts; several lines of one contact count once."""
        return self._fact("sum", "contacts", window)

    def lines(self, window: int | None = None) -> Expr:
        """Return the number of rows."""
        return self._fact("sum", "lines", window)

    def total(self, measure: str, window: int | None = None) -> Expr:
        """Return the sum of a measure; 0 where there is none."""
        return self._fact("sum", measure, window)

    def answered(self, measure: str, window: int | None = None) -> Expr:
        """Return how many rows have a value of a measure."""
        return self._fact("sum", f"has:{measure}", window)

    def mean(self, measure: str, window: int | None = None) -> Expr:
        """Return the mean of a measure; not known where no row has one."""
        return self.total(measure, window) / self.answered(measure, window)

    def decayed(self, measure: str, half_life: float) -> Expr:
        """Return the sum of a measure, halved every so many days.

        Besides numeric columns: `contacts`, `lines`; of activity rows also `days` (with activity),
        `gaps` between them, `gap_logs` and `gap_log_squares`, each dated by the day that ends the gap.
        """
        return self._fact("decay", measure, float(half_life))

    def days_since_last(self) -> Expr:
        """Return days from the last row to `as_of`; not known without one."""
        return self._fact("track", "last", "lines")

    def days_since_first(self) -> Expr:
        """Return days from the first row to `as_of`; not known without one."""
        return self._fact("track", "first", "lines")

    def last(self, measure: str) -> Expr:
        """Return the measure of the last row; not known without one."""
        return self._fact("track", "value", measure)

    def days_since_answer(self, measure: str) -> Expr:
        """Return days from the last row that has a value of a measure; not known without one."""
        return self._fact("answer", "days", measure)

    def answer(self, measure: str, which: str = "last") -> Expr:
        """Return the `last`, `least` or `most` value of a measure so far; not known without one."""
        return self._fact("answer", which, measure)

    def distinct(self, field: str, window: int | None = None) -> Expr:
        """Return how many different values of a field of the contact there are (no value: not counted)."""
        return self._fact("distinct", field, window)

    def days(self, window: int | None = None) -> Expr:
        """Return the number of calendar days with activity (activity rows only)."""
        return self._fact("days", window)

    def weeks(self, window: int | None = None) -> Expr:
        """Return the number of calendar weeks with activity (activity rows only)."""
        return self._fact("weeks", window)

    def pace(self, statistic: str, *key: float) -> Expr:
        """Return a statistic of the gaps, in whole days, between successive days of activity.

        `n`, `mean`, `variance`, `log_mean`, `log_variance`, `longest`, `last`, `median`,
        `share_as_long` (of own gaps, those as long as the present silence), `since_gap_over` (days
        since a gap longer than key ended), `weekday_concentration` (sum of squared shares), `as_long`
        (how many of the own gaps), `silence` and `age` (days from the beginning of the last and of the
        first day of activity).
        """
        return self._fact("pace", statistic, *key)


ACTIVITY = Rows("touchpoints", ("activity", True))
"""The contacts that show that a customer is with us (`[churn] kinds`)."""
