"""A sample of customers that is the same wherever it is drawn: by the hash of the id alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.buckets import buckets_of
from features.errors import CorredorError

_GAMMA, _FIRST, _SECOND = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def drawn(ids: pa.Array | pa.ChunkedArray, share: float) -> npt.NDArray[np.bool_]:
    """Return which customers are in a sample of so large a share of all, bool[n].

    A customer is in it or not whatever else is known of them, and whoever else there is; who is in a
    smaller sample is in every larger one. The id's hash (`features.buckets`) is mixed once more, so that
    the sample has nothing to do with the buckets.

    Source: Steele, Lea and Flood (2014), the finalizer of SplitMix64.

    >>> drawn(pa.array(["a", "b", "c", "d"]), 0.5).tolist()
    [False, True, True, True]
    """
    z = buckets_of(ids, 1 << 32).astype(np.uint64) + _GAMMA
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z ^= z >> np.uint64(31)
    return np.asarray((z >> np.uint64(11)) < np.uint64(share * (1 << 53)))


def check_share(share: float) -> float:
    """Return a share after checking that it is one.

    Raises:
        CorredorError: it is not above 0 and at most 1.
    """
    if not 0.0 < share <= 1.0:
        raise CorredorError(f"--sample {share:g}: is a share of the customers, above 0 and at most 1.")
    return share
