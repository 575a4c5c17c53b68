"""Delivers what is journaled: at least once, with pauses between attempts, as long as its sender says.

Each queue has a few deliveries under way at most, so that a slow recipient delays only its own.
A delivery's row goes when it has succeeded or been given up; a crash in between repeats it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Literal, Protocol, TypeVar

from scones.cloud.deliveries.store import Deliveries, Pending
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Faults, Spawn, milliseconds
from scones.cloud.state.db import Database

__all__ = ["Deliver", "Outcome", "Runner", "Sender", "refusal"]

_log = logging.getLogger(__name__)

_UNDER_WAY_PER_QUEUE = 4

Outcome = Literal["delivered", "refused", "failed"]
"""refused: the recipient will never take it, so asking again is pointless."""

D = TypeVar("D", bound=Pending)
D_contra = TypeVar("D_contra", bound=Pending, contravariant=True)

Deliver = Callable[[D], None]
"""Runner.deliver, for the parts of a service."""


class Sender(Protocol[D_contra]):
    """What a service itself knows of its deliveries."""

    async def attempt(self, delivery: D_contra) -> Outcome: ...

    def retry_due(self, delivery: D_contra, now: int) -> int | None:
        """When a delivery that has failed at `now` is tried again; None where it is given up."""

    def title(self, delivery: D_contra) -> str:
        """What it is and where it goes, for the log."""


class Runner(Generic[D]):
    """service: has the table SERVICE_deliveries, and the fault SERVICE.delivered before a delivery is noted.

    queue: the column of that table whose values are the recipients.
    """

    def __init__(
        self,
        record: type[D],
        *,
        service: str,
        queue: str,
        sender: Sender[D],
        db: Database,
        clock: Clock,
        spawn: Spawn,
        faults: Faults,
    ) -> None:
        self._service = service
        self._deliveries = Deliveries(db, record, table=f"{service}_deliveries", queue=queue)
        self._sender = sender
        self._db = db
        self._clock = clock
        self._spawn = spawn
        self._faults = faults
        self._wake = asyncio.Event()
        self._under_way: set[int] = set()

    def start(self) -> None:
        self._spawn(self._run(), name=f"{self._service} deliveries")

    def deliver(self, delivery: D) -> None:
        """Journal it in the caller's transaction; it goes on its way once that is durable."""
        self._deliveries.insert(delivery)
        self._db.after_commit(self.wake)

    def wake(self) -> None:
        """There may be something to deliver."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._start_due()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _pause_s(self) -> float | None:
        now = milliseconds(self._clock.now())
        due = self._deliveries.next_due(now)
        return None if due is None else (due - now) / 1000

    def _start_due(self) -> None:
        now = milliseconds(self._clock.now())
        # Those under way are still the first in order, so a fixed window leaves them out by itself.
        for delivery in self._deliveries.due(now, per_queue=_UNDER_WAY_PER_QUEUE):
            if delivery.delivery_id not in self._under_way:
                self._under_way.add(delivery.delivery_id)
                self._spawn(self._attempt(delivery), name=f"delivery of {self._sender.title(delivery)}")

    async def _attempt(self, delivery: D) -> None:
        try:
            outcome = await self._sender.attempt(delivery)
            self._faults.reach(f"{self._service}.delivered")
            self._settle(delivery, outcome)
        except Exception:
            self._settle(delivery, "failed")  # our own fault must not be retried without a pause
            raise
        finally:
            self._under_way.discard(delivery.delivery_id)
            self.wake()

    def _settle(self, delivery: D, outcome: Outcome) -> None:
        if outcome == "failed":
            due = self._sender.retry_due(delivery, milliseconds(self._clock.now()))
            if due is not None:
                self._deliveries.postpone(delivery, due=due)
                return
        if outcome != "delivered":
            _log.warning("gave up %s", self._sender.title(delivery))
        self._deliveries.finish(delivery)


def refusal(error: ServiceError) -> Outcome:
    """The outcome of a delivery that another service has answered with an error."""
    temporary = error.status >= 500 or error.code in ("TooManyRequestsException", "Throttled")
    return "failed" if temporary else "refused"
