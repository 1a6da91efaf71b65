"""What is asked of the future: who leaves, for whom we are the main provider. Labels look past `as_of`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from features.clock import US_PER_DAY, days_to_us, local_date, local_days
from features.errors import CorredorError, unknown_name
from features.histories import Histories
from features.ledger import Ledger
from features.streams import NULL
from training.config import Config

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """One outcome per customer: 1 it happened, 0 it did not, -1 it cannot be known (censored).

    `source` says what the labels rest on: `inactivity`, `ended`, `usage`, `share`, `declared`.
    """

    value: npt.NDArray[np.int8]
    source: str

    @property
    def known(self) -> Bools:
        """Which customers have an outcome."""
        return self.value >= 0


def label_window(config: Config, as_of_us: int) -> tuple[int, int]:
    """Return `[as_of + gap, as_of + gap + horizon)` in µs UTC."""
    low = as_of_us + config.churn.gap_days * US_PER_DAY
    return low, low + config.churn.horizon_days * US_PER_DAY


def eligible(histories: Histories, config: Config, as_of_us: int) -> Bools:
    """Return which customers are with us at `as_of`, by what is known then: a flag per customer.

    Rule `inactivity`: a contact that counts as activity in the last `active_days`. Rule `ended`: a
    relationship with one of the products that has begun, and is not known to have ended.
    """
    if config.churn.rule == "ended":
        return _held(histories, config, as_of_us, known_before=as_of_us)
    since = as_of_us - config.churn.active_days * US_PER_DAY
    return _active_between(
        histories, activity_rows(histories, config), since, as_of_us, known_before=as_of_us
    )


def churn_labels(histories: Histories, config: Config, as_of_us: int) -> Labels:
    """Return who left in the label window, for every customer; meaningful for the eligible.

    Rule `inactivity`: no activity in the window. Rule `ended`: every product held at `as_of` has ended
    by the end of the window, the last one in it, by the customer's own will; when the last end was not
    (death, fraud, a product withdrawn), or falls into the gap, the outcome is censored.

    Raises:
        CorredorError: the window is not over in these data, or the table the rule reads is missing.
    """
    low, high = label_window(config, as_of_us)
    check_mature(histories, config, as_of_us)
    if config.churn.rule == "inactivity":
        stayed = _active_between(histories, activity_rows(histories, config), low, high)
        return Labels((~stayed).astype(np.int8), "inactivity")
    return Labels(_ended(histories, config, as_of_us, low, high), "ended")


def mature_until(histories: Histories, config: Config, until_us: int) -> int:
    """Return the moment up to which outcomes are known: `until`, or the end of the data's last local day."""
    zone = config.project.zone
    day = local_days(np.array([histories.span()[1]]), zone)
    return min(until_us, int(days_to_us(day + 1, zone)[0]))


def check_mature(histories: Histories, config: Config, as_of_us: int) -> None:
    """Check that the label window of a date is over in these data.

    Raises:
        CorredorError: it is not; the message names the last date whose window is.
    """
    _, high = label_window(config, as_of_us)
    end = mature_until(histories, config, high)
    if high > end:
        zone, churn = config.project.zone, config.churn
        latest = end - (churn.gap_days + churn.horizon_days) * US_PER_DAY
        raise CorredorError(
            f"as_of {local_date(as_of_us, zone)}: its outcome is known on {local_date(high, zone)} "
            f"(gap_days {churn.gap_days} + horizon_days {churn.horizon_days}), and the data end before "
            f"{local_date(end, zone)}. Choose {local_date(latest, zone)} or earlier."
        )


def activity_rows(histories: Histories, config: Config, kinds: tuple[str, ...] = ()) -> Bools:
    """Return which rows of the touchpoints are activity: the kinds named, or any direct contact.

    Raises:
        CorredorError: a kind is not in the data, and they are not a part of the company.
    """
    stream = histories.touchpoints
    kinds = kinds or config.churn.kinds
    kind, direct = stream.fields.index("kind"), stream.fields.index("direct")
    names = {str(contact[kind]) for contact in stream.contacts}
    for name in kinds:
        if name not in names and names and not histories.partial:
            raise unknown_name("kind of touchpoint in the data", name, names)

    def counts(contact: tuple[str | None, ...]) -> bool:
        if kinds:
            return contact[kind] in kinds
        if contact[direct] is not None:
            return contact[direct] == "true"
        known = config.touchpoints.get(str(contact[kind]))
        return known is None or known.direct

    flags = np.array([counts(contact) for contact in stream.contacts], np.bool_)
    # clipped, as each row's contact is one of them: else NumPy copies to look first
    return flags.take(stream.contact, mode="clip") if len(flags) else np.zeros(0, np.bool_)


def _active_between(
    histories: Histories, rows: Bools, low: int, high: int, *, known_before: int | None = None
) -> Bools:
    stream = histories.touchpoints
    hit = rows
    if known_before is not None and stream.lag is not None:
        hit = rows & (stream.known_at() < known_before)
    found = np.zeros(histories.n_customers, np.bool_)
    _any_between(stream.offsets, stream.occurred_at.unpack(), hit, low, high, found)
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _any_between(offsets: Ints, when: Ints, hit: Bools, low: int, high: int, found: Bools) -> None:
    """Mark the customers who have a row that is hit in [low, high)."""
    for customer in range(found.size):
        any_hit = False
        for row in range(np.uint64(offsets[customer]), np.uint64(offsets[customer + 1])):
            any_hit |= hit[row] & (when[row] >= low) & (when[row] < high)
        found[customer] = any_hit


def _relationships(histories: Histories, config: Config) -> Ledger:
    ledger = histories.ledgers.get("relationships")
    if ledger is None or "ended_at" not in ledger.columns:
        missing = "the table `relationships`" if ledger is None else "the column `ended_at`"
        raise CorredorError(
            f'[churn] rule = "ended" reads relationships that end, and {missing} is missing. '
            'Add it to [sources], or use rule = "inactivity".'
        )
    if config.churn.products:
        names = set(ledger.columns["product"].tolist())
        for name in config.churn.products:
            if name not in names and names and not histories.partial:
                raise unknown_name("product in relationships", name, {str(n) for n in names})
    return ledger


def _states(ledger: Ledger, config: Config, known_before: int | None) -> tuple[Ints, Ints, Ints, Bools]:
    """Return customer, start, end (NULL: open) and voluntary of each relationship, as last known.

    Of the rows of one (customer, product, started_at), the one recorded last counts.
    """
    columns = ledger.columns
    keep = np.ones(len(ledger.known_at), np.bool_)
    if known_before is not None:
        keep &= ledger.known_at < known_before
    if config.churn.products:
        keep &= np.isin(columns["product"].astype(str), config.churn.products)
    rows = np.flatnonzero(keep)
    customer, product = ledger.customer_of_rows()[rows], columns["product"][rows].astype(str)
    started, ended = columns["started_at"][rows], columns["ended_at"][rows]
    voluntary = columns["voluntary"][rows] != 0 if "voluntary" in columns else np.ones(len(rows), np.bool_)
    order = np.lexsort((ended, ledger.known_at[rows], started, product, customer))
    customer, product, started = customer[order], product[order], started[order]
    last = np.ones(len(rows), np.bool_)
    last[:-1] = (
        (customer[1:] != customer[:-1]) | (product[1:] != product[:-1]) | (started[1:] != started[:-1])
    )
    return customer[last], started[last], ended[order][last], np.asarray(voluntary[order][last], np.bool_)


def _held(histories: Histories, config: Config, as_of_us: int, *, known_before: int | None) -> Bools:
    ledger = _relationships(histories, config)
    customer, started, ended, _ = _states(ledger, config, known_before)
    holds = (started < as_of_us) & ((ended == NULL) | (ended >= as_of_us))
    return np.bincount(customer[holds], minlength=histories.n_customers) > 0


def _ended(histories: Histories, config: Config, as_of_us: int, low: int, high: int) -> npt.NDArray[np.int8]:
    """Who held something at `as_of` and holds nothing at the end of the window, by all that is known."""
    ledger = _relationships(histories, config)
    customer, started, ended, voluntary = _states(ledger, config, None)
    n = histories.n_customers
    open_at_end = (started < high) & ((ended == NULL) | (ended >= high))
    still = np.bincount(customer[open_at_end], minlength=n) > 0
    gone = (started < as_of_us) & (ended != NULL) & (ended >= as_of_us) & (ended < high)
    rows = np.flatnonzero(gone)
    rows = rows[np.lexsort((~voluntary[rows], ended[rows], customer[rows]))]
    last_end = np.full(n, NULL)
    willing = np.zeros(n, np.bool_)
    last_end[customer[rows]] = ended[rows]  # the last row of each customer stays
    willing[customer[rows]] = voluntary[rows]
    value = np.where(still, 0, -1).astype(np.int8)
    value[~still & (last_end >= low) & willing] = 1
    return value
