"""Who a contact was with: lifecycle stage, segment, whether they left afterwards; which team took it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.clock import US_PER_DAY
from features.definition import Context
from features.engine import Plan
from features.histories import Histories
from features.population import Population
from features.profile import LIFECYCLE, lifecycle
from features.streams import NULL
from features.stretches import NONE, Steps
from features.vocabulary import fit_vocabulary
from training.config import Config
from training.labels import churn_labels, eligible
from training.panel import panel_dates

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

STAYED, LEFT = 0, 1
STAGE_STEP_DAYS = 28
FEWEST_CONTACTS = 100
"""A team with fewer contacts is not told by itself."""
MOST_TEAMS = 12


def lifecycle_at(histories: Histories, config: Config, dates: Ints) -> Codes:
    """Return int8[customers, dates]: each customer's lifecycle stage, a position in `LIFECYCLE`.

    Args:
        histories: what may be known.
        config: what counts as activity, and the windows.
        dates: µs UTC.
    """
    vocabulary = fit_vocabulary(histories, config, config.activity)
    # of the population, the stage needs nothing
    context = Context(
        vocabulary, Population({}, {}, (1.0, 1.0, 1.0, 1.0)), config.activity, config.features.windows_days
    )
    found = Plan([lifecycle(context)], vocabulary.tags).run(histories, np.asarray(dates, np.int64))[:, :, 0]
    return np.nan_to_num(found, nan=len(LIFECYCLE) - 1).astype(np.int8)


def lifecycle_of_steps(histories: Histories, config: Config, steps: Steps) -> Codes:
    """Return the lifecycle stage of each contact's customer, by the first of dates four weeks apart after it.

    After it and not before, so that a customer's first contacts are those of a new customer.
    """
    if not len(steps):
        return np.zeros(0, np.int8)
    step = STAGE_STEP_DAYS * US_PER_DAY
    n_dates = int((steps.until - steps.entered.min()) // step) + 1
    dates = steps.until - step * np.arange(n_dates, dtype=np.int64)
    stages = lifecycle_at(histories, config, dates)
    return np.asarray(stages[steps.customer, (steps.until - steps.entered - 1) // step])


def segments(histories: Histories, until: int) -> tuple[tuple[str, ...], Ints]:
    """Return the segments, and each customer's as last known before a moment (NONE: not known)."""
    nobody = np.full(histories.n_customers, NONE)
    ledger = histories.ledgers.get("customers")
    if ledger is None or "segment" not in ledger.columns:
        return (), nobody
    order = np.argsort(ledger.known_at, kind="stable")
    rows = order[ledger.known_at[order] < until]
    names = ledger.columns["segment"]
    told = tuple(sorted({str(names[r]) for r in rows if names[r] is not None}))
    place = {name: n for n, name in enumerate(told)}
    customer = ledger.customer_of_rows()
    nobody[customer[rows]] = [NONE if names[r] is None else place[str(names[r])] for r in rows]
    return told, nobody


def left_afterwards(histories: Histories, config: Config, steps: Steps) -> Codes:
    """Return for each contact whether its customer left within the horizon of the next date: LEFT, STAYED.

    Dates are those a model could learn from at `steps.until`; NONE for contacts that no such date follows
    within its step, and for customers who were not with us on it or whose outcome is not known.
    """
    known = histories.known_before(steps.until)
    dates = np.sort(panel_dates(known, config, steps.until))
    found = np.full(len(steps), NONE, np.int8)
    step = config.training.step_days * US_PER_DAY
    place = np.searchsorted(dates, steps.entered, side="right")
    for k, date in enumerate(dates.tolist()):
        outcome = np.where(eligible(known, config, date), churn_labels(known, config, date).value, NONE)
        rows = np.flatnonzero((place == k) & (steps.entered >= date - step))
        found[rows] = outcome[steps.customer[rows]]
    return found


def teams_of_steps(histories: Histories, steps: Steps) -> tuple[tuple[str | None, ...], Ints]:
    """Return the teams that are told, the most used first, and which of these took each contact.

    Teams with few contacts, beyond the twelve most used, or in which only one person is known to serve, are
    told together, as the last (None); NONE for contacts that name no team. So no number is of a person.

    Args:
        histories: what was known before `steps.until`.
        steps: the contacts.
    """
    some = steps.team >= 0
    contacts = np.bincount(steps.team[some], minlength=len(steps.teams))
    told = (contacts >= FEWEST_CONTACTS) & ~_of_one_person(histories, len(steps.teams))
    order = [int(t) for t in np.lexsort((np.arange(len(contacts)), -contacts)) if told[t]][:MOST_TEAMS]
    place = np.full(len(steps.teams) + 1, NONE)  # the last stands for "no team"
    place[:-1][contacts > 0] = len(order)
    place[order] = np.arange(len(order))
    found = place[steps.team]
    others = [None] if (found == len(order)).any() else []
    return (*(steps.teams[t] for t in order), *others), found


def _of_one_person(histories: Histories, n_teams: int) -> npt.NDArray[np.bool_]:
    """Return the teams all of whose contacts that name who served name the same one."""
    stream = histories.touchpoints
    codes = [stream.codes.get(name) for name in ("team", "agent_id")]
    if codes[0] is None or codes[1] is None:
        return np.zeros(n_teams, np.bool_)
    team, agent = codes[0].unpack(), codes[1].unpack()
    both = (team != NULL) & (agent != NULL)
    agents = int(agent[both].max(initial=0)) + 1
    people = np.bincount(np.unique(team[both] * agents + agent[both]) // agents, minlength=n_teams)
    return np.asarray(people == 1)
