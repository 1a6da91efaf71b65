"""What identifies the data that a model was trained on, without a row or an id of it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from features.histories import Histories


def fingerprints(histories: Histories) -> dict[str, Any]:
    """Return, for each stream of facts, its rows and a SHA-256 that any change of any row changes.

    The order in which rows came does not matter: histories are sorted.
    """
    ids = hashlib.sha256(
        "\0".join(histories.customer_ids.to_pylist()).encode("utf-8", "surrogatepass")
    ).digest()
    found: dict[str, Any] = {"customers": histories.n_customers}
    for name, stream in sorted(histories.streams.items()):
        seal = hashlib.sha256(ids)
        seal.update(repr((stream.fields, stream.contacts)).encode())
        arrays = [stream.offsets, stream.occurred_at.unpack(), stream.known_at(), stream.contact]
        for array in [*arrays, *(stream.values[v].unpack() for v in sorted(stream.values))]:
            seal.update(np.ascontiguousarray(array, np.int64).tobytes())
        found[name] = {"rows": stream.n_rows, "sha256": seal.hexdigest()}
    return found
