"""The people who serve: familiar faces, the impression that agents and teams leave, contacts gone wrong.

What an agent or a team leaves behind is what *other* customers said of them, shrunk to the mean of all.
"""

from __future__ import annotations

from collections.abc import Iterator

from features.corridor import since
from features.definition import Context, Feature, Words
from features.expressions import Expr, Rows
from features.faces import FACES, Face
from features.vocabulary import slug
from features.words import Phrase, kind_words

EVERY = Rows("touchpoints", ("any", True))
FELT, LONG = 60.0, 180.0


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of the people that the data names."""
    v, paths = context.vocabulary, context.population.paths
    if paths is None:
        return
    for face in FACES:
        if face.column in v.codes:
            for kind in paths.familiar(face.column):
                yield from _familiar(kind, kind_words(kind, v), face)
    if "agent_id" in v.codes:
        yield from _conflicts(context.nearest_window(364))
    for column, name, label in (
        ("agent_id", "agent", Phrase("who served", "quien atendió")),
        ("team", "team", Phrase("the team that served", "el equipo que atendió")),
    ):
        people = paths.people.get(column)
        if column in v.codes and people is not None and len(people.sums) > 1:
            yield from _quality(name, label)


def _familiar(kind: str, label: Phrase, face: Face) -> Iterator[Feature]:
    """Yield whether the customer keeps meeting the same person, or the same team."""
    rows, name = Rows("touchpoints", ("kind", kind)), slug(kind)
    kept = 1.0 - rows.decayed(face.changed, LONG) / rows.decayed(f"has:{face.changed}", LONG)
    plain, the, same = face.plain, face.the, face.same
    found: list[tuple[str, Expr, str, int, str, str]] = [
        (
            *(f"{name}_{face.kept}", kept, "share", -1),
            f"{label.en}: {{value}} with {same.en}",
            f"{label.es}: el {{value}} con {same.es}",
        ),
        (
            *(f"{name}_{face.changed}_felt", rows.decayed(face.changed, FELT), "changes", 1),
            f"{label.en}: {{value}} changes of {plain.en}, the latest counting most",
            f"{label.es}: {{value}} cambios de {plain.es}; lo último pesa más",
        ),
        (
            *(f"{name}_{face.change}", rows.days_since_answer(f"only:{face.changed}"), "days ago", -1),
            f"{label.en}: {the.en} changed on {{value}}",
            f"{label.es}: {the.es} cambió el {{value}}",
        ),
        (
            *(f"{name}_{face.bond}", since(rows.answer(face.since)), "days", -1),
            f"{label.en}: {same.en} for {{value}} days",
            f"{label.es}: {same.es} desde hace {{value}} días",
        ),
    ]
    for feature, expression, unit, direction, en, es in found:
        better = f"{name}_{face.change}" if feature.endswith("_felt") else ""
        yield Feature(feature, expression, unit, f"{name}.people", Words(en, es), direction, told_by=better)


def _conflicts(year: int) -> Iterator[Feature]:
    """Yield contacts with a person that failed, fell below what is accepted, or were passed on."""
    yield Feature(
        f"conflicts_{year}d",
        EVERY.total("conflict", year),
        "contacts",
        "people.conflict",
        Words(
            f"{{value}} contacts with a person went wrong in {year} days",
            f"{{value}} contactos con una persona salieron mal en {year} días",
        ),
        direction=1,
    )
    yield Feature(
        "conflicts_felt",
        EVERY.decayed("conflict", FELT),
        "contacts",
        "people.conflict",
        Words(
            "{value} contacts with a person went wrong, the latest counting most",
            "{value} contactos con una persona salieron mal; lo último pesa más",
        ),
        direction=1,
    )


def _quality(name: str, label: Phrase) -> Iterator[Feature]:
    """Yield the impression that those who served leave on other customers."""
    measure = f"{name}_quality"
    yield Feature(
        f"{name}_quality_usual",
        EVERY.decayed(measure, LONG) / EVERY.decayed(f"has:{measure}", LONG),
        "points",
        "people.quality",
        Words(
            f"{label.en} leaves others {{value}} points above the average",
            f"{label.es} deja a otros {{value}} puntos sobre la media",
        ),
        direction=-1,
        source="leave-one-out mean, shrunk by one-way random effects",
    )
