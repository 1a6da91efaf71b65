"""Plain times are read as the standard library reads them, and all others are left to it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.clock import FIRST_YEAR, LAST_YEAR
from serving.moments import plain_moments

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(FIRST_YEAR, 1, 1), datetime(LAST_YEAR, 12, 31, 23, 59, 59), timezones=ZONES)


def microseconds(text):
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


@given(st.lists(st.tuples(TIMES, st.sampled_from("T "), st.integers(0, 6)), max_size=5))
def test_plain_times_are_those_of_the_standard_library(times):
    texts = []
    for when, between, digits in times:
        text = when.replace(microsecond=0).isoformat(between)
        part = f".{when.microsecond:06d}"[: digits + 1] if digits else ""
        texts.append(text[:19] + part + text[19:].replace("+00:00", "Z"))
    assert plain_moments(texts).tolist() == [microseconds(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "2026-03-04",
            "2026-03-04T10:00Z",
            "2026-03-04T10:00:00",
            "2026-03-04T10:00:00 ",
            "20260304T100000Z",
        ),
        *("2026-02-29T10:00:00Z", "2100-02-29T10:00:00Z", "2026-04-31T10:00:00Z", "2026-00-01T10:00:00Z"),
        *("2026-13-01T10:00:00Z", "2026-03-04T24:00:00Z", "2026-03-04T10:60:00Z", "2026-03-04T10:00:60Z"),
        *(
            "1899-12-31T10:00:00Z",
            "2200-01-01T00:00:00Z",
            "2026-03-04T10:00:00.Z",
            "2026-03-04T10:00:00.1234567Z",
        ),
        *(
            "2026-03-04T10:00:00+24:00",
            "2026-03-04T10:00:00+01",
            "2026-03-04T10:00:00+01:00:30",
            "2026-03-04T1０:00:00Z",
        ),
        *(
            "2026-03-04T10:00:00Z\n2026-03-04T10:00:00Z",
            "2026-03-04T10:00:00Z\n",
            "2026-03-04T10:00:00+0100",
            "-026-03-04T10:00:00Z",
        ),
        *("2026-03-04T10:00:00.5", "2026-03-04T10:00:00+", "2026-03-04T10:00:00+01:", "2026-W10-3T10:00:00Z"),
    ],
)
def test_what_is_not_a_plain_time_is_left_alone(text):
    good = "2026-03-04T10:00:00Z"
    for texts in ([text], [good, text], [text, good], [good, text, good]):
        assert plain_moments(texts) is None


def test_leap_days_and_the_ends_of_what_is_taken_are_read():
    texts = ["2024-02-29T00:00:00Z", "2000-02-29T23:59:59.999999+23:59", f"{FIRST_YEAR}-01-01T00:00:00Z"]
    texts += [f"{LAST_YEAR}-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.9-00:00"]
    assert plain_moments(texts).tolist() == [microseconds(text) for text in texts]
    assert plain_moments([]).tolist() == []
