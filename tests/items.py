"""A bucket of objects for an item reader, and what it makes of them."""

import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.asl.distributed import Reading
from scones.cloud.asl.failures import StateError
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.runtime import RandomIds
from scones.cloud.services.stepfunctions.item_reader import Item, ItemReader, Place
from scones.cloud.services.stepfunctions.parquet_files import ParquetFiles
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes


class Pieces:
    """A body that comes a few bytes at a time."""

    length = None

    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = body, size

    async def __aiter__(self) -> Any:
        for start in range(0, len(self._body), self._size):
            yield self._body[start : start + self._size]


def read(
    objects: dict[str, bytes], size: int = 7, place: Any = None, done: int = 0, **fields: Any
) -> list[Any]:
    """The items' values, from a bucket that holds these objects."""
    return [item.value for item in read_items(objects, size, place, done, **fields)]


def read_items(
    objects: dict[str, bytes],
    size: int = 7,
    place: Any = None,
    done: int = 0,
    python: str = sys.executable,
    silence_s: float = 60,
    asked: list[Wire] | None = None,
    **fields: Any,
) -> list[Item]:
    """asked: gets the requests that S3 gets. python: reads Parquet."""

    async def call(service: str, operation: str, request: Wire) -> Wire:
        if asked is not None:
            asked.append(request)
        if operation == "ListObjectsV2":
            after = request.get("StartAfter", "")
            keys = sorted(key for key in objects if key.startswith(request["Prefix"]) and key > after)
            start = int(request.get("ContinuationToken", 0))
            found = [
                {"Key": key, "ETag": '"e"', "Size": len(objects[key]), "LastModified": datetime.now(UTC)}
                for key in keys[start : start + 2]
            ]
            more = start + 2 < len(keys)
            return {"Contents": found, "IsTruncated": more, "NextContinuationToken": str(start + 2)}
        if request["Key"] not in objects:
            raise ServiceError("NoSuchKey", "The specified key does not exist.", status=404)
        if request.get("IfMatch", "now") != "now":
            raise ServiceError("PreconditionFailed", "It has another ETag.", status=412)
        return {"Body": Pieces(objects[request["Key"]], size), "ETag": "now"}

    async def collect(folder: Path) -> list[Item]:
        database = Database(folder / "state.sqlite")
        processes = Processes(database, sys.executable)
        files = ParquetFiles(processes, RandomIds(), folder / "files", python, silence_s)
        items = ItemReader(call, files).items(reading(**fields), Place(**place or {}), done)
        try:
            return [item async for item in items]
        finally:
            assert not any((folder / "files").glob("*"))
            assert not database.all("SELECT pid FROM workers")
            database.close()

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(collect(Path(folder)))


def reading(**fields: Any) -> Reading:
    defaults: dict[str, Any] = {
        "action": "getObject",
        "parameters": {"Bucket": "b", "Key": "k"},
        "input_type": "JSON",
        "headers": None,
        "delimiter": ",",
        "max_items": 0,
        "pointer": [],
        "flatten": False,
    }
    return Reading(**defaults | fields)


def failure(body: bytes, **fields: Any) -> str:
    with pytest.raises(StateError) as caught:
        read({"k": body}, **fields)
    assert caught.value.error == "States.ItemReaderFailed"
    return str(caught.value.cause)
