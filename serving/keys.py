"""The API keys that callers present: kept as SHA-256 only, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import CorredorError

KEYS = "CORREDOR_API_KEYS"
KEYS_FILE = "CORREDOR_API_KEYS_FILE"
MIN_LENGTH = 24
MAX_KEYS = 200
_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_HOW = (
    "Make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`; "
    f"give it, or its `sha256:…`, in {KEYS} or in a file of mode 0600 named by {KEYS_FILE}"
)


@dataclass(frozen=True)
class Keys:
    """The keys that are let in, hashed."""

    digests: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Keys({len(self.digests)})"

    def admit(self, presented: bytes) -> bool:
        """Return whether a key is one of ours, in a time that does not tell how close it came."""
        digest = hashlib.sha256(presented).digest()
        found = False
        for known in self.digests:
            found |= hmac.compare_digest(digest, known)
        return found


def load_keys(environment: Mapping[str, str] = os.environ) -> Keys:
    """Read the API keys from `CORREDOR_API_KEYS` and the file that `CORREDOR_API_KEYS_FILE` names.

    Keys stand one a line, or separated by commas or spaces: the key itself, or `sha256:` and its hash
    in hexadecimal. In a file, a line that begins with # is a comment.

    Raises:
        CorredorError: there is none, one is too short to be safe, or others may read the file.
    """
    entries = _entries([environment.get(KEYS, "")])
    if name := environment.get(KEYS_FILE):
        entries += _entries(_private_lines(Path(name)))
    if not entries:
        raise CorredorError(f"no API key is set, and the service does not start without one. {_HOW}.")
    if len(entries) > MAX_KEYS:
        raise CorredorError(
            f"{len(entries)} API keys are set; the service takes up to {MAX_KEYS}. Remove old ones."
        )
    return Keys(tuple(_digest(entry, place) for place, entry in enumerate(entries, 1)))


def new_key() -> tuple[str, str]:
    """Return a new random key, and the `sha256:…` by which the service knows it."""
    key = secrets.token_urlsafe(32)
    return key, "sha256:" + hashlib.sha256(key.encode("ascii")).hexdigest()


def _entries(lines: Iterable[str]) -> list[str]:
    return [entry for line in lines for entry in re.split(r"[\s,]+", line) if entry]


def _private_lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8") as file:
            if os.name != "nt" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise CorredorError(f"{path}: others may read these keys. Run `chmod 600` on it.")
            return [line for line in file if not line.lstrip().startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise CorredorError(f"{path}: the API keys cannot be read ({type(error).__name__}).") from None


def _digest(entry: str, place: int) -> bytes:
    if hashed := _HASHED.fullmatch(entry):
        return bytes.fromhex(hashed.group(1))
    # the entry itself is never repeated: it may be a key with a slip of the hand
    if entry.lower().startswith("sha256:"):
        raise CorredorError(f"API key number {place}: `sha256:` is not followed by 64 hexadecimal digits.")
    if not _PRINTABLE.fullmatch(entry):
        raise CorredorError(f"API key number {place}: has characters that no HTTP header carries. {_HOW}.")
    if len(entry) < MIN_LENGTH:
        raise CorredorError(f"API key number {place}: is shorter than {MIN_LENGTH} characters. {_HOW}.")
    return hashlib.sha256(entry.encode("ascii")).digest()
