"""The rows of a table as they were given, sorted by customer: what labels, worth and reports read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.streams import Ints


@dataclass(frozen=True)
class Ledger:
    """The rows of a table as they were given, sorted by customer: what labels and reports read.

    Times are µs UTC (NULL where unknown), numbers float64, flags 1/0/-1 (unknown), texts objects.
    """

    offsets: Ints
    columns: Mapping[str, npt.NDArray[Any]]
    known_at: Ints

    def keep(self, mask: npt.NDArray[np.bool_]) -> Ledger:
        """Return the ledger with the rows of a mask only."""
        before = np.concatenate([[0], np.cumsum(mask)])
        columns = {name: c[mask] for name, c in self.columns.items()}
        return Ledger(before[self.offsets], columns, self.known_at[mask])

    def select(self, customers: Ints) -> Ledger:
        """Return the ledger of some customers, in the order given."""
        lengths = np.diff(self.offsets)[customers]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][customers] - offsets[:-1], lengths)
        return Ledger(offsets, {n: c[rows] for n, c in self.columns.items()}, self.known_at[rows])

    def between(self, low: int, high: int) -> Ledger:
        """Return the ledger of customers [low, high); nothing is copied."""
        first, last = int(self.offsets[low]), int(self.offsets[high])
        columns = {name: c[first:last] for name, c in self.columns.items()}
        return Ledger(self.offsets[low : high + 1] - first, columns, self.known_at[first:last])

    def customer_of_rows(self) -> Ints:
        """Return each row's customer position."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
