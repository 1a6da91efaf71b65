"""Journeys: by case where there is one, else by a gap that is fitted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.journeys import LONGEST_GAP, US_PER_DAY, WEAK_GAP, fit_gap, link_rows
from tests.literals import DAY, at, histories


def links_of(rows: str, gap_days: float = 3):
    stream = histories(touchpoints=rows).touchpoints
    links = link_rows(stream, int(gap_days * DAY))
    return links.previous.tolist(), links.journey.tolist()


def test_contacts_without_a_case_are_one_journey_until_a_pause_longer_than_the_gap():
    previous, journey = links_of("""
        customer_id  occurred_at  kind
        ana          2025-03-01   call
        ana          2025-03-04   visit
        ana          2025-03-08   call
        bo           2025-03-08   call
    """)
    assert previous == [-1, 0, -1, -1]
    assert journey == [0, 0, 1, 0]


def test_contacts_of_a_case_are_one_journey_however_long_the_pause_and_whatever_comes_between():
    previous, journey = links_of("""
        customer_id  occurred_at  kind    case_id
        ana          2025-03-01   claim   A
        ana          2025-03-02   call    -
        ana          2025-03-03   claim   B
        ana          2025-03-04   call    -
        ana          2025-06-01   answer  A
        ana          2025-06-02   answer  B
    """)
    assert previous == [-1, -1, -1, 1, 0, 2]
    assert journey == [0, 1, 2, 1, 0, 2]


def test_a_record_that_comes_late_does_not_change_what_was_said_before_it_was_known():
    previous, _ = links_of("""
        customer_id  occurred_at  recorded_at  kind
        ana          2025-03-01   2025-03-01   call
        ana          2025-03-02   2025-03-20   visit
        ana          2025-03-03   2025-03-03   mail
    """)
    assert previous == [-1, 2, 0], "the visit follows the mail, which was known first"


def test_the_lines_of_one_contact_stand_where_its_first_line_stands():
    previous, journey = links_of("""
        customer_id  occurred_at  kind      item
        ana          2025-03-01   visit     -
        ana          2025-03-02   purchase  milk
        ana          2025-03-02   purchase  tea
        ana          2025-03-03   call      -
    """)
    assert previous == [-1, 0, 0, 1]
    assert journey == [0, 0, 0, 0]


def test_two_kinds_of_pause_are_parted_between_them():
    rng = np.random.default_rng(5)
    rows, when = ["customer_id  occurred_at  kind"], at("2020-01-01")
    for _ in range(600):
        when += int(rng.lognormal(np.log(0.1), 0.4) * DAY)
        rows.append(f"ana  {np.datetime64(when, 'us')}Z  call")
        when += int(rng.lognormal(np.log(20), 0.4) * DAY)
        rows.append(f"ana  {np.datetime64(when, 'us')}Z  call")
    gap = fit_gap(histories(touchpoints="\n".join(rows)).touchpoints)
    assert 0.5 * US_PER_DAY < gap < 5 * US_PER_DAY


def test_too_few_pauses_are_not_fitted():
    assert (
        fit_gap(
            histories(
                touchpoints="""
        customer_id  occurred_at  kind
        ana          2025-03-01   call
        ana          2025-03-09   call
    """
            ).touchpoints
        )
        == WEAK_GAP
    )


@given(
    days=st.lists(st.integers(0, 60), min_size=1, max_size=30),
    gap=st.integers(1, LONGEST_GAP // US_PER_DAY),
)
def test_a_row_and_the_one_before_it_are_of_one_journey_and_no_further_apart_than_the_gap(days, gap):
    rows = "\n".join(f"ana  {np.datetime64(at('2025-01-01') + d * DAY, 'us')}Z  call" for d in days)
    stream = histories(touchpoints="customer_id  occurred_at  kind\n" + rows).touchpoints
    links, moment = link_rows(stream, gap * DAY), stream.occurred_at.unpack()
    for row, before in enumerate(links.previous):
        if before >= 0:
            assert links.journey[row] == links.journey[before]
            assert 0 <= moment[row] - moment[before] <= gap * DAY
    assert len(set(links.journey.tolist())) == (links.previous < 0).sum()
