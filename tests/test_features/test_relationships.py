"""What is held, committed, surveyed and shared with others, as of a date, worked by hand."""

import pytest

from features.expressions import Rows
from tests.companies import UNTIL, company, fitted
from tests.literals import histories, values

BEGUN = "customer_id occurred_at kind\nana 2026-01-01 call"
HELD, COMMITTED = (Rows("relationships", ("change", c)) for c in ("held", "committed"))
STARTED, ENDED = (Rows("relationships", ("change", c)) for c in ("started", "ended"))


def relationships(text):
    return histories(BEGUN, relationships=text)


def test_a_product_is_held_from_its_start_to_its_end():
    history = relationships("""
        customer_id product started_at  ended_at    amount
        ana         loan    2026-01-10  2026-01-20  100
        ana         card    2026-01-15  -           -
    """)
    state = [HELD.total("held"), HELD.total("amount"), STARTED.count(), ENDED.count()]
    dates = ["2026-01-10", "2026-01-11", "2026-01-16", "2026-01-20", "2026-01-21"]
    assert values(history, dates, *state) == [
        [0, 0, 0, 0],
        [1, 100, 1, 0],
        [2, 100, 2, 0],
        [2, 100, 2, 0],
        [1, 0, 2, 1],
    ]


def test_an_end_is_unknown_until_it_is_recorded():
    history = relationships("""
        customer_id product started_at  recorded_at  ended_at
        ana         loan    2026-01-10  2026-01-10   -
        ana         loan    2026-01-10  2026-02-01   2026-01-20
    """)
    state = [HELD.total("held"), ENDED.count(), ENDED.days_since_last()]
    assert values(history, ["2026-01-25", "2026-02-01", "2026-02-03"], *state) == [
        [1, 0, None],
        [1, 0, None],
        [0, 1, 2],
    ]


def test_the_last_version_known_counts():
    history = relationships("""
        customer_id product started_at  recorded_at  amount  exit_fee  autopay
        ana         loan    2026-01-10  2026-01-20   100     20        no
        ana         loan    2026-01-10  2026-02-20   70      -         yes
        ana         loan    2026-01-10  2026-03-20   30      5         yes
    """)
    state = [HELD.total("held"), HELD.total("amount"), HELD.total("exit_fee"), HELD.total("autopay")]
    assert values(history, ["2026-01-15", "2026-01-21", "2026-02-21", "2026-03-21"], *state) == [
        [0, 0, 0, 0],
        [1, 100, 20, 0],
        [1, 70, 0, 1],
        [1, 30, 5, 1],
    ]
    assert values(history, "2026-04-01", STARTED.count(), STARTED.days_since_last()) == [1, 71]


def test_a_later_row_about_what_is_over_does_not_end_it_again():
    history = relationships("""
        customer_id product started_at  recorded_at  ended_at    amount
        ana         loan    2026-01-01  2026-01-01   -           5
        ana         loan    2026-01-01  2026-01-10   2026-01-08  5
        ana         loan    2026-01-01  2026-01-20   2026-01-08  6
    """)
    assert values(history, "2026-01-22", ENDED.count(), ENDED.days_since_last()) == [1, 12]


def test_what_was_called_over_can_be_held_again_and_end_again():
    history = relationships("""
        customer_id product started_at  recorded_at  ended_at
        ana         loan    2026-01-01  2026-01-10   2026-01-08
        ana         loan    2026-01-01  2026-01-20   2026-01-30
    """)
    state = [HELD.total("held"), ENDED.count()]
    assert values(history, ["2026-01-11", "2026-01-21", "2026-01-31"], *state) == [[0, 1], [1, 1], [0, 2]]


def test_a_planned_end_holds_until_it_comes_and_can_be_taken_back():
    history = relationships("""
        customer_id product started_at  recorded_at  ended_at
        ana         loan    2026-01-01  2026-01-01   2026-02-01
        ana         card    2026-01-01  2026-01-01   2026-02-01
        ana         card    2026-01-01  2026-01-20   -
    """)
    assert values(history, ["2026-01-25", "2026-02-02"], HELD.total("held"), ENDED.count()) == [
        [2, 0],
        [1, 1],
    ]


def test_what_is_announced_is_held_only_from_its_start():
    history = relationships("""
        customer_id product started_at  recorded_at  amount
        ana         loan    2026-03-01  2026-01-10   10
        ana         loan    2026-03-01  2026-01-20   20
    """)
    dates = ["2026-02-01", "2026-03-02"]
    assert values(history, dates, HELD.total("amount"), STARTED.count()) == [[0, 0], [20, 1]]


def test_two_contracts_of_one_product_are_two():
    history = relationships("""
        customer_id product started_at
        ana         loan    2026-01-01
        ana         loan    2026-01-02
        ana         card    2026-01-02
    """)
    loans = Rows("relationships", ("product", "loan"), ("change", "held"))
    assert values(history, "2026-02-01", HELD.total("held"), loans.total("held")) == [3, 2]


def test_a_commitment_runs_to_its_date_or_to_the_end():
    history = relationships("""
        customer_id product started_at  ended_at    committed_until
        ana         loan    2026-01-01  -           2026-03-01
        ana         card    2026-01-01  2026-02-01  2026-12-01
        ana         account 2026-01-01  -           -
    """)
    running = COMMITTED.total("committed")
    assert values(history, ["2026-01-20", "2026-02-02", "2026-03-02"], running) == [[2], [1], [0]]


def test_a_commitment_made_later_replaces_the_first():
    history = relationships("""
        customer_id product started_at  recorded_at  committed_until
        ana         loan    2026-01-01  2026-01-01   2026-02-01
        ana         loan    2026-01-01  2026-01-20   2026-06-01
    """)
    state = [COMMITTED.total("committed"), COMMITTED.total("committed_days") / COMMITTED.total("committed")]
    (before, after) = values(history, ["2026-01-10", "2026-03-01"], *state)
    assert before == [1, 20_485] and after == [1, 20_605]  # days since 1970 of 1 February and 1 June


def test_the_last_attribute_that_was_valid_counts():
    history = histories(
        BEGUN,
        customers="""
        customer_id valid_from  segment age
        ana         -           basic   30
        ana         2026-02-01  gold    31
        ana         2026-03-01  -       -
        """,
    )
    age = Rows("attributes", ("attribute", "age"))
    gold = Rows("attributes", ("attribute", "segment"), ("level", "gold"))
    dates = ["2026-01-01", "2026-02-01", "2026-02-11", "2026-03-02"]
    assert values(history, dates, age.last("number"), gold.days_since_last()) == [
        [30, None],
        [30, None],
        [31, 10],
        [None, 29],
    ]


def test_an_attribute_corrected_later_is_not_known_before():
    history = histories(
        BEGUN,
        customers="""
        customer_id valid_from  recorded_at  age
        ana         2026-01-01  2026-01-01   30
        ana         2026-01-01  2026-02-01   31
        """,
    )
    age = Rows("attributes", ("attribute", "age"))
    assert values(history, ["2026-02-01", "2026-02-02"], age.last("number")) == [[30], [31]]


def test_answers_about_switching_costs_are_told_from_0_to_100():
    history = histories(
        BEGUN,
        switching_costs="""
        customer_id asked_at    facet     value  scale_min  scale_max
        ana         2026-01-01  learning  4      1          7
        ana         2026-01-05  learning  7      1          7
        ana         2026-01-06  economic  -      0          10
        """,
    )
    learning, economic = (Rows("switching_costs", ("facet", f)) for f in ("learning", "economic"))
    asked = [
        learning.last("value"),
        learning.mean("value"),
        economic.last("value"),
        economic.days_since_last(),
    ]
    assert values(history, ["2026-01-02", "2026-01-07"], *asked) == [[50, 50, None, None], [100, 75, None, 1]]


def test_treatments_are_rows_with_a_date():
    history = histories(
        BEGUN,
        treatments="""
        customer_id assigned_at  action  arm
        ana         2026-01-01   gift    treated
        ana         2026-01-09   gift    control
        """,
    )
    gifts = Rows("treatments", ("action", "gift"))
    known = [gifts.count(5), gifts.days_since_last()]
    assert values(history, ["2026-01-03", "2026-01-10"], *known) == [[1, 2], [1, 1]]


def test_the_features_of_switching_costs_tell_the_state():
    features = fitted(company(3))
    history = relationships("""
        customer_id product started_at  recorded_at ended_at    committed_until amount exit_fee autopay
        ana         loan    2025-01-01  2025-01-01  -           2026-01-31      100    20       yes
        ana         card    2025-06-01  2025-06-01  2025-12-22  -               7      -        no
    """)
    row = dict(zip(features.names, features.snapshots(history, [UNTIL])[0, 0].tolist(), strict=True))
    expected = {
        **{"products_held": 1, "autopay_held": 1, "amount_held": 100, "exit_fee_held": 20, "commitments": 1},
        **{"days_until_uncommitted": 30, "products_started_364d": 1, "products_ended_364d": 1},
        **{"days_since_product_ended": 10, "holds_loan": 1, "holds_card": 0, "holds_account": 0},
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
