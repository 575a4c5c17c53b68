"""The workers that live: busy or idle, the latest used first, ended when idle for long or outdated.

A function's own worker is waited for a moment before another is started: starting one takes longer than
most invocations do, and takes the processor from those that run.
"""

import asyncio
from collections import Counter, deque

from scones.cloud.ports import Clock
from scones.cloud.services.lambda_.records import Version
from scones.cloud.services.lambda_.worker import Worker

__all__ = ["Pool"]

_SOON_S = 0.05
_SOON_WHEN_FULL_S = 1.0  # another could be started only in the place of some other function's
_IDLE_S = 300.0

_Turn = asyncio.Future[Worker | None]


class Pool:
    """`most`: processes at once, before idle ones of other functions are ended for new ones."""

    def __init__(
        self, *, most: int, clock: Clock, soon_s: float = _SOON_S, full_s: float = _SOON_WHEN_FULL_S
    ) -> None:
        self._most = most
        self._soon_s = soon_s
        self._full_s = full_s
        self._clock = clock
        self._workers: set[Worker] = set()
        self._idle: dict[str, list[Worker]] = {}
        self._alive: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Turn]] = {}

    def __bool__(self) -> bool:
        return bool(self._workers)

    @property
    def any_idle(self) -> bool:
        return any(self._idle.values())

    def add(self, worker: Worker) -> None:
        """A new worker, busy from the start. Where there are too many, the one idle longest is ended."""
        if len(self._workers) >= self._most:
            idle = [other for others in self._idle.values() for other in others if other.usable]
            if idle:
                min(idle, key=lambda other: other.idle_since).kill()
        self._workers.add(worker)
        self._alive[worker.version.generation] += 1

    def remove(self, worker: Worker) -> None:
        """The worker's process has ended, or could not be started."""
        generation = worker.version.generation
        self._workers.discard(worker)
        self._alive[generation] -= 1
        if not self._alive[generation]:
            del self._alive[generation]
            self._waiting.pop(generation, None)
        idle = self._idle.get(generation, [])
        if worker in idle:
            idle.remove(worker)
        if not idle:
            self._idle.pop(generation, None)

    async def take(self, version: Version) -> Worker | None:
        """An idle worker of the version, now or soon; None when another has to be started."""
        generation = version.generation
        idle = self._idle.get(generation, [])
        while idle:
            worker = idle.pop()
            if worker.usable:
                return worker
        if not self._alive[generation]:
            return None
        full = len(self._workers) >= self._most
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._waiting.setdefault(generation, deque()).append(turn)
        timer = loop.call_later(self._full_s if full else self._soon_s, _settle, turn, None)
        try:
            return await turn
        finally:
            timer.cancel()

    def release(self, worker: Worker) -> None:
        """The worker is done with its work: it goes to whoever waits longest for one of its kind."""
        if not worker.usable:
            worker.kill()
            return
        generation = worker.version.generation
        waiting = self._waiting.get(generation, deque())
        while waiting:
            if _settle(waiting.popleft(), worker):
                return
        self._waiting.pop(generation, None)
        worker.idle_since = self._clock.monotonic()
        self._idle.setdefault(generation, []).append(worker)

    def end_idle(self) -> None:
        before = self._clock.monotonic() - _IDLE_S
        for workers in self._idle.values():
            for worker in workers:
                if worker.idle_since < before:
                    worker.kill()

    def retire(self, function: str, version: str | None) -> None:
        """Code or configuration changed, or is gone: idle workers end, busy ones after their invocation."""
        for worker in self._workers:
            if worker.version.function == function and version in (None, worker.version.version):
                worker.usable = False
        for workers in self._idle.values():
            for worker in workers:
                if not worker.usable:
                    worker.kill()

    def kill(self) -> None:
        for worker in self._workers:
            worker.kill()


def _settle(turn: _Turn, worker: Worker | None) -> bool:
    if turn.done():
        return False
    turn.set_result(worker)
    return True
