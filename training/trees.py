"""The trees of LightGBM text models as flat arrays, with LightGBM's own rules of which way a value goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from numba import njit

from features.errors import CorredorError

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

ZERO = np.float32(1e-35)
"""Values this near to 0 are 0 to LightGBM (`kZeroThreshold`)."""

# What a node asks of x: which way an unknown value goes, and whether 0 counts as unknown.
LEFT_IF_LESS, LEFT_IF_LESS_OR_UNKNOWN, ZERO_GOES_LEFT, ZERO_GOES_RIGHT, CATEGORIES = range(5)
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_NONE, _ZERO, _NAN = range(3)  # LightGBM's kinds of missing value, in bits 2 and 3 of its decision type


@dataclass(frozen=True)
class Trees:
    """The trees of a bag of boosters, one after the other; nodes and leaves are numbered within their tree.

    `left` and `right` hold a node's number, or the complement (`~`) of a leaf's. A node's children come
    after it. A tree of one leaf has no nodes.
    """

    booster_end: npt.NDArray[np.int64]
    """Trees up to and with each booster, int64[n_boosters]."""
    node_start: npt.NDArray[np.int64]
    """First node of each tree, int64[n_trees + 1]; its first leaf is `node_start[tree] + tree`."""
    feature: Ints
    threshold: Floats
    kind: npt.NDArray[np.uint8]
    left: Ints
    right: Ints
    node_rows: Floats
    """Rows of training that passed a node."""
    leaf_value: Floats
    leaf_rows: Floats
    words_start: npt.NDArray[np.int64]
    """First and last + 1 of the words of each node's set of categories, int64[n_nodes, 2]."""
    words: npt.NDArray[np.uint32]
    """Sets of categories, 32 to a word: those that go left."""
    n_features: int

    @property
    def n_trees(self) -> int:
        """Number of trees of all boosters."""
        return len(self.node_start) - 1

    def expected(self) -> Floats:
        """Return the mean of each tree over its rows of training, float64[n_trees]."""
        if not self.n_trees:
            return np.zeros(0)
        first = self.node_start[:-1] + np.arange(self.n_trees)
        total = np.add.reduceat(self.leaf_rows, first)
        return np.asarray(np.add.reduceat(self.leaf_value * self.leaf_rows, first) / total)


def read_trees(texts: Sequence[str]) -> Trees:
    """Return the trees of LightGBM text models (`Booster.model_to_string`), in their order.

    Raises:
        CorredorError: there is no model; its trees are of several classes, averaged or linear; the
            models read different features; a node or leaf has no rows, so its weight is unknown.
    """
    blocks, ends, widths = [], [], set()
    for number, text in enumerate(texts):
        head, *trees = text.split("\nTree=")
        facts = _facts(head)
        _check_head(number, facts, head)
        widths.add(int(facts["max_feature_idx"]) + 1)
        blocks += [_facts(tree.partition("\nend of trees")[0]) for tree in trees]
        ends.append(len(blocks))
    if len(widths) != 1:
        raise CorredorError(f"the models read {sorted(widths)} features. Give models of the same features.")
    if any(b.get("is_linear", "0") != "0" for b in blocks):
        raise CorredorError("trees with a linear model in each leaf are not explained. Train without them.")
    leaves = np.array([int(b["num_leaves"]) for b in blocks], np.int64)
    node_start = np.concatenate([[0], np.cumsum(leaves - 1)])
    split = [b for b, n in zip(blocks, leaves, strict=True) if n > 1]
    decision = _numbers(split, "decision_type", np.int32)
    threshold, kind = _questions(decision, _numbers(split, "threshold", np.float64))
    words_start, words = _categories(split, decision, _numbers(split, "threshold", np.float64))
    found = Trees(
        booster_end=np.array(ends, np.int64),
        node_start=node_start,
        feature=_numbers(split, "split_feature", np.int32),
        threshold=threshold,
        kind=kind,
        left=_numbers(split, "left_child", np.int32),
        right=_numbers(split, "right_child", np.int32),
        node_rows=_numbers(split, "internal_count", np.float64),
        leaf_value=_numbers(blocks, "leaf_value", np.float64),
        leaf_rows=_leaf_rows(blocks, leaves),
        words_start=words_start,
        words=words,
        n_features=widths.pop(),
    )
    _check(found)
    return found


def _facts(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.split("\n") if "=" in line)


def _numbers(blocks: Sequence[Mapping[str, str]], name: str, kind: type) -> npt.NDArray[Any]:
    one, many = (int, list[int]) if kind is np.int32 else (float, list[float])
    numbers = " ".join(b[name] for b in blocks).split()
    try:  # as JSON they are read in a quarter of the time
        return np.array(msgspec.json.decode(f"[{','.join(numbers)}]", type=many), kind)
    except msgspec.MsgspecError:  # infinite ones are no JSON
        return np.array([one(n) for n in numbers], kind)


def _leaf_rows(blocks: Sequence[Mapping[str, str]], leaves: npt.NDArray[np.int64]) -> Floats:
    """Return the rows of each leaf; a tree of one leaf does not say them, and one is as good as many."""
    lone = {"leaf_count": "1"}
    stated = [b if n > 1 else lone for b, n in zip(blocks, leaves.tolist(), strict=True)]
    return _numbers(stated, "leaf_count", np.float64)


def _questions(decision: Ints, threshold: Floats) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Return thresholds as they compare with plain values, and the kind of each node.

    LightGBM reads values within `ZERO` of 0 as 0 before it compares them. A threshold that lies there
    moves to the edge on its side, so that a comparison of the value as it is gives the same.
    """
    missing, default_left = (decision >> 2) & 3, (decision & _DEFAULT_LEFT) > 0
    edge = float(ZERO)
    near = np.abs(threshold) <= edge
    moved = np.where(near & (threshold >= 0), edge, threshold)
    moved = np.where(near & (threshold < 0), np.nextafter(-edge, -np.inf), moved)
    unknown_left = np.where(missing == _NAN, default_left, 0.0 <= threshold)
    kind = np.where(unknown_left, LEFT_IF_LESS_OR_UNKNOWN, LEFT_IF_LESS)
    kind = np.where(missing == _ZERO, np.where(default_left, ZERO_GOES_LEFT, ZERO_GOES_RIGHT), kind)
    return moved, np.where(decision & _CATEGORICAL, CATEGORIES, kind).astype(np.uint8)


def _categories(
    blocks: Sequence[dict[str, str]], decision: Ints, threshold: Floats
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Return the words of each node's set of categories: its threshold says which of the tree's sets."""
    start = np.zeros((len(decision), 2), np.int64)
    words: list[int] = []
    first = 0
    for block in blocks:
        n = int(block["num_leaves"]) - 1
        if int(block.get("num_cat", "0")):
            bounds = np.array([int(b) for b in block["cat_boundaries"].split()], np.int64) + len(words)
            words += [int(w) for w in block["cat_threshold"].split()]
            for node in _categorical(decision, first, n):
                which = int(threshold[node])
                start[node] = bounds[which], bounds[which + 1]
        first += n
    return start, np.array(words or [0], np.uint32)


def _categorical(decision: Ints, first: int, n: int) -> Iterator[int]:
    return (first + int(i) for i in np.flatnonzero(decision[first : first + n] & _CATEGORICAL))


def _check_head(number: int, facts: dict[str, str], head: str) -> None:
    what = f"model {number + 1} of the bag"
    if "max_feature_idx" not in facts:
        raise CorredorError(f"{what} is not a LightGBM text model.")
    if facts.get("num_tree_per_iteration", "1") != "1":
        raise CorredorError(f"{what} has several classes. Explain models of one score.")
    if "average_output" in head.split("\n"):
        raise CorredorError(f"{what} is a random forest, which averages its trees. Explain boosted trees.")


def _check(trees: Trees) -> None:
    """Stop at what the kernels, which look at no bounds, cannot do without.

    As many values as nodes and leaves; features that a row has; in each tree a way to every node and
    leaf, and one only, with children after their parents; rows in all of them.
    """
    sizes = np.diff(trees.node_start)
    n_nodes = int(sizes.sum())
    of_nodes = (trees.feature, trees.threshold, trees.kind, trees.left, trees.right, trees.node_rows)
    of_leaves = (trees.leaf_value, trees.leaf_rows)
    if (sizes < 0).any() or {len(values) for values in of_nodes} != {n_nodes}:
        raise CorredorError(f"not all of its {n_nodes} nodes are there: {_DAMAGED}")
    if {len(values) for values in of_leaves} != {n_nodes + trees.n_trees}:
        raise CorredorError(f"not all of its {n_nodes + trees.n_trees} leaves are there: {_DAMAGED}")
    if not (trees.node_rows > 0).all() or not (trees.leaf_rows > 0).all():
        none = int((trees.node_rows <= 0).sum() + (trees.leaf_rows <= 0).sum())
        raise CorredorError(f"{none} nodes or leaves say no rows of training. Train the model again.")
    if not ((trees.feature >= 0) & (trees.feature < trees.n_features)).all():
        raise CorredorError(f"a node asks for none of its {trees.n_features} features: {_DAMAGED}")
    first = np.repeat(trees.node_start[:-1], sizes)
    own, last = np.arange(n_nodes) - first, np.repeat(sizes, sizes)
    reached = np.zeros(2 * n_nodes + trees.n_trees, np.int64)  # a tree's nodes, then its leaves
    begin = 2 * first + np.repeat(np.arange(trees.n_trees), sizes)
    reached[2 * trees.node_start[:-1] + np.arange(trees.n_trees)] = 1  # where every row begins
    for child in (trees.left, trees.right):
        if not (((child > own) & (child < last)) | ((child < 0) & (~child <= last))).all():
            raise CorredorError(f"a node comes after its child, or leads out of its tree: {_DAMAGED}")
        np.add.at(reached, begin + np.where(child < 0, last + ~child, child), 1)
    if not (reached == 1).all():
        raise CorredorError(f"a node or leaf is not the child of one node: {_DAMAGED}")


_DAMAGED = "the model text is damaged. Fetch it again, or train."


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def goes_left(x: Any, threshold: Any, kind: int, words: Any) -> Any:
    """Return whether LightGBM sends a value left at a node of a kind; `words` is its set of categories."""
    if kind == LEFT_IF_LESS:
        return x <= threshold
    if kind == LEFT_IF_LESS_OR_UNKNOWN:
        return not x > threshold
    if kind == CATEGORIES:  # a whole number, not negative, below 2**31
        if not (x > -1.0 and x < 2147483648.0):
            return False
        code = np.int64(x)
        return code >> 5 < words.size and (words[code >> 5] >> np.uint32(code & 31)) & np.uint32(1) != 0
    zero = x != x or (x <= ZERO and x >= -ZERO)
    return (zero or x <= threshold) if kind == ZERO_GOES_LEFT else (not zero and x <= threshold)
