"""What holds a customer: products, commitments, fees and benefits, and what surveys say of it."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import AS_OF_DAYS, Expr, Rows, coalesce, larger, unknown
from features.holding import COSTS, cost_of, index, signals
from features.vocabulary import slug
from features.words import GROUPS


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of switching costs that the data has."""
    if "relationships" in context.vocabulary.streams:
        yield from _held(context)
    if "switching_costs" in context.vocabulary.streams:
        yield from _surveyed(context)
    yield from _indices(context)


def _state(*tags: tuple[str, str]) -> Rows:
    return Rows("relationships", *tags)


def _held(context: Context) -> Iterator[Feature]:
    """Yield the state of the relationships at `as_of`."""
    held, committed = _state(("change", "held")), _state(("change", "committed"))
    running = committed.total("committed")
    days_left = committed.total("committed_days") / running - AS_OF_DAYS
    currency = context.currency
    total = held.total
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
            *("commitment_days_left", coalesce(days_left, 0.0), "days"),
            *("committed for {value} more days on average", "quedan {value} días de permanencia de media"),
        ),
    ]
    for name, expression, unit, en, es in economic:
        yield Feature(name, expression, unit, "switching.economic", Words(en, es))
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
        cost = cost_of(facet)
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


def _indices(context: Context) -> Iterator[Feature]:
    """Yield the index of each switching cost, 0 to 100, and whether it was surveyed or only observed."""
    held = signals(context.vocabulary)
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
