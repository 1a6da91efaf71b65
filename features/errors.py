"""The errors that Corredor raises on purpose: what is wrong, where, how many, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CorredorError(ValueError):
    """Something the caller can put right; the message says how. The command line prints it on one line."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> CorredorError:
    """Return the error for a name that does not exist, with the near matches.

    >>> str(unknown_name("kind", "purchse", ["purchase", "call"]))
    "there is no kind 'purchse'. Did you mean purchase? Known: call, purchase."
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    listing = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return CorredorError(f"there is no {what} {name!r}.{hint} Known: {listing or 'none'}.")
