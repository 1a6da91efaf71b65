"""Undated columns that restate the log: a status, a count or a recency as it stood when the data ended.

Such a column follows from the customers' own touchpoints up to the end, so on every earlier date it knows
what was still to come. It is named when it orders the customers as one of those numbers does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from features.clock import US_PER_DAY
from features.definition import Words
from features.histories import ALWAYS, Histories
from features.streams import NULL
from training.baselines import behaviour
from training.config import Config
from training.evaluate import auc
from training.labels import activity_rows
from training.suspects import KNOWN_OTHERWISE, Suspect

Floats = npt.NDArray[np.float64]

SAME_ORDER = 0.97
"""Rank correlation from which a number says the same."""
SAME_SIDES = 0.99
"""Share of pairs (with and without a level) that a number of the log must order right."""
LEAST_CUSTOMERS = 50
LEAST_OF_LEVEL = 20
FEW_LEVELS = 8
WINDOWS = (28, 84)


def restated_columns(histories: Histories, config: Config, until_us: int) -> list[Suspect]:
    """Return the undated columns of `customers` that say the same as the log does at its end.

    Args:
        histories: what was known before `until_us`.
        config: the configuration; columns vouched for in `[features] known_since` are not looked at.
        until_us: the end of the log, µs UTC.
    """
    ledger, vouched = histories.ledgers.get("customers"), config.features.known_since
    if ledger is None or "customers" in vouched or not (ledger.known_at == ALWAYS).any():
        return []
    customer = ledger.customer_of_rows()
    end = [(words, numbers[customer]) for words, numbers in _end_of_log(histories, config, until_us)]
    found = []
    for name, values in sorted(ledger.columns.items()):
        if name in KNOWN_OTHERWISE or f"customers.{name}" in vouched or values.dtype == np.int64:
            continue
        for words, numbers in end:
            if _says_the_same(values, numbers):
                found.append(Suspect("customers", name, "with", None, 0, 0, 0.0, 1.0, restates=words))
                break
    return found


def _end_of_log(histories: Histories, config: Config, until_us: int) -> Iterator[tuple[Words, Floats]]:
    """Yield numbers of each customer's activity up to the end, NaN without any."""
    n = histories.n_customers
    known = behaviour(histories, config, np.arange(n), np.full(n, until_us))
    yield Words("the days since the last activity", "los días desde la última actividad"), known.silence
    yield Words("the days of activity", "los días con actividad"), known.repeats
    yield Words("the contacts of the last year", "los contactos del último año"), known.count
    yield Words("the amount of the last year", "el importe del último año"), known.amount
    stream = histories.touchpoints
    rows, when = activity_rows(histories, config), stream.occurred_at.unpack()
    amount = np.zeros(len(when))
    if "amount" in stream.values:
        whole = stream.values["amount"].unpack()
        amount = np.where(whole == NULL, 0.0, whole)
    customer, ever = stream.customer_of_rows(), ~np.isnan(known.silence)
    for days in WINDOWS:
        recent = rows & (when >= until_us - days * US_PER_DAY)
        ones = np.ones(len(when))
        for en, es, weight in (("contacts", "los contactos", ones), ("amount", "el importe", amount)):
            total = np.bincount(customer[recent], weights=weight[recent], minlength=n)
            words = Words(f"the {en} of the last {days} days", f"{es} de los últimos {days} días")
            yield words, np.where(ever, total, np.nan)


def _says_the_same(values: npt.NDArray[np.generic], numbers: Floats) -> bool:
    there = ~np.isnan(numbers)
    if values.dtype == np.float64:
        there &= ~np.isnan(values.astype(np.float64))
        column = values[there].astype(np.float64)
        if there.sum() < LEAST_CUSTOMERS:
            return False
        if len(np.unique(column)) > FEW_LEVELS:
            ranks = rankdata(column), rankdata(numbers[there])
            if min(r.std() for r in ranks) == 0:
                return False
            return bool(abs(np.corrcoef(*ranks)[0, 1]) >= SAME_ORDER)
        levels = column.astype(str)
    elif values.dtype == np.int8:
        levels = values[there].astype(str)
    else:
        levels = np.array(["" if v is None else str(v) for v in values[there]])
    names, counts = np.unique(levels, return_counts=True)
    for name, count in zip(names, counts, strict=True):
        if LEAST_OF_LEVEL <= count <= len(levels) - LEAST_OF_LEVEL:
            right = auc(levels == name, numbers[there])
            if max(right, 1 - right) >= SAME_SIDES:
                return True
    return False
