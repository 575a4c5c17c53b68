"""The journal of asynchronous invocations: three attempts, none used up by a refusal, none forgotten."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from scones.cloud.errors import ServiceError
from scones.cloud.services.lambda_.events import Events
from scones.cloud.services.lambda_.records import Event
from scones.cloud.services.lambda_.store import Store
from scones.cloud.services.lambda_.worker import Outcome
from scones.cloud.state.db import Database

GOOD = Outcome(payload=b"1", failed=False, tail=b"")
BAD = Outcome(payload=b"{}", failed=True, tail=b"")


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def deliver(
    answers: list[Outcome | ServiceError], *, until: Callable[[Store, int], bool]
) -> tuple[Store, int]:
    """Accept one event and dispatch until `until(store, attempts)`; returns the store and the attempts."""

    async def scenario() -> tuple[Store, int]:
        tasks: set[asyncio.Task[None]] = set()

        def spawn(work: Coroutine[Any, Any, None], *, name: str) -> None:
            tasks.add(asyncio.get_running_loop().create_task(work, name=name))

        store = Store(Database(":memory:"))
        store.add_function("f", tags={})
        now = time.time()
        store.add_event(
            Event(
                id="e",
                function="f",
                version="",
                payload=b"1",
                client_context="",
                accepted=now,
                due=now,
                failures=0,
            )
        )
        attempts = 0

        async def run(event: Event) -> Outcome:
            nonlocal attempts
            assert (event.id, event.payload) == ("e", b"1")
            answer = answers[attempts]
            attempts += 1
            if isinstance(answer, ServiceError):
                raise answer
            return answer

        events = Events(store=store, clock=RealClock(), spawn=spawn, retry_delays_s=(0.01, 0.02))
        typed: Callable[[Event], Awaitable[Outcome]] = run
        events.start(typed)
        deadline = time.monotonic() + 10
        while not until(store, attempts):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        events.close()
        await asyncio.gather(*tasks)
        return store, attempts

    return asyncio.run(scenario())


def done(store: Store, attempts: int) -> bool:
    return attempts > 0 and not store.events_due(time.time() + 10**6, limit=10)


def test_event_that_succeeds_is_forgotten() -> None:
    assert deliver([GOOD, GOOD], until=done)[1] == 1


def test_event_that_fails_is_tried_twice_more() -> None:
    assert deliver([BAD, BAD, GOOD], until=done)[1] == 3
    assert deliver([BAD, BAD, BAD, GOOD], until=done)[1] == 3


def test_throttled_event_uses_up_no_attempt() -> None:
    throttle = ServiceError("TooManyRequestsException", "Rate Exceeded.", status=429)
    store, _ = deliver([throttle, GOOD], until=lambda store, attempts: attempts == 1)
    [waiting] = store.events_due(time.time() + 60, limit=10)
    assert waiting.failures == 0
    assert waiting.due > time.time()


def test_event_of_a_deleted_version_is_dropped() -> None:
    assert deliver([ServiceError("ResourceNotFoundException", "gone"), GOOD], until=done)[1] == 1
