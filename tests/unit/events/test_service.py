"""EventBridge over a stepped clock: what falls due fires, what is accepted is delivered, also after a crash."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.events import Events
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

CONTEXT = Context(request_id="r", account_id="000000000000", region="us-east-1")
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
BUSY = ServiceError("TooManyRequestsException", "Rate exceeded", status=429)
GONE = ServiceError("ResourceNotFoundException", "Function not found", status=404)


class SteppedClock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


class CountedIds:
    def __init__(self) -> None:
        self._count = 0

    def uuid(self) -> str:
        self._count += 1
        return f"00000000-0000-4000-8000-{self._count:012d}"

    def token(self, length: int) -> str:
        return self.uuid()[-length:]


class NoFaults:
    def reach(self, point: str) -> None:
        pass


class Bench:
    """The service with other services that record what they are asked, or answer `error`."""

    def __init__(self, db: Database, state_dir: Path) -> None:
        self.db = db
        self.clock = SteppedClock()
        self.asked: list[Wire] = []
        self.error: ServiceError | None = None
        self._settings = CloudSettings(state_dir=state_dir)
        self._tasks: set[asyncio.Task[None]] = set()
        self.build()

    def build(self) -> None:
        """The service as it is after a start."""
        self.events = Events(
            db=self.db,
            clock=self.clock,
            ids=CountedIds(),
            settings=self._settings,
            call=self._call,
            spawn=self._spawn,
            faults=NoFaults(),
        )

    def __call__(self, operation: str, **request: Any) -> Wire:
        (method,) = [getattr(part, operation) for part in self.events.parts if hasattr(part, operation)]
        with self.db.transaction():
            reply: Wire = method(request, CONTEXT)
        return reply

    def pending(self) -> list[Any]:
        return self.db.all("SELECT * FROM events_deliveries")

    def advance(self, seconds: float) -> None:
        self.clock.moment += timedelta(seconds=seconds)
        self.events._runner.wake()
        self.events._scheduler.wake()

    def put(self, n: int = 0) -> None:
        entry = {"Source": "s", "DetailType": "d", "Detail": json.dumps({"n": n})}
        assert self("put_events", Entries=[entry])["FailedEntryCount"] == 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.events.start()
        try:
            yield
        finally:
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


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    db = Database(tmp_path / "state.sqlite")
    yield Bench(db, tmp_path)
    db.close()


def listen(bench: Bench, **rule: Any) -> None:
    bench("put_rule", Name="r", **rule or {"EventPattern": '{"source": ["s"]}'})
    policy = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}
    bench("put_targets", Rule="r", Targets=[{"Id": "t", "Arn": FUNCTION, "RetryPolicy": policy}])


def payloads(bench: Bench) -> list[Any]:
    return [json.loads(request["Payload"]) for request in bench.asked]


# --- deliveries -----------------------------------------------------------------------------------


def test_a_busy_target_is_asked_again_and_then_given_up(bench: Bench) -> None:
    async def play() -> None:
        listen(bench)
        bench.error = BUSY
        async with bench.running():
            bench.put()
            for attempt, pause_s in ((1, 1), (2, 2), (3, 4)):
                await until(lambda attempt=attempt: len(bench.asked) == attempt)  # type: ignore[misc]
                await until(lambda: not bench.pending() or bench.pending()[0]["attempts"] == len(bench.asked))
                bench.advance(pause_s)
            await until(lambda: not bench.pending())
        assert len(bench.asked) == 3

    asyncio.run(play())


def test_a_target_that_refuses_is_not_asked_again(bench: Bench) -> None:
    async def play() -> None:
        listen(bench)
        bench.error = GONE
        async with bench.running():
            bench.put()
            await until(lambda: not bench.pending())
        assert len(bench.asked) == 1

    asyncio.run(play())


def test_a_delivery_that_has_grown_too_old_is_given_up(bench: Bench) -> None:
    async def play() -> None:
        listen(bench)
        bench.error = BUSY
        bench.put()
        bench.clock.moment += timedelta(seconds=61)
        async with bench.running():
            await until(lambda: not bench.pending())
        assert len(bench.asked) == 1

    asyncio.run(play())


def test_what_was_accepted_is_delivered_after_a_crash_though_its_rule_has_gone(bench: Bench) -> None:
    async def play() -> None:
        listen(bench)
        for n in range(6):
            bench.put(n)
        bench("remove_targets", Rule="r", Ids=["t"])
        bench("delete_rule", Name="r")
        bench.build()
        async with bench.running():
            await until(lambda: not bench.pending())
        assert [event["detail"]["n"] for event in payloads(bench)] == list(range(6))

    asyncio.run(play())


def test_an_event_that_is_not_committed_reaches_nobody(bench: Bench) -> None:
    listen(bench)

    def fail_after_telling() -> None:
        with bench.db.transaction():
            bench.events.announce("s", "d", lambda: ("arn", {}))
            assert len(bench.pending()) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_telling()
    assert bench.pending() == []


def test_nobody_is_asked_for_an_event_that_no_rule_could_hear(bench: Bench) -> None:
    bench.events.announce("s", "d", lambda: pytest.fail("asked"))


# --- schedules ------------------------------------------------------------------------------------


def test_a_scheduled_rule_fires_when_it_is_due(bench: Bench) -> None:
    async def play() -> None:
        async with bench.running():
            listen(bench, ScheduleExpression="cron(0/10 * * * ? *)")
            bench.advance(5 * 60)
            await settled()
            assert bench.asked == []
            bench.advance(60)
            await until(lambda: len(bench.asked) == 1)
            bench.advance(600)
            await until(lambda: len(bench.asked) == 2)
        first, second = payloads(bench)
        assert (first["time"], second["time"]) == ("2026-01-02T03:10:00Z", "2026-01-02T03:20:00Z")
        assert (first["source"], first["detail-type"], first["detail"]) == (
            "aws.events",
            "Scheduled Event",
            {},
        )
        assert first["resources"] == ["arn:aws:events:us-east-1:000000000000:rule/r"]

    asyncio.run(play())


def test_what_fell_due_while_the_cloud_was_down_fires_once(bench: Bench) -> None:
    async def play() -> None:
        listen(bench, ScheduleExpression="rate(1 hour)")
        bench.clock.moment += timedelta(hours=5, minutes=30)
        bench.build()
        async with bench.running():
            await until(lambda: len(bench.asked) == 1)
            bench.advance(59 * 60)
            await settled()
            assert len(bench.asked) == 1
            bench.advance(60)
            await until(lambda: len(bench.asked) == 2)

    asyncio.run(play())


def test_a_disabled_rule_does_not_fire(bench: Bench) -> None:
    async def play() -> None:
        listen(bench, ScheduleExpression="rate(1 minute)")
        bench("disable_rule", Name="r")
        async with bench.running():
            bench.advance(3600)
            await settled()
            bench("enable_rule", Name="r")
            await settled()
            assert bench.asked == []
            bench.advance(60)
            await until(lambda: len(bench.asked) == 1)

    asyncio.run(play())


def test_a_rule_may_have_a_schedule_and_a_pattern(bench: Bench) -> None:
    listen(bench, ScheduleExpression="rate(1 minute)", EventPattern='{"source": ["s"]}')
    bench.put()
    assert len(bench.pending()) == 1
    described = bench("describe_rule", Name="r")
    assert described["ScheduleExpression"] == "rate(1 minute)"
    assert described["EventPattern"] == '{"source": ["s"]}'
    bench("put_rule", Name="r", ScheduleExpression="rate(2 minutes)")
    bench.put()
    assert len(bench.pending()) == 1
    assert "EventPattern" not in bench("describe_rule", Name="r")
