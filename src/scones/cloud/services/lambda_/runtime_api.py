"""The Runtime API of one worker: where AWS's runtime client asks for work and answers it.

A small HTTP/1.1 server on a loopback port of its own (the client's address can carry no path), with
one write per reply. It knows nothing of functions: it hands over an `Invocation` and tells a
`Listener` what came back.
Source: Lambda Developer Guide, "Using the Lambda runtime API".
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

__all__ = ["RESPONSE_LIMIT_BYTES", "Invocation", "Listener", "RuntimeApi"]

RESPONSE_LIMIT_BYTES = 6 * 1024 * 1024 + 100

_BASE = b"/2018-06-01/runtime/"
_NEXT = _BASE + b"invocation/next"
_INIT_ERROR = _BASE + b"init/error"
_INVOCATION = _BASE + b"invocation/"
_ACCEPTED = b'{"status":"OK"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What the runtime is told. deadline_ms: since the epoch; client_context: JSON text or empty."""

    id: str
    arn: str
    deadline_ms: int
    trace_id: str
    payload: bytes
    client_context: str = ""

    def encode(self) -> bytes:
        context = f"Lambda-Runtime-Client-Context: {self.client_context}\r\n" if self.client_context else ""
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {self.id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {self.deadline_ms}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {self.arn}\r\n"
            f"Lambda-Runtime-Trace-Id: {self.trace_id}\r\n"
            f"{context}Content-Length: {len(self.payload)}\r\n\r\n"
        )
        return head.encode() + self.payload


class Listener(Protocol):
    def ready(self) -> None:
        """The runtime asks for work; `RuntimeApi.send` may be called once."""

    def answered(self, invocation_id: str, body: bytes, *, error: bool) -> bool:
        """The function's result or error; False when no such invocation is running."""

    def too_large(self, invocation_id: str) -> None:
        """The result was refused for its size."""

    def hung_up(self) -> None:
        """The runtime no longer waits for work: its process is ending."""

    def failed_to_start(self, body: bytes) -> None:
        """The runtime could not load the function; it will end."""


class RuntimeApi:
    """Listens from `start` until `close`; `address` is what AWS_LAMBDA_RUNTIME_API must say."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.address = ""
        self._server: asyncio.Server | None = None
        self._polling: _Connection | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def send(self, invocation: Invocation) -> None:
        """Answer the waiting poll; the listener was told `ready` before."""
        if self._polling is not None:  # else it just hung up: its process is ending
            self._polling.write(invocation.encode())
            self._polling = None

    def polled(self, connection: "_Connection") -> None:
        self._polling = connection
        self.listener.ready()

    def opened(self, connection: "_Connection") -> None:
        self._connections.add(connection)

    def closed(self, connection: "_Connection") -> None:
        self._connections.discard(connection)
        if self._polling is connection:
            self._polling = None
            self.listener.hung_up()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One connection of the runtime client, kept alive between requests."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._api.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._api.closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._reply(400, b'{"errorType":"InvalidRequest","errorMessage":"Not HTTP"}')
            self.abort()

    # what httptools calls

    def on_message_begin(self) -> None:
        self._url, self._body, self._size = b"", [], 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= RESPONSE_LIMIT_BYTES:  # beyond it, only count
            self._body.append(body)

    def on_message_complete(self) -> None:
        url, method = self._url, self._parser.get_method()
        if method == b"GET" and url == _NEXT:
            self._api.polled(self)
        elif method == b"POST" and url == _INIT_ERROR:
            self._api.listener.failed_to_start(b"".join(self._body))
            self._reply(202, _ACCEPTED)
        elif method == b"POST" and url.startswith(_INVOCATION):
            self._answered(url[len(_INVOCATION) :].decode("latin-1"))
        else:
            self._reply(404, b'{"errorType":"NotFound","errorMessage":"No such path"}')

    def _answered(self, path: str) -> None:
        invocation_id, _, kind = path.partition("/")
        if kind not in ("response", "error"):
            self._reply(404, b'{"errorType":"NotFound","errorMessage":"No such path"}')
        elif self._size > RESPONSE_LIMIT_BYTES:
            self._api.listener.too_large(invocation_id)
            self._reply(413, b'{"errorType":"RequestEntityTooLarge","errorMessage":"Exceeded maximum size"}')
        elif self._api.listener.answered(invocation_id, b"".join(self._body), error=kind == "error"):
            self._reply(202, _ACCEPTED)
        else:
            self._reply(400, b'{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}')

    def _reply(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nContent-Length: "
        self.write(f"{head}{len(body)}\r\n\r\n".encode() + body)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


_REASONS = {202: "Accepted", 400: "Bad Request", 404: "Not Found", 413: "Payload Too Large"}
