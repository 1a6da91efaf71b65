"""Satisfied is not loyal: what is felt, times what holds."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import Expr, above, coalesce, larger, smaller, unknown
from features.holding import index
from features.impressions import EVERY, USUAL, faded_mean
from features.settings import COSTS
from features.signals import RUNNING, signals

FELT = ("satisfaction", "perceived", "nps")
"""Answers, 0 to 10, that say how satisfied a customer is; the first that the customer has given counts."""


def felt(context: Context) -> Expr | None:
    """Return how satisfied a customer says to be, 0 to 10, the latest answers counting most.

    Not known of who has not answered: silence is not filled in. None where nothing is ever asked.
    """
    answered = [faded_mean(EVERY, m, USUAL) for m in FELT if m in context.vocabulary.answered]
    if not answered:
        return None
    found = answered[0]
    for other in answered[1:]:
        found = coalesce(found, other)
    return found


def held_index(context: Context) -> Expr | None:
    """Return the mean of the indices of the switching costs that are known, 0 to 100; None without any."""
    of_company = signals(context.vocabulary, context.population.paths)
    total: Expr | None = None
    known: Expr | None = None
    for cost in COSTS:
        value = index([s for s in of_company if s.cost == cost], context.population.signals)
        if value is not None:
            there = 1.0 - unknown(value)
            total = coalesce(value, 0.0) if total is None else total + coalesce(value, 0.0)
            known = there if known is None else known + there
    return None if total is None or known is None else total / known


def interactions(context: Context) -> Iterator[Feature]:
    """Yield satisfaction times switching cost: dissatisfaction that is held, and that is free to go."""
    cost, says = held_index(context), felt(context)
    if cost is None:
        return
    moment, source = (
        "switching.quarter",
        "satisfied is not loyal: Jones and Sasser 1995, Harv. Bus. Rev. 73(6)",
    )
    yield Feature(
        "switching_cost_mean",
        cost,
        "0-100",
        moment,
        Words("switching costs: {value} of 100 on average", "costes de cambio: {value} de 100 de media"),
    )
    if says is None:
        return
    answers = [EVERY.days_since_answer(m) for m in FELT if m in context.vocabulary.answered]
    age = answers[0]
    for other in answers[1:]:
        age = coalesce(smaller(age, other), coalesce(age, other))
    yield Feature(
        "satisfaction_said",
        says,
        "0-10",
        moment,
        Words("says to be satisfied with {value} of 10", "dice estar satisfecho con {value} de 10"),
        absent=_SILENT,
    )
    yield Feature(
        "days_since_satisfaction_said",
        age,
        "days",
        moment,
        Words("last said how satisfied {value} days ago", "hace {value} días que dijo cuán satisfecho está"),
        absent=_SILENT,
    )
    short = larger(context.satisfied_from - says, 0.0)
    definitions = [
        (
            *("dissatisfaction_held", short * cost / 100.0),
            *("unsatisfied and held: {value} points", "insatisfecho y retenido: {value} puntos"),
        ),
        (
            *("dissatisfaction_free", short * (100.0 - cost) / 100.0),
            *("unsatisfied and free to go: {value} points", "insatisfecho y libre de irse: {value} puntos"),
        ),
        (
            *("satisfaction_free", larger(says - context.satisfied_from, 0.0) * (100.0 - cost) / 100.0),
            *("satisfied and free to go: {value} points", "satisfecho y libre de irse: {value} puntos"),
        ),
    ]
    if "relationships" in context.vocabulary.streams:
        running = above(RUNNING, 0.0)
        definitions += [
            (
                *("dissatisfaction_committed", short * running),
                *(
                    "unsatisfied and committed: {value} points",
                    "insatisfecho y con permanencia: {value} puntos",
                ),
            ),
            (
                *("dissatisfaction_uncommitted", short * (1.0 - running)),
                *(
                    "unsatisfied without commitment: {value} points",
                    "insatisfecho y sin permanencia: {value} puntos",
                ),
            ),
        ]
    for name, expression, en, es in definitions:
        yield Feature(name, expression, "points", moment, Words(en, es), source=source, absent=_SILENT)


_SILENT = Words("has never said how satisfied", "nunca ha dicho cuán satisfecho está")
