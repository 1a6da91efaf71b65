"""Which bucket a customer is in: a definition of our own, that no version of any library changes.

The bucket of a customer is the 64-bit FNV-1a hash of the UTF-8 bytes of the id, its upper half folded onto
its lower by exclusive or, modulo the number of buckets: the same in every store of so many buckets.

Source: Fowler, Noll and Vo (1991), FNV-1a; RFC 9923.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from features.streams import Ints

OFFSET_BASIS = np.uint64(0xCBF29CE484222325)
PRIME = np.uint64(0x100000001B3)


def buckets_of(ids: pa.Array | pa.ChunkedArray, buckets: int) -> Ints:
    """Return the bucket of each id, int64[n], 0 to `buckets` - 1.

    >>> buckets_of(pa.array(["", "a", "foobar"]), 1 << 32).tolist() == [
    ...     0xCBF29CE4 ^ 0x84222325, 0xAF63DC4C ^ 0x8601EC8C, 0x85944171 ^ 0xF73967E8]
    True
    """
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    if isinstance(ids, pa.ChunkedArray):  # of no chunks
        return np.zeros(0, np.int64)
    encoded = ids.dictionary_encode()
    names = encoded.dictionary
    _, ends, content = names.buffers()
    offsets = np.frombuffer(ends, np.int32)[names.offset : names.offset + len(names) + 1]
    letters = np.frombuffer(content if content is not None else b"", np.uint8)
    place = _fnv(letters, offsets, np.uint64(buckets))
    found: Ints = place[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fnv(letters: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], buckets: np.uint64) -> Ints:
    found = np.empty(offsets.size - 1, np.int64)
    for i in range(found.size):
        value = OFFSET_BASIS
        for j in range(offsets[i], offsets[i + 1]):
            value = (value ^ np.uint64(letters[j])) * PRIME
        found[i] = np.int64(((value >> np.uint64(32)) ^ (value & np.uint64(0xFFFFFFFF))) % buckets)
    return found
