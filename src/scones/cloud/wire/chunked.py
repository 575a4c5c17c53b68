"""aws-chunked: a body in pieces with their own lengths, signatures and trailing headers. No I/O.

    5;chunk-signature=…\\r\\nhello\\r\\n0;chunk-signature=…\\r\\nx-amz-checksum-crc32:NhCmhg==\\r\\n\\r\\n

Source: Amazon S3 API Reference, "Signature calculations … transferring payload in multiple chunks".
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Protocol

from scones.cloud.errors import ServiceError

__all__ = ["ChunkVerifier", "Decoder", "is_chunked"]

_LONGEST_LINE = 16 * 1024
_TRAILERS = 64


class ChunkVerifier(Protocol):
    """Checks the signatures within a body against the one of its headers."""

    def update(self, piece: bytes) -> None: ...

    def end_of_chunk(self, signature: str) -> None:
        """Raises ServiceError when the pieces since the last chunk were signed otherwise."""

    def end_of_trailers(self, trailers: bytes, signature: str) -> None: ...


def is_chunked(headers: Mapping[str, str]) -> bool:
    if "x-amz-content-sha256" not in headers and "content-encoding" not in headers:
        return False
    encodings = [e.strip() for e in headers.get("content-encoding", "").lower().split(",")]
    return "aws-chunked" in encodings or headers.get("x-amz-content-sha256", "").startswith("STREAMING-")


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    DONE = auto()


def _malformed(why: str) -> ServiceError:
    return ServiceError("IncompleteBody", f"The request body is not a valid aws-chunked encoding: {why}.")


class Decoder:
    """Feed it what arrives; it yields what was meant. `trailers` is complete once `close` has passed."""

    def __init__(self, verifier: ChunkVerifier | None = None) -> None:
        self.trailers: dict[str, str] = {}
        self.decoded = 0
        self._verifier = verifier
        self._buffer = bytearray()
        self._state = _State.SIZE
        self._left = 0
        self._signature = ""
        self._signed_trailers = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._buffer += data
        while self._buffer and self._state is not _State.DONE:
            if self._state is _State.DATA:
                piece = bytes(self._buffer[: self._left])
                del self._buffer[: len(piece)]
                self._take(piece)
                yield piece
            elif not self._line():
                return

    def close(self) -> None:
        """Raises ServiceError when the body ended before its last chunk."""
        if self._state is not _State.DONE and not self._ended_without_blank_line():
            raise _malformed("it ends before its last chunk")

    def _ended_without_blank_line(self) -> bool:
        """Some clients leave out the empty line after the last chunk."""
        if self._state is not _State.TRAILERS:
            return False
        if self._buffer:
            self._trailer(bytes(self._buffer))
        self._finish()
        return True

    def _take(self, piece: bytes) -> None:
        self._left -= len(piece)
        self.decoded += len(piece)
        if self._verifier:
            self._verifier.update(piece)
        if not self._left:
            self._state = _State.DATA_END

    def _line(self) -> bool:
        """Consume one line; False when it hasn't arrived whole."""
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_LINE:
                raise _malformed("a line is too long")
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if self._state is _State.SIZE:
            self._size(line)
        elif self._state is _State.DATA_END:
            if line:
                raise _malformed("a chunk is longer than it says")
            self._end_of_chunk()
            self._state = _State.SIZE
        elif line:
            self._trailer(line)
        else:
            self._finish()
        return True

    def _size(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        size = size.strip()
        if not size or len(size) > 12 or any(c not in b"0123456789abcdefABCDEF" for c in size):
            raise _malformed(f"{line[:40]!r} is not a chunk's length")
        self._left = int(size, 16)
        self._signature = extension.partition(b"chunk-signature=")[2].strip().decode("latin-1")
        if self._left:
            self._state = _State.DATA
        else:
            self._end_of_chunk()
            self._state = _State.TRAILERS

    def _end_of_chunk(self) -> None:
        if self._verifier:
            self._verifier.end_of_chunk(self._signature)

    def _trailer(self, line: bytes) -> None:
        if len(self.trailers) >= _TRAILERS:
            raise _malformed("it has too many trailers")
        name, colon, value = line.partition(b":")
        if not colon:
            raise _malformed(f"{line[:40]!r} is not a trailing header")
        key = name.strip().lower().decode("latin-1")
        if key != "x-amz-trailer-signature":
            self._signed_trailers += key.encode("latin-1") + b":" + value.strip() + b"\n"
        self.trailers[key] = value.strip().decode("latin-1")

    def _finish(self) -> None:
        self._state = _State.DONE
        if self._verifier and self._signed_trailers:
            signature = self.trailers.get("x-amz-trailer-signature", "")
            self._verifier.end_of_trailers(self._signed_trailers, signature)
