"""For whom we are the main provider: by use, by share of wallet, or by what they say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from features.clock import US_PER_DAY
from features.errors import CorredorError
from features.histories import Histories
from features.ledger import Ledger
from features.streams import NULL, Stream
from features.wallets import number_answers, read_answers, row_shares
from training.config import Config
from training.labels import Ints, Labels, activity_rows, check_mature, label_window

Floats = npt.NDArray[np.float64]

WEEK_US = 7 * US_PER_DAY
WEEKS_BACK = 52
"""Weeks of use that a customer's own share is taken from."""
STAPLES = 20
"""How many of the most widely used items are staples when none are named."""


def principality_labels(histories: Histories, config: Config, as_of_us: int, staples_before: int) -> Labels:
    """Return for whom we are the main provider in the label window; -1 where nothing tells.

    Rule `usage`: use in at least `min_weeks_share` of the window's weeks, and at least `min_items`
    distinct staples. Rule `share`: the last wallet seen in the window gives us at least `threshold`,
    as stated or by the Wallet Allocation Rule from ranks. Rule `declared`: the last answer in the
    window puts us first. With `wallets = "all"`, all wallets of the window count alike: our mean share,
    or the largest one.

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
        return _usage(histories, config, low, high, staples_of(histories, config, staples_before), None)
    return _wallet(_ledger(histories, config), config, low, high, None)


def principals(
    histories: Histories,
    config: Config,
    as_of_us: int,
    staples_before: int,
    *,
    staples: Sequence[str] = (),
) -> Labels:
    """Return for whom we are the main provider on the day itself, by what is known then.

    The same rule as `principality_labels`, on the window of the same length that ends at `as_of`
    (`usage`), or the last wallet or answer known before it, however old (`share`, `declared`); with
    `wallets = "all"` those known of that window, too.

    Args:
        histories: what is known.
        config: the configuration.
        as_of_us: the moment, µs UTC.
        staples_before: where staples that nobody names are fitted, if none are given.
        staples: those that were fitted earlier.

    Histories of a part of the company (`partial`) tell nothing of the whole: what the rule needs and they do
    not bring is not known (-1), where it is a mistake in whole data.

    Raises:
        CorredorError: what the rule reads is missing from whole data.
    """
    rule, whole = config.principality, not histories.partial
    if rule.rule == "usage":
        if whole and (rule.staples or not staples):
            staples = staples_of(histories, config, min(staples_before, as_of_us))
        staples = rule.staples or staples
        if rule.min_items and not staples and not whole:
            return _not_known(histories, config)
        low = as_of_us - config.churn.horizon_days * US_PER_DAY
        return _usage(histories, config, low, as_of_us, staples, as_of_us)
    back = config.churn.horizon_days * US_PER_DAY if rule.wallets == "all" else 2**62
    if not whole and _lacks(histories):
        return _not_known(histories, config)
    return _wallet(_ledger(histories, config), config, as_of_us - back, as_of_us, as_of_us)


def staples_of(histories: Histories, config: Config, before_us: int) -> tuple[str, ...]:
    """Return the staples that rule `usage` counts: those named, or the most widely used before a moment.

    None where breadth does not count (`min_items = 0`) or principality is not asked by use.

    Raises:
        CorredorError: no touchpoint has an item, or one that is named is in no touchpoint.
    """
    rule, stream = config.principality, histories.touchpoints
    if rule.rule != "usage" or not rule.min_items:
        return ()
    names, item = _items(stream)
    if not names:
        raise CorredorError(
            "[principality] min_items counts items, and `touchpoints` has no column `item`. "
            "Map it in [sources], or set min_items = 0."
        )
    if rule.staples:
        missing = sorted(set(rule.staples) - set(names))
        if missing:
            raise CorredorError(
                f"[principality] staples: {len(missing)} items are not in the data (first: {missing[0]!r})."
            )
        return rule.staples
    used = activity_rows(histories, config, rule.kinds or config.churn.kinds)
    rows = used & (item >= 0) & (stream.known_at() < before_us)
    pairs = np.unique(stream.customer_of_rows()[rows] * len(names) + item[rows])
    customers = np.bincount(pairs % len(names), minlength=len(names))
    ranked = np.lexsort((np.arange(len(names)), -customers))[:STAPLES]
    return tuple(names[i] for i in ranked if customers[i] > 0)


def _usage(
    histories: Histories,
    config: Config,
    low: int,
    high: int,
    staples: Sequence[str],
    known_before: int | None,
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
        names, item = _items(stream)
        place_of = np.full(len(names) + 1, -1, np.int64)  # the last stands for "no item"
        place = {name: i for i, name in enumerate(staples)}
        place_of[:-1] = [place.get(name, -1) for name in names]
        item = place_of[item]
        rows = inside & (item >= 0)
        some = max(len(staples), 1)
        breadth = np.bincount(np.unique(customer[rows] * some + item[rows]) // some, minlength=n)
        principal &= breadth >= rule.min_items
    return Labels(principal.astype(np.int8), "usage")


def _items(stream: Stream) -> tuple[list[str], Ints]:
    """Return the names of the items, sorted, and the number of each row's, -1 where it has none."""
    place = stream.fields.index("item")
    names = sorted({str(c[place]) for c in stream.contacts if c[place] is not None})
    number = {name: i for i, name in enumerate(names)}
    of_contact = np.array(
        [-1 if c[place] is None else number[str(c[place])] for c in stream.contacts], np.int64
    )
    return names, of_contact[stream.contact]


def _wallet(ledger: Ledger, config: Config, low: int, high: int, known_before: int | None) -> Labels:
    """Return who gives us the main part by the wallets observed in [low, high): the last one, or all."""
    rule = config.principality
    when = ledger.columns["observed_at"]
    inside = (when >= low) & (when < high)
    if known_before is not None:
        inside &= ledger.known_at < known_before
    customer, n = ledger.customer_of_rows(), len(ledger.offsets) - 1
    if rule.wallets == "last":
        latest = np.full(n, NULL)
        np.maximum.at(latest, customer[inside], when[inside])
        inside &= when == latest[customer]
    rows = np.flatnonzero(inside)
    share, first = wallets_together(ledger, rows, n)
    value = np.full(n, -1, np.int8)
    mine = (share >= rule.threshold - 1e-9).astype(np.float64) if rule.rule == "share" else first
    told = ~np.isnan(share if rule.rule == "share" else first)
    value[told] = mine[told].astype(np.int8)
    return Labels(value, rule.rule)


def wallets_together(ledger: Ledger, rows: Ints, n: int) -> tuple[Floats, Floats]:
    """Return our mean share over answers, and 1 where nobody's is larger, float64[n]; NaN: not told.

    Args:
        ledger: the wallet table.
        rows: its rows that count.
        n: number of customers.
    """
    customer = ledger.customer_of_rows()[rows]
    number, heads = number_answers(customer, ledger.columns["observed_at"][rows])
    ours, share, rank = (_numbers_of(ledger, name, rows) for name in ("ours", "share", "rank"))
    said = read_answers(number, ours, share, rank)
    owner = customer[heads]
    told = ~np.isnan(said.share)
    answers = np.bincount(owner[told], minlength=n)
    mean = np.full(n, np.nan)
    some = answers > 0
    mean[some] = np.bincount(owner[told], weights=said.share[told], minlength=n)[some] / answers[some]
    first = np.full(n, np.nan)
    single = np.bincount(owner, minlength=n)[owner] == 1
    first[owner[single]] = said.first[single]
    most = _most_to_another(ledger, rows, customer, np.nan_to_num(row_shares(number, share, rank)), ours, n)
    several = some & (np.bincount(owner, minlength=n) > 1)
    first[several] = (mean[several] * answers[several] >= most[several] - 1e-9).astype(np.float64)
    return mean, first


def own_shares(histories: Histories, config: Config, as_of_us: int) -> tuple[Floats, Floats]:
    """Return what each customer gave us so far, of how much: `(x, n)`, by what is known before `as_of`.

    Rules `share` and `declared`: the sum of our shares over the wallets seen, and their number (of
    answers, for `declared`: how many put us first). Rule `usage`: the weeks with use of those since the
    first, at most a year back.
    """
    if config.principality.rule == "usage":
        return _weeks_used(histories, config, as_of_us)
    ledger, n = _ledger(histories, config), histories.n_customers
    rows = np.flatnonzero((ledger.columns["observed_at"] < as_of_us) & (ledger.known_at < as_of_us))
    customer = ledger.customer_of_rows()[rows]
    number, heads = number_answers(customer, ledger.columns["observed_at"][rows])
    said = read_answers(number, *(_numbers_of(ledger, name, rows) for name in ("ours", "share", "rank")))
    given = said.first if config.principality.rule == "declared" else said.share
    told = ~np.isnan(given)
    owner = customer[heads][told]
    return (
        np.bincount(owner, weights=given[told], minlength=n).astype(np.float64),
        np.bincount(owner, minlength=n).astype(np.float64),
    )


def _weeks_used(histories: Histories, config: Config, as_of_us: int) -> tuple[Floats, Floats]:
    rule, n = config.principality, histories.n_customers
    stream = histories.touchpoints
    when, customer = stream.occurred_at.unpack(), stream.customer_of_rows()
    used = activity_rows(histories, config, rule.kinds or config.churn.kinds)
    used &= (when < as_of_us) & (when >= as_of_us - WEEKS_BACK * WEEK_US) & (stream.known_at() < as_of_us)
    back = (as_of_us - 1 - when[used]) // WEEK_US  # 0: the week that ends at as_of
    seen = np.unique(customer[used] * WEEKS_BACK + back)
    weeks = np.zeros(n)
    np.maximum.at(weeks, seen // WEEKS_BACK, seen % WEEKS_BACK + 1.0)
    return np.bincount(seen // WEEKS_BACK, minlength=n).astype(np.float64), weeks


def _ledger(histories: Histories, config: Config) -> Ledger:
    if missing := _lacks(histories):
        raise CorredorError(
            f'[principality] rule = "{config.principality.rule}" reads which of the wallet is ours, and '
            f'{missing} is missing. Add it to [sources], or use rule = "usage".'
        )
    return histories.ledgers["wallet"]


def _lacks(histories: Histories) -> str:
    """Return what is missing of a wallet that says what is ours, empty if nothing is."""
    ledger = histories.ledgers.get("wallet")
    if ledger is None:
        return "the table `wallet`"
    return "" if "ours" in ledger.columns else "the column `ours`"


def _not_known(histories: Histories, config: Config) -> Labels:
    return Labels(np.full(histories.n_customers, -1, np.int8), config.principality.rule)


def _numbers_of(ledger: Ledger, name: str, rows: Ints) -> Floats:
    """Return a column of a wallet's rows as numbers; NaN where there is none."""
    column = ledger.columns.get(name)
    if column is None:
        return np.full(len(rows), np.nan)
    found = column[rows].astype(np.float64)
    return np.where(found < 0, np.nan, found)


def _most_to_another(
    ledger: Ledger, rows: Ints, customer: Ints, given: Floats, ours: Floats, n: int
) -> Floats:
    """Return the most that any other provider was given over all answers; those unnamed are one."""
    most = np.zeros(n)
    others = np.flatnonzero(ours != 1)
    if not len(others):
        return most
    names = ledger.columns.get("provider", np.full(len(ledger.known_at), None, object))[rows][others]
    _, provider = np.unique(np.array(["" if v is None else str(v) for v in names]), return_inverse=True)
    some = int(provider.max()) + 1
    key, place = np.unique(customer[others] * some + provider, return_inverse=True)
    np.maximum.at(most, key // some, np.bincount(place, weights=given[others]))
    return most
