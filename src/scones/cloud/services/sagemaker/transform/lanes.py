"""Requests at the serving processes of a job: so many at a time at each, tried again where they fail."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from scones.cloud.services.sagemaker.connection import Answer, Connection, NoAnswerError
from scones.cloud.services.sagemaker.transform.records import Plan
from scones.cloud.services.sagemaker.worker import Worker

__all__ = ["Lanes", "UnansweredError"]

_ANSWER_BYTES = 100 * 1024 * 1024  # no answer may be longer, as no payload may
_PAUSE_FIRST_S = 0.1  # before the second try; it doubles


class UnansweredError(Exception):
    """A container gave no answer at all, however often it was asked."""


@dataclass(slots=True)
class _Lane:
    worker: Worker
    connection: Connection | None = None


class Lanes:
    """`ready_s`: how long a request waits for a process that is being started again."""

    def __init__(self, workers: Iterable[Worker], plan: Plan, *, ready_s: float) -> None:
        self._plan = plan
        self._ready_s = ready_s
        self._free: deque[_Lane] = deque()
        self._waiting: deque[asyncio.Future[_Lane]] = deque()
        lanes = [[_Lane(worker) for _ in range(plan.concurrent)] for worker in workers]
        self._free.extend(lane for turn in zip(*lanes, strict=True) for lane in turn)
        self._all = list(self._free)
        self._head = _head(plan)

    def __len__(self) -> int:
        return len(self._all)

    async def send(self, payload: bytes) -> Answer:
        """The container's answer, whatever it says. Raises UnansweredError."""
        pause = _PAUSE_FIRST_S
        for left in range(self._plan.retries, -1, -1):
            answer = await self._try(payload)
            if isinstance(answer, Answer) and (answer.status < 500 or not left):
                return answer
            if left:
                await asyncio.sleep(pause)
                pause *= 2
        raise UnansweredError(answer)

    def close(self) -> None:
        for lane in self._all:
            if lane.connection:
                lane.connection.close()

    async def _try(self, payload: bytes) -> Answer | str:
        """An answer, or why there is none."""
        lane = self._free.popleft() if self._free else await self._next_free()
        try:
            return await self._ask(lane, payload)
        except TimeoutError:
            await lane.worker.suspect()
            return f"no answer within {self._plan.timeout_s:g} s"
        except (NoAnswerError, OSError) as error:
            return str(error)
        finally:
            self._release(lane)

    async def _ask(self, lane: _Lane, payload: bytes) -> Answer:
        if lane.connection and not lane.connection.closed:
            try:
                return await lane.connection.ask(self._head, payload, timeout_s=self._plan.timeout_s)
            except NoAnswerError as error:
                if not error.idle:
                    raise
        lane.connection = await self._connect(lane.worker)
        return await lane.connection.ask(self._head, payload, timeout_s=self._plan.timeout_s)

    async def _connect(self, worker: Worker) -> Connection:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._ready_s
        while not worker.ready:
            if loop.time() > deadline:
                raise NoAnswerError("the container is not there")
            await asyncio.sleep(_PAUSE_FIRST_S)
        address = urlsplit(worker.url)
        assert address.hostname
        assert address.port
        return await Connection.open(address.hostname, address.port, limit_bytes=_ANSWER_BYTES)

    async def _next_free(self) -> _Lane:
        waiter: asyncio.Future[_Lane] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release(waiter.result())
            raise

    def _release(self, lane: _Lane) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(lane)
                return
        self._free.append(lane)


def _head(plan: Plan) -> bytes:
    lines = ["POST /invocations HTTP/1.1", "Host: localhost"]
    if plan.content_type:
        lines.append(f"Content-Type: {plan.content_type}")
    if plan.accept:
        lines.append(f"Accept: {plan.accept}")
    return "".join(f"{line}\r\n" for line in lines).encode()
