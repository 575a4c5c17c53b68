"""Sockets to requests and replies to sockets, and nothing else: an ASGI application on uvicorn."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from scones.cloud.gathering import Gathering
from scones.cloud.invocations import InvocationConnection
from scones.cloud.ports import FileBody
from scones.cloud.settings import CloudSettings
from scones.cloud.wire.http import ClientGoneError, HttpRequest, HttpResponse, is_loopback

__all__ = ["Server", "ServerError"]

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 256 * 1024
_BACKLOG = 2048
_KEEP_ALIVE_S = 600  # SDKs pool connections for minutes; one closed under them costs a retry.
_GRACE_S = 3  # How long requests under way may take to end when the cloud closes.

# The cloud is closing. A 503 tells clients to try again, which is what they should do.
_CLOSING = HttpResponse(status=503)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ServerError(Exception):
    """The server can't listen; the message says why and what to do."""


class Handler(Protocol):
    async def handle(self, request: HttpRequest) -> HttpResponse: ...


def _listen(settings: CloudSettings) -> socket.socket:
    host, port = settings.host, settings.port
    if not is_loopback(host) and not settings.credentials:
        raise ServerError(
            f"refusing to listen on {host} without credentials: anyone on the network could use this cloud; "
            "configure an access key and secret, or listen on 127.0.0.1"
        )
    if not 0 <= port <= 65535:
        raise ServerError(f"port {port} does not exist; choose one between 0 and 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as wrong:
        raise ServerError(f"the address {host!r} can't be resolved: {wrong}") from wrong
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as wrong:
        listener.close()
        raise ServerError(_why(wrong, host, port)) from wrong
    listener.setblocking(False)
    return listener


def _why(wrong: OSError, host: str, port: int) -> str:
    if wrong.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program; stop it, or choose another port"
    if wrong.errno == errno.EACCES:
        return f"port {port} on {host} needs privileges; choose a port above 1023"
    return f"can't listen on {host} port {port}: {wrong.strerror or wrong}"


class Server:
    """Listens on one port within the running event loop."""

    def __init__(self, gateway: Handler, settings: CloudSettings) -> None:
        self._gateway = gateway
        self._settings = settings
        self._listener: socket.socket | None = None
        self._server: uvicorn.Server | None = None

    def bind(self) -> int:
        """Take the port and return it; connections wait until `start`. To be called early, for it may fail.

        Raises ServerError when the port is taken, or when the address lies beyond loopback and no
        credentials are configured.
        """
        if self._listener is None:
            self._listener = _listen(self._settings)
        return int(self._listener.getsockname()[1])

    async def start(self) -> int:
        """Accept connections; returns the port.  Raises ServerError as `bind` does."""
        port = self.bind()
        config = uvicorn.Config(
            self._application,
            interface="asgi3",
            proxy_headers=False,
            http=self._connection,  # type: ignore[arg-type]  # what makes a protocol is enough
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            backlog=_BACKLOG,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        assert self._listener is not None
        await server.startup(sockets=[self._listener])
        self._server = server
        return port

    async def close(self) -> None:
        """Stop listening, let requests under way end within a bounded time, cancel the rest."""
        server, self._server = self._server, None
        listener, self._listener = self._listener, None
        if server is None or listener is None:
            if listener is not None:
                listener.close()
            return
        await server.shutdown(sockets=[listener])
        if tasks := list(server.server_state.tasks):
            await asyncio.wait(tasks, timeout=_GRACE_S)
        for connection in list(server.server_state.connections):
            connection.transport.close()

    def _connection(
        self, *, config: uvicorn.Config, server_state: ServerState, **state: Any
    ) -> asyncio.Protocol:
        """What uvicorn puts at a new connection."""

        def general() -> asyncio.Protocol:
            return _Connection(config=config, server_state=server_state, **state)

        return InvocationConnection(
            self._invocation, general, server_state.connections, server_state.tasks, _KEEP_ALIVE_S
        )

    async def _invocation(self, request: HttpRequest) -> bytes:
        try:
            response = await self._gateway.handle(request)
        except asyncio.CancelledError:
            response = _CLOSING
        return _whole_reply(response)

    async def _application(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        body = _Body(receive, scope["headers"])
        try:
            response = await self._gateway.handle(_request(scope, body))
        except ClientGoneError:
            _log.debug("the client left", extra={"action": "client_gone"})
            return
        except asyncio.CancelledError:
            response = _CLOSING
        await _reply(response, scope["method"], body, send)


class _Connection(HttpToolsProtocol):
    """Sends a reply's head together with its body, where both are there.

    uvicorn writes them one after the other. A client that gets the head alone, because the cloud died in
    between, may take the reply for whole.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, Gathering(transport)))


class _Body:
    """The request's body as it arrives; nothing is read before someone iterates."""

    def __init__(self, receive: Receive, headers: list[tuple[bytes, bytes]]) -> None:
        self._receive = receive
        self.length: int | None = 0
        self.expected = False
        self.touched = False
        for name, value in headers:
            if name == b"content-length":
                self.length = int(value)
            elif name == b"transfer-encoding":
                self.length = None
            elif name == b"expect":
                self.expected = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.touched = True
        if self.length == 0:
            return
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            if message["body"]:
                yield message["body"]
            if not message["more_body"]:
                return

    async def gone(self) -> None:
        """Returns when the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _request(scope: MutableMapping[str, Any], body: _Body) -> HttpRequest:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), _header(raw_value)
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return HttpRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query_string=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        gone=body.gone,
    )


def _header(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _reply(response: HttpResponse, method: str, body: _Body, send: Send) -> None:
    content = response.body
    if isinstance(content, FileBody) and method != "HEAD":
        with content.path.open("rb") as file:  # before the status line, so that a missing file is an error
            await _start(response, method, body, send, content.length)
            file.seek(content.offset)
            left = content.length
            while left and (piece := file.read(min(left, _CHUNK_BYTES))):
                left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
                await asyncio.sleep(0)  # send() doesn't wait once the client has left
            return
    if isinstance(content, bytes | FileBody):
        length = len(content) if isinstance(content, bytes) else content.length
        await _start(response, method, body, send, length)
        await send({"type": "http.response.body", "body": content if isinstance(content, bytes) else b""})
        return
    await _start(response, method, body, send, None)
    async for piece in content:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _start(response: HttpResponse, method: str, body: _Body, send: Send, length: int | None) -> None:
    headers = response.headers
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    fields.append((b"date", _date()))
    if length is not None and "content-length" not in headers and response.status not in (204, 304):
        fields.append((b"content-length", b"%d" % length))
    if body.expected and not body.touched:
        # The client was promised a 100 and keeps its body back: the connection can't be used again.
        fields.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": fields})


def _whole_reply(response: HttpResponse) -> bytes:
    """Status line, headers and body at once; for operations whose replies are short."""
    body = response.body
    assert isinstance(body, bytes)
    lines = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
    status = _STATUS_LINES.get(response.status) or str(response.status)
    head = f"HTTP/1.1 {status}\r\n{lines}content-length: {len(body)}\r\ndate: "
    return b"%b%b\r\n\r\n%b" % (head.encode("latin-1"), _date(), body)


_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_date_cache: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, formatdate(now, usegmt=True).encode())
    return _date_cache[1]
