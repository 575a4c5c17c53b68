"""What workers print, on its way to CloudWatch Logs: gathered for a moment, then delivered in batches.

Lines keep their order and their newline, as Lambda's do. A function that prints faster than they
can be stored is held up at its next line; none is lost, and the cloud's memory is not filled.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Clock, Spawn, Wire

__all__ = ["LogStream", "LogWriter"]

_log = logging.getLogger(__name__)

_LINGER_S = 0.1
_TAIL_BYTES = 4096
_BATCH_EVENTS = 1000  # storing more at once would hold up every other request
_BATCH_BYTES = 1024 * 1024
_EVENT_OVERHEAD_BYTES = 26
_WAITING_EVENTS = 20_000


class LogStream:
    """One worker's stream. `count` grows with every line, so that a reader can see the pipe run dry."""

    def __init__(self, writer: "LogWriter", group: str, name: str) -> None:
        self.group = group
        self.name = name
        self.count = 0
        self._writer = writer
        self._waiting: deque[Wire] = deque()
        self._room = asyncio.Event()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._made = False

    def line(self, line: bytes) -> None:
        """One line of the process, without its newline."""
        self.write(line.decode("utf-8", "replace") + "\n")

    def write(self, text: str) -> None:
        self.count += 1
        self._remember(text.encode())
        self._waiting.append({"timestamp": self._writer.now_ms(), "message": text})
        if len(self._waiting) == 1:
            self._writer.wake(self)

    def _remember(self, line: bytes) -> None:
        self._tail.append(line)
        self._tail_size += len(line)
        while self._tail_size - len(self._tail[0]) >= _TAIL_BYTES:
            self._tail_size -= len(self._tail.popleft())

    def tail(self) -> bytes:
        """The last 4 KiB since `forget`."""
        return b"".join(self._tail)[-_TAIL_BYTES:]

    def forget(self) -> None:
        self._tail.clear()
        self._tail_size = 0

    async def room(self) -> None:
        """Return when there is room for more lines."""
        while len(self._waiting) >= _WAITING_EVENTS:
            self._room.clear()
            await self._room.wait()

    async def deliver(self, call: Call) -> None:
        """Store everything that waits."""
        while self._waiting:
            batch = self._next_batch()
            try:
                await self._put(call, batch)
            except ServiceError as error:
                _log.warning("log lines of %s were lost: %s", self.name, error)
            self._room.set()
            await asyncio.sleep(0)

    def _next_batch(self) -> list[Wire]:
        batch: list[Wire] = []
        size = 0
        while self._waiting and len(batch) < _BATCH_EVENTS:
            size += len(self._waiting[0]["message"].encode()) + _EVENT_OVERHEAD_BYTES
            if batch and size > _BATCH_BYTES:
                return batch
            batch.append(self._waiting.popleft())
        return batch

    async def _put(self, call: Call, batch: list[Wire]) -> None:
        names = {"logGroupName": self.group, "logStreamName": self.name}
        if self._made:
            try:
                await call("logs", "PutLogEvents", names | {"logEvents": batch})
            except ServiceError as error:
                if error.code != "ResourceNotFoundException":
                    raise
            else:
                return
        with suppress(ServiceError):  # it exists, most of the time
            await call("logs", "CreateLogGroup", {"logGroupName": self.group})
        with suppress(ServiceError):
            await call("logs", "CreateLogStream", names)
        self._made = True
        await call("logs", "PutLogEvents", names | {"logEvents": batch})


class LogWriter:
    """Delivers the lines of all streams from one background task that ends when there are none."""

    def __init__(self, *, call: Call, clock: Clock, spawn: Spawn) -> None:
        self._call = call
        self._clock = clock
        self._spawn = spawn
        self._dirty: list[LogStream] = []
        self._running = False
        self._done = asyncio.Event()
        self._done.set()
        self._last_ms = 0

    def stream(self, group: str, name: str) -> LogStream:
        return LogStream(self, group, name)

    def now_ms(self) -> int:
        """Never less than before: a batch must be in order even when the clock is set back."""
        self._last_ms = max(self._last_ms, round(self._clock.now().timestamp() * 1000))
        return self._last_ms

    def wake(self, stream: LogStream) -> None:
        self._dirty.append(stream)
        if not self._running:
            self._running = True
            self._done.clear()
            self._spawn(self._run(), name="lambda logs")

    async def _run(self) -> None:
        try:
            while self._dirty:
                await asyncio.sleep(_LINGER_S)
                while self._dirty:
                    await self._dirty.pop().deliver(self._call)
        finally:
            self._running = False
            self._done.set()

    async def close(self) -> None:
        """Return when everything written so far is stored."""
        await self._done.wait()
