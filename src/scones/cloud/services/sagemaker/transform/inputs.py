"""What a job reads: the objects under a prefix, or those that a manifest names, a page at a time.

Small objects are read some ahead, together; a large one is opened by whoever transforms it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple

import orjson

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Wire, chunks
from scones.cloud.services.sagemaker.transform.checks import source_uri
from scones.cloud.services.sagemaker.transform.together import together
from scones.cloud.services.sagemaker.wording import S3Uri
from scones.cloud.state.db import Database

__all__ = ["Input", "Inputs", "InputsError", "output_name"]

_READ_AHEAD = 32  # objects, of which those in memory are small
_MANIFEST_BYTES = 16 * 1024 * 1024


class InputsError(Exception):
    """The objects cannot be told; the message is for the job's owner."""


class Input(NamedTuple):
    """One object, and the name of its result below S3OutputPath, still without `.out`.

    body: where it has been read already.
    """

    key: str
    name: str
    body: bytes | None = None


class Inputs:
    """Shared by all that work on a job: each object is given once."""

    def __init__(self, db: Database, call: Call, request: Wire) -> None:
        source = request["TransformInput"]["DataSource"]["S3DataSource"]
        uri = source_uri(request)
        self.bucket = uri.bucket
        self._db = db
        self._call = call
        self._pages = self._listed(uri) if source["S3DataType"] == "S3Prefix" else self._named(uri)
        self._page: deque[Input] = deque()
        self._read: deque[Input] = deque()
        self._turn = asyncio.Lock()

    async def next(self) -> Input | None:
        """The next object, None after the last. Raises InputsError."""
        while not self._read:
            async with self._turn:
                if self._read:
                    break
                if not self._page:
                    page = await anext(self._pages, None)
                    if page is None:
                        return None
                    self._page.extend(page)
                self._read_ahead()
        return self._read.popleft()

    def _read_ahead(self) -> None:
        items = [self._page.popleft() for _ in range(min(len(self._page), _READ_AHEAD))]
        requests = [{"Bucket": self.bucket, "Key": item.key} for item in items]
        try:
            replies = together(self._db, (self._call("s3", "GetObject", request) for request in requests))
        except ServiceError:  # one has gone: whoever transforms it will tell
            self._read.extend(items)
            return
        for item, reply in zip(items, replies, strict=True):
            body = reply["Body"]
            self._read.append(item._replace(body=body) if isinstance(body, bytes) else item)

    async def _listed(self, uri: S3Uri) -> AsyncIterator[list[Input]]:
        request: Wire = {"Bucket": uri.bucket, "Prefix": uri.key}
        while True:
            try:
                reply = await self._call("s3", "ListObjectsV2", request)
            except ServiceError as error:
                raise InputsError(f"{uri}: {error.message}") from error
            keys = [item["Key"] for item in reply.get("Contents", ())]
            # A console's "folder" is an object of no bytes.
            yield [Input(key, output_name(uri.key, key)) for key in keys if not key.endswith("/")]
            if not reply.get("IsTruncated"):
                return
            request["ContinuationToken"] = reply["NextContinuationToken"]

    async def _named(self, uri: S3Uri) -> AsyncIterator[list[Input]]:
        prefix, names = await self._manifest(uri)
        self.bucket = prefix.bucket
        yield [Input(prefix.key + name, name) for name in names]

    async def _manifest(self, uri: S3Uri) -> tuple[S3Uri, list[str]]:
        """Its prefix, and the rest of each key: [{"prefix": "s3://..."}, "rest", ...]."""
        try:
            reply = await self._call("s3", "GetObject", {"Bucket": uri.bucket, "Key": uri.key})
        except ServiceError as error:
            raise InputsError(f"{uri}: {error.message}") from error
        text = bytearray()
        async for piece in chunks(reply["Body"]):
            text += piece
            if len(text) > _MANIFEST_BYTES:
                raise InputsError(f"The manifest {uri} is larger than {_MANIFEST_BYTES} bytes.")
        wanted = (
            f'The manifest {uri} must be a JSON list like [{{"prefix": "s3://bucket/folder/"}}, "key", ...]'
        )
        try:
            first, *names = orjson.loads(text)
            prefix = first["prefix"]
        except (ValueError, TypeError, KeyError) as error:
            raise InputsError(f"{wanted}: {error}") from None
        if not isinstance(prefix, str) or not all(isinstance(name, str) and name for name in names):
            raise InputsError(f"{wanted}: it holds something else than keys.")
        try:
            return S3Uri.parse(prefix, "prefix"), names
        except ServiceError as error:
            raise InputsError(f"{wanted}: {error.message}") from None


def output_name(prefix: str, key: str) -> str:
    """Where the result of a key belongs that starts with `prefix`.

    A key that is the prefix itself keeps its last part; under a prefix that ends in the middle of a
    name, keys keep that whole name.
    """
    rest = key[len(prefix) :]
    if rest and (not prefix or prefix.endswith("/")):
        return rest
    return rest[1:] if rest.startswith("/") else key[prefix.rfind("/") + 1 :]
