import numpy as np
import pytest

from features.errors import CorredorError
from tests.literals import at, histories
from training.config import Config
from training.labels import churn_labels, eligible, label_window, mature_until

SHOP = """
customer_id  occurred_at  kind
ana          2026-01-10   purchase
ana          2026-02-20   purchase
bea          2026-01-20   purchase
bea          2026-02-03   call
carl         2025-10-01   purchase
carl         2026-02-05   purchase
zoe          2026-03-31   purchase
"""


def config(**sections) -> Config:
    asked = {"kinds": ["purchase"], "active_days": 60, "horizon_days": 28, **sections.pop("churn", {})}
    return Config.model_validate(
        {"project": {"name": "shop"}, "sources": {"touchpoints": ""}, "churn": asked, **sections}
    )


def test_those_who_were_active_are_eligible_and_those_who_are_silent_in_the_window_churned():
    shop = histories(SHOP)
    assert eligible(shop, config(), at("2026-02-01")).tolist() == [True, True, False, False]
    labels = churn_labels(shop, config(), at("2026-02-01"))
    assert labels.value.tolist() == [0, 1, 0, 1]
    assert labels.source == "inactivity"


def test_any_direct_contact_counts_when_no_kind_is_named():
    labels = churn_labels(histories(SHOP), config(churn={"kinds": []}), at("2026-02-01"))
    assert labels.value.tolist() == [0, 0, 0, 1]


def test_the_window_begins_after_the_gap_and_ends_before_its_last_moment():
    asked = config(churn={"gap_days": 19, "horizon_days": 10})
    low, high = label_window(asked, at("2026-02-01"))
    assert (low, high) == (at("2026-02-20"), at("2026-03-02"))
    assert churn_labels(histories(SHOP), asked, at("2026-02-01")).value.tolist() == [0, 1, 1, 1]
    before = config(churn={"gap_days": 9, "horizon_days": 10})  # ends where ana buys again
    assert churn_labels(histories(SHOP), before, at("2026-02-01")).value.tolist() == [1, 1, 1, 1]


def test_activity_at_as_of_or_recorded_later_is_not_yet_known():
    late = histories(
        """
        customer_id  occurred_at  recorded_at  kind
        ana          2026-02-01   2026-02-01   purchase
        bea          2026-01-31   2026-02-10   purchase
        carl         2026-01-31   2026-01-31   purchase
        """
    )
    assert eligible(late, config(), at("2026-02-01")).tolist() == [False, False, True]


def test_a_window_that_is_not_over_is_refused_and_the_last_that_is_gets_named():
    with pytest.raises(CorredorError, match=r"data end before 2026-04-01.*Choose 2026-03-04 or earlier"):
        churn_labels(histories(SHOP), config(), at("2026-03-05"))
    assert churn_labels(histories(SHOP), config(), at("2026-03-04")).known.all()


def test_outcomes_are_known_to_the_end_of_the_last_day_and_never_past_until():
    shop = histories(SHOP)
    assert mature_until(shop, config(), at("2030-01-01")) == at("2026-04-01")
    assert mature_until(shop, config(), at("2026-02-01")) == at("2026-02-01")


def test_a_kind_that_the_data_do_not_have_is_named_with_its_neighbours():
    with pytest.raises(CorredorError, match="Did you mean purchase"):
        eligible(histories(SHOP), config(churn={"kinds": ["purchse"]}), at("2026-02-01"))


BANK = """
customer_id  product  started_at  ended_at    voluntary  recorded_at
ana          account  2025-01-01  -           -          2025-01-01
ana          account  2025-01-01  2026-02-10  yes        2026-02-10
bea          account  2025-01-01  -           -          2025-01-01
bea          account  2025-01-01  2026-02-10  no         2026-02-10
carl         account  2025-01-01  -           -          2025-01-01
carl         account  2025-01-01  2026-02-10  yes        2026-02-10
carl         card     2025-01-01  -           -          2025-01-01
dora         account  2025-01-01  -           -          2025-01-01
dora         account  2025-01-01  2026-01-10  yes        2026-01-10
eva          account  2025-01-01  -           -          2025-01-01
eva          account  2025-01-01  2026-02-10  yes        2026-02-12
fay          account  2026-02-05  -           -          2026-02-05
"""


def bank():
    calls = "customer_id occurred_at kind\nana 2025-01-01 call\nana 2026-03-31 call"
    return histories(calls, relationships=BANK)


def ended(**churn) -> Config:
    return config(churn={"rule": "ended", "kinds": [], "horizon_days": 28, **churn})


def test_the_end_of_the_last_product_by_own_will_is_churn_and_any_other_end_is_censored():
    # ana, bea, carl, dora, eva, fay
    assert eligible(bank(), ended(), at("2026-02-01")).tolist() == [True, True, True, False, True, False]
    labels = churn_labels(bank(), ended(), at("2026-02-01"))
    assert labels.value[[0, 1, 2, 4]].tolist() == [1, -1, 0, 1]
    assert labels.source == "ended"


def test_only_the_products_that_are_named_count():
    account = ended(products=["account"])
    assert churn_labels(bank(), account, at("2026-02-01")).value[2] == 1
    with pytest.raises(CorredorError, match="acount"):
        churn_labels(bank(), ended(products=["acount"]), at("2026-02-01"))


def test_an_end_in_the_gap_is_neither_stayed_nor_churned():
    assert churn_labels(bank(), ended(gap_days=20), at("2026-02-01")).value[0] == -1


def test_an_end_that_was_not_yet_recorded_does_not_take_eligibility_away():
    assert eligible(bank(), ended(), at("2026-02-11")).tolist() == [False, False, True, False, True, True]


def test_a_rule_without_its_table_says_what_to_add():
    with pytest.raises(CorredorError, match="relationships"):
        eligible(histories(SHOP), ended(), at("2026-02-01"))


def test_labels_do_not_change_with_what_comes_after_the_window():
    shop, as_of = histories(SHOP), at("2026-02-01")
    cut = histories(SHOP.replace("zoe          2026-03-31", "zoe          2026-02-28")).known_before(
        at("2026-03-01")
    )
    whole = churn_labels(shop, config(), as_of).value
    assert np.array_equal(whole[:3], churn_labels(cut, config(), as_of).value[:3])
