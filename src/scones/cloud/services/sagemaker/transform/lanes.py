"""Requests at the serving processes of a job: so many at a time at each, tried again where they fail."""

import asyncio
from collections import deque
from collections.abc import Iterable

from scones.cloud.services.sagemaker.connection import Answer, NoAnswerError
from scones.cloud.services.sagemaker.transform.records import Plan
from scones.cloud.services.sagemaker.worker import Worker

__all__ = ["Lanes", "UnansweredError"]

_PAUSE_FIRST_S = 0.1  # before the second try; it doubles


class UnansweredError(Exception):
    """A container gave no answer at all, however often it was asked."""


class Lanes:
    """`ready_s`: how long a request waits for a process that is being started again."""

    def __init__(self, workers: Iterable[Worker], plan: Plan, *, ready_s: float) -> None:
        self._plan = plan
        self._ready_s = ready_s
        self._free: deque[Worker] = deque()
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        lanes = [[worker for _ in range(plan.concurrent)] for worker in workers]
        self._free.extend(lane for turn in zip(*lanes, strict=True) for lane in turn)
        self._count = len(self._free)
        self._headers = _headers(plan)

    def __len__(self) -> int:
        return self._count

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

    async def _try(self, payload: bytes) -> Answer | str:
        """An answer, or why there is none."""
        worker = self._free.popleft() if self._free else await self._next_free()
        try:
            return await self._ask(worker, payload)
        except TimeoutError:
            await worker.suspect()
            return f"no answer within {self._plan.timeout_s:g} s"
        except (NoAnswerError, OSError) as error:
            return str(error)
        finally:
            self._release(worker)

    async def _ask(self, worker: Worker, payload: bytes) -> Answer:
        if not worker.ready:
            await self._until_ready(worker)
        return await worker.invoke(self._headers, payload, timeout_s=self._plan.timeout_s)

    async def _until_ready(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._ready_s
        while not worker.ready:
            if loop.time() > deadline:
                raise NoAnswerError("the container is not there")
            await asyncio.sleep(_PAUSE_FIRST_S)

    async def _next_free(self) -> Worker:
        waiter: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release(waiter.result())
            raise

    def _release(self, worker: Worker) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return
        self._free.append(worker)


def _headers(plan: Plan) -> bytes:
    lines = []
    if plan.content_type:
        lines.append(f"Content-Type: {plan.content_type}")
    if plan.accept:
        lines.append(f"Accept: {plan.accept}")
    return "".join(f"{line}\r\n" for line in lines).encode()
