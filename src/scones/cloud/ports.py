"""What services may expect of the world: time, identifiers, other services, planned faults, bytes.

Only protocols and the small values that cross them; the composition root picks implementations.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

__all__ = [
    "Announce",
    "Call",
    "Clock",
    "Context",
    "Faults",
    "FileBody",
    "Ids",
    "Operation",
    "Service",
    "Spawn",
    "Stream",
    "Wire",
    "chunks",
    "milliseconds",
    "never",
    "unheard",
]

_CHUNK_BYTES = 256 * 1024

Wire = dict[str, Any]
"""One request or reply with AWS's member names; timestamps are aware datetimes, blobs are bytes."""


async def never() -> None:
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks, and under which request id.

    headers (names in lower case) and body (where it was read whole) are only for what no model carries.
    """

    request_id: str
    account_id: str
    region: str
    access_key: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    gone: Callable[[], Awaitable[None]] = field(default=never, repr=False)
    """Returns once the client has left, for an operation that is held until there is something to tell."""


Operation = Callable[[Wire, Context], Wire | Coroutine[Any, Any, Wire]]
"""A plain function runs whole inside one transaction; a coroutine opens its own short ones."""


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC, whole milliseconds."""

    def monotonic(self) -> float:
        """Seconds."""


def milliseconds(moment: datetime) -> int:
    """Since 1970, as the state keeps moments."""
    return round(moment.timestamp() * 1000)


class Ids(Protocol):
    def uuid(self) -> str:
        """A random UUID, version 4, in its 36-character form."""

    def token(self, length: int) -> str:
        """Lower-case hexadecimal digits."""


class Announce(Protocol):
    """Send an event that AWS's services send by themselves; it commits with the change it tells of.

    tell: gives the ARN of what changed and the event's detail, or None where AWS sends no event; asked
        only where some rule listens.
    """

    def __call__(
        self, source: str, detail_type: str, tell: Callable[[], tuple[str, Wire] | None]
    ) -> None: ...


def unheard(source: str, detail_type: str, tell: Callable[[], tuple[str, Wire] | None]) -> None:
    """An Announce where nobody listens."""


class Faults(Protocol):
    def reach(self, point: str) -> None:
        """Pass a named point; a fault test may end the process here."""


class Call(Protocol):
    """Another service through the client's door, minus the socket: the same validation and errors."""

    async def __call__(self, service: str, operation: str, request: Wire) -> Wire: ...


class Spawn(Protocol):
    """Start a background task that the runtime awaits or cancels when it closes.

    An exception that leaves the task is logged as a bug; it ends nothing else.
    """

    def __call__(self, work: Coroutine[Any, Any, None], *, name: str) -> None: ...


class Service(Protocol):
    """One AWS service: its name in botocore, and objects whose public methods are its operations.

    A method called `xform_name(operation)` on any part implements that operation.
    """

    name: str
    parts: tuple[object, ...]

    async def start(self) -> None:
        """Repair what a crash left, then begin background work. Every start is a start after a crash."""

    async def close(self) -> None:
        """Stop background work and child processes."""


@runtime_checkable
class Stream(Protocol):
    """A request body that has not been read yet; iterate it once."""

    length: int | None

    def __aiter__(self) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class FileBody:
    """A reply body that lies in a file: `length` bytes from `offset`."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


async def chunks(body: bytes | Stream | FileBody) -> AsyncIterator[bytes]:
    """Any body as pieces of at most 256 KiB, whoever sent it."""
    if isinstance(body, bytes):
        for start in range(0, len(body), _CHUNK_BYTES):
            yield body[start : start + _CHUNK_BYTES]
    elif isinstance(body, FileBody):
        with body.path.open("rb") as file:
            file.seek(body.offset)
            left = body.length
            while left and (piece := file.read(min(left, _CHUNK_BYTES))):
                left -= len(piece)
                yield piece
    else:
        async for piece in body:
            yield piece
