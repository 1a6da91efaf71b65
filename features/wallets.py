"""What customers give to whom: answers about all of their providers, and what is known of them when.

An answer is the rows of one customer and moment, a row per provider. A row states a share of the
wallet, or a rank, which stands for a share by the Wallet Allocation Rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.clock import US_PER_DAY
from features.streams import Stream, build_stream, empty_stream, scaled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_CUSTOMERS = 30
"""With fewer customers who answered than this, the population's shares are not fitted."""
NOT_FITTED = (1.0, 1.0)
STRONGEST = 1e4
"""No prior weighs more answers than this: the customers are as good as equal."""


@dataclass(frozen=True)
class Answers:
    """What each answer says of us: float64[n_answers] each, NaN where it does not tell.

    An answer lists the providers that the customer uses; one without us in it gives us nothing.
    """

    share: Floats
    """Our part of the wallet, 0 to 1."""
    rank: Floats
    """Our place among the providers; equals share their mean place."""
    providers: Floats
    first: Floats
    """1 where nobody is put before us, 0 where somebody is."""


def allocated(rank: npt.ArrayLike, providers: npt.ArrayLike) -> Floats:
    """Return the share of wallet that a rank among N providers stands for: `(1 - rank/(N+1)) * 2/N`.

    Source: Keiningham, Aksoy, Buoye and Cooil (2011), "Customer loyalty isn't enough. Grow your share
    of wallet", Harvard Business Review 89(10).

    >>> allocated([1.0, 2.0], 2).round(3).tolist(), allocated(1, 1).tolist()
    ([0.667, 0.333], 1.0)
    """
    r, n = np.asarray(rank, np.float64), np.asarray(providers, np.float64)
    return np.asarray((1 - r / (n + 1)) * 2 / n)


def mean_ranks(value: Floats, answer: Ints) -> Floats:
    """Return each row's place in its answer, the smallest value first; equals share their mean place.

    A row without a value (NaN) comes behind all that have one.

    >>> mean_ranks(np.array([1.0, 1.0, 2.0, 7.0, np.nan]), np.array([0, 0, 0, 1, 1])).tolist()
    [1.5, 1.5, 3.0, 1.0, 2.0]
    """
    value = np.where(np.isnan(value), np.inf, value)
    order = np.lexsort((value, answer))
    a, v = answer[order], value[order]
    opens = np.ones(len(a), np.bool_)
    opens[1:] = (a[1:] != a[:-1]) | (v[1:] != v[:-1])
    run = np.cumsum(opens) - 1
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(a)) - 1
    begins = np.searchsorted(a, a[first])  # where the answer of each run begins
    place = np.empty(len(a))
    place[order] = ((first + last) / 2 - begins + 1)[run]
    return place


def row_shares(answer: Ints, share: Floats, rank: Floats) -> Floats:
    """Return the share of the wallet that each row gives its provider: as stated, else by its rank.

    The ranks of an answer count by their order among all of its rows, whatever their gaps; a provider
    without a rank comes last. A rank other than the first that stands alone tells of others ahead
    that are not listed, so it stands for no share (NaN).
    """
    providers = np.bincount(answer) if len(answer) else np.zeros(0, np.int64)
    n = providers[answer]
    by_rank = np.where(np.isnan(rank), np.nan, allocated(mean_ranks(rank, answer), n))
    by_rank[(n == 1) & (rank > 1)] = np.nan
    return np.where(np.isnan(share), by_rank, share)


def read_answers(answer: Ints, ours: Floats, share: Floats, rank: Floats) -> Answers:
    """Return what answers say of us.

    Args:
        answer: number of each row's answer, 0 to n_answers - 1, none left out.
        ours: 1 where the row is about us, 0 where not, NaN where nobody says.
        share: stated share, 0 to 1, NaN where none is.
        rank: stated rank, from 1, NaN where none is.
    """
    order = np.lexsort((rank, share, ours, answer))  # so that no sum depends on the order of the rows
    answer, share, rank = answer[order], share[order], rank[order]
    whose, ours = ours[order], ours[order] == 1
    providers = np.bincount(answer).astype(np.float64) if len(answer) else np.zeros(0)
    n = len(providers)
    given = row_shares(answer, share, rank)
    ranked = np.bincount(answer, weights=np.isnan(rank), minlength=n) == 0
    place = mean_ranks(np.where(ranked[answer], rank, -given), answer)
    alone = (providers == 1)[answer]
    place = np.where(alone & ranked[answer], rank, place)
    # a part of half or less, and nothing said of who has the rest
    place[alone & ~ranked[answer] & (given <= 0.5)] = np.nan
    present = np.bincount(answer[ours], minlength=n) > 0
    unnamed = ~present & (np.bincount(answer, weights=np.isnan(whose), minlength=n) > 0)
    out, rank_of = np.full(n, np.nan), np.full(n, np.inf)
    out[answer[~np.isnan(given)]] = 0.0
    out[unnamed] = np.nan
    hit = ours & ~np.isnan(given)
    out[answer[hit]] = np.bincount(answer[hit], weights=given[hit], minlength=n)[answer[hit]]
    np.minimum.at(rank_of, answer[ours], np.where(np.isnan(place), np.inf, place)[ours])
    lead = np.full(n, np.inf)
    np.minimum.at(lead, answer, np.where(np.isnan(place), np.inf, place))
    lead = np.where((providers == 1) & (rank_of > 1), 0.0, lead)
    untold = unnamed | (present & np.isinf(rank_of))
    first = np.where(untold, np.nan, (rank_of <= lead).astype(np.float64) * present)
    partly = (providers == 1) & (np.bincount(answer, weights=np.nan_to_num(given, nan=0.0), minlength=n) < 1)
    return Answers(
        share=np.minimum(out, 1.0),
        rank=np.where(np.isinf(rank_of), np.nan, rank_of),
        providers=np.where(partly, np.nan, providers),
        first=first,
    )


def number_answers(customer: Ints, moment: Ints) -> tuple[Ints, Ints]:
    """Return the number of each row's answer, and a row of each answer; ordered by customer and moment."""
    order = np.lexsort((moment, customer))
    opens = np.ones(len(order), np.bool_)
    c, m = customer[order], moment[order]
    opens[1:] = (c[1:] != c[:-1]) | (m[1:] != m[:-1])
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(opens) - 1
    return number, order[opens]


@dataclass(frozen=True)
class States:
    """What is known of wallets, as it becomes known: an element per customer and moment of learning.

    `last` and `before` are the newest answer known by then and the one before it (no answer before:
    NaN); `observed_at` (µs UTC) is the moment of the newest. `given` and `answers` are what is new:
    the share and 1 for an answer with a known share; the difference when more of it becomes known.
    """

    customer: Ints
    known_at: Ints
    observed_at: Ints
    last: Answers
    before: Answers
    given: Floats
    answers: Floats


def wallet_states(
    customer: Ints, observed_at: Ints, known_at: Ints, ours: Floats, share: Floats, rank: Floats
) -> States:
    """Return what is known of wallets at each moment at which more becomes known; rows in any order.

    A row counts from `known_at` on, so an answer may be known in part before it is known whole.
    """
    number, heads = number_answers(customer, observed_at)
    order = np.lexsort((known_at, number))
    n, k = number[order], known_at[order]
    ends = np.ones(len(order), np.bool_)
    ends[:-1] = (n[1:] != n[:-1]) | (k[1:] != k[:-1])
    upto = np.flatnonzero(ends)  # a version of an answer: all of its rows up to here
    low = np.searchsorted(n, n[upto])
    size = upto - low + 1
    starts = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int64)
    rows = order[np.arange(size.sum()) + np.repeat(low - starts, size)]
    version = np.repeat(np.arange(len(upto)), size)
    said = read_answers(version, ours[rows], share[rows], rank[rows])
    own = n[upto]
    told = np.nan_to_num(said.share, nan=0.0)
    counts = (~np.isnan(said.share)).astype(np.float64)
    again = np.zeros(len(upto), np.bool_)
    again[1:] = own[1:] == own[:-1]
    given, answers = told.copy(), counts.copy()
    given[again] -= told[:-1][again[1:]]
    answers[again] -= counts[:-1][again[1:]]
    who, seen, when = customer[heads][own], observed_at[heads][own], k[upto]
    by_time = np.lexsort((seen, when, who))
    who, seen, when = who[by_time], seen[by_time], when[by_time]
    last, before = _newest_two(who, seen)
    closes = np.ones(len(who), np.bool_)  # answers learnt at one moment are one state
    closes[:-1] = (who[1:] != who[:-1]) | (when[1:] != when[:-1])
    of_state = np.concatenate([[0], np.cumsum(closes)[:-1]]).astype(np.int64)
    places = by_time[last[closes]], np.where(before < 0, -1, by_time[before])[closes]
    return States(
        customer=who[closes],
        known_at=when[closes],
        observed_at=seen[last[closes]],
        last=_taken(said, places[0]),
        before=_taken(said, places[1]),
        given=np.bincount(of_state, weights=given[by_time]).astype(np.float64),
        answers=np.bincount(of_state, weights=answers[by_time]).astype(np.float64),
    )


def _newest_two(who: Ints, seen: Ints) -> tuple[Ints, Ints]:
    """Return, after each element, the element with the newest answer so far and the one before it, or -1.

    Elements are sorted by customer and moment of learning; a later version of an answer replaces it.
    """
    at = np.arange(len(who))
    same = np.zeros(len(who), np.bool_)
    same[1:] = who[1:] == who[:-1]
    last, before = at.copy(), np.where(same, at - 1, -1)
    late = np.zeros(len(who), np.bool_)
    late[1:] = same[1:] & (seen[1:] <= seen[:-1])
    for customer in np.unique(who[late]):  # few: those of whom answers became known out of order
        newest = second = -1
        for i in range(*np.searchsorted(who, [customer, customer + 1])):
            if newest < 0 or seen[i] > seen[newest]:
                newest, second = i, newest
            elif seen[i] == seen[newest]:
                newest = i
            elif second < 0 or seen[i] >= seen[second]:
                second = i
            last[i], before[i] = newest, second
    return last, before


def _taken(answers: Answers, places: Ints) -> Answers:
    def take(values: Floats) -> Floats:
        return np.where(places < 0, np.nan, values[places]) if len(values) else np.full(len(places), np.nan)

    return Answers(take(answers.share), take(answers.rank), take(answers.providers), take(answers.first))


def wallet_builder(
    times: Callable[[pa.Table, str], Ints | None], numbers: Callable[[pa.Table, str], Floats], scale: int
) -> Callable[[pa.Table, Ints, int], Stream]:
    """Return the builder of the stream of a wallet table: what is known of it, as it becomes known.

    Args:
        times: gives a time column, µs UTC; None where the table has none such.
        numbers: gives a numeric column, NaN where empty or not there.
        scale: the whole multiples that numbers are counted in.
    """

    def build(table: pa.Table, customer: Ints, n: int) -> Stream:
        observed, recorded = times(table, "observed_at"), times(table, "recorded_at")
        if not table.num_rows or observed is None:
            return empty_stream((), n)
        known = observed if recorded is None else np.maximum(observed, recorded)
        said = (numbers(table, name) for name in ("ours", "share", "rank"))
        states = wallet_states(customer, observed, known, *said)
        columns = wallet_columns(states)
        values = {name: scaled(c, scale, what=f"wallet.{name}") for name, c in columns.items()}
        contact = np.zeros(len(states.customer), np.int64)
        return build_stream((), states.customer, n, states.known_at, contact, ((),), values=values)

    return build


def wallet_columns(states: States) -> dict[str, Floats]:
    """Return the numeric columns of the stream of states."""
    return {
        "share": states.last.share,
        "rank": states.last.rank,
        "providers": states.last.providers,
        "share_change": states.last.share - states.before.share,
        "rank_change": states.last.rank - states.before.rank,
        "observed_days": states.observed_at / US_PER_DAY,
        "given": states.given,
        "answers": states.answers,
    }


def fit_shares(given: Floats, answers: Floats) -> tuple[float, float]:
    """Return the beta distribution of customers' shares, by maximum (quasi-)likelihood.

    A share is taken as so much of one choice out of one: of a customer with `given` of `answers`, the
    share is expected to be `(a + given) / (a + b + answers)`.

    Source: Griffiths (1973), beta-binomial, Biometrics 29(4); Ehrenberg's Dirichlet model for two brands.
    """
    some = answers > 0
    x, n = np.clip(given[some], 0.0, answers[some]), answers[some]
    if len(n) < LEAST_CUSTOMERS:
        return NOT_FITTED
    centre = float(np.clip(x.sum() / n.sum(), 1e-3, 1 - 1e-3))
    # imported here: the service, which fits nothing, need not load them
    from scipy.optimize import minimize
    from scipy.special import betaln

    def loss(parameters: Floats) -> float:
        mean, weight = 1 / (1 + np.exp(-parameters[0])), np.exp(parameters[1])
        a, b = mean * weight, (1 - mean) * weight
        return -float((betaln(a + x, b + n - x) - betaln(a, b)).sum()) / len(n)

    bounds = [(-9.0, 9.0), (np.log(1e-2), np.log(STRONGEST))]
    fitted = minimize(loss, [np.log(centre / (1 - centre)), 0.5], method="L-BFGS-B", bounds=bounds).x
    mean, weight = float(1 / (1 + np.exp(-fitted[0]))), float(np.exp(fitted[1]))
    return mean * weight, (1 - mean) * weight
