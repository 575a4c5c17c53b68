"""The runner of deliveries where recipients keep silent, and where sending itself is broken."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bench import ServiceBench, settled, until

from scones.cloud.deliveries import Outcome, Runner
from scones.cloud.ports import never
from scones.cloud.services.events.records import Delivery


class Post:
    """A service that only delivers: to `silent`, who never answers; to `broken`; and to others."""

    name = "events"
    parts: tuple[object, ...] = ()

    def __init__(self, *, ids: Any, settings: Any, call: Any, **ports: Any) -> None:
        self.sent: list[str] = []
        self.runner = Runner(Delivery, service=self.name, queue="target_arn", sender=self, **ports)

    async def start(self) -> None:
        self.runner.start()

    async def close(self) -> None:
        pass

    async def attempt(self, delivery: Delivery) -> Outcome:
        self.sent.append(delivery.target_arn)
        if delivery.target_arn == "silent":
            await never()
        if delivery.target_arn == "broken":
            raise ZeroDivisionError
        return "delivered"

    def retry_due(self, delivery: Delivery, now: int) -> int | None:
        return now + 1000 if delivery.attempts < delivery.retries else None

    def title(self, delivery: Delivery) -> str:
        return delivery.event_id


def deliver(bench: ServiceBench[Post], recipient: str) -> None:
    named: Any = {"event_id": "e", "rule_arn": "r", "target_arn": recipient, "name": "n", "body": "{}"}
    with bench.db.transaction():
        bench.service.runner.deliver(Delivery(**named, due=0, retries=1, expires=0))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench[Post]]:
    bench = ServiceBench(Post, tmp_path)
    yield bench
    bench.db.close()


def test_one_who_keeps_silent_delays_nobody_else(bench: ServiceBench[Post]) -> None:
    async def scenario() -> None:
        async with bench.running():
            for recipient in ["silent"] * 6 + ["quick"] * 6:
                deliver(bench, recipient)
            await until(lambda: bench.service.sent.count("quick") == 6)
            await settled()

    asyncio.run(scenario())
    assert bench.service.sent.count("silent") == 4
    assert [row["target_arn"] for row in bench.pending()] == ["silent"] * 6


def test_a_broken_sender_is_not_tried_again_without_a_pause(bench: ServiceBench[Post]) -> None:
    async def scenario() -> None:
        async with bench.running():
            deliver(bench, "broken")
            await until(lambda: [row["attempts"] for row in bench.pending()] == [1])
            await settled()
            assert bench.service.sent == ["broken"]
            bench.clock.step(1)
            bench.service.runner.wake()
            await bench.delivered()

    asyncio.run(scenario())
    assert bench.service.sent == ["broken"] * 2
