"""Signals of the switching costs: those that the data shows by itself, and those that are declared."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from features.catalog import fit_features
from features.errors import CorredorError
from features.histories import build_histories
from features.holding import coverage, index, percentiles, ranks
from features.settings import Activity, SwitchingSignal
from features.signals import Signal, cost_of, signals
from features.vocabulary import Vocabulary
from tests.companies import ACTIVITY, FIT_BEFORE, UNTIL, company, configuration
from tests.literals import at, settings, table


def declared(text, **sections):
    """Return the features of a company of three whose customers table is given, with declared signals."""
    tables = {
        "touchpoints": table("""
            customer_id occurred_at kind channel item
            ana         2025-06-01  call phone   -
            ana         2025-06-02  buy  shop    ours
            ana         2025-06-03  buy  shop    theirs
            ana         2025-06-04  buy  shop    ours
            ana         2025-06-05  buy  shop    ours
            bo          2025-06-01  buy  shop    theirs
            cid         2025-06-01  buy  shop    ours
        """),
        "customers": table(text),
    }
    chosen = settings().model_copy(
        update={"switching_costs": {k: SwitchingSignal(**v) for k, v in sections.items()}}
    )
    history = build_histories(tables)
    moment = at("2026-01-01")
    fitted = fit_features(history, chosen, Activity(), fit_before=moment, until=moment)
    found = fitted.snapshots(history, [moment])[:, 0].T.astype(float)
    return dict(zip(fitted.names, found.tolist(), strict=True)), fitted


PREMIUMS = """
    customer_id paid market
    ana         110  100
    bo          90   100
    cid         -    100
"""


def test_an_attribute_is_set_against_another_and_less_of_it_can_hold_more():
    found, _ = declared(
        PREMIUMS,
        price={
            "cost": "economic",
            "table": "customers",
            "column": "paid",
            "against": "market",
            "direction": -1,
        },
    )
    assert found["switching_price"] == pytest.approx([0.1, -0.1, np.nan], nan_ok=True)
    assert found["switching_economic_index"] == pytest.approx([25, 75, np.nan], nan_ok=True)


def test_a_share_of_what_is_chosen_is_declared_of_an_item():
    found, _ = declared(
        PREMIUMS, own_brand={"cost": "emotional", "item": "ours", "kind": "buy", "measure": "share"}
    )
    assert found["switching_own_brand"] == [0.75, 0, 1]
    assert found["switching_emotional_index"] == pytest.approx([50, 100 / 6, 250 / 3])


def test_a_kind_is_counted_and_a_name_that_is_nowhere_is_an_error():
    found, _ = declared(PREMIUMS, visits={"cost": "psychological", "channel": "shop"})
    assert found["switching_visits"] == [4, 1, 1]
    with pytest.raises(CorredorError, match=r"\[switching_costs.visits\] channel 'shopp'. Did you mean shop"):
        declared(PREMIUMS, visits={"cost": "psychological", "channel": "shopp"})
    with pytest.raises(CorredorError, match=r"column of customers 'pade'"):
        declared(PREMIUMS, price={"cost": "economic", "table": "customers", "column": "pade"})


@pytest.mark.parametrize(
    "given",
    [
        {"cost": "emotional", "table": "customers"},
        {"cost": "emotional", "measure": "mean"},
        {"cost": "emotional", "column": "amount", "against": "wait_minutes"},
        {"cost": "social"},
    ],
)
def test_a_signal_that_says_too_little_is_refused(given):
    with pytest.raises(ValidationError):
        SwitchingSignal(**given)


def test_an_attribute_that_tells_the_outcome_is_no_signal():
    tables = company(7)
    chosen = configuration().model_copy(
        update={"switching_costs": {"age": SwitchingSignal(cost="learning", table="customers", column="age")}}
    )

    def names(left_out=()):
        history = build_histories(tables)
        return fit_features(
            history, chosen, ACTIVITY, fit_before=FIT_BEFORE, until=UNTIL, left_out=left_out
        ).names

    assert "switching_age" in names() and "switching_age" not in names({"age"})


def test_declared_signals_survive_the_bundle():
    _, fitted = declared(
        PREMIUMS, price={"cost": "economic", "table": "customers", "column": "paid", "label": WORDS}
    )
    v = fitted.context.vocabulary
    assert Vocabulary.from_dict(v.to_dict()) == v
    assert [s.label.es for s in signals(v, None) if s.declared] == ["prima"]


WORDS = {"en": "premium", "es": "prima"}


def test_a_facet_can_be_declared_to_speak_of_another_cost():
    tables = company(2)
    chosen = configuration().model_copy(
        update={
            "switching_costs": {
                "habit": SwitchingSignal(cost="psychological", table="switching_costs", facet="brand")
            }
        }
    )
    history = build_histories(tables)
    fitted = fit_features(history, chosen, ACTIVITY, fit_before=FIT_BEFORE, until=UNTIL)
    assert cost_of("brand") == "emotional"
    assert cost_of("brand", fitted.context.vocabulary) == "psychological"
    asked = next(s for s in signals(fitted.context.vocabulary, None) if s.name == "asked_brand")
    assert asked.cost == "psychological" and asked.surveyed


def test_coverage_is_the_share_of_the_signals_that_is_known():
    x = signals(replace(VOCABULARY, facets=("brand", "setup"), streams=("switching_costs",)), None)
    tables = {s.name: percentiles(np.array([0.0, 1.0])) for s in x}
    assert all(isinstance(s, Signal) and s.surveyed for s in x)
    learning = [s for s in x if s.cost == "learning"]
    assert len(ranks(learning, tables)) == 1 and ranks(learning, {}) == []
    assert index(learning, {}) is None and coverage(learning, {}) is None


VOCABULARY = fit_features(
    build_histories({"touchpoints": pa.table(table("customer_id occurred_at kind\na 2025-01-01 buy"))}),
    settings(),
    Activity(),
    fit_before=at("2026-01-01"),
    until=at("2026-01-01"),
).context.vocabulary


def test_what_is_by_default_a_signal_is_told_by_the_names_of_the_company():
    v = replace(
        VOCABULARY,
        kinds=("purchase", "referral", "api_integration"),
        groups=(("encounter", "personal"), ("encounter", "remote"), ("direct", False)),
        items=("invoices",),
        streams=("touchpoints", "relationships"),
    )
    by_cost = {}
    for signal in signals(v, None):
        by_cost.setdefault(signal.cost, []).append(signal.name)
    assert by_cost == {
        "emotional": ["referral_count", "indirect_contacts"],
        "psychological": ["personal_contacts"],
        "learning": [
            *("remote_contacts", "remote_channels", "features_used", "api_integration_count"),
            *("products", "autopay"),
        ],
        "economic": ["exit_fee", "accrued_benefit", "discount", "commitment_days", "price_gap"],
    }
