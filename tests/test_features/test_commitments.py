"""When what holds a customer ends, as known at a date, worked by hand."""

import numpy as np
import pytest

from features.commitments import Lock, locks_of, running_ends
from features.expressions import Rows
from features.signals import LAST_END, NEXT_END, days_to_end
from tests.companies import UNTIL, company, fitted
from tests.literals import DAY, at, histories, values

BEGUN = "customer_id occurred_at kind\nana 2026-01-01 call"
HELD, FREED = (Rows("relationships", ("change", c)) for c in ("held", "freed"))


def relationships(text):
    return histories(BEGUN, relationships=text)


def test_a_fee_lasts_as_long_as_its_commitment():
    history = relationships("""
        customer_id product started_at  committed_until exit_fee
        ana         loan    2026-01-10  2026-02-01      80
        ana         card    2026-01-10  -               5
    """)
    fee = HELD.total("exit_fee")
    assert values(history, ["2026-01-11", "2026-02-01", "2026-02-02"], fee) == [[85], [85], [5]]


def test_a_benefit_and_a_discount_run_out_on_their_days():
    history = relationships("""
        customer_id product started_at  ended_at   accrued_benefit benefit_until discount discount_until
        ana         loan    2026-01-10  2026-04-01 50              2026-02-01    9        2026-03-01
        ana         card    2026-01-10  -          7               -             2        2026-01-05
    """)
    state = [HELD.total("accrued_benefit"), HELD.total("discount"), HELD.total("held")]
    dates = ["2026-01-20", "2026-02-20", "2026-03-20", "2026-04-20"]
    assert values(history, dates, *state) == [[57, 9, 2], [7, 9, 2], [7, 0, 2], [7, 0, 1]]


def test_when_a_benefit_and_a_discount_end_next_is_told():
    history = relationships("""
        customer_id product started_at  accrued_benefit benefit_until discount discount_until
        ana         loan    2026-01-10  50              2026-02-01    9        2026-03-01
        ana         card    2026-01-10  7               2026-05-01    2        -
    """)
    ends = [days_to_end("benefit", "next"), days_to_end("discounted", "next"), NEXT_END]
    assert values(history, ["2026-01-20", "2026-02-20", "2026-06-01"], *ends) == [
        [12, 40, None],
        [70, 9, None],
        [None, None, None],
    ]


def test_a_price_counts_against_the_market_where_both_are_known():
    history = relationships("""
        customer_id product started_at  amount market_amount
        ana         loan    2026-01-01  110    100
        ana         card    2026-01-01  50     -
        ana         account 2026-01-01  -      70
    """)
    gap = HELD.total("priced") / HELD.total("market_amount") - 1.0
    assert values(history, "2026-02-01", gap) == [pytest.approx(0.1)]


def test_the_next_and_the_last_commitment_to_end_are_told_apart():
    """At 1 March the card is free already and the loan, and then the account, still run."""
    history = relationships("""
        customer_id product started_at  committed_until
        ana         loan    2026-01-01  2026-03-11
        ana         card    2026-01-01  2026-02-01
        ana         account 2026-01-15  2026-06-09
    """)
    dates = ["2026-01-01", "2026-01-02", "2026-01-20", "2026-03-01", "2026-06-08", "2026-06-10"]
    assert values(history, dates, NEXT_END, LAST_END) == [
        [None, None],
        [30, 68],
        [12, 140],
        [10, 100],
        [1, 1],
        [None, None],
    ]


def test_a_commitment_recorded_later_is_not_known_before():
    history = relationships("""
        customer_id product started_at  recorded_at committed_until
        ana         loan    2026-01-01  2026-01-01  2026-02-01
        ana         loan    2026-01-01  2026-01-20  2026-09-01
    """)
    assert values(history, ["2026-01-20", "2026-01-21"], NEXT_END) == [[12], [223]]
    assert locks_of(history, at("2026-01-20"), 0)[0].committed_until == at("2026-02-01")
    assert locks_of(history, at("2026-01-21"), 0)[0].committed_until == at("2026-09-01")


def test_who_is_free_since_when_is_known_only_of_commitments_that_ended_by_themselves():
    history = relationships("""
        customer_id product started_at  recorded_at ended_at    committed_until
        ana         loan    2026-01-01  2026-01-01  -           2026-02-01
        ana         card    2026-01-01  2026-01-01  2026-02-10  2026-03-01
        ana         account 2026-01-01  2026-01-01  -           2026-02-20
        ana         account 2026-01-01  2026-02-15  -           2026-12-01
    """)
    dates = ["2026-02-01", "2026-02-02", "2026-03-10"]
    assert values(history, dates, FREED.count(), FREED.days_since_last()) == [[0, None], [1, 1], [1, 37]]


def test_changes_of_the_ends_add_up_to_the_ends_of_all_that_run():
    rng = np.random.default_rng(5)
    n = 400
    customer = np.sort(rng.integers(0, 40, n))
    begin = rng.integers(0, 60, n)
    free = begin + rng.integers(1, 40, n)
    end = free + rng.integers(0, 30, n)
    at_begin_next, at_begin_last, at_free_next, at_free_last = running_ends(customer, begin, free, end)
    for day in range(101):
        for who in range(40):
            mine = customer == who
            running = end[mine & (begin < day) & (free >= day)]
            told = [
                opened[mine & (begin < day)].sum() + closed[mine & (free < day)].sum()
                for opened, closed in ((at_begin_next, at_free_next), (at_begin_last, at_free_last))
            ]
            assert told == ([running.min(), running.max()] if len(running) else [0, 0])


def test_locks_name_what_leaving_costs_and_until_when():
    history = relationships("""
        customer_id product started_at ended_at   committed_until exit_fee accrued_benefit discount_until
        ana         loan    2026-01-01 -          2026-06-01      80       12              2026-02-01
        ana         card    2026-01-01 2026-01-20 2026-09-01      10       -               -
        ana         account 2026-01-01 -          2026-01-15      30       -               -
        bo          loan    2026-01-01 -          2026-07-01      1        -               -
    """)
    (account, loan) = locks_of(history, at("2026-03-01"), int(history.position(["ana"])[0]))
    assert account == Lock("account", None, None, None, None, None, None) and not account.holds
    assert loan == Lock("loan", at("2026-06-01"), 80.0, 12.0, None, None, None) and loan.holds
    assert locks_of(histories(BEGUN), at("2026-03-01"), 0) == ()


def test_a_planned_end_frees_and_what_ends_within_the_horizon_is_said():
    features = fitted(company(3))
    history = relationships("""
        customer_id product started_at  recorded_at ended_at    committed_until
        ana         loan    2025-01-01  2025-01-01  -           2026-01-21
        ana         card    2025-01-01  2025-01-01  2026-01-05  2026-09-01
    """)
    row = dict(zip(features.names, features.snapshots(history, [UNTIL])[0, 0].tolist(), strict=True))
    assert row["days_until_uncommitted"] == 20 and row["days_until_last_uncommitted"] == 243
    assert row["uncommitted_within_horizon"] == 1  # 28 days
    later = dict(
        zip(features.names, features.snapshots(history, [UNTIL - 30 * DAY])[0, 0].tolist(), strict=True)
    )
    assert later["days_until_uncommitted"] == 50 and later["uncommitted_within_horizon"] == 0
