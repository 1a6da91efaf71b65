"""A sealed folder: a manifest that names every part by its SHA-256, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from features.errors import CorredorError

MANIFEST = "bundle.json"
SEAL = "bundle.sha256"
"""Holds the manifest's own SHA-256, which the manifest cannot."""
MANIFEST_LIMIT = 64 * 2**20
PART_LIMIT = 256 * 2**20
PARTS_LIMIT = 512
PART_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}\.(txt|json)")


@dataclass(frozen=True)
class Sealed:
    """What a sealed folder held when its seals were checked; nothing is read again afterwards."""

    id: str
    """SHA-256 of the manifest, and so of everything."""
    manifest: dict[str, Any]
    parts: dict[str, bytes]


def seal(folder: Path, manifest: Mapping[str, Any], parts: Mapping[str, bytes]) -> str:
    """Write `parts` and their manifest as `folder` and return its id; either all of it is there or nothing.

    Writing the same content twice is allowed and changes nothing.

    Raises:
        CorredorError: the folder is there already and holds something else.
    """
    for name in parts:
        if not PART_NAME.fullmatch(name) or name == MANIFEST:
            raise CorredorError(f"{name!r} cannot be the name of a part of a bundle.")
    seals = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in parts.items()
    }
    text = json.dumps(
        {**manifest, "parts": seals}, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True
    )
    content = text.encode("utf-8")
    identity = hashlib.sha256(content).hexdigest()
    folder = Path(folder).absolute()
    if folder.exists():
        if (folder / MANIFEST).is_file() and unseal(folder).id == identity:
            return identity
        raise CorredorError(f"{folder}: is there already and holds something else. Choose another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, part in {**parts, MANIFEST: content, SEAL: f"{identity}\n".encode()}.items():
            with (making / name).open("wb") as file:
                file.write(part)
                file.flush()
                os.fsync(file.fileno())
        making.chmod(0o755)
        _sync_folder(making)
        making.rename(folder)
        _sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return identity


def unseal(folder: Path) -> Sealed:
    """Read a sealed folder into memory and check every seal.

    Raises:
        CorredorError: a part is missing, has other bytes than when it was sealed, is a link or not a
            file, is beyond the size limits, or the manifest cannot be read.
    """
    folder = Path(folder)
    content = _read(folder, MANIFEST, MANIFEST_LIMIT)
    identity = hashlib.sha256(content).hexdigest()
    if _read(folder, SEAL, 1024).strip() != identity.encode():
        raise CorredorError(f"{folder}: {MANIFEST} has changed since it was sealed. {_ASK}")
    try:
        manifest = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CorredorError(f"{folder}: {MANIFEST} is not readable as JSON ({error}). {_ASK}") from None
    seals = manifest.pop("parts", None) if isinstance(manifest, dict) else None
    if not isinstance(seals, dict) or len(seals) > PARTS_LIMIT:
        raise CorredorError(f"{folder}: {MANIFEST} is not the manifest of a bundle. {_ASK}")
    parts = {}
    for name, seal_of in seals.items():
        if not PART_NAME.fullmatch(name) or not isinstance(seal_of, dict):
            raise CorredorError(f"{folder}: {MANIFEST} names a part {name!r}, which no bundle has. {_ASK}")
        part = _read(folder, name, PART_LIMIT)
        if len(part) != seal_of.get("bytes"):
            raise CorredorError(
                f"{folder}: {name} has {len(part)} bytes where {seal_of.get('bytes')} were sealed. {_ASK}"
            )
        if hashlib.sha256(part).hexdigest() != seal_of.get("sha256"):
            raise CorredorError(f"{folder}: {name} has changed since it was sealed. {_ASK}")
        parts[name] = part
    return Sealed(identity, manifest, parts)


_ASK = "Fetch the bundle again, or train."


def _read(folder: Path, name: str, limit: int) -> bytes:
    # O_NOFOLLOW and the check on the open file: a link or a pipe must not lead out of the folder or hang
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        handle = os.open(folder / name, flags)
    except FileNotFoundError:
        missing = f"{name} is missing" if folder.is_dir() else "there is no such folder"
        raise CorredorError(f"{folder}: {missing}. {_ASK}") from None
    except OSError as error:
        raise CorredorError(f"{folder}: {name} cannot be opened ({error.strerror}). {_ASK}") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise CorredorError(f"{folder}: {name} is not a file. {_ASK}")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise CorredorError(
            f"{folder}: {name} is larger than {limit // 2**20} MiB, which no bundle is. {_ASK}"
        )
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
