"""An object's bytes to the payloads of requests: unpacked, split into records, packed by size.

Nothing here holds more than one payload and one piece, however large the object and however small
its compressed form. Raises PayloadError.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from scones.cloud.services.sagemaker.transform.records import Plan

__all__ = ["PayloadError", "payloads", "unpacked"]

_PIECE_BYTES = 256 * 1024
_MAGIC = 0xCED7230A.to_bytes(4, "little")  # every part of a RecordIO record begins with it
_LENGTH_BITS = 29


class PayloadError(ValueError):
    """The object is not what the request says it is, or a record of it is too large."""


async def payloads(pieces: AsyncIterator[bytes], plan: Plan) -> AsyncIterator[bytes]:
    """The payloads of one object, in order."""
    pieces = _in_turns(unpacked(pieces) if plan.gzip else pieces)
    if plan.split == "None":
        yield await _whole(pieces, plan.payload_bytes)
        return
    splitter: Splitter = _Lines(plan.payload_bytes) if plan.split == "Line" else _RecordIO(plan)
    packer = _Packer(plan, glue=b"\n" if plan.split == "Line" else b"")
    async for piece in pieces:
        for record in splitter.feed(piece):
            for payload in packer.add(record):
                yield payload
    for record in splitter.end():
        for payload in packer.add(record):
            yield payload
    if packer.held:
        yield packer.take()


async def unpacked(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gzip's content, in pieces of at most 256 KiB; several members follow each other as one."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        async for piece in pieces:
            while piece:
                if unpacker.eof:
                    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
                if out := unpacker.decompress(piece, _PIECE_BYTES):
                    yield out
                piece = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        while not unpacker.eof and (out := unpacker.decompress(b"", _PIECE_BYTES)):
            yield out
    except zlib.error as error:
        raise PayloadError(f"the object is no gzip file: {error}") from None
    if not unpacker.eof:
        raise PayloadError("the gzip file ends too early")


async def _in_turns(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, with a turn for others after each: neither files nor zlib ever wait by themselves."""
    async for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def _whole(pieces: AsyncIterator[bytes], limit: int) -> bytes:
    found: list[bytes] = []
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > limit:
            raise _too_large("object", limit)
        found.append(piece)
    return found[0] if len(found) == 1 else b"".join(found)


class Splitter(Protocol):
    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The records that end in this piece."""

    def end(self) -> Iterator[bytes]:
        """What is left once the object is over."""


class _Lines:
    """Records that end in a newline, which they lose; empty lines are none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        head, newline, tail = piece.partition(b"\n")
        self._rest += head
        if len(self._rest) > self._limit:
            raise _too_large("record", self._limit)
        if not newline:
            return
        *lines, rest = tail.split(b"\n")
        first, self._rest = bytes(self._rest), bytearray(rest)
        if first:
            yield first
        for line in lines:
            if line:
                yield line

    def end(self) -> Iterator[bytes]:
        if self._rest:
            yield bytes(self._rest)


class _RecordIO:
    """MXNet's framing: magic, kind and length, content, padding to four bytes.

    A record on its own loses frame and padding, as documented; among others it keeps them.
    Source: Apache MXNet, "RecordIO".
    """

    def __init__(self, plan: Plan) -> None:
        self._limit = plan.payload_bytes
        self._bare = plan.single
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._frames: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self._buffer += piece
        at = 0
        while len(self._buffer) - at >= 8:
            if self._buffer[at : at + 4] != _MAGIC:
                raise PayloadError("the object is no RecordIO file: a record does not begin with its magic")
            word = int.from_bytes(self._buffer[at + 4 : at + 8], "little")
            kind, length = word >> _LENGTH_BITS, word & ((1 << _LENGTH_BITS) - 1)
            end = at + 8 + length
            padded = end + -length % 4
            if self._size + length > self._limit:
                raise _too_large("record", self._limit)
            if len(self._buffer) < padded:
                break
            yield from self._part(kind, bytes(self._buffer[at + 8 : end]), bytes(self._buffer[at:padded]))
            at = padded
        del self._buffer[:at]

    def end(self) -> Iterator[bytes]:
        if self._buffer or self._parts:
            raise PayloadError("the RecordIO file ends within a record")
        yield from ()

    def _part(self, kind: int, content: bytes, frame: bytes) -> Iterator[bytes]:
        """kind: 0 a whole record, 1 its first part, 2 one between, 3 the last."""
        if (kind in (0, 1)) == bool(self._parts) or kind > 3:
            raise PayloadError("the parts of a RecordIO record are out of order")
        self._parts.append(content)
        self._frames.append(frame)
        self._size += len(frame)
        if kind in (0, 3):
            # Content that held the magic itself was cut there.
            record = _MAGIC.join(self._parts) if self._bare else b"".join(self._frames)
            self._parts, self._frames, self._size = [], [], 0
            yield record


class _Packer:
    """Records to payloads: one each, or as many as fit."""

    def __init__(self, plan: Plan, glue: bytes) -> None:
        self._limit = plan.payload_bytes
        self._single = plan.single
        self._glue = glue
        self._records: list[bytes] = []
        self._size = 0

    @property
    def held(self) -> bool:
        return bool(self._records)

    def add(self, record: bytes) -> Iterator[bytes]:
        """The payload that is full now, if one is."""
        if len(record) > self._limit:
            raise _too_large("record", self._limit)
        if self._single:
            yield record
            return
        if self._records and self._size + len(self._glue) + len(record) > self._limit:
            yield self.take()
        self._size += len(record) + (len(self._glue) if self._records else 0)
        self._records.append(record)

    def take(self) -> bytes:
        payload = self._glue.join(self._records)
        self._records, self._size = [], 0
        return payload


def _too_large(what: str, limit: int) -> PayloadError:
    return PayloadError(f"a whole {what} is larger than MaxPayloadInMB, {limit} bytes")
