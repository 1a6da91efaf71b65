"""What holds a customer: products, commitments, fees and benefits, and what surveys say of it."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import Expr, Rows, above, coalesce, larger, unknown
from features.holding import coverage, index
from features.quarters import interactions
from features.settings import COSTS
from features.signals import LAST_END, NEXT_END, cost_of, days_to_end, signals
from features.vocabulary import slug
from features.words import GROUPS


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of switching costs that the data has."""
    if "relationships" in context.vocabulary.streams:
        yield from _held(context)
    if "switching_costs" in context.vocabulary.streams:
        yield from _surveyed(context)
    yield from _declared(context)
    yield from _indices(context)
    yield from interactions(context)


def _state(*tags: tuple[str, str]) -> Rows:
    return Rows("relationships", *tags)


def _held(context: Context) -> Iterator[Feature]:
    """Yield the state of the relationships at `as_of`."""
    held, committed = _state(("change", "held")), _state(("change", "committed"))
    running = committed.total("committed")
    currency = context.currency
    total, free = held.total, float(context.activity.gap_days + context.activity.horizon_days)
    freed = _state(("change", "freed"))
    learning: list[tuple[str, Expr, str, str]] = [
        ("products_held", total("held"), "{value} products held", "{value} productos contratados"),
        (
            *("autopay_held", coalesce(total("autopay"), 0.0)),
            *("{value} paid automatically", "{value} con pago automático"),
        ),
    ]
    for name, expression, en, es in learning:
        yield Feature(name, expression, "products", "switching.learning", Words(en, es))
    economic: list[tuple[str, Expr, str, str, str]] = [
        (
            "amount_held",
            total("amount"),
            currency,
            f"{{value}} {currency} held",
            f"{{value}} {currency} contratados",
        ),
        (
            *("exit_fee_held", total("exit_fee"), currency),
            *(f"leaving costs {{value}} {currency}", f"irse cuesta {{value}} {currency}"),
        ),
        (
            *("accrued_benefit_held", total("accrued_benefit"), currency),
            *(f"{{value}} {currency} of benefits to lose", f"{{value}} {currency} en ventajas que perder"),
        ),
        (
            *("commitments", running, "products"),
            *("{value} commitments still run", "{value} compromisos de permanencia vigentes"),
        ),
        (
            *("days_until_uncommitted", NEXT_END, "days ahead"),
            *(
                ("the exit fee ends on {value}", "la penalización por irse termina el {value}")
                if "exit_fee" in context.population.signals
                else ("the commitment ends on {value}", "el compromiso de permanencia termina el {value}")
            ),
        ),
        (
            *("days_until_last_uncommitted", LAST_END, "days ahead"),
            *("the last commitment ends on {value}", "el último compromiso termina el {value}"),
        ),
        (
            *("uncommitted_within_horizon", coalesce(1.0 - above(NEXT_END, free), 0.0), "yes/no"),
            *(
                f"a commitment ends within {free:.0f} days: {{value}}",
                f"un compromiso termina en {free:.0f} días: {{value}}",
            ),
        ),
        (
            *("days_since_uncommitted", freed.days_since_last(), "days"),
            *("free of commitment for {value} days", "sin permanencia desde hace {value} días"),
        ),
    ]
    for change, en, es in (
        ("benefit", "the benefits accrued last to {value}", "las ventajas acumuladas duran hasta el {value}"),
        ("discounted", "the discount ends on {value}", "el descuento termina el {value}"),
    ):
        if change in context.vocabulary.changes:
            name = {"benefit": "days_until_benefit_ends", "discounted": "days_until_discount_ends"}[change]
            economic.append((name, days_to_end(change, "next"), "days ahead", en, es))
    if "discount" in context.population.signals:
        words = f"{{value}} {currency} of discounts in force", f"{{value}} {currency} de descuentos vigentes"
        economic.append(("discount_held", total("discount"), currency, *words))
    if "price_gap" in context.population.signals:
        gap = total("priced") / total("market_amount") - 1.0
        words = "price against the market: {value}", "precio frente al mercado: {value}"
        economic.append(("price_gap_held", gap, "share", *words))
    for name, expression, unit, en, es in economic:
        told_by = "days_until_uncommitted" if name in _TOLD_BY_DATE else ""
        yield Feature(
            *(name, expression, unit, "switching.economic", Words(en, es)),
            told_by=told_by,
            absent=_ABSENT.get(name),
        )
    long = context.windows[-1]
    for change, en, es in (("started", "begun", "iniciados"), ("ended", "ended", "terminados")):
        yield Feature(
            f"products_{change}_{long}d",
            _state(("change", change)).count(long),
            "products",
            "switching.learning",
            Words(f"{{value}} products {en} in {long} days", f"{{value}} productos {es} en {long} días"),
        )
        yield Feature(
            f"days_since_product_{change}",
            _state(("change", change)).days_since_last(),
            "days",
            "switching.learning",
            Words(f"{{value}} days since a product was {en}", f"{{value}} días desde un producto {es}"),
        )
    if len(context.vocabulary.products) > 1:
        for product in context.vocabulary.products:
            yield Feature(
                f"holds_{slug(product)}",
                _state(("product", product), ("change", "held")).total("held"),
                "products",
                "switching.learning",
                Words(f"{product}: {{value}} held", f"{product}: {{value}} contratados"),
            )


def _surveyed(context: Context) -> Iterator[Feature]:
    """Yield the last answers about switching costs, 0 to 100, by the cost they speak of."""
    for facet in context.vocabulary.facets:
        cost = cost_of(facet, context.vocabulary)
        rows = Rows("switching_costs", ("facet", facet))
        yield Feature(
            f"switching_{slug(facet)}",
            rows.last("value"),
            "0-100",
            f"switching.{cost}",
            Words(f"{facet}: {{value}} of 100 when asked", f"{facet}: {{value}} de 100 al preguntar"),
        )
        yield Feature(
            f"days_since_asked_{slug(facet)}",
            rows.days_since_last(),
            "days",
            f"switching.{cost}",
            Words(f"{facet}: asked {{value}} days ago", f"{facet}: se preguntó hace {{value}} días"),
        )


_TOLD_BY_DATE = ("commitments", "uncommitted_within_horizon", "days_until_last_uncommitted")
_FREE = Words("no commitment runs", "no hay compromiso de permanencia vigente")
_ABSENT = {
    "days_until_uncommitted": _FREE,
    "days_until_last_uncommitted": _FREE,
    "days_since_uncommitted": Words(
        "no commitment has ended by itself", "ningún compromiso de permanencia ha vencido"
    ),
}


def _declared(context: Context) -> Iterator[Feature]:
    """Yield the signals that the configuration declares, each as it is."""
    for signal in signals(context.vocabulary, context.population.paths):
        if signal.declared:
            label, unit = signal.label, context.currency if signal.unit == "amount" else signal.unit
            words = Words(f"{label.en}: {{value}}", f"{label.es}: {{value}}")
            moment = f"switching.{signal.cost}"
            yield Feature(f"switching_{signal.name}", signal.expression, unit, moment, words)


def _indices(context: Context) -> Iterator[Feature]:
    """Yield the index of each switching cost, 0 to 100, and whether it was surveyed or only observed."""
    held = signals(context.vocabulary, context.population.paths)
    for cost in COSTS:
        mine = [s for s in held if s.cost == cost]
        value = index(mine, context.population.signals)
        if value is None:
            continue
        moment = f"switching.{cost}"
        label = GROUPS[moment]
        yield Feature(
            f"switching_{cost}_index",
            value,
            "0-100",
            moment,
            Words(f"{label.en}: {{value}} of 100", f"{label.es}: {{value}} de 100"),
            source="mean percentile of its signals in the population",
        )
        known = coverage(mine, context.population.signals)
        if known is not None:
            yield Feature(
                f"switching_{cost}_coverage",
                known,
                "share",
                moment,
                Words(f"{label.en}: {{value}} of it known", f"{label.es}: se conoce el {{value}}"),
            )
        asked = [s for s in mine if s.surveyed and s.name in context.population.signals]
        if asked:
            known = 1.0 - unknown(asked[0].expression)
            for signal in asked[1:]:
                known = larger(known, 1.0 - unknown(signal.expression))
            yield Feature(
                f"switching_{cost}_surveyed",
                known,
                "yes/no",
                moment,
                Words(f"{label.en}: asked the customer, {{value}}", f"{label.es}: se le preguntó, {{value}}"),
            )
