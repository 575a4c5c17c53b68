"""What a map run gives: the results as the state's own, or files in S3 and a manifest of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from scones.cloud.asl.distributed import Writing
from scones.cloud.asl.failures import StateError
from scones.cloud.asl.jsontext import LIMIT_BYTES, Json, dumps, loads
from scones.cloud.asl.timestamps import iso
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call

from .map_store import MapRunRow, MapRunStore
from .records import ExecutionRow

__all__ = ["ENDED_BADLY", "Results", "child_machine_arn"]

ENDED_BADLY = ("FAILED", "TIMED_OUT", "ABORTED")
_FILE_BYTES = 8 * 1024 * 1024
"""A file of results is closed when it has become this long."""


def child_machine_arn(row: ExecutionRow) -> str:
    """The state machine that a child execution's ARN names: the parent's with the map run's label."""
    kind = "express" if ":express:" in row.arn else "execution"
    prefix, _, rest = row.arn.partition(f":{kind}:")
    return f"{prefix}:stateMachine:{rest.partition(':')[0]}"


class Results:
    def __init__(self, store: MapRunStore, call: Call) -> None:
        self._store = store
        self._call = call

    async def of(
        self, run: MapRunRow, writing: Writing | None, pending: AsyncIterator[Json] | None
    ) -> str | None:
        """The state's result as JSON text; None where it is too large. Raises StateError.

        pending: the inputs of executions that never began; None where all did.
        """
        if writing is not None and writing.bucket is not None:
            return await self._exported(run, writing, writing.bucket, pending)
        if writing is None and self._store.output_bytes(run.id) > LIMIT_BYTES:
            return None
        shape = _SHAPES["COMPACT" if writing is None else writing.transformation]
        texts, size = [], 0
        for row in self._store.children(run.id, "SUCCEEDED"):
            for text in shape(row):
                size += len(text) + 1
                if size > LIMIT_BYTES:
                    return None
                texts.append(text)
        return f"[{','.join(texts)}]"

    async def _exported(
        self, run: MapRunRow, writing: Writing, bucket: str, pending: AsyncIterator[Json] | None
    ) -> str:
        prefix = writing.prefix.strip("/")
        folder = f"{prefix}/{run.arn.rpartition(':')[2]}" if prefix else run.arn.rpartition(":")[2]
        files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
        succeeded = _SHAPES[writing.transformation]
        entries = {
            "SUCCEEDED": self._texts(run, ("SUCCEEDED",), succeeded),
            "FAILED": self._texts(run, ENDED_BADLY, _whole),
            "PENDING": _waiting(pending),
        }
        try:
            for status, texts in entries.items():
                async for body in _bodies(texts, lines=writing.lines):
                    suffix = "jsonl" if writing.lines else "json"
                    key = f"{folder}/{status}_{len(files[status])}.{suffix}"
                    await self._put(bucket, key, body)
                    files[status].append({"Key": key, "Size": len(body)})
            manifest = {"DestinationBucket": bucket, "MapRunArn": run.arn, "ResultFiles": files}
            key = f"{folder}/manifest.json"
            await self._put(bucket, key, dumps(manifest).encode())
        except ServiceError as problem:
            code = f"Service: Amazon S3; Status Code: {problem.status}; Error Code: {problem.code}"
            raise StateError("States.ResultWriterFailed", f"{problem.message} ({code})") from None
        return dumps({"MapRunArn": run.arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}})

    async def _texts(self, run: MapRunRow, statuses: tuple[str, ...], shape: "_Shape") -> AsyncIterator[str]:
        for status in statuses:
            for row in self._store.children(run.id, status):
                for text in shape(row):
                    yield text

    async def _put(self, bucket: str, key: str, body: bytes) -> None:
        await self._call(
            "s3",
            "PutObject",
            {"Bucket": bucket, "Key": key, "Body": body, "ContentType": "application/json"},
        )
        await asyncio.sleep(0)


async def _waiting(pending: AsyncIterator[Json] | None) -> AsyncIterator[str]:
    if pending is None:
        return
    async for given in pending:
        yield dumps({"Input": given.text, "InputDetails": {"Included": True}, "Status": "PENDING"})


async def _bodies(texts: AsyncIterator[str], *, lines: bool) -> AsyncIterator[bytes]:
    """The entries as files, each of bounded length; none where there are no entries."""
    held: list[str] = []
    size = 0
    async for text in texts:
        held.append(text)
        size += len(text)
        if size >= _FILE_BYTES:
            yield _body(held, lines=lines)
            held, size = [], 0
    if held:
        yield _body(held, lines=lines)


def _body(texts: list[str], *, lines: bool) -> bytes:
    return ("\n".join(texts) + "\n" if lines else f"[{','.join(texts)}]").encode()


def _whole(row: ExecutionRow) -> Iterator[str]:
    """All that DescribeExecution tells of the execution."""
    entry: dict[str, Any] = {"ExecutionArn": row.arn, "Input": row.input, "InputDetails": {"Included": True}}
    if row.status == "SUCCEEDED":
        entry |= {"Output": row.output, "OutputDetails": {"Included": True}}
    told = {"Error": row.error, "Cause": row.cause}
    entry |= {name: text for name, text in told.items() if text is not None}
    entry |= {
        "Name": row.name,
        "RedriveCount": row.redrive_count,
        "RedriveStatus": "NOT_REDRIVABLE" if row.status == "SUCCEEDED" else "REDRIVABLE_BY_MAP_RUN",
        "StartDate": iso(row.started_ms),
        "StateMachineArn": child_machine_arn(row),
        "Status": row.status,
        "StopDate": iso(row.stopped_ms or row.started_ms),
    }
    if row.status == "SUCCEEDED":
        entry["RedriveStatusReason"] = "Execution is SUCCEEDED and cannot be redriven"
    yield dumps(dict(sorted(entry.items())))


def _output(row: ExecutionRow) -> Iterator[str]:
    yield row.output or "null"


def _flat(row: ExecutionRow) -> Iterator[str]:
    """The elements of a result that is an array, any other result as it is."""
    value = loads(row.output or "null")
    if isinstance(value, list):
        yield from map(dumps, value)
    else:
        yield row.output or "null"


_Shape = Callable[[ExecutionRow], Iterator[str]]
_SHAPES: dict[str, _Shape] = {
    "NONE": _whole,
    "COMPACT": _output,
    "FLATTEN": _flat,
}
