"""More or less than before: what has faded, recent windows against longer ones, adjacent windows."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import ACTIVITY, larger, smaller, sqrt
from features.vocabulary import slug
from features.words import Phrase, kind_words

HALF_LIVES = (7.0, 15.0, 30.0, 60.0, 120.0, 240.0)
WINDOW_PAIRS = ((14, 56), (28, 56), (28, 84), (28, 182), (56, 182), (84, 364))
FADED_PAIRS = ((7.0, 30.0), (15.0, 60.0), (30.0, 120.0), (15.0, 240.0))


def define(context: Context) -> Iterator[Feature]:
    """Yield the trends of activity."""
    name = slug(context.activity_name)
    label = kind_words(context.activity_name, context.vocabulary)
    yield from _faded(context, name, label)
    yield from _windows(context, name, label)
    if "amount" in context.vocabulary.measures:
        mean = ACTIVITY.mean("log_amount")
        squares = ACTIVITY.total("log_amount_squared") / ACTIVITY.answered("log_amount")
        yield Feature(
            f"{name}_amount_spread",
            sqrt(larger(squares - mean * mean, 0.0)),
            "log",
            f"{name}.value",
            Words(
                f"{label.en}: amounts vary by a factor of {{value}}",
                f"{label.es}: importes que varían por un factor de {{value}}",
            ),
        )


def _faded(context: Context, name: str, label: Phrase) -> Iterator[Feature]:
    """Yield days of activity and amounts that count less with time, and short against long memory."""
    for half_life in HALF_LIVES:
        yield Feature(
            f"{name}_faded_{half_life:g}d",
            ACTIVITY.decayed("days", half_life),
            "days",
            f"{name}.frequency",
            Words(
                f"{label.en}: {{value}} days, each counting half after {half_life:g} days",
                f"{label.es}: {{value}} días, contando cada uno la mitad a los {half_life:g} días",
            ),
            direction=-1,
        )
        if "amount" in context.vocabulary.measures:
            yield Feature(
                f"{name}_amount_faded_{half_life:g}d",
                ACTIVITY.decayed("amount", half_life),
                context.currency,
                f"{name}.value",
                Words(
                    f"{label.en}: {{value}} {context.currency}, counting half after {half_life:g} days",
                    f"{label.es}: {{value}} {context.currency}, contando la mitad a los {half_life:g} días",
                ),
            )
    for short, long in FADED_PAIRS:
        faded = [(ACTIVITY.decayed("days", h) + 0.1) / h for h in (short, long)]
        yield Feature(
            f"{name}_faded_{short:g}d_of_{long:g}d",
            faded[0] / faded[1],
            "ratio",
            f"{name}.trend",
            Words(
                f"{label.en}: {{value}} times as often lately as before",
                f"{label.es}: últimamente {{value}} veces lo de antes",
            ),
        )


def _windows(context: Context, name: str, label: Phrase) -> Iterator[Feature]:
    """Yield the recent rate against the longer one, and each window against the one before."""
    tenure = ACTIVITY.days_since_first()
    for recent, longer in (p for p in WINDOW_PAIRS if set(p) <= set(context.windows)):
        span = smaller(larger(tenure, float(recent)), float(longer))
        # half a contact, or one unit of money, on both sides: none against none is no change
        ratio = (ACTIVITY.count(recent) + 0.5) / float(recent) / ((ACTIVITY.count(longer) + 0.5) / span)
        yield Feature(
            f"{name}_rate_{recent}d_of_{longer}d",
            ratio,
            "ratio",
            f"{name}.trend",
            Words(
                f"{label.en}: {{value}} times the usual rate in the last {recent} days",
                f"{label.es}: {{value}} veces el ritmo habitual en los últimos {recent} días",
            ),
        )
        if "amount" in context.vocabulary.measures:
            spent, before = ACTIVITY.total("amount", recent), ACTIVITY.total("amount", longer)
            yield Feature(
                f"{name}_amount_rate_{recent}d_of_{longer}d",
                (spent + 1.0) / float(recent) / ((before + 1.0) / span),
                "ratio",
                f"{name}.trend",
                Words(
                    f"{label.en}: {{value}} times the usual spending in the last {recent} days",
                    f"{label.es}: {{value}} veces el gasto habitual en los últimos {recent} días",
                ),
            )
    for days in context.windows:
        if 2 * days in context.windows:
            earlier = ACTIVITY.count(2 * days) - ACTIVITY.count(days)
            yield Feature(
                f"{name}_change_{days}d",
                ACTIVITY.count(days) - earlier,
                "contacts",
                f"{name}.trend",
                Words(
                    f"{label.en}: {{value}} against the {days} days before",
                    f"{label.es}: {{value}} frente a los {days} días anteriores",
                ),
            )
