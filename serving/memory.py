"""What a run may take of the machine's memory, and what reading takes."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import CorredorError
from features.files import find_files
from training.config import Config

LIBRARIES = 500 << 20
"""Bytes that the process takes before it reads anything: Python, Arrow, LightGBM, the compiled kernels."""
READ_ROW = 260
"""Bytes that a row of touchpoints takes while it is read, checked and sorted, at the peak."""
FEATURE = 40
"""Bytes that a customer's feature takes while it is scored: itself, and what it contributes."""
TEXT_BYTE = 5
"""Bytes of memory, at the peak, for each byte of a text file."""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:I?B)?", re.IGNORECASE)


def bytes_of(size: str) -> int:
    """Return a size as bytes: 2GB, 512MB, 1.5 GiB; a kilobyte is 1,024 bytes.

    >>> bytes_of("2GB"), bytes_of("512 mb")
    (2147483648, 536870912)

    Raises:
        CorredorError: it is not a size.
    """
    found = _SIZE.fullmatch(size.strip())
    if found is None or float(found[1]) == 0:
        raise CorredorError(f"--memory {size}: is not a size. Give one such as 2GB or 512MB.")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def said(n_bytes: float) -> str:
    """Return bytes as people say them.

    >>> said(2 << 30), said(300 << 20)
    ('2.0 GB', '300 MB')
    """
    return f"{n_bytes / (1 << 30):.1f} GB" if n_bytes >= 1 << 30 else f"{n_bytes / (1 << 20):.0f} MB"


def rows_that_fit(limit: int) -> int:
    """Return how many touchpoints can be read and scored at once within so many bytes."""
    return max(limit - LIBRARIES, 0) // READ_ROW


def customers_at_a_time(limit: int | None, features: int, most: int) -> int:
    """Return of how many customers the features may be in memory at once: an eighth of what there is.

    >>> customers_at_a_time(None, 300, 4096), customers_at_a_time(1 << 30, 3_000, 4096)
    (4096, 1118)
    """
    if limit is None:
        return most
    return max(min(most, limit // 8 // (FEATURE * max(features, 1))), 64)


def check_fits(config: Config, limit: int) -> None:
    """Check, before anything is read, that the files of a workspace can be held in so many bytes.

    Raises:
        CorredorError: they cannot, with what they need and what to do.
    """
    needed = LIBRARIES + read_bytes(config)
    if needed > limit:
        raise CorredorError(
            f"--memory {said(limit)}: reading all sources at once takes about {said(needed)}. Run "
            "`corredor ingest` once, after which a list is made from a part at a time, or allow more."
        )


def read_bytes(config: Config) -> int:
    """Return about how many bytes reading the files of a workspace takes at the peak."""
    folders = [config.folder, *((config.folder / name).resolve() for name in config.project.data_folders)]
    found = 0
    for name, source in config.files.items():
        for path in find_files(
            source.path, where=f"[files.{name}]", folder=config.folder, folders=[f.resolve() for f in folders]
        ):
            try:
                found += pq.read_metadata(path).num_rows * READ_ROW
            except pa.ArrowInvalid:
                found += path.stat().st_size * TEXT_BYTE
    return found
