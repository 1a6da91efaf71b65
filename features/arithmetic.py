"""The arithmetic of features: a small program run over blocks of snapshots."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

OPERATIONS = (
    *("const", "add", "sub", "mul", "div", "min", "max", "gt", "eq", "coalesce", "where", "isnan"),
    *("sqrt", "floor", "step", "pow", "log", "log1p", "exp", "normal_sf", "lgamma", "gamma_sf"),
)
"""What a step of a program does; its number is its place here."""


@njit(cache=True, nogil=True, inline="never")  # type: ignore[untyped-decorator]
def _gamma_sf(shape: float, x: float) -> float:
    """Return Q(shape, x), the regularised upper incomplete gamma function (Numerical Recipes 6.2)."""
    if not (shape > 0.0 and x >= 0.0):
        return np.nan
    if x == 0.0:
        return 1.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = 1.0 / shape
        total = term
        for n in range(1, 500):
            term *= x / (shape + n)
            total += term
            if term < total * 1e-15:
                break
        return max(0.0, 1.0 - front * total)
    b = x + 1.0 - shape
    c = 1e300
    d = 1.0 / b
    h = d
    for n in range(1, 500):
        a = n * (shape - n)
        b += 2.0
        d = 1.0 / (a * d + b)
        c = b + a / c
        h *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return front * h


@njit(cache=True, nogil=True, inline="never")  # type: ignore[untyped-decorator]
def _special(operation: int, x: float, y: float) -> Any:
    """Return what is no plain arithmetic; kept apart, so that each value is computed alone."""
    if math.isnan(x) or (operation == 15 and math.isnan(y)):
        return np.nan
    if operation == 15:
        return x**y if x > 0.0 or (x == 0.0 and y >= 0.0) else np.nan
    if operation == 16:
        return math.log(x) if x > 0.0 else np.nan
    if operation == 17:
        return math.log1p(x) if x > -1.0 else np.nan
    if operation == 18:
        return math.exp(min(x, 700.0))
    if operation == 19:
        return 0.5 * math.erfc(x / math.sqrt(2.0))
    if operation == 20:
        return math.lgamma(x) if x > 0.0 else np.nan
    return _gamma_sf(x, y)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def evaluate(program: Any, constants: Any, noted: Any, outputs: Any, result: Any) -> None:
    """Run the arithmetic over all snapshots and write the features.

    program: int64[steps, 5]: operation, register, and three arguments (registers, or places in
    `constants`); noted: float64[blocks, registers, lanes]; outputs: int64[2, …], the
    registers that are features and their columns; result: float32[snapshots, features], written.
    Registers are read by place, not as views of `noted`: views are counted, which took a third of the time.
    """
    n, lanes = result.shape[0], noted.shape[2]
    for block in range(noted.shape[0]):
        for s in range(program.shape[0]):
            op, out = program[s, 0], program[s, 1]
            a, b, c = program[s, 2], program[s, 3], program[s, 4]
            if op == 0:
                for r in range(lanes):
                    noted[block, out, r] = constants[c]
            elif op == 1:
                for r in range(lanes):
                    noted[block, out, r] = noted[block, a, r] + noted[block, b, r]
            elif op == 2:
                for r in range(lanes):
                    noted[block, out, r] = noted[block, a, r] - noted[block, b, r]
            elif op == 3:
                for r in range(lanes):
                    noted[block, out, r] = noted[block, a, r] * noted[block, b, r]
            elif op == 4:
                for r in range(lanes):
                    noted[block, out, r] = (
                        noted[block, a, r] / noted[block, b, r] if noted[block, b, r] != 0.0 else np.nan
                    )
            elif op == 5 or op == 6:
                for r in range(lanes):
                    smaller = noted[block, a, r] < noted[block, b, r]
                    both = not (math.isnan(noted[block, a, r]) or math.isnan(noted[block, b, r]))
                    noted[block, out, r] = (
                        (noted[block, a, r] if smaller == (op == 5) else noted[block, b, r])
                        if both
                        else np.nan
                    )
            elif op == 7 or op == 8:
                for r in range(lanes):
                    holds = (
                        noted[block, a, r] > noted[block, b, r]
                        if op == 7
                        else noted[block, a, r] == noted[block, b, r]
                    )
                    both = not (math.isnan(noted[block, a, r]) or math.isnan(noted[block, b, r]))
                    noted[block, out, r] = (1.0 if holds else 0.0) if both else np.nan
            elif op == 9:
                for r in range(lanes):
                    noted[block, out, r] = (
                        noted[block, b, r] if math.isnan(noted[block, a, r]) else noted[block, a, r]
                    )
            elif op == 10:
                for r in range(lanes):
                    noted[block, out, r] = (
                        np.nan
                        if math.isnan(noted[block, a, r])
                        else (noted[block, b, r] if noted[block, a, r] > 0.0 else noted[block, c, r])
                    )
            elif op == 11:
                for r in range(lanes):
                    noted[block, out, r] = 1.0 if math.isnan(noted[block, a, r]) else 0.0
            elif op == 12:
                for r in range(lanes):
                    noted[block, out, r] = (
                        math.sqrt(noted[block, a, r]) if noted[block, a, r] >= 0.0 else np.nan
                    )
            elif op == 13:
                for r in range(lanes):
                    noted[block, out, r] = np.floor(noted[block, a, r])
            elif op == 14:
                for r in range(lanes):
                    place, above = 0, b  # how many edges are not above it
                    while place < above:
                        middle = (place + above) // 2
                        if noted[block, a, r] >= constants[c + middle]:
                            place = middle + 1
                        else:
                            above = middle
                    noted[block, out, r] = (
                        np.nan if math.isnan(noted[block, a, r]) else constants[c + b + place]
                    )
            else:
                for r in range(min(lanes, n - block * lanes)):
                    noted[block, out, r] = _special(op, noted[block, a, r], noted[block, b, r])
        _tell(noted, block, outputs, result)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def tell(noted: Any, outputs: Any, result: Any) -> None:
    """Write registers as they are: see `evaluate`."""
    for block in range(noted.shape[0]):
        _tell(noted, block, outputs, result)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tell(noted: Any, block: int, outputs: Any, result: Any) -> None:
    lanes = noted.shape[2]
    first = block * lanes
    for f in range(outputs.shape[1]):
        place, column = outputs[0, f], outputs[1, f]
        for r in range(min(lanes, result.shape[0] - first)):
            result[first + r, column] = np.float32(noted[block, place, r])
