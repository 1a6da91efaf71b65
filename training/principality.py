"""For whom we are the main provider: by use, by share of wallet, or by what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.clock import US_PER_DAY
from features.errors import CorredorError
from features.histories import Histories, Ledger
from features.streams import NULL
from training.config import Config
from training.labels import Bools, Ints, Labels, activity_rows, check_mature, label_window

STAPLES = 20
"""How many of the most widely used items are staples when none are named."""


def principality_labels(histories: Histories, config: Config, as_of_us: int, staples_before: int) -> Labels:
    """Return for whom we are the main provider in the label window; -1 where nothing tells.

    Rule `usage`: use in at least `min_weeks_share` of the window's weeks, and at least `min_items`
    distinct staples. Rule `share`: the last wallet seen in the window gives us at least `threshold`,
    as stated or by the Wallet Allocation Rule from ranks. Rule `declared`: the last answer in the
    window puts us first.

    Args:
        histories: all that is known.
        config: the configuration.
        as_of_us: the date, µs UTC.
        staples_before: staples that the configuration does not name are fitted on what was known
            before this moment.

    Raises:
        CorredorError: the label window is not over, or the table that the rule reads is missing.
    """
    check_mature(histories, config, as_of_us)
    low, high = label_window(config, as_of_us)
    if config.principality.rule == "usage":
        return _usage(histories, config, low, high, staples_before, None)
    return _wallet(histories, config, low, high, None)


def principals(histories: Histories, config: Config, as_of_us: int, staples_before: int) -> Labels:
    """Return for whom we are the main provider on the day itself, by what is known then.

    The same rule as `principality_labels`, on the window of the same length that ends at `as_of`
    (`usage`), or the last wallet or answer known before it, however old (`share`, `declared`).
    """
    if config.principality.rule == "usage":
        low = as_of_us - config.churn.horizon_days * US_PER_DAY
        return _usage(histories, config, low, as_of_us, min(staples_before, as_of_us), as_of_us)
    return _wallet(histories, config, -(2**62), as_of_us, as_of_us)


def wallet_shares(rank: npt.ArrayLike, providers: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the share of wallet that a rank stands for: `(1 - rank / (N + 1)) * 2 / N`.

    Source: Keiningham, Aksoy, Buoye and Cooil (2011), "Customer loyalty isn't enough. Grow your share
    of wallet", Harvard Business Review 89(10).

    >>> wallet_shares([1.0, 2.0], [2.0, 2.0]).round(3).tolist()
    [0.667, 0.333]
    """
    r, n = np.asarray(rank, np.float64), np.asarray(providers, np.float64)
    return np.asarray((1 - r / (n + 1)) * 2 / n)


def _usage(
    histories: Histories, config: Config, low: int, high: int, staples_before: int, known_before: int | None
) -> Labels:
    rule, n = config.principality, histories.n_customers
    used = activity_rows(histories, config, rule.kinds or config.churn.kinds)
    stream = histories.touchpoints
    when, customer = stream.occurred_at.unpack(), stream.customer_of_rows()
    inside = used & (when >= low) & (when < high)
    if known_before is not None and stream.lag is not None:
        inside &= stream.known_at() < known_before
    weeks = max((high - low) // (7 * US_PER_DAY), 1)
    # What is left over of the last week belongs to it.
    week = np.minimum((when[inside] - low) // (7 * US_PER_DAY), weeks - 1)
    seen = np.bincount(np.unique(customer[inside] * weeks + week) // weeks, minlength=n)
    principal = seen >= np.ceil(rule.min_weeks_share * weeks - 1e-9)
    if rule.min_items:
        item = _staple_of_row(histories, config, used, staples_before)
        rows = inside & (item >= 0)
        some = int(item.max(initial=0)) + 1
        breadth = np.bincount(np.unique(customer[rows] * some + item[rows]) // some, minlength=n)
        principal &= breadth >= rule.min_items
    return Labels(principal.astype(np.int8), "usage")


def _staple_of_row(histories: Histories, config: Config, used: Bools, before: int) -> Ints:
    """Return the number of each row's staple, -1 where it is none."""
    stream = histories.touchpoints
    place = stream.fields.index("item")
    names = sorted({str(c[place]) for c in stream.contacts if c[place] is not None})
    if not names:
        raise CorredorError(
            "[principality] min_items counts items, and `touchpoints` has no column `item`. "
            "Map it in [sources], or set min_items = 0."
        )
    number = {name: i for i, name in enumerate(names)}
    of_contact = np.array([number.get(str(c[place]), -1) if c[place] else -1 for c in stream.contacts])
    item: Ints = of_contact[stream.contact]
    if config.principality.staples:
        missing = [s for s in config.principality.staples if s not in number]
        if missing:
            raise CorredorError(
                f"[principality] staples: {len(missing)} items are not in the data (first: {missing[0]!r})."
            )
        staples = [number[s] for s in config.principality.staples]
    else:
        rows = used & (item >= 0) & (stream.known_at() < before)
        pairs = np.unique(stream.customer_of_rows()[rows] * len(names) + item[rows])
        customers = np.bincount(pairs % len(names), minlength=len(names))
        ranked = np.lexsort((np.arange(len(names)), -customers))[:STAPLES]
        staples = [int(i) for i in ranked if customers[i] > 0]
    place_of = np.full(len(names) + 1, -1, np.int64)  # the last stands for "no item"
    place_of[staples] = np.arange(len(staples))
    return place_of[item]


def _wallet(histories: Histories, config: Config, low: int, high: int, known_before: int | None) -> Labels:
    """Return who gives us the main part by the last wallet observed in [low, high)."""
    rule = config.principality.rule
    ledger = histories.ledgers.get("wallet")
    if ledger is None or "ours" not in ledger.columns:
        missing = "the table `wallet`" if ledger is None else "the column `ours`"
        raise CorredorError(
            f'[principality] rule = "{rule}" reads which of the wallet is ours, and {missing} is missing. '
            'Add it to [sources], or use rule = "usage".'
        )
    columns, n = ledger.columns, histories.n_customers
    when = columns["observed_at"]
    inside = (when >= low) & (when < high)
    if known_before is not None:
        inside &= ledger.known_at < known_before
    customer = ledger.customer_of_rows()
    latest = np.full(n, NULL)
    np.maximum.at(latest, customer[inside], when[inside])
    rows = np.flatnonzero(inside & (when == latest[customer]))
    mine = _main_share(ledger, rows, customer, n) if rule == "share" else _first(ledger, rows, customer, n)
    least = config.principality.threshold if rule == "share" else 0.5
    value = np.where(np.isnan(mine), -1, (mine >= least - 1e-9).astype(np.int8)).astype(np.int8)
    return Labels(value, rule)


def _main_share(ledger: Ledger, rows: Ints, customer: Ints, n: int) -> npt.NDArray[np.float64]:
    """Return our share of the last wallet of each customer; NaN where nothing tells."""
    empty = np.full(len(customer), np.nan)
    share, rank = (ledger.columns.get(name, empty) for name in ("share", "rank"))
    ours = ledger.columns["ours"] == 1
    providers = np.bincount(customer[rows], minlength=n)
    stated = np.where(np.isnan(share), wallet_shares(rank, np.maximum(providers, 1)[customer]), share)
    out = np.full(n, np.nan)
    seen = rows[~np.isnan(stated[rows])]
    out[customer[seen]] = 0.0  # a wallet without us in it
    hit = seen[ours[seen]]
    out[customer[hit]] = np.bincount(customer[hit], weights=stated[hit], minlength=n)[customer[hit]]
    return out


def _first(ledger: Ledger, rows: Ints, customer: Ints, n: int) -> npt.NDArray[np.float64]:
    """Return 1 where we are put first in the last answer, 0 where another is; NaN where nothing tells."""
    empty = np.full(len(customer), np.nan)
    share, rank = (ledger.columns.get(name, empty) for name in ("share", "rank"))
    place = np.where(np.isnan(rank), -np.nan_to_num(share, nan=0.0), rank)
    best = np.full(n, np.inf)
    np.minimum.at(best, customer[rows], place[rows])
    out = np.full(n, np.nan)
    out[customer[rows]] = 0.0
    hit = rows[(place[rows] == best[customer[rows]]) & (ledger.columns["ours"][rows] == 1)]
    out[customer[hit]] = 1.0
    return out
