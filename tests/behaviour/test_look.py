"""The verbs that look, as a person calls them, against a running cloud."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.stepfunctions import create, ended, start

from scones.cli import cli
from scones.testing import LocalAWS
from scones.workflow.errors import WorkflowError

SHIPPED = Path(__file__).parents[2] / "src/scones/shipped/state_machine.asl.json"
MACHINE = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Item", "States": {"Item": {"Type": "Pass", "End": True}}},
            "Next": "Ask",
        },
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "nowhere"},
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}],
            "Catch": [
                {"ErrorEquals": ["Other"], "Next": "Never"},
                {"ErrorEquals": ["States.ALL"], "Next": "Stop"},
            ],
            "End": True,
        },
        "Stop": {"Type": "Fail", "Error": "Enough"},
        "Never": {"Type": "Succeed"},
    },
}


@pytest.fixture
def look(aws: LocalAWS) -> Any:
    def call(*arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, "--endpoint-url", aws.url])

    return call


@pytest.fixture
def execution(states: Any) -> str:
    """The ARN of an execution that retried, caught and failed."""
    arn = start(states, create(states, MACHINE), "[1,2,3]")
    ended(states, arn)
    return arn


def test_redrives_are_listed_and_shown(states: Any, look: Any, execution: str) -> None:
    machine = execution.split(":")[-2]
    assert "redrives" not in look("executions", "--machine", machine).output
    states.redrive_execution(executionArn=execution)
    ended(states, execution)
    assert "redrives" in look("executions", "--machine", machine).output
    assert "redriven 1 time" in look("show", execution).output
    shown = json.loads(look("show", execution, "--json").stdout)
    by_name = {state["name"]: state for state in shown["states"]}
    assert (shown["redrives"], by_name["Stop"]["redrives"], by_name["Ask"]["redrives"]) == (1, 1, 0)


def test_an_execution_is_listed_shown_and_drawn(look: Any, execution: str, tmp_path: Path) -> None:
    machine, name = execution.split(":")[-2:]
    assert name in look("executions", "--machine", machine, "--json").output
    assert name not in look("executions", "--machine", machine, "--status", "RUNNING", "--json").output
    shown = json.loads(look("show", name, "--machine", machine, "--json").stdout)
    by_name = {state["name"]: state for state in shown["states"]}
    statuses = {name: state["status"] for name, state in by_name.items()}
    assert statuses == {
        "Each": "SUCCEEDED", "Item": "SUCCEEDED", "Ask": "CAUGHT", "Stop": "FAILED", "Never": "NOT RUN",
    }  # fmt: skip
    assert by_name["Each"]["iterations"] == {"started": 3, "succeeded": 3}
    assert (by_name["Ask"]["retries"], by_name["Stop"]["error"]) == (1, "Enough")
    assert "Lambda.ResourceNotFoundException" in look("show", execution, "--state", "Ask").stdout
    assert look("graph", execution, "-o", str(tmp_path / "a.svg")).exit_code == 0
    assert "Ask: CAUGHT" in (tmp_path / "a.svg").read_text()


RETRIED = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
FLAKY: dict[str, Any] = {
    "StartAt": "First?",
    "States": {
        "First?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.retries", "NumericEquals": 0, "Next": "Break"}],
            "Default": "Work",
        },
        "Break": {"Type": "Fail", "Error": "Broken"},
        "Work": {"Type": "Pass", "End": True},
    },
}
SLOW = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}}}


def told(look: Any, states: Any, definition: dict[str, Any], given: str = "{}") -> dict[str, Any]:
    """What `show` tells of each state, once the execution is over."""
    arn = start(states, create(states, definition), given)
    ended(states, arn)
    shown = json.loads(look("show", arn, "--json").stdout)
    return {state["name"]: state for state in shown["states"]}


def test_what_a_failed_attempt_of_a_parallel_left_behind_does_not_run_for_ever(
    look: Any, states: Any
) -> None:
    both = {
        "Type": "Parallel",
        "Parameters": {"retries.$": "$$.State.RetryCount"},
        "Branches": [FLAKY, SLOW],
        "Retry": RETRIED,
        "End": True,
    }
    found = told(look, states, {"StartAt": "Both", "States": {"Both": both}})
    assert {name: state["status"] for name, state in found.items()} == {
        "Both": "SUCCEEDED", "First?": "SUCCEEDED", "Break": "FAILED", "Work": "SUCCEEDED",
        "Wait": "SUCCEEDED",
    }  # fmt: skip
    assert (found["Both"]["retries"], found["Wait"]["entered"], found["Wait"]["exited"]) == (1, 2, 1)


def test_a_retried_map_tells_of_the_items_of_its_last_attempt(look: Any, states: Any) -> None:
    each = {
        "Type": "Map",
        "ItemSelector": {"retries.$": "$$.State.RetryCount"},
        "ItemProcessor": FLAKY,
        "Retry": RETRIED,
        "End": True,
    }
    found = told(look, states, {"StartAt": "Each", "States": {"Each": each}}, "[1, 2]")
    assert (found["Each"]["status"], found["Each"]["retries"]) == ("SUCCEEDED", 1)
    assert found["Each"]["iterations"] == {"started": 2, "succeeded": 2}


def test_a_caught_failure_inside_leaves_nothing_running(look: Any, states: Any) -> None:
    wait = {"StartAt": "Outside", "States": {"Outside": {"Type": "Wait", "Seconds": 60, "End": True}}}
    fail = {"StartAt": "Break", "States": {"Break": {"Type": "Fail", "Error": "Broken"}}}
    inner = {"Type": "Parallel", "Branches": [SLOW, fail], "End": True}
    outer = {
        "Type": "Parallel",
        "Branches": [{"StartAt": "Inner", "States": {"Inner": inner}}, wait],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Done"}],
        "End": True,
    }
    found = told(look, states, {"StartAt": "Outer", "States": {"Outer": outer, "Done": {"Type": "Succeed"}}})
    assert {name: state["status"] for name, state in found.items()} == {
        "Outer": "CAUGHT", "Inner": "FAILED", "Break": "FAILED", "Wait": "ABORTED", "Outside": "ABORTED",
        "Done": "SUCCEEDED",
    }  # fmt: skip


def test_an_expression_fails_its_own_state_and_not_the_one_before(look: Any, states: Any) -> None:
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "Before",
        "States": {
            "Before": {"Type": "Pass", "Next": "Bad"},
            "Bad": {"Type": "Pass", "Output": "{% $nothing %}", "End": True},
        },
    }
    found = told(look, states, machine)
    assert (found["Before"]["status"], found["Before"]["error"]) == ("SUCCEEDED", None)
    assert (found["Bad"]["status"], found["Bad"]["error"]) == ("FAILED", "States.QueryEvaluationError")


def test_a_listing_that_is_cut_says_so(look: Any, aws: LocalAWS, execution: str) -> None:
    machine = execution.split(":")[-2]
    states = aws.client("stepfunctions")
    states.start_execution(stateMachineArn=aws_machine(execution), name="second", input="[]")
    cut = look("executions", "--machine", machine, "--limit", "1", "--json")
    assert [execution["name"] for execution in json.loads(cut.stdout)] == ["second"]
    assert "there are more" in cut.stderr
    assert "there are more" not in look("executions", "--machine", machine, "--limit", "2").stderr


def test_following_gives_a_line_for_each_change_and_ends_with_an_interrupt(
    look: Any, execution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([None, None])

    def wait(_seconds: float) -> None:
        if next(waits, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr("scones.cli_look.time", SimpleNamespace(sleep=wait))
    followed = look("executions", "--machine", execution.split(":")[-2], "--follow", "--json")
    lines = [json.loads(line) for line in followed.stdout.splitlines()]
    assert [(line["arn"], line["status"]) for line in lines] == [(execution, "FAILED")]
    assert followed.exit_code != 0


def aws_machine(execution: str) -> str:
    return execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"States": {}}', b'{"States": {"A": 1}}'])
def test_a_file_that_is_no_definition_is_said_with_a_hint(look: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "machine.json"
    file.write_bytes(content)
    result = look("graph", str(file))
    assert isinstance(result.exception, WorkflowError)
    assert str(file) in result.exception.message
    assert result.exception.hint


def test_the_shipped_machine_is_drawn(look: Any) -> None:
    drawn = look("graph", str(SHIPPED)).stdout
    assert drawn.startswith("<svg")
    assert all(name in drawn for name in json.loads(SHIPPED.read_text())["States"])


def test_one_state_is_run_by_itself(look: Any, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('{"Type": "Pass", "InputPath": "$.a", "End": true}')
    ran: Result = look("test-state", "--definition", str(file), "--input", '{"a": 5}', "--json")
    assert ran.exception is None, ran.exception
    assert json.loads(ran.stdout) == {"output": "5", "status": "SUCCEEDED"}


@pytest.mark.parametrize(
    "verb", [("show", "nobody"), ("executions", "--machine", "nobody"), ("graph", "nobody")]
)
def test_what_is_not_there_is_said_with_a_hint(look: Any, verb: tuple[str, ...]) -> None:
    result = look(*verb)
    assert isinstance(result.exception, WorkflowError)
    assert "nobody" in result.exception.message
    assert result.exception.hint
