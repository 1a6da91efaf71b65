"""What HTTP answers of leaving and principality together, beside what the batch says of the same people."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from jsonschema import Draft202012Validator

from features.errors import CorredorError
from features.histories import build_histories
from serving.answers import iso
from serving.batch import at_risk_list
from serving.explaining import explain_customer
from serving.openapi import openapi_document
from serving.scorer import Scorer
from serving.settings import ServingSettings
from serving.two_way import principal_today
from tests.test_serving.calls import body, customer, shop
from tests.test_training.shop import AS_OF, DAY, shop_config
from training.principality import principals, staples_of

NAMES = [f"customer-{i:04d}" for i in (0, 3, 7, 26, 37, 39)]
USAGE = {"rule": "usage", "min_weeks_share": 0.5}
WALLETS = {
    "customer-0003": [(-40, None, True, 0.9), (-9, None, True, 0.2), (-9, None, False, 0.8)],
    "customer-0007": [(-30, None, True, 0.7), (-5, 2, True, 0.1)],
    "customer-0011": [(-20, None, False, 1.0)],
}
"""Days from as_of of the answer, and of its recording; whether the provider is us; its share."""


def asked(staples=(), **principality):
    """Return the shop's model, asked for whom it is the main provider."""
    config = shop_config(Path(), principality=principality)
    return replace(shop().bundle, config=config, staples=tuple(staples))


def answered(bundle, path, *customers, **changes):
    scorer = Scorer(bundle, ServingSettings())
    answer = getattr(scorer, path)(body(*customers, **changes)).body
    return json.loads(answer)["customers"]


def explained(bundle, histories, name, as_of=AS_OF):
    return explain_customer(bundle, histories, bundle.config, name, as_of)["two_way"]


def wallet_rows(name):
    return [
        {"observed_at": iso(AS_OF + seen * DAY), "ours": ours, "share": share}
        | ({} if recorded is None else {"recorded_at": iso(AS_OF + recorded * DAY)})
        for seen, recorded, ours, share in WALLETS[name]
    ]


def with_wallets():
    """Return the shop's histories as the nightly batch builds them, with the wallets."""
    moment = pa.timestamp("us", tz="UTC")
    rows = [(name, *row) for name, given in WALLETS.items() for row in given]
    recorded = [None if late is None else AS_OF + late * DAY for _, _, late, _, _ in rows]
    wallet = pa.table(
        {
            "customer_id": [name for name, *_ in rows],
            "observed_at": pa.array([AS_OF + seen * DAY for _, seen, *_ in rows], moment),
            "recorded_at": pa.array(recorded, moment),
            "ours": [ours for *_, ours, _ in rows],
            "share": [share for *_, share in rows],
        }
    )
    columns = dict.fromkeys(name for row in shop().rows for name in row)
    kinds = {"occurred_at": moment, "amount": pa.float64()}
    touchpoints = {
        name: pa.array([row.get(name) for row in shop().rows], kinds.get(name, pa.string()))
        for name in columns
    }
    return build_histories({"touchpoints": pa.table(touchpoints), "wallet": wallet})


def test_an_explanation_over_http_is_that_of_the_command_line_bit_for_bit():
    bundle = asked(**USAGE)
    found = answered(bundle, "explain", *map(customer, NAMES))
    for name, answer in zip(NAMES, found, strict=True):
        assert answer["two_way"] == explained(bundle, shop().histories, name)
    assert {a["two_way"]["today"] for a in found} == {"principal", "secondary"}
    assert any(a["two_way"]["against"] for a in found)


def test_a_score_tells_as_much_against_us_as_reasons_are_asked_and_as_the_list_does():
    bundle = asked(**USAGE)
    rows = at_risk_list(bundle, shop().histories, bundle.config, AS_OF, everyone=True).table().to_pylist()
    listed = {row["customer_id"]: row for row in rows}
    for answer in answered(bundle, "score", *map(customer, NAMES), reasons=2):
        row, told = listed[answer["customer_id"]], answer["two_way"]
        assert told["likely"] == row["likely"]
        assert told["ends"].get("silent_drift") == row["drift_probability"]
        sentences = [s for k in (1, 2) if (s := row[f"principality_reason_{k}"])]
        assert [moment["sentence"] for moment in told["against"]] == sentences
        full = explained(bundle, shop().histories, answer["customer_id"])
        assert told == full | {"against": full["against"][:2]}


def test_without_reasons_the_ways_are_told_and_nothing_is_explained():
    bundle = asked(**USAGE)
    (found,) = answered(bundle, "score", customer(NAMES[0]), reasons=0)
    full = explained(bundle, shop().histories, NAMES[0])
    assert found["two_way"] == {key: full[key] for key in ("today", "likely", "likely_words", "ends")}
    assert "reasons" not in found


@pytest.mark.parametrize("rule", ["share", "declared"])
def test_wallets_of_a_call_count_as_those_of_the_batch(rule):
    bundle, histories = asked(rule=rule), with_wallets()
    given = [customer(name, wallet=wallet_rows(name)) for name in WALLETS]
    for answer in answered(bundle, "explain", *given, customer("customer-0020")):
        assert answer["two_way"]["today"] == explained(bundle, histories, answer["customer_id"])["today"]
    together = answered(bundle, "score", *given, customer("customer-0020"), reasons=0)
    alone = [*(answered(bundle, "score", one, reasons=0)[0] for one in given)]
    # of 0007 the wallet of 5 days ago, in which we have little, was recorded later
    expected = ["secondary", "principal", "secondary"]
    assert [a["two_way"]["today"] for a in together] == [*expected, "not_known"]
    assert [a["two_way"]["today"] for a in alone] == expected


def test_what_a_call_does_not_bring_is_not_known():
    bundle = asked(rule="share")
    unsaid = [{"observed_at": iso(AS_OF - DAY), "provider": "them", "share": 1.0}]
    without = [
        answered(bundle, "score", one, reasons=1)[0]
        for one in (customer("customer-0003"), customer("customer-0003", wallet=unsaid))
    ]
    for answer in without:
        assert answer["two_way"]["today"] == "not_known"
        assert set(answer["two_way"]["ends"]) == {"principal", "secondary", "leaves"}
        assert sum(answer["two_way"]["ends"].values()) == pytest.approx(1)


def test_a_customer_who_never_used_us_is_not_our_main_one():
    call = {"occurred_at": iso(AS_OF - DAY), "kind": "complaint"}
    for rows in ([], [call]):
        one = {"customer_id": "x", "as_of": iso(AS_OF), "touchpoints": rows}
        (found,) = answered(asked(**USAGE), "score", one, reasons=0)
        assert found["two_way"]["today"] == "secondary"


def test_staples_of_the_training_count_in_a_call_as_they_do_in_the_batch():
    broad = {**USAGE, "min_weeks_share": 0.01, "min_items": 3}
    plain = asked(**broad)
    staples = staples_of(shop().histories, plain.config, plain.window.first_as_of)
    bundle = asked(staples, **broad)
    today = principal_today(bundle, shop().histories, bundle.config, AS_OF)
    fitted_anew = principals(shop().histories, plain.config, AS_OF, plain.window.first_as_of)
    assert today.tolist() == fitted_anew.value.tolist()
    with pytest.raises(CorredorError, match="min_items counts staples.*Train again"):
        principal_today(plain, shop().histories, plain.config, AS_OF)
    places = shop().histories.position(NAMES).tolist()
    expected = [{1: "principal", 0: "secondary"}[int(today[place])] for place in places]
    assert len(set(expected)) == 2
    found = answered(bundle, "score", *map(customer, NAMES), reasons=0)
    assert [a["two_way"]["today"] for a in found] == expected
    named = asked(**broad, staples=list(staples))
    found = answered(named, "score", *map(customer, NAMES), reasons=0)
    assert [a["two_way"]["today"] for a in found] == expected
    # a model of before kept no staples, and one customer does not tell which are widely used
    found = answered(plain, "score", *map(customer, NAMES), reasons=0)
    assert {a["two_way"]["today"] for a in found} == {"not_known"}


def test_at_each_of_two_moments_it_is_told_what_we_were_then():
    bundle, histories = asked(rule="share"), with_wallets()
    given = wallet_rows("customer-0003")
    earlier = AS_OF - 20 * DAY
    then, now = answered(
        bundle,
        "explain",
        customer("customer-0003", wallet=given, as_of=iso(earlier)),
        customer("customer-0003", wallet=given),
    )
    assert (then["two_way"]["today"], now["two_way"]["today"]) == ("principal", "secondary")
    assert explained(bundle, histories, "customer-0003", earlier)["today"] == "principal"


def test_where_principality_is_not_asked_or_not_learnt_nothing_is_said():
    unlearnt = asked(**USAGE)
    unlearnt = replace(unlearnt, predictors={"churn": unlearnt.predictors["churn"]})
    for bundle in (shop().bundle, unlearnt):
        for path in ("score", "explain"):
            (found,) = answered(bundle, path, customer(NAMES[0]))
            assert found["two_way"] is None


def test_it_is_said_in_the_language_of_the_call():
    bundle = asked(**USAGE)
    (en,), (es,) = (answered(bundle, "explain", customer(NAMES[0]), language=word) for word in ("en", "es"))
    assert en["two_way"]["ends"] == es["two_way"]["ends"]
    assert en["two_way"]["likely_words"] != es["two_way"]["likely_words"]
    assert en["two_way"]["against"][0]["sentence"] != es["two_way"]["against"][0]["sentence"]


@pytest.mark.parametrize("rule", [USAGE, {"rule": "share"}, {"rule": "none"}])
def test_the_document_describes_the_two_way_answer(rule):
    document = openapi_document(ServingSettings(), "1")
    schema = {"$ref": "#/components/schemas/ScoreAnswer", "components": document["components"]}
    scorer = Scorer(asked(**rule), ServingSettings())
    for path in ("score", "explain"):
        answer = json.loads(getattr(scorer, path)(body(customer(NAMES[0]), customer(NAMES[1]))).body)
        Draft202012Validator(schema).validate(answer)
        if (told := answer["customers"][0]["two_way"]) is not None:
            told["likely"] = "drifts"
            with pytest.raises(Exception, match="is not valid under any"):
                Draft202012Validator(schema).validate(answer)
