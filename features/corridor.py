"""The customer's corridor: obstacles, slow steps, matters still open, and where the customer stands now."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import AS_OF_DAYS, Expr, Rows, above, coalesce, larger, where
from features.paths import Paths
from features.pathwalk import REPEAT_DAYS, STATES
from features.vocabulary import slug
from features.words import kind_words

EVERY = Rows("touchpoints", ("any", True))
DIRECT = Rows("touchpoints", ("direct", True))
FELT = 60.0
"""Half-life, in days, of what was lived through on the way."""
STEADY = 693
"""Thousandths of a log-ratio: amounts of which nine in ten stay below twice the usual are steady ones."""

_Row = tuple[str, Expr, str, int, str, str]


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of the corridor, where the data tell of one.

    It takes two kinds of direct contact, and something that tells what happened on the way: cases, who
    served, how contacts ended, or how long they were waited for. Without these the order of visits says
    little that their counts do not.
    """
    v, paths = context.vocabulary, context.population.paths
    told = bool(v.codes or v.outcomes or "wait_minutes" in v.answered)
    if paths is None or not told or sum(v.facts[kind].direct for kind in v.kinds) < 2:
        return
    half = context.nearest_window(182)
    yield from _obstacles(half)
    if "case_id" in v.codes or "open" in v.outcomes:
        yield from _open(context, paths)
    yield from _place()
    for place, kind in enumerate(v.kinds):
        yield from _of_kind(context, paths, place, kind, half)


def since(moment: Expr) -> Expr:
    """Return the days from a moment (in days since 1970) to `as_of`."""
    return AS_OF_DAYS - moment


def latest(due: Expr, passed: Expr) -> Expr:
    """Return the days since a time was up: that of an open matter when it is past, else a closed one's."""
    return coalesce(where(above(due, 0.0), due, passed), passed)


def _rows(moment: str, rows: list[_Row], source: str = "") -> Iterator[Feature]:
    """Yield features; what fades is told by its date, where there is one in the same moment."""
    dated = next((name for name, _, unit, *_ in rows if unit == "days ago"), "")
    for name, expression, unit, direction, en, es in rows:
        better = dated if name.endswith("_felt") else ""
        yield Feature(name, expression, unit, moment, Words(en, es), direction, source=source, told_by=better)


def _obstacles(half: int) -> Iterator[Feature]:
    """Yield what was in the way: repeats, channel hops, loops, transfers, slow steps, and all of it faded."""
    rows: list[_Row] = [
        (
            *("friction_felt", EVERY.decayed("friction", FELT), "obstacles", 1),
            *("{value} obstacles, the latest counting most", "{value} obstáculos; lo último pesa más"),
        ),
        (
            *(f"repeats_{half}d", DIRECT.total("repeat", half), "contacts", 0),
            f"the same again within {REPEAT_DAYS} days: {{value}} times in {half} days",
            f"lo mismo otra vez en {REPEAT_DAYS} días: {{value}} veces en {half} días",
        ),
        (
            *(f"channel_hops_{half}d", EVERY.total("hop", half), "contacts", 0),
            f"{{value}} changes of channel within a matter in {half} days",
            f"{{value}} cambios de canal en un mismo asunto en {half} días",
        ),
        (
            *(f"loops_{half}d", EVERY.total("back", half), "contacts", 0),
            f"back at an earlier step {{value}} times in {half} days",
            f"{{value}} vueltas a un paso anterior en {half} días",
        ),
        (
            *(f"transfers_{half}d", EVERY.total("transfer", half), "contacts", 0),
            f"passed on {{value}} times in {half} days",
            f"derivado {{value}} veces en {half} días",
        ),
    ]
    yield from _rows("corridor.friction", rows)
    slow: list[_Row] = [
        (
            *("slow_steps_felt", EVERY.decayed("step_late", FELT), "steps", 1),
            *("{value} steps slower than usual, the latest counting most",
              "{value} pasos más lentos de lo habitual; lo último pesa más"),
        ),
        (
            *("step_pace", EVERY.decayed("step_ratio", FELT) / EVERY.decayed("has:step_ratio", FELT)),
            *("log", 0, "steps take {value} times the usual", "los pasos tardan {value} veces lo habitual"),
        ),
        (
            *("days_since_slow_step", EVERY.days_since_answer("only:step_late"), "days ago", -1),
            *("the last slow step was on {value}", "el último paso lento fue el {value}"),
        ),
    ]  # fmt: skip
    yield from _rows("corridor.late", slow)


def _open(context: Context, paths: Paths) -> Iterator[Feature]:
    """Yield the matters that are open at `as_of`: how many, for how long, and how far beyond their time."""
    v = context.vocabulary
    rows: list[_Row] = [
        (
            *("open_matters", EVERY.last("open_matters"), "matters", 1),
            *("{value} matters still open", "{value} asuntos sin resolver"),
        ),
        (
            *("open_days", since(EVERY.last("open_since")), "days", 1),
            *("a matter open for {value} days", "un asunto abierto desde hace {value} días"),
        ),
        (
            *("overdue_days", larger(since(EVERY.last("due")), 0.0), "days", 1),
            *("the next step is {value} days overdue", "el siguiente paso lleva {value} días de retraso"),
        ),
    ]
    yield from _rows("corridor.open", rows)
    for place, kind in enumerate(v.kinds):
        label, states = kind_words(kind, v), slice(place * STATES, (place + 1) * STATES)
        if not paths.waits[states].any() and not _left_open(context, kind):
            continue
        own: list[_Row] = [
            (
                *(f"{slug(kind)}_open_days", since(EVERY.last(f"opened@{kind}")), "days", 1),
                f"{label.en}: open for {{value}} days",
                f"{label.es}: abierto desde hace {{value}} días",
            ),
            (
                *(f"{slug(kind)}_waiting_days", since(EVERY.last(f"waiting@{kind}")), "days", 1),
                f"{label.en}: waiting {{value}} days for what comes next",
                f"{label.es}: {{value}} días a la espera de lo que sigue",
            ),
        ]
        if paths.matter_due[place] >= 0:
            due = since(EVERY.last(f"overdue@{kind}"))
            passed = since(EVERY.last(f"passed@{kind}"))
            own += [
                (
                    *(f"{slug(kind)}_overdue_days", due, "days", 1),
                    f"{label.en}: {{value}} days past its time",
                    f"{label.es}: {{value}} días fuera de plazo",
                ),
                (
                    *(f"{slug(kind)}_days_since_overdue", latest(due, passed), "days ago", -1),
                    f"{label.en}: its time was up on {{value}}",
                    f"{label.es}: el plazo venció el {{value}}",
                ),
            ]
        yield from _rows(f"{slug(kind)}.open", own)


def _left_open(context: Context, kind: str) -> bool:
    """Return whether contacts of a kind are told to be open."""
    return kind in context.vocabulary.opening


def _place() -> Iterator[Feature]:
    """Yield where the customer stands: how far into a matter, what usually follows, how unusual the way."""
    rows: list[_Row] = [
        (
            *("lead_on", EVERY.last("lead_on"), "share", 0),
            *("after the last contact {value} go on to another", "tras el último contacto, el {value} sigue"),
        ),
        (
            *("steps_so_far", EVERY.last("steps"), "contacts", 0),
            *("{value} contacts in the last matter", "{value} contactos en el último asunto"),
        ),
    ]
    yield from _rows("corridor.place", rows)
    surprise = EVERY.decayed("surprise", FELT) / EVERY.decayed("has:surprise", FELT)
    rows = [
        (
            *("path_surprise", surprise, "nats", 0),
            *("steps as unusual as {value}", "pasos tan inusuales como {value}"),
        )
    ]
    source = "mean negative log-likelihood under a first-order Markov chain of the company's journeys"
    yield from _rows("corridor.place", rows, source)


def _of_kind(context: Context, paths: Paths, place: int, kind: str, half: int) -> Iterator[Feature]:
    """Yield how a kind of contact was reached: late or in time; and amounts above the customer's usual."""
    v = context.vocabulary
    rows, label, name = Rows("touchpoints", ("kind", kind)), kind_words(kind, v), slug(kind)
    # journeys without a case are parted by silence alone: how long a step took tells nothing of a kind
    if "case_id" in v.codes and (paths.late[:-1, place] > 0).any() and kind in v.cased:
        slow: list[_Row] = [
            (
                *(f"{name}_slow_felt", rows.decayed("step_late", FELT), "steps", 1),
                f"{label.en}: {{value}} times later than usual, the latest counting most",
                f"{label.es}: {{value}} veces más tarde de lo habitual; lo último pesa más",
            ),
            (
                *(f"{name}_days_since_slow", rows.days_since_answer("only:step_late"), "days ago", -1),
                f"{label.en}: later than usual on {{value}}",
                f"{label.es}: más tarde de lo habitual el {{value}}",
            ),
            (
                *(f"{name}_step_last", rows.answer("step_days"), "days", 1),
                f"{label.en}: came {{value}} days after the step before, the last time",
                f"{label.es}: llegó {{value}} días después del paso anterior, la última vez",
            ),
        ]
        yield from _rows(f"{name}.wait", slow)
    if kind in v.amount_kinds and 0 <= paths.surge[place] <= STEADY:
        above: list[_Row] = [
            (
                *(f"{name}_amount_ratio", rows.answer("amount_ratio"), "log", 1),
                f"{label.en}: the last was {{value}} times the usual",
                f"{label.es}: la última fue {{value}} veces lo habitual",
            ),
            (
                *(f"{name}_surge_felt", rows.decayed("surge", FELT), "log", 1),
                f"{label.en}: {{value}} above the usual, the latest counting most",
                f"{label.es}: {{value}} por encima de lo habitual; lo último pesa más",
            ),
            (
                *(f"{name}_days_since_surge", rows.days_since_answer("only:surge"), "days ago", -1),
                f"{label.en}: more than usual on {{value}}",
                f"{label.es}: más de lo habitual el {{value}}",
            ),
        ]
        yield from _rows(f"{name}.surge", above)
