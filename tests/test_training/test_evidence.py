import numpy as np
import pytest

from tests.test_training.shop import AS_OF, DAY, to_histories, trained_shop
from training.evidence import find_evidence
from training.scoring import score
from training.telling import evidence_kinds, tell_evidence


@pytest.fixture(scope="module")
def shop():
    return trained_shop()


def of_customer(shop, c):
    return [r for r in shop.rows if r["customer_id"] == f"customer-{c:04d}" and r["occurred_at"] < AS_OF]


@pytest.mark.parametrize("c", [3, 42])
def test_risk_without_a_contact_is_the_score_of_a_history_without_it(shop, c):
    rows = of_customer(shop, c)
    found = find_evidence(shop.bundle, shop.histories, AS_OF, c, candidates=10)
    assert found
    for evidence in found:
        rest = [r for r in rows if (r["occurred_at"], r["kind"]) != (evidence.occurred_at, evidence.kind)]
        assert len(rest) < len(rows)
        without = score(shop.bundle, to_histories(rest), AS_OF)
        with_all = score(shop.bundle, to_histories(rows), AS_OF)
        assert evidence.risk_without == without.churn_probability[0]
        assert evidence.risk == with_all.churn_probability[0]
        assert evidence.change == with_all.raw_scores["churn"][0] - without.raw_scores["churn"][0]


def test_the_contact_that_the_score_owes_most_to_comes_first(shop):
    found = find_evidence(shop.bundle, shop.histories, AS_OF, 42)
    sizes = [abs(e.change) for e in found]
    assert sizes == sorted(sizes, reverse=True)


def test_the_lines_of_one_contact_are_left_out_together(shop):
    ticket = {"customer_id": "c", "occurred_at": AS_OF - 3 * DAY, "kind": "purchase", "touchpoint_id": "t"}
    lines = [{**ticket, "item": "item 1", "amount": 2.5}, {**ticket, "item": "item 2", "amount": 4.0}]
    before = [{**ticket, "occurred_at": AS_OF - d * DAY, "touchpoint_id": f"t{d}"} for d in (30, 20, 10)]
    found = find_evidence(shop.bundle, to_histories([*before, *lines]), AS_OF, 0)
    assert len(found) == 4
    last = max(found, key=lambda e: e.occurred_at)
    assert set(last.items) == {"item 1", "item 2"}
    assert last.amount == 6.5
    assert last.change < 0  # the latest purchase speaks for staying


def test_only_the_latest_contacts_known_before_as_of_and_of_the_kinds_asked_are_tried(shop):
    everything = find_evidence(shop.bundle, shop.histories, AS_OF, 42, candidates=10_000)
    assert all(e.occurred_at < AS_OF for e in everything)
    times = sorted(e.occurred_at for e in everything)
    latest = find_evidence(shop.bundle, shop.histories, AS_OF, 42, candidates=5)
    assert sorted(e.occurred_at for e in latest) == times[-5:]
    kinds = evidence_kinds(shop.bundle, "complaint.frequency")
    assert kinds == frozenset({"complaint"})
    complaints = find_evidence(shop.bundle, shop.histories, AS_OF, 42, kinds=kinds)
    assert {e.kind for e in complaints} <= {"complaint"}
    assert evidence_kinds(shop.bundle, "tenure") is None


def test_a_customer_without_contacts_has_no_evidence(shop):
    late = [{"customer_id": "c", "occurred_at": AS_OF, "kind": "purchase"}]
    assert find_evidence(shop.bundle, to_histories(late), AS_OF, 0) == ()


def test_evidence_is_told_with_date_place_amount_and_both_risks(shop):
    rows = [
        {"customer_id": "c", "occurred_at": AS_OF - d * DAY, "kind": "purchase"} for d in range(20, 200, 9)
    ]
    rows.append({"customer_id": "c", "occurred_at": AS_OF - 2 * DAY, "kind": "complaint"})
    rows[-1] |= {"channel": "phone", "outcome": "open", "amount": 12.5}
    found = find_evidence(shop.bundle, to_histories(rows), AS_OF, 0, kinds=frozenset({"complaint"}))
    words = tell_evidence(shop.bundle, found[0], AS_OF)
    risk, without = (f"{100 * p:.0f}" for p in (found[0].risk, found[0].risk_without))
    # 360 days after 13 September 2020, 12:26 UTC
    assert (
        words.en == f"Complaint of 6 September (phone, 12.50 EUR, open): risk {risk}%, without it {without}%"
    )
    assert words.es == (
        "Reclamación del 6 de septiembre (phone, 12,50 EUR, sin resolver): "
        f"riesgo {risk} %; sin ello, {without} %"
    )


def test_a_customer_with_very_many_contacts_gets_an_answer_too(shop):
    rows = [
        {"customer_id": "c", "occurred_at": AS_OF - h * DAY // 96, "kind": "purchase"}
        for h in range(1, 20_000)
    ]
    found = find_evidence(shop.bundle, to_histories(rows), AS_OF, 0)
    assert 0 < len(found) <= 100
    assert np.isfinite([e.risk_without for e in found]).all()
