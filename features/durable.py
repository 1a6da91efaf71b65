"""Writing files so that a reader sees the old one or the new one, whole, whatever happens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, content: bytes | Callable[[Path], object], *, mode: int = 0o644) -> Path:
    r"""Write a file under a temporary name beside `path`, sync it to disk, rename it; return `path`.

    `content` is the bytes, or a function that writes the file whose path it is given. A failure
    leaves what was there before, and no temporary file. `mode` is what the file allows to whom.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "list.csv", b"rank\n").read_bytes()
    b'rank\n'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content)
        temporary.chmod(mode)
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync(path.parent)
    return path


def write_text(path: Path, text: str, *, mode: int = 0o644) -> Path:
    """Write a text file in UTF-8, whole or not at all; return its path."""
    return write_atomically(path, text.encode(), mode=mode)


def sync(path: Path) -> None:
    """Have the system write a file or a folder through to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Have the system write all that is in a folder through to the disk, and the folder itself."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)
