"""What the engine's arithmetic must answer, by the plain functions of Python and SciPy."""

from __future__ import annotations

import math

from scipy import special

NAN = math.nan


def operate(op: str, x: list[float], key: tuple) -> float:
    """Return the result of an operation; NaN is "not known"."""
    if op == "isnan":
        return float(math.isnan(x[0]))
    if op == "coalesce":
        return x[1] if math.isnan(x[0]) else x[0]
    if op == "where":
        return NAN if math.isnan(x[0]) else x[1] if x[0] > 0 else x[2]
    if any(math.isnan(v) for v in x):
        return NAN
    if op == "step":
        edges, table = key
        return table[sum(edge <= x[0] for edge in edges)]
    if (op == "div" and x[1] == 0) or (op == "log" and x[0] <= 0) or (op == "sqrt" and x[0] < 0):
        return NAN
    return {
        "add": lambda: x[0] + x[1],
        "sub": lambda: x[0] - x[1],
        "mul": lambda: x[0] * x[1],
        "div": lambda: x[0] / x[1],
        "min": lambda: min(x),
        "max": lambda: max(x),
        "gt": lambda: float(x[0] > x[1]),
        "eq": lambda: float(x[0] == x[1]),
        "log": lambda: math.log(x[0]),
        "log1p": lambda: math.log1p(x[0]),
        "exp": lambda: math.exp(min(x[0], 700.0)),
        "sqrt": lambda: math.sqrt(x[0]),
        "floor": lambda: float(math.floor(x[0])),
        "normal_sf": lambda: 0.5 * math.erfc(x[0] / math.sqrt(2)),
        "gamma_sf": lambda: float(special.gammaincc(x[0], x[1])),
        "lgamma": lambda: math.lgamma(x[0]),
        "pow": lambda: x[0] ** x[1],
    }[op]()
