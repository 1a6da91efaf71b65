"""The door of the service: who may come in, with what, how large, how long; and what they are told.

Everything that BentoML would answer by itself and we do not want answered stays outside: only the
paths named here exist. A refusal is a problem document without a value of the request in it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

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
    """A path that exists: its method, and whether it is open to everybody."""

    method: str
    open: bool = False


DOORS = {
    "/score": Door("POST"),
    "/explain": Door("POST"),
    "/docs.json": Door("GET"),
    "/metrics": Door("GET"),
    "/livez": Door("GET", open=True),
    "/readyz": Door("GET", open=True),
}


@dataclass(frozen=True)
class House:
    """What the guard needs to know; there once the service has started."""

    settings: ServingSettings
    keys: Keys
    metrics: ServiceMetrics


class Guard:
    """ASGI middleware: admits a request to the service, or refuses it."""

    def __init__(self, app: Asgi, house: Callable[[], House]) -> None:
        """Stand before an application; `house` is asked at each request, as it comes after the guard."""
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
        door = DOORS.get(scope["path"])
        if door is None:
            raise Problem(
                HTTPStatus.NOT_FOUND, "There is nothing here. See /docs.json.", headers=_close_if_body(scope)
            )
        method = scope["method"]
        if method != door.method and not (method == "HEAD" and door.method == "GET"):
            raise Problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"This path takes {door.method}.",
                headers={
                    "Allow": door.method if door.method == "POST" else "GET, HEAD",
                    **_close_if_body(scope),
                },
            )
        opened = door.open or (house.settings.open_metrics and scope["path"] == "/metrics")
        if not opened and not house.keys.admit(_credentials(scope)):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "A valid API key is needed: `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
                headers={"WWW-Authenticate": 'Bearer realm="corredor"', **_close_if_body(scope)},
            )
        if door.method == "GET":
            return await self.app(scope, receive, answer)
        _check_json(scope)
        if self.inside >= house.settings.max_waiting:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The service is at its limit. Come again in a moment.",
                headers={"Retry-After": "1", **CLOSE},
            )
        self.inside += 1
        try:
            body = await _body(scope, receive, house.settings)
            await self.app(scope, _replay(body, receive), answer)
        finally:
            self.inside -= 1


class _Gone(Exception):
    """The caller went away before the request was complete."""


class _Unfinished(Exception):
    """An answer broke off after its beginning; the server closes the connection."""


class _Answer:
    """The way out: notes the status, and adds the headers that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), NO_STORE, NO_SNIFF]
        await self._send(message)

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


def _headers(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _credentials(scope: Scope) -> bytes:
    """Return the one key presented, or nothing: two that differ could be read differently by a proxy."""
    bearer, plain = _headers(scope, b"authorization"), _headers(scope, b"x-api-key")
    if len(bearer) + len(plain) != 1:
        return b""
    if plain:
        return plain[0].strip()
    scheme, _, key = bearer[0].partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""


def _check_json(scope: Scope) -> None:
    kinds = _headers(scope, b"content-type")
    kind, _, parameters = (kinds[0] if len(kinds) == 1 else b"").partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    encodings: Iterable[bytes] = (e.strip().lower() for e in _headers(scope, b"content-encoding"))
    if kind.strip().lower() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        detail = "Send JSON in UTF-8: `Content-Type: application/json`."
    elif any(e not in (b"", b"identity") for e in encodings):
        detail = "Send the body uncompressed."
    else:
        return
    raise Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        detail,
        headers={"Accept": "application/json", "Accept-Encoding": "identity", **CLOSE},
    )


async def _body(scope: Scope, receive: Receive, settings: ServingSettings) -> bytes:
    """Return the whole body; its size and the time it takes are bounded, whatever its headers say."""
    limit = settings.max_body_bytes
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {limit} bytes. Send fewer customers at a time.",
        headers=CLOSE,
    )
    length = _headers(scope, b"content-length")
    if length and int(length[0]) > limit:  # the server has checked that it is a number
        raise too_large
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
                    raise too_large
                parts.append(part)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {settings.body_seconds:g} seconds.",
            headers=CLOSE,
        ) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that has been read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _close_if_body(scope: Scope) -> dict[str, str]:
    """Return the header that ends a connection whose body nobody is going to read."""
    length = _headers(scope, b"content-length")
    unread = _headers(scope, b"transfer-encoding") or (length and length[0] != b"0")
    return CLOSE if unread else {}


def _expects(scope: Scope) -> bool:
    return bool(_headers(scope, b"expect"))


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
