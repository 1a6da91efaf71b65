from datetime import date
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import as_of_us
from features.declared import Form, check_types, read_declared
from features.errors import CorredorError

MADRID = ZoneInfo("Europe/Madrid")


def read(kind, *texts, **form):
    """Values, and the reasons of those that do not read."""
    table, problems = read_declared(pa.table({"x": pa.array(texts, pa.string())}), {"x": kind}, Form(**form))
    reasons = [None] * len(texts)
    for problem in problems:
        for i in problem.rows.nonzero()[0]:
            reasons[i] = problem.reason
    values = table["x"].cast(pa.int64()) if kind == "timestamp" else table["x"]
    return values.to_pylist(), reasons


def test_numbers_are_read_with_the_declared_signs():
    values, reasons = read(
        "decimal", "1.234,56", "1234,5", "-,5", "1.234.567", "7", None, decimal=",", thousands="."
    )
    assert values == [1234.56, 1234.5, -0.5, 1234567.0, 7.0, None]
    assert not any(reasons)
    assert (
        read("decimal", "1 234,5", "1\u202f234,5", "1\u00a0234,5", decimal=",", thousands=" ")[0]
        == [1234.5] * 3
    )
    assert read("decimal", "1'234.5", thousands="'")[0] == [1234.5]
    assert read("decimal", " 12.5 ", "+1e3", ".5", "5.")[0] == [12.5, 1000.0, 0.5, 5.0]


@pytest.mark.parametrize(
    "text", ["1,234.56", "12,5", "NaN", "inf", "1.2.3", "12 €", "(5)", "0x10", "1e999", "-", "."]
)
def test_what_is_not_such_a_number_is_a_problem_not_a_guess(text):
    values, reasons = read("decimal", text)
    assert values == [None] and reasons == ["not a number with the decimal sign '.'"]


@pytest.mark.parametrize("text", ["1.23,4", "12.34", "1.2345", "1,234.5", ".123"])
def test_a_thousands_point_stands_before_three_digits(text):
    assert read("decimal", text, decimal=",", thousands=".")[0] == [None]


def test_whole_numbers_are_whole_and_fit_64_bits():
    assert read("integer", "9223372036854775807", "-5", "007")[0] == [9223372036854775807, -5, 7]
    assert read("integer", "9223372036854775808", "1.0", "1e3")[0] == [None] * 3
    assert read("integer", "1.234", thousands=".", decimal=",")[0] == [1234]


def test_yes_and_no_are_read_in_both_languages():
    assert read("boolean", "TRUE", "1", "Sí", "no", "f", "0")[0] == [True] * 3 + [False] * 3
    assert read("boolean", "maybe")[1] == ["not a yes or no (true, false, 1, 0, yes, no)"]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-04", "2026-03-03T23:00:00Z"),
        ("2026-03-04 10:00", "2026-03-04T09:00:00Z"),
        ("2026-03-04T10:00:00.25", "2026-03-04T09:00:00.25Z"),
        ("2026-03-04T10:00:00,25", "2026-03-04T09:00:00.25Z"),
        ("2026-07-04T10:00:00", "2026-07-04T08:00:00Z"),
        ("2026-03-04T10:00:00Z", "2026-03-04T10:00:00Z"),
        ("2026-03-04T10:00:00 Z", "2026-03-04T10:00:00Z"),
        ("2026-03-04 10:00:00-05", "2026-03-04T15:00:00Z"),
        ("2026-03-04 10:00:00 +0530", "2026-03-04T04:30:00Z"),
        ("2026-03-04T10:00+05:30", "2026-03-04T04:30:00Z"),
        ("2026-03-29T02:30:00Z", "2026-03-29T02:30:00Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
    ],
)
def test_iso_times_are_moments_in_utc(text, utc):
    values, reasons = read("timestamp", text, zone=MADRID)
    assert reasons == [None] and values == [as_of_us(utc, MADRID)]


@pytest.mark.parametrize(
    "text",
    ["03/04/2026", "2026-3-4", "2026-02-30", "20260304", "2026-03-04 25:00", "infinity", "now", "4 Mar 2026"],
)
def test_times_that_are_not_iso_are_not_guessed(text):
    assert read("timestamp", text)[1] == [
        "not a time of ISO 8601 (2026-03-04T10:00:00); is it day_first, or has it a time_format?"
    ]


def test_the_hour_that_the_clocks_skip_is_a_problem():
    values, reasons = read("timestamp", "2026-03-29T02:30:00", "2026-03-29T03:30:00", zone=MADRID)
    assert values[0] is None and "the clocks of Europe/Madrid skip that hour" in reasons[0]
    assert values[1] == as_of_us("2026-03-29T01:30:00Z", MADRID) and reasons[1] is None


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("03/04/2026", "2026-04-03"),
        ("3-4-2026 9:05", "2026-04-03T09:05:00"),
        ("03.04.2026 19:05:06", "2026-04-03T19:05:06"),
        ("03/04/2026T19:05:06.5", "2026-04-03T19:05:06.5"),
        ("2026-04-03 19:05", "2026-04-03T19:05:00"),
    ],
)
def test_day_first_is_day_first(text, iso):
    assert read("timestamp", text, day_first=True, zone=MADRID) == ([as_of_us(iso, MADRID)], [None])


@pytest.mark.parametrize("text", ["31/02/2026", "13/13/2026", "03/04/26", "04/2026"])
def test_day_first_is_not_anything(text):
    assert read("timestamp", text, day_first=True)[0] == [None]


def test_a_format_of_ones_own_reads_times_and_offsets():
    assert read("timestamp", "04Mar26 10h30", time_format="%d%b%y %Hh%M", zone=MADRID)[0] == [
        as_of_us("2026-03-04T10:30:00", MADRID)
    ]
    assert read("timestamp", "20260304 1030 +0200", time_format="%Y%m%d %H%M %z", zone=MADRID)[0] == [
        as_of_us("2026-03-04T08:30:00Z", MADRID)
    ]
    assert read("timestamp", "nonsense", time_format="%Y%m%d")[1] == ["not a time of the format %Y%m%d"]


def test_days_have_no_zone():
    assert read("date", "2026-03-29", zone=MADRID)[0] == [date(2026, 3, 29)]
    assert read("date", "29/03/2026", day_first=True)[0] == [date(2026, 3, 29)]
    assert read("date", "2026-03-29 10:00", "2026-02-29")[0] == [None, None]


def test_a_type_that_does_not_exist_is_named_with_its_neighbour():
    with pytest.raises(
        CorredorError, match=r"\[files.x\] columns.when: .*'timestmp'. Did you mean timestamp"
    ):
        check_types("[files.x]", {"when": "timestmp"})


@settings(deadline=None, max_examples=50)
@given(st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1, max_size=10))
def test_a_number_written_with_comma_and_points_is_the_same_number(numbers):
    written = [f"{n:,}".replace(",", "_").replace(".", ",").replace("_", ".") for n in numbers]
    values, reasons = read("decimal", *written, decimal=",", thousands=".")
    assert not any(reasons)
    assert values == [float(n) for n in numbers]
