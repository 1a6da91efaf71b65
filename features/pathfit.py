"""What is usual on a company's ways, fitted once: what follows what, how long it takes, who serves well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from features.journeys import US_PER_DAY, Links, fit_gap, link_rows
from features.measures import measure_values
from features.paths import Impressions, Paths, PathWalk, contact_tables, impressions_of, pseudonym
from features.pathwalk import STATES
from features.streams import NULL, Ints, Stream
from features.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]
LEAST_STEPS = 30
"""A stretch that was walked fewer times than this has no usual time."""
LEAST_AMOUNTS = 100
LEAST_SURGE = 50
"""Thousandths of a log-ratio (5 %) that an amount has to exceed the usual by, at least, to be a surge."""
DOUBT = 5.0
"""Contacts that went no further, added to each state: what is rare is not thought to go on."""
WEAK_DUE = 14 * US_PER_DAY
SETTLED_DAYS = 30
"""Contacts of the last days before the fit may yet go on, and are left out of what follows."""


def fit_paths(stream: Stream, vocabulary: Vocabulary, fit_before: int) -> Paths:
    """Fit the company's ways on touchpoints known before `fit_before` (µs UTC).

    Args:
        stream: touchpoints.
        vocabulary: names of the kinds, and their deadlines.
        fit_before: what was known at or after it is not looked at.
    """
    stream = stream.keep(stream.known_at() < fit_before)
    kinds, gap = vocabulary.kinds, fit_gap(stream)
    n = len(kinds) + 1
    links = link_rows(stream, gap)
    opening = np.ones(stream.n_rows, bool) if stream.opens is None else stream.opens != 0
    tables = contact_tables(kinds, stream.contacts)
    kind, how, _ = tables[:, stream.contact] if stream.n_rows else np.zeros((3, 0), np.int64)
    moment, state = stream.occurred_at.unpack(), kind * STATES + how
    later = np.flatnonzero(opening & (links.previous >= 0))
    before = links.previous[later]
    apart = moment[later] - moment[before]
    settled = opening & (moment < fit_before - SETTLED_DAYS * US_PER_DAY)
    follows = np.zeros(stream.n_rows, bool)
    follows[before] = True
    cased = _cased(stream)
    lead_on = _share(state, settled, follows, n)
    waits = _share(state, settled & cased, follows, n) >= 0.5
    forward = apart >= 0
    due = _due(vocabulary, state[before][forward], apart[forward], n)
    usual, late = _stretches(kind[before][forward], kind[later][forward], apart[forward], n)
    paths = Paths(
        kinds,
        gap,
        fit_before,
        lead_on,
        waits.astype(np.int8),
        due,
        _matter_due(vocabulary, links, stream, kind, settled & cased, n),
        usual,
        late,
        _surprise(kind, opening, links.previous, n),
        np.full(n, -1),
        np.zeros(n, np.int64),
    )
    column = _columns(stream)
    paths = _with_people(paths, stream, kind, impressions_of(column))
    wanted = ["amount_ratio", "agent_changed", "team_changed"]
    walked = PathWalk(paths, wanted).run(stream, 0, stream.n_rows, column)
    return replace(
        paths,
        surge=_surge(kind, walked["amount_ratio"], n),
        same_agent=_of_kind(kind, walked["agent_changed"], 0, n),
        same_team=_of_kind(kind, walked["team_changed"], 0, n),
        new_team=_of_kind(kind, walked["team_changed"], 1, n),
    )


def _cased(stream: Stream) -> npt.NDArray[np.bool_]:
    case = stream.codes.get("case_id")
    return np.zeros(stream.n_rows, bool) if case is None else case.unpack() != NULL


def _columns(stream: Stream) -> Callable[[str], Ints]:
    """Return a reader of the stream's own columns."""

    def column(name: str) -> Ints:
        if name == "below_adequate":
            return measure_values(name, column)
        values = stream.values.get(name)
        return np.full(stream.n_rows, NULL) if values is None else values.unpack()

    return column


def _share(state: Ints, some: npt.NDArray[np.bool_], follows: npt.NDArray[np.bool_], n: int) -> Floats:
    """Return by state the share of contacts that another follows, doubted where they are few."""
    total = np.bincount(state[some], minlength=n * STATES)
    went_on = np.bincount(state[some & follows], minlength=n * STATES)
    return np.asarray(went_on / (total + DOUBT))


def _due(vocabulary: Vocabulary, state: Ints, apart: Ints, n: int) -> Ints:
    """Return by state the time in which nine in ten of those that go on have gone on; or the deadline."""
    due = np.full(n * STATES, WEAK_DUE)
    for one, times in _groups(state, apart):
        due[one] = int(np.quantile(times, 0.9))
    for kind, facts in vocabulary.facts.items():
        if facts.deadline_days is not None and kind in vocabulary.kinds:
            at = vocabulary.kinds.index(kind) * STATES
            due[at : at + STATES] = round(facts.deadline_days * US_PER_DAY)
    return due


def _matter_due(
    vocabulary: Vocabulary, links: Links, stream: Stream, kind: Ints, some: npt.NDArray[np.bool_], n: int
) -> Ints:
    """Return by the kind that begins a matter its deadline, else the time nine in ten such cases take."""
    due = np.full(n, -1)
    rows, moment = np.flatnonzero(some), stream.occurred_at.unpack()
    matter = stream.customer_of_rows()[rows] * (links.journey.max(initial=0) + 1) + links.journey[rows]
    order = np.lexsort((moment[rows], matter))
    rows, matter = rows[order], matter[order]
    first = np.flatnonzero(np.diff(matter, prepend=-1) != 0)
    last = np.append(first[1:], len(matter)) - 1
    several = last > first
    first, last = rows[first[several]], rows[last[several]]
    for one, times in _groups(kind[first], moment[last] - moment[first]):
        due[one] = int(np.quantile(times, 0.9))
    for name, facts in vocabulary.facts.items():
        if facts.deadline_days is not None and name in vocabulary.kinds:
            due[vocabulary.kinds.index(name)] = round(facts.deadline_days * US_PER_DAY)
    return due


def _stretches(start: Ints, end: Ints, apart: Ints, n: int) -> tuple[Ints, Ints]:
    """Return the median and the 90th percentile of each stretch's time, int64[from, to]; -1: too few."""
    usual, late = np.full((n + 1, n), -1), np.full((n + 1, n), -1)
    for one, times in _groups(start * n + end, apart):
        usual[one // n, one % n], late[one // n, one % n] = np.quantile(times, [0.5, 0.9]).astype(np.int64)
    return usual, late


def _groups(label: Ints, values: Ints) -> list[tuple[int, Ints]]:
    """Return the values of each label that has enough of them."""
    order = np.argsort(label, kind="stable")
    labels, first = np.unique(label[order], return_index=True)
    parts = np.split(values[order], first[1:]) if len(labels) else []
    return [(int(one), part) for one, part in zip(labels, parts, strict=True) if len(part) >= LEAST_STEPS]


def _surprise(kind: Ints, opening: npt.NDArray[np.bool_], previous: Ints, n: int) -> Ints:
    """Return -log P(kind | the kind before it in the journey), thousandths of a nat, int64[from, to].

    A first-order Markov chain; each row of counts begins with one contact spread as kinds are in general.
    """
    rows = np.flatnonzero(opening)
    before = np.where(previous[rows] < 0, n, kind[previous[rows]])
    counts = np.bincount(before * n + kind[rows], minlength=(n + 1) * n).reshape(n + 1, n).astype(np.float64)
    general = (counts.sum(axis=0) + 1.0) / (counts.sum() + n)
    chance = (counts + general) / (counts.sum(axis=1, keepdims=True) + 1.0)
    thousandths: Ints = np.rint(-1000.0 * np.log(chance)).astype(np.int64)
    return thousandths


def _with_people(paths: Paths, stream: Stream, kind: Ints, said: Ints) -> Paths:
    """Return the paths with the mean impression by kind, and what each agent and team left behind."""
    n = len(paths.kinds) + 1
    rows = said != NULL
    total = np.bincount(kind[rows], weights=said[rows].astype(np.float64), minlength=n)
    mean = np.rint(total / np.maximum(np.bincount(kind[rows], minlength=n), 1)).astype(np.int64)
    left = np.where(rows, said - mean[kind], 0)
    people = {}
    for name in ("agent_id", "team"):
        codes = stream.codes.get(name)
        if codes is None:
            continue
        who = codes.unpack()
        some = rows & (who != NULL)
        labels = stream.labels[name]
        number = np.bincount(who[some], minlength=len(labels))
        sums = np.rint(np.bincount(who[some], weights=left[some].astype(np.float64), minlength=len(labels)))
        of = {pseudonym(labels[i]): (int(sums[i]), int(number[i])) for i in np.flatnonzero(number)}
        people[name] = Impressions(
            of, shrinkage(sums, number.astype(np.float64), left[some].astype(np.float64))
        )
    return replace(paths, answer_mean=mean, people=people)


def shrinkage(sums: Floats, number: npt.NDArray[Any], left: Floats) -> float:
    """Return the variance within people over that between them: how many answers the mean of all weighs.

    One-way analysis of variance with random effects; see Searle, Casella and McCulloch (1992), chapter 3.
    """
    some = number > 0
    people, answers = int(some.sum()), float(number.sum())
    if people < 2 or answers <= people:
        return 1e6
    between = float((sums[some] ** 2 / number[some]).sum())
    within = (float((left**2).sum()) - between) / (answers - people)
    size = (answers - float((number.astype(np.float64) ** 2).sum()) / answers) / (people - 1)
    grand = float(sums.sum()) ** 2 / answers
    spread = ((between - grand) / (people - 1) - within) / size
    return float(min(within / spread, 1e6)) if spread > 0 else 1e6


def _surge(kind: Ints, ratio: Ints, n: int) -> Ints:
    """Return by kind the ratio to the customer's usual that one in ten amounts exceeds; -1: too few."""
    surge = np.full(n, -1)
    for one in range(n):
        of_kind = ratio[(kind == one) & (ratio != NULL)]
        if len(of_kind) >= LEAST_AMOUNTS:
            surge[one] = max(int(np.quantile(of_kind, 0.9)), LEAST_SURGE)
    return surge


def _of_kind(kind: Ints, told: Ints, value: int, n: int) -> Floats:
    """Return by kind the share of the contacts of which something is told that have one value of it."""
    total = np.bincount(kind[told != NULL], minlength=n)
    return np.asarray(np.bincount(kind[told == value], minlength=n) / (total + DOUBT))
