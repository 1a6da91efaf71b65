"""Starting a process that only scores without what libraries look for on their way and it never uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

UNUSED = ("pandas", "scipy.linalg", "cffi")
"""Not found while `start_lean` lasts."""


def start_lean() -> None:
    """Let pyarrow and numba run for the first time, and find no pandas, linear algebra and foreign functions.

    pyarrow looks for pandas once at the first list that becomes an array, and once at the first array
    that becomes numpy's; numba for scipy's BLAS and for cffi at its first kernel. None of our kernels or
    tables uses them, and they take half a second to import. Who imports them later gets them.
    """
    with _hidden(UNUSED):
        import numpy as np
        import pyarrow as pa

        from features.packing import pack

        pa.array(["a"], pa.string()).to_numpy(zero_copy_only=False)
        pack(np.zeros(1, np.int64))


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Have the import of some modules fail, as where they are not installed; those that are there stay."""

    class Hides:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> None:
            if name in names:
                raise ModuleNotFoundError(f"{name} is not imported by a process that only scores", name=name)

    finder = Hides()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
