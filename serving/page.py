"""What the pages for people are made of: words, amounts, heads of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.words import Language, number

Words = Mapping[str, str]


def money(amount: float, language: Language, currency: str) -> str:
    """Return an amount with its currency."""
    return f"{number(amount, language)} {currency}"


def heads(*heads: str | tuple[str]) -> list[dict[str, Any]]:
    """Return table heads; a head in a tuple is of a column of numbers."""
    return [
        {"head": h[0], "number": True} if isinstance(h, tuple) else {"head": h, "number": False}
        for h in heads
    ]
