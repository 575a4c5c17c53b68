"""Which worker runs what: the function's own before a new one, and whose place a new one takes."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from scones.cloud.services.lambda_.pool import Pool
from scones.cloud.services.lambda_.records import Version
from scones.cloud.services.lambda_.worker import Worker


@dataclass(eq=False)
class FakeWorker:
    version: Any
    usable: bool = True
    idle_since: float = 0.0

    def kill(self) -> None:
        self.usable = False


@dataclass(frozen=True)
class FakeVersion:
    generation: str
    function: str = "f"
    version: str = "$LATEST"


class Clock:
    """Each look at it is a second later."""

    seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


def version(generation: str) -> Version:
    return cast(Version, FakeVersion(generation))


def pool_of(most: int, soon_s: float = 60, full_s: float = 60) -> Pool:
    return Pool(most=most, clock=Clock(), soon_s=soon_s, full_s=full_s)


def worker(pool: Pool, generation: str) -> Worker:
    made = cast(Worker, FakeWorker(version(generation)))
    pool.add(made)
    return made


def test_the_worker_that_was_used_last_is_used_next() -> None:
    async def scenario() -> None:
        pool = pool_of(9)
        first, second = worker(pool, "a"), worker(pool, "a")
        pool.release(first)
        pool.release(second)
        assert await pool.take(version("a")) is second
        assert await pool.take(version("a")) is first
        assert await pool.take(version("b")) is None

    asyncio.run(scenario())


def test_workers_that_are_done_soon_serve_who_waits_in_order() -> None:
    async def scenario() -> None:
        pool = pool_of(9)
        busy, other = worker(pool, "a"), worker(pool, "b")
        waiting = [asyncio.create_task(pool.take(version("a"))) for _ in range(2)]
        await asyncio.sleep(0)
        pool.release(other)
        pool.release(busy)
        assert await waiting[0] is busy
        pool.release(busy)
        assert await waiting[1] is busy

    asyncio.run(scenario())


def test_who_waits_longer_than_a_moment_is_told_to_start_one_and_takes_none_along() -> None:
    async def scenario() -> None:
        pool = pool_of(9, soon_s=0.01)
        busy = worker(pool, "a")
        assert await pool.take(version("a")) is None
        pool.release(busy)
        assert await pool.take(version("a")) is busy

    asyncio.run(scenario())


def test_a_worker_that_failed_is_given_to_nobody() -> None:
    async def scenario() -> None:
        pool = pool_of(9)
        failed, good = worker(pool, "a"), worker(pool, "a")
        waiting = asyncio.create_task(pool.take(version("a")))
        await asyncio.sleep(0)
        failed.usable = False
        pool.release(failed)
        pool.release(good)
        assert await waiting is good

    asyncio.run(scenario())


def test_one_too_many_takes_the_place_of_the_one_that_was_idle_longest() -> None:
    pool = pool_of(3)
    longest, idle, busy = worker(pool, "a"), worker(pool, "b"), worker(pool, "c")
    pool.release(longest)
    pool.release(idle)
    new = worker(pool, "d")
    assert [one.usable for one in (longest, idle, busy, new)] == [False, True, True, True]


def test_nothing_is_taken_from_other_functions_while_an_own_worker_may_become_free() -> None:
    async def scenario() -> None:
        pool = pool_of(2, soon_s=0.01)
        own, other = worker(pool, "a"), worker(pool, "b")
        pool.release(other)
        waiting = asyncio.create_task(pool.take(version("a")))
        await asyncio.sleep(0.1)  # longer than it would wait where there is room
        assert not waiting.done()
        pool.release(own)
        assert await waiting is own
        assert other.usable

    asyncio.run(scenario())


def test_outdated_workers_end_at_once_when_idle_and_after_their_work_when_busy() -> None:
    pool = pool_of(9)
    idle, busy = worker(pool, "a"), worker(pool, "a")
    pool.release(idle)
    pool.retire("f", None)
    assert not idle.usable
    assert not busy.usable
    pool.release(busy)
