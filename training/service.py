"""How customers were served in the last year: by encounter, flow and stage, by team; by person for a role.

The impression of a group is what customers said of its contacts, less what they say of that kind of contact
in general, shrunk to the mean of all by a one-way analysis of variance. A person is measured for whoever
leads them; lists and pages name teams, and people only for the role that the configuration names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.clock import US_PER_DAY
from features.errors import CorredorError
from features.histories import Histories
from features.measures import measure_values
from features.pathfit import shrinkage
from features.paths import impressions_of
from features.streams import NULL, Ints
from features.vocabulary import Vocabulary
from training.config import Config

Floats = npt.NDArray[np.float64]
YEAR_DAYS = 364
GROUPINGS = ("encounter", "flow", "direct", "stage")
FEWEST_ANSWERS = 5
"""A person or a team of whom fewer have spoken is not given an impression."""


@dataclass(frozen=True)
class Served:
    """How the contacts of one group went.

    said: mean of what customers said, 0 to 10; None: nothing.
    impression: points of ten against what is usual for the kinds of contact; None: too few answers, or a
        group that is made of kinds, which are usual by themselves.
    failed_share: of the contacts whose end is known, those that failed or fell below what is accepted.
    """

    name: str
    contacts: int
    answers: int
    said: float | None
    impression: float | None
    failed_share: float | None


def served_by(
    histories: Histories, config: Config, vocabulary: Vocabulary, as_of_us: int, *, role: str | None = None
) -> Mapping[str, tuple[Served, ...]]:
    """Return how customers were served in the year before a moment, by grouping.

    Args:
        histories: only what was known before `as_of_us` is looked at.
        config: who may see the names of people (`[people] names_to`).
        vocabulary: what kinds and channels mean.
        as_of_us: µs UTC.
        role: of the reader; with one of `names_to`, people are told by name (`agent_id`).

    Raises:
        CorredorError: the role may not see names.
    """
    if role is not None and role not in config.people.names_to:
        allowed = ", ".join(config.people.names_to) or "nobody"
        raise CorredorError(
            f"--role {role}: may not see who served by name; the configuration allows {allowed}. "
            "Name the roles that may in [people] names_to."
        )
    stream = histories.touchpoints
    moment = stream.occurred_at.unpack()
    recent = (stream.known_at() < as_of_us) & (moment >= as_of_us - YEAR_DAYS * US_PER_DAY)
    if stream.opens is not None:
        recent &= stream.opens != 0
    stream = stream.keep(recent)

    def column(name: str) -> Ints:
        if name == "below_adequate":
            return measure_values(name, column)
        values = stream.values.get(name)
        return np.full(stream.n_rows, NULL) if values is None else values.unpack()

    end = stream.fields.index("outcome")
    ended = np.array([c[end] is not None for c in stream.contacts], bool)[stream.contact]
    failed = np.array([c[end] == "failed" for c in stream.contacts], bool)[stream.contact]
    below = column("below_adequate")
    said = impressions_of(column)
    table = _Rows(
        said=np.where(said == NULL, np.nan, said / 100.0),
        left=_left(stream.contact, [str(c[0]) for c in stream.contacts], said),
        judged=ended | (below != NULL),
        failed=failed | (below > 0),
    )
    found: dict[str, tuple[Served, ...]] = {}
    tags = [vocabulary.tags("touchpoints", c) for c in stream.contacts]
    for grouping in GROUPINGS:
        values = [next((str(v) for f, v in t if f == grouping), None) for t in tags]
        names = sorted({v for v in values if v is not None})
        if len(names) > 1:
            of_contact = np.array([names.index(v) if v is not None else -1 for v in values], np.int64)
            found[grouping] = table.by(of_contact[stream.contact], names, of_kinds=grouping != "encounter")
    for grouping, shown in (("team", True), ("agent_id", role is not None)):
        codes = stream.codes.get(grouping)
        if shown and codes is not None:
            who = codes.unpack()
            groups = table.by(np.where(who == NULL, -1, who), list(stream.labels[grouping]))
            if groups:
                found[grouping] = groups
    return found


def _left(contact: npt.NDArray[np.integer], kinds: list[str], said: Ints) -> Floats:
    """Return what each row says above the mean of its kind, in points; NaN where it says nothing."""
    names = sorted(set(kinds))
    kind = np.array([names.index(k) for k in kinds], np.int64)[contact]
    told = said != NULL
    sums = np.bincount(kind[told], weights=said[told].astype(np.float64), minlength=len(names))
    mean = sums / np.maximum(np.bincount(kind[told], minlength=len(names)), 1)
    return np.where(told, (said - mean[kind]) / 100.0, np.nan)


@dataclass(frozen=True)
class _Rows:
    """What is known of each contact."""

    said: Floats
    left: Floats
    judged: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]

    def by(self, group: Ints, names: list[str], *, of_kinds: bool = False) -> tuple[Served, ...]:
        """Return each group that has contacts, the most used first."""
        n = len(names)
        some, told = group >= 0, (group >= 0) & ~np.isnan(self.left)
        contacts = np.bincount(group[some], minlength=n)
        answers = np.bincount(group[told], minlength=n)
        total = np.bincount(group[told], weights=self.said[told], minlength=n)
        sums = np.asarray(np.bincount(group[told], weights=self.left[told], minlength=n), np.float64)
        prior = shrinkage(sums, answers, self.left[told])
        judged = np.bincount(group[some & self.judged], minlength=n)
        failed = np.bincount(group[some & self.judged & self.failed], minlength=n)
        enough = (answers >= FEWEST_ANSWERS) & (not of_kinds)
        order = sorted(np.flatnonzero(contacts).tolist(), key=lambda i: (-contacts[i], names[i]))
        return tuple(
            Served(
                names[i],
                int(contacts[i]),
                int(answers[i]),
                float(total[i] / answers[i]) if answers[i] else None,
                float(sums[i] / (answers[i] + prior)) if enough[i] else None,
                float(failed[i] / judged[i]) if judged[i] else None,
            )
            for i in order
        )
