"""How numbers, dates and risks are said in English and Spanish."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "es")

_MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split(),
}


@lru_cache(maxsize=1 << 14)  # a list has few different numbers
def number(value: float, language: Language, *, decimals: int | None = None) -> str:
    """Return a number as people write it; decimals are chosen by size when not given.

    >>> number(1234.5, "en"), number(1234.5, "es"), number(2.25, "es"), number(3.0, "en")
    ('1,234', '1.234', '2,2', '3')
    """
    if decimals is None:
        decimals = 0 if abs(value) >= 10 or round(value, 1) == round(value) else 1
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text if language == "en" else text.translate(str.maketrans(",.", ".,"))


def percent(share: float, language: Language) -> str:
    """Return a share as a percentage; very small and very large ones keep a decimal.

    >>> percent(0.314, "en"), percent(0.004, "es"), percent(0.9999, "en")
    ('31%', '0,4 %', 'over 99.9%')
    """
    space = "" if language == "en" else " "
    if share > 0.999 or 0 < share < 0.001:
        bound = number(99.9 if share > 0.5 else 0.1, language, decimals=1)
        over = {"en": ("over ", "under "), "es": ("más del ", "menos del ")}[language]
        return f"{over[0 if share > 0.5 else 1]}{bound}{space}%"
    decimals = 1 if share < 0.01 or share > 0.99 else 0
    if share in (0.0, 1.0):
        decimals = 0
    return f"{number(100 * share, language, decimals=decimals)}{space}%"


def day_of(moment_us: int, zone: ZoneInfo, language: Language, *, today: date | None = None) -> str:
    """Return the date of a moment (µs UTC) in a zone; the year only when it is not that of `today`.

    >>> day_of(1_709_251_200_000_000, ZoneInfo("UTC"), "es")
    '1 de marzo de 2024'
    """
    when = datetime.fromtimestamp(moment_us // 1_000_000, UTC).astimezone(zone)
    month = _MONTHS[language][when.month - 1]
    year = "" if today is not None and today.year == when.year else str(when.year)
    if language == "en":
        return " ".join(filter(None, (str(when.day), month, year)))
    return " de ".join(filter(None, (str(when.day), month, year)))
