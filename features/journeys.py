"""Journeys: which contacts of a customer belong together, as one matter on its way through the company.

Contacts of one `case_id` are one journey. Those without a case follow each other in a journey until the
customer is silent for longer than a gap, which is fitted to the pauses of the company's own customers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from features.streams import NULL, Ints, Stream

US_PER_DAY = 86_400_000_000
SHORTEST_GAP, LONGEST_GAP = US_PER_DAY // 24, 60 * US_PER_DAY
LEAST_PAUSES = 200
MOST_PAUSES = 50_000
WEAK_GAP = 7 * US_PER_DAY
"""What stands for the gap where there are too few pauses to fit one."""


class Links(NamedTuple):
    """How rows hang together.

    By row: the `previous` one of its journey (-1 where it begins), its `journey` (numbered from 0 within
    the customer); `order` lists the rows as they are walked. A further line of a contact stands
    where its first line stands.
    """

    previous: Ints
    journey: Ints
    order: Ints


def link_rows(stream: Stream, gap: int, low: int = 0, high: int | None = None) -> Links:
    """Return the journeys of rows [low, high) of touchpoints, which are those of whole customers.

    Rows are walked in the order in which they came to be known (then of their moments), so that what is
    said of a row rests on nothing that came to be known after it.

    Args:
        stream: touchpoints.
        gap: µs of silence after which a contact without a case begins another journey.
        low: first row.
        high: row after the last; all by default.
    """
    high = stream.n_rows if high is None else high
    first, last = np.searchsorted(stream.offsets, [low, high], side="left")
    offsets = stream.offsets[first : last + 1] - low
    moment = stream.occurred_at.unpack(low, high)
    case = stream.codes.get("case_id")
    return link(
        offsets,
        moment,
        order_of(stream, low, high),
        _NOTHING if case is None else case.unpack(low, high),
        _ALL_OPEN if stream.opens is None else stream.opens[low:high],
        gap,
    )


def order_of(stream: Stream, low: int, high: int) -> Ints:
    """Return the rows [low, high), counted from low, by customer, then as they came to be known."""
    order = np.arange(high - low)
    if stream.lag is None or not stream.lag.data[low:high].any():
        return order
    customer = np.searchsorted(stream.offsets, order + low, side="right")
    return np.lexsort((order, stream.known_at(low, high), customer))


def link(
    offsets: Ints, moment: Ints, order: Ints, case: Ints, opens: npt.NDArray[np.int8], gap: int
) -> Links:
    """Return the journeys of rows given as arrays; see `link_rows`."""
    previous, journey = _link(offsets, moment, order, case, opens, gap)
    return Links(previous, journey, order)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _link(
    offsets: Ints, moment: Ints, order: Ints, case: Ints, opens: npt.NDArray[np.int8], gap: int
) -> tuple[Ints, Ints]:
    """Walk each customer's rows once; see `Links`."""
    previous, journey = np.full(moment.size, -1), np.zeros(moment.size, np.int64)
    most = 0
    for code in case:
        most = max(most, code + 1)
    last_of_case = np.full(most, -1)
    for customer in range(offsets.size - 1):
        low, high = offsets[customer], offsets[customer + 1]
        loose, n, contact = -1, 0, -1
        for i in range(low, high):
            row = order[i]
            if opens.size and opens[row] == 0 and contact >= 0:
                previous[row], journey[row] = previous[contact], journey[contact]
                continue
            contact = row
            cased = case.size > 0 and case[row] != NULL
            before = last_of_case[case[row]] if cased else loose
            if not cased and before >= 0 and moment[row] - moment[before] > gap:
                before = -1
            if before >= 0:
                previous[row], journey[row] = before, journey[before]
            else:
                journey[row] = n
                n += 1
            if cased:
                last_of_case[case[row]] = row
            else:
                loose = row
        for i in range(low, high):
            if case.size and case[i] != NULL:
                last_of_case[case[i]] = -1
    return previous, journey


def fit_gap(stream: Stream) -> int:
    """Return the pause, µs, that parts two journeys of contacts without a case.

    The logarithms of the pauses between a customer's successive contacts are taken for a mixture of two
    normals, pauses within a matter and pauses between matters; the gap is where both are as likely. Where
    one normal does as well by the Bayesian information criterion, pauses tell no journeys apart, and the
    gap is the pause that a tenth of them exceed.

    Source: Mehrzadi and Feitelson (2012), "On extracting session data from activity logs", SYSTOR.
    """
    pauses = _pauses(stream)
    if len(pauses) < LEAST_PAUSES:
        return WEAK_GAP
    from sklearn.mixture import GaussianMixture

    logs = np.log(pauses).reshape(-1, 1)
    one, two = (GaussianMixture(n, random_state=0).fit(logs) for n in (1, 2))
    gap = float(np.quantile(pauses, 0.9))
    if two.bic(logs) < one.bic(logs):
        low, high = np.sort(two.means_.ravel())
        between = np.linspace(low, high, 513).reshape(-1, 1)
        longer = two.predict_proba(between)[:, int(two.means_.argmax())] >= 0.5
        gap = float(np.exp(between[int(longer.argmax()), 0]))
    return int(np.clip(gap, SHORTEST_GAP, LONGEST_GAP))


def _pauses(stream: Stream) -> Ints:
    """Return the pauses, µs, between a customer's successive contacts without a case; a sample of them."""
    customer, moment = stream.customer_of_rows(), stream.occurred_at.unpack()
    loose = np.ones(len(moment), bool) if stream.opens is None else stream.opens != 0
    if (case := stream.codes.get("case_id")) is not None:
        loose &= case.unpack() == NULL
    who, when = customer[loose], moment[loose]
    pauses = np.diff(when)[np.diff(who) == 0]
    pauses = pauses[pauses > 0]
    some: Ints = pauses[:: max(1, len(pauses) // MOST_PAUSES)]
    return some


_NOTHING = np.zeros(0, np.int64)
_ALL_OPEN = np.zeros(0, np.int8)
