"""Signs of being the customer's main provider: steady use, and what wallets show."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import ACTIVITY, Rows, larger, smaller


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
        rows = Rows("wallet", ("any", True))
        yield Feature(
            "wallet_share_last",
            rows.last("share"),
            "share",
            "principality",
            Words("{value} of the wallet when last seen", "{value} de su gasto la última vez"),
        )
        yield Feature(
            "wallet_providers",
            rows.distinct("provider"),
            "providers",
            "principality",
            Words("{value} providers seen", "{value} proveedores vistos"),
        )
        yield Feature(
            "days_since_wallet",
            rows.days_since_last(),
            "days",
            "principality",
            Words("wallet seen {value} days ago", "gasto visto hace {value} días"),
        )
