"""Signs of being the customer's main provider: steady use, and what wallets show."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import ACTIVITY, AS_OF_DAYS, Expr, larger, smaller
from features.population import WALLET

WAR = "Keiningham, Aksoy, Buoye and Cooil (2011), where only ranks are given"


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of principality."""
    since_first = ACTIVITY.days_since_first()
    for days in context.windows:
        if days >= 28:
            weeks = larger(smaller(since_first, float(days)) / 7.0, 1.0)
            yield Feature(
                f"weeks_active_share_{days}d",
                ACTIVITY.weeks(days) / weeks,
                "share",
                "principality",
                Words(
                    f"active in {{value}} of the weeks of the last {days} days",
                    f"con actividad en {{value}} de las semanas de los últimos {days} días",
                ),
                direction=-1,
            )
            yield Feature(
                f"days_active_{days}d",
                ACTIVITY.days(days),
                "days",
                "principality",
                Words(f"active on {{value}} days of {days}", f"con actividad {{value}} días de {days}"),
                direction=-1,
            )
    if "wallet" in context.vocabulary.streams:
        yield from _wallets(context)


def is_own_share(name: str) -> bool:
    """Return whether a feature is our share of the customer's wallets so far, smoothed by the population."""
    return name == "wallet_share_usual" or name.startswith("wallet_share_fading_")


def _wallets(context: Context) -> Iterator[Feature]:
    """Yield what the answers about all providers say of us: the newest, its change, and all of them."""
    last = WALLET.last
    a, b = context.population.wallet
    told: list[tuple[str, Expr, str, str, str, int]] = [
        (
            *("wallet_share_last", last("share"), "share"),
            *("{value} of the wallet when last seen", "{value} de su gasto la última vez"),
            -1,
        ),
        (
            *("wallet_rank_last", last("rank"), "rank"),
            "number {value} among the providers when last seen",
            "número {value} entre sus proveedores la última vez",
            1,
        ),
        (
            *("wallet_providers", last("providers"), "providers"),
            *("{value} providers when last seen", "{value} proveedores la última vez"),
            0,
        ),
        (
            *("wallet_share_change", last("share_change"), "change of share"),
            "{value} points of the wallet since the answer before",
            "{value} puntos del gasto desde la respuesta anterior",
            -1,
        ),
        (
            *("wallet_rank_change", last("rank_change"), "places"),
            "{value} places among the providers since the answer before",
            "{value} puestos entre sus proveedores desde la respuesta anterior",
            1,
        ),
        (
            *("days_since_wallet", AS_OF_DAYS - last("observed_days"), "days"),
            *("wallet seen {value} days ago", "gasto visto hace {value} días"),
            0,
        ),
        (
            *("wallet_answers", WALLET.total("answers"), "answers"),
            *("wallet seen {value} times", "gasto visto {value} veces"),
            0,
        ),
        (
            "wallet_share_usual",
            (a + WALLET.total("given")) / (a + b + WALLET.total("answers")),
            "share",
            "{value} of the wallet as a rule, given how often it was seen",
            "{value} de su gasto por lo general, según las veces que se ha visto",
            -1,
        ),
    ]
    told += [
        (
            f"wallet_share_fading_{days}d",
            (a + WALLET.decayed("given", days)) / (a + b + WALLET.decayed("answers", days)),
            "share",
            f"{{value}} of the wallet, an answer of {days} days ago counting half",
            f"{{value}} de su gasto; lo de hace {days} días cuenta la mitad",
            -1,
        )
        for days in context.windows
    ]
    for name, expression, unit, en, es, direction in told:
        yield Feature(
            name, expression, unit, "principality.wallet", Words(en, es), direction=direction, source=WAR
        )
