"""S3 without a socket: the service over a state folder, its operations called as the gateway calls them."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.bench import CountedIds, NoFaults, SteppedClock

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, FileBody, Wire
from scones.cloud.services.s3 import S3
from scones.cloud.settings import CloudSettings
from scones.cloud.state.blobs import Blobs
from scones.cloud.state.db import Database

ACCOUNT = "000000000000"
MEBIBYTE = 1024 * 1024


class Pieces:
    """A request body in pieces; an exception among them is raised when its turn comes."""

    def __init__(
        self,
        pieces: Sequence[bytes | BaseException],
        *,
        length: int | None = None,
        trailers: Mapping[str, str] | None = None,
    ) -> None:
        self._pieces = pieces
        self.length = length
        self.trailers: dict[str, str] = {}
        self._trailers = trailers or {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(0)
            if isinstance(piece, BaseException):
                raise piece
            yield piece
        self.trailers = dict(self._trailers)


class Service:
    """`service.put_object(Bucket=..., Key=...)` runs one operation to its end."""

    def __init__(self, folder: Path, region: str = "us-east-1") -> None:
        self.folder = folder
        self.region = region
        self.clock = SteppedClock()
        self.loop = asyncio.new_event_loop()
        self._ids = CountedIds()
        self.open()

    def open(self) -> None:
        self.db = Database(self.folder / "state.sqlite")
        self.blobs = Blobs(self.folder / "blobs")
        self.s3 = S3(
            db=self.db,
            blobs=self.blobs,
            clock=self.clock,
            ids=self._ids,
            faults=NoFaults(),
            settings=CloudSettings(state_dir=self.folder, region=self.region, port=4566),
        )
        self.loop.run_until_complete(self.s3.start())

    def crash(self) -> None:
        """Start again without having been closed."""
        self.db.close()
        self.open()

    def close(self) -> None:
        self.loop.run_until_complete(self.s3.close())
        self.db.close()
        self.loop.close()

    def files(self) -> set[str]:
        """Every file in the blob store, once what was removed has gone."""
        self.loop.run_until_complete(self.s3.close())
        return {file.name for file in self.blobs.root.rglob("*") if file.is_file()}

    async def run(self, operation: str, request: Wire, headers: Mapping[str, str] | None = None) -> Wire:
        context = Context(request_id="r", account_id=ACCOUNT, region=self.region, headers=dict(headers or {}))
        method = next(m for part in self.s3.parts if (m := getattr(part, operation, None)) is not None)
        if inspect.iscoroutinefunction(method):
            return dict(await method(request, context))
        with self.db.transaction():
            return dict(method(request, context))

    def __getattr__(self, operation: str) -> Any:
        def call(*, headers: Mapping[str, str] | None = None, **request: Any) -> Wire:
            return self.loop.run_until_complete(self.run(operation, request, headers))

        return call

    def together(self, *calls: tuple[str, Wire]) -> list[Wire | BaseException]:
        """Several operations at once."""

        async def gather() -> list[Wire | BaseException]:
            return await asyncio.gather(*(self.run(*call) for call in calls), return_exceptions=True)

        return self.loop.run_until_complete(gather())

    def read(self, bucket: str, key: str, **options: Any) -> bytes:
        body = self.get_object(Bucket=bucket, Key=key, **options)["Body"]
        return body.read() if isinstance(body, FileBody) else bytes(body)

    def keys(self, bucket: str, **options: Any) -> list[str]:
        return [item["Key"] for item in self.list_objects_v2(Bucket=bucket, **options)["Contents"]]

    def refused(self, operation: str, **request: Any) -> ServiceError:
        """The error of an operation that must fail."""
        with pytest.raises(ServiceError) as caught:
            getattr(self, operation)(**request)
        return caught.value
