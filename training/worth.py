"""What each customer is worth per year, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from features.clock import US_PER_DAY
from features.histories import MEASURE_SCALES, Histories
from features.streams import NULL, Ints
from training.config import Config
from training.labels import activity_rows

WorthSource = Literal["customers", "configured", "spend", "none"]
YEAR_DAYS = 365


@dataclass(frozen=True)
class WorthFacts:
    """What a worth is told from, one element per customer; of parts of the company, to be joined.

    Sums are amounts of the last 365 days in millionths, NULL where no contact counts.
    """

    given: npt.NDArray[np.float64]
    """The `value` of the customers table as last known; NaN where there is none."""
    activity: Ints
    """Of the contacts that count as activity."""
    contacts: Ints
    """Of all contacts."""
    first: Ints
    """The first moment of any touchpoint (µs UTC); NULL where there is none."""


def worth_per_year(
    histories: Histories, config: Config, as_of_us: int
) -> tuple[npt.NDArray[np.float64], WorthSource]:
    """Return each customer's worth per year as known before `as_of` (NaN: not known), and its source.

    `customers.value` comes first, `[value] annual` for those who have none; where the company gives
    neither, it is the spend of the last 365 days (of the time there is, brought to a year, when the
    data begin later): the amounts of the contacts that count as activity, or of all contacts when
    those carry none. Never below 0.
    """
    return worth_of(worth_facts(histories, config, as_of_us), config, as_of_us)


def worth_facts(histories: Histories, config: Config, as_of_us: int) -> WorthFacts:
    """Return what is known before `as_of` of the worth of customers, of all of them or of a part."""
    n, stream = histories.n_customers, histories.touchpoints
    nothing = np.full(n, NULL)
    occurred = stream.occurred_at.unpack()
    first = nothing.copy()
    some = np.flatnonzero(np.diff(stream.offsets))
    first[some] = occurred[stream.offsets[some]]  # a customer's rows are in order of time
    given = _given(histories, as_of_us)
    if "amount" not in stream.values:
        return WorthFacts(given, nothing, nothing, first)
    amount = stream.values["amount"].unpack()
    begin = as_of_us - YEAR_DAYS * US_PER_DAY
    known_at = occurred if stream.lag is None else stream.known_at()
    active, every = nothing, nothing.copy()
    activity = activity_rows(histories, config)
    _add_up(stream.offsets, amount, occurred, known_at, activity, begin, as_of_us, active, every)
    return WorthFacts(given, active, every, first)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_up(
    offsets: Ints,
    amount: Ints,
    occurred: Ints,
    known_at: Ints,
    activity: npt.NDArray[np.bool_],
    begin: int,
    end: int,
    active: Ints,  # written: the sum of activity, and of every row
    every: Ints,
) -> None:
    """Add up each customer's amounts since a moment that are known before another, where there are any."""
    for customer in range(every.size):
        of_activity = of_all = n_active = n = 0
        for row in range(np.uint64(offsets[customer]), np.uint64(offsets[customer + 1])):
            counts = (amount[row] != NULL) & (occurred[row] >= begin) & (known_at[row] < end)
            of_all += amount[row] if counts else 0
            n += counts
            of_activity += amount[row] if counts & activity[row] else 0
            n_active += counts & activity[row]
        if n_active:
            active[customer] = of_activity
        if n:
            every[customer] = of_all


def worth_of(facts: WorthFacts, config: Config, as_of_us: int) -> tuple[npt.NDArray[np.float64], WorthSource]:
    """Return the worth per year that the facts of all customers tell (`worth_per_year`), and its source."""
    given, annual = facts.given, config.value.annual
    if not np.isnan(given).all():
        if annual is not None:
            given = np.where(np.isnan(given), annual, given)
        return np.maximum(given, 0.0), "customers"
    if annual is not None:
        return np.full(len(given), annual), "configured"
    spent = facts.activity if (facts.activity != NULL).any() else facts.contacts
    if not (spent != NULL).any():
        return np.full(len(given), np.nan), "none"
    total = np.where(spent == NULL, 0, spent)
    first = int(facts.first[facts.first != NULL].min())
    days = min((as_of_us - first) / US_PER_DAY, YEAR_DAYS)
    return np.maximum(total / MEASURE_SCALES["amount"] * (YEAR_DAYS / max(days, 1.0)), 0.0), "spend"


def _given(histories: Histories, as_of_us: int) -> npt.NDArray[np.float64]:
    ledger = histories.ledgers.get("customers")
    result = np.full(histories.n_customers, np.nan)
    if ledger is None or "value" not in ledger.columns:
        return result
    values = np.asarray(ledger.columns["value"], np.float64)
    known = (ledger.known_at < as_of_us) & ~np.isnan(values)
    customer, since = ledger.customer_of_rows()[known], ledger.known_at[known]
    order = np.lexsort((values[known], since, customer))
    result[customer[order]] = values[known][order]  # the last row of each customer stays
    return result
