"""One kept HTTP/1.1 connection to a serving process, one request at a time.

A request costs a quarter of what a general client spends on it, and every inference is one. Knows
nothing of endpoints or jobs.
"""

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools

__all__ = ["Answer", "Connection", "NoAnswerError"]

_SIZED = {b"content-length", b"transfer-encoding"}
_JOINED_BYTES = 64 * 1024  # up to here head and body go out as one write


class NoAnswerError(Exception):
    """The connection was lost, or what came was no HTTP; the message says which.

    idle: it was lost before anything came, on a connection that had been of use before, as when a
    server ends one that it takes for idle: then nothing is wrong.
    """

    def __init__(self, message: str, *, idle: bool = False) -> None:
        super().__init__(message)
        self.idle = idle


@dataclass(slots=True)
class Answer:
    """headers: names in lower case; of repeated ones the last."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Connection(asyncio.Protocol):
    """Made by `open`; of no more use once `closed`."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._begun = False
        self._used = False
        self.closed = False

    @classmethod
    async def open(cls, host: str, port: int, *, limit_bytes: int) -> "Connection":
        """limit_bytes: of an answer. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: cls(limit_bytes), host, port)
        return connection

    async def ask(self, head: bytes, body: bytes, *, timeout_s: float) -> Answer:
        """head: the request line and headers up to Content-Length, which is added.

        Raises NoAnswerError, and TimeoutError; after either the connection is closed.
        """
        assert self._transport is not None
        assert self._waiter is None, "one request at a time"
        if self.closed:
            raise NoAnswerError("the connection was closed", idle=self._used)
        self._begun = False
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        head = b"%bContent-Length: %d\r\n\r\n" % (head, len(body))
        if len(body) <= _JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines([head, body])
        timer = self._loop.call_later(timeout_s, self._late)
        try:
            answer = await waiter
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
            self._waiter = None
        self._used = True
        return answer

    def close(self) -> None:
        self.closed = True
        if self._transport:
            self._transport.abort()

    # --- what asyncio tells ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._lost("the container wants to speak another protocol")
        except httptools.HttpParserError as error:
            self._lost(f"what the container sent is no HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._begun and not self._headers.keys() & _SIZED:  # a body that ends with the connection
            self._finish()
        else:
            self._lost(f"the container closed the connection{f': {error}' if error else ''}")

    # --- what the parser tells ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._headers, self._body, self._size = {}, [], 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._begun = True

    def on_body(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit_bytes:
            self._lost(f"the answer is longer than {self._limit_bytes} bytes")
        else:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # 100 Continue and its like announce the answer
            self._begun = False
            return
        if not self._parser.should_keep_alive():
            self.closed = True
            if self._transport:
                self._transport.close()
        self._finish()

    def _finish(self) -> None:
        if self._waiter and not self._waiter.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._waiter.set_result(Answer(self._parser.get_status_code(), self._headers, body))

    def _late(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def _lost(self, message: str) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(NoAnswerError(message, idle=self._used and not self._begun))
        self.close()
