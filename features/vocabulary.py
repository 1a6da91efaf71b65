"""The names that the data has: which kinds, channels, items and levels get features of their own.

Fitted once, kept in the bundle. A name that is rare, or that comes up only later, counts as `other`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from features.expressions import Tag
from features.histories import Histories
from features.measures import ANSWERS, STANDARDS, Standards, measure_scale, measure_values
from features.settings import (
    Activity,
    DataSettings,
    Encounter,
    Flow,
    Stage,
    SwitchingSignal,
    TouchpointKind,
)  # fmt: skip
from features.streams import NULL, Contact, Ints, Stream

OTHER = "other"
MOST_HEARD = 60
"""At most so many pairs of a question and a kind of touchpoint get features of their own."""


@dataclass(frozen=True)
class KindFacts:
    """What the configuration says of a kind of touchpoint, in the words that features use."""

    stage: Stage
    direct: bool
    flow: Flow | None
    key: bool
    label_en: str
    label_es: str
    adequate: float | None = None
    desired: float | None = None
    promised_minutes: float | None = None
    deadline_days: float | None = None


@dataclass(frozen=True)
class Vocabulary:
    """Names with features of their own, most widespread first, and what is known of them."""

    kinds: tuple[str, ...]
    channels: tuple[str, ...]
    items: tuple[str, ...]
    outcomes: tuple[str, ...]
    measures: tuple[str, ...]
    amount_kinds: tuple[str, ...]
    """Kinds whose contacts carry amounts."""
    levels: Mapping[str, tuple[str, ...]]
    """Text attribute -> its levels."""
    numbers: tuple[str, ...]
    """Numeric attributes."""
    products: tuple[str, ...]
    facets: tuple[str, ...]
    actions: tuple[str, ...]
    streams: tuple[str, ...]
    facts: Mapping[str, KindFacts]
    encounters: Mapping[str, Encounter]
    activity: tuple[str, ...]
    answered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Measure of touchpoints (a survey answer, a wait) -> the kinds that have it."""
    heard: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Question -> the kinds of which enough customers answered it, the most answered first."""
    silent: tuple[str, ...] = ()
    """Kinds that customers answer about, but not every time."""
    declared: Mapping[str, SwitchingSignal] = field(default_factory=dict)
    """Signals of switching costs that the configuration declares and the data has."""
    changes: tuple[str, ...] = ()
    """What happens to relationships: held, committed, freed, benefit, discounted, started, ended."""
    codes: tuple[str, ...] = ()
    """Columns that name cases, agents and teams, where the touchpoints have them."""
    cased: tuple[str, ...] = ()
    """Kinds of which some belong to a case."""
    failing: tuple[str, ...] = ()
    """Kinds of which some ended badly, failed or abandoned."""
    opening: tuple[str, ...] = ()
    """Kinds of which some are told to be open."""
    groups: tuple[tuple[str, str | bool], ...] = ()
    """Stages, channels… that gather other contacts than any kind, or any group before them, does."""

    def tags(self, stream: str, contact: Contact) -> frozenset[Tag]:
        """Return what is true of a contact: its own names, and the groups they belong to."""
        tags: set[Tag] = {("any", True)}
        if stream != "touchpoints":
            fields = _FIELDS[stream]
            tags |= {(f, v) for f, v in zip(fields, contact, strict=True) if v is not None}
            return frozenset(tags)
        kind, channel, direct, outcome, item = contact
        facts = self.facts.get(kind or "") or _fact(kind or "", TouchpointKind())
        tags.add(("kind", kind if kind in self.kinds else OTHER))
        tags.add(("stage", facts.stage))
        tags.add(("key", facts.key))
        tags.add(("direct", facts.direct if direct is None else direct == "true"))
        if facts.flow:
            tags.add(("flow", facts.flow))
        if channel is not None:
            tags.add(("channel", channel if channel in self.channels else OTHER))
            tags.add(("encounter", self.encounters.get(channel, "remote")))
        if item is not None:
            tags.add(("item", item if item in self.items else OTHER))
        if outcome is not None:
            tags.add(("outcome", outcome))
        if (kind in self.activity) if self.activity else ("direct", True) in tags:
            tags.add(("activity", True))
        return frozenset(tags)

    def promises(self, standard: str) -> bool:
        """Return whether some kind has a standard: `adequate`, `desired` or `promised_minutes`."""
        return any(getattr(facts, standard) is not None for facts in self.facts.values())

    def standards(self, contact: Contact) -> Standards:
        """Return what is promised of a touchpoint, in the order and scales of `STANDARDS`; NULL: nothing."""
        facts = self.facts.get(contact[0] or "")
        given = [None if facts is None else getattr(facts, name) for name in STANDARDS]
        return tuple(
            NULL if value is None else round(value * measure_scale(name))
            for name, value in zip(STANDARDS, given, strict=True)
        )

    def unseen(self, histories: Histories) -> dict[str, list[str]]:
        """Return the names of touchpoints that count as `other` because they are not in the vocabulary."""
        new: dict[str, set[str]] = {"kind": set(), "channel": set()}
        for contact in histories.touchpoints.contacts:
            if contact[0] is not None and contact[0] not in self.facts:
                new["kind"].add(contact[0])
            if contact[1] is not None and contact[1] not in self.encounters:
                new["channel"].add(contact[1])
        return {field: sorted(names) for field, names in new.items() if names}

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as JSON values."""
        return {**asdict(self), "declared": {k: s.model_dump() for k, s in self.declared.items()}}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Vocabulary:
        """Return the vocabulary that `to_dict` described."""
        lists = {k: tuple(v) for k, v in d.items() if isinstance(v, list | tuple) and k != "groups"}
        return cls(
            **lists,
            groups=tuple((str(field), value) for field, value in d["groups"]),
            levels={k: tuple(v) for k, v in d["levels"].items()},
            answered={k: tuple(v) for k, v in d["answered"].items()},
            heard={k: tuple(v) for k, v in d.get("heard", {}).items()},
            facts={k: KindFacts(**v) for k, v in d["facts"].items()},
            encounters=dict(d["encounters"]),
            declared={k: SwitchingSignal.model_validate(v) for k, v in d["declared"].items()},
        )


_FIELDS = {
    "attributes": ("attribute", "level"),
    "relationships": ("product", "change"),
    "wallet": (),
    "switching_costs": ("facet",),
    "treatments": ("action", "arm"),
}


def fit_vocabulary(
    histories: Histories,
    settings: DataSettings,
    activity: Activity,
    *,
    left_out: Iterable[str] = (),
) -> Vocabulary:
    """Fit the vocabulary on what is known.

    Args:
        histories: what was known before the model's date.
        settings: labels, stages and limits.
        activity: the kinds that show that a customer is with us.
        left_out: attributes of `customers` that must not become features.
    """
    limits = settings.features
    touch = histories.touchpoints
    share, n = limits.min_share, int(np.count_nonzero(np.diff(touch.offsets)))
    kinds, channels, _, outcomes, items = (_by_customers(touch, place) for place in range(5))
    amount_kinds: tuple[str, ...] = ()
    if "amount" in touch.values:
        amount_kinds = tuple(sorted(_kinds_with(touch, "amount")))
    attributes = histories.streams.get("attributes")
    levels: dict[str, tuple[str, ...]] = {}
    numbers: list[str] = []
    skip = set(left_out) | {"value"}
    if attributes is not None and attributes.n_rows:
        numbered = attributes.contact[attributes.values["number"].unpack() != NULL]
        with_number = {attributes.contacts[c][0] for c in np.unique(numbered)}
        for name in sorted({str(c[0]) for c in _contacts(attributes)} - skip):
            of_name = _by_customers(attributes, 1, only=name)
            if of_name:
                levels[name] = _widespread(of_name, 20, share, n)
            elif name in with_number:
                numbers.append(name)
    others = {s: _names(histories, s) for s in ("relationships", "switching_costs", "treatments")}
    vocabulary = Vocabulary(
        kinds=_widespread(kinds, limits.max_kinds, share, n),
        channels=_widespread(channels, limits.max_channels, share, n),
        items=_widespread(items, limits.max_items, share, n),
        outcomes=tuple(sorted(outcomes)),
        measures=tuple(name for name in touch.values if (touch.values[name].unpack() != NULL).any()),
        amount_kinds=amount_kinds,
        levels=levels,
        numbers=tuple(numbers),
        products=others["relationships"],
        facets=others["switching_costs"],
        changes=_changes(histories),
        actions=others["treatments"],
        streams=tuple(sorted(name for name, s in histories.streams.items() if s.n_rows)),
        facts={k: _fact(k, settings.touchpoints.get(k, TouchpointKind())) for k in sorted(kinds)},
        encounters={
            c: settings.channels[c].encounter if c in settings.channels else _usual_encounter(c)
            for c in sorted(channels)
        },
        activity=activity.kinds,
        answered={
            name: tuple(sorted(kinds_with))
            for name in touch.values
            if name != "amount" and (kinds_with := _kinds_with(touch, name))
        },
        heard=_heard(touch, max(1.0, share * n)),
        silent=_silent(touch),
        codes=tuple(name for name, c in touch.codes.items() if (c.unpack() != NULL).any()),
        cased=_cased(touch),
        failing=_ended(touch, "failed", "abandoned"),
        opening=_ended(touch, "open"),
    )
    return replace(vocabulary, groups=_telling_groups(vocabulary, _contacts(touch)))


def _cased(touch: Stream) -> tuple[str, ...]:
    """Return the kinds of touchpoints of which some have a case."""
    if "case_id" not in touch.codes:
        return ()
    with_case = np.unique(touch.contact[touch.codes["case_id"].unpack() != NULL])
    return tuple(sorted({str(touch.contacts[c][0]) for c in with_case}))


def _ended(touch: Stream, *outcomes: str) -> tuple[str, ...]:
    """Return the kinds of touchpoints of which some ended in one of some ways."""
    place = touch.fields.index("outcome")
    return tuple(sorted({str(c[0]) for c in _contacts(touch) if c[place] in outcomes}))


def _kinds_with(touch: Stream, measure: str) -> set[str]:
    """Return the kinds of touchpoints that have values of a measure."""
    valued = np.unique(touch.contact[touch.values[measure].unpack() != NULL])
    return {str(touch.contacts[c][0]) for c in valued}


def _heard(touch: Stream, least: float) -> dict[str, tuple[str, ...]]:
    """Return by question the kinds that at least so many customers answered it of, the most first.

    Where there are more pairs of question and kind than `MOST_HEARD`, those that most customers answered.
    """
    pairs = []
    for question in ANSWERS:
        if question in touch.values:
            told = np.flatnonzero(touch.values[question].unpack() != NULL)
            for kind, customers in _by_customers(touch, touch.fields.index("kind"), rows=told).items():
                if customers >= least:
                    pairs.append((-customers, question, kind))
    heard: dict[str, tuple[str, ...]] = {}
    for _, question, kind in sorted(pairs)[:MOST_HEARD]:
        heard[question] = (*heard.get(question, ()), kind)
    return heard


def _silent(touch: Stream) -> tuple[str, ...]:
    """Return the kinds of which some contacts are answered about and some are not."""
    empty = np.full(touch.n_rows, NULL)
    said = measure_values("said", lambda n: touch.values[n].unpack() if n in touch.values else empty) != NULL
    place = touch.fields.index("kind")
    answered, not_answered = (
        {str(touch.contacts[c][place]) for c in np.unique(touch.contact[some])} for some in (said, ~said)
    )
    return tuple(sorted(answered & not_answered))


def _telling_groups(vocabulary: Vocabulary, contacts: list[Contact]) -> tuple[tuple[str, str | bool], ...]:
    """Return the groups of contacts that say something which no kind, and no group before them, says."""
    tags = [vocabulary.tags("touchpoints", contact) for contact in contacts]
    told = {frozenset(range(len(tags)))}
    for known in (("activity", True), *(("kind", kind) for kind in (*vocabulary.kinds, OTHER))):
        told.add(frozenset(i for i, of in enumerate(tags) if known in of))
    found: list[tuple[str, str | bool]] = []
    candidates: list[tuple[str, str | bool]] = [("direct", False)]
    candidates += [("stage", name) for name in sorted({f.stage for f in vocabulary.facts.values()})]
    candidates += [("channel", name) for name in vocabulary.channels]
    candidates += [("encounter", name) for name in sorted(set(vocabulary.encounters.values()))]
    candidates += [("flow", name) for name in sorted({f.flow for f in vocabulary.facts.values() if f.flow})]
    for group in candidates:
        members = frozenset(i for i, of in enumerate(tags) if group in of)
        if members and members not in told:
            told.add(members)
            found.append(group)
    return tuple(found)


def slug(name: str) -> str:
    """Return a name as it stands in feature names.

    >>> slug("Fresh Fruit & Veg.")
    'fresh_fruit_veg'
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "unnamed"


def _fact(kind: str, settings: TouchpointKind) -> KindFacts:
    plain = kind.replace("_", " ")
    label = settings.label
    return KindFacts(
        settings.stage,
        settings.direct,
        settings.flow,
        settings.key,
        label.en if label else plain,
        label.es if label else plain,
        settings.adequate,
        settings.desired,
        settings.promised_minutes,
        settings.deadline_days,
    )


def _usual_encounter(channel: str) -> Encounter:
    name = channel.lower()
    if any(word in name for word in ("phone", "call", "teléfono", "telefono")):
        return "telephone"
    if any(word in name for word in ("store", "branch", "shop", "office", "visit", "tienda", "oficina")):
        return "personal"
    return "remote"


def _by_customers(
    stream: Stream, place: int, only: str | None = None, rows: Ints | None = None
) -> dict[str, int]:
    """Return how many customers have each value of a part of the contact, in all rows or in some."""
    numbers: dict[str, int] = {}
    code = np.full(len(stream.contacts), -1, np.int64)
    for c, contact in enumerate(stream.contacts):
        value = contact[place]
        if value is not None and (only is None or contact[0] == only):
            code[c] = numbers.setdefault(value, len(numbers))
    if not numbers:
        return {}
    of_row, customer = code[stream.contact], stream.customer_of_rows()
    if rows is not None:
        of_row, customer = of_row[rows], customer[rows]
    pairs = np.unique((customer * len(numbers) + of_row)[of_row >= 0])
    counts = np.bincount(pairs % len(numbers), minlength=len(numbers))
    return {name: int(counts[i]) for name, i in numbers.items() if counts[i]}


def _widespread(counts: Mapping[str, int], most: int, share: float, customers: int) -> tuple[str, ...]:
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return tuple(name for name in ranked[:most] if counts[name] >= share * customers)


def _names(histories: Histories, stream: str) -> tuple[str, ...]:
    if stream not in histories.streams:
        return ()
    return tuple(sorted({c[0] for c in _contacts(histories.streams[stream]) if c[0] is not None}))


def _changes(histories: Histories) -> tuple[str, ...]:
    stream = histories.streams.get("relationships")
    return () if stream is None else tuple(sorted({str(c[1]) for c in _contacts(stream)}))


def _contacts(stream: Stream) -> list[Contact]:
    """Return the contacts that rows have; a stream cut at a moment still lists those of later rows."""
    return [stream.contacts[c] for c in np.unique(stream.contact)]
