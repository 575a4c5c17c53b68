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
