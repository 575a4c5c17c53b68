"""The tasks of activities that wait for a worker, and what a worker is told when none does."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from scones.cloud.asl.journal import Invoke
from scones.cloud.ports import Context, Wire, unheard
from scones.cloud.runtime import PlannedFaults, RandomIds, SystemClock
from scones.cloud.services.stepfunctions.activities import Activities
from scones.cloud.services.stepfunctions.activity_queue import ActivityQueue
from scones.cloud.services.stepfunctions.item_reader import ItemReader
from scones.cloud.services.stepfunctions.parquet_files import ParquetFiles
from scones.cloud.services.stepfunctions.runner import Runner
from scones.cloud.services.stepfunctions.status_events import StatusEvents
from scones.cloud.services.stepfunctions.store import Store
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

ARN = "arn:aws:states:us-east-1:000000000000:activity:a"


def task(number: int) -> Invoke:
    return Invoke(number, "activity", "", ARN, "{}", "queued")


def test_tasks_are_taken_in_the_order_of_their_offers_and_once() -> None:
    queue = ActivityQueue()
    queue.offer(1, task(-1))
    queue.offer(2, task(-1))
    queue.offer(1, task(-1))
    assert [queue.take(ARN), queue.take(ARN), queue.take(ARN)] == [(1, task(-1)), (2, task(-1)), None]


def test_a_task_that_is_withdrawn_is_taken_by_nobody() -> None:
    queue = ActivityQueue()
    queue.offer(1, task(-1))
    queue.withdraw(1, -1)
    queue.withdraw(1, -1)
    assert queue.take(ARN) is None


def test_whoever_waits_for_news_hears_of_the_next_offer() -> None:
    queue = ActivityQueue()
    first = queue.news(ARN)
    queue.offer(1, task(-1))
    assert first.is_set()
    assert not queue.news(ARN).is_set()


def test_a_poll_that_finds_nothing_ends_empty(tmp_path: Path) -> None:
    async def call(service: str, operation: str, request: Wire) -> Wire:
        raise AssertionError

    def spawn(work: Coroutine[Any, Any, None], *, name: str) -> None:
        raise AssertionError

    database = Database(tmp_path / "state.sqlite")
    store, clock = Store(database), SystemClock()
    reader = ItemReader(call, ParquetFiles(Processes(database, sys.executable), RandomIds(), tmp_path))
    runner = Runner(
        db=database, store=store, clock=clock, ids=RandomIds(), call=call, reader=reader, spawn=spawn,
        faults=PlannedFaults(), region="us-east-1", status_events=StatusEvents(store, unheard),
    )  # fmt: skip
    activities = Activities(store=store, runner=runner, clock=clock, poll_s=0.01)
    context = Context(request_id="r", account_id="000000000000", region="us-east-1")
    with database.transaction():
        arn = activities.create_activity({"name": "a"}, context)["activityArn"]
    assert asyncio.run(activities.get_activity_task({"activityArn": arn}, context)) == {}
    database.close()
