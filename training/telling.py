"""Reasons and evidence in sentences, English and Spanish, with the customer's own numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from features.clock import US_PER_DAY
from features.definition import Feature, Words
from features.profile import LIFECYCLE
from features.vocabulary import slug
from features.words import kind_words
from training.bundle import CHURN, Bundle
from training.evidence import Evidence
from training.scoring import Scores
from training.words import LANGUAGES, Language, day_of, number, percent

_STAGES_ES = dict(zip(LIFECYCLE, ("nueva", "creciente", "asentada", "en declive"), strict=True))
_SINGULAR = {
    "en": {
        "contacts": "contact",
        "days": "day",
        "weeks": "week",
        "minutes": "minute",
        "times": "time",
        "products": "product",
        "lines": "line",
        "providers": "provider",
        "commitments": "commitment",
        "gaps": "gap",
        "points": "point",
        "places": "place",
    },
    "es": {
        "contactos": "contacto",
        "días": "día",
        "semanas": "semana",
        "minutos": "minuto",
        "veces": "vez",
        "productos": "producto",
        "líneas": "línea",
        "proveedores": "proveedor",
        "compromisos": "compromiso",
        "intervalos": "intervalo",
        "puntos": "punto",
        "puestos": "puesto",
    },
}


_ONE_OF_MANY = {
    language: re.compile(rf"(?<![\d.,])1 ({'|'.join(words)})\b") for language, words in _SINGULAR.items()
}


class AsOf(NamedTuple):
    """A moment (µs UTC), and the zone in which its dates are said."""

    us: int
    zone: ZoneInfo


@dataclass(frozen=True)
class Reason:
    """One signed, named cause of one prediction; it tells how the model weighs, not what causes what."""

    moment: str
    label: Words
    contribution: float
    """Log-odds before calibration; positive raises the probability."""
    risk: float
    """Calibrated probability of what is asked: of leaving, or of having us as the main provider."""
    risk_without: float
    """The same had this moment contributed nothing."""
    feature: str
    value: float | None
    """The number that the sentence is told by; None when it is not known."""
    sentence: Words


def tell_reasons(bundle: Bundle, scores: Scores, element: int, question: str = CHURN) -> tuple[Reason, ...]:
    """Return the reasons of one customer of scores that were asked for with `reasons`, strongest first."""
    risk = float(scores.probability(question)[element])
    on = AsOf(scores.as_of, bundle.config.project.zone)
    reasons = []
    for top in _tops(bundle, scores, element, question):
        moment = bundle.moment_keys[top.moment]
        said = (say(bundle, top.moment, *top.by, language, on) for language in LANGUAGES)
        reasons.append(
            Reason(
                moment=moment,
                label=moment_label(bundle, moment),
                contribution=top.contribution,
                risk=risk,
                risk_without=top.without,
                feature=bundle.fitted.features[top.by[0]].name,
                value=None if math.isnan(top.by[1]) else top.by[1],
                sentence=Words(*said),
            )
        )
    return tuple(reasons)


class SaidReason(NamedTuple):
    """What a `Reason` says in one language."""

    moment: str
    label: str
    contribution: float
    risk_without: float
    sentence: str


def say_reasons(
    bundle: Bundle, scores: Scores, element: int, language: Language, question: str = CHURN
) -> list[SaidReason]:
    """Return the reasons of `tell_reasons` in one language alone, as an answer to a request wants them."""
    on, label = AsOf(scores.as_of, bundle.config.project.zone), bundle.fitted.moment_label
    return [
        SaidReason(
            bundle.moment_keys[top.moment],
            label(bundle.moment_keys[top.moment], language),
            top.contribution,
            top.without,
            say(bundle, top.moment, *top.by, language, on),
        )
        for top in _tops(bundle, scores, element, question)
    ]


class _Top(NamedTuple):
    """One of a customer's top moments: what it contributes, the risk without it, what tells it."""

    moment: int
    contribution: float
    without: float
    by: tuple[int, float, float]
    """The feature, its value, what is usual."""


def _tops(bundle: Bundle, scores: Scores, element: int, question: str) -> Iterator[_Top]:
    """Yield one customer's top moments."""
    if question not in scores.explained or scores.X is None:
        raise ValueError("these scores were made without reasons: call score(…, reasons=k)")
    top = scores.explained[question].top
    moments, features = top.moment[element].tolist(), top.feature[element].tolist()
    numbers = top.contribution[element].tolist(), top.risk_without[element].tolist()
    yield from map(_Top, moments, *numbers, bundle.tellers.told_of(scores.X[element], moments, features))


def tell_weight(reason: Reason) -> Words:
    """Return what the moment does to the risk: "risk 31%, without it 12%"."""
    return _risks(reason.risk, reason.risk_without)


def _as_is(word: str) -> Words:
    return Words(word, word)


OUTCOMES = {
    "failed": Words("failed", "falló"),
    "abandoned": Words("abandoned", "abandonado"),
    "transferred": Words("passed on", "derivado"),
    "open": Words("open", "sin resolver"),
}


def tell_evidence(bundle: Bundle, evidence: Evidence, as_of_us: int) -> Words:
    """Return a contact and what the risk would be without it, as a sentence."""
    return Words(*(say_evidence(bundle, evidence, as_of_us, language) for language in LANGUAGES))


def say_evidence(bundle: Bundle, evidence: Evidence, as_of_us: int, language: Language) -> str:
    """Return the sentence of `tell_evidence` in one language alone."""
    project = bundle.config.project
    today = datetime.fromtimestamp(as_of_us // 1_000_000, UTC).astimezone(project.zone).date()
    name = kind_words(evidence.kind, bundle.fitted.context.vocabulary)[LANGUAGES.index(language)]
    channel = bundle.config.channels.get(evidence.channel or "")
    spoken = channel.label if channel is not None else None
    where = evidence.channel if spoken is None else getattr(spoken, language)
    details = [where, *evidence.items[:2]]
    if len(evidence.items) > 2:
        more = {"en": "{} more", "es": "{} más"}[language]
        details.append(more.format(len(evidence.items) - 2))
    if evidence.amount is not None:
        details.append(f"{_amount(evidence.amount, language)} {project.currency}")
    if evidence.outcome not in (None, "done"):
        details.append(getattr(OUTCOMES.get(evidence.outcome, _as_is(evidence.outcome)), language))
    inside = f" ({', '.join(d for d in details if d)})" if any(details) else ""
    when = day_of(evidence.occurred_at, project.zone, language, today=today)
    of = {"en": f"{name} of {when}", "es": f"{name} del {when}"}[language]
    risks = getattr(_risks(evidence.risk, evidence.risk_without), language)
    return f"{of[:1].upper()}{of[1:]}{inside}: {risks}"


def evidence_kinds(bundle: Bundle, moment: str) -> frozenset[str] | None:
    """Return the kinds of touchpoints that a moment is about; None when it is about all of them."""
    group = moment.rpartition(".")[0] or moment
    kinds = {k for k in bundle.fitted.context.vocabulary.facts if slug(k) == group}
    return frozenset(kinds) or None


def moment_label(bundle: Bundle, moment: str) -> Words:
    """Return a moment of truth as people call it."""
    fitted = bundle.fitted
    return Words(fitted.moment_label(moment, "en"), fitted.moment_label(moment, "es"))


def tell_feature(feature: Feature, value: float, label: Words, *, on: AsOf | None = None) -> Words:
    """Return a feature's sentence with a value in it, or that it is not known.

    Days ahead and days ago are told as a date, when it is said `on` which moment they are known.
    """
    if math.isnan(value):
        if feature.absent is not None:
            return _capital(feature.absent)
        return Words(f"{label.en}: nothing known", f"{label.es}: no consta")
    return Words(_fill(feature, value, "en", on), _fill(feature, value, "es", on))


def _capital(words: Words) -> Words:
    return Words(*(text[:1].upper() + text[1:] for text in (words.en, words.es)))


def say(
    bundle: Bundle, moment: int, feature: int, value: float, usual: float, language: Language, on: AsOf
) -> str:
    """Return a moment's sentence in one language.

    Args:
        bundle: the model.
        moment: position in `Bundle.moment_keys`.
        feature: position of the feature that it is told by (`training.tellers.ToldBy`).
        value: of that feature; NaN: not known.
        usual: the usual gap, where a silence is told; NaN: not known.
        language: of the sentence.
        on: the moment that it is known at.
    """
    by = bundle.fitted.features[feature]
    if math.isnan(value):
        label = moment_label(bundle, bundle.moment_keys[moment])
        return str(getattr(tell_feature(by, value, label), language))
    silent = bundle.tellers.silent[moment]
    if silent is not None and feature == bundle.tellers.length[moment]:
        return silence_in(language, silent, value, usual)
    return _fill(by, value, language, on)


def silence_in(language: Language, name: Words, silence: float, usual: float) -> str:
    """Return a silence of so many days and what is usual (NaN: not known) in one language."""
    days = math.floor(silence)
    if language == "en":
        told = f"No {name.en} for {number(days, 'en')} {'day' if days == 1 else 'days'}"
        if days == 0:
            told = f"The last {name.en} was less than a day ago"
        return told if math.isnan(usual) else f"{told}, against a usual gap of {number(usual, 'en')}"
    told = f"Sin {name.es} desde hace {number(days, 'es')} {'día' if days == 1 else 'días'}"
    if days == 0:
        told = f"Hace menos de un día de la última vez: {name.es}"
    return told if math.isnan(usual) else f"{told}; lo habitual son {number(usual, 'es')}"


def _fill(feature: Feature, value: float, language: Language, on: AsOf | None) -> str:
    template = feature.sentence.en if language == "en" else feature.sentence.es
    if feature.unit == "minutes":
        value, template = _span(value, template, language)
    text = _value(feature, value, language, on)
    sentence = template.replace("{value}", text)
    if text.lstrip("+-") == "1":
        words = _SINGULAR[language]
        sentence = _ONE_OF_MANY[language].sub(lambda found: f"1 {words[found[1]]}", sentence)
    return sentence[:1].upper() + sentence[1:]


def _span(minutes: float, template: str, language: Language) -> tuple[float, str]:
    """Return a wait in the unit in which people say it, and the sentence with that unit's name."""
    for least, length, en, es in ((2 * 1440, 1440, "days", "días"), (120, 60, "hours", "horas")):
        if minutes >= least:
            word = {"en": ("minutes", en), "es": ("minutos", es)}[language]
            return minutes / length, template.replace(f"{{value}} {word[0]}", f"{{value}} {word[1]}")
    return minutes, template


def _value(feature: Feature, value: float, language: Language, on: AsOf | None) -> str:
    if feature.unit in ("days ahead", "days ago") and on is not None:
        minute = 60_000_000  # features are float32: to the minute they are exact
        away = value if feature.unit == "days ahead" else -value
        ends = round((on.us + away * US_PER_DAY) / minute) * minute
        today = datetime.fromtimestamp(on.us // 1_000_000, UTC).astimezone(on.zone).date()
        return day_of(ends, on.zone, language, today=today)
    if feature.unit in ("probability", "share", "0-1"):
        return percent(value, language)
    if feature.unit in ("change of share", "places"):
        change = number(100 * value if feature.unit == "change of share" else value, language)
        return change if value <= 0 else f"+{change}"
    if feature.unit == "log probability":
        return percent(math.exp(value), language)
    if feature.unit in ("log", "log days"):
        return number(math.exp(value), language)
    if feature.unit == "yes/no":
        return {"en": ("no", "yes"), "es": ("no", "sí")}[language][value > 0.5]
    if feature.unit == "stage":
        stage = LIFECYCLE[int(value)]
        return stage if language == "en" else _STAGES_ES[stage]
    if feature.unit in ("days", "days ahead", "days ago"):
        return number(math.floor(value), language)
    if len(feature.unit) == 3 and feature.unit.isupper():
        return _amount(value, language)
    return number(value, language)


def _amount(value: float, language: Language) -> str:
    return number(value, language, decimals=0 if abs(value) >= 100 or value == round(value) else 2)


def _risks(risk: float, without: float) -> Words:
    return Words(
        f"risk {percent(risk, 'en')}, without it {percent(without, 'en')}",
        f"riesgo {percent(risk, 'es')}; sin ello, {percent(without, 'es')}",
    )
