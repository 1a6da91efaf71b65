"""Frequency, recency, value, mix and breadth of the contacts of a customer."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import ACTIVITY, Rows
from features.vocabulary import OTHER, slug
from features.words import Phrase, kind_words, span_words


def touchpoints(field: str, value: object) -> Rows:
    """Return the touchpoints of one kind, or channel, or stage."""
    return Rows("touchpoints", (field, value))


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of contacts."""
    v = context.vocabulary
    named = context.activity_name
    yield from _group(
        context, slug(named), ACTIVITY, kind_words(named, v), context.windows, "amount" in v.measures
    )
    own = set(v.activity or ()) if len(v.activity or ()) == 1 else set()
    others = [k for k in v.kinds if k not in own]
    if len(v.kinds) == 1 and not v.activity:
        others = []
    few = _spread(context.windows)
    for kind in others:
        rows = touchpoints("kind", kind)
        yield from _group(context, slug(kind), rows, kind_words(kind, v), few, kind in v.amount_kinds)
        if kind in v.amount_kinds and v.activity and kind not in v.activity:
            yield from _benefit(context, slug(kind), rows, kind_words(kind, v), few)
    if others and set(v.facts) - set(v.kinds):
        yield from _group(context, OTHER, touchpoints("kind", OTHER), kind_words(OTHER, v), few, False)
    yield from _sides(context, few)
    yield from _mix(context, few)
    yield from _outcomes(context, few)
    yield from _waits(context, few)
    yield from _breadth(context)


def _group(
    context: Context, name: str, rows: Rows, label: Phrase, windows: tuple[int, ...], valued: bool
) -> Iterator[Feature]:
    """Yield how often, how long ago and how much, of some rows."""
    lowers = -1 if rows == ACTIVITY else 0  # what shows that a customer is with us
    for days in windows:
        when = span_words(days)
        yield Feature(
            f"{name}_count_{days}d",
            rows.count(days),
            "contacts",
            f"{name}.frequency",
            Words(f"{label.en}: {{value}} {when.en}", f"{label.es}: {{value}} {when.es}"),
            direction=lowers,
        )
        if valued:
            yield Feature(
                f"{name}_amount_{days}d",
                rows.total("amount", days),
                context.currency,
                f"{name}.value",
                Words(
                    f"{label.en}: {{value}} {context.currency} {when.en}",
                    f"{label.es}: {{value}} {context.currency} {when.es}",
                ),
            )
            yield Feature(
                f"{name}_mean_amount_{days}d",
                rows.total("amount", days) / rows.count(days),
                context.currency,
                f"{name}.value",
                Words(
                    f"{label.en}: {{value}} {context.currency} each {when.en}",
                    f"{label.es}: {{value}} {context.currency} cada vez {when.es}",
                ),
            )
    yield Feature(
        f"days_since_{name}",
        rows.days_since_last(),
        "days",
        f"{name}.silence",
        Words(
            f"{label.en}: the last was {{value}} days ago",
            f"{label.es}: hace {{value}} días de la última vez",
        ),
        direction=-lowers,
    )
    yield Feature(
        f"days_since_first_{name}",
        rows.days_since_first(),
        "days",
        f"{name}.start",
        Words(
            f"{label.en}: the first was {{value}} days ago",
            f"{label.es}: hace {{value}} días de la primera vez",
        ),
    )


def _benefit(
    context: Context, name: str, rows: Rows, label: Phrase, windows: tuple[int, ...]
) -> Iterator[Feature]:
    """Yield what discounts and benefits of one kind are of all that was spent or saved."""
    for days in windows:
        amount, when = rows.total("amount", days), span_words(days)
        yield Feature(
            f"{name}_amount_share_{days}d",
            amount / (amount + ACTIVITY.total("amount", days)),
            "share",
            f"{name}.value",
            Words(
                f"{label.en}: {{value}} of the money {when.en}",
                f"{label.es}: {{value}} del importe {when.es}",
            ),
        )


def _sides(context: Context, windows: tuple[int, ...]) -> Iterator[Feature]:
    """Yield what comes from us, and what gathers in a stage, encounter or flow.

    A group of contacts that is the same as a kind, or as another group, is told once.
    """
    groups = context.vocabulary.groups
    if ("direct", False) in groups:
        rows = touchpoints("direct", False)
        label = Phrase("contacts from us", "contactos nuestros")
        yield from _group(context, "impulse", rows, label, windows, False)
    if any(not f.direct for f in context.vocabulary.facts.values()):
        yield Feature(
            "impulse_response",
            ACTIVITY.count(windows[0]) / touchpoints("direct", False).count(windows[-1]),
            "ratio",
            "impulse.response",
            Words("{value} contacts for each one of ours", "{value} contactos por cada uno nuestro"),
        )
    for field, name in groups:
        if field in ("stage", "encounter", "flow"):
            for days in windows:
                yield Feature(
                    f"{field}_{slug(str(name))}_count_{days}d",
                    touchpoints(field, name).count(days),
                    "contacts",
                    "contact.mix",
                    Words(
                        f"{field} {name}: {{value}} contacts in {days} days",
                        f"{field} {name}: {{value}} contactos en {days} días",
                    ),
                )


def _mix(context: Context, windows: tuple[int, ...]) -> Iterator[Feature]:
    """Yield counts by channel and item."""
    v = context.vocabulary
    for channel in (str(name) for field, name in v.groups if field == "channel"):
        rows = touchpoints("channel", channel)
        for days in windows:
            yield Feature(
                f"channel_{slug(channel)}_count_{days}d",
                rows.count(days),
                "contacts",
                "channel.mix",
                Words(
                    f"{channel}: {{value}} contacts in {days} days",
                    f"{channel}: {{value}} contactos en {days} días",
                ),
            )
    for item in v.items:
        rows = touchpoints("item", item)
        for days in _of(context.windows, (28, 84, 182)):
            yield Feature(
                f"item_{slug(item)}_lines_{days}d",
                rows.lines(days),
                "lines",
                "item.mix",
                Words(f"{item}: {{value}} times in {days} days", f"{item}: {{value}} veces en {days} días"),
            )


def _outcomes(context: Context, windows: tuple[int, ...]) -> Iterator[Feature]:
    words = {
        "done": Phrase("done", "resueltos"),
        "abandoned": Phrase("abandoned", "abandonados"),
        "failed": Phrase("failed", "fallidos"),
        "transferred": Phrase("transferred", "transferidos"),
        "open": Phrase("open", "abiertos"),
    }
    for outcome in context.vocabulary.outcomes:
        rows, label = touchpoints("outcome", outcome), words.get(outcome, Phrase(outcome, outcome))
        for days in windows:
            yield Feature(
                f"{slug(outcome)}_count_{days}d",
                rows.count(days),
                "contacts",
                "contact.outcome",
                Words(
                    f"{{value}} contacts {label.en} in {days} days",
                    f"{{value}} contactos {label.es} en {days} días",
                ),
            )


def _waits(context: Context, windows: tuple[int, ...]) -> Iterator[Feature]:
    if "wait_minutes" in context.vocabulary.measures:
        rows = Rows("touchpoints", ("any", True))
        for days in windows:
            yield Feature(
                f"wait_minutes_mean_{days}d",
                rows.mean("wait_minutes", days),
                "minutes",
                "contact.wait",
                Words(
                    f"{{value}} minutes of waiting on average in {days} days",
                    f"{{value}} minutos de espera media en {days} días",
                ),
            )


def _breadth(context: Context) -> Iterator[Feature]:
    """Yield how many different kinds, channels and items there were."""
    v = context.vocabulary
    for field, names, moment, what in (
        ("kind", v.facts, "contact.breadth", Phrase("kinds of contact", "tipos de contacto")),
        ("channel", v.encounters, "channel.breadth", Phrase("channels", "canales")),
        ("item", v.items, "item.breadth", Phrase("different products", "productos distintos")),
    ):
        if len(names) < 2:
            continue
        rows = Rows("touchpoints", ("any", True))
        for days in _spread(context.windows):
            yield Feature(
                f"distinct_{field}s_{days}d",
                rows.distinct(field, days),
                "names",
                moment,
                Words(f"{{value}} {what.en} in {days} days", f"{{value}} {what.es} en {days} días"),
            )
        if field == "item":
            long = context.windows[-1]
            yield Feature(
                "items_per_contact",
                rows.lines(long) / rows.count(long),
                "lines",
                moment,
                Words("{value} lines each time", "{value} líneas cada vez"),
            )


def _of(windows: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the windows nearest to those wanted."""
    return tuple(sorted({min(windows, key=lambda w: abs(w - days)) for days in wanted}))


def _spread(windows: tuple[int, ...]) -> tuple[int, ...]:
    """Return a short, a middle and a long window."""
    if len(windows) <= 3:
        return windows
    short = min(windows, key=lambda w: abs(w - 28))
    middle = min(windows, key=lambda w: abs(w - 84))
    return tuple(sorted({short, middle, windows[-1]}))
