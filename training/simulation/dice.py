"""Random draws, one for each customer at a time, so that a life does not depend on what others live."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri

from training.simulation.company import Bools, Floats

ROWS = 16


class Dice:
    """The draws of one day of some customers."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self._rng, self._n = rng, n
        self._rows: Iterator[Floats] = iter(())

    def uniform(self) -> Floats:
        """Return float64[n] between 0 and 1."""
        row = next(self._rows, None)
        if row is None:
            self._rows = iter(self._rng.random((ROWS, self._n)))
            row = next(self._rows)
        return np.asarray(row)

    def flip(self, chance: float | Floats) -> Bools:
        """Return what happens, bool[n], with the given chances."""
        return np.asarray(self.uniform() < chance)

    def normal(self) -> Floats:
        """Return standard normals, float64[n]."""
        return np.asarray(ndtri(self.uniform()))
