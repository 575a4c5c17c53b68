"""The items of a distributed Map, read from S3 as they are wanted: never more in memory than a piece.

Every failure is States.ItemReaderFailed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from scones.cloud.asl.distributed import Reading
from scones.cloud.asl.jsontext import loads
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Wire, chunks

from .compression import unpacked
from .delimited import lines, rows
from .json_elements import json_elements
from .manifests import Inventory, athena_files
from .parquet_files import ParquetFiles
from .read_limits import LARGEST_FILE_BYTES, read_failed

__all__ = ["Item", "ItemReader", "Place"]


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
    """The S3 URI it came from, as the context object shows it."""
    key: str | None = None
    """Where the item is a listed object: the place to go on from."""
    name: str | None = None
    """Where the item is of a JSON object: its key there."""


_Items = AsyncGenerator[Item, None]


class ItemReader:
    def __init__(self, call: Call, parquet: ParquetFiles) -> None:
        self._call = call
        self._parquet = parquet

    def start(self) -> None:
        self._parquet.start()

    async def items(self, reading: Reading, place: Place, done: int = 0) -> _Items:
        """The items after the first `done`, which led to the place. Raises StateError."""
        if reading.max_items < 0:
            raise read_failed("field MaxItems must be positive")
        count = done if place.key else 0
        try:
            async with aclosing(_Read(self._call, self._parquet, reading).items(place)) as items:
                async for item in items:
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


class _Read:
    """What one Map reads."""

    def __init__(self, call: Call, parquet: ParquetFiles, reading: Reading) -> None:
        self._call = call
        self._parquet = parquet
        self._reading = reading

    def items(self, place: Place) -> _Items:
        reading = self._reading
        bucket = self._text("Bucket")
        if reading.action == "listObjectsV2":
            listed = self._listed(bucket, self._text("Prefix", ""), place.key)
            return self._of_files(self._loadable(bucket, listed)) if reading.flatten else listed
        if reading.input_type == "PARQUET" and "VersionId" in reading.parameters:
            raise read_failed("The field VersionId of an ItemReader is not supported for Parquet files.")
        key, more = self._text("Key"), self._optional("VersionId")
        if reading.input_type == "MANIFEST":
            return self._of_inventory(bucket, self._pieces(bucket, key, place, more))
        if reading.athena:
            return self._of_files(athena_files(self._pieces(bucket, key, place, more)))
        return self._of_object(bucket, key, place, more)

    def _text(self, name: str, default: str | None = None) -> str:
        value = self._reading.parameters.get(name, default)
        if not isinstance(value, str):
            raise read_failed(f"The field {name} of an ItemReader must be a string.")
        return value

    def _optional(self, name: str) -> Wire:
        return {name: self._text(name)} if name in self._reading.parameters else {}

    # S3 -------------------------------------------------------------------------------------------

    async def _listed(self, bucket: str, prefix: str, after: str | None) -> _Items:
        request: Wire = {"Bucket": bucket, "Prefix": prefix} | self._optional("ExpectedBucketOwner")
        if after:
            request["StartAfter"] = after
        while True:
            reply = await self._call("s3", "ListObjectsV2", request)
            for found in reply.get("Contents", ()):
                item = {
                    "Etag": found["ETag"],
                    "Key": found["Key"],
                    "LastModified": int(found["LastModified"].timestamp()),
                    "Size": found["Size"],
                    "StorageClass": found.get("StorageClass", "STANDARD"),
                }
                yield Item(item, f"S3://{bucket}", found["Key"])
            if not reply.get("IsTruncated"):
                return
            request["ContinuationToken"] = reply["NextContinuationToken"]

    async def _pieces(
        self, bucket: str, key: str, place: Place, more: Wire | None = None
    ) -> AsyncIterator[bytes]:
        """An object's content, unpacked where it is compressed."""
        request: Wire = {"Bucket": bucket, "Key": key} | (more or {}) | self._optional("ExpectedBucketOwner")
        if place.etag:
            request["IfMatch"] = place.etag
        reply = await self._call("s3", "GetObject", request)
        place.etag = reply["ETag"]
        pieces, size = chunks(reply["Body"]), 0
        async for piece in pieces if self._reading.input_type == "PARQUET" else unpacked(pieces, key):
            size += len(piece)
            if size > LARGEST_FILE_BYTES:
                raise read_failed(f"The object {key} is longer than {LARGEST_FILE_BYTES} bytes.")
            yield piece

    # The objects' contents ------------------------------------------------------------------------

    async def _loadable(self, bucket: str, listed: _Items) -> AsyncIterator[tuple[str, str]]:
        async for entry in listed:
            key = entry.value["Key"]
            if not key.endswith("/"):
                yield bucket, key

    async def _of_files(self, files: AsyncIterator[tuple[str, str]]) -> _Items:
        async for bucket, key in files:
            async with aclosing(self._of_object(bucket, key, Place(), {})) as items:
                async for item in items:
                    yield item

    async def _of_object(self, bucket: str, key: str, place: Place, more: Wire) -> _Items:
        reading, source = self._reading, f"S3://{bucket}/{key}"
        pieces = self._pieces(bucket, key, place, more)
        if reading.input_type == "JSON":
            async for name, value in json_elements(pieces, reading.pointer):
                item = value if name is None else {"Key": name, "Value": value}
                yield Item(item, source, name=name)
        elif reading.input_type == "JSONL":
            async for value in _json_lines(pieces):
                yield Item(value, source)
        elif reading.input_type == "PARQUET":
            async with aclosing(self._parquet.rows(pieces, source)) as found:
                async for value in found:
                    yield Item(value, source)
        else:
            async for value in rows(lines(pieces), reading.headers, reading.delimiter):
                yield Item(value, source)

    async def _of_inventory(self, bucket: str, manifest: AsyncIterator[bytes]) -> _Items:
        inventory = await Inventory.of(manifest)
        headers = self._reading.headers or inventory.columns
        for key in inventory.keys:
            pieces = self._pieces(bucket, key, Place())
            async for row in rows(lines(pieces), headers, self._reading.delimiter):
                yield Item(row, f"S3://{bucket}/{key}")


async def _json_lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    number = 0
    async for line in lines(pieces):
        number += 1
        if not line.strip():
            continue
        try:
            item = loads(line)
        except ValueError:
            raise read_failed(f"Line {number} of the object is not valid JSON.") from None
        yield item
