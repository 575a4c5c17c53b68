"""One attempt at a job: every object of the input through the containers, its result to S3.

An object that fails is told in the job's data log and leaves no output; the others go on. A
container that answers nothing, and a bucket that takes nothing, end the attempt.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, FileBody, Wire, chunks
from scones.cloud.services.sagemaker.transform.inputs import Input, Inputs
from scones.cloud.services.sagemaker.transform.joining import Joining, JoiningError
from scones.cloud.services.sagemaker.transform.lanes import Lanes
from scones.cloud.services.sagemaker.transform.outputs import Outputs, OutputsError, Spool
from scones.cloud.services.sagemaker.transform.payloads import PayloadError, payloads
from scones.cloud.services.sagemaker.transform.records import Plan

__all__ = ["Passage"]

_KEY_BYTES = 1024  # of an output object
_FLUSH_S = 0.25  # a result is in S3 at most so long after it was made
_QUOTED_CHARACTERS = 4096  # of a container's refusal, in the log

Tell = Callable[[str, str, str], Awaitable[None]]
"""Called with an object, what kind of failure it met, and its message."""


class _ObjectError(Exception):
    """This object has no result. kind: as in FailureReason; title: a line of the log."""

    def __init__(self, kind: str, title: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.title = title


class Passage:
    def __init__(
        self,
        *,
        request: Wire,
        plan: Plan,
        call: Call,
        inputs: Inputs,
        lanes: Lanes,
        outputs: Outputs,
        spool: Path,
        tell: Tell,
    ) -> None:
        self._plan = plan
        self._joining = Joining.of(request)
        self._call = call
        self._inputs = inputs
        self._lanes = lanes
        self._outputs = outputs
        self._spool = spool
        self._tell = tell
        self._spools = 0
        self._outstanding = 0
        self._budget = 2 * len(lanes) * plan.payload_bytes
        self.failure = ""

    async def run(self) -> str:
        """The kind of the first failure, "" where every object has its result.

        Raises InputsError, UnansweredError and OutputsError.
        """
        try:
            async with asyncio.TaskGroup() as group:
                work = [group.create_task(self._work()) for _ in range(len(self._lanes))]
                flushing = group.create_task(self._flush_often())
                await asyncio.wait(work)
                flushing.cancel()
        except ExceptionGroup as errors:
            error = errors.exceptions[0]
            if not isinstance(error, OutputsError):
                await self._outputs.flush()
            raise error from None
        await self._outputs.flush()
        return self.failure

    async def _work(self) -> None:
        while (item := await self._inputs.next()) is not None:
            try:
                await self._transform(item)
            except _ObjectError as error:
                self.failure = self.failure or error.kind
                await self._tell(f"{self._inputs.bucket}/{item.key}", error.title, str(error))

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            await self._outputs.flush()

    async def _transform(self, item: Input) -> None:
        key = self._outputs.key(item.name)
        if len(key.encode()) > _KEY_BYTES:
            raise _client_error("the key of its output would be longer than 1024 bytes")
        body = item.body if item.body is not None else await self._opened(item)
        if isinstance(body, bytes) and self._plan.split == "None" and not self._plan.gzip:
            if len(body) > self._plan.payload_bytes:
                raise _client_error(
                    f"the object is larger than MaxPayloadInMB, {self._plan.payload_bytes} bytes"
                )
            await self._outputs.put(key, await self._result(body))
            return
        self._spools += 1
        spool = Spool(self._spool / str(self._spools))
        try:
            await self._in_parts(body, spool)
            await self._outputs.put(key, spool.body())
        except PayloadError as error:
            raise _client_error(str(error)) from error
        except OSError as error:
            raise _ObjectError("InternalServerError", "InternalServerError", f"{error.strerror}") from error
        finally:
            spool.discard()

    async def _opened(self, item: Input) -> bytes | FileBody:
        try:
            reply = await self._call("s3", "GetObject", {"Bucket": self._inputs.bucket, "Key": item.key})
        except ServiceError as error:
            raise _client_error(error.message) from error
        body: bytes | FileBody = reply["Body"]
        return body

    async def _in_parts(self, body: bytes | FileBody, spool: Spool) -> None:
        """An object's payloads through the containers side by side, their results in order."""
        asked: deque[tuple[asyncio.Task[bytes], int]] = deque()

        async def write_first() -> None:
            task, size = asked[0]
            result = await task
            asked.popleft()
            self._outstanding -= size
            spool.write(result)

        try:
            async for payload in payloads(chunks(body), self._plan):
                # Others may hold all the memory there is; one payload each object may always have.
                while asked and self._outstanding + len(payload) > self._budget:
                    await write_first()
                self._outstanding += len(payload)
                asked.append((asyncio.ensure_future(self._result(payload)), len(payload)))
                await asyncio.sleep(0)
                while asked and (asked[0][0].done() or len(asked) > 2 * len(self._lanes)):
                    await write_first()
            while asked:
                await write_first()
        finally:
            for task, size in asked:
                task.cancel()
                self._outstanding -= size
            await asyncio.gather(*(task for task, _ in asked), return_exceptions=True)

    async def _result(self, payload: bytes) -> bytes:
        """What becomes of one payload. Raises _ObjectError."""
        try:
            asked = await self._joining.filtered(payload) if self._joining else payload
            answer = await self._lanes.send(asked)
            if not 200 <= answer.status < 300:
                kind = "ClientError" if 400 <= answer.status < 500 else "AlgorithmError"
                text = answer.body[: 4 * _QUOTED_CHARACTERS].decode("utf-8", "replace")
                raise _ObjectError(kind, f"{kind}: {answer.status}", text[:_QUOTED_CHARACTERS])
            result = await self._joining.joined(payload, answer.body) if self._joining else answer.body
        except JoiningError as error:
            raise _client_error(str(error)) from error
        return result + b"\n" if self._plan.line_ends and not result.endswith(b"\n") else result


def _client_error(message: str) -> _ObjectError:
    return _ObjectError("ClientError", "ClientError", message)
