"""The corridor, the people and the recoveries as features, on histories small enough to work out by hand."""

import json

import numpy as np
import pytest

from features.catalog import FittedFeatures, fit_features
from features.settings import Activity, TouchpointKind
from tests.literals import at, histories, settings

KINDS = {
    "claim": TouchpointKind(stage="after-sales", adequate=5, deadline_days=7),
    "answer": TouchpointKind(stage="after-sales", adequate=5, promised_minutes=60),
    "meeting": TouchpointKind(stage="advise"),
}
ANA = """
customer_id  occurred_at  kind     case_id  outcome  agent_id  amount  wait_minutes  perceived  channel
ana          2026-01-01   claim    A        open     -         -       -             -          web
ana          2026-01-20   answer   A        failed   bo        -       300           3          phone
ana          2026-02-01   claim    B        open     -         -       -             -          web
ana          2026-01-05   meeting  -        -        eva       -       -             -          branch
ana          2026-02-05   meeting  -        -        eva       -       -             -          branch
ana          2026-03-05   meeting  -        -        cy        -       -             -          branch
ana          2026-01-10   bill     -        -        -         20      -             -          -
ana          2026-02-10   bill     -        -        -         20      -             -          -
ana          2026-03-10   bill     -        -        -         40      -             -          -
"""
AS_OF = "2026-03-12"


def crowd() -> str:
    """Return what is usual: steady bills and advisers who stay."""
    rows = []
    for who in range(120):
        for month in (1, 2, 3):
            rows.append(f"c{who:03d}  2026-0{month}-08  bill  -  -  -  {20 + 0.2 * (month % 2)}  -  -  -")
            rows.append(
                f"c{who:03d}  2026-0{month}-03  meeting  -  -  a{who % 5}  -  -  {6 + who % 3}  branch"
            )
    return ANA + "\n".join(rows)


@pytest.fixture(scope="module")
def features() -> FittedFeatures:
    company = settings(windows_days=(28, 182, 364)).model_copy(update={"touchpoints": KINDS})
    until = at("2026-04-01")
    return fit_features(histories(crowd()), company, Activity(), fit_before=until, until=until)


@pytest.fixture(scope="module")
def found(features) -> dict[str, float]:
    return dict(
        zip(features.names, features.snapshots(histories(ANA), [at(AS_OF)])[0, 0].tolist(), strict=True)
    )


def test_an_open_matter_has_an_age_and_a_time_that_is_up(found):
    assert found["open_matters"] == 1
    assert found["open_days"] == found["claim_open_days"] == found["claim_waiting_days"] == 39
    assert found["claim_overdue_days"] == 32, "seven days after 1 February its time was up"
    assert found["claim_days_since_overdue"] == 32


def test_a_matter_closed_too_late_keeps_the_day_on_which_its_time_was_up(features):
    rows = histories(ANA)
    early = features.snapshots(rows, [at("2026-01-25")])[0, 0]
    told = dict(zip(features.names, early.tolist(), strict=True))
    assert told["open_matters"] == 0 and np.isnan(told["claim_open_days"])
    assert told["claim_days_since_overdue"] == 17, "since 8 January, though answered on the 20th"


def test_a_promise_is_kept_or_broken_by_kind(found):
    assert found["answer_days_since_promise_broken"] == 51
    assert found["answer_wait_excess_felt"] == pytest.approx(240 * 0.5 ** (51 / 90), rel=1e-5)


def test_a_bill_is_set_against_the_customers_own(found):
    assert found["bill_amount_ratio"] == pytest.approx(np.log(2), abs=1e-3)
    assert found["bill_days_since_surge"] == 2


def test_a_new_face_is_dated_and_a_familiar_one_has_a_length(found):
    assert found["meeting_days_since_change"] == 7 and found["meeting_bond_days"] == 7
    weights = 0.5 ** (np.array([35, 7]) / 180)
    assert found["meeting_agent_kept"] == pytest.approx(weights[0] / weights.sum(), rel=1e-5)


def test_a_failure_that_nothing_made_up_for_stays(found):
    assert found["unrecovered_days"] == 51
    assert found["recovered_share_364d"] == 0 and found["failures_in_a_row"] == 1
    assert found["conflicts_364d"] == 1


def test_only_contacts_within_a_matter_hop_between_channels(found):
    assert found["channel_hops_182d"] == 1, "from the web to the telephone"
    assert found["loops_182d"] == 0 and found["friction_felt"] > 0


def test_no_name_of_a_person_is_in_a_feature(features):
    told = " ".join(f"{f.name} {f.moment} {f.sentence.en} {f.sentence.es}" for f in features.features)
    assert not any(f" {name} " in f" {told} " for name in ("eva", "cy", "bo"))


def test_no_name_of_a_person_is_in_what_goes_into_the_bundle(features):
    assert features.context.population.paths.people["agent_id"].sums
    stored = json.dumps(features.to_dict())
    assert not any(f'"{name}"' in stored for name in ("eva", "cy", "bo", "a0", "a1", "a2", "a3", "a4"))


def test_a_shop_has_no_corridor():
    log = """
        customer_id  occurred_at  kind      amount
        ana          2026-01-01   purchase  10
        ana          2026-02-01   coupon    -
        bo           2026-02-01   purchase  10
    """
    until = at("2026-04-01")
    shop = fit_features(histories(log), settings(), Activity(("purchase",)), fit_before=until, until=until)
    assert "corridor" not in {f.family for f in shop.features}
    assert not any(f.moment.endswith((".people", ".recovery")) for f in shop.features)
