"""What each optional column of the contract lights up: the ideas that stay dark without it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from features.definition import Words


@dataclass(frozen=True)
class Idea:
    """Something that the product can tell when the data hold at least one of these columns."""

    key: str
    words: Words
    needs: tuple[str, ...]
    """`table.column`; any one of them is enough."""


IDEAS = (
    Idea(
        "channel",
        Words(
            "where and how people meet (channel, personal or remote)",
            "dónde y cómo se encuentra la gente (canal, en persona o a distancia)",
        ),
        ("touchpoints.channel",),
    ),
    Idea(
        "item",
        Words(
            "what is chosen: variety, staples, forgotten products",
            "qué se elige: variedad, básicos, productos olvidados",
        ),
        ("touchpoints.item",),
    ),
    Idea(
        "amount",
        Words(
            "money: spend, its trend, value at risk without a given value",
            "dinero: gasto, su tendencia, valor en riesgo sin un valor dado",
        ),
        ("touchpoints.amount",),
    ),
    Idea(
        "wait",
        Words("congestion: waits and promises not kept", "congestión: esperas y promesas incumplidas"),
        ("touchpoints.wait_minutes",),
    ),
    Idea(
        "outcome",
        Words(
            "blocked and abandoned stretches of the corridor", "tramos bloqueados y abandonados del corredor"
        ),
        ("touchpoints.outcome",),
    ),
    Idea(
        "case",
        Words("contacts that lead on to another; loops", "contactos que llevan a otro; bucles"),
        ("touchpoints.case_id",),
    ),
    Idea(
        "gap",
        Words("expectation gap and zone of tolerance", "diferencia con lo esperado y zona de tolerancia"),
        ("touchpoints.perceived",),
    ),
    Idea(
        "experience",
        Words(
            "measured experience: satisfaction, NPS, effort",
            "experiencia medida: satisfacción, NPS, esfuerzo",
        ),
        (
            "touchpoints.satisfaction",
            "touchpoints.nps",
            "touchpoints.effort",
            "touchpoints.effective",
            "touchpoints.easy",
            "touchpoints.enjoyable",
        ),
    ),
    Idea(
        "quality",
        Words("the five dimensions of service quality", "las cinco dimensiones de la calidad del servicio"),
        (
            "touchpoints.tangibles",
            "touchpoints.reliability",
            "touchpoints.responsiveness",
            "touchpoints.assurance",
            "touchpoints.empathy",
        ),
    ),
    Idea(
        "people",
        Words(
            "the people who serve: continuity of the agent",
            "las personas que atienden: continuidad del agente",
        ),
        ("touchpoints.agent_id", "touchpoints.team"),
    ),
    Idea(
        "late",
        Words(
            "late knowledge: what was really known at a past date",
            "saber tardío: lo que de verdad se sabía en una fecha pasada",
        ),
        ("touchpoints.recorded_at",),
    ),
    Idea(
        "value",
        Words(
            "a worth per customer that is more than past spend",
            "un valor por cliente que es más que el gasto pasado",
        ),
        ("customers.value",),
    ),
    Idea(
        "segment",
        Words("moments and measures by segment", "momentos y medidas por segmento"),
        ("customers.segment",),
    ),
    Idea(
        "since",
        Words("time with us from before the data begin", "tiempo con nosotros desde antes de los datos"),
        ("customers.since",),
    ),
    Idea(
        "relationships",
        Words(
            "products held, voluntary ends; economic and learning switching costs",
            "productos contratados, bajas voluntarias; costes de cambio económicos y de aprendizaje",
        ),
        ("relationships.product",),
    ),
    Idea(
        "fees",
        Words(
            "what leaving costs: exit fees, benefits lost, commitments",
            "lo que cuesta irse: penalizaciones, ventajas perdidas, permanencias",
        ),
        ("relationships.exit_fee", "relationships.accrued_benefit", "relationships.committed_until"),
    ),
    Idea(
        "market",
        Words(
            "price against the market and discounts in force",
            "precio frente al mercado y descuentos vigentes",
        ),
        ("relationships.market_amount", "relationships.discount"),
    ),
    Idea(
        "wallet",
        Words(
            "principality by share of wallet instead of by use",
            "principalidad por cuota de cartera y no por uso",
        ),
        ("wallet.share", "wallet.rank", "wallet.ours"),
    ),
    Idea(
        "switching",
        Words(
            "switching costs as customers tell them: emotional, psychological",
            "costes de cambio contados por los clientes: emocionales, psicológicos",
        ),
        ("switching_costs.value",),
    ),
    Idea(
        "treatments",
        Words(
            "retention actions: what they did, and for whom",
            "acciones de retención: qué lograron y con quién",
        ),
        ("treatments.action",),
    ),
)


def dark_ideas(columns: Collection[str]) -> tuple[Idea, ...]:
    """Return the ideas that stay dark when only these `table.column` have values.

    >>> [idea.key for idea in dark_ideas({"touchpoints.kind"})][:3]
    ['channel', 'item', 'amount']
    """
    return tuple(idea for idea in IDEAS if not any(need in columns for need in idea.needs))
