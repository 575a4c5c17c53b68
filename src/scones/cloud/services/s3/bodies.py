"""Bytes of objects and parts: received piece by piece, checked, kept in a row or a blob, read, removed.

The order is always blob, row, commit, and only then the removal of what the row replaced.
"""

import asyncio
import errno
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from scones.cloud.errors import ServiceError
from scones.cloud.ports import FileBody, Stream, chunks
from scones.cloud.services.s3.checksums import Declared, base64_text
from scones.cloud.services.s3.records import Body
from scones.cloud.state.blobs import Blobs, BlobWriter

__all__ = ["MAX_PUT_BYTES", "Bodies", "Received"]

MAX_PUT_BYTES = 5 * 1024**3
"""AWS's limit of one PutObject, UploadPart or CopyObject."""

_IN_ROW_BYTES = 16 * 1024
"""Up to here a body lies in its row, which costs half a file's put and two thirds of its get; at 32 KiB
they are equal, beyond it the row loses."""

_LINGER_S = 5.0
"""How long a removed blob can still be opened, for replies that name it but have not opened it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A body that has arrived whole and is what its sender declared."""

    body: Body
    md5: str
    checksum: str | None


class Bodies:
    def __init__(self, blobs: Blobs, *, limit_bytes: int = MAX_PUT_BYTES) -> None:
        self._blobs = blobs
        self._limit_bytes = limit_bytes
        self._lingering: dict[str, asyncio.TimerHandle] = {}

    async def receive(self, source: bytes | Stream | FileBody, declared: Declared) -> Received:
        """Store a body. Whatever goes wrong on the way, nothing of it stays."""
        sink = _Sink(self._blobs, limit_bytes=self._limit_bytes)
        try:
            with disk_errors():
                md5 = hashlib.md5(usedforsecurity=False)
                hasher = declared.algorithm.new() if declared.algorithm else None
                async for piece in chunks(source):
                    md5.update(piece)
                    if hasher is not None:
                        hasher.update(piece)
                    sink.write(piece)
                _check_length(source, sink.size)
                checksum = hasher.digest() if hasher else None
                declared.verify(md5.digest(), checksum, _trailers(source))
                return Received(
                    body=sink.commit(),
                    md5=md5.hexdigest(),
                    checksum=base64_text(checksum) if checksum is not None else None,
                )
        except BaseException:
            sink.discard()
            raise

    async def join(self, parts: Iterable[Body]) -> Body:
        """One body from several in a row, by way of at most one piece in memory."""
        sink = _Sink(self._blobs, limit_bytes=None)
        try:
            with disk_errors():
                for part in parts:
                    async for piece in chunks(self.open(part)):
                        sink.write(piece)
                        await asyncio.sleep(0)  # others' turn: reading a file never waits by itself
                return sink.commit()
        except BaseException:
            sink.discard()
            raise

    def open(self, body: Body, offset: int = 0, length: int | None = None) -> bytes | FileBody:
        """A body's bytes, or a stretch of them."""
        size = body.size - offset if length is None else length
        if body.blob is None:
            data = body.data or b""
            return data[offset : offset + size] if size != len(data) else data
        return FileBody(self._blobs.path(body.blob), offset, size)

    @contextmanager
    def kept_if_committed(self, body: Body) -> Iterator[None]:
        """Around the transaction that refers to a new body: should it fail, the body goes too."""
        try:
            with disk_errors():
                yield
        except BaseException:
            if body.blob is not None:
                self._blobs.delete(body.blob)
            raise

    def remove(self, blob: str | None) -> None:
        """Delete a blob that no row refers to any more, a little later; call it after the commit."""
        if blob is not None:
            loop = asyncio.get_running_loop()
            self._lingering[blob] = loop.call_later(_LINGER_S, self._delete, blob)

    def _delete(self, blob: str) -> None:
        self._lingering.pop(blob).cancel()
        self._blobs.delete(blob)

    def sweep(self, referenced: Iterable[str]) -> int:
        return self._blobs.sweep(referenced)

    def close(self) -> None:
        for blob in list(self._lingering):
            self._delete(blob)


class _Sink:
    """Takes pieces; turns to a blob once they are too many for a row."""

    def __init__(self, blobs: Blobs, *, limit_bytes: int | None) -> None:
        self._blobs = blobs
        self._limit_bytes = limit_bytes
        self._head = bytearray()
        self._writer: BlobWriter | None = None
        self.size = 0

    def write(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._limit_bytes is not None and self.size > self._limit_bytes:
            raise ServiceError(
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
                fields={"ProposedSize": self.size, "MaxSizeAllowed": self._limit_bytes},
            )
        if self._writer is not None:
            self._writer.write(piece)
        elif self.size <= _IN_ROW_BYTES:
            self._head += piece
        else:
            self._writer = self._blobs.writer()
            self._writer.write(bytes(self._head))
            self._writer.write(piece)

    def commit(self) -> Body:
        if self._writer is None:
            return Body(size=self.size, data=bytes(self._head))
        return Body(size=self.size, blob=self._writer.commit())

    def discard(self) -> None:
        if self._writer is not None:
            with disk_errors():
                self._writer.discard()


def _check_length(source: bytes | Stream | FileBody, size: int) -> None:
    expected = None if isinstance(source, bytes) else source.length
    if expected is not None and expected != size:
        raise ServiceError(
            "IncompleteBody",
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        )


def _trailers(source: object) -> Mapping[str, str]:
    """What followed an aws-chunked body; known once it has been read."""
    trailers: Mapping[str, str] = getattr(source, "trailers", None) or {}
    return trailers


@contextmanager
def disk_errors() -> Iterator[None]:
    """A full disk is an answer, not a fault of ours."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full() from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise _disk_full() from error


def _disk_full() -> ServiceError:
    return ServiceError(
        "ServiceUnavailable",
        "The disk that holds this cloud's state is full; nothing was stored. Free some space and try again.",
        status=503,
    )
