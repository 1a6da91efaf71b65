import numpy as np
import pytest

from tests.test_training.shop import AS_OF, DAY, to_histories, trained_shop
from training import scoring
from training.scoring import BANDS, score


@pytest.fixture(scope="module")
def shop():
    return trained_shop()


@pytest.fixture(scope="module")
def everyone(shop):
    return score(shop.bundle, shop.histories, AS_OF, reasons=3)


def assert_same(one, many, elements):
    for name in ("churn_probability", "principality_probability", "band", "moments", "X"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name)[elements])
    for name in ("moment", "feature", "contribution", "risk_without"):
        np.testing.assert_array_equal(getattr(one.top, name), getattr(many.top, name)[elements])


@pytest.mark.parametrize("who", [[0], [17], [299, 3, 120], list(range(50, 90))])
def test_a_customer_scores_the_same_bits_whoever_is_scored_beside(shop, everyone, who):
    some = score(shop.bundle, shop.histories, AS_OF, np.array(who), reasons=3)
    assert_same(some, everyone, who)
    assert [some.warnings.get(i) for i in range(len(who))] == [everyone.warnings.get(i) for i in who]


def test_a_customer_alone_in_the_data_scores_the_same_bits(shop, everyone):
    for c in (0, 42, 150):
        rows = [row for row in shop.rows if row["customer_id"] == f"customer-{c:04d}"]
        place = shop.histories.position([f"customer-{c:04d}"])
        assert_same(score(shop.bundle, to_histories(rows), AS_OF, reasons=3), everyone, place)


def test_the_size_of_a_chunk_changes_no_bit(shop, everyone, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 7)
    assert_same(score(shop.bundle, shop.histories, AS_OF, reasons=3), everyone, slice(None))


def test_asking_for_reasons_changes_no_score(shop, everyone):
    plain = score(shop.bundle, shop.histories, AS_OF)
    np.testing.assert_array_equal(plain.churn_probability, everyone.churn_probability)
    assert plain.moments is None and plain.top is None


def test_what_happens_at_or_after_as_of_changes_no_bit(shop, everyone):
    later = [row for row in shop.rows if row["occurred_at"] < AS_OF]
    assert len(later) < len(shop.rows)
    extra = {"customer_id": "customer-0005", "occurred_at": AS_OF, "kind": "purchase", "amount": 1e6}
    late = {**extra, "occurred_at": AS_OF - DAY, "recorded_at": AS_OF}
    scores = score(shop.bundle, to_histories([*later, extra, late]), AS_OF, reasons=3)
    assert_same(scores, everyone, slice(None))


def test_moments_and_base_add_up_to_the_raw_score(everyone):
    total = everyone.base + everyone.moments.sum(axis=1)
    np.testing.assert_allclose(total, everyone.raw_scores["churn"], rtol=0, atol=1e-9)


def test_no_customers_score_to_nothing(shop):
    nobody = score(shop.bundle, shop.histories, AS_OF, np.array([], np.int64), reasons=2)
    assert len(nobody) == 0 and nobody.moments.shape == (0, len(shop.bundle.moment_keys))


def test_those_who_went_silent_score_higher_than_those_who_bought_yesterday(shop):
    history = [
        {"customer_id": "c", "occurred_at": AS_OF - d * DAY, "kind": "purchase"} for d in range(50, 300, 7)
    ]
    recent = [*history, *({**history[0], "occurred_at": AS_OF - d * DAY} for d in range(1, 50, 7))]
    silent, loyal = (score(shop.bundle, to_histories(rows), AS_OF) for rows in (history, recent))
    assert BANDS[silent.band[0]] != "low"
    assert BANDS[loyal.band[0]] == "low"
    assert silent.churn_probability[0] > loyal.churn_probability[0] + 0.3


def test_short_histories_and_unseen_kinds_are_reported(shop):
    row = {"occurred_at": AS_OF - DAY, "kind": "purchase"}
    rows = [{**row, "customer_id": "one"}]
    rows += [{**row, "customer_id": "ticket", "touchpoint_id": "t", "item": f"i{i}"} for i in range(5)]
    rows += [{**row, "customer_id": "later", "occurred_at": AS_OF + d} for d in range(9)]
    rows += [{**row, "customer_id": "many", "occurred_at": AS_OF - d * DAY} for d in range(1, 9)]
    rows += [{**row, "customer_id": "many", "kind": "séance"}]
    histories = to_histories(rows)
    scores = score(shop.bundle, histories, AS_OF)
    by_id = dict(
        zip(histories.customer_ids.to_pylist(), (scores.warnings.get(i) for i in range(4)), strict=True)
    )
    assert by_id == {
        "one": ("short_history",),
        "ticket": ("short_history",),
        "later": ("no_history",),
        "many": ("unseen_kinds",),
    }
    assert scores.unseen_kinds == ("séance",)
