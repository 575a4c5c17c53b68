"""Asynchronous invocations: the journal of accepted events, delivered at least once, retried twice."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Spawn
from scones.cloud.services.lambda_.records import Event
from scones.cloud.services.lambda_.store import Store
from scones.cloud.services.lambda_.worker import Outcome

__all__ = ["RETRY_DELAYS_S", "Events"]

_log = logging.getLogger(__name__)

RETRY_DELAYS_S = (60.0, 120.0)  # AWS's: one minute, then two
_THROTTLED_S = 1.0
_MAXIMUM_AGE_S = 6 * 3600.0
_AT_ONCE = 10
_LONGEST_WAIT_S = 60.0

Run = Callable[[Event], Awaitable[Outcome]]


class Events:
    """A row in the journal is an event that is not done. A crash in the middle delivers it again."""

    def __init__(self, *, store: Store, clock: Clock, spawn: Spawn, retry_delays_s: Sequence[float]) -> None:
        self._store = store
        self._clock = clock
        self._spawn = spawn
        self._retry_delays_s = retry_delays_s
        self._running: set[str] = set()
        self._changed = asyncio.Event()
        self._closing = False

    def wake(self) -> None:
        self._changed.set()

    def start(self, run: Run) -> None:
        self._spawn(self._dispatch(run), name="lambda events")

    def close(self) -> None:
        """Begin no further delivery; those that are running are not recorded as failed."""
        self._closing = True
        self._changed.set()

    async def _dispatch(self, run: Run) -> None:
        while not self._closing:
            self._changed.clear()
            now = self._clock.now().timestamp()
            for event in self._store.events_due(now, limit=2 * _AT_ONCE):
                if event.id not in self._running and len(self._running) < _AT_ONCE:
                    self._running.add(event.id)
                    self._spawn(self._deliver(event, run), name=f"lambda event {event.id}")
            try:
                await asyncio.wait_for(self._changed.wait(), self._pause(now))
            except TimeoutError:
                continue

    def _pause(self, now: float) -> float:
        """Until the next event is due; one that is running wakes us itself."""
        due = self._store.next_due(now)
        return _LONGEST_WAIT_S if due is None else min(due - now, _LONGEST_WAIT_S)

    async def _deliver(self, event: Event, run: Run) -> None:
        try:
            outcome = await run(event)
        except ServiceError as error:
            self._refused(event, error)
        else:
            if not outcome.failed:
                self._store.delete_event(event.id)
            else:
                self._failed(event)
        finally:
            self._running.discard(event.id)
            self._changed.set()

    def _refused(self, event: Event, error: ServiceError) -> None:
        """It did not run: no attempt is used up."""
        now = self._clock.now().timestamp()
        if self._closing:
            return
        if error.code == "ResourceNotFoundException" or now - event.accepted > _MAXIMUM_AGE_S:
            _log.warning("event %s of function %s was dropped: %s", event.id, event.function, error)
            self._store.delete_event(event.id)
        else:
            self._store.postpone_event(event.id, due=now + _THROTTLED_S, failures=event.failures)

    def _failed(self, event: Event) -> None:
        if event.failures >= len(self._retry_delays_s):
            _log.warning("event %s of function %s was dropped: all attempts failed", event.id, event.function)
            self._store.delete_event(event.id)
            return
        due = self._clock.now().timestamp() + self._retry_delays_s[event.failures]
        self._store.postpone_event(event.id, due=due, failures=event.failures + 1)
