"""One HTTP request and one reply as plain values; the only words that server and gateway share."""

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from scones.cloud.ports import FileBody, Stream

__all__ = ["BytesStream", "ClientGoneError", "HttpRequest", "HttpResponse", "is_loopback"]


class ClientGoneError(Exception):
    """The client closed its connection before its body had arrived; nobody waits for an answer."""


class BytesStream:
    """A body that is already here, in the shape of one that still has to be read."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.length: int | None = len(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.data:
            yield self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """headers: names in lower case, repeated ones joined by commas; path and query_string as they were
    sent, still percent-encoded."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Stream = field(default_factory=BytesStream)
    gone: Callable[[], Awaitable[None]] | None = None
    """Returns once the client has left; to be asked when the body has been read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """headers: names in lower case. content-length follows from the body; only a HEAD reply states it."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | FileBody | AsyncIterator[bytes] = b""


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether an address or name can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
