"""From histories to snapshots: expressions compiled once, run over any customers and dates.

The same plan serves the nightly batch, the training panel, a Spark partition and the one customer of
a request; see `features.kernels` for how, and why the bits agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.arithmetic import OPERATIONS, evaluate, tell
from features.expressions import AS_OF_DAYS, Expr, Rows, Tag
from features.fading import fading_of, powers_of
from features.gaps import PACE_STATISTICS
from features.histories import Histories
from features.kernels import (
    ANSWER_DAYS,
    ANSWER_LAST,
    ANSWER_LEAST,
    ANSWER_MOST,
    DAYS,
    DECAY,
    DISTINCT,
    LANES,
    PACE,
    SUM,
    TRACK_FIRST,
    TRACK_LAST,
    TRACK_VALUE,
    US_PER_DAY,
    WEEKS,
    walk,
)
from features.measures import MeasureTable, Standards, measure_scale, steps_among
from features.noting import ContactClasses, StreamPlan, fact_tables
from features.paths import Paths, PathWalk
from features.streams import Contact, Ints, Stream

Tagger = Callable[[str, Contact], frozenset[Tag]]
"""Tells what is true of a contact of a stream."""

CHUNK_SNAPSHOTS = 1024
CHUNK_ROWS = 8_192
"""Of long histories fewer customers are walked at a time: what is said of their rows stays in the cache."""


class Readings(NamedTuple):
    """When facts are read, as `features.kernels.walk` takes it."""

    edges: Ints
    edge_of: Ints
    low_edge: Ints
    date_of: Ints
    view_of: Ints
    n_dates: int


class Plan:
    """Expressions compiled to tables that the kernels read."""

    def __init__(
        self,
        outputs: Sequence[Expr],
        tagger: Tagger,
        *,
        day_offset: int = 0,
        standards: Callable[[Contact], Standards] | None = None,
        paths: Paths | None = None,
        before: Sequence[Expr] = (),
        days_before: int = 0,
    ) -> None:
        """Compile.

        Args:
            outputs: one expression per feature.
            tagger: what is true of a contact.
            day_offset: µs by which local days begin after UTC days.
            standards: what is promised of a touchpoint, for the measures that are set against it.
            paths: the company's ways, for the measures that place a touchpoint on its customer's way.
            before: further expressions, of the moment `days_before` each date, in the same walk over the
                rows: the same bits as those of a date then.
            days_before: how many days.
        """
        self.tagger = tagger
        self.standards = standards
        self.day_offset = day_offset
        self.windows: list[int] = []
        self._streams: dict[str, StreamPlan] = {}
        self._registers: tuple[dict[Expr, int], dict[Expr, int]] = ({}, {})
        self._lags = (0, days_before * US_PER_DAY)[: 2 if before else 1]
        self._program: list[tuple[int, int, int, int, int]] = []
        self._constants: list[float] = []
        places = [self._register(e, 0) for e in outputs]
        earlier = [self._register(e, 1) for e in before]
        self.n_features, self.n_before = len(places), len(earlier)
        self.program = np.array(self._program, np.int64).reshape(-1, 5)
        self.constants = np.array(self._constants, np.float64)
        # A sum that nothing is computed from, and that is one feature, goes straight to its column.
        used = {place for _, _, *arguments in self._program for place in arguments}
        straight = {p: f for f, p in enumerate(places) if p not in used and places.count(p) == 1}
        self._facts, written = {}, set()
        for name, stream in self._streams.items():
            self._facts[name] = fact_tables(stream, straight, len(self._lags))
            written |= {straight[f[3]] for f in stream.facts if f[0] == SUM and f[3] in straight}
        self.outputs = _pairs([(p, f) for f, p in enumerate(places) if f not in written])
        self._outputs_before = _pairs([(p, f) for f, p in enumerate(earlier)])
        self.powers_of = {n: powers_of(fading_of(s.fades)) for n, s in self._streams.items()}
        self._path: PathWalk | None = None
        self._measures: dict[str, MeasureTable] = {}
        self._classes: dict[str, ContactClasses] = {}
        for name, stream in self._streams.items():
            wanted = steps_among(stream.measures) if name == "touchpoints" and paths is not None else []
            also = PathWalk.reads if wanted else ()
            self._measures[name] = table = MeasureTable(stream.measures, wanted, also)
            if paths is not None and wanted:
                self._path = PathWalk(paths, wanted, table.places)
            promises = standards if name == "touchpoints" else None
            self._classes[name] = ContactClasses(
                stream, partial(tagger, name), promises, day_offset=day_offset
            )
        # what is the same whenever one date is asked for: the edges, counted from it
        self._one_date = self._readings_of(np.zeros(1, np.int64))

    def _register(self, e: Expr, view: int) -> int:
        registers = self._registers[view]
        if e not in registers:
            arguments = [self._register(a, view) for a in e.args]
            registers[e] = place = self._n_registers
            if e.op == "fact":
                if e != AS_OF_DAYS:
                    self._fact(view, place, *e.key)
            elif e.op == "const":
                self._constants.append(e.key[0])
                self._program.append((0, place, 0, 0, len(self._constants) - 1))
            elif e.op == "step":
                edges, values = e.key
                at = len(self._constants)
                self._constants += [*edges, *values]
                self._program.append((OPERATIONS.index("step"), place, arguments[0], len(edges), at))
            else:
                a, b, c = (*arguments, 0, 0, 0)[:3]
                self._program.append((OPERATIONS.index(e.op), place, a, b, c))
        return registers[e]

    @property
    def _n_registers(self) -> int:
        return len(self._registers[0]) + len(self._registers[1])

    def _fact(
        self, view: int, register: int, stream: str, kind: str, tags: frozenset[Tag], *key: Any
    ) -> None:
        plan = self._streams.setdefault(stream, StreamPlan())
        number, window, scale = 0, -1, 1
        if kind == "sum":
            code, scale = SUM, measure_scale(key[0])
            number = plan.slots.setdefault((tags, key[0]), len(plan.slots))
            plan.measure(key[0])
            window = self._window(key[1])
        elif kind == "decay":
            code, scale = DECAY, measure_scale(key[0])
            number = plan.fades.setdefault((tags, key[0], key[1]), len(plan.fades))
            plan.measure(key[0])
        elif kind == "track":
            code = {"last": TRACK_LAST, "first": TRACK_FIRST, "value": TRACK_VALUE}[key[0]]
            number = plan.tracks.setdefault(tags, len(plan.tracks))
            if code == TRACK_VALUE:  # the last row is remembered, whatever is asked of it
                scale, window = measure_scale(key[1]), plan.measure(key[1])
        elif kind == "answer":
            code = {
                "days": ANSWER_DAYS,
                "last": ANSWER_LAST,
                "least": ANSWER_LEAST,
                "most": ANSWER_MOST,
            }[key[0]]
            scale = measure_scale(key[1])
            number = plan.answers.setdefault((tags, key[1]), len(plan.answers))
            plan.measure(key[1])
        elif kind == "distinct":
            code, window = DISTINCT, self._window(key[1])
            number = plan.dimensions.setdefault((tags, key[0]), len(plan.dimensions))
        elif kind in ("days", "weeks"):
            code, window = (DAYS if kind == "days" else WEEKS), self._window(key[0])
            plan.paced = True
        else:
            code, number = PACE, PACE_STATISTICS.index(key[0])
            window = int(key[1]) if len(key) > 1 else -1
            plan.paced = True
        plan.facts.append((code, number, window, register, scale, view))

    def _window(self, days: int | None) -> int:
        if days is None:
            return -1
        if days not in self.windows:
            self.windows.append(days)
        return self.windows.index(days)

    def run(
        self, histories: Histories, as_of: Ints, *, chunk: int = CHUNK_SNAPSHOTS
    ) -> npt.NDArray[np.float32]:
        """Return float32[customers, dates, features] of all customers of the histories, NaN: not known."""
        result = np.empty((histories.n_customers, len(as_of), self.n_features), np.float32)
        for first, part in self.iterate(histories, as_of, chunk=chunk):
            result[first : first + len(part)] = part
        return result

    def run_with_before(
        self, histories: Histories, as_of: Ints
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return what `run` returns, and the same of `before`: float32[customers, dates, before]."""
        result = np.empty((histories.n_customers, len(as_of), self.n_features), np.float32)
        before = np.empty((histories.n_customers, len(as_of), self.n_before), np.float32)
        for first, part, part_before in self._walked(histories, as_of, CHUNK_SNAPSHOTS):
            result[first : first + len(part)] = part
            before[first : first + len(part)] = part_before
        return result, before

    def iterate(
        self, histories: Histories, as_of: Ints, *, chunk: int = CHUNK_SNAPSHOTS
    ) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Yield (first customer, float32[customers, dates, features]) chunk by chunk.

        The array is reused: take from it what is to be kept before asking for the next.
        """
        for first, part, _ in self._walked(histories, as_of, chunk):
            yield first, part

    def _walked(
        self, histories: Histories, as_of: Ints, chunk: int
    ) -> Iterator[tuple[int, npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        as_of = np.asarray(as_of, np.int64)
        n, dates = histories.n_customers, len(as_of)
        if not n or not dates:
            return
        readings = self._readings(as_of)
        streams = self._present(histories)
        longest = max([stream.n_rows for stream in streams.values()], default=0)
        step = max(1, min(chunk // dates, CHUNK_ROWS * n // max(longest, 1)))
        lanes = min(LANES, min(step, n) * dates)
        noted = np.full((-(-min(step, n) * dates // lanes), self._n_registers, lanes), np.nan)
        result = np.full((min(step, n) * dates, self.n_features), np.nan, np.float32)
        before = np.full((min(step, n) * dates, self.n_before), np.nan, np.float32)
        prepared = {
            name: self._classes[name].tables(stream.contacts, stream.fields)
            for name, stream in streams.items()
        }
        clocks = [
            (place, lag)
            for registers, lag in zip(self._registers, (0, self._lags[-1]), strict=True)
            if (place := registers.get(AS_OF_DAYS)) is not None
        ]
        for first in range(0, n, step):
            last = min(first + step, n)
            rows = (last - first) * dates
            for clock, lag in clocks:
                days = np.resize((as_of - lag) / US_PER_DAY, noted.shape[0] * lanes)
                noted[:, clock] = days.reshape(-1, lanes)
            for name, tables in prepared.items():
                self._walk(name, streams[name], tables, first, last, readings, noted, result)
            blocks = -(-rows // lanes)
            evaluate(self.program, self.constants, noted[:blocks], self.outputs, result[:rows])
            if self.n_before:
                tell(noted[:blocks], self._outputs_before, before[:rows])
            shape = last - first, dates
            yield (
                first,
                result[:rows].reshape(*shape, self.n_features),
                before[:rows].reshape(*shape, self.n_before),
            )

    def _present(self, histories: Histories) -> dict[str, Stream]:
        """Return the streams that both the plan and the histories have."""
        return {name: histories.streams[name] for name in self._streams if name in histories.streams}

    def _readings(self, as_of: Ints) -> Readings:
        if len(as_of) == 1:
            return self._one_date._replace(edges=self._one_date.edges + as_of)
        return self._readings_of(as_of)

    def _readings_of(self, as_of: Ints) -> Readings:
        dates, views = len(as_of), len(self._lags)
        moments = (as_of - np.array(self._lags, np.int64)[:, None]).ravel()
        ascending = np.argsort(moments, kind="stable")
        moments = moments[ascending]
        lows = moments[:, None] - np.array(self.windows, np.int64)[None, :] * US_PER_DAY
        edges = np.unique(np.concatenate([moments, lows.ravel()]))
        return Readings(
            edges,
            np.searchsorted(edges, moments),
            np.searchsorted(edges, lows),
            np.tile(np.arange(dates), views)[ascending],
            np.repeat(np.arange(views), dates)[ascending],
            dates,
        )

    def _walk(
        self,
        name: str,
        stream: Stream,
        tables: tuple[tuple[Any, ...], Ints],
        first: int,
        last: int,
        readings: Readings,
        noted: npt.NDArray[np.float64],
        result: npt.NDArray[np.float32],
    ) -> None:
        of_classes, promised = tables
        measures = self._measures[name]
        low, high = int(stream.offsets[first]), int(stream.offsets[last])
        contact = stream.contact[low:high].astype(np.int64, copy=False)

        def write(measure: str, values: Ints) -> bool:
            packed = stream.values.get(measure)
            if packed is not None:
                packed.unpack_into(values, low, high)
            return packed is not None

        values = measures.begin(high - low, write, promised, contact)
        if self._path is not None and name == "touchpoints":
            dates = readings.edges[readings.edge_of]
            self._path.write(stream, low, high, lambda m: values[measures.places[m]], values, dates, contact)
        measures.end(values)
        moment = stream.occurred_at.unpack(low, high)
        walk(
            stream.offsets[first : last + 1] - low,
            moment,
            _NO_TIMES if stream.lag is None else moment + stream.lag.unpack(low, high),
            contact,
            _NO_FLAGS if stream.opens is None else stream.opens[low:high],
            values,
            *of_classes,
            *self.powers_of[name],
            *readings,
            *self._facts[name],
            noted,
            result,
        )


def _pairs(of: list[tuple[int, int]]) -> Ints:
    return np.ascontiguousarray(np.array(of, np.int64).reshape(-1, 2).T)


_NO_TIMES = np.zeros(0, np.int64)
_NO_FLAGS = np.zeros(0, np.int8)


__all__ = ["Plan", "Rows", "Tagger"]
