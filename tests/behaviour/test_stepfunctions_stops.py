"""What a task began and nobody waits for any more is stopped, a kill in between or not."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from tests.dying import dying
from tests.stepfunctions import create, ended, single, start, types, until

from scones.testing import LocalAWS

NESTED = "arn:aws:states:::states:startExecution.sync:2"


def child(states: Any) -> str:
    return create(states, single({"Type": "Wait", "Seconds": 3600}))


def nested(machine: str, **parameters: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": NESTED, "Parameters": {"StateMachineArn": machine} | parameters}


def the_one(states: Any, machine: str) -> str:
    """The machine's only execution."""

    def look() -> list[Any]:
        found: list[Any] = states.list_executions(stateMachineArn=machine)["executions"]
        return found

    (execution,) = until(look)
    arn: str = execution["executionArn"]
    return arn


def failing_beside(task: dict[str, Any]) -> dict[str, Any]:
    """A Parallel that gives the task up in the very turn that asks for it."""
    other = {"P": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail", "Error": "Mine"}}
    branches = [single(task), {"StartAt": "P", "States": other}]
    return {"StartAt": "Both", "States": {"Both": {"Type": "Parallel", "Branches": branches, "End": True}}}


def test_a_child_begun_while_its_task_was_given_up_is_stopped(states: Any) -> None:
    machine = child(states)
    parent = start(states, create(states, failing_beside(nested(machine))))
    assert ended(states, parent)["error"] == "Mine"
    assert ended(states, the_one(states, machine))["status"] == "ABORTED"


def test_after_a_kill_the_child_of_a_stopped_execution_is_stopped(tmp_path: Path) -> None:
    with dying(tmp_path, "stepfunctions.stop.journaled") as doomed:
        states = doomed.client("stepfunctions")
        machine = child(states)
        parent = start(states, create(states, single(nested(machine))))
        until(lambda: "TaskSubmitted" in types(states, parent))
        with contextlib.suppress(BotoCoreError):  # it dies before it answers
            states.stop_execution(executionArn=parent)
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        assert ended(states, parent)["status"] == "ABORTED"
        assert ended(states, the_one(states, machine))["status"] == "ABORTED"


@pytest.mark.parametrize("named", [{}, {"Name": "mine"}])
def test_after_a_kill_a_child_whose_beginning_was_never_told_is_stopped(
    tmp_path: Path, named: dict[str, str]
) -> None:
    with dying(tmp_path, "stepfunctions.task.answered") as doomed:
        states = doomed.client("stepfunctions")
        machine = child(states)
        with contextlib.suppress(BotoCoreError):  # it may die before it answers
            start(states, create(states, failing_beside(nested(machine, **named))))
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        assert ended(states, the_one(states, machine))["status"] == "ABORTED"


def test_after_a_kill_the_execution_of_somebody_else_goes_on(tmp_path: Path) -> None:
    """A task that asks for a name which is taken began nothing."""
    with dying(tmp_path, "stepfunctions.task.answered") as doomed:
        states = doomed.client("stepfunctions")
        machine = child(states)
        others = start(states, machine, '{"of": "somebody else"}', name="taken")
        with contextlib.suppress(BotoCoreError):
            start(states, create(states, failing_beside(nested(machine, Name="taken"))))
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        mine = create(states, single({"Type": "Pass"}))
        ended(states, start(states, mine))
        assert states.describe_execution(executionArn=others)["status"] == "RUNNING"
