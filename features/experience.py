"""How contacts were lived: answers, what was promised, failures and delights, and who does not answer."""

from __future__ import annotations

from collections.abc import Iterator

from features.answers import INDEX, PARTS, SOURCES, better, by_group, weighed
from features.definition import Context, Feature, Words
from features.expressions import Expr, Rows
from features.impressions import EVERY, LONG, RECENT, USUAL, by_kind, endings, faded_mean
from features.words import SCORES, Phrase

DIRECT = Rows("touchpoints", ("direct", True))


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of experience that the data has."""
    v = context.vocabulary
    for measure, label in SCORES.items():
        if measure in v.answered:
            yield from _answers(context, measure, label)
    if set(PARTS) <= set(v.answered):
        yield from _index(context)
    if "perceived" in v.answered:
        yield from _gaps(context)
    if v.promises("promised_minutes") and "wait_minutes" in v.answered:
        yield from _promises(context)
    yield from by_kind(context)
    yield from by_group(context)
    yield from endings(context)


def _answers(context: Context, measure: str, label: Phrase) -> Iterator[Feature]:
    """Yield the last answer, the usual one, better or worse, the worst, and how much is answered."""
    moment, year = f"experience.{measure}", context.nearest_window(364)
    good = better(measure)
    definitions: list[tuple[str, Expr, str, int, str, str]] = [
        ("last", EVERY.answer(measure), "0-10", good, "{value} the last time", "{value} la última vez"),
        (
            *("usual", faded_mean(EVERY, measure, USUAL), "0-10", good),
            *("{value} on average, the latest counting most", "{value} de media; lo último pesa más"),
        ),
        (
            *(
                "change",
                faded_mean(EVERY, measure, RECENT) - faded_mean(EVERY, measure, LONG),
                "points",
                good,
            ),
            *("{value} points against before", "{value} puntos frente a lo de antes"),
        ),
        ("worst", EVERY.answer(measure, "least"), "0-10", good, "{value} at worst", "{value} en lo peor"),
    ]
    for name, expression, unit, direction, en, es in definitions:
        words = Words(f"{label.en}: {en}", f"{label.es}: {es}")
        source = SOURCES.get(measure, "")
        yield Feature(f"{measure}_{name}", expression, unit, moment, words, direction, source=source)
    yield Feature(
        f"{measure}_answers_{year}d",
        EVERY.answered(measure, year),
        "answers",
        "experience.response",
        Words(
            f"{label.en}: {{value}} answers in {year} days",
            f"{label.es}: {{value}} respuestas en {year} días",
        ),
    )
    yield Feature(
        f"{measure}_answered_share_{year}d",
        EVERY.answered(measure, year) / DIRECT.count(year),
        "share",
        "experience.response",
        Words(
            f"{label.en}: answered after {{value}} of the contacts of {year} days",
            f"{label.es}: respondió tras el {{value}} de los contactos de {year} días",
        ),
    )
    yield Feature(
        f"{measure}_days_since_answered",  # a kind may be called as its question is
        EVERY.days_since_answer(measure),
        "days",
        "experience.response",
        Words(f"{label.en}: answered {{value}} days ago", f"{label.es}: respondió hace {{value}} días"),
    )


def parts() -> list[Feature]:
    """Return what the experience index weighs: the usual answer to each of its parts."""
    words = Words("{value}", "{value}")
    return [
        Feature(part, faded_mean(EVERY, part, USUAL), "0-10", "experience.index", words) for part in PARTS
    ]


def _index(context: Context) -> Iterator[Feature]:
    """Yield the experience index: effective, easy, enjoyable, weighed by what they did to churn."""
    weights = context.population.experience
    label, source = SCORES[INDEX], SOURCES[INDEX]
    change = weighed(EVERY, weights, RECENT) - weighed(EVERY, weights, LONG)
    found: list[tuple[str, Expr, str, int, str, str]] = [
        (
            *("experience_index_usual", weighed(EVERY, weights, USUAL), "0-10", -1),
            *(f"{label.en}: {{value}} on average", f"{label.es}: {{value}} de media"),
        ),
        (
            *("experience_index_change", change, "points", -1),
            f"{label.en}: {{value}} points against before",
            f"{label.es}: {{value}} puntos frente a lo de antes",
        ),
    ]
    for name, expression, unit, direction, en, es in found:
        yield Feature(name, expression, unit, "experience.index", Words(en, es), direction, source=source)


def _gaps(context: Context) -> Iterator[Feature]:
    """Yield the service perceived against the adequate, the desired and the expected one.

    Below adequate is a failure, above desired a delight, between the two is tolerated.
    """
    v, year = context.vocabulary, context.nearest_window(364)
    half = context.nearest_window(182)
    source = "zone of tolerance: Zeithaml, Berry and Parasuraman 1993, J. Acad. Mark. Sci. 21(1)"
    found: list[tuple[str, str, Expr, str, int, str, str]] = []
    if "adequate" in v.answered or v.promises("adequate"):
        below, judged = EVERY.total("below_adequate", year), EVERY.answered("below_adequate", year)
        found += [
            (
                *("adequacy_usual", "gap", faded_mean(EVERY, "adequacy", USUAL), "points", -1),
                *(
                    "service {value} points from what is accepted",
                    "servicio a {value} puntos de lo aceptable",
                ),
            ),
            (
                *(f"failures_{half}d", "failure", EVERY.total("below_adequate", half), "contacts", 1),
                *(
                    f"{{value}} contacts below what is accepted in {half} days",
                    f"{{value}} contactos por debajo de lo aceptable en {half} días",
                ),
            ),
            (
                *(f"failure_share_{year}d", "failure", below / judged, "share", 1),
                *(
                    f"{{value}} of the judged contacts of {year} days below what is accepted",
                    f"el {{value}} de los contactos valorados en {year} días, por debajo de lo aceptable",
                ),
            ),
            (
                *(
                    "days_since_failure",
                    "failure",
                    EVERY.days_since_answer("only:below_adequate"),
                    "days",
                    -1,
                ),
                *("the last failure was {value} days ago", "hace {value} días del último fallo"),
            ),
        ]
    if v.promises("desired"):
        found += [
            (
                *("superiority_usual", "gap", faded_mean(EVERY, "superiority", USUAL), "points", -1),
                *("service {value} points from what is wished", "servicio a {value} puntos de lo deseado"),
            ),
            (
                *(f"delights_{half}d", "delight", EVERY.total("delight", half), "contacts", -1),
                *(
                    f"{{value}} contacts above what is wished in {half} days",
                    f"{{value}} contactos por encima de lo deseado en {half} días",
                ),
            ),
            (
                *("days_since_delight", "delight", EVERY.days_since_answer("only:delight"), "days", 0),
                *("the last delight was {value} days ago", "hace {value} días del último agrado"),
            ),
        ]
    if "expected" in v.answered:
        found.append(
            (
                *("expectation_gap_usual", "gap", faded_mean(EVERY, "expectation_gap", USUAL), "points", -1),
                *(
                    "service {value} points from what was expected",
                    "servicio a {value} puntos de lo esperado",
                ),
            )
        )
    for name, aspect, expression, unit, direction, en, es in found:
        yield Feature(name, expression, unit, f"experience.{aspect}", Words(en, es), direction, source=source)


def _promises(context: Context) -> Iterator[Feature]:
    """Yield waits beyond what was promised."""
    half = context.nearest_window(182)
    yield Feature(
        f"promises_broken_{half}d",
        EVERY.answered("only:wait_excess", half),
        "waits",
        "experience.promise",
        Words(
            f"{{value}} waits longer than promised in {half} days",
            f"{{value}} esperas más largas de lo prometido en {half} días",
        ),
        direction=1,
    )
    yield Feature(
        "wait_excess_usual",
        faded_mean(EVERY, "wait_excess", USUAL),
        "minutes",
        "experience.promise",
        Words("{value} minutes beyond the promise", "{value} minutos más de lo prometido"),
        direction=1,
    )
    yield Feature(
        "days_since_promise_broken",
        EVERY.days_since_answer("only:wait_excess"),
        "days",
        "experience.promise",
        Words("a promise was broken {value} days ago", "hace {value} días que se incumplió una promesa"),
        direction=-1,
    )
