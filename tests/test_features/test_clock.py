from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import (
    US_PER_DAY,
    as_of_us,
    days_to_us,
    local_date,
    local_datetime,
    local_days,
    local_to_us,
    now_us,
    us_to_local,
)
from features.errors import CorredorError

MADRID = ZoneInfo("Europe/Madrid")
NEW_YORK = ZoneInfo("America/New_York")
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC", "Europe/Madrid", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Africa/Casablanca",
        "Australia/Lord_Howe", "Africa/Monrovia", "Pacific/Apia", "America/Havana", "Asia/Beirut",
    )
]  # fmt: skip
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
zones = st.sampled_from(ZONES)
moments = st.integers(as_of_us("1900-01-02", UTC), as_of_us("2199-12-30", UTC))


def wall(text):
    return np.array([(datetime.fromisoformat(text) - datetime(1970, 1, 1)) // timedelta(microseconds=1)])


def test_a_date_is_midnight_on_the_wall_of_its_zone():
    assert as_of_us("2017-09-03", NEW_YORK) == as_of_us("2017-09-03T04:00:00Z", UTC)
    assert as_of_us("2017-09-03", UTC) == 17_412 * US_PER_DAY
    assert local_date(as_of_us("2017-09-03", NEW_YORK), NEW_YORK) == "2017-09-03"
    assert local_date(as_of_us("2017-09-03", NEW_YORK), UTC) == "2017-09-03"
    assert local_date(as_of_us("2017-09-03", NEW_YORK) - 1, NEW_YORK) == "2017-09-02"


def test_text_date_and_datetime_say_the_same_moment():
    at = datetime(2026, 3, 4, 10, 30)
    assert as_of_us("2026-03-04T10:30:00", MADRID) == as_of_us(at, MADRID)
    assert as_of_us("2026-03-04 10:30", MADRID) == as_of_us(at.replace(tzinfo=MADRID), UTC)
    assert as_of_us("2026-03-04T10:30:00+01:00", NEW_YORK) == as_of_us(at, MADRID)
    assert as_of_us(at.date(), MADRID) == as_of_us("2026-03-04", MADRID)


def test_a_date_whose_midnight_the_clocks_skip_begins_at_its_first_moment():
    sao_paulo = ZoneInfo("America/Sao_Paulo")
    assert as_of_us("2018-11-04", sao_paulo) == as_of_us("2018-11-04T01:00:00", sao_paulo)


def test_a_time_in_the_skipped_hour_is_refused_by_name():
    with pytest.raises(CorredorError, match="2026-03-29T02:30:00 does not exist in Europe/Madrid"):
        as_of_us("2026-03-29T02:30:00", MADRID)


def test_a_time_in_the_repeated_hour_is_the_first_of_the_two():
    assert as_of_us("2026-10-25T02:30:00", MADRID) == as_of_us("2026-10-25T00:30:00Z", UTC)
    assert as_of_us("2026-10-25T03:00:00", MADRID) == as_of_us("2026-10-25T02:00:00Z", UTC)


@pytest.mark.parametrize("text", ["03/04/2026", "yesterday", "2026-02-30", "", "2026-13-01T00:00:00"])
def test_what_is_not_iso_8601_is_refused(text):
    with pytest.raises(CorredorError, match="ISO 8601"):
        as_of_us(text, UTC)


@pytest.mark.parametrize("text", ["9999-12-31", "0001-01-01", "1899-12-31", "2200-01-01T00:00:00Z"])
def test_placeholder_years_are_refused(text):
    with pytest.raises(CorredorError, match="1900-2199"):
        as_of_us(text, UTC)


def test_the_edges_of_both_changes_are_exact_to_the_microsecond():
    spring = [wall("2026-03-29T01:59:59.999999"), wall("2026-03-29T02:00:00"), wall("2026-03-29T03:00:00")]
    us, exists = local_to_us(np.concatenate(spring), MADRID)
    jump = as_of_us("2026-03-29T01:00:00Z", UTC)
    assert us.tolist() == [jump - 1, jump, jump]
    assert exists.tolist() == [True, False, True]
    us, exists = local_to_us(wall("2026-10-25T02:59:59.999999"), MADRID)
    assert exists.all() and us[0] == as_of_us("2026-10-25T01:00:00Z", UTC) - 1


def test_a_whole_day_that_never_was_is_skipped():
    apia = ZoneInfo("Pacific/Apia")  # 30 December 2011 does not exist in Samoa
    _, exists = local_to_us(wall("2011-12-30T12:00:00"), apia)
    assert not exists[0]
    assert as_of_us("2011-12-30", apia) == as_of_us("2011-12-31", apia)


def test_days_are_local_days():
    us = np.array([as_of_us("2026-03-04T23:30:00", NEW_YORK), as_of_us("2026-03-05T00:30:00", NEW_YORK)])
    first = int(local_days(us, NEW_YORK)[0])
    assert local_days(us, NEW_YORK).tolist() == [first, first + 1]
    assert local_days(us, UTC).tolist() == [first + 1, first + 1]
    assert days_to_us(np.array([first]), NEW_YORK)[0] == as_of_us("2026-03-04", NEW_YORK)


def test_now_is_now():
    assert abs(now_us() - (datetime.now(UTC) - EPOCH) // timedelta(microseconds=1)) < 60_000_000


@settings(deadline=None, max_examples=300)
@given(st.lists(moments, min_size=1, max_size=20), zones)
def test_wall_clocks_agree_with_the_calendar_of_python(us, zone):
    theirs = [(EPOCH + timedelta(microseconds=u)).astimezone(zone).replace(tzinfo=None) for u in us]
    ours = us_to_local(np.array(us), zone).tolist()
    assert ours == [(t - datetime(1970, 1, 1)) // timedelta(microseconds=1) for t in theirs]
    assert [local_date(u, zone) for u in us] == [t.date().isoformat() for t in theirs]


@settings(deadline=None, max_examples=300)
@given(st.lists(moments, min_size=1, max_size=20), zones)
def test_reading_a_wall_clock_agrees_with_python_wherever_the_time_exists(local, zone):
    us, exists = local_to_us(np.array(local), zone)
    for wall_us, ours, there in zip(local, us.tolist(), exists.tolist(), strict=True):
        naive = datetime(1970, 1, 1) + timedelta(microseconds=wall_us)
        theirs = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
        assert there == (theirs.astimezone(zone).replace(tzinfo=None) == naive)
        if there:
            assert ours == (theirs - EPOCH) // timedelta(microseconds=1)


@settings(deadline=None)
@given(moments, zones)
def test_there_and_back_is_the_same_moment_or_the_first_of_a_repeated_hour(us, zone):
    back, exists = local_to_us(us_to_local(np.array([us]), zone), zone)
    assert exists[0] and back[0] <= us and us - back[0] < US_PER_DAY
    assert local_datetime(int(back[0]), zone).replace(tzinfo=None) == local_datetime(us, zone).replace(
        tzinfo=None
    )
