"""Undated columns that know the future: collected later, from those who were still there.

A column of `customers` without a date says nothing of when it became known. When it was collected at
some later moment, whoever has a value was a customer then: on dates before that moment the holders
hardly leave, whatever they did until then. A column that was honestly known may well tell stayers
from leavers too, but not almost perfectly, and much of it goes with how they behave.

So snapshots are put into strata of equal risk by their behaviour (recency, frequency, value, age), and
the leavers of a group are set against those that the rest of the same strata would lead to expect.
Having a value at all is no trait of a customer but of how the column was collected: once behaviour is
allowed for, little is left that honest collecting can explain, and holders who leave less than two
thirds as often are named. Which value it is may be a real trait: there it takes a quarter. Both are
bounds beyond chance, and limits, not proofs: a leak that shifts risk by less passes, and an honest
column that shifts it by more is refused until `known_since` vouches for it.

Two more signs are looked for. What was collected at the end tells the more the nearer a date is to it: an
effect of at least a half that grows clearly from the older to the newer dates is named too. And a column
that says the same as the customers' own log at its end (`training.restated`) was made from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import f as f_distribution
from scipy.stats import norm

from features.histories import ALWAYS, Histories
from features.ledger import Ledger
from training.baselines import NO_PENALTY, behaviour
from training.config import Config
from training.labels import Bools, Ints, churn_labels, eligible
from training.model import fit_logistic
from training.panel import MOST_ROWS, panel_dates
from training.restated import restated_columns
from training.suspects import KNOWN_OTHERWISE, Suspect

Floats = npt.NDArray[np.float64]

TOO_GOOD_TO_HAVE, TOO_GOOD_TO_BE = 2 / 3, 1 / 4
"""Leaving this many times less often than comparable customers is too much for having a value at all,
and for which value it is."""
STRONG, GROWS = 1 / 2, 3 / 4
"""On the newer dates less than half of the leavers to expect, and less than three quarters of that share on
the older ones, beyond chance."""
CHANCE = 0.001
"""Chance of naming any column of a table that is clean."""
LEAST_CUSTOMERS = 20
MOST_LEVELS = 20
STRATA = 20


def find_leaks(histories: Histories, config: Config, until_us: int) -> list[Suspect]:
    """Return the undated table and columns of `customers` that know too much, the surest first.

    Columns that the configuration vouches for in `[features] known_since` are not tested, nor are
    dates, which become known as they happen.
    """
    ledger = histories.ledgers.get("customers")
    vouched = config.features.known_since
    if ledger is None or "customers" in vouched or not (ledger.known_at == ALWAYS).any():
        return []
    rows = _snapshots(histories.known_before(until_us), config, until_us)
    if rows is None:
        return []
    groups = list(_groups(ledger, histories.n_customers, vouched))
    tests_of: dict[bool, set[bytes]] = {True: set(), False: set()}
    for _, group, _, members, _ in groups:
        tests_of[group == "level"].add(members.tobytes())
    found: list[Suspect] = []
    for column, group, level, members, universe in groups:
        tests = [_compare(rows, members, universe, late) for late in (None, False, True)]
        limit = TOO_GOOD_TO_BE if group == "level" else TOO_GOOD_TO_HAVE
        chance = CHANCE / 2 / (len(tests) * len(tests_of[group == "level"]))
        grown = _growth(tests[1], tests[2], chance)
        for test in tests:
            if test is not None and ((bound := test.bound(chance)) < limit or (grown and test is tests[2])):
                seen = int(members.sum()), test.observed, test.expected
                found.append(Suspect("customers", column, group, level, *seen, bound, bound >= limit))
                break
    return _told_once([*found, *restated_columns(histories.known_before(until_us), config, until_us)])


def left_out(suspects: list[Suspect], histories: Histories) -> tuple[str, ...]:
    """Return the columns that suspects keep out of the model; all of them when rows as such are suspect."""
    ledger = histories.ledgers.get("customers")
    if ledger is None:
        return ()
    if any(s.column is None for s in suspects):
        return tuple(sorted(set(ledger.columns) - set(KNOWN_OTHERWISE)))
    return tuple(sorted({s.column for s in suspects if s.column is not None}))


@dataclass(frozen=True)
class _Rows:
    customer: Ints
    left: Floats
    stratum: Ints
    late: Bools
    """Whether a row belongs to the newer half of the dates."""


@dataclass(frozen=True)
class _Comparison:
    observed: int
    expected: float
    spread: float
    """By how much more than a Poisson count the sums vary, since customers recur."""
    weight: float
    """For how many leavers the expectation counts."""

    def bound(self, chance: float) -> float:
        """Return the upper bound of observed / expected (ratio of two Poisson rates, an F quantile)."""
        o, e, k = self.observed / self.spread, self.expected / self.spread, self.weight
        if e <= 0 or k <= 0:
            return float("inf")
        return float((o + 1) / e * f_distribution.ppf(1 - chance, 2 * (o + 1), 2 * k))


def _snapshots(histories: Histories, config: Config, until_us: int) -> _Rows | None:
    """Return the snapshots to compare, in strata of equal risk by behaviour and half of the calendar."""
    dates = np.sort(panel_dates(histories, config, until_us))
    customers, moments, left = [], [], []
    for date in dates.tolist():
        label = churn_labels(histories, config, date)
        who = np.flatnonzero(eligible(histories, config, date) & label.known)
        customers.append(who)
        moments.append(np.full(len(who), date))
        left.append(label.value[who])
    if not len(dates):
        return None
    customer, as_of, y = np.concatenate(customers), np.concatenate(moments), np.concatenate(left)
    if len(customer) > MOST_ROWS:
        share = MOST_ROWS / len(customer)
        some = np.random.default_rng(0).random(histories.n_customers)[customer] < share
        customer, as_of, y = customer[some], as_of[some], y[some]
    if len(y) == 0 or y.min() == y.max():
        return None
    columns = behaviour(histories, config, customer, as_of).columns
    risk = fit_logistic(columns, y, recipe=NO_PENALTY).raw_score(columns)
    strata = int(np.clip(len(y) // 200, 2, STRATA))
    edges = np.quantile(risk, np.linspace(0, 1, strata + 1)[1:-1])
    late = as_of > dates[(len(dates) - 1) // 2]
    return _Rows(customer, y.astype(np.float64), np.searchsorted(edges, risk) * 2 + late, late)


def _groups(
    ledger: Ledger, n: int, vouched: dict[str, str]
) -> Iterator[tuple[str | None, str, str | None, Bools, Bools]]:
    """Yield (column, group, level, members, universe): who is set against the rest of whom."""
    customer = ledger.customer_of_rows()
    everyone = np.ones(n, np.bool_)
    has_row = np.bincount(customer, minlength=n) > 0
    yield from _sides(None, has_row, everyone)
    for name, values in sorted(ledger.columns.items()):
        if name in KNOWN_OTHERWISE or f"customers.{name}" in vouched or values.dtype == np.int64:
            continue
        numeric = values.dtype == np.float64
        missing = np.isnan(values) if numeric else _nothing(values)
        filled = np.bincount(customer[~missing], minlength=n) > 0
        yield from _sides(name, filled, everyone)
        levels = _levels(values[~missing], numeric)
        for level in np.unique(levels)[:MOST_LEVELS] if numeric else _common(levels):
            of_level = np.bincount(customer[~missing][levels == level], minlength=n) > 0
            for members in (of_level, filled & ~of_level):
                if LEAST_CUSTOMERS <= members.sum():
                    word = str(level) if members is of_level else f"other than {level}"
                    yield name, "level", word, members, filled


def _sides(
    column: str | None, has: Bools, everyone: Bools
) -> Iterator[tuple[str | None, str, str | None, Bools, Bools]]:
    for group, members in (("with", has), ("without", ~has)):
        if LEAST_CUSTOMERS <= members.sum() <= len(has) - LEAST_CUSTOMERS:
            yield column, group, None, members, everyone


def _nothing(values: npt.NDArray[np.generic]) -> Bools:
    if values.dtype == np.int8:  # a flag: -1 is unknown
        return np.asarray(values < 0)  # type: ignore[operator]
    return np.array([v is None for v in values], np.bool_)


def _levels(values: npt.NDArray[np.generic], numeric: bool) -> npt.NDArray[np.str_]:
    """Return a word for each value: itself, or which fifth of the numbers it belongs to."""
    if not numeric:
        return values.astype(str)
    numbers = values.astype(np.float64)
    if len(np.unique(numbers)) > 8:
        edges = np.unique(np.quantile(numbers, [0.2, 0.4, 0.6, 0.8])) if len(numbers) else np.zeros(0)
        bounds = ["-inf", *(f"{e:g}" for e in edges), "inf"]
        names = np.array([f"{low} to {high}" for low, high in zip(bounds, bounds[1:], strict=False)])
        return np.asarray(names[np.searchsorted(edges, numbers, side="right")])
    return np.array([f"{v:g}" for v in numbers], dtype=str)


def _common(levels: npt.NDArray[np.str_]) -> list[str]:
    names, counts = np.unique(levels, return_counts=True)
    return [str(names[i]) for i in np.lexsort((names, -counts))[:MOST_LEVELS]]


def _compare(rows: _Rows, members: Bools, universe: Bools, late: bool | None) -> _Comparison | None:
    """Set the leavers among the members' snapshots against those of the rest in the same strata."""
    use = universe[rows.customer] & (True if late is None else rows.late == late)
    customer, left, stratum = rows.customer[use], rows.left[use], rows.stratum[use]
    inside = members[customer]
    width = int(stratum.max(initial=0)) + 1
    n_in = np.bincount(stratum[inside], minlength=width).astype(np.float64)
    n_out = np.bincount(stratum[~inside], minlength=width).astype(np.float64)
    weight = np.divide(n_in, n_out, out=np.zeros(width), where=n_out > 0)
    comparable = weight[stratum] > 0
    expected = float((weight[stratum] * left * ~inside).sum())
    observed = int(left[inside & comparable].sum())
    if expected < 1:
        return None
    rate_out = np.bincount(stratum[~inside], weights=left[~inside], minlength=width) / np.maximum(n_out, 1)
    surprise = np.where(inside, 0.0, weight[stratum] * (left - rate_out[stratum]))
    variance = (np.bincount(customer, weights=surprise) ** 2).sum()
    rate = np.bincount(stratum, weights=left, minlength=width) / np.maximum(n_in + n_out, 1)
    excess = (np.bincount(customer, weights=left - rate[stratum]) ** 2).sum()
    spread = max(1.0, float(excess / max((rate * (1 - rate) * (n_in + n_out)).sum(), 1e-9)))
    return _Comparison(observed, expected, spread, expected**2 / max(float(variance), expected))


def _growth(older: _Comparison | None, newer: _Comparison | None, chance: float) -> bool:
    """Return whether a strong effect on the newer dates is clearly stronger than on the older ones."""
    if older is None or newer is None or not older.observed:
        return False
    ratios = [(c.observed + 0.5) / c.expected for c in (older, newer)]
    spread = sum(c.spread / (c.observed + 0.5) + 1 / c.weight for c in (older, newer))
    upper = ratios[1] / ratios[0] * float(np.exp(norm.isf(chance) * np.sqrt(spread)))
    return ratios[1] < STRONG and ratios[1] < GROWS * ratios[0] and upper < 1


def _told_once(found: list[Suspect]) -> list[Suspect]:
    """Return one suspect per column, and only the table when having a row at all is what gives it away."""
    rows = [s for s in found if s.column is None]
    if rows:
        return sorted(rows, key=lambda s: s.at_most)[:1]
    best: dict[str, Suspect] = {}
    for s in sorted(found, key=lambda s: s.at_most):
        best.setdefault(str(s.column), s)
    return list(best.values())
