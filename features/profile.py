"""Tenure, lifecycle stage, attributes and the history of retention actions."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import ACTIVITY, Expr, Rows, above, coalesce, equals, larger, smaller, where
from features.vocabulary import slug

LIFECYCLE = ("new", "growing", "settled", "fading")
"""The stages of a customer's life, by the number that `lifecycle_stage` holds."""


def lifecycle(context: Context) -> Expr:
    """Return the lifecycle stage as a number, in the order of LIFECYCLE.

    New: with us for less than 90 days or less than the time that counts as active, whichever is
    longer. Later, the recent rate of activity against the customer's own rate: above 1.25 growing,
    below 0.6 fading, between them settled. Recent is a window about as long as an active customer may
    be silent.
    """
    tenure = tenure_days(context)
    recent, longest = context.nearest_window(context.activity.active_days), context.windows[-1]
    if recent == longest and len(context.windows) > 1:
        recent = context.windows[-2]
    usual = ACTIVITY.count(longest) / smaller(larger(ACTIVITY.days_since_first(), recent), longest)
    ratio = (ACTIVITY.count(recent) / float(recent)) / usual
    later = where(above(ratio, 1.25), 1.0, where(above(0.6 - ratio, 0.0), 3.0, 2.0))
    young = float(max(90, context.activity.active_days))
    return coalesce(where(above(young - tenure, 0.0), 0.0, later), 3.0)


def tenure_days(context: Context) -> Expr:
    """Return days with us: since `customers.since` where known, else since the first contact."""
    first = Rows("touchpoints", ("any", True)).days_since_first()
    if "since" not in context.vocabulary.numbers:
        return first
    return coalesce(Rows("attributes", ("attribute", "since")).days_since_last(), first)


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of the profile."""
    yield Feature(
        "tenure_days",
        tenure_days(context),
        "days",
        "tenure",
        Words("{value} days with us", "{value} días con nosotros"),
    )
    yield Feature(
        "lifecycle_stage",
        lifecycle(context),
        "stage",
        "tenure",
        Words("stage of the relationship: {value}", "etapa de la relación: {value}"),
    )
    v = context.vocabulary
    for name in v.numbers:
        if name != "since":
            yield Feature(
                f"attribute_{slug(name)}",
                Rows("attributes", ("attribute", name)).last("number"),
                "value",
                "profile",
                Words(f"{name}: {{value}}", f"{name}: {{value}}"),
            )
    for name, levels in v.levels.items():
        latest = Rows("attributes", ("attribute", name)).days_since_last()
        for level in levels:
            of_level = Rows("attributes", ("attribute", name), ("level", level)).days_since_last()
            yield Feature(
                f"attribute_{slug(name)}_{slug(level)}",
                coalesce(equals(of_level, latest), 0.0),
                "yes/no",
                "profile",
                Words(f"{name} is {level}: {{value}}", f"{name} es {level}: {{value}}"),
            )
    for action in v.actions:
        rows = Rows("treatments", ("action", action))
        for days in (context.nearest_window(84), context.windows[-1]):
            yield Feature(
                f"treatment_{slug(action)}_count_{days}d",
                rows.count(days),
                "actions",
                "treatment",
                Words(f"{action}: {{value}} in {days} days", f"{action}: {{value}} en {days} días"),
            )
        yield Feature(
            f"days_since_treatment_{slug(action)}",
            rows.days_since_last(),
            "days",
            "treatment",
            Words(f"{action}: {{value}} days ago", f"{action}: hace {{value}} días"),
        )
