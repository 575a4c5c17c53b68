"""Who may run now: the account's concurrency, and what functions reserved of their own."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scones.cloud.services.lambda_.errors import throttled

__all__ = ["Slots"]


class Slots:
    """At most `limit` invocations at once over all functions without a reservation.

    Further ones wait, first come first served, at most `queue` of them and `wait_s` each; then, as
    for a function beyond its own reservation at once, they are throttled.
    """

    def __init__(self, *, limit: int, queue: int, wait_s: float) -> None:
        self._limit = limit
        self._queue = queue
        self._wait_s = wait_s
        self._shared = 0
        self._reserved: Counter[str] = Counter()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def one(self, function: str, reserved: int | None) -> AsyncIterator[None]:
        """Hold a slot for a block; raises TooManyRequestsException."""
        if reserved is None:
            await self._take()
            try:
                yield
            finally:
                self._give()
            return
        if self._reserved[function] >= reserved:
            raise throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        self._reserved[function] += 1
        try:
            yield
        finally:
            self._reserved[function] -= 1

    async def _take(self) -> None:
        if self._shared < self._limit:
            self._shared += 1
            return
        if len(self._waiting) >= self._queue:
            raise throttled("ConcurrentInvocationLimitExceeded")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait_for(turn, self._wait_s)
        except TimeoutError:
            raise throttled("ConcurrentInvocationLimitExceeded") from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give()  # it was our turn, and nobody is left to use it
            raise

    def _give(self) -> None:
        """Hand the slot to whoever waits longest, or back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._shared -= 1
