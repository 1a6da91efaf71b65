"""The door of the service: who may come in, with what, how large, how long; and what they are told.

Only the paths named here exist. Ours are answered at the door by the desk: BentoML's router and what
stands before it would take as long as a tenth of a request. Its health is passed on to it, and all else
that it would answer stays outside. A refusal is a problem document without a value of the request in it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from serving.keys import Keys
from serving.metrics import ServiceMetrics
from serving.problems import MEDIA_TYPE, Problem
from serving.settings import ServingSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAINED_BYTES = 8 * 2**20
DRAINED_SECONDS = 2.0
NO_STORE = (b"cache-control", b"no-store")
NO_SNIFF = (b"x-content-type-options", b"nosniff")
CLOSE = {"Connection": "close"}
log = logging.getLogger("corredor.service")


@dataclass(frozen=True)
class Door:
    """A path that exists: its method, and whether it is BentoML's own and open to everybody."""

    method: str
    health: bool = False


DOORS = {
    "/score": Door("POST"),
    "/explain": Door("POST"),
    "/docs.json": Door("GET"),
    "/metrics": Door("GET"),
    "/livez": Door("GET", health=True),
    "/readyz": Door("GET", health=True),
}


class Page(NamedTuple):
    """What the desk answers."""

    body: bytes
    media_type: bytes = b"application/json"


Desk = Callable[[str, bytes], Awaitable[Page]]
"""Answers one of our paths and the body that was sent to it."""


@dataclass(frozen=True)
class House:
    """What the guard needs to know; there once the service has started."""

    settings: ServingSettings
    keys: Keys
    metrics: ServiceMetrics
    desk: Desk


class Guard:
    """ASGI middleware: admits a request to the desk, or refuses it."""

    def __init__(self, app: Asgi, house: Callable[[], House]) -> None:
        """Stand before BentoML; `house` is asked at each request, as it comes after the guard."""
        self.app = app
        self.house = house
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        house = self.house()
        began = time.perf_counter()
        answer = _Answer(send)
        try:
            await self._serve(house, scope, receive, answer)
        except _Gone:
            return
        except Problem as problem:
            await answer.refuse(problem)
            if "Connection" in problem.headers and not _expects(scope):
                await _drain(receive)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of the request may leak
            log.error("%s", where(error))
            if answer.status:
                raise _Unfinished from None
            await answer.refuse(
                Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed on this request.")
            )
        finally:
            path = scope["path"] if scope["path"] in DOORS else "other"
            house.metrics.answered(path, answer.status, time.perf_counter() - began)

    async def _serve(self, house: House, scope: Scope, receive: Receive, answer: _Answer) -> None:
        path, method, fields = scope["path"], scope["method"], _fields(scope)
        door = DOORS.get(path)
        if door is None:
            raise Problem(
                HTTPStatus.NOT_FOUND, "There is nothing here. See /docs.json.", headers=_close_if_body(fields)
            )
        if method != door.method and not (method == "HEAD" and door.method == "GET"):
            raise Problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"This path takes {door.method}.",
                headers={
                    "Allow": door.method if door.method == "POST" else "GET, HEAD",
                    **_close_if_body(fields),
                },
            )
        if door.health:
            return await self.app(scope, receive, answer)
        opened = path == "/metrics" and house.settings.open_metrics
        if not opened and not house.keys.admit(_credentials(fields)):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "A valid API key is needed: `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
                headers={"WWW-Authenticate": 'Bearer realm="corredor"', **_close_if_body(fields)},
            )
        if door.method == "GET":
            return await answer.give(await house.desk(path, b""))
        _check_json(fields)
        if self.inside >= house.settings.max_waiting:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The service is at its limit. Come again in a moment.",
                headers={"Retry-After": "1", **CLOSE},
            )
        self.inside += 1
        try:
            body = await _body(fields, receive, house.settings)
            await answer.give(await house.desk(path, body))
        finally:
            self.inside -= 1


class _Gone(Exception):
    """The caller went away before the request was complete."""


class _Unfinished(Exception):
    """An answer broke off after its beginning; the server closes the connection."""


class _Answer:
    """The way out: notes the status, and adds the fields that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), NO_STORE, NO_SNIFF]
        await self._send(message)

    async def give(self, page: Page) -> None:
        self.status = 200
        length = str(len(page.body)).encode()
        fields = [(b"content-type", page.media_type), (b"content-length", length), NO_STORE, NO_SNIFF]
        await self._send({"type": "http.response.start", "status": 200, "headers": fields})
        await self._send({"type": "http.response.body", "body": page.body})

    async def refuse(self, problem: Problem) -> None:
        body = problem.body()
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), **problem.headers}
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": int(problem.status), "headers": encoded})
        await self._send({"type": "http.response.body", "body": body})


def where(error: BaseException, *, frames: int = 4) -> str:
    """Return the kind of an error and where it happened: not its words, which may hold personal data."""
    places = traceback.extract_tb(error.__traceback__)[-frames:]
    at = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(places))
    return f"{type(error).__name__} at {at or os.devnull}"


Fields = dict[bytes, list[bytes]]
"""The header: the values of each field, by its name in small letters."""


def _fields(scope: Scope) -> Fields:
    found: Fields = {}
    for name, value in scope["headers"]:
        found.setdefault(name, []).append(value)
    return found


def _credentials(fields: Fields) -> bytes:
    """Return the one key presented, or nothing: two that differ could be read differently by a proxy."""
    bearer, plain = fields.get(b"authorization", []), fields.get(b"x-api-key", [])
    if len(bearer) + len(plain) != 1:
        return b""
    if plain:
        return plain[0].strip()
    scheme, _, key = bearer[0].partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""


def _check_json(fields: Fields) -> None:
    kinds = fields.get(b"content-type", [])
    encodings = fields.get(b"content-encoding", [])
    if not encodings and len(kinds) == 1 and kinds[0] == b"application/json":
        return
    kind, _, parameters = (kinds[0] if len(kinds) == 1 else b"").partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    if kind.strip().lower() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        detail = "Send JSON in UTF-8: `Content-Type: application/json`."
    elif any(e.strip().lower() not in (b"", b"identity") for e in encodings):
        detail = "Send the body uncompressed."
    else:
        return
    raise Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        detail,
        headers={"Accept": "application/json", "Accept-Encoding": "identity", **CLOSE},
    )


async def _body(fields: Fields, receive: Receive, settings: ServingSettings) -> bytes:
    """Return the whole body; its size and the time it takes are bounded, whatever its header says."""
    limit = settings.max_body_bytes
    length = fields.get(b"content-length")
    if length and int(length[0]) > limit:  # the server has checked that it is a number
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {settings.body_seconds:g} seconds.",
            headers=CLOSE,
        ) from None


def _too_large(limit: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {limit} bytes. Send fewer customers at a time.",
        headers=CLOSE,
    )


def _close_if_body(fields: Fields) -> dict[str, str]:
    """Return the field that ends a connection whose body nobody is going to read."""
    length = fields.get(b"content-length")
    unread = fields.get(b"transfer-encoding") or (length and length[0] != b"0")
    return CLOSE if unread else {}


def _expects(scope: Scope) -> bool:
    return b"expect" in _fields(scope)


async def _drain(receive: Receive) -> None:
    """Read on for a moment, so that a caller who is still sending gets to read the refusal."""
    seen = 0
    try:
        async with asyncio.timeout(DRAINED_SECONDS):
            while seen < DRAINED_BYTES:
                message = await receive()
                seen += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return
