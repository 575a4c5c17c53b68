"""Connections on which endpoints are invoked, on a shorter way between socket and gateway.

A whole small `POST /endpoints/NAME/invocations` takes one task and one write. Anything else that a
connection brings, then or later, goes to the general protocol from its first byte, and so does the
connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableSet
from typing import Any, cast

import httptools

from scones.cloud.wire.http import BytesStream, HttpRequest

__all__ = ["InvocationConnection"]

_BEGINNING = b"POST /endpoints/"
_END = b"/invocations HTTP/1.1\r\n"
_LINE_BYTES = 512  # of the first line; names of endpoints have at most 63 characters
_BODY_BYTES = 1024 * 1024  # a larger body comes in many pieces anyway
_AHEAD_BYTES = 64 * 1024  # that may arrive before the answer has been given
_ELSEWHERE = frozenset({"expect", "transfer-encoding", "content-encoding", "upgrade"})

Answer = Callable[[HttpRequest], Awaitable[bytes]]
"""The whole reply to a request, status line and all."""


class InvocationConnection(asyncio.Protocol):
    """general: makes the protocol for everything else. connections, tasks: the server's, which it closes.

    Has `shutdown` and `transport` as uvicorn expects them of its connections.
    """

    def __init__(
        self,
        answer: Answer,
        general: Callable[[], asyncio.Protocol],
        connections: MutableSet[Any],
        tasks: MutableSet[asyncio.Task[None]],
        keep_alive_s: float,
    ) -> None:
        self._answer = answer
        self._general = general
        self._connections = connections
        self._tasks = tasks
        self._keep_alive_s = keep_alive_s
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._received = b""  # and not yet answered or handed over
        self._parsed = 0  # bytes of these
        self._task: asyncio.Task[None] | None = None
        self._last = False
        self._used_at = self._loop.time()
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._plain = True
        self._complete = False

    # --- what asyncio and uvicorn call ----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._idle_timer = self._loop.call_later(self._keep_alive_s, self._close_idle)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._idle_timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if not self._task:
            self._look()
        elif len(self._received) > _AHEAD_BYTES:
            self.transport.pause_reading()

    def shutdown(self) -> None:
        """Close as soon as what has begun is answered."""
        self._last = True
        if not self._task:
            self.transport.close()

    def _close_idle(self) -> None:
        left = self._used_at + self._keep_alive_s - self._loop.time()
        if left <= 0 and not self._task:
            self.transport.close()
        else:
            self._idle_timer = self._loop.call_later(max(left, 1.0), self._close_idle)

    # --- what is received -----------------------------------------------------------------------

    def _look(self) -> None:
        data = self._received
        if not self._parsed:
            line_end = data.find(b"\n", 0, _LINE_BYTES) + 1
            if not line_end and _BEGINNING.startswith(data[: len(_BEGINNING)]) and len(data) < _LINE_BYTES:
                return  # the rest of the line is still to come
            if not (data.startswith(_BEGINNING) and data.endswith(_END, 0, line_end)):
                self._hand_over()
                return
        try:
            self._parser.feed_data(data[self._parsed :] if self._parsed else data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._plain = False
        self._parsed = len(data)
        if not self._plain:
            self._hand_over()
        elif self._complete:
            self._run()

    def _hand_over(self) -> None:
        general = self._general()
        self._connections.discard(self)
        self._idle_timer.cancel()
        self.transport.set_protocol(general)
        general.connection_made(self.transport)
        general.data_received(self._received)

    # --- what the parser calls ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:  # the next one is here before this one is answered
            self._plain = False

    def on_url(self, url: bytes) -> None:
        self._path = url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.lower().decode("latin-1")
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        headers = self._headers
        headers[key] = f"{headers[key]},{text}" if key in headers else text

    def on_headers_complete(self) -> None:
        length = self._headers.get("content-length", "")
        short = length.isdigit() and int(length) <= _BODY_BYTES
        self._plain = self._plain and short and self._headers.keys().isdisjoint(_ELSEWHERE)

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        self._complete = True
        self._last = self._last or not self._parser.should_keep_alive()

    # --- what is answered -----------------------------------------------------------------------

    def _run(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = HttpRequest(method="POST", path=self._path, headers=self._headers, body=BytesStream(body))
        self._received, self._parsed = b"", 0
        self._begin()
        self._task = self._loop.create_task(self._reply(request))
        self._tasks.add(self._task)

    async def _reply(self, request: HttpRequest) -> None:
        try:
            reply = await self._answer(request)
        except Exception:
            self.transport.close()  # a mistake of ours: no answer, but no hang either
            raise
        finally:
            assert self._task
            self._tasks.discard(self._task)
            self._task = None
        if self.transport.is_closing():
            return
        self.transport.write(reply)
        self._used_at = self._loop.time()
        if self._last:
            self.transport.close()
        elif self._received:
            self.transport.resume_reading()
            self._look()
