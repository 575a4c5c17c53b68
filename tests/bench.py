"""A service without a cloud: over a state folder of its own, a clock that is set, and others that record."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Service, Wire
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

__all__ = ["CountedIds", "NoFaults", "ServiceBench", "SteppedClock", "settled", "until"]

CONTEXT = Context(request_id="r", account_id="000000000000", region="us-east-1")
_S = TypeVar("_S", bound=Service)


class SteppedClock:
    """A minute passes only when a test says so."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def step(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class CountedIds:
    def __init__(self) -> None:
        self._count = 0

    def uuid(self) -> str:
        self._count += 1
        return f"00000000-0000-4000-8000-{self._count:012d}"

    def token(self, length: int) -> str:
        self._count += 1
        return f"{self._count:0{length}x}"


class NoFaults:
    def reach(self, point: str) -> None:
        pass


class ServiceBench(Generic[_S]):
    """A service that delivers to others, which record what they are asked or answer `error`."""

    def __init__(self, kind: Callable[..., _S], folder: Path) -> None:
        self.db = Database(folder / "state.sqlite")
        self.clock = SteppedClock()
        self.asked: list[Wire] = []
        self.error: ServiceError | None = None
        self._kind = kind
        self._settings = CloudSettings(state_dir=folder)
        self._tasks: set[asyncio.Task[None]] = set()
        self.build()

    def build(self) -> None:
        """The service as it is after a start."""
        self.service = self._kind(
            db=self.db,
            clock=self.clock,
            ids=CountedIds(),
            settings=self._settings,
            call=self._call,
            spawn=self._spawn,
            faults=NoFaults(),
        )

    def __call__(self, operation: str, **request: Any) -> Wire:
        (method,) = [getattr(part, operation) for part in self.service.parts if hasattr(part, operation)]
        with self.db.transaction():
            reply: Wire = method(request, CONTEXT)
        return reply

    def code_of(self, operation: str, **request: Any) -> str:
        with pytest.raises(ServiceError) as raised:
            self(operation, **request)
        return raised.value.code

    def pending(self) -> list[Any]:
        return self.db.all(f"SELECT * FROM {self.service.name}_deliveries")

    async def delivered(self) -> None:
        """Nothing is left to deliver."""
        await until(lambda: not self.pending())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.service.start()
        try:
            yield
        finally:
            await self.service.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, service: str, operation: str, request: Wire) -> Wire:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return {}

    def _spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within ten seconds")


async def settled() -> None:
    """Everything that could run has run."""
    for _ in range(50):
        await asyncio.sleep(0)
