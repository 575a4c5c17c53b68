"""A channel's data: which objects it names, brought into files or into one stream of bytes.

Manifests and compressed objects are hostile until checked.
"""

import asyncio
import json
import random
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, FileBody, Stream, Wire, chunks
from scones.cloud.services.sagemaker.channels import DataType, data_type, source_uri
from scones.cloud.services.sagemaker.transfer import (
    TransferError,
    download_objects,
    keys_under,
    local_name,
)
from scones.cloud.services.sagemaker.wording import S3Uri

__all__ = ["Item", "fetch", "items", "stream"]

_MANIFEST_BYTES = 256 * 1024**2
_RECORD_BYTES = 2**29 - 1  # what 29 bits of a RecordIO header can say
_MAGIC = 0xCED7230A
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Item:
    """One object and the name it has in a channel's folder."""

    uri: S3Uri
    name: str


async def fetch(call: Call, channel: Wire, folder: Path) -> int:
    """All that a channel names into files; returns how many. Raises TransferError."""
    pairs = ((item.uri, item.name) async for item in _items(call, channel))
    return await download_objects(call, pairs, folder)


async def stream(call: Call, channel: Wire, epoch: int) -> AsyncIterator[bytes]:
    """What a pipe carries in one epoch, in pieces. epoch: from 0. Raises TransferError.

    Objects come one after the other, each in a RecordIO record where RecordWrapperType asks for
    it. Of an augmented manifest come the attributes of each line, in the order of AttributeNames.
    ShuffleConfig gives every epoch an order of its own, which its seed decides.
    """
    shuffle = channel.get("ShuffleConfig")
    order = random.Random(f"{shuffle['Seed']} {epoch}") if shuffle else None
    if data_type(channel) is DataType.AUGMENTED:
        async for piece in _augmented(call, channel, order):
            yield piece
        return
    found = [item async for item in _items(call, channel)]
    if order:
        order.shuffle(found)
    for item in found:
        async for piece in _object(call, channel, item.uri):
            yield piece


def _items(call: Call, channel: Wire) -> AsyncIterator[Item]:
    return items(call, source_uri(channel), manifest=data_type(channel) is DataType.MANIFEST)


async def items(call: Call, uri: S3Uri, *, manifest: bool) -> AsyncIterator[Item]:
    """The objects under a prefix, or those that a manifest names. Raises TransferError."""
    if manifest:
        for item in await _listed(call, uri):
            yield item
        return
    async for key in keys_under(call, uri):
        if not key.endswith("/"):  # a console's "folder": an object of no bytes
            yield Item(S3Uri(uri.bucket, key), local_name(uri.key, key))


async def _listed(call: Call, uri: S3Uri) -> list[Item]:
    """The objects of a manifest: `[{"prefix": "s3://bucket/prefix"}, "key", …]`."""
    try:
        first, *names = orjson.loads(await _read(call, uri, _MANIFEST_BYTES))
        prefix = S3Uri.parse(first["prefix"], "prefix")
        if not all(isinstance(name, str) and name for name in names):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, ServiceError):
        raise TransferError(
            f'the manifest {uri} must be a JSON list of {{"prefix": "s3://…"}} and names of objects'
        ) from None
    found = (S3Uri(prefix.bucket, prefix.key + name) for name in names)
    return [Item(item, local_name(prefix.key, item.key)) for item in found]


async def _augmented(call: Call, channel: Wire, order: random.Random | None) -> AsyncIterator[bytes]:
    uri = source_uri(channel)
    names = channel["DataSource"]["S3DataSource"]["AttributeNames"]
    lines = (await _read(call, uri, _MANIFEST_BYTES)).split(b"\n")
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if order:
        order.shuffle(numbered)
    for number, line in numbered:
        where = f"line {number} of the augmented manifest {uri}"
        row = _row(line, where)
        for name in names:
            if name not in row:
                raise TransferError(f'{where} has no attribute "{name}"')
            if name.endswith("-ref"):
                async for piece in _object(call, channel, _reference(row[name], name, where)):
                    yield piece
            else:
                value = row[name]
                text = value if isinstance(value, str) else json.dumps(value)
                for piece in _framed(channel, text.encode("utf-8", "replace")):
                    yield piece


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise TransferError(f"{where} is not a JSON object")
    return row


def _reference(value: Any, name: str, where: str) -> S3Uri:
    try:
        return S3Uri.parse(value, name)
    except (ServiceError, AttributeError):
        raise TransferError(f'the attribute "{name}" in {where} must have the form s3://bucket/key') from None


async def _object(call: Call, channel: Wire, uri: S3Uri) -> AsyncIterator[bytes]:
    """One object as the pipe carries it."""
    body = await _body(call, uri)
    pieces = _unzipped(body, uri) if channel.get("CompressionType") == "Gzip" else chunks(body)
    if channel.get("RecordWrapperType") != "RecordIO":
        async for piece in pieces:
            yield piece
        return
    content = b""
    if (length := _length(body)) is None or channel.get("CompressionType") == "Gzip":
        content = await _whole(pieces, uri)
        length = len(content)
    if length > _RECORD_BYTES:
        raise TransferError(f"{uri} has {length} bytes, more than a RecordIO record holds")
    yield struct.pack("<II", _MAGIC, length)
    if content:
        yield content
    else:
        async for piece in pieces:
            yield piece
    yield bytes(-length % 4)


def _framed(channel: Wire, content: bytes) -> tuple[bytes, ...]:
    if channel.get("RecordWrapperType") != "RecordIO":
        return (content,)
    return struct.pack("<II", _MAGIC, len(content)), content, bytes(-len(content) % 4)


async def _whole(pieces: AsyncIterator[bytes], uri: S3Uri) -> bytes:
    content = bytearray()
    async for piece in pieces:
        content += piece
        if len(content) > _RECORD_BYTES:
            raise TransferError(f"{uri} has more bytes than a RecordIO record holds")
    return bytes(content)


async def _unzipped(body: bytes | Stream | FileBody, uri: S3Uri) -> AsyncIterator[bytes]:
    """The content of one or several gzip members, never much of it at once."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        async for piece in chunks(body):
            while piece:
                if inflate.eof:
                    inflate = zlib.decompressobj(wbits=31)
                if found := inflate.decompress(piece, _PIECE_BYTES):
                    yield found
                piece = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
                await asyncio.sleep(0)
    except zlib.error as error:
        raise TransferError(f"{uri} is no gzip file: {error}") from error
    if not inflate.eof:
        raise TransferError(f"{uri} is no whole gzip file")


async def _read(call: Call, uri: S3Uri, limit: int) -> bytes:
    content = bytearray()
    async for piece in chunks(await _body(call, uri)):
        content += piece
        if len(content) > limit:
            raise TransferError(f"the manifest {uri} is longer than {limit} bytes")
    return bytes(content)


async def _body(call: Call, uri: S3Uri) -> bytes | Stream | FileBody:
    try:
        body: bytes | Stream | FileBody = (
            await call("s3", "GetObject", {"Bucket": uri.bucket, "Key": uri.key})
        )["Body"]
    except ServiceError as error:
        raise TransferError(f"{uri}: {error.message}") from error
    return body


def _length(body: bytes | Stream | FileBody) -> int | None:
    return len(body) if isinstance(body, bytes) else body.length
