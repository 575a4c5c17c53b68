"""Which executions may be redriven: the periods and the length of the history."""

from pathlib import Path

import pytest

from scones.cloud.asl.journal import Finish, Turn
from scones.cloud.services.stepfunctions.records import ExecutionRow
from scones.cloud.services.stepfunctions.redrive_rules import not_redrivable
from scones.cloud.services.stepfunctions.store import Store
from scones.cloud.state.db import Database

DAY = 24 * 3600 * 1000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Database(tmp_path / "state.sqlite"))


def execution(store: Store, *, started: int = 0, stopped: int = 0, events: int = 5) -> ExecutionRow:
    """One that failed."""
    machine = store.add_machine(
        arn="m", name="m", type_="STANDARD", definition="{}", role_arn="r", created_ms=0
    )
    row = store.add_execution(
        arn="e", name="e", machine=machine, revision=1, input="{}", started_ms=started, seed="s",
        trace_header=None, version=None, alias=None,
    )  # fmt: skip
    store.add_turn(row.id, 0, Turn([], [], [], 0), stopped, events)
    store.finish_execution(row.id, Finish("FAILED", None, "Broken", None), stopped)
    found = store.execution("e")
    assert found is not None
    return found


def test_an_execution_is_redrivable_for_fourteen_days_after_its_end(store: Store) -> None:
    row = execution(store, stopped=DAY)
    assert not_redrivable(store, row, 15 * DAY) is None
    assert not_redrivable(store, row, 15 * DAY + 1) == "Execution redrivable period exceeded"


def test_an_execution_is_open_for_a_year(store: Store) -> None:
    row = execution(store, stopped=360 * DAY)
    assert not_redrivable(store, row, 365 * DAY) is None
    assert not_redrivable(store, row, 366 * DAY) == "Execution has exceeded the max execution time"


@pytest.mark.parametrize(
    ("events", "reason"), [(24_998, None), (24_999, "Execution history event limit exceeded")]
)
def test_the_history_must_have_room(store: Store, events: int, reason: str | None) -> None:
    assert not_redrivable(store, execution(store, events=events), 0) == reason


def test_a_token_is_known_for_the_last_redrives_and_a_while(store: Store) -> None:
    row = execution(store)
    for number in range(12):
        found = store.execution("e")
        assert found is not None
        store.redrive_execution(found, f"t{number}", 100 + number)
        store.finish_execution(row.id, Finish("ABORTED", None, None, None), 100 + number)
    assert store.redriven_by(row.id, "t11", 0, 10) == 111
    assert store.redriven_by(row.id, "t2", 0, 10) == 102
    assert store.redriven_by(row.id, "t1", 0, 10) is None
    assert store.redriven_by(row.id, "t5", 106, 10) is None
