"""The signals of each switching cost: what the data shows by itself, and what the configuration declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from features.errors import unknown_name
from features.expressions import AS_OF_DAYS, Expr, Rows, Tag, above, coalesce
from features.faces import AGENT, FACES
from features.histories import Histories
from features.measures import DERIVED
from features.paths import Paths
from features.settings import COSTS, Cost, DataSettings, SwitchingSignal
from features.vocabulary import Vocabulary, slug
from features.words import Phrase, kind_words

FACETS: dict[Cost, tuple[str, ...]] = {
    "emotional": ("emotional", "brand", "brand_relationship", "brand_relationship_loss"),
    "psychological": ("psychological", "personal", "personal_relationship", "personal_relationship_loss"),
    "learning": ("learning", "setup", "evaluation", "procedural", "economic_risk"),
    "economic": ("economic", "benefit_loss", "monetary_loss", "financial"),
}
"""Surveyed facets by the switching cost they speak of: the procedural, financial and relational facets
of Burnham, Frels and Mahajan (2003), J. Acad. Mark. Sci. 31(2); the split in four is ours."""
WELCOMED = ("referral", "recommendation", "review", "event")
"""Kinds of touchpoints that show that the brand is welcome, by a word in their name."""
ENTANGLED = ("integration", "connect", "import", "setup", "api")
"""Kinds of touchpoints by which a customer builds on the service, by a word in their name."""
STATES = (
    *("held", "amount", "exit_fee", "accrued_benefit", "discount", "autopay", "market_amount"),
    "committed_until",
)
"""Columns of relationships that a signal can be declared of, as they stand at `as_of`."""
YEAR = 364
US_PER_DAY = 86_400_000_000

HELD = Rows("relationships", ("change", "held"))
RUNNING = Rows("relationships", ("change", "committed")).total("committed")


def days_to_end(change: str, which: str) -> Expr:
    """Return days to the `next` or `last` end of the locks of a kind; not known where none runs."""
    rows = Rows("relationships", ("change", change))
    running = above(rows.total("committed"), 0.0)
    return rows.total(f"{which}_end") / running / float(US_PER_DAY) - AS_OF_DAYS


NEXT_END, LAST_END = (days_to_end("committed", which) for which in ("next", "last"))
"""Days to the end of the commitment that ends first, and of the last one: then the customer is free."""


class Signal(NamedTuple):
    """A number that tells of one switching cost."""

    name: str
    cost: Cost
    surveyed: bool
    expression: Expr
    label: Phrase
    unit: str = "value"
    direction: int = 1
    """1: the more of it, the more leaving costs; -1: the less."""
    declared: bool = False


def cost_of(facet: str, v: Vocabulary | None = None) -> Cost:
    """Return the switching cost that a surveyed facet speaks of; economic when nothing tells."""
    for signal in v.declared.values() if v is not None else ():
        if signal.table == "switching_costs" and signal.facet == facet:
            return signal.cost
    return next((cost for cost in COSTS if slug(facet) in FACETS[cost]), "economic")


def with_declared(v: Vocabulary, settings: DataSettings, histories: Histories) -> Vocabulary:
    """Return the vocabulary with the signals that the configuration declares and the data has.

    Raises:
        CorredorError: a declared name is nowhere in its table, whatever the date: it is misspelt.
    """
    named = settings.switching_costs.items()
    return replace(v, declared={slug(n): s for n, s in named if _is_there(n, s, histories, v)})


def signals(v: Vocabulary, paths: Paths | None) -> list[Signal]:
    """Return the signals that the data has; a declared one replaces a default of the same name.

    Args:
        v: the names of the company.
        paths: what was fitted of its ways: it tells where customers meet the same person again.
    """
    found = {s.name: s for of in _DEFAULTS for s in of(v)} | {s.name: s for s in _people(v, paths)}
    for name, signal in v.declared.items():
        if signal.table != "switching_costs":  # those are told of by their facet
            found[name] = _declared(name, signal, v)
    return sorted(found.values(), key=lambda s: COSTS.index(s.cost))


def _emotional(v: Vocabulary) -> Iterator[Signal]:
    """What shows that the brand is welcome."""
    for kind in v.kinds:
        if any(word in slug(kind) for word in WELCOMED):
            yield _counted(("kind", kind), f"{slug(kind)}_count", "emotional", kind_words(kind, v))
    # where a kind of contact is all there is of a group, it would say that kind's frequency again
    if ("direct", False) in v.groups:
        label = Phrase("contacts with the brand that were welcomed", "contactos con la marca bien recibidos")
        yield _counted(("direct", False), "indirect_contacts", "emotional", label)


def _psychological(v: Vocabulary) -> Iterator[Signal]:
    """What binds to the people who serve: meeting them."""
    if ("encounter", "personal") in v.groups:
        label = Phrase("contacts in person", "contactos en persona")
        yield _counted(("encounter", "personal"), "personal_contacts", "psychological", label)


def _people(v: Vocabulary, paths: Paths | None) -> Iterator[Signal]:
    """The same person again, and for how long: of the kinds whose customers mostly meet the same one.

    Of the kinds whose customers meet ever new persons of the same team, whether it is the same team. Not both
    of one kind: a change of team is mostly one of person too, and told twice it would count for more than
    what else binds. And for how long only of persons: a bond with a person is what is asked for.
    """
    told: set[str] = set()
    for face in FACES:
        familiar = () if paths is None or face.column not in v.codes else paths.familiar(face.column)
        for kind in familiar:
            if kind not in told:
                rows, label = Rows("touchpoints", ("kind", kind)), kind_words(kind, v)
                kept = 1.0 - rows.mean(face.changed, YEAR)
                words = Phrase(f"{label.en}: with {face.same.en}", f"{label.es}: con {face.same.es}")
                yield Signal(f"{slug(kind)}_{face.kept}", "psychological", False, kept, words, "share")
                if face is AGENT:
                    bond = AS_OF_DAYS - rows.answer(face.since)
                    words = Phrase(f"{label.en}: days of the bond", f"{label.es}: días del vínculo")
                    yield Signal(f"{slug(kind)}_{face.bond}", "psychological", False, bond, words, "days")
        told.update(familiar)


def _learning(v: Vocabulary) -> Iterator[Signal]:
    """What would have to be learnt and set up again."""
    if ("encounter", "remote") in v.groups:
        label = Phrase("contacts by oneself", "contactos por su cuenta")
        yield _counted(("encounter", "remote"), "remote_contacts", "learning", label)
        remote = Rows("touchpoints", ("encounter", "remote"), ("direct", True))
        words = Phrase("self-service channels in use", "canales de autoservicio en uso")
        yield Signal(
            "remote_channels", "learning", False, remote.distinct("channel", YEAR), words, "channels"
        )
        if v.items:
            words = Phrase("features in use", "funciones en uso")
            yield Signal("features_used", "learning", False, remote.distinct("item", YEAR), words, "features")
    for kind in v.kinds:
        if any(word in slug(kind) for word in ENTANGLED):
            yield _counted(("kind", kind), f"{slug(kind)}_count", "learning", kind_words(kind, v))
    if "relationships" in v.streams:
        words = Phrase("products held", "productos contratados")
        yield Signal("products", "learning", False, HELD.total("held"), words, "products")
        words = Phrase("paid automatically", "con pago automático")
        yield Signal("autopay", "learning", False, coalesce(HELD.total("autopay"), 0.0), words, "products")


def _economic(v: Vocabulary) -> Iterator[Signal]:
    """What money would be lost."""
    if "relationships" not in v.streams:
        return
    for name, en, es in (
        ("exit_fee", "exit fee", "penalización por irse"),
        ("accrued_benefit", "benefits accrued", "ventajas acumuladas"),
        ("discount", "discounts in force", "descuentos vigentes"),
    ):
        yield Signal(name, "economic", False, HELD.total(name), Phrase(en, es), "amount")
    words = Phrase("days of commitment left", "días de permanencia")
    yield Signal("commitment_days", "economic", False, coalesce(LAST_END, 0.0), words, "days")
    words = Phrase("price against the market", "precio frente al mercado")
    gap = HELD.total("priced") / HELD.total("market_amount") - 1.0
    yield Signal("price_gap", "economic", False, gap, words, "share", -1)


def _surveyed(v: Vocabulary) -> Iterator[Signal]:
    """What customers say of it."""
    for facet in v.facets:
        told = Rows("switching_costs", ("facet", facet)).last("value")
        plain = facet.replace("_", " ")
        yield Signal(f"asked_{slug(facet)}", cost_of(facet, v), True, told, Phrase(plain, plain), "0-100")


_DEFAULTS: tuple[Callable[[Vocabulary], Iterator[Signal]], ...] = (
    *(_emotional, _psychological, _learning, _economic, _surveyed),
)


def _counted(tag: Tag, name: str, cost: Cost, label: Phrase) -> Signal:
    return Signal(name, cost, False, Rows("touchpoints", tag).count(YEAR), label, "contacts")


def _declared(name: str, s: SwitchingSignal, v: Vocabulary) -> Signal:
    """Return the signal that a section of the configuration declares."""
    plain = name.replace("_", " ")
    label = Phrase(s.label.en, s.label.es) if s.label else Phrase(plain, plain)
    expression, unit = {
        "customers": _of_customers,
        "relationships": _of_relationships,
        "touchpoints": _of_touchpoints,
    }[s.table](s)
    return Signal(name, s.cost, False, expression, label, unit, s.direction, declared=True)


def _of_customers(s: SwitchingSignal) -> tuple[Expr, str]:
    def of(column: str | None) -> Expr:
        return Rows("attributes", ("attribute", column)).last("number")

    if s.measure == "days":
        return Rows("attributes", ("attribute", s.column)).days_since_last(), "days"
    if s.against is not None:
        return of(s.column) / of(s.against) - 1.0, "share"
    return of(s.column), "value"


def _of_relationships(s: SwitchingSignal) -> tuple[Expr, str]:
    tags = [("product", s.product)] if s.product else []
    held = Rows("relationships", ("change", "held"), *tags)
    if s.column == "committed_until":
        return coalesce(LAST_END, 0.0), "days"
    if s.against is not None:
        return held.total(str(s.column)) / held.total(s.against) - 1.0, "share"
    return held.total(s.column or "held"), "amount" if s.column else "products"


def _of_touchpoints(s: SwitchingSignal) -> tuple[Expr, str]:
    names = ("kind", "channel", "encounter", "stage", "item")
    tags = [(name, value) for name in names if (value := getattr(s, name)) is not None]
    rows, days = Rows("touchpoints", *(tags or [("any", True)])), s.window_days
    measure = s.measure or ("count" if s.column is None else "last")
    column = str(s.column)
    if measure == "share":
        return rows.lines(days) / Rows("touchpoints", *_wider(tags)).lines(days), "share"
    if measure == "days":
        return rows.days_since_last(), "days"
    if measure == "distinct":
        return rows.distinct(column, days), "names"
    if measure == "count":
        return rows.count(days), "contacts"
    if measure == "last":
        return rows.answer(column), "value"
    return (rows.total if measure == "total" else rows.mean)(column, days), "value"


def _wider(tags: list[tuple[str, str]]) -> list[Tag]:
    """Return what a share is of: the same contacts whatever their item, else all that are direct."""
    without = [(name, value) for name, value in tags if name != "item"]
    if len(without) < len(tags):
        return [*without] or [("any", True)]
    return [("direct", True)]


_NAMES = {
    "touchpoints": ("kind", "channel", "item"),
    "relationships": ("product",),
    "switching_costs": ("facet",),
}
"""The names in a declared signal that must be in its table."""


def _is_there(name: str, signal: SwitchingSignal, histories: Histories, v: Vocabulary) -> bool:
    """Return whether the data has what a declared signal reads; a name that is nowhere is an error."""
    table = {"customers": "attributes"}.get(signal.table, signal.table)
    stream, where = histories.streams.get(table), f"[switching_costs.{name}]"
    if stream is None or not stream.n_rows:
        return False
    for column in filter(None, (signal.column, signal.against)):
        known = {
            "attributes": {str(c[0]) for c in stream.contacts},
            "relationships": {*STATES},
            "touchpoints": {*stream.fields, *stream.values, *DERIVED},
        }.get(table, {column})
        if column not in known:
            raise unknown_name(f"{where} column of {signal.table}", column, known)
        if table == "attributes" and column not in v.numbers:
            return False  # text, or left out because it tells the outcome
    of_own = {
        "kind": v.kinds,
        "channel": v.channels,
        "item": v.items,
        "product": v.products,
        "facet": v.facets,
    }
    for field in _NAMES.get(table, ()):
        wanted = getattr(signal, field)
        if wanted is not None:
            known = {str(c[stream.fields.index(field)]) for c in stream.contacts}
            if wanted not in known:
                raise unknown_name(f"{where} {field}", wanted, known - {"None"})
            if wanted not in of_own[field]:
                return False
    return True
