"""When what holds a customer ends: the commitments that run, and each relationship's own dates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from features.streams import NULL, Ints

if TYPE_CHECKING:  # `histories` reads this module
    from features.histories import Histories

NEVER = 2**61
"""The moment of what does not end (µs UTC)."""
US_PER_DAY = 86_400_000_000
LOCKS = {"exit_fee": "committed", "accrued_benefit": "benefit", "discount": "discounted"}
"""What is lost by leaving -> what the relationship is called while that lasts to a day that is known."""
LOCK_MEASURES = ("committed", "committed_days", "next_end", "last_end")
Change = tuple[npt.NDArray[np.bool_], Ints, str, int, dict[str, Ints]]
"""Which rows change, when, what the change is called, its sign, and the measures that it changes."""


class Lock(NamedTuple):
    """What leaving a relationship would cost, and until when; moments are µs UTC, None where not given."""

    product: str
    committed_until: int | None
    exit_fee: float | None
    accrued_benefit: float | None
    benefit_until: int | None
    discount: float | None
    discount_until: int | None

    @property
    def holds(self) -> bool:
        """Whether leaving costs something."""
        return self.committed_until is not None or any((self.exit_fee, self.accrued_benefit, self.discount))


def held_changes(values: dict[str, Ints], until: Mapping[str, Ints], begin: Ints, stop: Ints) -> list[Change]:
    """Return what is held as changes: + as it begins, - as it stops, or before that as a value runs out.

    Args:
        values: measure -> integers of each relationship, NULL where there is none.
        until: measure -> when its value runs out (µs UTC), NULL: with the relationship.
        begin: from when each is known to be held, µs UTC.
        stop: when it ends or is replaced.
    """
    holds, at_begin, at_stop = begin < stop, dict(values), dict(values)
    changes: list[Change] = []
    for name, at in until.items():
        over = (at != NULL) & (at < stop)
        at_begin[name] = np.where(over & (at <= begin), NULL, values[name])
        at_stop[name] = np.where(over, NULL, values[name])
        runs_out = holds & over & (at_begin[name] != NULL)
        if runs_out.any():
            changes.append((runs_out, at, "held", -1, {name: values[name]}))
    changes.append((holds, begin, "held", 1, at_begin))
    return [*changes, (holds & (stop < NEVER), stop, "held", -1, at_stop)]


def lock_changes(customer: Ints, begin: Ints, stop: Ints, committed: Ints, what: str) -> list[Change]:
    """Return the locks that run as changes, and when a commitment ends by itself ("freed").

    Args:
        customer: of each relationship, ascending.
        begin: from when each is known to be held, µs UTC.
        stop: when it ends or is replaced.
        committed: until when it is committed, µs UTC; NULL: it is not.
        what: what is lost by leaving before then, of `LOCKS`.
    """
    n, word = len(customer), LOCKS[what]
    if (committed == NULL).all():
        return []
    days = np.where(committed == NULL, NULL, committed // US_PER_DAY)
    lock = {"committed": np.ones(n, np.int64), "committed_days": days}
    free = np.minimum(stop, np.where(committed == NULL, begin, committed))
    locked = begin < free
    chosen = np.flatnonzero(locked)
    moved = running_ends(customer[chosen], begin[chosen], free[chosen], committed[chosen])
    changes: list[Change] = []
    for sign, moment, (next_end, last_end) in ((1, begin, moved[:2]), (-1, free, moved[2:])):
        ends = {name: np.zeros(n, np.int64) for name in ("next_end", "last_end")}
        ends["next_end"][chosen], ends["last_end"][chosen] = sign * next_end, sign * last_end
        changes.append((locked, moment, word, sign, lock | ends))
    if word != "committed":
        return changes
    return [*changes, (locked & (free == committed) & (committed < stop), free, "freed", 1, {})]


def running_ends(customer: Ints, begin: Ints, free: Ints, end: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return by how much the next and the last end of the running commitments move at each change.

    A commitment runs in [begin, free) and is to end at `end`. The changes at its begin and at its free
    add up, over all changes before a moment, to the earliest and to the latest end of those that run
    then (µs), 0 when none does: a state that is not a sum, told as one.

    Args:
        customer: of each commitment, ascending.
        begin: µs UTC.
        free: µs UTC, after `begin`.
        end: µs UTC, not before `free`.

    Returns:
        The change of the next and of the last end at `begin`, and of both at `free`.
    """
    n = len(customer)
    rows = np.concatenate([np.arange(n), np.arange(n)])
    moments, opening = np.concatenate([begin, free]), np.repeat(np.array([1, 0]), n)
    order = np.lexsort((rows, opening, moments, customer[rows]))
    found = np.zeros((2, 2, n), np.int64)
    _sweep(customer, end, rows[order], opening[order], found)
    return found[1, 0], found[1, 1], found[0, 0], found[0, 1]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sweep(customer: Any, end: Any, rows: Any, opening: Any, found: Any) -> None:
    """Walk the changes in order of time; `found` is [opening, next or last, commitment]."""
    running = np.empty(len(customer), np.int64)
    n, who, before_next, before_last = 0, -1, 0, 0
    for k in range(len(rows)):
        row = rows[k]
        if customer[row] != who:
            who, n, before_next, before_last = customer[row], 0, 0, 0
        if opening[k]:
            running[n] = row
            n += 1
        else:
            for j in range(n):
                if running[j] == row:
                    running[j] = running[n - 1]
                    n -= 1
                    break
        first, last = NEVER, NULL
        for j in range(n):
            first, last = min(first, end[running[j]]), max(last, end[running[j]])
        if n == 0:
            first, last = 0, 0
        found[opening[k], 0, row] = first - before_next
        found[opening[k], 1, row] = last - before_last
        before_next, before_last = first, last


def locks_of(histories: Histories, as_of_us: int, customer: int) -> tuple[Lock, ...]:
    """Return what holds one customer (position) as known at `as_of`, a lock per relationship still held.

    Of each (product, started_at) the last row recorded before `as_of` counts.
    """
    ledger = histories.ledgers.get("relationships")
    if ledger is None:
        return ()
    rows = np.arange(ledger.offsets[customer], ledger.offsets[customer + 1])
    rows = rows[ledger.known_at[rows] < as_of_us]
    latest: dict[tuple[str, int], int] = {}
    by_content = [
        c[rows] for name in ("committed_until", "ended_at") if (c := ledger.columns.get(name)) is not None
    ]
    for row in rows[np.lexsort((*by_content, ledger.known_at[rows]))].tolist():
        latest[str(ledger.columns["product"][row]), int(ledger.columns["started_at"][row])] = row
    found = []
    for (product, _), row in sorted(latest.items()):
        over = _moment(ledger.columns, "ended_at", row)
        if over is not None and over < as_of_us:
            continue
        until, benefit_until, discount_until = (
            _moment(ledger.columns, name, row)
            for name in ("committed_until", "benefit_until", "discount_until")
        )
        found.append(
            Lock(
                product,
                _ahead(until, as_of_us),
                _still(ledger.columns, "exit_fee", row, until, as_of_us),
                _still(ledger.columns, "accrued_benefit", row, benefit_until, as_of_us),
                _ahead(benefit_until, as_of_us),
                _still(ledger.columns, "discount", row, discount_until, as_of_us),
                _ahead(discount_until, as_of_us),
            )
        )
    return tuple(found)


def _ahead(moment: int | None, as_of_us: int) -> int | None:
    return moment if moment is not None and moment >= as_of_us else None


def _moment(columns: Any, name: str, row: int) -> int | None:
    moment = int(columns[name][row]) if name in columns else NULL
    return None if moment == NULL else moment


def _still(columns: Any, name: str, row: int, until: int | None, as_of_us: int) -> float | None:
    """Return a number that has not ended by `as_of`; None when it has, or is not given."""
    value: npt.NDArray[np.float64] | None = columns.get(name)
    if value is None or np.isnan(value[row]) or (until is not None and until < as_of_us):
        return None
    return float(value[row])
