"""Every reduction and every operation, on histories of a few lines with answers worked by hand."""

import math

import numpy as np
import pytest
from scipy import special, stats

from features.expressions import (
    ACTIVITY,
    AS_OF_DAYS,
    Rows,
    above,
    coalesce,
    equals,
    exp,
    floor,
    gamma_sf,
    larger,
    lgamma,
    lift,
    log,
    log1p,
    normal_sf,
    smaller,
    sqrt,
    step,
    unknown,
    where,
)
from tests.literals import ANY, CALLS, PURCHASES, at, histories, values

THREE = histories("""
    customer_id occurred_at       kind      amount  wait_minutes
    ana         2026-03-01        purchase  10.50   -
    ana         2026-03-05T12:00  call      -       4
    ana         2026-03-08        purchase  -0.25   -
""")
NOTHING = lift(1.0) / 0.0


def test_counts_and_lines_take_the_rows_with_all_the_tags():
    both = Rows("touchpoints", ("kind", "call"), ("activity", True))
    assert values(THREE, "2026-03-10", ANY.count(), PURCHASES.count(), CALLS.lines(), both.count()) == [
        *(3, 2, 1, 0)
    ]


def test_a_moment_is_known_strictly_after_it():
    assert values(THREE, ["2026-03-08", "2026-03-08T00:01", "2026-03-01"], ANY.count()) == [[2], [3], [0]]


def test_a_window_begins_with_its_first_moment():
    dates = ["2026-03-08", "2026-03-08T00:01"]  # seven days before: the purchase of the 1st, then after it
    assert values(THREE, dates, ANY.count(7), PURCHASES.total("amount", 7)) == [[2, 10.5], [2, -0.25]]
    assert values(THREE, "2026-03-15", ANY.count(7), ANY.count(6)) == [1, 0]


def test_totals_are_exact_where_a_double_no_longer_counts_each_millionth():
    history = histories("""
        customer_id occurred_at kind      amount
        ana         2026-03-01  purchase   3999999999.999999
        ana         2026-03-02  purchase   3999999999.999999
        ana         2026-03-03  purchase   3999999999.999999
        ana         2026-03-04  purchase  -3999999999.999998
        ana         2026-03-05  purchase  -3999999999.999998
        ana         2026-03-06  purchase  -3999999999.999998
    """)
    assert values(history, "2026-03-10", ANY.total("amount")) == [pytest.approx(3e-6, rel=1e-6)]


def test_a_total_of_nothing_is_0_and_a_mean_of_nothing_is_not_known():
    of_calls = [CALLS.total("amount"), CALLS.answered("amount"), CALLS.mean("amount")]
    assert values(THREE, "2026-03-10", *of_calls) == [0, 0, None]
    assert values(THREE, "2026-03-10", ANY.mean("amount"), ANY.answered("amount")) == [5.125, 2]
    assert values(THREE, "2026-03-10", ANY.total("satisfaction"), ANY.mean("satisfaction")) == [0, None]


def test_days_since_are_of_the_clock_and_not_known_before_the_first():
    first, last = ANY.days_since_first(), ANY.days_since_last()
    assert values(THREE, ["2026-03-01", "2026-03-06", "2026-03-10T06:00"], first, last) == [
        [None, None],
        [5, 0.5],
        [9.25, 2.25],
    ]


def test_the_last_value_is_that_of_the_last_row_even_when_it_has_none():
    assert values(THREE, "2026-03-07", ANY.last("amount"), PURCHASES.last("amount")) == [None, 10.5]
    assert values(THREE, "2026-03-10", PURCHASES.last("amount"), CALLS.last("wait_minutes")) == [-0.25, 4]


def test_decay_halves_a_sum_every_half_life_by_whole_days():
    assert values(THREE, "2026-03-08", PURCHASES.decayed("amount", 7), ANY.decayed("contacts", 7)) == [
        *(5.25, pytest.approx(0.5 + 0.5 ** (3 / 7), rel=1e-6))
    ]
    assert values(THREE, "2026-03-01T18:00", PURCHASES.decayed("contacts", 7)) == [1]
    assert values(THREE, "2046-03-01", PURCHASES.decayed("contacts", 240)) == [0]


def test_distinct_names_are_counted_in_the_window_and_no_name_is_no_name():
    history = histories("""
        customer_id occurred_at kind     channel item
        ana         2026-03-01  purchase web     milk
        ana         2026-03-03  purchase store   milk
        ana         2026-03-06  purchase store   -
        ana         2026-03-07  call     -       tea
    """)
    names = [
        ANY.distinct("channel"),
        ANY.distinct("channel", 5),
        ANY.distinct("item"),
        ANY.distinct("item", 5),
    ]
    assert values(history, "2026-03-08", *names) == [2, 1, 2, 2]
    assert values(history, "2026-03-08", PURCHASES.distinct("item"), ANY.distinct("kind", 1)) == [1, 1]


def test_days_and_weeks_of_activity_count_calendar_days_and_weeks_from_monday():
    history = histories("""
        customer_id occurred_at       kind
        ana         2026-03-01T09:00  purchase
        ana         2026-03-02T08:00  purchase
        ana         2026-03-02T20:00  purchase
        ana         2026-03-05T10:00  call
        ana         2026-03-08T23:00  purchase
    """)  # 1 and 8 March are Sundays
    assert values(history, "2026-03-09", ACTIVITY.days(), ACTIVITY.weeks()) == [3, 2]
    assert values(history, "2026-03-09", ACTIVITY.days(7), ACTIVITY.weeks(7), ACTIVITY.days(8)) == [2, 1, 3]


def test_a_day_that_the_window_cuts_counts_in_it():
    history = histories("""
        customer_id occurred_at       kind
        ana         2026-03-02T08:00  purchase
        ana         2026-03-02T20:00  purchase
        ana         2026-03-05T20:00  purchase
    """)
    seven = [ACTIVITY.days(7), ACTIVITY.weeks(7), ACTIVITY.count(7)]
    assert values(history, "2026-03-09T12:00", *seven) == [2, 1, 2]
    assert values(history, "2026-03-09T21:00", *seven) == [1, 1, 1]
    assert values(history, "2026-03-13", *seven) == [0, 0, 0]


def test_local_days_begin_with_the_offset():
    history = histories("""
        customer_id occurred_at       kind
        ana         2026-03-02T23:00  purchase
        ana         2026-03-03T01:00  purchase
    """)
    five_behind = 5 * 3_600_000_000  # a day in New York begins at 05:00 UTC
    assert values(history, "2026-03-09", ACTIVITY.days()) == [2]
    assert values(history, "2026-03-09", ACTIVITY.days(), day_offset=five_behind) == [1]


GAPS = histories("""
    customer_id occurred_at       kind
    ana         2026-01-01T10:00  purchase
    ana         2026-01-03T08:00  purchase
    ana         2026-01-03T18:00  purchase
    ana         2026-01-04T12:00  call
    ana         2026-01-11T09:00  purchase
    ana         2026-01-13T09:00  purchase
""")  # days 1, 3, 11, 13: gaps 2, 8, 2; weekdays Thursday, Saturday twice, Sunday, Tuesday


def test_the_pace_of_activity_is_told_by_its_gaps_in_days():
    statistics = ("n", "mean", "variance", "longest", "last", "median")
    assert values(GAPS, "2026-01-20", *(ACTIVITY.pace(s) for s in statistics)) == [3, 4, 8, 8, 2, 2]
    assert values(GAPS, "2026-01-12", *(ACTIVITY.pace(s) for s in statistics)) == [2, 5, 9, 8, 8, 2]


def test_the_logarithms_of_gaps_have_a_mean_and_a_variance():
    logs = np.log([2, 8, 2])
    known = values(GAPS, "2026-01-20", ACTIVITY.pace("log_mean"), ACTIVITY.pace("log_variance"))
    assert known == [pytest.approx(logs.mean(), abs=1e-6), pytest.approx(logs.var(), abs=1e-5)]


def test_a_silence_is_compared_with_the_own_gaps():
    share = ACTIVITY.pace("share_as_long")
    dates = ["2026-01-13T10:00", "2026-01-15T08:00", "2026-01-16T09:00", "2026-01-22T09:00"]
    assert values(GAPS, dates, share) == [[1], [1], [pytest.approx(1 / 3)], [0]]


def test_days_since_a_long_gap_run_from_its_end():
    over = [ACTIVITY.pace("since_gap_over", days) for days in (7, 14)]
    assert values(GAPS, ["2026-01-11", "2026-01-13T21:00"], *over) == [[None, None], [2.5, None]]


def test_weekday_concentration_is_the_sum_of_squared_shares():
    assert values(GAPS, "2026-01-20", ACTIVITY.pace("weekday_concentration")) == [
        pytest.approx((1 + 4 + 1 + 1) / 25)
    ]


def test_silence_and_age_count_from_the_beginning_of_the_day():
    silence_and_age = [ACTIVITY.pace("silence"), ACTIVITY.pace("age"), ACTIVITY.pace("as_long")]
    assert values(GAPS, ["2026-01-13T21:00", "2026-01-16T09:00"], *silence_and_age) == [
        [0.875, 12.875, 3],
        [3.375, 15.375, 1],
    ]
    assert values(GAPS, ["2026-01-01", "2026-01-02"], *silence_and_age) == [[None] * 3, [1, 1, 0]]


def test_days_and_gaps_of_activity_fade_from_the_day_that_ends_them():
    faded = [ACTIVITY.decayed(m, 2) for m in ("days", "gaps", "gap_logs", "gap_log_squares")]
    weights = 0.5 ** (np.array([12, 10, 2, 0]) / 2)
    logs = np.log([1, 2, 8, 2])
    assert values(GAPS, "2026-01-13T12:00", *faded) == pytest.approx(
        [weights.sum(), weights[1:].sum(), weights @ logs, weights @ logs**2], rel=1e-6
    )


def test_pace_is_not_known_without_a_gap():
    statistics = ("mean", "variance", "log_mean", "longest", "last", "median", "share_as_long")
    assert values(GAPS, "2026-01-02", *(ACTIVITY.pace(s) for s in statistics)) == [None] * 7
    assert values(GAPS, "2026-01-02", ACTIVITY.pace("n"), ACTIVITY.pace("weekday_concentration")) == [0, 1]
    assert values(GAPS, "2026-01-01", ACTIVITY.pace("n"), ACTIVITY.pace("weekday_concentration")) == [0, None]


def test_the_median_of_long_gaps_is_told_within_an_eighth_of_a_doubling():
    history = histories("""
        customer_id occurred_at kind
        ana         2022-01-01  purchase
        ana         2023-01-01  purchase
    """)
    median, longest = values(history, "2023-02-01", ACTIVITY.pace("median"), ACTIVITY.pace("longest"))
    assert 365 / 2 ** (1 / 8) < median <= 365 == longest


def test_lines_of_one_contact_count_once():
    history = histories("""
        customer_id occurred_at       kind      touchpoint_id  item   amount
        ana         2026-03-01T10:00  purchase  basket1        milk   2
        ana         2026-03-01T10:00  purchase  basket1        tea    3
        ana         2026-03-01T10:00  purchase  basket2        milk   4
        ana         2026-03-02T10:00  purchase  -              milk   5
        ana         2026-03-02T10:00  purchase  -              tea    6
    """)
    reductions = [PURCHASES.count(), PURCHASES.lines(), PURCHASES.total("amount"), PURCHASES.distinct("item")]
    assert values(history, "2026-03-09", *reductions) == [3, 5, 20, 2]
    assert values(history, "2026-03-03", ACTIVITY.decayed("contacts", 1), ACTIVITY.decayed("lines", 1)) == [
        *(0.5 * 2 * 0.5 + 0.5, 0.5 * 3 * 0.5 + 2 * 0.5)
    ]


def test_the_same_item_twice_at_one_moment_without_an_id_is_two_contacts():
    history = histories("""
        customer_id occurred_at       kind      item   amount
        ana         2026-03-01T10:00  purchase  milk   2
        ana         2026-03-01T10:00  purchase  milk   3
        ana         2026-03-01T10:00  call      milk   3
    """)
    assert values(history, "2026-03-09", PURCHASES.count(), CALLS.count(), ANY.lines()) == [2, 1, 3]


def test_what_was_recorded_late_is_not_known_before():
    history = histories("""
        customer_id occurred_at  recorded_at  kind      amount
        ana         2026-03-01   2026-03-01   purchase  1
        ana         2026-03-02   2026-03-06   call      2
        ana         2026-03-03   -            purchase  4
        ana         2026-03-04   2026-03-02   purchase  8
    """)
    known = [ANY.total("amount"), ANY.total("amount", 4), ANY.days_since_last(), ANY.last("amount")]
    assert values(history, ["2026-03-06", "2026-03-06T01:00", "2026-03-04"], *known) == [
        [13, 12, 2, 8],
        [15, 12, pytest.approx(2 + 1 / 24), 8],
        [5, 5, 1, 4],
    ]
    assert values(history, "2026-03-07", ANY.total("amount", 5)) == [14]


def test_an_amount_spread_needs_no_unit():
    history = histories("""
        customer_id occurred_at  kind      amount
        ana         2026-03-01   purchase  9
        ana         2026-03-02   purchase  99
    """)
    known = values(history, "2026-03-09", ANY.total("log_amount"), ANY.total("log_amount_squared"))
    logs = np.array([2.303, 4.605])  # log(1 + amount) to the thousandth
    assert known == [pytest.approx(logs.sum(), rel=1e-6), pytest.approx((logs**2).sum(), rel=1e-6)]


def test_as_of_is_a_number_of_days():
    assert values(THREE, ["1970-01-11T12:00", "2026-03-10"], AS_OF_DAYS) == [
        [10.5],
        [at("2026-03-10") // 86_400_000_000],
    ]


def test_a_stream_that_is_not_there_is_not_known():
    held = Rows("relationships", ("change", "held"))
    assert values(THREE, "2026-03-10", held.total("held"), held.days_since_last()) == [None, None]


# Arithmetic: `known` computes constants only, so the histories do not matter.


def known(*expressions):
    return values(THREE, "2026-03-10", *expressions)


def test_plain_arithmetic():
    three, two = lift(3.0), lift(2.0)
    results = [three + two, three - two, three * two, three / two, three**two, -three, 1 - three, 6 / three]
    assert known(*results, 1 + three, 2 * three) == [5, 1, 6, 1.5, 9, -3, -2, 2, 4, 6]
    assert known(smaller(three, 2.0), larger(three, 2.0), above(three, 2.0), above(three, 3.0)) == [
        2,
        3,
        1,
        0,
    ]
    assert known(equals(three, 3.0), equals(three, two), where(three, two, 7.0), where(-three, two, 7.0)) == [
        *(1, 0, 2, 7)
    ]
    assert known(where(lift(0.0), two, 7.0), floor(lift(-1.5)), floor(lift(2.0)), sqrt(lift(2.25))) == [
        *(7, -2, 2, 1.5)
    ]


def test_not_known_spreads_through_arithmetic():
    one = lift(1.0)
    spoilt = [NOTHING + one, one - NOTHING, NOTHING * 0.0, one / NOTHING, one**NOTHING, NOTHING**0.0]
    spoilt += [smaller(one, NOTHING), larger(NOTHING, one), above(NOTHING, one), equals(NOTHING, NOTHING)]
    spoilt += [f(NOTHING) for f in (log, log1p, exp, sqrt, floor, lgamma, normal_sf)]
    spoilt += [gamma_sf(one, NOTHING), gamma_sf(NOTHING, one), step(NOTHING, (1.0,), (2.0, 3.0))]
    spoilt += [where(NOTHING, one, one), where(one, NOTHING, one), coalesce(NOTHING, NOTHING)]
    assert known(*spoilt) == [None] * len(spoilt)


def test_not_known_can_be_asked_about_and_replaced():
    one = lift(1.0)
    assert known(unknown(NOTHING), unknown(one), coalesce(NOTHING, 5.0), coalesce(one, 5.0)) == [1, 0, 5, 1]
    assert known(where(one, 3.0, NOTHING), where(-one, NOTHING, 4.0), coalesce(one, NOTHING)) == [3, 4, 1]


def test_what_has_no_answer_is_not_known():
    zero, minus = lift(0.0), lift(-1.0)
    assert known(zero / 0.0, minus / 0.0, log(zero), log(minus), log1p(minus), sqrt(minus)) == [None] * 6
    assert known(minus**0.5, lgamma(zero), gamma_sf(zero, zero), gamma_sf(1.0, minus)) == [None] * 4


def test_zero_to_a_negative_power_is_not_known():
    assert known(lift(0.0) ** -1.0, lift(0.0) ** 0.0, lift(0.0) ** 2.0) == [None, 1, 0]


def test_a_step_function_takes_the_value_after_its_edges():
    table = ((1.0, 2.0), (10.0, 20.0, 30.0))
    assert known(*(step(lift(x), *table) for x in (0.9, 1.0, 1.9, 2.0, 9.0))) == [10, 20, 20, 30, 30]
    with pytest.raises(ValueError, match="2 edges need 3 values"):
        step(lift(0.0), (1.0, 2.0), (1.0, 2.0))


def relative_errors(pairs):
    """Return |engine / truth - 1| of expressions, worked out in the engine itself, in float64."""
    return np.abs(np.array(known(*((e - truth) / truth for e, truth in pairs))))


def test_special_functions_agree_with_scipy():
    xs = (1e-3, 0.1, 0.5, 1.0, 1.5, 2.0, 7.3, 40.0, 900.0)
    pairs = [(lgamma(lift(x)), special.gammaln(x)) for x in xs if x not in (1.0, 2.0)]
    pairs += [(normal_sf(lift(z)), stats.norm.sf(z)) for z in (-8.0, -2.0, -0.1, 0.0, 0.7, 3.0, 9.0, 20.0)]
    pairs += [(f(lift(x)), g(x)) for x in xs for f, g in ((log1p, math.log1p), (exp, math.exp)) if x < 700]
    pairs += [(lift(x) ** 1.7, x**1.7) for x in xs] + [(log(lift(x)), math.log(x)) for x in xs if x != 1.0]
    assert relative_errors(pairs).max() < 1e-12
    assert known(exp(lift(800.0)) / math.exp(700.0)) == [1]


def test_the_gamma_tail_agrees_with_scipy():
    grid = [
        (s, x)
        for s in (0.05, 0.5, 1.0, 2.5, 9.0, 60.0, 300.0)
        for x in (1e-4, 0.1, 1.0, 3.0, 10.0, 70.0, 280.0)
    ]
    pairs = [(gamma_sf(s, lift(x)), special.gammaincc(s, x)) for s, x in grid]
    pairs = [(e, truth) for e, truth in pairs if truth > 1e-12]
    assert relative_errors(pairs).max() < 1e-9
    absolute = known(*(1e12 * (gamma_sf(s, lift(x)) - special.gammaincc(s, x)) for s, x in grid))
    assert np.abs(absolute).max() < 1.0
    assert known(gamma_sf(2.0, lift(0.0))) == [1]
