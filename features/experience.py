"""How contacts were lived: answers, what was promised, failures and delights, and who does not answer."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import Expr, Rows
from features.vocabulary import slug
from features.words import SCORES, Phrase, kind_words

RECENT, USUAL, LONG = 30.0, 90.0, 240.0
"""Half-lives, in days, of what is lately, usually and long since felt."""
EVERY = Rows("touchpoints", ("any", True))
DIRECT = Rows("touchpoints", ("direct", True))


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of experience that the data has."""
    v = context.vocabulary
    for measure, label in SCORES.items():
        if measure in v.answered:
            yield from _answers(context, measure, label)
    if "perceived" in v.answered:
        yield from _gaps(context)
    if v.promises("promised_minutes") and "wait_minutes" in v.answered:
        yield from _promises(context)
    yield from _kinds(context)
    yield from _ends(context)


def faded_mean(rows: Rows, measure: str, half_life: float) -> Expr:
    """Return the mean of a measure, each answer counting half after every half-life."""
    return rows.decayed(measure, half_life) / rows.decayed(f"has:{measure}", half_life)


def _answers(context: Context, measure: str, label: Phrase) -> Iterator[Feature]:
    """Yield the last answer, the usual one, better or worse, the worst, and how much is answered."""
    moment, year = f"experience.{measure}", context.nearest_window(364)
    good = 0 if measure == "effort" else -1
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
        yield Feature(f"{measure}_{name}", expression, unit, moment, words, direction)
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
        f"days_since_{measure}",
        EVERY.days_since_answer(measure),
        "days",
        "experience.response",
        Words(f"{label.en}: asked {{value}} days ago", f"{label.es}: respondió hace {{value}} días"),
    )


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


def _kinds(context: Context) -> Iterator[Feature]:
    """Yield how each kind of contact was lived: its satisfaction, its failures, its waits."""
    v, half = context.vocabulary, context.nearest_window(182)
    for kind in v.kinds:
        rows, label = Rows("touchpoints", ("kind", kind)), kind_words(kind, v)
        if len(v.kinds) == 1:
            continue  # it would say again what is said of all contacts
        if kind in v.answered.get("satisfaction", ()):
            yield Feature(
                f"{slug(kind)}_satisfaction_usual",
                faded_mean(rows, "satisfaction", USUAL),
                "0-10",
                f"{slug(kind)}.experience",
                Words(f"{label.en}: satisfaction {{value}}", f"{label.es}: satisfacción {{value}}"),
                direction=-1,
            )
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
                "days",
                f"{slug(kind)}.wait",
                Words(
                    f"{label.en}: waited longer than promised {{value}} days ago",
                    f"{label.es}: esperó más de lo prometido hace {{value}} días",
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
            )
        if kind in v.answered.get("wait_minutes", ()):
            yield Feature(
                f"{slug(kind)}_wait_last",
                rows.answer("wait_minutes"),
                "minutes",
                f"{slug(kind)}.wait",
                Words(
                    f"{label.en}: waited {{value}} minutes the last time",
                    f"{label.es}: esperó {{value}} minutos la última vez",
                ),
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


def _ends(context: Context) -> Iterator[Feature]:
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
