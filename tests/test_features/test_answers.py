"""Answers by kind and by stage: hand-worked, against the slow oracle, and only where there are any."""

from dataclasses import replace

import numpy as np
import pytest

from features.answers import by_group
from features.catalog import FittedFeatures, fit_features
from features.histories import build_histories
from features.settings import Activity, TouchpointKind
from features.vocabulary import MOST_HEARD
from tests.companies import BEGIN, FIT_BEFORE, UNTIL, company, fitted
from tests.literals import DAY, at, histories, settings
from tests.oracle import Oracle

KINDS = {kind: TouchpointKind(stage="after-sales") for kind in ("repair", "claim")}
LOG = """
customer_id  occurred_at  kind    nps  effort  empathy  perceived  effective  easy  enjoyable
ana          2026-03-01   repair  3    -       2        3          8          4     2
ana          2026-03-20   claim   5    -       6        5          4          -     -
ana          2026-03-20   claim   -    -       -        -          -          -     -
ana          2026-03-25   shop    9    7       -        9          10         10    10
ana          2026-03-31   advice  -    -       -        -          -          -     -
bea          2026-03-25   claim   -    -       -        -          -          -     -
bea          2026-03-26   shop    1    -       -        -          2          2     2
"""


def fit(log: str, **features: object) -> FittedFeatures:
    config = settings(**features).model_copy(update={"touchpoints": KINDS})
    return fit_features(
        histories(log), config, Activity(), fit_before=at("2026-04-01"), until=at("2026-04-01")
    )


def known(of: FittedFeatures, log: str = LOG, as_of: str = "2026-04-01", customer: int = 0) -> dict:
    row = of.snapshots(histories(log), [at(as_of)])[customer, 0]
    return dict(zip(of.names, row.astype(float).tolist(), strict=True))


def test_each_kind_has_its_own_score_where_others_are_asked_the_same():
    found = known(fit(LOG))
    assert [found[f"{kind}_nps_usual"] for kind in ("repair", "claim", "shop")] == [3, 5, 9]
    assert found["repair_empathy_usual"] == 2 and found["claim_empathy_usual"] == 6
    assert found["shop_perceived_usual"] == 9
    # effort is only asked in the shop: the usual effort of all contacts is that of the shop
    assert found["effort_usual"] == 7 and not any(n.endswith("_effort_usual") for n in found)
    assert not any(n.startswith("advice_") and n.endswith("_usual") for n in found)


def test_a_stage_has_its_own_experience():
    found, weights = known(fit(LOG)), 0.5 ** (np.array([31, 12]) / 90)
    usual = (weights * [3, 5]).sum() / weights.sum()
    assert found["stage_after_sales_nps_usual"] == pytest.approx(usual)
    assert found["stage_after_sales_perceived_usual"] == pytest.approx(usual)
    # empathy is asked after the sale only, and shop is the only kind of its stage that is answered
    assert "stage_after_sales_empathy_usual" not in found and "stage_use_nps_usual" not in found


def test_the_experience_index_of_a_kind_weighs_its_parts_as_for_all_contacts():
    of = fit(LOG)
    assert known(of)["repair_experience_index_usual"] == pytest.approx(14 / 3)
    population = replace(of.context.population, experience=(0.5, 0.3, 0.2))
    found = known(FittedFeatures(replace(of.context, population=population)))
    assert found["repair_experience_index_usual"] == pytest.approx(5.6)
    assert found["shop_experience_index_usual"] == pytest.approx(10)
    assert "claim_experience_index_usual" not in found, "no claim tells how easy it was"


def test_silence_is_counted_by_kind_and_by_stage_and_never_filled_in():
    of = fit(LOG)
    ana, bea = known(of), known(of, customer=1)
    assert ana["claim_responses_364d"] == 1 and ana["claim_response_share_364d"] == 0.5
    assert ana["claim_days_since_response"] == 12
    assert bea["claim_responses_364d"] == 0 and bea["claim_response_share_364d"] == 0
    assert np.isnan([bea["claim_days_since_response"], bea["claim_nps_usual"]]).all()
    assert ana["stage_after_sales_responses_364d"] == 2
    assert ana["stage_after_sales_response_share_364d"] == pytest.approx(2 / 3)
    assert ana["stage_after_sales_days_since_response"] == 12
    assert known(of, as_of="2026-03-20")["stage_after_sales_days_since_response"] == 19
    silent = next(f for f in of.features if f.name == "claim_days_since_response")
    assert silent.absent.en == "claim: never answered" and silent.absent.es == "claim: nunca ha respondido"


def test_where_every_contact_is_answered_there_is_no_silence_to_tell():
    found = known(fit(LOG))
    assert not any(n.startswith(("repair_response", "shop_response", "advice_response")) for n in found)


def test_lines_of_one_contact_are_no_more_answers_than_contacts():
    log = """
    customer_id  occurred_at  kind    item  nps
    ana          2026-03-01   claim   a     3
    ana          2026-03-01   claim   b     3
    bea          2026-03-01   claim   -     -
    bea          2026-03-02   repair  -     5
    """
    assert known(fit(log), log)["claim_response_share_364d"] == 1


def test_a_question_that_too_few_customers_answer_is_not_told_by_kind():
    """Of 100 customers two answered about claims; from three on it counts when 2.5 % are asked for."""
    rows = ["customer_id occurred_at kind nps"]
    rows += [f"c{i:02d} 2026-03-01 {kind} {{{kind}{i}}}" for i in range(100) for kind in ("claim", "repair")]

    def names(claims: int) -> set[str]:
        told = {f"claim{i}": 5 if i < claims else "-" for i in range(100)}
        told |= {f"repair{i}": 6 if i < 50 else "-" for i in range(100)}
        return set(fit("\n".join(rows).format(**told), min_share=0.025).names)

    of_claims = {"claim_nps_usual", "claim_responses_364d", "claim_days_since_response"}
    assert not of_claims & names(2) and of_claims < names(3)
    assert "repair_nps_usual" in names(2) and "nps_usual" in names(2)


def test_the_number_of_pairs_of_kind_and_question_is_bounded():
    questions = ("nps", "effort", "empathy", "assurance", "tangibles")
    kinds = [f"k{i:02d}" for i in range(20)]
    rows = [f"customer_id occurred_at kind {' '.join(questions)}"]
    rows += [f"ana 2026-03-01 {kind} 1 2 3 4 5" for kind in kinds]
    rows += [f"bea 2026-03-01 {kind} 1 - - - -" for kind in kinds]
    of = fit("\n".join(rows))
    heard = of.context.vocabulary.heard
    assert sum(map(len, heard.values())) == MOST_HEARD
    assert set(heard["nps"]) == set(kinds), "what most customers answer goes first"
    told = [f for f in by_group(of.context) if f.name.endswith("_usual")]
    assert len(told) == MOST_HEARD, "and the stage, of which all are, has none of its own"


def test_a_company_that_asks_nothing_has_none():
    log = "customer_id occurred_at kind\nana 2026-01-01 claim\nana 2026-01-05 shop"
    assert not list(by_group(fit(log).context))


def test_a_kind_called_as_a_question_or_as_a_stage_is_told_apart():
    log = """
    customer_id  occurred_at  kind      nps  perceived
    ana          2026-03-01   nps       3    1
    ana          2026-03-02   nps       -    -
    ana          2026-03-03   use       4    2
    ana          2026-03-04   use       -    -
    ana          2026-03-05   repair    5    3
    ana          2026-03-06   claim     5    3
    """
    found = known(fit(log), log)
    assert found["nps_answers_364d"] == 4 and found["nps_responses_364d"] == 1
    assert found["use_perceived_usual"] == 2 and 1 < found["stage_use_perceived_usual"] < 2


def test_every_number_is_that_of_the_slow_oracle():
    tables = company(3, customers=14)
    of, history = fitted(tables), build_histories(tables)
    mine = list(by_group(of.context))
    names, expressions = [f.name for f in mine], [f.expression for f in mine]
    for told in ("claim_nps_usual", "call_experience_index_usual", "mail_responses_364d"):
        assert told in names
    assert "stage_use_nps_usual" in names and "stage_use_days_since_response" in names
    dates = [UNTIL, FIT_BEFORE + 7_200_000_000, BEGIN + 40 * DAY]
    oracle = Oracle(tables, of.context.vocabulary.tags, of.context.day_offset)
    slow = oracle.matrix(expressions, history.customer_ids.to_pylist(), dates).astype(np.float32)
    fast = of.plan_of(mine).run(history, np.array(dates))
    np.testing.assert_allclose(fast, slow, rtol=2e-6, atol=1e-6)
    assert 0.2 < np.isnan(slow).mean() < 0.8


def test_all_have_words_in_both_languages_and_a_moment_with_a_name():
    of = fitted(company(3))
    for feature in by_group(of.context):
        assert "{value}" in feature.sentence.en and "{value}" in feature.sentence.es
        assert feature.sentence.en != feature.sentence.es and feature.unit in (
            "0-10",
            "answers",
            "share",
            "days",
        )
        assert feature.source or feature.name.endswith("_satisfaction_usual")
    assert of.moment_label("claim.response", "en") == "claim: response"
    assert of.moment_label("experience.response", "es") == "experiencia: respuesta"
