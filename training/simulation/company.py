"""The company: its calendar, the people who serve, and where its corridor breaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from features.clock import US_PER_DAY

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BURN_IN = 60
"""Days lived before the first one that is written, so that cases and moods are on their way by then."""
HORIZON = 60
CAMPAIGN_EVERY = 60
ORACLE_DATES = 8
TEAMS = tuple(f"branch-{letter}" for letter in "abcdefgh")
SEATS_PER_TEAM = 6
CALL_AGENTS, TECHNICIANS = 40, 30
ADVISER_STAYS_DAYS = 360.0
PRODUCTS = ("broadband", "mobile", "television", "security")
PRICES = np.array([32.0, 18.0, 14.0, 11.0])
RIVALS = ("rival-north", "rival-south", "rival-west")


@dataclass(frozen=True)
class Company:
    """What all customers share; it depends on the seed and the calendar alone.

    Days are counted from the first day written; arrays over days begin `BURN_IN` days earlier (`at`).
    """

    seed: int
    first: date
    days: int
    congested_from: int
    """Day from which a repair is waited for twice as long."""
    blocked_from: int
    """Day from which many claims are not answered."""
    adviser: Ints
    """int64[n_seats, n_days]: who sits on each adviser's seat."""
    impression: Floats
    """float64[n_staff]: points of 0-10 that each member of staff adds to what is perceived."""
    climate: Floats
    """float64[n_days]: what season and drift add to the log-hazard of leaving."""
    rivals: Floats
    """float64[n_days]: how loudly rivals advertise prices, 0 to 1."""
    faults: Floats
    """float64[n_days]: how much more often than usual lines fail."""
    campaigns: tuple[int, ...]
    """Days on which retention actions are drawn by lot."""
    oracle_days: tuple[int, ...]
    """Days before which the true probability of leaving is noted, ascending."""

    def at(self, day: int) -> int:
        """Return the place of a day in the arrays over days."""
        return day + BURN_IN

    def date_of(self, day: int) -> date:
        """Return the calendar date of a day."""
        return self.first + timedelta(days=day)

    def us(self, day: int) -> int:
        """Return the first moment of a day (µs UTC)."""
        return (self.date_of(day) - date(1970, 1, 1)).days * US_PER_DAY

    @property
    def end_us(self) -> int:
        """Return the first moment after the last day."""
        return self.us(self.days)


def found_company(first: date, months: int, seed: int) -> Company:
    """Return the company of a seed."""
    last = _months_later(first, months)
    days = (last - first).days
    rng = np.random.default_rng([seed, 0])
    adviser, n_staff = _advisers(rng, BURN_IN + days)
    calendar = [first + timedelta(days=d) for d in range(-BURN_IN, days)]
    year = np.array([d.timetuple().tm_yday for d in calendar]) / 365.25
    elapsed = np.clip(np.arange(-BURN_IN, days) / days, 0, 1)
    loud = np.array([d.month in (6, 11) for d in calendar])
    return Company(
        seed=seed,
        first=first,
        days=days,
        congested_from=int(days * rng.uniform(0.40, 0.50)),
        blocked_from=int(days * rng.uniform(0.52, 0.62)),
        adviser=adviser,
        impression=rng.normal(0.0, 0.8, n_staff),
        climate=0.15 * np.cos(2 * np.pi * (year - 0.7)) + 0.25 * elapsed,
        rivals=loud * np.where(elapsed > 0.6, 1.0, 0.5),
        faults=1.0 + 0.3 * np.cos(2 * np.pi * year),
        campaigns=tuple(range(90, days - HORIZON - 15, CAMPAIGN_EVERY)),
        oracle_days=tuple(reversed([d for d in _oracle_days(days) if d >= 90])),
    )


def staff_name(number: int) -> str:
    """Return the identity of a member of staff by number."""
    if number < CALL_AGENTS:
        return f"agent-{number:03d}"
    if number < CALL_AGENTS + TECHNICIANS:
        return f"technician-{number - CALL_AGENTS:03d}"
    return f"adviser-{number - CALL_AGENTS - TECHNICIANS:03d}"


def _oracle_days(days: int) -> Iterator[int]:
    """Yield the last dates whose outcome is recorded before the data end, a month apart, newest first."""
    for back in range(ORACLE_DATES):
        yield days - HORIZON - 14 - 30 * back


def _advisers(rng: np.random.Generator, days: int) -> tuple[Ints, int]:
    """Return who sits on each seat on each day, and the number of all staff."""
    seats = len(TEAMS) * SEATS_PER_TEAM
    next_number = CALL_AGENTS + TECHNICIANS
    sits = np.empty((seats, days), np.int64)
    for seat in range(seats):
        day = 0
        while day < days:
            stays = int(rng.exponential(ADVISER_STAYS_DAYS)) + 30
            sits[seat, day : day + stays] = next_number
            next_number += 1
            day += stays
    return sits, next_number


def _months_later(first: date, months: int) -> date:
    month = first.month - 1 + months
    return date(first.year + month // 12, month % 12 + 1, min(first.day, 28))
