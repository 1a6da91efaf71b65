"""Callers of a service over HTTP/1.1, many at a time, each waiting for its answer before it asks again."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import psutil

from tests.test_serving.calls import HEADERS
from tests.test_serving.servers import Server


@dataclass
class Asked:
    """The seconds that answers took, by the clock of the caller, and those of the server's processor."""

    waits: list[float] = field(default_factory=list)
    processor: float = 0.0
    clock: float = 0.0


def processor_seconds(server: Server) -> float:
    """Return what a server and all that it started have used so far, also those that have ended."""
    first = psutil.Process(server.process.pid)
    times = [p.cpu_times() for p in (first, *first.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def ask(server: Server, path: str, bodies: Sequence[bytes], *, callers: int, times: int) -> Asked:
    """Ask so many times in all, by so many callers at once, over connections that stay open."""
    asked, turn = Asked(), cycle(bodies)
    before, began = processor_seconds(server), time.perf_counter()
    asyncio.run(_all(server.port, path, turn, callers, times, asked))
    asked.clock = time.perf_counter() - began
    asked.processor = processor_seconds(server) - before
    return asked


async def _all(port: int, path: str, turn: Iterator[bytes], callers: int, times: int, asked: Asked) -> None:
    left = [times]
    await asyncio.gather(*(_one(port, path, turn, left, asked) for _ in range(callers)))


async def _one(port: int, path: str, turn: Iterator[bytes], left: list[int], asked: Asked) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    while left[0] > 0:
        left[0] -= 1
        body = next(turn)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{path} answered {answer[:60]!r}")
        length = int(answer.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        asked.waits.append(time.perf_counter() - began)
    writer.close()
