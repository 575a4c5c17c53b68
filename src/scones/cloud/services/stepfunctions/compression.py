"""Objects that are compressed as a whole, as their names tell; never more in memory than a piece."""

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator
from typing import Protocol

from .read_limits import read_failed

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

__all__ = ["unpacked"]

_PIECE_BYTES = 256 * 1024


class _Decompressor(Protocol):
    """One gzip member, or one Zstandard frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gunzip:
    """zlib's decompressor in the manner of Zstandard's."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


_KINDS: dict[str, tuple[str, type[_Decompressor]]] = {
    ".gz": ("gzip", _Gunzip),
    ".zst": ("Zstandard", ZstdDecompressor),
    ".zstd": ("Zstandard", ZstdDecompressor),
}


def unpacked(pieces: AsyncIterator[bytes], key: str) -> AsyncIterator[bytes]:
    """The object's content: what its pieces unpack to, where the key ends as that of a compressed file."""
    for ending, (name, kind) in _KINDS.items():
        if key.endswith(ending):
            return _unpacked(pieces, kind, f"The object {key} is not valid {name}")
    return pieces


async def _unpacked(
    pieces: AsyncIterator[bytes], kind: type[_Decompressor], failure: str
) -> AsyncIterator[bytes]:
    """A piece of input never becomes more than a bounded piece of output at a time."""
    part: _Decompressor | None = None
    try:
        async for left in pieces:
            while left or (part and not part.needs_input):
                part = part or kind()
                yield part.decompress(left, _PIECE_BYTES)
                await asyncio.sleep(0)
                left = b""
                if part.eof:
                    left, part = part.unused_data, None
        while part and (rest := part.decompress(b"", _PIECE_BYTES)):
            yield rest
            part = None if part.eof else part
    except (zlib.error, ZstdError, EOFError) as problem:
        raise read_failed(f"{failure}: {problem}") from None
    if part and not part.eof:
        raise read_failed(f"{failure}: it ends too early")
