"""Words for people, in English and Spanish, built from the company's own labels."""

from __future__ import annotations

from typing import NamedTuple

from features.vocabulary import OTHER, Vocabulary, slug


class Phrase(NamedTuple):
    """The same words in both languages."""

    en: str
    es: str


ASPECTS = {
    "frequency": Phrase("how often", "con qué frecuencia"),
    "silence": Phrase("silence", "silencio"),
    "value": Phrase("money spent", "gasto"),
    "trend": Phrase("more or less than before", "más o menos que antes"),
    "mix": Phrase("what is chosen", "qué se elige"),
    "breadth": Phrase("variety", "variedad"),
    "pace": Phrase("rhythm", "ritmo"),
    "regularity": Phrase("regularity", "regularidad"),
    "outcome": Phrase("how it ended", "cómo terminó"),
    "wait": Phrase("waiting", "espera"),
    "experience": Phrase("experience", "experiencia"),
    "response": Phrase("response", "respuesta"),
    "start": Phrase("beginning", "comienzo"),
    "gap": Phrase("against what is promised", "frente a lo prometido"),
    "failure": Phrase("failures", "fallos"),
    "delight": Phrase("delights", "agrados"),
    "promise": Phrase("promised times", "plazos prometidos"),
    "open": Phrase("still open", "sin resolver"),
    "surge": Phrase("more than usual", "más de lo habitual"),
    "people": Phrase("who serves", "quién atiende"),
    "continuity": Phrase("familiar faces", "caras conocidas"),
    "quality": Phrase("the impression they leave", "la impresión que dejan"),
    "conflict": Phrase("contacts that went wrong", "contactos que salieron mal"),
    "recovery": Phrase("failures made up for or not", "fallos compensados o no"),
    "friction": Phrase("obstacles", "obstáculos"),
    "late": Phrase("slow steps", "pasos lentos"),
    "place": Phrase("where things stand", "en qué punto está"),
    "wallet": Phrase("share of the wallet", "parte de su gasto"),
    "stage": Phrase("stages of the relationship", "etapas de la relación"),
    "index": Phrase("needs met, ease and enjoyment", "necesidades cubiertas, facilidad y agrado"),
}
SCORES = {
    "satisfaction": Phrase("satisfaction", "satisfacción"),
    "nps": Phrase("recommendation (NPS)", "recomendación (NPS)"),
    "effort": Phrase("effort", "esfuerzo"),
    "effective": Phrase("needs met", "necesidades cubiertas"),
    "easy": Phrase("ease", "facilidad"),
    "enjoyable": Phrase("enjoyment", "agrado"),
    "experience_index": Phrase("experience index", "índice de experiencia"),
    "tangibles": Phrase("tangibles", "elementos tangibles"),
    "reliability": Phrase("reliability", "fiabilidad"),
    "responsiveness": Phrase("responsiveness", "capacidad de respuesta"),
    "assurance": Phrase("assurance", "seguridad"),
    "empathy": Phrase("empathy", "empatía"),
}
"""What surveys ask, 0 to 10, as people call it."""
STAGES = {
    "inform": Phrase("getting to know us", "información"),
    "advise": Phrase("advice", "asesoramiento"),
    "buy": Phrase("buying", "compra"),
    "use": Phrase("using", "uso"),
    "after-sales": Phrase("after the sale", "posventa"),
    "leave": Phrase("leaving", "salida"),
}
"""The stages of the relationship, as people call them."""
GROUPS = {
    "contact": Phrase("contacts", "contactos"),
    "impulse": Phrase("contacts from us", "contactos nuestros"),
    "experience": Phrase("experience", "experiencia"),
    "corridor": Phrase("corridor", "corredor"),
    "people": Phrase("the people who serve", "las personas que atienden"),
    "item": Phrase("products", "productos"),
    "channel": Phrase("channels", "canales"),
    "profile": Phrase("profile", "perfil"),
    "tenure": Phrase("time with us", "tiempo con nosotros"),
    "treatment": Phrase("retention actions", "acciones de retención"),
    "principality": Phrase("main provider", "proveedor principal"),
    "switching.emotional": Phrase("emotional switching cost", "coste de cambio emocional"),
    "switching.psychological": Phrase("psychological switching cost", "coste de cambio psicológico"),
    "switching.learning": Phrase("learning switching cost", "coste de cambio de aprendizaje"),
    "switching.economic": Phrase("economic switching cost", "coste de cambio económico"),
    "switching.quarter": Phrase("satisfaction and switching costs", "satisfacción y costes de cambio"),
}


def kind_words(kind: str, vocabulary: Vocabulary) -> Phrase:
    """Return a kind of touchpoint as people call it."""
    if kind == OTHER and OTHER not in vocabulary.facts:
        return Phrase("other contacts", "otros contactos")
    if kind in GROUPS:
        return GROUPS[kind]
    facts = vocabulary.facts.get(kind)
    plain = kind.replace("_", " ")
    return Phrase(facts.label_en, facts.label_es) if facts else Phrase(plain, plain)


def moment_words(moment: str, vocabulary: Vocabulary) -> Phrase:
    """Return a moment of truth, such as `purchase.silence`, as people call it."""
    if moment in GROUPS:
        return GROUPS[moment]
    group, _, aspect = moment.rpartition(".")
    by_slug = {slug(k): k for k in vocabulary.facts}
    whose = GROUPS.get(group) or kind_words(by_slug.get(group, group), vocabulary)
    what = ASPECTS.get(aspect) or SCORES.get(aspect, Phrase(aspect, aspect))
    return Phrase(f"{whose.en}: {what.en}", f"{whose.es}: {what.es}")


def span_words(days: int | None) -> Phrase:
    """Return a window as people say it."""
    if days is None:
        return Phrase("so far", "hasta ahora")
    return Phrase(f"in the last {days} days", f"en los últimos {days} días")
