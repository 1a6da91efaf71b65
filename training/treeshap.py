"""Scores of boosted trees and their exact SHAP values, in one pass, for less than LightGBM's bare prediction.

Path-dependent TreeSHAP is the Shapley value of a game in which an unknown feature sends a row down both
sides of a node, by the shares of the rows of training. It is LightGBM's `pred_contrib`, to the last
digits; the scores are `Booster.predict(raw_score=True)` to the last bit.
Source: Lundberg et al., "Consistent individualized feature attribution for tree ensembles" (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import CorredorError
from training.shap_blocks import explain_blocks
from training.shap_leaves import MOST_LEAVES, exits
from training.shap_narrow import (
    NODES,
    NarrowTables,
    NarrowTrees,
    explain_narrow,
    narrow_tables,
    narrow_trees,
)
from training.shap_quads import QuadTables, QuadTrees, explain_quads, quad_tables, quad_trees
from training.shap_rows import explain_rows
from training.shap_tables import Tables, build_tables, empty_tables
from training.trees import Trees, read_trees

Floats = npt.NDArray[np.float64]
MOST_BYTES = 64 << 20
"""Tables take no more than this by default; leaves that would take more are walked."""
FEW = 3
"""Up to so many rows are explained one by one."""


class TreeShap:
    """The trees of a bag of LightGBM models, ready to score and to explain.

    Tables are built when first asked for, and kept: one for the features, one for each way to group
    them that was asked for.
    """

    def __init__(self, texts: Sequence[str], *, most_bytes: int = MOST_BYTES, single: bool = False) -> None:
        """Read the text models of a bag (`Booster.model_to_string`).

        Args:
            texts: the models.
            most_bytes: the most that the tables of one grouping may take.
            single: keep tables in single precision, half the bytes, right to about 1e-7 of a score.

        Raises:
            CorredorError: a text is no model of boosted trees with one score (`training.trees`).
        """
        self.trees: Trees = read_trees(texts)
        self.base = float(self.trees.expected().sum())
        """The sum of the boosters' means over their rows of training, where contributions start from."""
        self._most_bytes, self._single = most_bytes, single
        self._most_nodes = int(np.diff(self.trees.node_start).max(initial=0))
        self._exits = exits(self.trees)
        self._bags: dict[str, tuple[Any, ...]] = {}
        self._narrow: dict[str, NarrowTrees | None] = {}
        self._quads: dict[str, QuadTrees] = {}
        self._tables: dict[bytes, _Built] = {}
        kind = np.float32 if single else np.float64
        self._nothing = self._as_built(empty_tables(self.trees.n_trees, kind=kind), 0)

    @property
    def nbytes(self) -> int:
        """Bytes that the tables take that were built so far."""
        return sum(built.nbytes for built in self._tables.values())

    def raw_score(self, X: npt.NDArray[Any]) -> Floats:
        """Return the sum of the boosters' scores in log-odds, float64[n]."""
        score = np.empty(len(X))
        self._run(X, self._nothing, score, np.empty((0, 1)))
        return score

    def explain(self, X: npt.NDArray[Any], groups: npt.NDArray[Any] | None = None) -> tuple[Floats, Floats]:
        """Return the sum of the boosters' scores, and what each feature contributes to it.

        Args:
            X: float32 or float64[n, n_features], NaN where a value is missing; others become float64.
            groups: the column to add a feature's contributions to, int[n_features] from 0 on; without,
                each feature has its own.

        Returns:
            The scores float64[n], the same bits as `raw_score`, and the contributions float64[n, n_columns
            + 1]; the last is the base. A row of them adds up to its score.

        Raises:
            CorredorError: X or the groups have another number of features than the trees.
        """
        built = self._built(groups)
        score, shap = np.empty(len(X)), np.empty((len(X), built.columns + 1))
        self._run(X, built, score, shap)
        shap[:, -1] = self.base
        return score, shap

    def tables(self, groups: npt.NDArray[Any] | None = None) -> Tables:
        """Return the tables of a grouping, built if they were not: their bytes, their walks."""
        return self._built(groups).tables

    def _built(self, groups: npt.NDArray[Any] | None) -> _Built:
        n = self.trees.n_features
        column = np.arange(n, dtype=np.int32) if groups is None else np.asarray(groups, np.int32)
        key = b"" if groups is None else column.tobytes()
        if key not in self._tables:
            if column.shape != (n,) or (n and column.min() < 0):
                raise CorredorError(f"the trees read {n} features; the groups are of {column.shape}.")
            built = build_tables(self.trees, column, most_bytes=self._most_bytes, single=self._single)
            self._tables[key] = self._as_built(built, int(column.max(initial=-1)) + 1)
        return self._tables[key]

    def _as_built(self, tables: Tables, columns: int) -> _Built:
        walked = np.diff(tables.bit_start)[tables.table_start < 0]
        narrow = narrow_tables(tables) if self._most_nodes <= NODES else None
        sizes, room = np.diff(self.trees.node_start), self._most_bytes - tables.nbytes
        return _Built(tables, tables.arrays, columns, int(walked.max(initial=0)), narrow, sizes, room)

    def _run(self, X: npt.NDArray[Any], built: _Built, score: Floats, shap: Floats) -> None:
        if X.ndim != 2 or X.shape[1] != self.trees.n_features:
            raise CorredorError(f"the trees read {self.trees.n_features} features; the matrix is {X.shape}.")
        if X.dtype != np.float32 and X.dtype != np.float64:
            X = X.astype(np.float64)
        if not X.flags.c_contiguous or not X.flags.writeable:
            X = X.copy()  # one layout, one compilation
        explains = len(shap) > 0
        if len(X) <= FEW and built.narrow and (narrow := self._narrowed(X.dtype)):
            # as plain tuples, which numba unpacks in half the time
            explain_narrow(X, tuple(narrow), tuple(built.narrow), explains, score, shap)
            return
        if len(X) > FEW and built.narrow and (narrow := self._narrowed(X.dtype)):
            if (tables := built.quads) is not None:
                explain_quads(X, tuple(self._asked(X.dtype, narrow)), tuple(tables), explains, score, shap)
                return
        sizes = self._most_nodes, built.widest, explains
        small = len(X) <= FEW and self._most_nodes < MOST_LEAVES
        (explain_rows if small else explain_blocks)(X, self._bag(X.dtype), built.arrays, sizes, score, shap)

    def _narrowed(self, kind: np.dtype[Any]) -> NarrowTrees | None:
        if kind.str not in self._narrow:
            self._narrow[kind.str] = narrow_trees(self.trees, self._thresholds(kind))
        return self._narrow[kind.str]

    def _asked(self, kind: np.dtype[Any], narrow: NarrowTrees) -> QuadTrees:
        if kind.str not in self._quads:
            self._quads[kind.str] = quad_trees(narrow, self.trees.n_features)
        return self._quads[kind.str]

    def _thresholds(self, kind: np.dtype[Any]) -> npt.NDArray[Any]:
        return self.trees.threshold if kind == np.float64 else _rounded_down(self.trees.threshold)

    def _bag(self, kind: np.dtype[Any]) -> tuple[Any, ...]:
        """Return the arrays of the trees, thresholds in the type of the values that they meet."""
        if kind.str not in self._bags:
            t = self.trees
            of_nodes = t.node_start, t.feature, self._thresholds(kind), t.kind, t.left, t.right
            self._bags[kind.str] = (
                *(t.booster_end, *of_nodes, t.leaf_value, t.words_start, t.words),
                *self._exits,
            )
        return self._bags[kind.str]


@dataclass(frozen=True)
class _Built:
    """The tables of a grouping, as the kernels take them."""

    tables: Tables
    arrays: tuple[Any, ...]
    columns: int
    widest: int
    """Bits of the widest walk."""
    narrow: NarrowTables | None
    sizes: npt.NDArray[np.int64]
    """Nodes of each tree."""
    room: int
    """Bytes that further tables may take."""

    @cached_property
    def quads(self) -> QuadTables | None:
        """The tables for many rows; None where they are not for these trees."""
        if self.narrow is None:
            return None
        return quad_tables(self.tables, self.sizes, self.columns, self.room)

    @property
    def nbytes(self) -> int:
        """Bytes of the tables that were built so far."""
        quads: QuadTables | None = self.__dict__.get("quads")
        return self.tables.nbytes + (quads.nbytes if quads else 0)


def _rounded_down(threshold: Floats) -> npt.NDArray[np.float32]:
    """Return the largest single numbers not above the thresholds: x <= either for the same single x."""
    with np.errstate(over="ignore"):
        single = threshold.astype(np.float32)
    return np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single)
