"""What goes wrong in a request, told as RFC 9457 problem documents: never a value that was sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
MAX_NAME = 64


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: `path` as in `customers[0].touchpoints[3].amount`."""

    path: str
    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return it as plain JSON."""
        return {"path": self.path, "code": self.code, "message": self.message}


class Problem(Exception):
    """A request that is refused; becomes the answer of that status."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """Return the problem document."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [error.to_dict() for error in self.errors[:MAX_ERRORS]]
        if len(self.errors) > MAX_ERRORS:
            document["more_errors"] = len(self.errors) - MAX_ERRORS
        return json.dumps(document, ensure_ascii=True).encode("ascii")


def path_of(parts: Iterable[str | int]) -> str:
    """Return the path of a field; names are cut, since a caller chooses them.

    >>> path_of(["customers", 0, "touchpoints", 3, "amount"])
    'customers[0].touchpoints[3].amount'
    """
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            name = part if len(part) <= MAX_NAME else part[:MAX_NAME] + "…"
            path += f".{name}" if path else name
    return path
