"""Rows of map runs: what of many large executions is in memory at a time."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from scones.cloud.asl.distributed import MapRunPlan
from scones.cloud.services.stepfunctions.map_store import MapRunStore
from scones.cloud.services.stepfunctions.store import Store
from scones.cloud.state.db import Database

TEXT = "x" * 200_000


@pytest.fixture
def rows(tmp_path: Path) -> MapRunStore:
    """Of one run that began a hundred executions, each with a long input."""
    db = Database(tmp_path / "state.sqlite")
    store, rows = Store(db), MapRunStore(db)
    machine = store.add_machine(
        arn="m", name="m", type_="STANDARD", definition="{}", role_arn="r", created_ms=0
    )

    def begin(name: str, given: str, run: int | None = None, child: int | None = None) -> int:
        return store.add_execution(
            arn=name, name=name, machine=machine, revision=1, input=given, started_ms=0, seed="s",
            trace_header=None, map_run=run, child=child, items=1,
        ).id  # fmt: skip

    plan = MapRunPlan(
        state="M",
        label="l",
        express=False,
        max_concurrency=0,
        tolerated_count=None,
        tolerated_percentage=None,
    )
    rows.add("run", begin("parent", "{}"), 1, plan, 0)
    with db.transaction():
        for number in range(100):
            begin(f"child-{number}", TEXT, 1, number)
    return rows


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_list_of_executions_holds_none_of_their_texts(rows: MapRunStore) -> None:
    assert len(rows.listed(1, 1000, 100, status=None, redriven=None)) == 100
    assert peak_bytes(lambda: rows.listed(1, 1000, 100, status=None, redriven=None)) < 10 * len(TEXT)
    assert peak_bytes(lambda: rows.running(1)) < len(TEXT)


def test_executions_are_read_in_order_and_a_part_of_them_at_a_time(rows: MapRunStore) -> None:
    assert [row.child for row in rows.children(1, "RUNNING")] == list(range(100))

    def read() -> None:
        for row in rows.children(1, "RUNNING"):
            assert row.input == TEXT

    assert peak_bytes(read) < 70 * len(TEXT)
