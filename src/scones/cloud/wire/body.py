"""Request bodies as services want them: unwrapped, and checked against what their headers promise."""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Stream
from scones.cloud.wire.chunked import ChunkVerifier, Decoder, is_chunked
from scones.cloud.wire.http import HttpRequest

__all__ = ["CheckedStream", "collect", "is_checked", "open_body", "plain_headers"]

_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")


class CheckedStream:
    """A body that raises at its end when it isn't what its headers promised, so nothing gets committed.

    `trailers` holds what followed an aws-chunked body, once that has been read to the end.
    """

    def __init__(
        self,
        source: Stream,
        *,
        length: int | None,
        sha256: str | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        self.length = length
        self.trailers: dict[str, str] = {}
        self._source = source
        self._sha256 = sha256
        self._decoder = decoder

    async def __aiter__(self) -> AsyncIterator[bytes]:
        digest = hashlib.sha256() if self._sha256 else None
        received = 0
        async for data in self._source:
            for piece in self._decoder.feed(data) if self._decoder else (data,):
                received += len(piece)
                if digest:
                    digest.update(piece)
                yield piece
        if self._decoder:
            self._decoder.close()
            self.trailers = self._decoder.trailers
        if self.length is not None and received != self.length:
            raise ServiceError(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header: "
                f"{self.length} announced, {received} received.",
            )
        if digest and digest.hexdigest() != self._sha256:
            raise ServiceError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )


def is_checked(headers: Mapping[str, str]) -> bool:
    """Whether the headers promise something of the body that has to be checked, or wrap it."""
    return "x-amz-content-sha256" in headers or is_chunked(headers)


def open_body(request: HttpRequest, verifier: ChunkVerifier | None = None) -> CheckedStream:
    """verifier: checks the signatures of chunks where the sender's secret is known."""
    headers = request.headers
    if is_chunked(headers):
        stated = headers.get("x-amz-decoded-content-length")
        if stated is not None and not (stated.isascii() and stated.isdigit() and len(stated) < 16):
            raise ServiceError("InvalidArgument", f"x-amz-decoded-content-length is not a length: {stated!r}")
        length = int(stated) if stated is not None else None
        return CheckedStream(request.body, length=length, decoder=Decoder(verifier))
    stated = headers.get("x-amz-content-sha256", "")
    sha256 = stated.lower() if _SHA256.match(stated) else None
    return CheckedStream(request.body, length=request.body.length, sha256=sha256)


def plain_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of the body within, where it came as aws-chunked."""
    if not is_chunked(headers):
        return headers
    plain = dict(headers)
    encodings = [e.strip() for e in plain.pop("content-encoding", "").split(",")]
    if kept := [e for e in encodings if e and e.lower() != "aws-chunked"]:
        plain["content-encoding"] = ",".join(kept)
    plain.pop("content-length", None)
    if "x-amz-decoded-content-length" in plain:
        plain["content-length"] = plain["x-amz-decoded-content-length"]
    return plain


async def collect(body: Stream, *, limit: int, too_long: ServiceError) -> bytes:
    """The whole body; raises `too_long` beyond `limit` bytes, unread where its length is announced."""
    if body.length is not None and body.length > limit:
        raise too_long
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        size += len(piece)
        if size > limit:
            raise too_long
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
