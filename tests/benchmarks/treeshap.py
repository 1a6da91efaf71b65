"""The price of exact reasons, beside LightGBM's own and XGBoost's: `python -m tests.benchmarks.treeshap`.

200 features with missing values, 500 trees of three shapes, and the bag that Corredor trains by default.
Everything is timed in process CPU, one thread, medians of interleaved rounds; equality comes first. The
slow contributions of the peers are timed on fewer rows and told by row. The exit code says nothing about
speed: read the table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import lightgbm as lgb
import numpy as np

from tests.benchmarks.features import interleaved, line, row
from training.forest import Forest
from training.model import Recipe, fit_forest
from training.treeshap import FEW, TreeShap

try:
    import xgboost as xgb
except ImportError:
    xgb = None

FEATURES, TREES, MOMENTS = 200, 500, 40
ONES = 100
"""Rows that are asked one by one in a round."""
COMPILE = """
import time
import numpy as np
from tests.benchmarks.treeshap import STUMP
from training.treeshap import FEW, TreeShap
def once():
    start = time.process_time()
    trees, X = TreeShap([STUMP]), np.zeros((2 * FEW, 1), np.float32)
    trees.explain(X), trees.explain(X[:1])
    return time.process_time() - start
first = once()
print(first - once())
"""
STUMP = """tree
num_tree_per_iteration=1
max_feature_idx=0

Tree=0
num_leaves=2
num_cat=0
split_feature=0
threshold=0.5
decision_type=10
left_child=-1
right_child=-2
leaf_value=-1 1
leaf_count=50 50
internal_count=100
is_linear=0


end of trees
"""


@dataclass(frozen=True)
class Shape:
    """A shape of trees, and what reasons may cost there: ratios, None where there is no bar."""

    name: str
    lightgbm: dict[str, Any]
    xgboost: dict[str, Any]
    contrib: float
    predict: float
    one: float | None


SHAPES = (
    Shape("depth 3", {"max_depth": 3, "num_leaves": 8}, {"max_depth": 3}, 50, 0.3, 1.0),
    Shape("depth 4", {"max_depth": 4, "num_leaves": 16}, {"max_depth": 4}, 50, 0.7, 2.5),
    Shape(
        "31 leaves", {"num_leaves": 31}, {"max_depth": 0, "max_leaves": 31, "grow_policy": "lossguide"},
        *(40, 2.6, None),
    ),
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--slow-rows", type=int, default=500, help="rows for the peers' contributions")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    X, y = rows_and_outcomes(30_000)
    Q = np.ascontiguousarray(X[: options.rows])
    print(
        f"{TREES} trees, {FEATURES} features, {len(Q):,} rows, process CPU, one thread, medians", flush=True
    )
    if xgb is None:
        print("XGBoost is not installed, so it is left out: pip install '.[peers]'.", flush=True)
    show(compile_time())
    warm = TreeShap([STUMP])
    for n in (1, 2 * FEW):
        warm.explain(np.zeros((n, 1), np.float32))
    for shape in SHAPES:
        measure(shape, X, y, Q, options.slow_rows, options.rounds)
    measure_bag(X, y, Q, options.slow_rows, options.rounds)


def rows_and_outcomes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of which a tenth of the values are missing, and outcomes that hang on 20 features."""
    random = np.random.default_rng(0)
    X = random.normal(size=(n, FEATURES)).astype(np.float32)
    X[random.random(X.shape) < 0.1] = np.nan
    push = np.nan_to_num(X[:, :20]).sum(axis=1) * 0.3 + np.nan_to_num(X[:, 0] * X[:, 1])
    return X, (random.random(n) < 1 / (1 + np.exp(2 - push))).astype(np.int8)


def measure(shape: Shape, X: np.ndarray, y: np.ndarray, Q: np.ndarray, slow_rows: int, rounds: int) -> None:
    """Print the rows of one shape of trees."""
    common = {"objective": "binary", "verbose": -1, "num_threads": 1, "learning_rate": 0.05}
    sampled = {"feature_fraction": 0.3, "min_data_in_leaf": 50}
    model = lgb.train({**common, **sampled, **shape.lightgbm}, lgb.Dataset(X, y), TREES)
    model = lgb.Booster(model_str=model.model_to_string())
    start = time.process_time()
    trees = TreeShap([model.model_to_string()])
    read = time.process_time() - start
    tables = trees.tables()
    built = time.process_time() - start - read
    few, groups = Q[:slow_rows], np.arange(FEATURES) % MOMENTS
    off, same = difference(trees, model, Q, few)
    show(row(f"{shape.name}: furthest from pred_contrib", 0, off * 1e12, "e-12", bar=1000.0))
    show(row(f"{shape.name}: scores of other bits", 0, float(same), "", bar=0.0))
    show(row(f"{shape.name}: tables", 0, tables.nbytes / 1e6, "MB"))
    show(row(f"{shape.name}: leaves walked, of {len(trees.trees.leaf_value):,}", 0, tables.n_walks, ""))
    show(row(f"{shape.name}: to read, and to build tables", 0, (read + built) * 1e3, "ms"))
    trees.tables(groups)
    cases: dict[str, tuple[Callable[[], Any], int]] = {
        "Booster.predict": (lambda: model.predict(Q, raw_score=True, num_threads=1), len(Q)),
        "score": (lambda: trees.raw_score(Q), len(Q)),
        "score and contributions": (lambda: trees.explain(Q), len(Q)),
        f"score and {MOMENTS} moments": (lambda: trees.explain(Q, groups), len(Q)),
        "pred_contrib": (lambda: model.predict(few, pred_contrib=True, num_threads=1), len(few)),
        "one row: Booster.predict": (
            lambda: [model.predict(Q[i : i + 1], raw_score=True, num_threads=1) for i in range(ONES)],
            ONES,
        ),
        "one row: score": (lambda: [trees.raw_score(Q[i : i + 1]) for i in range(ONES)], ONES),
        "one row: score and contributions": (
            lambda: [trees.explain(Q[i : i + 1]) for i in range(ONES)],
            ONES,
        ),
    }
    if xgb is not None:
        cases["XGBoost's contributions"] = (xgboost_case(shape, X, y, few), len(few))
    us = timed(shape.name, cases, rounds)
    whole, bare = us["score and contributions"], us["Booster.predict"]
    show(
        row(
            f"{shape.name}: pred_contrib / ours",
            0,
            us["pred_contrib"] / whole,
            "x",
            bar=shape.contrib,
            at_least=True,
        )
    )
    if xgb is not None:
        theirs = us["XGBoost's contributions"]
        show(row(f"{shape.name}: XGBoost's / ours", 0, theirs / whole, "x", bar=5.0, at_least=True))
    show(row(f"{shape.name}: ours / predict", 0, whole / bare, "x", bar=shape.predict))
    show(row(f"{shape.name}: moments only / predict", 0, us[f"score and {MOMENTS} moments"] / bare, "x"))
    show(row(f"{shape.name}: score alone / predict", 0, us["score"] / bare, "x"))
    one = us["one row: score and contributions"] / us["one row: Booster.predict"]
    show(row(f"{shape.name}: one row, ours / predict", 0, one, "x", bar=shape.one))


def measure_bag(X: np.ndarray, y: np.ndarray, Q: np.ndarray, slow_rows: int, rounds: int) -> None:
    """Print the rows of the bag of forests that Corredor trains by default."""
    recipe = Recipe()
    name = f"{recipe.seeds} x {recipe.trees} trees, depth {recipe.max_depth}"
    fitted = fit_forest(X, y, recipe=recipe)
    forest = Forest(fitted.texts)
    start = time.process_time()
    forest.raw_score(Q[:1])
    read = time.process_time() - start
    forest.explain(Q[:1])
    show(row(f"{name}: to read", 0, read * 1e3, "ms"))
    show(row(f"{name}: to build tables", 0, (time.process_time() - start - read) * 1e3, "ms"))
    show(row(f"{name}: tables", 0, forest.shap.nbytes / 1e6, "MB"))
    few, groups = Q[:slow_rows], np.arange(FEATURES) % MOMENTS
    cases: dict[str, tuple[Callable[[], Any], int]] = {
        "Booster.predict": (lambda: [b.predict(Q, num_threads=1) for b in forest.boosters], len(Q)),
        "pred_contrib": (
            lambda: [b.predict(few, pred_contrib=True, num_threads=1) for b in forest.boosters],
            len(few),
        ),
        "score": (lambda: forest.raw_score(Q), len(Q)),
        "score and contributions": (lambda: forest.explain(Q), len(Q)),
        f"score and {MOMENTS} moments": (lambda: forest.explain(Q, groups), len(Q)),
        "one row: Booster.predict": (
            lambda: [b.predict(Q[i : i + 1], num_threads=1) for i in range(ONES) for b in forest.boosters],
            ONES,
        ),
        "one row: score and contributions": (
            lambda: [forest.explain(Q[i : i + 1]) for i in range(ONES)],
            ONES,
        ),
    }
    us = timed(name, cases, rounds)
    bare, whole = us["Booster.predict"], us["score and contributions"]
    show(row(f"{name}: ours / predict", 0, whole / bare, "x"))
    show(row(f"{name}: pred_contrib / ours", 0, us["pred_contrib"] / whole, "x"))


def timed(name: str, cases: dict[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, float]:
    """Print and return the µs a row of each case."""
    for case, _ in cases.values():
        case()
    seconds = interleaved({what: case for what, (case, _) in cases.items()}, rounds)
    us = {what: seconds[what] / n * 1e6 for what, (_, n) in cases.items()}
    for what, value in us.items():
        show(row(f"{name}: {what}", 0, value, "µs"))
    return us


def difference(trees: TreeShap, model: lgb.Booster, Q: np.ndarray, few: np.ndarray) -> tuple[float, int]:
    """Return the furthest contribution from LightGBM's, and how many scores differ in any bit."""
    off = np.abs(trees.explain(few)[1] - model.predict(few, pred_contrib=True, num_threads=1)).max()
    scores = model.predict(Q, raw_score=True, num_threads=1)
    return float(off), int((trees.explain(Q)[0] != scores).sum() + (trees.raw_score(Q) != scores).sum())


def xgboost_case(shape: Shape, X: np.ndarray, y: np.ndarray, few: np.ndarray) -> Callable[[], Any]:
    """Return how to have XGBoost explain rows by a forest of the same size on the same data."""
    common = {"objective": "binary:logistic", "eta": 0.05, "nthread": 1, "tree_method": "hist"}
    sampled = {"colsample_bytree": 0.3, "min_child_weight": 8}
    model = xgb.train({**common, **sampled, **shape.xgboost}, xgb.DMatrix(X, y, nthread=1), TREES)
    asked = xgb.DMatrix(few, nthread=1)
    return lambda: model.predict(asked, pred_contribs=True)


def compile_time() -> dict[str, Any]:
    """Return the CPU seconds that the kernels need to compile, in a new process without a cache."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "NUMBA_CACHE_DIR": cache}
        done = subprocess.run(
            [sys.executable, "-c", COMPILE], env=env, capture_output=True, text=True, check=True
        )
    return row("compiling the kernels", 0, float(done.stdout), "s", bar=10.0)


def show(r: dict[str, Any]) -> None:
    """Print a line of the report."""
    print(line({**r, "what": f"{r['what']:<55}"}), flush=True)


if __name__ == "__main__":
    main()
