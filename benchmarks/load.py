"""A lean HTTP client: the same requests over kept connections, as fast as answers come.

    python benchmarks/load.py HOST PORT FILE [--connections 16] [--seconds 3 | --requests 20000]

FILE holds a JSON list of requests, each the base64 of its bytes on the wire. Every connection has one
request on its way at a time and takes the next of the list when the answer is there. Prints a JSON
object: answers, answers a second, milliseconds at the 50th and 99th percentile, the microseconds of
processor time that this client spent on each, and how many answers had which status.
"""

import argparse
import asyncio
import collections
import json
import time
from base64 import b64decode
from pathlib import Path
from typing import cast

import uvloop

QUIET_S = 60.0  # without any answer for so long, the server has hung


class Connection(asyncio.Protocol):
    """One connection's requests, one after the other."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._next()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        if end < 0 or len(received) < end + 4 + length(received, end):
            self._received = received
            return
        self._received = b""
        self._load.answered(received[9:12], time.perf_counter() - self._sent_at)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(error)

    def _next(self) -> None:
        if request := self._load.next():
            self._sent_at = time.perf_counter()
            self._transport.write(request)


def length(head: bytes, end: int) -> int:
    """content-length of an answer; every server here states it."""
    at = head.find(b"ontent-length: ", 0, end)
    if at < 0:
        at = head.find(b"ontent-Length: ", 0, end)
    if at < 0:
        raise SystemExit(f"an answer without its length: {head[:end]!r}")
    return int(head[at + 15 : head.index(b"\r\n", at)])


class Load:
    """seconds, requests: how long, and how many at most."""

    def __init__(self, bodies: list[bytes], seconds: float, requests: int) -> None:
        self._bodies = bodies
        self._left = requests
        self._under_way = 0
        self._until = time.perf_counter() + seconds
        self.taken: list[float] = []
        self.statuses: collections.Counter[str] = collections.Counter()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        if not self._left or time.perf_counter() > self._until:
            if not self._under_way and not self.over.done():
                self.over.set_result(None)
            return None
        self._left -= 1
        self._under_way += 1
        return self._bodies[self._left % len(self._bodies)]

    def answered(self, status: bytes, seconds: float) -> None:
        self.taken.append(seconds)
        self.statuses[status.decode()] += 1
        self._under_way -= 1

    def lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(SystemExit(f"a connection was lost: {error}"))


async def measure(chosen: argparse.Namespace, bodies: list[bytes]) -> str:
    load = Load(bodies, chosen.seconds, chosen.requests)
    began, cpu = time.perf_counter(), time.process_time()
    loop = asyncio.get_running_loop()
    for _ in range(chosen.connections):
        await loop.create_connection(lambda: Connection(load), chosen.host, chosen.port)
    seen = -1
    while not load.over.done() and len(load.taken) != seen:
        seen = len(load.taken)
        await asyncio.wait({load.over}, timeout=QUIET_S)
    if not load.over.done():
        raise SystemExit(f"no answer for {QUIET_S:.0f} s after {seen}")
    await load.over
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    taken = sorted(load.taken)
    count = len(taken)
    return json.dumps(
        {
            "count": count,
            "rate": count / wall,
            "p50": taken[count // 2] * 1000,
            "p99": taken[count * 99 // 100] * 1000,
            "client_us": cpu / count * 1e6,
            "statuses": load.statuses,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=86_400.0)
    parser.add_argument("--requests", type=int, default=1_000_000_000)
    chosen = parser.parse_args()
    bodies = [b64decode(text) for text in json.loads(chosen.file.read_text())]
    print(uvloop.run(measure(chosen, bodies)))


if __name__ == "__main__":
    main()
