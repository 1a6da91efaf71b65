"""The map of the corridor as one self-contained interactive page."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from features.durable import write_atomically
from serving.map_facts import Telling
from training.config import Config
from training.corridor import Corridor


def write_map(corridor: Corridor, config: Config, path: Path) -> Path:
    """Write the page of a corridor: whole or not at all."""
    return write_atomically(path, map_html(corridor, config).encode("utf-8"))


def map_html(corridor: Corridor, config: Config) -> str:
    """Return the page of a corridor as HTML that loads nothing from anywhere."""
    from jinja2 import Environment
    from markupsafe import Markup

    folder = files("serving").joinpath("templates")
    script = folder.joinpath("map.js").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        folder.joinpath("map.html").read_text(encoding="utf-8")
    )
    told = Telling(corridor, config)
    return page.render(
        w=told.words,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(as_data(told.data())),  # nothing is left in it that HTML reads
        **told.page(),
    )


def as_data(value: Any) -> str:
    r"""Return JSON that can stand between script tags: nothing in it ends them.

    >>> as_data({"kind": "</script>"})
    '{"kind":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
