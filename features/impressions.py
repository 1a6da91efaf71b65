"""How each kind of contact was lived against what is promised of it, and how contacts ended."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import Expr, Rows
from features.vocabulary import slug
from features.words import Phrase, kind_words

RECENT, USUAL, LONG = 30.0, 90.0, 240.0
"""Half-lives, in days, of what is lately, usually and long since felt."""
EVERY = Rows("touchpoints", ("any", True))


def faded_mean(rows: Rows, measure: str, half_life: float) -> Expr:
    """Return the mean of a measure, each answer counting half after every half-life."""
    return rows.decayed(measure, half_life) / rows.decayed(f"has:{measure}", half_life)


def by_kind(context: Context) -> Iterator[Feature]:
    """Yield how each kind of contact kept what is promised of it: its failures, its waits."""
    v, half = context.vocabulary, context.nearest_window(182)
    for kind in v.kinds:
        rows, label = Rows("touchpoints", ("kind", kind)), kind_words(kind, v)
        if len(v.kinds) == 1:
            continue  # it would say again what is said of all contacts
        if kind in v.answered.get("perceived", ()) and (
            "adequate" in v.answered or v.facts[kind].adequate is not None
        ):
            yield Feature(
                f"{slug(kind)}_failures_{half}d",
                rows.total("below_adequate", half),
                "contacts",
                f"{slug(kind)}.experience",
                Words(
                    f"{label.en}: {{value}} below what is accepted in {half} days",
                    f"{label.es}: {{value}} por debajo de lo aceptable en {half} días",
                ),
                direction=1,
            )
            yield Feature(
                f"{slug(kind)}_adequacy_last",
                rows.answer("adequacy"),
                "points",
                f"{slug(kind)}.experience",
                Words(
                    f"{label.en}: the last was {{value}} points from what is accepted",
                    f"{label.es}: la última vez, a {{value}} puntos de lo aceptable",
                ),
                direction=-1,
            )
        if kind in v.answered.get("wait_minutes", ()) and v.facts[kind].promised_minutes is not None:
            yield Feature(
                f"{slug(kind)}_days_since_promise_broken",
                rows.days_since_answer("only:wait_excess"),
                "days ago",
                f"{slug(kind)}.wait",
                Words(
                    f"{label.en}: waited longer than promised on {{value}}",
                    f"{label.es}: esperó más de lo prometido el {{value}}",
                ),
                direction=-1,
            )
            yield Feature(
                f"{slug(kind)}_wait_excess_felt",
                rows.decayed("wait_excess", USUAL),
                "minutes",
                f"{slug(kind)}.wait",
                Words(
                    f"{label.en}: {{value}} minutes beyond the promise, the latest counting most",
                    f"{label.es}: {{value}} minutos más de lo prometido; lo último pesa más",
                ),
                direction=1,
                told_by=f"{slug(kind)}_wait_last",
            )
        if kind in v.answered.get("wait_minutes", ()):
            yield Feature(
                f"{slug(kind)}_wait_last",
                rows.answer("wait_minutes"),
                "minutes",
                f"{slug(kind)}.wait",
                _last_wait(label, v.facts[kind].promised_minutes),
                direction=1,
            )
            yield Feature(
                f"{slug(kind)}_wait_usual",
                faded_mean(rows, "wait_minutes", USUAL),
                "minutes",
                f"{slug(kind)}.wait",
                Words(
                    f"{label.en}: {{value}} minutes of waiting", f"{label.es}: {{value}} minutos de espera"
                ),
                direction=1,
            )


def _last_wait(label: Phrase, promised: float | None) -> Words:
    """Return the sentence of the last wait, with what is promised beside it."""
    en, es = f"{label.en}: waited {{value}} minutes", f"{label.es}: esperó {{value}} minutos"
    if promised is None:
        return Words(f"{en} the last time", f"{es} la última vez")
    for least, length, days, días in ((2880, 1440, "days", "días"), (120, 60, "hours", "horas")):
        if promised >= least:
            return Words(
                f"{en} the last time, where {promised / length:g} {days} are promised",
                f"{es} la última vez, y lo prometido son {promised / length:g} {días}",
            )
    return Words(
        f"{en} the last time, where {promised:g} minutes are promised",
        f"{es} la última vez, y lo prometido son {promised:g} minutos",
    )


def endings(context: Context) -> Iterator[Feature]:
    """Yield how long ago a contact ended badly."""
    words = {
        "failed": Phrase("failed", "que falló"),
        "abandoned": Phrase("was abandoned", "que se abandonó"),
        "transferred": Phrase("was passed on", "que se derivó"),
        "open": Phrase("was left open", "que quedó abierto"),
    }
    for outcome in context.vocabulary.outcomes:
        if outcome in words:
            label = words[outcome]
            yield Feature(
                f"days_since_{slug(outcome)}",
                Rows("touchpoints", ("outcome", outcome)).days_since_last(),
                "days",
                "contact.outcome",
                Words(
                    f"the last contact that {label.en} was {{value}} days ago",
                    f"hace {{value}} días del último contacto {label.es}",
                ),
            )
