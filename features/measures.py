"""Numbers that a reduction adds up: the columns as given, and what is derived from one row alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numba import njit

from features.gaps import DAY_MEASURES
from features.histories import MEASURE_SCALES, NUMBER_SCALE
from features.paths import step_scale
from features.streams import NULL, Ints

Column = Callable[[str], Ints]
"""Gives a numeric column's integers for the rows at hand, all NULL when the data has no such column."""
Standards = tuple[int, ...]
STANDARDS = ("adequate", "desired", "promised_minutes")
"""What is promised of a contact by its kind (`[touchpoints.KIND]`), where the row itself says nothing."""


ANSWERS = tuple(
    name for name in MEASURE_SCALES if name not in ("amount", "wait_minutes", "expected", "adequate")
)
"""Columns that hold what the customer says of a contact: the scores of surveys, and the service perceived."""

DERIVED: dict[str, tuple[int, tuple[tuple[str, ...], ...]]] = {
    # thousandths of log(1 + amount): its spread does not depend on the currency's unit
    "log_amount": (1_000, (("log", "amount"),)),
    "log_amount_squared": (1_000_000, (("square", "log_amount"),)),
    "expectation_gap": (100, (("less", "perceived", "expected"),)),
    "adequacy": (100, (("less", "perceived", "adequate"),)),
    # a desired service that is not above the adequate one is no answer
    "superiority": (100, (("less_desired", "perceived", "desired", "adequate"),)),
    "below_adequate": (1, (("negative", "adequacy"),)),
    "delight": (1, (("positive", "superiority"),)),
    "wait_excess": (1_000, (("beyond", "wait_minutes", "promised_minutes"),)),
    "said": (1, tuple(("some", name) for name in ANSWERS)),
}
"""Name -> the scale of its integers, and the steps (of `DERIVATIONS`) by which they follow from others."""
DERIVATIONS = (
    *("usual", "has", "only", "square", "less", "less_desired", "negative", "positive"),
    *("beyond", "some", "log"),
)
"""What a step writes of a row; its number is its place here. Without a value that it needs, it writes none.

`usual`: the standard of the contact, where the row has none; `has`: 1 or 0; `only`: 1 where above 0, else
none; `less`, `less_desired`: a difference; `beyond`: a difference, 0 where it is negative; `negative`,
`positive`: 1 or 0; `some`: 1 where there is a value, else what stands there; `log`: 1000 log(1 + it).
"""

_WHOLE = ("autopay", "held", "committed", "committed_days", "next_end", "last_end")


def measure_scale(name: str) -> int:
    """Return what a measure's integers are multiples of: value = integer / scale."""
    if name in ("contacts", "lines", *DAY_MEASURES) or name.startswith(("has:", "only:")) or name in _WHOLE:
        return 1
    if (of_path := step_scale(name)) is not None:
        return of_path
    if name in DERIVED:
        return DERIVED[name][0]
    if name == "desired":
        return MEASURE_SCALES["adequate"]
    if name == "promised_minutes":
        return MEASURE_SCALES["wait_minutes"]
    return MEASURE_SCALES.get(name, NUMBER_SCALE)


class MeasureTable:
    """The measures that a walk reads of the rows at hand: a row of the table each, further ones below.

    Measures rest on columns, on each other, and on what is `told` of the rows by somebody else between
    `begin` and `end`.
    """

    def __init__(self, measures: Sequence[str], told: Collection[str] = (), also: Sequence[str] = ()) -> None:
        """Prepare.

        Args:
            measures: of the walk; the first rows, in this order.
            told: those that somebody else writes.
            also: those that somebody else reads.
        """
        self.places = {name: i for i, name in enumerate(measures)}
        self.columns: dict[str, int] = {}
        self._told = frozenset(told)
        self._before: list[tuple[int, ...]] = []
        self._after: list[tuple[int, ...]] = []
        self._standards: list[tuple[int, ...]] = []
        self._rests_on_told: dict[str, bool] = {}
        for name in (*measures, *also):
            self._add(name)
        self._programs = [_program(self._before), _program(self._after)]
        self._with_standards = _program(self._standards + self._before)
        some = {step[1] for step in self._before + self._after if step[0] == DERIVATIONS.index("some")}
        sparse = {self.places[name] for name in self._told if "@" in name and name in self.places}
        self._blank = sorted(some | sparse)  # the others that are told are told of every row

    def _add(self, name: str) -> bool:
        """Add a measure and what it rests on; return whether that is `told`."""
        if name in self._rests_on_told:
            return self._rests_on_told[name]
        place = self.places.setdefault(name, len(self.places))
        prefix, _, rest = name.partition(":")
        steps: tuple[tuple[str, ...], ...] = ()
        if rest and prefix in ("has", "only"):
            steps = ((prefix, rest),)
        elif name in DERIVED:
            steps = DERIVED[name][1]
        elif name not in self._told:
            self.columns[name] = place
            if name in STANDARDS:
                self._standards.append((DERIVATIONS.index("usual"), place, STANDARDS.index(name), 0, 0))
        waits = [self._add(argument) for _, *arguments in steps for argument in arguments]
        rests = name in self._told or any(waits)
        for step, *arguments in steps:
            of = [self.places[argument] for argument in arguments]
            (self._after if rests else self._before).append(
                (DERIVATIONS.index(step), place, *(*of, 0, 0)[:3])
            )
        self._rests_on_told[name] = rests
        return rests

    def begin(self, n_rows: int, write: Callable[[str, Ints], bool], usual: Ints, contact: Ints) -> Ints:
        """Return int64[places, rows] with all that does not rest on what is `told`, and room for that.

        Args:
            n_rows: how many rows.
            write: writes a column's integers, or returns False where the data has no such column.
            usual: what is promised of each contact, int64[len(STANDARDS), contacts]; of none: nothing is.
            contact: each row's.
        """
        values = np.empty((len(self.places), n_rows), np.int64)
        for place in self._blank:
            values[place] = NULL
        for name, place in self.columns.items():
            if not write(name, values[place]):
                values[place] = NULL
        program = self._with_standards if usual.shape[1] else self._programs[0]
        if len(program):
            derive(values, program, usual, contact)
        return values

    def end(self, values: Ints) -> None:
        """Write what rests on what was `told`."""
        if len(self._after):
            derive(values, self._programs[1], NO_STANDARDS, values[0])


def measure_values(name: str, column: Column) -> Ints:
    """Return a measure of the rows at hand as integers, NULL where a row has none."""
    table = MeasureTable([name])
    given = {needed: column(needed) for needed in table.columns}
    n = len(next(iter(given.values())))

    def write(needed: str, values: Ints) -> bool:
        values[:] = given[needed]
        return True

    found: Ints = table.begin(n, write, NO_STANDARDS, _NO_CONTACTS)[0]
    return found


def _program(steps: Sequence[tuple[int, ...]]) -> Ints:
    return np.array(steps, np.int64).reshape(-1, 5)


AMOUNT_SCALE = float(MEASURE_SCALES["amount"])
NO_STANDARDS = np.zeros((len(STANDARDS), 0), np.int64)
_NO_CONTACTS = np.zeros(0, np.int64)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def derive(values: Any, program: Any, usual: Any, contact: Any) -> None:
    """Run steps (int64[steps, 5]: step, place, up to three arguments) over all rows; see `DERIVATIONS`."""
    n = values.shape[1]
    for s in range(program.shape[0]):
        step, out = program[s, 0], values[program[s, 1]]
        a, b, c = values[program[s, 2]], values[program[s, 3]], values[program[s, 4]]
        if step == 0:
            standard = program[s, 2]
            for i in range(n):
                if out[i] == NULL:
                    out[i] = usual[standard, contact[i]]
        elif step == 1:
            for i in range(n):
                out[i] = 1 if a[i] != NULL else 0
        elif step == 2:
            for i in range(n):
                out[i] = 1 if a[i] > 0 else NULL
        elif step == 3:
            for i in range(n):
                out[i] = NULL if a[i] == NULL else a[i] * a[i]
        elif step == 4:
            for i in range(n):
                out[i] = NULL if a[i] == NULL or b[i] == NULL else a[i] - b[i]
        elif step == 5:
            for i in range(n):
                known = a[i] != NULL and b[i] != NULL and (c[i] == NULL or b[i] > c[i])
                out[i] = a[i] - b[i] if known else NULL
        elif step == 6:
            for i in range(n):
                out[i] = NULL if a[i] == NULL else (1 if a[i] < 0 else 0)
        elif step == 7:
            for i in range(n):
                out[i] = NULL if a[i] == NULL else (1 if a[i] > 0 else 0)
        elif step == 8:
            for i in range(n):
                out[i] = NULL if a[i] == NULL or b[i] == NULL else max(a[i] - b[i], 0)
        elif step == 9:
            for i in range(n):
                if a[i] != NULL:
                    out[i] = 1
        else:
            for i in range(n):
                log = np.rint(1000.0 * math.log(1.0 + max(a[i], 0) / AMOUNT_SCALE))
                out[i] = NULL if a[i] == NULL else np.int64(log)


def steps_among(measures: Iterable[str]) -> list[str]:
    """Return the measures of a customer's way (`features.pathwalk`) that some measures rest on."""
    names = [name.removeprefix("has:").removeprefix("only:") for name in measures]
    return list(dict.fromkeys(name for name in names if step_scale(name) is not None))
