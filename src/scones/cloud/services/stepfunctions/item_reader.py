"""The items of a distributed Map, read from S3 as they are wanted: never more in memory than a piece.

Every failure is States.ItemReaderFailed.
"""

import asyncio
import csv
import io
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import ijson

from scones.cloud.asl.distributed import Reading
from scones.cloud.asl.jsontext import loads
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Wire, chunks

from .json_elements import NOT_ITERABLE, JsonElements, read_failed

__all__ = ["Item", "Place", "read_items"]


@dataclass(slots=True)
class Place:
    """Where reading stands. Kept with what was made of the items, it lets another go on from there."""

    etag: str | None = None
    """Of the object that is read: whoever goes on must find the same."""
    key: str | None = None
    """The last one that was listed: whoever goes on begins after it."""


@dataclass(frozen=True, slots=True)
class Item:
    value: Any
    source: str
    """The S3 URI it came from."""
    key: str | None = None
    """Where the item is a listed object: the place to go on from."""


_LONGEST_LINE = 8 * 1024 * 1024


async def read_items(call: Call, reading: Reading, place: Place, done: int = 0) -> AsyncIterator[Item]:
    """The items after the first `done`, which led to the place. Raises StateError."""
    if reading.max_items < 0:
        raise read_failed("field MaxItems must be positive")
    count = done if place.key else 0
    try:
        async for item in _all_items(call, reading, place):
            if reading.max_items and count >= reading.max_items:
                return
            if count >= done:
                yield item
            count += 1
            if count % 64 == 0:
                await asyncio.sleep(0)
    except ServiceError as problem:
        code = f"Service: Amazon S3; Status Code: {problem.status}; Error Code: {problem.code}"
        raise read_failed(f"{problem.message} ({code})") from None
    except UnicodeDecodeError:
        raise read_failed("The object is not encoded in UTF-8.") from None


def _text(reading: Reading, name: str, default: str | None = None) -> str:
    value = reading.parameters.get(name, default)
    if not isinstance(value, str):
        raise read_failed(f"The field {name} of an ItemReader must be a string.")
    return value


def _all_items(call: Call, reading: Reading, place: Place) -> AsyncIterator[Item]:
    bucket = _text(reading, "Bucket")
    if reading.action == "listObjectsV2":
        listed = _listed(call, bucket, _text(reading, "Prefix", ""), place.key)
        return _loaded(call, reading, bucket, listed) if reading.flatten else listed
    key = _text(reading, "Key")
    if reading.input_type == "MANIFEST":
        return _inventory(call, bucket, key, place)
    return _object_items(call, reading, bucket, key, place)


async def _listed(call: Call, bucket: str, prefix: str, after: str | None) -> AsyncIterator[Item]:
    request: Wire = {"Bucket": bucket, "Prefix": prefix} | ({"StartAfter": after} if after else {})
    while True:
        reply = await call("s3", "ListObjectsV2", request)
        for found in reply.get("Contents", ()):
            item = {
                "Etag": found["ETag"],
                "Key": found["Key"],
                "LastModified": int(found["LastModified"].timestamp()),
                "Size": found["Size"],
                "StorageClass": found.get("StorageClass", "STANDARD"),
            }
            yield Item(item, f"s3://{bucket}", found["Key"])
        if not reply.get("IsTruncated"):
            return
        request["ContinuationToken"] = reply["NextContinuationToken"]


async def _loaded(
    call: Call, reading: Reading, bucket: str, listed: AsyncIterator[Item]
) -> AsyncIterator[Item]:
    async for entry in listed:
        key = entry.value["Key"]
        if not key.endswith("/"):
            async for item in _object_items(call, reading, bucket, key, Place()):
                yield item


async def _object_items(
    call: Call, reading: Reading, bucket: str, key: str, place: Place
) -> AsyncIterator[Item]:
    source = f"s3://{bucket}/{key}"
    pieces = await _pieces(call, bucket, key, place)
    if reading.input_type == "JSON":
        items = _json_items(pieces, reading.pointer)
    elif reading.input_type == "JSONL":
        items = _json_lines(pieces)
    else:
        items = _rows(_lines(pieces), reading.headers, reading.delimiter)
    async for item in items:
        yield Item(item, source)


async def _pieces(call: Call, bucket: str, key: str, place: Place) -> AsyncIterator[bytes]:
    request: Wire = {"Bucket": bucket, "Key": key} | ({"IfMatch": place.etag} if place.etag else {})
    reply = await call("s3", "GetObject", request)
    place.etag = reply["ETag"]
    return chunks(reply["Body"])


# JSON ---------------------------------------------------------------------------------------------


async def _json_items(pieces: AsyncIterator[bytes], pointer: list[str]) -> AsyncIterator[Any]:
    """The elements of the document's array, or of the one that the pointer leads to."""
    events, elements = ijson.sendable_list(), JsonElements(pointer)
    parser = ijson.basic_parse_coro(events)
    try:
        async for piece in pieces:
            parser.send(piece)
            for item in elements.take(events):
                yield item
            events.clear()
        parser.close()
    except ijson.JSONError as problem:
        raise read_failed(f"The object is not valid JSON: {' '.join(str(problem).split())}") from None
    for item in elements.take(events):
        yield item
    if not elements.found:
        raise read_failed(NOT_ITERABLE)


async def _json_lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    number = 0
    async for line in _lines(pieces):
        number += 1
        if not line.strip():
            continue
        try:
            item = loads(line)
        except ValueError:
            raise read_failed(f"Line {number} of the object is not valid JSON.") from None
        yield item


# Lines and rows -----------------------------------------------------------------------------------


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Each with its end, as csv wants them."""
    rest, first = b"", True
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise read_failed(f"A line of the object is longer than {_LONGEST_LINE} bytes.")
        for line in whole:
            yield (line + b"\n").decode("utf-8-sig" if first else "utf-8")
            first = False
    if rest:
        yield rest.decode("utf-8-sig" if first else "utf-8")


async def _records(lines: AsyncIterator[str], delimiter: str) -> AsyncIterator[list[str]]:
    """A record goes over as many lines as it takes to close its quotes. Blank lines are none."""
    held: list[str] = []
    size = quotes = 0
    async for line in lines:
        held.append(line)
        size += len(line)
        quotes += line.count('"')
        if size > _LONGEST_LINE:
            raise read_failed(f"A record of the object is longer than {_LONGEST_LINE} characters.")
        if quotes % 2:
            continue
        for row in _parsed("".join(held), delimiter):
            yield row
        held, size, quotes = [], 0, 0
    for row in _parsed("".join(held), delimiter):
        yield row


def _parsed(text: str, delimiter: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error as problem:
        raise read_failed(f"The object is not valid CSV: {problem}") from None


async def _rows(
    lines: AsyncIterator[str], headers: list[str] | None, delimiter: str
) -> AsyncIterator[dict[str, str]]:
    """An object a row: cells without a header are left out, headers without a cell are empty."""
    if headers is not None:
        _check_headers(headers)
    async for row in _records(lines, delimiter):
        if headers is None:
            headers = row
            _check_headers(headers)
            continue
        cells = row[: len(headers)]
        yield dict(zip(headers, cells + [""] * (len(headers) - len(cells)), strict=True))


def _check_headers(headers: list[str]) -> None:
    if len(set(headers)) < len(headers):
        raise read_failed("CSV headers cannot contain duplicates.")


# An inventory of S3 -------------------------------------------------------------------------------


async def _inventory(call: Call, bucket: str, key: str, place: Place) -> AsyncIterator[Item]:
    """The rows of the files that an S3 Inventory manifest names."""
    pieces = [piece async for piece in await _pieces(call, bucket, key, place)]
    try:
        manifest = loads(b"".join(pieces).decode())
        schema = [name.strip() for name in manifest["fileSchema"].split(",")]
        kind, files = manifest["fileFormat"], [file["key"] for file in manifest["files"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise read_failed("The object is not a manifest of S3 Inventory.") from None
    if kind != "CSV":
        raise read_failed(f"An inventory in the format '{kind}' is not supported by this cloud yet.")
    for name in files:
        pieces_of_file = await _pieces(call, bucket, name, Place())
        if name.endswith(".gz"):
            pieces_of_file = _unzipped(pieces_of_file)
        async for row in _rows(_lines(pieces_of_file), schema, ","):
            yield Item(row, f"s3://{bucket}/{name}")


async def _unzipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A piece of input never becomes more than a bounded piece of output at a time."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        async for piece in pieces:
            left = piece
            while left:
                yield inflate.decompress(left, 256 * 1024)
                left = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as problem:
        raise read_failed(f"A file of the inventory is not valid gzip: {problem}") from None
