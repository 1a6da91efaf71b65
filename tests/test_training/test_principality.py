from dataclasses import replace

import pytest

from features.errors import CorredorError
from tests.literals import at, histories
from training.config import Config
from training.principality import own_shares, principality_labels, principals, staples_of

SHOP = """
customer_id  occurred_at  kind      item
ana          2026-01-05   purchase  milk
ana          2026-01-06   purchase  bread
ana          2026-02-02   purchase  milk
ana          2026-02-10   purchase  bread
ana          2026-02-17   purchase  milk
ana          2026-02-24   purchase  caviar
bea          2026-01-07   purchase  milk
bea          2026-02-02   purchase  milk
bea          2026-02-03   purchase  milk
carl         2026-02-01   purchase  caviar
carl         2026-02-08   purchase  caviar
carl         2026-02-15   purchase  caviar
carl         2026-02-28   purchase  caviar
zoe          2026-03-31   purchase  milk
"""
AS_OF = at("2026-02-01")


def config(**principality) -> Config:
    return Config.model_validate(
        {
            "project": {"name": "shop"},
            "sources": {"touchpoints": ""},
            "churn": {"kinds": ["purchase"], "active_days": 60, "horizon_days": 28},
            "principality": principality,
        }
    )


def test_use_in_enough_weeks_of_the_window_is_principality():
    labels = principality_labels(histories(SHOP), config(rule="usage"), AS_OF, AS_OF)
    assert labels.value.tolist() == [1, 0, 1, 0]
    assert labels.source == "usage"


def test_breadth_counts_staples_that_were_widely_used_before_and_nothing_newer():
    broad = config(rule="usage", min_items=2)
    assert principality_labels(histories(SHOP), broad, AS_OF, AS_OF).value.tolist() == [1, 0, 0, 0]
    # carl's caviar was nobody's staple before the date, and one named item is not two
    named = config(rule="usage", min_items=2, staples=["caviar", "milk"])
    assert principality_labels(histories(SHOP), named, AS_OF, AS_OF).value.tolist() == [1, 0, 0, 0]


def test_staples_are_the_items_that_most_customers_used_before():
    broad = config(rule="usage", min_items=2)
    assert staples_of(histories(SHOP), broad, AS_OF) == ("milk", "bread")
    assert staples_of(histories(SHOP), broad, at("2026-02-02")) == ("milk", "bread", "caviar")
    assert staples_of(histories(SHOP), config(rule="usage"), AS_OF) == ()
    assert staples_of(histories(SHOP), config(rule="share"), AS_OF) == ()


def test_given_staples_are_counted_instead_of_fitted_ones():
    rule, march = config(rule="usage", min_items=2, min_weeks_share=0.25), at("2026-03-01")
    # ana had milk, bread and caviar in February, carl only caviar
    for staples, principal in ((["milk", "bread"], 1), (["milk", "caviar"], 1), (["bread", "tea"], 0)):
        today = principals(histories(SHOP), rule, march, march, staples=staples).value
        assert today.tolist() == [principal, 0, 0, 0]


def test_of_a_call_what_the_rule_needs_and_nobody_brings_is_not_known():
    few = histories("customer_id occurred_at kind item\nana 2026-01-20 complaint -")
    call = replace(few, partial=True)
    for rule in ({"rule": "share"}, {"rule": "declared"}, {"rule": "usage", "min_items": 2}):
        assert principals(call, config(**rule), AS_OF, AS_OF).value.tolist() == [-1]
    assert principals(call, config(rule="usage"), AS_OF, AS_OF).value.tolist() == [0]
    with pytest.raises(CorredorError, match="purchase"):
        principals(few, config(rule="usage"), AS_OF, AS_OF)


def test_a_staple_that_the_data_do_not_have_is_named():
    with pytest.raises(CorredorError, match="'mlk'"):
        principality_labels(histories(SHOP), config(rule="usage", min_items=1, staples=["mlk"]), AS_OF, AS_OF)


def test_breadth_without_items_says_what_to_map():
    plain = histories("customer_id occurred_at kind\nana 2026-02-02 purchase\nana 2026-03-31 purchase")
    with pytest.raises(CorredorError, match="no column `item`"):
        principality_labels(plain, config(rule="usage", min_items=2), AS_OF, AS_OF)


WALLET = """
customer_id  observed_at  ours  share
ana          2026-01-10   yes   0.9
ana          2026-02-10   yes   0.2
ana          2026-02-10   no    0.8
bea          2026-02-05   yes   0.4
bea          2026-02-20   yes   0.5
carl         2026-02-10   no    1.0
"""


def test_the_last_wallet_of_the_window_decides_and_no_wallet_is_not_known():
    shop = histories(SHOP, wallet=WALLET)
    labels = principality_labels(shop, config(rule="share", threshold=0.5), AS_OF, AS_OF)
    assert labels.value.tolist() == [0, 1, 0, -1]
    assert principals(shop, config(rule="share"), AS_OF, AS_OF).value.tolist() == [1, -1, -1, -1]


RANKS = """
customer_id  observed_at  ours  rank
ana          2026-02-10   yes   1
ana          2026-02-10   no    2
ana          2026-02-10   no    3
bea          2026-02-10   yes   2
bea          2026-02-10   no    1
"""


def test_ranks_become_shares_by_the_wallet_allocation_rule():
    shop = histories(SHOP, wallet=RANKS)
    assert principality_labels(shop, config(rule="share", threshold=0.5), AS_OF, AS_OF).value.tolist() == [
        *(1, 0, -1, -1)
    ]


def test_what_customers_declare_is_the_first_of_their_last_answer():
    shop = histories(SHOP, wallet=RANKS)
    labels = principality_labels(shop, config(rule="declared"), AS_OF, AS_OF)
    assert (labels.value.tolist(), labels.source) == ([1, 0, -1, -1], "declared")


def test_a_wallet_that_does_not_say_what_is_ours_is_refused():
    with pytest.raises(CorredorError, match="wallet"):
        principality_labels(histories(SHOP), config(rule="share"), AS_OF, AS_OF)


def test_the_state_on_the_day_reads_nothing_from_the_day_on():
    rule = config(rule="usage", min_weeks_share=0.25)
    before = histories("\n".join(line for line in SHOP.splitlines() if "2026-02" not in line))
    today = principals(histories(SHOP), rule, AS_OF, AS_OF).value
    assert today[[0, 1]].tolist() == [1, 1] and today[2] == 0
    assert principals(before, rule, AS_OF, AS_OF).value[[0, 1]].tolist() == [1, 1]


BASKETS = """
customer_id  observed_at  provider  ours  share
ana          2026-02-02   us        yes   1
ana          2026-02-03   them      no    1
ana          2026-02-04   others    no    1
ana          2026-02-05   us        yes   1
bea          2026-02-02   us        yes   1
bea          2026-02-03   us        yes   1
bea          2026-02-04   them      no    1
carl         2026-02-02   them      no    1
carl         2026-02-03   them      no    1
carl         2026-02-04   us        yes   1
"""


def test_all_wallets_of_the_window_together_tell_share_and_first():
    shop = histories(SHOP, wallet=BASKETS)
    share = config(rule="share", threshold=0.6, wallets="all")
    assert principality_labels(shop, share, AS_OF, AS_OF).value.tolist() == [0, 1, 0, -1]
    # two of ana's four were ours and no other had more than one
    first = config(rule="declared", wallets="all")
    assert principality_labels(shop, first, AS_OF, AS_OF).value.tolist() == [1, 1, 0, -1]
    last = config(rule="declared")
    assert principality_labels(shop, last, AS_OF, AS_OF).value.tolist() == [1, 0, 1, -1]


def test_with_all_wallets_the_state_today_is_that_of_the_window_before():
    first = config(rule="declared", wallets="all")
    shop = histories(SHOP, wallet=BASKETS)
    assert principals(shop, first, at("2026-02-06"), AS_OF).value.tolist() == [1, 1, 0, -1]
    assert principals(shop, first, at("2026-03-20"), AS_OF).value.tolist() == [-1] * 4


def test_equals_ahead_of_all_others_are_both_first():
    tied = """
    customer_id  observed_at  ours  rank
    ana          2026-02-10   yes   1
    ana          2026-02-10   no    1
    bea          2026-02-10   yes   3
    """
    shop = histories(SHOP, wallet=tied)
    assert principality_labels(shop, config(rule="declared"), AS_OF, AS_OF).value.tolist() == [1, 0, -1, -1]
    # 5/12 each, were there a third; of two with equal ranks each has half
    half = config(rule="share", threshold=0.5)
    assert principality_labels(shop, half, AS_OF, AS_OF).value.tolist() == [1, -1, -1, -1]


def test_the_own_share_so_far_is_what_was_given_of_what_was_seen():
    shop = histories(SHOP, wallet=BASKETS)
    x, n = own_shares(shop, config(rule="declared"), at("2026-02-05"))
    assert x.tolist() == [1, 2, 1, 0] and n.tolist() == [3, 3, 3, 0]
    shop = histories(SHOP, wallet=WALLET)
    x, n = own_shares(shop, config(rule="share"), at("2026-03-01"))
    assert x == pytest.approx([1.1, 0.9, 0, 0]) and n.tolist() == [2, 2, 1, 0]


def test_the_own_share_of_use_is_weeks_with_use_since_the_first():
    x, n = own_shares(histories(SHOP), config(rule="usage"), at("2026-02-02"))
    # ana bought 4 weeks before the day and not since, bea too; carl in the last week; zoe not yet
    assert x.tolist() == [1, 1, 1, 0] and n.tolist() == [4, 4, 1, 0]
