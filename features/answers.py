"""What customers answer, by kind and by stage: the scores, how many and how old they are, and silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from features.definition import Context, Feature, Words
from features.expressions import Expr, Rows, coalesce, lift, smaller, unknown
from features.impressions import USUAL, faded_mean
from features.vocabulary import Vocabulary, slug
from features.words import SCORES, STAGES, Phrase, kind_words

PARTS = ("effective", "easy", "enjoyable")
"""What the experience index is made of."""
INDEX = "experience_index"
_QUALITY = "service quality: Parasuraman, Zeithaml and Berry 1988, J. Retail. 64(1)"
SOURCES = {
    "nps": "recommendation: Reichheld 2003, Harv. Bus. Rev. 81(12)",
    "effort": "effort: Dixon, Freeman and Toman 2010, Harv. Bus. Rev. 88(7/8)",
    **dict.fromkeys(
        ("perceived", "tangibles", "reliability", "responsiveness", "assurance", "empathy"), _QUALITY
    ),
    INDEX: "weights fitted to churn on the early dates of the panel",
}
"""Where questions come from."""
SILENCE = "voice, and its absence: Hirschman 1970, Exit, Voice, and Loyalty"
GROUPED = {
    "perceived": Phrase("service", "servicio"),
    **{name: label for name, label in SCORES.items() if name not in PARTS},
}
"""Answers that a kind and a stage have features of, and what people call them."""


def better(measure: str) -> int:
    """Return the direction of a score: -1, the more the better; effort is asked in both directions."""
    return 0 if measure == "effort" else -1


def weighed(rows: Rows, weights: tuple[float, ...], half_life: float) -> Expr:
    """Return the experience index: the weighted mean of its parts that are known."""
    total, weight = lift(0.0), lift(0.0)
    for part, w in zip(PARTS, weights, strict=True):
        usual = faded_mean(rows, part, half_life)
        total, weight = total + w * coalesce(usual, 0.0), weight + w * (1.0 - unknown(usual))
    return total / weight


class _Group(NamedTuple):
    """Contacts that are told of together."""

    name: str
    rows: Rows
    label: Phrase
    kinds: frozenset[str]
    felt: str
    """The moment of how they were lived."""
    response: str
    """The moment of whether they are answered about."""
    least: int
    """Of how many of its kinds there must be answers: a stage with one would say again what the kind says."""


def by_group(context: Context) -> Iterator[Feature]:
    """Yield what is answered of each kind and each stage, where it tells more than what is said of all."""
    for group in _groups(context.vocabulary):
        for measure, label in GROUPED.items():
            if _tells(context.vocabulary, group, measure):
                yield _usual(context, group, measure, label)
        yield from _coverage(context, group)


def _groups(v: Vocabulary) -> Iterator[_Group]:
    for kind in v.kinds if len(v.kinds) > 1 else ():
        name, rows = slug(kind), Rows("touchpoints", ("kind", kind))
        moments = f"{name}.experience", f"{name}.response"
        yield _Group(name, rows, kind_words(kind, v), frozenset([kind]), *moments, 1)
    for field, stage in v.groups:
        if field == "stage":
            rows = Rows("touchpoints", ("stage", stage))
            kinds = frozenset(kind for kind, facts in v.facts.items() if facts.stage == stage)
            moments = "experience.stage", "experience.response"
            yield _Group(f"stage_{slug(str(stage))}", rows, STAGES[str(stage)], kinds, *moments, 2)


def _tells(v: Vocabulary, group: _Group, measure: str) -> bool:
    """Return whether enough customers answer a question of the group, and of other contacts too."""
    if measure == INDEX:
        return all(_tells(v, group, part) for part in PARTS)
    asked = set(v.answered.get(measure, ()))
    enough = group.kinds & set(v.heard.get(measure, ())) and len(group.kinds & asked) >= group.least
    told_of_all = measure in SCORES
    return bool(enough) and not (told_of_all and asked <= group.kinds)


def _usual(context: Context, group: _Group, measure: str, label: Phrase) -> Feature:
    """Return the usual answer to a question about the group, the latest counting most."""
    index = measure == INDEX
    weights = context.population.experience
    return Feature(
        f"{group.name}_{measure}_usual",
        weighed(group.rows, weights, USUAL) if index else faded_mean(group.rows, measure, USUAL),
        "0-10",
        group.felt,
        Words(f"{group.label.en}: {label.en} {{value}}", f"{group.label.es}: {label.es} {{value}}"),
        direction=better(measure),
        source=SOURCES.get(measure, ""),
    )


def _coverage(context: Context, group: _Group) -> Iterator[Feature]:
    """Yield how many contacts of the group were answered about, how long ago, and which share was.

    Where each contact comes with an answer there is no silence, and the contacts are counted elsewhere;
    a question that is only asked in one group is told with the question.
    """
    v, year = context.vocabulary, context.nearest_window(364)
    asked = {q: set(kinds) for q, kinds in v.answered.items() if q in (*SCORES, "perceived")}
    mine = [q for q in asked if asked[q] & group.kinds]
    answering = group.kinds & {kind for q in mine for kind in asked[q]}
    heard = group.kinds & {kind for kinds in v.heard.values() for kind in kinds}
    alone = len(mine) == 1 and mine[0] in SCORES and asked[mine[0]] <= group.kinds
    if not heard or not group.kinds & set(v.silent) or len(answering) < group.least or alone:
        return
    answers, label = group.rows.answered("said", year), group.label
    found: list[tuple[str, Expr, str, str, str, Words | None]] = [
        (
            *(f"responses_{year}d", answers, "answers"),
            f"{label.en}: {{value}} answers in {year} days",
            f"{label.es}: {{value}} respuestas en {year} días",
            None,
        ),
        (
            *(f"response_share_{year}d", smaller(answers / group.rows.count(year), 1.0), "share"),
            f"{label.en}: answered after {{value}} of the contacts of {year} days",
            f"{label.es}: respondió tras el {{value}} de los contactos de {year} días",
            None,
        ),
        (
            *("days_since_response", group.rows.days_since_answer("said"), "days"),
            f"{label.en}: last answered {{value}} days ago",
            f"{label.es}: respondió por última vez hace {{value}} días",
            Words(f"{label.en}: never answered", f"{label.es}: nunca ha respondido"),
        ),
    ]
    for name, expression, unit, en, es, absent in found:
        yield Feature(
            f"{group.name}_{name}",
            expression,
            unit,
            group.response,
            Words(en, es),
            source=SILENCE,
            absent=absent,
        )
