"""EventBridge over a stepped clock: what falls due fires, what is accepted is delivered, also after a crash."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.bench import ServiceBench, settled, until

from scones.cloud.errors import ServiceError
from scones.cloud.services.events import Events

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
BUSY = ServiceError("TooManyRequestsException", "Rate exceeded", status=429)
GONE = ServiceError("ResourceNotFoundException", "Function not found", status=404)


class Bench(ServiceBench[Events]):
    def advance(self, seconds: float) -> None:
        self.clock.step(seconds)
        self.service._runner.wake()
        self.service._scheduler.wake()

    def put(self, n: int = 0) -> None:
        entry = {"Source": "s", "DetailType": "d", "Detail": json.dumps({"n": n})}
        assert self("put_events", Entries=[entry])["FailedEntryCount"] == 0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(Events, tmp_path)
    yield bench
    bench.db.close()


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
            await bench.delivered()
        assert len(bench.asked) == 3

    asyncio.run(play())


def test_a_target_that_refuses_is_not_asked_again(bench: Bench) -> None:
    async def play() -> None:
        listen(bench)
        bench.error = GONE
        async with bench.running():
            bench.put()
            await bench.delivered()
        assert len(bench.asked) == 1

    asyncio.run(play())


def test_a_delivery_that_has_grown_too_old_is_given_up(bench: Bench) -> None:
    async def play() -> None:
        listen(bench)
        bench.error = BUSY
        bench.put()
        bench.clock.step(61)
        async with bench.running():
            await bench.delivered()
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
            await bench.delivered()
        assert [event["detail"]["n"] for event in payloads(bench)] == list(range(6))

    asyncio.run(play())


def test_an_event_that_is_not_committed_reaches_nobody(bench: Bench) -> None:
    listen(bench)

    def fail_after_telling() -> None:
        with bench.db.transaction():
            bench.service.announce("s", "d", lambda: ("arn", {}))
            assert len(bench.pending()) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_telling()
    assert bench.pending() == []


def test_nobody_is_asked_for_an_event_that_no_rule_could_hear(bench: Bench) -> None:
    bench.service.announce("s", "d", lambda: pytest.fail("asked"))


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
