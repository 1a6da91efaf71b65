"""What a model has to beat on the same rows.

Churn: recency, RFM logistic regression, BG/NBD. Principality: "as before", the smoothed own share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.bgnbd import fit_bgnbd
from features.clock import US_PER_DAY, local_days
from features.histories import Histories
from features.streams import NULL
from features.wallets import fit_shares
from training.calibration import probability
from training.config import Config
from training.labels import Ints, activity_rows
from training.model import Recipe, fit_logistic
from training.panel import Panel
from training.principality import own_shares

Floats = npt.NDArray[np.float64]

NO_PENALTY = Recipe(logistic_c=1e4)
LOOK_BACK_DAYS = 364


@dataclass(frozen=True)
class Behaviour:
    """Recency, frequency and monetary value of activity, float64[n] each; days are local calendar days.

    `silence` and `age` are days since the last and the first activity, `count` and `amount` those of
    the last 364 days, `repeats` the days with activity after the first.
    """

    silence: Floats
    age: Floats
    count: Floats
    amount: Floats
    repeats: Floats

    @property
    def columns(self) -> Floats:
        """Return silence, count, amount and age side by side."""
        return np.stack([self.silence, self.count, self.amount, self.age], axis=1)


def behaviour(histories: Histories, config: Config, customer: Ints, as_of: Ints) -> Behaviour:
    """Return the behaviour of snapshots, by what was known at their `as_of`; NaN without activity."""
    stream, n = histories.touchpoints, histories.n_customers
    rows = np.flatnonzero(activity_rows(histories, config))
    person, when = stream.customer_of_rows()[rows], stream.occurred_at.unpack()[rows]
    known = when if stream.lag is None else stream.known_at()[rows]
    opens = np.ones(len(rows), np.bool_) if stream.opens is None else stream.opens[rows] > 0
    amount = np.zeros(len(rows))
    if "amount" in stream.values:
        scaled = stream.values["amount"].unpack()[rows]
        amount = np.where(scaled == NULL, 0.0, scaled / 1e6)
    # Lines of one contact are one row from here on.
    same = (person[1:] == person[:-1]) & (when[1:] == when[:-1]) & (known[1:] == known[:-1])
    starts = np.flatnonzero(np.concatenate([np.ones(min(len(rows), 1), np.bool_), ~same]))
    if len(starts):
        amount, count = np.add.reduceat(amount, starts), np.add.reduceat(opens.astype(np.float64), starts)
    else:
        amount, count = np.zeros(0), np.zeros(0)
    person, when, known = person[starts], when[starts], known[starts]
    day = local_days(when, config.project.zone)
    out = np.full((5, len(customer)), np.nan)
    for date in np.unique(as_of):
        here = np.flatnonzero(as_of == date)
        past = known < date
        p, d = person[past], day[past]
        first, last = np.full(n, NULL), np.full(n, NULL)
        last[p] = d  # sorted by time: the last one stays
        first[p[::-1]] = d[::-1]
        new_day = np.ones(len(p), np.bool_)
        new_day[1:] = (p[1:] != p[:-1]) | (d[1:] != d[:-1])
        recent = past & (when >= date - LOOK_BACK_DAYS * US_PER_DAY)
        today = int(local_days(np.array([date]), config.project.zone)[0])
        who = customer[here]
        some = last[who] != NULL
        out[0, here] = np.where(some, today - last[who], np.nan)
        out[1, here] = np.where(some, today - first[who], np.nan)
        out[2, here] = np.bincount(person[recent], weights=count[recent], minlength=n)[who]
        out[3, here] = np.bincount(person[recent], weights=amount[recent], minlength=n)[who]
        out[4, here] = np.where(some, np.bincount(p[new_day], minlength=n)[who] - 1, np.nan)
    return Behaviour(*out)


def churn_baselines(
    before: Histories, histories: Histories, config: Config, train: Panel, test: Panel
) -> dict[str, Floats]:
    """Return the churn probabilities of each baseline for the test rows; they learn from `before` only.

    `recency` and `rfm` are logistic regressions of days since the last activity, and of it, count,
    amount and age (in logs). `bgnbd`, for churn by inactivity, is fitted on all customers with
    activity before the first test date.
    """
    learnt = behaviour(before, config, train.customer, train.as_of).columns
    after = behaviour(histories, config, test.customer, test.as_of)
    found = {}
    for name, columns in (("recency", [0]), ("rfm", [0, 1, 2, 3])):
        fitted = fit_logistic(learnt[:, columns], train.churned, recipe=NO_PENALTY)
        found[name] = probability(fitted.raw_score(after.columns[:, columns]))
    if config.churn.rule == "inactivity":
        everyone = np.arange(before.n_customers)
        start = int(test.as_of.min())
        known = behaviour(before, config, everyone, np.full(len(everyone), start))
        ever = ~np.isnan(known.silence)
        model = fit_bgnbd(known.repeats[ever], (known.age - known.silence)[ever], known.age[ever])
        horizon = config.churn.horizon_days
        found["bgnbd"] = model.none_in(after.repeats, after.age - after.silence, after.age, horizon)
    return found


def principality_baselines(
    before: Histories, histories: Histories, config: Config, train: Panel, test: Panel
) -> dict[str, Floats]:
    """Return the principality of each baseline for the test rows; they learn from `before` only.

    `as_before`: how often those who were principal, or were not, are so later. `own_share`: a logistic
    regression of the log-odds of the customer's own past share (`own_shares`), smoothed by the
    population: `(a + x) / (a + b + n)` with the beta fitted on the customers of the newest training date.
    """
    found = {"as_before": as_before(train, test)}
    x, n = _own_shares_at(before, config, train)
    newest = train.as_of == train.as_of.max()
    a, b = fit_shares(x[newest], n[newest])
    known = train.outcome("principality") >= 0
    smoothed = _log_odds_of_share(x, n, a, b)
    fitted = fit_logistic(smoothed[known], train.outcome("principality")[known], recipe=NO_PENALTY)
    later = _log_odds_of_share(*_own_shares_at(histories, config, test), a, b)
    return found | {"own_share": probability(fitted.raw_score(later))}


def _own_shares_at(histories: Histories, config: Config, panel: Panel) -> tuple[Floats, Floats]:
    x, n = np.zeros(len(panel)), np.zeros(len(panel))
    for date in panel.dates.tolist():
        rows = panel.as_of == date
        given, seen = own_shares(histories, config, date)
        x[rows], n[rows] = given[panel.customer[rows]], seen[panel.customer[rows]]
    return x, n


def _log_odds_of_share(x: Floats, n: Floats, a: float, b: float) -> Floats:
    return (np.log(a + x) - np.log(b + np.maximum(n - x, 0.0)))[:, None]


def as_before(train: Panel, test: Panel) -> Floats:
    """Return the naive probability of principality: how often those who were, or were not, are later."""
    if train.was_principal is None or test.was_principal is None:
        raise ValueError("the panel has no principality")
    known = train.outcome("principality") >= 0
    out = np.empty(len(test))
    for state in (-1, 0, 1):
        rows = known & (train.was_principal == state)
        rate = (train.outcome("principality")[rows].sum() + 0.5) / (rows.sum() + 1.0)
        out[test.was_principal == state] = rate
    return out
