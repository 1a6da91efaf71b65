"""From histories to snapshots: expressions compiled once, run over any customers and dates.

The same plan serves the nightly batch, the training panel, a Spark partition and the one customer of
a request; see `features.kernels` for how, and why the bits agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from features.arithmetic import OPERATIONS, evaluate
from features.expressions import AS_OF_DAYS, Expr, Rows, Tag
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
from features.noting import ContactClasses, StreamPlan, fact_tables, powers_of
from features.paths import Paths, PathWalk
from features.streams import Contact, Ints, Stream

Tagger = Callable[[str, Contact], frozenset[Tag]]
"""Tells what is true of a contact of a stream."""

CHUNK_SNAPSHOTS = 1024
CHUNK_ROWS = 16_384
"""Of long histories fewer customers are walked at a time: what is said of their rows stays in the cache."""


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
    ) -> None:
        """Compile.

        Args:
            outputs: one expression per feature.
            tagger: what is true of a contact.
            day_offset: µs by which local days begin after UTC days.
            standards: what is promised of a touchpoint, for the measures that are set against it.
            paths: the company's ways, for the measures that place a touchpoint on its customer's way.
        """
        self.tagger = tagger
        self.standards = standards
        self.day_offset = day_offset
        self.windows: list[int] = []
        self._streams: dict[str, StreamPlan] = {}
        self._registers: dict[Expr, int] = {}
        self._program: list[tuple[int, int, int, int, int]] = []
        self._constants: list[float] = []
        places = [self._register(e) for e in outputs]
        self.n_features = len(places)
        self.program = np.array(self._program, np.int64).reshape(-1, 5)
        self.constants = np.array(self._constants, np.float64)
        # A sum that nothing is computed from, and that is one feature, goes straight to its column.
        used = {place for _, _, *arguments in self._program for place in arguments}
        straight = {p: f for f, p in enumerate(places) if p not in used and places.count(p) == 1}
        self._facts, written = {}, set()
        for name, stream in self._streams.items():
            self._facts[name] = fact_tables(stream, straight)
            written |= {straight[f[3]] for f in stream.facts if f[0] == SUM and f[3] in straight}
        rest = [(p, f) for f, p in enumerate(places) if f not in written]
        self.outputs = np.ascontiguousarray(np.array(rest, np.int64).reshape(-1, 2).T)
        self.powers_of = {n: powers_of([f[2] for f in s.fades]) for n, s in self._streams.items()}
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
        self._one_edge = self._edges_of(np.zeros(1, np.int64))

    def _register(self, e: Expr) -> int:
        if e not in self._registers:
            arguments = [self._register(a) for a in e.args]
            self._registers[e] = place = len(self._registers)
            if e.op == "fact":
                if e != AS_OF_DAYS:
                    self._fact(place, *e.key)
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
        return self._registers[e]

    def _fact(self, register: int, stream: str, kind: str, tags: frozenset[Tag], *key: Any) -> None:
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
        plan.facts.append((code, number, window, register, scale))

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

    def iterate(
        self, histories: Histories, as_of: Ints, *, chunk: int = CHUNK_SNAPSHOTS
    ) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Yield (first customer, float32[customers, dates, features]) chunk by chunk.

        The array is reused: take from it what is to be kept before asking for the next.
        """
        as_of = np.asarray(as_of, np.int64)
        n, dates = histories.n_customers, len(as_of)
        if not n or not dates:
            return
        ascending = np.argsort(as_of, kind="stable") if dates > 1 else _FIRST
        edges, edge_of, low_edge = self._edges(as_of[ascending])
        streams = self._present(histories)
        longest = max([stream.n_rows for stream in streams.values()], default=0)
        step = max(1, min(chunk // dates, CHUNK_ROWS * n // max(longest, 1)))
        noted = np.full((-(-min(step, n) * dates // LANES), len(self._registers), LANES), np.nan)
        result = np.full((min(step, n) * dates, self.n_features), np.nan, np.float32)
        prepared = {
            name: self._classes[name].tables(stream.contacts, stream.fields)
            for name, stream in streams.items()
        }
        clock = self._registers.get(AS_OF_DAYS)
        for first in range(0, n, step):
            last = min(first + step, n)
            rows = (last - first) * dates
            if clock is not None:
                days = np.resize(as_of / US_PER_DAY, noted.shape[0] * LANES)
                noted[:, clock] = days.reshape(-1, LANES)
            for name, (tables, promised) in prepared.items():
                self._walk(
                    name,
                    streams[name],
                    tables,
                    promised,
                    first,
                    last,
                    edges,
                    edge_of,
                    low_edge,
                    ascending,
                    noted,
                    result,
                )
            blocks = -(-rows // LANES)
            evaluate(self.program, self.constants, noted[:blocks], self.outputs, result[:rows])
            yield first, result[:rows].reshape(last - first, dates, self.n_features)

    def _present(self, histories: Histories) -> dict[str, Stream]:
        """Return the streams that both the plan and the histories have."""
        return {name: histories.streams[name] for name in self._streams if name in histories.streams}

    def _edges(self, as_of: Ints) -> tuple[Ints, Ints, Ints]:
        """Return all dates and beginnings of windows, and the places of each date's own among them."""
        if len(as_of) == 1:
            edges, edge_of, low_edge = self._one_edge
            return edges + as_of, edge_of, low_edge
        return self._edges_of(as_of)

    def _edges_of(self, as_of: Ints) -> tuple[Ints, Ints, Ints]:
        lows = as_of[:, None] - np.array(self.windows, np.int64)[None, :] * US_PER_DAY
        edges = np.unique(np.concatenate([as_of, lows.ravel()]))
        return edges, np.searchsorted(edges, as_of), np.searchsorted(edges, lows)

    def _walk(
        self,
        name: str,
        stream: Stream,
        tables: tuple[Any, ...],
        promised: Ints,
        first: int,
        last: int,
        edges: Ints,
        edge_of: Ints,
        low_edge: Ints,
        place: Ints,
        noted: npt.NDArray[np.float64],
        result: npt.NDArray[np.float32],
    ) -> None:
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
            self._path.write(stream, low, high, lambda m: values[measures.places[m]], values, edges[edge_of])
        measures.end(values)
        moment = stream.occurred_at.unpack(low, high)
        walk(
            stream.offsets[first : last + 1] - low,
            moment,
            _NO_TIMES if stream.lag is None else moment + stream.lag.unpack(low, high),
            contact,
            _NO_FLAGS if stream.opens is None else stream.opens[low:high],
            values,
            *tables,
            *self.powers_of[name],
            edges,
            edge_of,
            low_edge,
            place,
            *self._facts[name],
            noted,
            result,
        )


_FIRST = np.zeros(1, np.int64)
_NO_TIMES = np.zeros(0, np.int64)
_NO_FLAGS = np.zeros(0, np.int8)


__all__ = ["Plan", "Rows", "Tagger"]
