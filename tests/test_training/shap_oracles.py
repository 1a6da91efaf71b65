"""What SHAP values are, by other ways than ours: all subsets of features, and shap's own C code."""

from __future__ import annotations

import itertools
from math import factorial, isnan

import numpy as np

ZERO = 1.0000000180025095e-35  # LightGBM's kZeroThreshold


def brute_force(tree: dict, row: np.ndarray) -> np.ndarray:
    """Shapley values of a dumped tree by all subsets of features; unknown ones follow the training rows."""
    m = len(row)
    known = {
        s: _value(tree, row, frozenset(s)) for k in range(m + 1) for s in itertools.combinations(range(m), k)
    }
    out = np.zeros(m)
    for i in range(m):
        others = [j for j in range(m) if j != i]
        for k in range(m):
            share = factorial(k) * factorial(m - k - 1) / factorial(m)
            for subset in itertools.combinations(others, k):
                out[i] += share * (known[tuple(sorted((*subset, i)))] - known[subset])
    return out


def _value(node: dict, row: np.ndarray, known: frozenset) -> float:
    if "leaf_value" in node:
        return node["leaf_value"]
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        return _value(left if _goes_left(node, float(row[node["split_feature"]])) else right, row, known)
    rows = [child.get("internal_count", child.get("leaf_count")) for child in (left, right)]
    return (rows[0] * _value(left, row, known) + rows[1] * _value(right, row, known)) / sum(rows)


def _goes_left(node: dict, x: float) -> bool:
    if node["decision_type"] == "==":
        codes = {int(c) for c in node["threshold"].split("||")}
        return not isnan(x) and int(x) in codes
    if isnan(x) and node["missing_type"] != "NaN":
        x = 0.0
    if isnan(x) or (node["missing_type"] == "Zero" and abs(x) <= ZERO):
        return node["default_left"]
    return x <= node["threshold"]


def for_shap(trees: list[dict]) -> dict:
    """Return dumped trees as the arrays that shap hands to its own C code; unknown values go `default`."""
    return {"trees": [_arrays(t) for t in trees], "internal_dtype": np.float64, "input_dtype": np.float64}


def _arrays(tree: dict) -> dict:
    nodes: list[dict] = []

    def add(node: dict) -> int:
        place = len(nodes)
        entry = {"left": -1, "right": -1, "default": -1, "feature": -2, "threshold": 0.0, "value": 0.0}
        nodes.append(entry)
        if "leaf_value" in node:
            entry |= {"value": node["leaf_value"], "rows": node.get("leaf_count", 1)}
        else:
            left, right = add(node["left_child"]), add(node["right_child"])
            unknown_left = node["default_left"] if node["missing_type"] == "NaN" else 0.0 <= node["threshold"]
            entry |= {"left": left, "right": right, "default": left if unknown_left else right}
            entry |= {"feature": node["split_feature"], "threshold": node["threshold"]}
            entry |= {"rows": node["internal_count"]}
        nodes[place] = entry
        return place

    add(tree)
    column = {name: np.array([n[name] for n in nodes]) for name in nodes[0]}
    return {
        "children_left": column["left"],
        "children_right": column["right"],
        "children_default": column["default"],
        "features": column["feature"],
        "thresholds": column["threshold"].astype(float),
        "values": column["value"].astype(float)[:, None],
        "node_sample_weight": column["rows"].astype(float),
    }
