"""Shares of the wallet, ranks and what is known of them when, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import fit_features
from features.definition import Context
from features.population import WALLET
from features.principality import define
from features.settings import Activity
from features.wallets import allocated, fit_shares, mean_ranks, read_answers, row_shares
from tests.literals import at, histories, settings, values

BEGUN = "customer_id occurred_at kind\nana 2026-01-01 call"
NAN = float("nan")


def floats(*cells):
    return np.array([NAN if c is None else c for c in cells], float)


def answers(rows):
    """Read answers given as (answer, ours, share, rank) rows."""
    number, ours, share, rank = zip(*rows, strict=True)
    return read_answers(np.array(number), floats(*ours), floats(*share), floats(*rank))


def test_a_rank_stands_for_a_share_by_the_wallet_allocation_rule():
    assert allocated([1, 2, 3], 3) == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    assert allocated(1, 1) == 1


@pytest.mark.parametrize(
    ("ranks", "shares"),
    [
        ([1], [1]),
        ([1, 2], [2 / 3, 1 / 3]),
        ([1, 1, 2], [5 / 12, 5 / 12, 2 / 12]),  # places 1.5, 1.5, 3 of 3
        ([1, 1, 3], [5 / 12, 5 / 12, 2 / 12]),
        ([2, 9, 4], [1 / 2, 1 / 6, 1 / 3]),  # gaps say nothing: the order does
        ([1, None, None], [1 / 2, 1 / 4, 1 / 4]),  # those without a rank come last, at 2.5 of 3
        ([2, 2, 2, 2], [1 / 4] * 4),
    ],
)
def test_ranks_of_an_answer_share_the_wallet_by_their_order(ranks, shares):
    rank = floats(*ranks)
    known = np.isnan(rank)
    found = row_shares(np.zeros(len(rank), int), np.where(known, 0.25, NAN), rank)
    assert found == pytest.approx(shares)


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=7), min_size=1, max_size=6))
def test_shares_of_any_ranks_with_ties_and_gaps_sum_to_one(ranked):
    answer = np.repeat(np.arange(len(ranked)), [len(r) for r in ranked])
    rank = np.concatenate([np.array(r, float) for r in ranked])
    shares = row_shares(answer, np.full(len(rank), NAN), rank)
    alone = np.array([len(r) == 1 and r[0] > 1 for r in ranked])
    assert np.isnan(shares[alone[answer]]).all()  # "third", and nobody else named: third of how many?
    sums = np.bincount(answer[~alone[answer]], weights=shares[~alone[answer]], minlength=len(ranked))
    assert sums[~alone] == pytest.approx(1)
    whole = row_shares(answer, np.full(len(rank), NAN), np.where(alone[answer], 1, rank))
    assert (whole > 0).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=12))
def test_mean_ranks_are_those_of_a_slow_count(rows):
    answer, value = (np.array(c) for c in zip(*rows, strict=True))
    slow = [
        sum(v < mine for a, v in rows if a == own) + (sum(v == mine for a, v in rows if a == own) + 1) / 2
        for own, mine in rows
    ]
    assert mean_ranks(value.astype(float), answer).tolist() == slow


def test_an_answer_says_our_share_our_place_and_of_how_many():
    said = answers(
        [
            *[(0, 1, 0.25, None), (0, 0, 0.5, None), (0, 0, 0.25, None)],  # by shares: 2nd and 3rd alike
            *[(1, 1, None, 1), (1, 0, None, 1), (1, 0, None, 2)],  # first, with another
            *[(2, 0, None, 1), (2, 0, None, 2)],  # without us
            *[(3, 1, 0.75, None)],  # the rest is elsewhere, wherever
            *[(4, 1, 0.25, None)],
            *[(5, 1, None, 3)],
            *[(6, None, 0.5, None), (6, None, 0.5, None)],  # nobody says which is ours
        ]
    )
    assert said.share == pytest.approx([0.25, 5 / 12, 0, 0.75, 0.25, NAN, NAN], nan_ok=True)
    assert said.rank == pytest.approx([2.5, 1.5, NAN, 1, NAN, 3, NAN], nan_ok=True)
    assert said.providers == pytest.approx([3, 3, 2, NAN, NAN, NAN, 2], nan_ok=True)
    assert said.first == pytest.approx([0, 1, 0, 1, NAN, 0, NAN], nan_ok=True)


FACTS = ("share", "rank", "providers", "share_change")


def known(wallet, dates):
    return values(histories(BEGUN, wallet=wallet), dates, *(WALLET.last(name) for name in FACTS))


def test_the_newest_answer_counts_and_its_change_since_the_one_before():
    found = known(
        """
        customer_id observed_at  provider  ours  share  rank
        ana         2026-01-02   us        yes   -      1
        ana         2026-01-02   them      no    -      2
        ana         2026-01-09   us        yes   0.5    -
        ana         2026-01-09   them      no    0.5    -
        """,
        ["2026-01-02", "2026-01-03", "2026-01-10"],
    )
    assert found[0] == [None] * 4
    assert found[1] == pytest.approx([0.666667, 1, 2, None])
    assert found[2] == pytest.approx([0.5, 1.5, 2, -0.166667])


def test_an_answer_that_becomes_known_late_and_in_parts_changes_what_is_known_from_then_on():
    found = known(
        """
        customer_id observed_at  recorded_at  provider  ours  rank
        ana         2026-01-05   2026-01-05   us        yes   1
        ana         2026-01-05   2026-01-07   them      no    1
        ana         2026-01-05   2026-01-07   others    no    2
        ana         2026-01-02   2026-01-20   us        yes   1
        ana         2026-01-02   2026-01-20   them      no    2
        """,
        ["2026-01-06", "2026-01-08", "2026-01-21"],
    )
    assert found[0] == pytest.approx([1, 1, 1, None])
    assert found[1] == pytest.approx([5 / 12, 1.5, 3, None], abs=1e-6)
    assert found[2] == pytest.approx([5 / 12, 1.5, 3, 5 / 12 - 2 / 3], abs=1e-6)


def test_an_answer_is_counted_once_however_it_becomes_known():
    history = histories(
        BEGUN,
        wallet="""
        customer_id observed_at  recorded_at  provider  ours  rank
        ana         2026-01-05   2026-01-05   us        yes   1
        ana         2026-01-05   2026-01-07   them      no    2
        ana         2026-01-06   2026-01-07   us        yes   1
        """,
    )
    total = [WALLET.total("given"), WALLET.total("answers")]
    found = values(history, ["2026-01-06", "2026-01-08"], *total)
    assert found[0] == [1, 1]
    assert found[1] == pytest.approx([5 / 3, 2], abs=1e-6)


def test_the_order_of_the_rows_changes_no_bit():
    rows = [
        *["ana 2026-01-05 2026-01-05 us yes 1 -", "ana 2026-01-05 2026-01-07 them no 2 -"],
        *["ana 2026-01-02 2026-01-09 us yes - 0.3", "ana 2026-01-02 2026-01-08 them no - 0.7"],
        *["bo 2026-01-05 2026-01-05 us yes 2 -", "bo 2026-01-05 2026-01-05 them no 1 -"],
    ]
    head = "customer_id observed_at recorded_at provider ours rank share"
    dates = [f"2026-01-{day:02d}" for day in range(5, 12)]
    usual = known("\n".join([head, *rows]), dates)
    for order in ([5, 4, 3, 2, 1, 0], [2, 0, 4, 1, 5, 3]):
        assert known("\n".join([head, *(rows[i] for i in order)]), dates) == usual


def test_the_features_of_the_wallet_tell_it():
    history = histories(
        BEGUN,
        wallet="""
        customer_id observed_at  provider  ours  rank
        ana         2026-01-02   us        yes   2
        ana         2026-01-02   them      no    1
        ana         2026-01-09   us        yes   1
        ana         2026-01-09   them      no    2
        """,
    )
    until = at("2026-01-11")
    features = fit_features(history, settings(), Activity(), fit_before=until, until=until)
    row = dict(zip(features.names, features.snapshots(history, [until])[0, 0].tolist(), strict=True))
    expected = {
        **{"wallet_share_last": 2 / 3, "wallet_rank_last": 1, "wallet_providers": 2},
        **{"wallet_share_change": 1 / 3, "wallet_rank_change": -1, "days_since_wallet": 2},
        **{"wallet_answers": 2, "wallet_share_usual": (1 + 1) / (2 + 2)},
        "wallet_share_fading_7d": (1 + 1 / 3 * 2 ** (-9 / 7) + 2 / 3 * 2 ** (-2 / 7))
        / (2 + 2 ** (-9 / 7) + 2 ** (-2 / 7)),
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert isinstance(features.context, Context)
    assert {f.moment for f in define(features.context)} == {"principality", "principality.wallet"}


def test_the_shares_of_the_population_are_found_again():
    random = np.random.default_rng(5)
    n = random.integers(1, 30, 4000).astype(float)
    a, b = fit_shares(random.binomial(n.astype(int), random.beta(1.5, 4.5, 4000)).astype(float), n)
    # the mean's error is about 0.006 and that of a + b about 4 % here: three times each
    assert a / (a + b) == pytest.approx(0.25, abs=0.012)
    assert a + b == pytest.approx(6.0, rel=0.12)


def test_with_few_answers_a_share_borrows_from_nobody_in_particular():
    assert fit_shares(np.ones(29), np.ones(29)) == (1.0, 1.0)
