"""HTTP/1.1 on sockets, request by request to batches: what arrives while one batch is answered is the next.

Knows nothing of pictures. A request costs a third of what a general server spends on it, and the
graph computes a batch faster than its pictures one by one.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import httptools
import uvloop

from .logs import log

BATCH = 16  # requests answered together: more gain little and keep the first waiting

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}
_TEXT = b"text/plain"


@dataclass(slots=True)
class Request:
    """One request. body: None where it was longer than the server takes; types are as sent."""

    method: bytes
    path: bytes
    content_type: bytes
    accept: bytes
    body: bytes | None


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes
    content_type: bytes = _TEXT
    headers: bytes = b""
    """More of them, as whole lines."""


Answer = Callable[[Sequence[Request]], Sequence[Reply]]
"""The replies to a batch, in its order; an exception makes all of them a 500."""


class Server:
    """Runs in the loop of whoever starts it. body_limit: bytes; of longer bodies no more is kept."""

    def __init__(self, answer: Answer, body_limit: int) -> None:
        self._answer = answer
        self.body_limit = body_limit
        self._waiting: deque[tuple[_Connection, Request]] = deque()
        self.connections: set[_Connection] = set()
        self.settled: Callable[[], object] = lambda: None  # called when a request is over

    def run(self, listener: socket.socket, *, until: Callable[[asyncio.Event], None], grace_s: float) -> None:
        """Serve until the event that `until` is given; then answer what has begun to arrive.

        grace_s: how long that may take.
        """
        uvloop.run(self._serve(listener, until, grace_s))

    async def _serve(
        self, listener: socket.socket, until: Callable[[asyncio.Event], None], grace_s: float
    ) -> None:
        over, quiet = asyncio.Event(), asyncio.Event()
        until(over)
        server = await asyncio.get_running_loop().create_server(self.connect, sock=listener)
        await over.wait()
        server.close()

        def settled() -> None:
            if not any(connection.open for connection in self.connections):
                quiet.set()

        self.settled = settled
        settled()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(quiet.wait(), grace_s)
        for connection in list(self.connections):
            connection.close()

    def connect(self) -> asyncio.Protocol:
        """What answers a new connection."""
        return _Connection(self)

    def put(self, connection: "_Connection", request: Request) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._work)
        self._waiting.append((connection, request))

    def _work(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._work)
        try:
            replies = self._answer([request for _, request in batch])
        except Exception:
            log.exception("%d requests cannot be answered.", len(batch))
            replies = [Reply(500, b"the server made a mistake; its log has the details")] * len(batch)
        for (connection, request), reply in zip(batch, replies, strict=True):
            connection.reply(request, reply)


class _Connection(asyncio.Protocol):
    """open: its requests that have begun and are not answered."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._whole = True  # nothing of a request is still to come
        self._last = False
        self.open = 0

    def close(self) -> None:
        self._transport.close()

    # --- what the loop calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._server.settled()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(b"no protocol to upgrade to")
        except httptools.HttpParserError:
            self._refuse(b"not HTTP")

    def pause_writing(self) -> None:
        self._transport.pause_reading()  # whoever does not read gets to ask nothing more

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    # --- what the parser calls ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.open += 1
        self._whole = False
        self._url = self._content_type = self._accept = b""
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self._content_type = value
        elif name == b"accept":
            self._accept = value
        elif name == b"content-length" and value.isdigit():
            self._size = int(value)
        elif name == b"expect" and value.lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_headers_complete(self) -> None:
        if self._size > self._server.body_limit:  # answered now; what still comes is dropped
            self._last = True
            self._put(None)
        self._size = 0

    def on_body(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._server.body_limit:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        self._whole = True
        if self._last:
            self._close_after_last()
            return
        self._last = not self._parser.should_keep_alive()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._put(body if self._size <= self._server.body_limit else None)

    def _put(self, body: bytes | None) -> None:
        path = self._url.partition(b"?")[0]
        request = Request(self._parser.get_method(), path, self._content_type, self._accept, body)
        self._server.put(self, request)

    def reply(self, request: Request, reply: Reply) -> None:
        self.open -= 1
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b"
                % (
                    _STATUS_LINES[reply.status],
                    reply.content_type,
                    len(reply.body),
                    reply.headers,
                    b"connection: close\r\n" if self._last and not self.open else b"",
                    b"" if request.method == b"HEAD" else reply.body,
                )
            )
        self._close_after_last()
        self._server.settled()

    def _close_after_last(self) -> None:
        if self._last and self._whole and not self.open:
            self._transport.close()

    def _refuse(self, reason: bytes) -> None:
        self.reply(Request(b"", b"", b"", b"", b""), Reply(400, reason))
        self._transport.close()
