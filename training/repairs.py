"""The repair list: stretches of the corridor by the customer value at risk that is held up in them.

What is told is an association: customers held up in a stretch left more often than comparable ones who
passed it in time. It is not the effect that a repair would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from features.clock import US_PER_DAY
from features.flow import BLOCKED, FEWEST, ON_TIME, Flow, Targets, told_by
from features.histories import Histories
from features.periods import Worsened, grouped, worsening
from features.profile import LIFECYCLE
from features.streams import NULL, Ints
from features.stretches import NONE, Floats, Steps
from training.bundle import Bundle
from training.config import Config
from training.labels import churn_labels, eligible
from training.panel import panel_dates
from training.scoring import score
from training.slices import lifecycle_at
from training.worth import WorthSource, worth_per_year

REPLICATES = 1_000
BLOCKS = 200
"""The bootstrap draws blocks of customers, chosen by lot: as good as customers, at the price of so many."""
MOSTLY = 0.5
Z95 = 1.96
SPREADS = 400


class Interval(NamedTuple):
    """A number and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Repair:
    """A stretch to repair."""

    stretch: int
    """kind * kinds + next kind, by the positions in `Steps.kinds`."""
    nature: str
    """`blocked`: most of what is held up had not gone on by the deadline; else `congested`."""
    target: int
    """What is missed, µs: where blocked the deadline of the kind entered, else the limit of the wait."""
    promised: bool
    """Whether the target is the company's own; else it is what was usual."""
    entered: int
    """Contacts that entered it in the recent days and whose fate is known."""
    held: float
    """Share of those that was held up."""
    held_now: int
    """Customers held up now or in the recent days, each journey where it was held up first."""
    worth: float
    """What these customers are worth per year; their number where no worth is known."""
    excess: Interval
    """By how much more of the held up left, within the horizon, than of those who passed in time."""
    left: float
    """The share of the held up that left then, weighed as the excess is."""
    worsened: Worsened | None
    stake: float | None = None
    """Of their worth, what is at risk by the model: the sum of worth × calibrated probability of leaving of
    the customers held up. None: no model is at hand."""

    @property
    def at_risk(self) -> Interval:
        """The worth that is at risk in excess: worth × excess; with a model, stake × excess / left.

        Of those who leave after they were held up, excess / left is the part that is more than usual; never
        more than all. Where everybody's probability is `left`, both are the same.

        Source: Miettinen (1974), "Proportion of disease caused or prevented by a given exposure, trait or
        intervention", American Journal of Epidemiology: the attributable fraction of the exposed.
        """
        if self.stake is None:
            return Interval(*(self.worth * e for e in self.excess))
        return Interval(*(self.stake * min(e / self.left, 1.0) for e in self.excess))

    @property
    def clear(self) -> bool:
        """Whether the excess is beyond chance."""
        return self.excess.low > 0


@dataclass(frozen=True)
class RepairList:
    """The stretches, the most value at risk first."""

    repairs: tuple[Repair, ...]
    recent_days: int
    cohorts: int
    """Past dates at which customers were compared; 0: there is too little history, and no excess."""
    worth_source: WorthSource
    model_version: str | None = None
    """The model whose probabilities of leaving count; None: none was at hand."""


def repair_list(
    histories: Histories,
    config: Config,
    steps: Steps,
    flow: Flow,
    targets: Targets,
    bundle: Bundle | None = None,
) -> RepairList:
    """Return the stretches that hold customers up, by the value at risk that passes through them.

    A stretch is on the list when it misses a target of the configuration, or when it became worse than it
    was. A customer counts where the journey was held up first, and for as many days as leaving is
    asked about (`[churn] horizon_days`).

    The excess compares, at past dates whose outcome is known, the customers who had been held up in the
    stretch in those days with those who had passed it in time in the same days: the same date, the same
    lifecycle stage, weighed as Mantel and Haenszel do; then the stretches are drawn together
    (`drawn_together`). Nothing known at or after `steps.until` is looked at.

    With a model, what is at risk of today's customers is told by each one's own calibrated probability of
    leaving, of which the excess is a part (`Repair.at_risk`); without one all leave as often as those of
    the past dates did.

    Source of the weights: Greenland and Robins (1985), "Estimation of a common effect parameter from sparse
    follow-up data", Biometrics.
    """
    until = steps.until
    known = histories.known_before(until)
    recent = config.churn.horizon_days * US_PER_DAY
    value, source = worth_per_year(known, config, until)
    value = np.ones(len(value)) if source == "none" else np.nan_to_num(value)
    here = eligible(known, config, until)
    dates = np.sort(panel_dates(known, config, until))
    stages = lifecycle_at(known, config, dates) if len(dates) else None
    outcomes = [
        np.where(eligible(known, config, d), churn_labels(known, config, d).value, NONE) for d in dates
    ]
    block = np.random.default_rng(0).integers(0, BLOCKS, histories.n_customers)
    by_stretch, by_instead = (grouped(of, len(steps.kinds) ** 2) for of in (flow.stretch, flow.instead))
    found: list[Repair] = []
    held_customers: list[Ints] = []
    for stretch in _candidates(steps, flow, targets):
        counted = by_stretch.of(stretch)
        worsened = worsening(steps, flow, targets, stretch, counted)
        nature, target, promised, lately = _state(steps, flow, targets, stretch, counted, until - 2 * recent)
        if worsened is None and not promised:
            continue
        rows = np.union1d(counted, by_instead.of(stretch))
        held_now, _ = _at(steps, flow, rows, stretch, until, recent)
        held_now = held_now[here[held_now]]
        if not len(held_now):
            continue
        table = np.zeros((BLOCKS, max(len(dates), 1), len(LIFECYCLE), 2, 2))
        for k, date in enumerate(dates.tolist()):
            for way, who in enumerate(_at(steps, flow, rows, stretch, date, recent)):
                who = who[outcomes[k][who] >= 0]
                stage = stages[who, k]  # type: ignore[index]
                np.add.at(table, (block[who], k, stage, way, outcomes[k][who]), 1.0)
        if table[:, :, :, 0].sum() < FEWEST or table[:, :, :, 1].sum() < FEWEST:
            continue
        found.append(
            Repair(
                stretch=stretch,
                nature=nature,
                target=target,
                promised=promised,
                entered=len(lately),
                held=float(flow.held[lately].mean()) if len(lately) else 0.0,
                held_now=len(held_now),
                worth=float(value[held_now].sum()),
                excess=excess_of(table),
                left=left_of(table),
                worsened=worsened,
            )
        )
        held_customers.append(held_now)
    drawn = drawn_together([r.excess for r in found])
    found = [replace(r, excess=e) for r, e in zip(found, drawn, strict=True)]
    if bundle is not None:
        stakes = _stakes(bundle, known, until, value, held_customers)
        found = [replace(r, stake=s) for r, s in zip(found, stakes, strict=True)]
    found.sort(key=lambda r: (-r.at_risk.value, r.stretch))
    version = None if bundle is None else bundle.version
    return RepairList(tuple(found), config.churn.horizon_days, len(dates), source, version)


def _stakes(
    bundle: Bundle, known: Histories, until: int, value: Floats, customers: list[Ints]
) -> Iterator[float]:
    """Yield for each group of customers the sum of worth × probability of leaving; each is scored once."""
    everyone = np.unique(np.concatenate(customers)) if customers else np.zeros(0, np.int64)
    stake = np.zeros(len(value))
    if len(everyone):
        stake[everyone] = value[everyone] * score(bundle, known, until, everyone).churn_probability
    for some in customers:
        yield float(stake[some].sum())


def _candidates(steps: Steps, flow: Flow, targets: Targets) -> Iterator[int]:
    """Yield the stretches with enough passages, and with some that were held up first there."""
    size = len(steps.kinds) ** 2
    count = np.bincount(flow.stretch[flow.stretch >= 0], minlength=size)
    held = np.bincount(flow.stretch[flow.held & flow.first], minlength=size)
    yield from np.flatnonzero((count >= 2 * FEWEST) & (held > 0) & (targets.limit != NULL)).tolist()


def _at(steps: Steps, flow: Flow, rows: Ints, stretch: int, date: int, recent: int) -> tuple[Ints, Ints]:
    """Return the customers held up in a stretch in the days before a date, and those who passed in time.

    As it could be seen on that date: a matter that had not gone on by then counts where it was expected to.
    """
    entered = steps.entered[rows]
    left = np.where(steps.after[rows] >= 0, steps.entered[steps.after[rows]], np.iinfo(np.int64).max)
    open_then = (entered < date) & (left >= date)
    overdue = open_then & (flow.instead[rows] == stretch) & (flow.ripe_at[rows] < date)
    over = (flow.stretch[rows] == stretch) & flow.held[rows] & ~open_then & (entered < date)
    since = np.where(overdue, flow.ripe_at[rows], flow.late_at[rows])
    # one that turned out well counts as held up while it is overdue; `first` speaks of how it turned out
    first = flow.first[rows] | ~flow.held[rows]
    held = np.unique(
        steps.customer[rows[(overdue | over) & first & (since >= date - recent) & (since < date)]]
    )
    passed = (flow.stretch[rows] == stretch) & (flow.status[rows] == ON_TIME)
    passed &= (left < date) & (left >= date - recent)
    return held, np.setdiff1d(steps.customer[rows[passed]], held)


def _state(
    steps: Steps, flow: Flow, targets: Targets, stretch: int, counted: Ints, since: int
) -> tuple[str, int, bool, Ints]:
    """Return a stretch's nature, the target it misses, whether that is the company's own, and what entered.

    What entered it since a moment, if its fate is known by now.
    """
    kind = stretch // len(steps.kinds)
    certain = told_by(targets, stretch, len(steps.kinds))
    rows = counted[(steps.entered[counted] >= since) & (steps.entered[counted] + certain < steps.until)]
    stuck = flow.status[rows] == BLOCKED
    if stuck.sum() > MOSTLY * max(flow.held[rows].sum(), 1):
        return "blocked", int(targets.deadline[kind]), bool(targets.due[kind]), rows
    return "congested", int(targets.limit[stretch]), bool(targets.promised[stretch]), rows


def excess_of(table: Floats) -> Interval:
    """Return the difference of the shares that left, and its interval by bootstrap over blocks of customers.

    Args:
        table: float64[blocks, dates, stages, held up or in time, stayed or left]: customers.
    """
    blocks = len(table)
    draws = np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), REPLICATES)
    counts = np.concatenate([np.ones((1, blocks)), draws]) @ table.reshape(blocks, -1)
    weight, share = _weighed(counts.reshape(REPLICATES + 1, -1, 2, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = (weight * (share[..., 0] - share[..., 1])).sum(axis=1) / weight.sum(axis=1)
    low, high = np.nanquantile(difference[1:], (0.025, 0.975))
    return Interval(float(difference[0]), float(low), float(high))


def left_of(table: Floats) -> float:
    """Return the share of the held up that left, weighed as `excess_of` does; half a leaver at the least.

    Args:
        table: float64[blocks, dates, stages, held up or in time, stayed or left]: customers.
    """
    counts = table.sum(axis=0).reshape(1, -1, 2, 2)
    weight, share = _weighed(counts)
    weight, held = weight[0], counts[0, :, 0].sum()
    left = float((weight * share[0, :, 0]).sum() / weight.sum()) if weight.sum() else 0.0
    return max(left, 0.5 / max(float(held), 1.0))


def _weighed(counts: Floats) -> tuple[Floats, Floats]:
    """Return the weights of strata, and the shares that left of the held up and of those in time.

    Args:
        counts: float64[n, strata, held up or in time, stayed or left].
    """
    n = counts.sum(axis=3)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.nan_to_num(n[..., 0] * n[..., 1] / (n[..., 0] + n[..., 1]))
        return weight, np.nan_to_num(counts[..., 1] / n)


def drawn_together(found: list[Interval]) -> list[Interval]:
    """Return the excesses, each drawn towards their mean as far as chance explains that they differ.

    Of many noisy numbers the largest is too large; of the list's first place that would be a promise too
    much. One or two are left as they are: they do not tell how much stretches differ.

    Source: Rubin (1981), "Estimation in parallel randomized experiments", Journal of Educational Statistics;
    Gelman et al. (2013), "Bayesian Data Analysis", section 5.4: the mean and the spread between
    stretches have flat priors, and what is told is averaged over how large the spread may be.
    """
    if len(found) < 3:
        return found
    value = np.array([e.value for e in found])
    variance = np.array([max((e.high - e.low) / (2 * Z95), 1e-6) ** 2 for e in found])
    most = 3 * (float(np.ptp(value)) + float(np.sqrt(variance.max())))
    spread = np.linspace(0.0, most, SPREADS)[:, np.newaxis] ** 2
    weight = 1 / (variance + spread)
    middle = (weight * value).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    likelihood = 0.5 * (np.log(weight) - weight * (value - middle) ** 2).sum(axis=1)
    likelihood -= 0.5 * np.log(weight.sum(axis=1))
    chance = np.exp(likelihood - likelihood.max())[:, np.newaxis]
    chance /= chance.sum()
    own = spread / (spread + variance)
    given = own * value + (1 - own) * middle
    drawn = (chance * given).sum(axis=0)
    scatter = own * variance + (1 - own) ** 2 / weight.sum(axis=1, keepdims=True) + (given - drawn) ** 2
    error = np.sqrt((chance * scatter).sum(axis=0))
    return [
        Interval(float(v), float(v - Z95 * e), float(v + Z95 * e)) for v, e in zip(drawn, error, strict=True)
    ]
