"""Results on their way to S3: small ones together in one commit, large ones by way of a file.

An object appears whole or not at all. What is held here when the cloud is killed is made again by
the job's next attempt.
"""

from pathlib import Path
from typing import BinaryIO

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, FileBody, Wire
from scones.cloud.services.sagemaker.transform.together import together
from scones.cloud.services.sagemaker.wording import S3Uri
from scones.cloud.state.db import Database

__all__ = ["Outputs", "OutputsError", "Spool"]

_TOGETHER = 64  # results in one commit
_TOGETHER_BYTES = 1024 * 1024
_IN_MEMORY_BYTES = 1024 * 1024  # of a result that comes in parts


class OutputsError(Exception):
    """S3 takes no results; the message says why."""


class Outputs:
    """Results are held until they are many; `flush` now and then, so that none is held long."""

    def __init__(self, *, db: Database, call: Call, target: S3Uri, content_type: str) -> None:
        self._db = db
        self._call = call
        self._bucket = target.bucket
        self._folder = target.join("").key
        self._content_type = content_type
        self._held: list[Wire] = []
        self._bytes = 0

    def key(self, name: str) -> str:
        return f"{self._folder}{name}.out"

    async def put(self, key: str, body: bytes | FileBody) -> None:
        """One result, in S3 at the latest with the next `flush`. Raises OutputsError."""
        request: Wire = {"Bucket": self._bucket, "Key": key, "Body": body}
        if self._content_type:
            request["ContentType"] = self._content_type
        if isinstance(body, FileBody):
            await self._put(request)
            return
        self._held.append(request)
        self._bytes += len(body)
        if len(self._held) >= _TOGETHER or self._bytes > _TOGETHER_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Everything that is held into S3. Raises OutputsError."""
        held, self._held, self._bytes = self._held, [], 0
        try:
            together(self._db, (self._call("s3", "PutObject", request) for request in held))
        except ServiceError:  # none of them is there: find the one that is refused
            for request in held:
                await self._put(request)

    async def _put(self, request: Wire) -> None:
        try:
            await self._call("s3", "PutObject", request)
        except ServiceError as error:
            raise OutputsError(f"s3://{request['Bucket']}/{request['Key']}: {error.message}") from error


class Spool:
    """A result that grows; beyond a size it lies in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[bytes] = []
        self._size = 0
        self._file: BinaryIO | None = None

    def write(self, part: bytes) -> None:
        self._size += len(part)
        if self._file:
            self._file.write(part)
            return
        self._parts.append(part)
        if self._size > _IN_MEMORY_BYTES:
            self._file = self._path.open("wb")
            self._file.writelines(self._parts)
            self._parts.clear()

    def body(self) -> bytes | FileBody:
        """What was written; a file stays until `discard`."""
        if not self._file:
            return b"".join(self._parts)
        self._file.close()
        return FileBody(self._path, 0, self._size)

    def discard(self) -> None:
        if self._file:
            self._file.close()
            self._path.unlink(missing_ok=True)
