"""What a map run gives: the results as the state's own, or files in S3 and a manifest of them."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

from scones.cloud.asl.distributed import Writing
from scones.cloud.asl.failures import StateError
from scones.cloud.asl.jsontext import LIMIT_BYTES, Json, dumps, loads
from scones.cloud.asl.timestamps import iso
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call

from .map_store import MapRunRow, MapRunStore
from .records import ExecutionRow
from .result_files import ResultFiles, abort_uploads

__all__ = ["Results", "child_machine_arn"]

_ENDED_BADLY = ("FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
"""Whoever still waits to be redriven when the results are written will not be."""


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
        self._store.set_written(run.id, ("SUCCEEDED",))
        return f"[{','.join(texts)}]"

    async def _exported(
        self, run: MapRunRow, writing: Writing, bucket: str, pending: AsyncIterator[Json] | None
    ) -> str:
        folder = _folder(run, writing)
        succeeded = _SHAPES[writing.transformation]
        entries = {
            "SUCCEEDED": self._texts(run, ("SUCCEEDED",), succeeded),
            "FAILED": self._texts(run, _ENDED_BADLY, _whole),
            "PENDING": _waiting(pending),
        }
        try:
            await abort_uploads(self._call, bucket, f"{folder}/")
            files = {}
            for status, texts in sorted(entries.items()):
                written = ResultFiles(self._call, bucket, f"{folder}/{status}", lines=writing.lines)
                async for text in texts:
                    await written.add(text)
                files[status] = await written.close()
            manifest = {"DestinationBucket": bucket, "MapRunArn": run.arn, "ResultFiles": files}
            key = f"{folder}/manifest.json"
            body = {"Body": dumps(manifest).encode(), "ContentType": "application/json"}
            await self._call("s3", "PutObject", {"Bucket": bucket, "Key": key} | body)
        except ServiceError as problem:
            with suppress(ServiceError):  # perhaps the bucket is what is missing
                await abort_uploads(self._call, bucket, f"{folder}/")
            code = f"Service: Amazon S3; Status Code: {problem.status}; Error Code: {problem.code}"
            raise StateError("States.ResultWriterFailed", f"{problem.message} ({code})") from None
        self._store.set_written(run.id, ("SUCCEEDED", *_ENDED_BADLY))
        return dumps({"MapRunArn": run.arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}})

    async def _texts(self, run: MapRunRow, statuses: tuple[str, ...], shape: "_Shape") -> AsyncIterator[str]:
        for status in statuses:
            for row in self._store.children(run.id, status):
                for text in shape(row):
                    yield text


def _folder(run: MapRunRow, writing: Writing) -> str:
    """A redriven run leaves what it wrote before, as AWS's sample reinvent2023-api312 shows."""
    redrive = f"Redrive-{run.redrive_count}" if run.redrive_count else ""
    return "/".join(filter(None, (writing.prefix.strip("/"), run.arn.rpartition(":")[2], redrive)))


async def _waiting(pending: AsyncIterator[Json] | None) -> AsyncIterator[str]:
    if pending is None:
        return
    async for given in pending:
        yield dumps({"Input": given.text, "InputDetails": {"Included": True}, "Status": "PENDING"})


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
        "Status": row.ended_as or row.status,
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
