"""A transport on which the head of a reply leaves together with the body that is written right after it."""

import asyncio
from typing import Any

__all__ = ["Gathering"]

_HEAD = b"HTTP/1."


class Gathering:
    """Anything but writing and closing is the inner transport's own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._head and data.startswith(_HEAD):
            self._head = data
            self._loop.call_soon(self._flush)  # a reply may have no body
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
