"""Lines of a worker on their way to CloudWatch Logs: in order, in batches, never in the way.

Logs are a courtesy: when they cannot be delivered, that is noted and the work goes on.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Clock, Spawn, Wire
from scones.cloud.services.sagemaker.records import millis

__all__ = ["LogStream"]

_log = logging.getLogger(__name__)

_BATCH_S = 0.5  # how long a line may wait for company
_BATCH_EVENTS = 10_000  # PutLogEvents takes no more
_BATCH_BYTES = 1_048_576  # nor more than this, each event counting 26 bytes extra
_EVENT_BYTES = 262_144 - 26
_BUFFER_BYTES = 4 * _BATCH_BYTES  # beyond this the worker is made to wait
_TAIL_LINES = 20


class LogStream:
    """One stream of one group. `also` gets every line with its time, in milliseconds."""

    def __init__(
        self,
        *,
        call: Call,
        clock: Clock,
        spawn: Spawn,
        group: str,
        stream: str,
        also: Callable[[int, str], object] | None = None,
    ) -> None:
        self._call = call
        self._clock = clock
        self._spawn = spawn
        self.group = group
        self.stream = stream
        self._also = also
        self._events: deque[tuple[Wire, int]] = deque()
        self._buffered = 0
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._last = 0
        self._created = False
        self._pumping = False
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._room.set()

    def line(self, raw: bytes) -> None:
        text = raw[:_EVENT_BYTES].decode("utf-8", "replace").rstrip("\r")
        self._last = max(self._last, millis(self._clock.now()))
        if text.strip():
            self._tail.append(text)
        if self._also:
            try:
                self._also(self._last, text)
            except OSError as error:  # a full disk is no reason to stop reading
                _log.warning("the log file of %s ends here: %s", self.stream, error)
                self._also = None
        # CloudWatch Logs takes no empty message, but an empty line is worth seeing.
        self._events.append(({"timestamp": self._last, "message": text or " "}, size := len(raw) + 26))
        self._buffered += size
        if self._buffered > _BUFFER_BYTES:
            self._room.clear()
        if not self._pumping:
            self._pumping = True
            self._idle.clear()
            self._spawn(self._pump(), name=f"logs {self.group} {self.stream}")

    async def room(self) -> None:
        """Wait until there is room for more; slows a worker that prints faster than logs take it."""
        await self._room.wait()

    def tail(self) -> str:
        """The last lines that are not blank."""
        return "\n".join(self._tail)

    async def close(self) -> None:
        """Deliver what is left."""
        self._hurry.set()
        await self._idle.wait()

    async def _pump(self) -> None:
        try:
            while self._events:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), _BATCH_S)
                while self._events:
                    await self._deliver(self._batch())
        finally:
            self._pumping = False
            self._idle.set()
            self._room.set()

    def _batch(self) -> list[Wire]:
        batch: list[Wire] = []
        size = 0
        while self._events and len(batch) < _BATCH_EVENTS:
            event, event_size = self._events[0]
            if batch and size + event_size > _BATCH_BYTES:
                break
            self._events.popleft()
            size += event_size
            batch.append(event)
        self._buffered -= size
        if self._buffered <= _BUFFER_BYTES:
            self._room.set()
        return batch

    async def _deliver(self, batch: list[Wire]) -> None:
        where = {"logGroupName": self.group, "logStreamName": self.stream}
        try:
            if not self._created:
                await self._ensure("CreateLogGroup", {"logGroupName": self.group})
                await self._ensure("CreateLogStream", where)
                self._created = True
            await self._call("logs", "PutLogEvents", where | {"logEvents": batch})
        except ServiceError as error:
            _log.warning("%d log lines of %s are lost: %s", len(batch), self.stream, error)
            self._created = False  # somebody may have deleted the group or the stream

    async def _ensure(self, operation: str, request: Wire) -> None:
        try:
            await self._call("logs", operation, request)
        except ServiceError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise
