"""The panel: snapshots of many past dates, each with the customers who were with us then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.catalog import FittedFeatures
from features.clock import US_PER_DAY
from features.histories import Histories
from features.principality import is_own_share
from training.config import Config
from training.labels import activity_rows, churn_labels, eligible, mature_until
from training.principality import principality_labels, principals

Ints = npt.NDArray[np.int64]
Snapshots = Callable[[FittedFeatures, Histories, Ints, Ints, npt.NDArray[np.bool_]], npt.NDArray[np.float32]]
"""`(fitted, histories, dates, customers, here)` -> the features of the customers (positions) at the dates
where they are `here`, bool[customers, dates]: float32[here.sum(), n_features], by customer, then date."""

MOST_ROWS = 400_000
"""A larger panel is drawn from a sample of customers: the recipe is saturated long before."""
ENOUGH_DATES = 8
"""More dates than this add little; fewer are made up for by dates with less history behind them."""
CHUNK = 4_096


@dataclass(frozen=True)
class Panel:
    """Snapshots, sorted by (as_of, customer); outcomes are 1, 0 or -1 (not known).

    `X` is float32[n_snapshots, n_features]. `principal` is asked of those who stay: it is -1 of those who
    left. `was_principal` is the state on the day itself.
    """

    customer: Ints
    as_of: Ints
    X: npt.NDArray[np.float32]
    churned: npt.NDArray[np.int8]
    principal: npt.NDArray[np.int8] | None = None
    was_principal: npt.NDArray[np.int8] | None = None
    directions: tuple[int, ...] = ()
    """Of each feature: +1 when more of it can only mean more risk, -1 less, 0 when the data decide."""
    own_shares: tuple[int, ...] = ()
    """Features that are the customer's own share, smoothed: where the model of principality starts."""

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def dates(self) -> Ints:
        """The dates, ascending."""
        return np.unique(self.as_of)

    def outcome(self, question: str) -> npt.NDArray[np.int8]:
        """Return the outcomes of a question: `churn` or `principality`."""
        if question == "churn":
            return self.churned
        return np.full(len(self), -1, np.int8) if self.principal is None else self.principal

    def take(self, rows: npt.NDArray[np.bool_] | Ints) -> Panel:
        """Return some of the snapshots."""

        def cut(a: npt.NDArray[np.int8] | None) -> npt.NDArray[np.int8] | None:
            return None if a is None else a[rows]

        return Panel(
            self.customer[rows],
            self.as_of[rows],
            self.X[rows],
            self.churned[rows],
            cut(self.principal),
            cut(self.was_principal),
            self.directions,
            self.own_shares,
        )


def panel_dates(histories: Histories, config: Config, until_us: int) -> Ints:
    """Return the dates that can be learnt from at `until`, newest first.

    Their label windows are over by then; they are `step_days` apart, at most `max_dates`, and have
    `active_days` behind them. Where that leaves fewer than eight, dates with less behind them are
    taken too, down to the shorter of `active_days` and the horizon. None when there are none.
    """
    churn, training = config.churn, config.training
    span = (churn.gap_days + churn.horizon_days) * US_PER_DAY
    newest = mature_until(histories, config, until_us) - span
    rows = np.flatnonzero(activity_rows(histories, config))
    if not len(rows):
        return np.zeros(0, np.int64)
    first = int(histories.touchpoints.occurred_at.unpack()[rows].min())
    look_back = churn.active_days * US_PER_DAY
    dates = newest - np.arange(training.max_dates, dtype=np.int64) * training.step_days * US_PER_DAY
    enough = max(int((dates >= first + look_back).sum()), ENOUGH_DATES)
    return dates[dates >= first + min(look_back, span)][:enough]


def build_panel(
    histories: Histories,
    config: Config,
    fitted: FittedFeatures,
    dates: Ints,
    *,
    labelled: bool = True,
    staples_before: int | None = None,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
    snapshots: Snapshots | None = None,
) -> Panel:
    """Return the snapshots of the eligible customers at some dates.

    Args:
        histories: only what may be known; labels are read from it too.
        config: the configuration.
        fitted: the features.
        dates: µs UTC, any order.
        staples_before: where staples of principality are fitted (µs UTC); the first date by default.
        labelled: False leaves all outcomes unknown (-1), for dates whose label window is not over.
        most_rows: above it, a sample of customers stands for all.
        seed: of the sample.
        snapshots: where the features are computed; by default in this process.

    Raises:
        CorredorError: a label window is not over, or a table that a rule reads is missing.
    """
    dates = np.unique(np.asarray(dates, np.int64))
    n = histories.n_customers
    here = np.stack([eligible(histories, config, int(d)) for d in dates], axis=1)
    if here.sum() > most_rows:
        order = np.random.default_rng(seed).permutation(n)
        cut = int(np.searchsorted(np.cumsum(here.sum(axis=1)[order]), most_rows, side="right"))
        here[order[cut:]] = False
    churned = np.full((n, len(dates)), -1, np.int8)
    principal = was = None
    asked = config.principality.rule != "none"
    if labelled:
        churned = np.stack([churn_labels(histories, config, int(d)).value for d in dates], axis=1)
    if asked:
        staples_before = int(dates[0]) if staples_before is None else staples_before
        was = np.stack([principals(histories, config, int(d), staples_before).value for d in dates], axis=1)
        principal = np.full((n, len(dates)), -1, np.int8)
        if labelled:
            principal = np.stack(
                [principality_labels(histories, config, int(d), staples_before).value for d in dates], axis=1
            )
            principal[churned == 1] = -1
    wanted = np.flatnonzero(here.any(axis=1))
    X = (snapshots or snapshots_here)(fitted, histories, dates, wanted, here[wanted])
    customer, date = np.nonzero(here)
    order = np.lexsort((customer, date))
    at = (customer[order], date[order])
    return Panel(
        at[0].astype(np.int64),
        dates[at[1]],
        X[order],
        churned[at],
        None if principal is None else principal[at],
        None if was is None else was[at],
        tuple(f.direction for f in fitted.features),
        tuple(i for i, name in enumerate(fitted.names) if is_own_share(name)),
    )


def snapshots_here(
    fitted: FittedFeatures, histories: Histories, dates: Ints, customers: Ints, here: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return the features of a panel as this process computes them (see `Snapshots`)."""
    parts = [np.zeros((0, len(fitted.names)), np.float32)]
    for low in range(0, len(customers), CHUNK):
        some = customers[low : low + CHUNK]
        parts.append(fitted.snapshots(histories, dates, some)[here[low : low + CHUNK]])
    return np.concatenate(parts)
