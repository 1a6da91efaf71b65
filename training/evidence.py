"""The very touchpoints behind a score: what it would be had one of them not happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from features.histories import MEASURE_SCALES, Histories
from features.streams import NULL, Ints, Stream
from training.bundle import CHURN, Bundle

CANDIDATES = 64
ROWS_LIMIT = 2_000_000
"""Rows of shortened histories made at once: a customer with very many contacts gets fewer candidates."""


@dataclass(frozen=True)
class Evidence:
    """One contact of a customer and the calibrated churn probability with and without it.

    `amount` is the sum of its lines, in the project's currency; None when none has one. Rows of the
    same contact are one piece of evidence.
    """

    occurred_at: int
    """µs UTC."""
    kind: str
    channel: str | None
    items: tuple[str, ...]
    outcome: str | None
    amount: float | None
    wait_minutes: float | None
    risk: float
    risk_without: float
    change: float
    """What the contact adds to the raw score, in log-odds: positive raises the risk."""


def find_evidence(
    bundle: Bundle,
    histories: Histories,
    as_of_us: int,
    customer: int,
    *,
    kinds: frozenset[str] | None = None,
    candidates: int = CANDIDATES,
) -> tuple[Evidence, ...]:
    """Return a customer's latest contacts by what the score owes to each, the largest first.

    Every candidate is left out of the history once, and the shortened histories are scored together
    by the same engine and model. It tells what the model would say, not what would have happened.

    Args:
        bundle: the model.
        histories: what is known.
        as_of_us: the moment of the score, µs UTC.
        customer: position in the histories.
        kinds: only contacts of these kinds; all by default.
        candidates: how many of the latest contacts are tried.
    """
    return leave_out(bundle, histories, as_of_us, customer, [kinds], candidates=candidates).evidence(kinds)


@dataclass(frozen=True)
class LeftOut:
    """What the score of one customer would be without each of some contacts: see `find_evidence`.

    `contacts` are rows [low, high) of the customer's `stream`, int64[n, 2]; `change` (log-odds) and
    `risk_without` have one element each.
    """

    stream: Stream
    contacts: Ints
    change: npt.NDArray[np.float64]
    risk: float
    risk_without: npt.NDArray[np.float64]
    groups: Mapping[frozenset[str] | None, Ints]
    """Positions of the contacts of each group of kinds that was asked for."""

    def evidence(
        self, kinds: frozenset[str] | None, *, raises: bool | None = None, most: int | None = None
    ) -> tuple[Evidence, ...]:
        """Return the contacts of some kinds by what the score owes to each, the largest first.

        Args:
            kinds: a group that was asked for.
            raises: only contacts that raise the risk (True) or lower it (False).
            most: how many.
        """
        places = self.groups[kinds]
        if raises is not None:
            change = self.change[places]
            places = places[change > 0 if raises else change < 0]
        when = self.stream.occurred_at.unpack()[self.contacts[places, 0]]
        order = np.lexsort((-when, -np.abs(self.change[places])))[:most]
        return tuple(
            _describe(
                self.stream,
                int(self.contacts[i, 0]),
                int(self.contacts[i, 1]),
                self.risk,
                float(self.risk_without[i]),
                float(self.change[i]),
            )
            for i in places[order].tolist()
        )


def leave_out(
    bundle: Bundle,
    histories: Histories,
    as_of_us: int,
    customer: int,
    groups: Sequence[frozenset[str] | None],
    *,
    candidates: int = CANDIDATES,
) -> LeftOut:
    """Leave out a customer's latest contacts of several groups of kinds, each contact once.

    Args:
        bundle: the model.
        histories: what is known.
        as_of_us: the moment of the score, µs UTC.
        customer: position in the histories.
        groups: kinds that are asked for together; None: all of them.
        candidates: how many of the latest contacts of each group are tried.
    """
    one = histories if histories.n_customers == 1 else histories.select([customer])
    stream = one.touchpoints
    affordable = min(candidates, max(1, ROWS_LIMIT // max(1, stream.n_rows)))
    chosen = {kinds: _latest_contacts(stream, as_of_us, kinds, affordable) for kinds in groups}
    every = np.concatenate(list(chosen.values()))
    contacts = every[np.unique(every[:, 0], return_index=True)[1]]  # what begins alike is the same
    predictor, parts = bundle.predictors[CHURN], []
    for first in range(0, len(contacts), affordable):
        some = contacts[first : first + affordable]
        copies = one.select(np.zeros(len(some) + 1, np.int64))  # the first keeps everything
        keep = np.ones((len(some) + 1, stream.n_rows), bool)
        lengths = some[:, 1] - some[:, 0]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        keep[np.repeat(np.arange(1, len(some) + 1), lengths), np.repeat(some[:, 0], lengths) + within] = False
        without = replace(
            copies, streams={**copies.streams, "touchpoints": copies.touchpoints.keep(keep.ravel())}
        )
        X = bundle.fitted.snapshots(without, np.array([as_of_us], np.int64))[:, 0]
        parts.append(predictor.forest.raw_score(X))
    if not parts:
        nothing = np.zeros(0)
        return LeftOut(stream, contacts, nothing, np.nan, nothing, dict.fromkeys(groups, _NOWHERE))
    raw = np.concatenate([part[1:] for part in parts])
    risk = predictor.calibrator.apply(np.concatenate([parts[0][:1], raw]))
    begins = contacts[:, 0]  # contacts do not overlap
    places = {kinds: np.searchsorted(begins, some[:, 0]) for kinds, some in chosen.items()}
    return LeftOut(stream, contacts, parts[0][0] - raw, float(risk[0]), risk[1:], places)


_NOWHERE = np.zeros(0, np.int64)


def _latest_contacts(stream: Stream, as_of_us: int, kinds: frozenset[str] | None, most: int) -> Ints:
    """Return the rows [low, high) of the latest contacts known before `as_of`, `int64[n, 2]`."""
    first = np.arange(stream.n_rows) if stream.opens is None else np.flatnonzero(stream.opens)
    last = np.append(first[1:], stream.n_rows)
    wanted = stream.known_at()[first] < as_of_us
    if kinds is not None:
        place = stream.fields.index("kind")
        of_kind = np.array([contact[place] in kinds for contact in stream.contacts], bool)
        wanted &= of_kind[stream.contact[first]]
    return np.stack([first[wanted], last[wanted]], axis=1)[-most:]


def _describe(
    stream: Stream, low: int, high: int, risk: float, risk_without: float, change: float
) -> Evidence:
    def text(name: str, row: int) -> str | None:
        return stream.contacts[int(stream.contact[row])][stream.fields.index(name)]

    def numbers(name: str, reduce: Callable[[list[int]], int]) -> float | None:
        if name not in stream.values:
            return None
        known = [number for number in stream.values[name].unpack(low, high).tolist() if number != NULL]
        return reduce(known) / MEASURE_SCALES[name] if known else None

    items = dict.fromkeys(text("item", row) for row in range(low, high))
    return Evidence(
        occurred_at=int(stream.occurred_at.unpack(low, low + 1)[0]),
        kind=text("kind", low) or "",
        channel=text("channel", low),
        items=tuple(item for item in items if item is not None),
        outcome=text("outcome", low),
        amount=numbers("amount", sum),
        wait_minutes=numbers("wait_minutes", max),
        risk=risk,
        risk_without=risk_without,
        change=change,
    )
