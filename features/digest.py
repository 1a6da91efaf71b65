"""What tells some histories from any others."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.histories import Histories


def digest_of(histories: Histories) -> str:
    """Return the SHA-256 of all that histories hold, in hexadecimal."""
    found = hashlib.sha256(repr(histories.partial).encode())

    def add(what: object, array: npt.NDArray[Any] | pa.Array | None) -> None:
        found.update(repr(what).encode())
        if array is None:
            return
        if isinstance(array, np.ndarray) and array.dtype != object:
            found.update(np.ascontiguousarray(array).data)
            return
        column = pa.array(array.tolist()) if isinstance(array, np.ndarray) else pa.concat_arrays([array])
        found.update(pa.record_batch([column], names=["column"]).serialize())

    add("customers", histories.customer_ids)
    for name, stream in sorted(histories.streams.items()):
        add((name, stream.fields, stream.contacts, sorted(stream.labels.items())), stream.offsets)
        add("contact", stream.contact)
        add("opens", stream.opens)
        columns = {"occurred_at": stream.occurred_at, "lag": stream.lag, **stream.values, **stream.codes}
        for column, packed in sorted(columns.items()):
            if packed is not None:
                add((column, packed.step, packed.base, packed.data.dtype.str), packed.data)
    for name, ledger in sorted(histories.ledgers.items()):
        add(name, ledger.offsets)
        for column, values in sorted(ledger.columns.items()):
            add((column, values.dtype.str), values)
    return found.hexdigest()
