"""What each customer is worth per year, and how that is known."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from features.clock import US_PER_DAY
from features.histories import MEASURE_SCALES, Histories
from features.streams import NULL
from training.config import Config
from training.labels import activity_rows

WorthSource = Literal["customers", "configured", "spend", "none"]
YEAR_DAYS = 365


def worth_per_year(
    histories: Histories, config: Config, as_of_us: int
) -> tuple[npt.NDArray[np.float64], WorthSource]:
    """Return each customer's worth per year as known before `as_of` (NaN: not known), and its source.

    `customers.value` comes first, `[value] annual` for those who have none; where the company gives
    neither, it is the spend of the last 365 days (of the time there is, brought to a year, when the
    data begin later): the amounts of the contacts that count as activity, or of all contacts when
    those carry none. Never below 0.
    """
    given = _given(histories, as_of_us)
    if given is not None and not np.isnan(given).all():
        if config.value.annual is not None:
            given = np.where(np.isnan(given), config.value.annual, given)
        return np.maximum(given, 0.0), "customers"
    if config.value.annual is not None:
        return np.full(histories.n_customers, config.value.annual), "configured"
    spend = _spend(histories, config, as_of_us)
    if spend is None:
        return np.full(histories.n_customers, np.nan), "none"
    return spend, "spend"


def _given(histories: Histories, as_of_us: int) -> npt.NDArray[np.float64] | None:
    ledger = histories.ledgers.get("customers")
    if ledger is None or "value" not in ledger.columns:
        return None
    values = np.asarray(ledger.columns["value"], np.float64)
    known = (ledger.known_at < as_of_us) & ~np.isnan(values)
    customer, since = ledger.customer_of_rows()[known], ledger.known_at[known]
    order = np.lexsort((values[known], since, customer))
    result = np.full(histories.n_customers, np.nan)
    result[customer[order]] = values[known][order]  # the last row of each customer stays
    return result


def _spend(histories: Histories, config: Config, as_of_us: int) -> npt.NDArray[np.float64] | None:
    stream = histories.touchpoints
    if "amount" not in stream.values:
        return None
    occurred, amount = stream.occurred_at.unpack(), stream.values["amount"].unpack()
    begin = as_of_us - YEAR_DAYS * US_PER_DAY
    counted = (amount != NULL) & (occurred >= begin) & (stream.known_at() < as_of_us)
    activity = counted & activity_rows(histories, config)
    if activity.any():
        counted = activity
    elif not counted.any():
        return None
    before = np.concatenate([[0], np.cumsum(np.where(counted, amount, 0))])
    total = np.diff(before[stream.offsets])
    days = min((as_of_us - int(occurred.min())) / US_PER_DAY, YEAR_DAYS)
    return np.maximum(total / MEASURE_SCALES["amount"] * (YEAR_DAYS / max(days, 1.0)), 0.0)
