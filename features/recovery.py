"""Failures, what made up for them, and double deviations: failures on top of one that nothing made up for."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import AS_OF_DAYS, Expr, Rows
from features.vocabulary import slug
from features.words import kind_words

EVERY = Rows("touchpoints", ("any", True))
FELT = 90.0
SOURCE = "double deviation: Bitner, Booms and Tetreault 1990, J. Mark. 54(1)"


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of failures and recoveries, where some contacts fail."""
    v = context.vocabulary
    if context.population.paths is None or not (v.failing or "perceived" in v.answered):
        return
    yield from _in_all(context.nearest_window(364))
    for kind in v.kinds:
        if kind in v.failing:
            yield from _again(context, kind)


def _in_all(year: int) -> Iterator[Feature]:
    failed = EVERY.total("failed", year)
    found: list[tuple[str, Expr, str, int, str, str]] = [
        (
            *("failed_felt", EVERY.decayed("failed", FELT), "contacts", 1),
            *("{value} failures, the latest counting most", "{value} fallos; lo último pesa más"),
        ),
        (
            *(f"recovered_share_{year}d", EVERY.answered("recovered", year) / failed, "share", -1),
            f"{{value}} of the failures of {year} days made up for",
            f"compensado el {{value}} de los fallos de {year} días",
        ),
        (
            *("unrecovered_days", AS_OF_DAYS - EVERY.last("unrecovered_since"), "days", 0),
            *("a failure not made up for in {value} days", "un fallo sin compensar desde hace {value} días"),
        ),
        (
            *("failures_in_a_row", EVERY.answer("deviations"), "failures", 1),
            "{value} failures in the same matter, the last time",
            "{value} fallos en el mismo asunto, la última vez",
        ),
    ]
    for name, expression, unit, direction, en, es in found:
        yield Feature(name, expression, unit, "experience.recovery", Words(en, es), direction, source=SOURCE)


def _again(context: Context, kind: str) -> Iterator[Feature]:
    """Yield failures of a kind after one of the same matter that nothing had made up for."""
    rows, label = Rows("touchpoints", ("kind", kind)), kind_words(kind, context.vocabulary)
    found: list[tuple[str, Expr, str, int, str, str]] = [
        (
            *("failed_again_felt", rows.decayed("double", FELT), "failures", 1),
            f"{label.en}: failed again {{value}} times, not made up for, the latest counting most",
            f"{label.es}: volvió a fallar {{value}} veces sin compensación; lo último pesa más",
        ),
        (
            *("days_since_failed_again", rows.days_since_answer("only:double"), "days ago", -1),
            f"{label.en}: failed again on {{value}}, not made up for",
            f"{label.es}: volvió a fallar el {{value}}, sin compensación",
        ),
    ]
    for name, expression, unit, direction, en, es in found:
        yield Feature(
            f"{slug(kind)}_{name}",
            expression,
            unit,
            f"{slug(kind)}.recovery",
            Words(en, es),
            direction,
            source=SOURCE,
            told_by=f"{slug(kind)}_days_since_failed_again" if name.endswith("_felt") else "",
        )
