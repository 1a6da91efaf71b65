"""Names of columns that are safe to write into SQL, a message or a list."""

from __future__ import annotations

import re
from collections.abc import Sequence

from features.errors import CorredorError

_HOSTILE = re.compile(r"""["\\;`\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]|--|/\*|^__""")
LONGEST_NAME = 120


def check_name(where: str, name: str) -> None:
    """Raise for the name of a column that could pass for something else in SQL or on a screen."""
    if _HOSTILE.search(name) or not name.strip() or len(name) > LONGEST_NAME:
        shown = name[:40].encode("unicode_escape").decode()
        raise CorredorError(
            f"{where}: the column name '{shown}' is refused: quotes, semicolons, control characters, comment"
            f" signs, a leading __, and more than {LONGEST_NAME} characters are not allowed. Rename it."
        )


def check_names(where: str, names: Sequence[str]) -> None:
    """Raise for a name that is hostile, or there twice but for capitals."""
    seen: dict[str, str] = {}
    for name in names:
        check_name(where, name)
        if name.lower() in seen:
            raise CorredorError(f"{where}: two columns are called {name} (SQL takes no notice of capitals).")
        seen[name.lower()] = name
