"""Events and a definition become what happened to each state."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scones.workflow.history import StateSummary, summarize

CASES = os.environ.get("SCONES_ASL_CASES")
START = datetime(2026, 1, 1, tzinfo=UTC)
MACHINE: dict[str, Any] = {
    "StartAt": "Ask",
    "States": {
        "Ask": {"Type": "Task", "Next": "Done", "Catch": [{"Next": "Sorry"}]},
        "Done": {"Type": "Succeed"},
        "Sorry": {"Type": "Fail"},
    },
}


def _events(*steps: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One event a second, each following from the one before."""
    return [
        {"id": n, "previousEventId": n - 1, "type": kind, "timestamp": START + timedelta(seconds=n),
         "anyEventDetails": details}
        for n, (kind, details) in enumerate(steps, 1)
    ]  # fmt: skip


ENTERED = [("ExecutionStarted", {"input": "{}"}), ("TaskStateEntered", {"name": "Ask", "input": "{}"})]
FAILED = [("TaskScheduled", {}), ("TaskStarted", {}), ("TaskFailed", {"error": "Broken", "cause": "why"})]
LEFT = [("TaskStateExited", {"name": "Ask", "output": "1"})]


def _ask(*steps: tuple[str, dict[str, Any]]) -> StateSummary:
    return summarize(MACHINE, _events(*steps))[0]


def test_a_running_state_has_no_output_yet() -> None:
    ask = _ask(*ENTERED, ("TaskScheduled", {}))
    assert (ask.status, ask.output, ask.duration_s) == ("RUNNING", None, None)


def test_a_retry_that_succeeds_is_a_success_with_a_retry() -> None:
    again = [("TaskScheduled", {}), ("TaskStarted", {}), ("TaskSucceeded", {"output": "1"})]
    ask = _ask(*ENTERED, *FAILED, *again, *LEFT)
    assert (ask.status, ask.retries, ask.output, ask.duration_s) == ("SUCCEEDED", 1, "1", 7.0)


def test_an_error_that_was_handled_is_caught() -> None:
    ask = _ask(*ENTERED, *FAILED, *LEFT)
    assert (ask.status, ask.error, ask.cause) == ("CAUGHT", "Broken", "why")


def test_the_state_that_ended_the_execution_has_failed() -> None:
    ask = _ask(*ENTERED, *FAILED, ("ExecutionFailed", {"error": "Broken", "cause": "why"}))
    assert (ask.status, ask.error) == ("FAILED", "Broken")


def test_an_abort_marks_what_was_running_and_nothing_else() -> None:
    states = summarize(MACHINE, _events(*ENTERED, ("ExecutionAborted", {})))
    assert [state.status for state in states] == ["ABORTED", "NOT RUN", "NOT RUN"]


REDRIVEN: list[tuple[str, dict[str, Any]]] = [
    ("ExecutionFailed", {"error": "Broken"}),
    ("ExecutionRedriven", {"redriveCount": 1}),
]


def test_a_redriven_state_runs_again_and_a_redrive_is_no_retry() -> None:
    events = _events(*ENTERED, *FAILED, *REDRIVEN, ("TaskScheduled", {}), ("TaskSucceeded", {}), *LEFT)
    events[7]["previousEventId"] = 2
    running, done = summarize(MACHINE, events[:8])[0], summarize(MACHINE, events)[0]
    assert (running.status, running.redrives, running.retries) == ("RUNNING", 1, 0)
    assert (done.status, done.redrives, done.retries) == ("SUCCEEDED", 1, 0)


def test_a_redrive_takes_up_a_map_and_forgets_which_items_failed() -> None:
    item = {"StartAt": "Item", "States": {"Item": {"Type": "Task", "End": True}}}
    machine = {"StartAt": "Each", "States": {"Each": {"Type": "Map", "ItemProcessor": item, "End": True}}}
    iteration = {"name": "Each", "index": 0}
    events = _events(
        ("MapStateEntered", {"name": "Each"}),
        ("MapIterationStarted", iteration),
        ("TaskStateEntered", {"name": "Item"}),
        ("TaskFailed", {"error": "Broken"}),
        ("MapIterationFailed", iteration),
        *REDRIVEN,
    )
    each, inner = summarize(machine, events)
    assert (each.status, each.redrives, each.iterations) == ("RUNNING", 1, {"started": 1})
    assert (inner.status, inner.redrives) == ("RUNNING", 1)


@pytest.mark.skipif(not CASES, reason="SCONES_ASL_CASES is not set")
@pytest.mark.parametrize("file", ["pure.jsonl", "lambda.jsonl", "services.jsonl"])
def test_of_executions_recorded_on_aws_nothing_runs_on(file: str) -> None:
    """And where one failed, a state did."""
    for case in map(json.loads, (Path(CASES or "") / file).read_text("utf-8").splitlines()):
        events = case["expected"].get("events") or []
        if any(isinstance(event["id"], list) for event in events):  # branches in any order
            continue
        told = summarize(case["definition"], [event | {"timestamp": START} for event in events])
        running = [state.name for state in told if state.status == "RUNNING"]
        assert running == [], case["id"]
        if events and events[-1]["type"] == "ExecutionFailed":
            assert "FAILED" in {state.status for state in told}, case["id"]
