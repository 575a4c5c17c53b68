"""Tasks that wait for a callback or for another execution, as boto3 sees them."""

import json
import time
from typing import Any

import pytest
from tests.stepfunctions import code, create, ended, events, single, start, unique, until

from scones.testing import LocalAWS


@pytest.fixture
def topic(aws: LocalAWS) -> str:
    arn: str = aws.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    return arn


def machine(states: Any, task: dict[str, Any]) -> str:
    return create(states, single({"Type": "Task"} | task))


def publish(states: Any, topic: str, **fields: Any) -> str:
    """An execution whose task has published its token and waits."""
    task = {
        "Resource": "arn:aws:states:::sns:publish.waitForTaskToken",
        "Parameters": {"TopicArn": topic, "Message": {"token.$": "$$.Task.Token"}},
    }
    return start(states, machine(states, task | fields))


def token(states: Any, arn: str) -> str:
    """Once the service has taken the task."""
    until(lambda: any(event["type"] == "TaskSubmitted" for event in events(states, arn)))
    scheduled = next(event for event in events(states, arn) if event["type"] == "TaskScheduled")
    parameters = json.loads(scheduled["taskScheduledEventDetails"]["parameters"])
    found: str = parameters["Message"]["token"]
    return found


def test_a_task_goes_on_with_the_output_that_its_token_brings(states: Any, topic: str) -> None:
    arn = publish(states, topic)
    found = token(states, arn)
    states.send_task_success(taskToken=found, output='{"answer": 42}')
    described = ended(states, arn)
    assert (described["status"], json.loads(described["output"])) == ("SUCCEEDED", {"answer": 42})
    assert [event["type"] for event in events(states, arn)][2:6] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
    ]
    assert code(states.send_task_success, taskToken=found, output="{}") == "TaskTimedOut"


@pytest.mark.parametrize("given", [{}, {"error": "Refused", "cause": "not today"}])
def test_a_token_may_bring_a_failure(states: Any, topic: str, given: dict[str, str]) -> None:
    arn = publish(states, topic)
    states.send_task_failure(taskToken=token(states, arn), **given)
    described = ended(states, arn)
    assert described["status"] == "FAILED"
    assert {name: described[name] for name in ("error", "cause") if name in described} == given


def test_a_failure_that_a_token_brings_can_be_caught(states: Any, topic: str) -> None:
    definition = {
        "StartAt": "T",
        "States": {
            "T": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sns:publish.waitForTaskToken",
                "Parameters": {"TopicArn": topic, "Message": {"token.$": "$$.Task.Token"}},
                "Catch": [{"ErrorEquals": ["Refused"], "Next": "Caught"}],
                "End": True,
            },
            "Caught": {"Type": "Pass", "End": True},
        },
    }
    arn = start(states, create(states, definition))
    states.send_task_failure(taskToken=token(states, arn), error="Refused", cause="why")
    assert json.loads(ended(states, arn)["output"]) == {"Error": "Refused", "Cause": "why"}


def test_a_task_without_a_sign_of_life_times_out(states: Any, topic: str) -> None:
    arn = publish(states, topic, HeartbeatSeconds=1)
    found = token(states, arn)
    described = ended(states, arn)
    assert (described["status"], described["error"]) == ("FAILED", "States.Timeout")
    assert code(states.send_task_heartbeat, taskToken=found) == "TaskTimedOut"


def test_signs_of_life_keep_a_task_waiting(states: Any, topic: str) -> None:
    arn = publish(states, topic, HeartbeatSeconds=3)
    found = token(states, arn)
    began = events(states, arn)[0]["timestamp"]
    while (time.time() - began.timestamp()) < 4.5:
        states.send_task_heartbeat(taskToken=found)
        time.sleep(0.3)
    states.send_task_success(taskToken=found, output='"alive"')
    assert ended(states, arn)["status"] == "SUCCEEDED"


def test_what_is_no_token_or_no_output_is_refused(states: Any, topic: str) -> None:
    assert code(states.send_task_success, taskToken="NoSuchToken", output="{}") == "InvalidToken"
    assert code(states.send_task_failure, taskToken="NoSuchToken") == "InvalidToken"
    found = token(states, publish(states, topic))
    assert code(states.send_task_heartbeat, taskToken=found[:-8] + "AAAAAAA=") == "InvalidToken"
    assert code(states.send_task_success, taskToken=found, output="{") == "InvalidOutput"


def test_a_stopped_execution_takes_no_callback(states: Any, topic: str) -> None:
    arn = publish(states, topic)
    found = token(states, arn)
    states.stop_execution(executionArn=arn)
    assert code(states.send_task_success, taskToken=found, output="{}") == "TaskTimedOut"


def test_an_execution_may_start_another_and_wait_for_its_callback(states: Any) -> None:
    child = machine(states, {"Type": "Pass"})
    task = {
        "Resource": "arn:aws:states:::states:startExecution.waitForTaskToken",
        "Parameters": {"StateMachineArn": child, "Input": {"token.$": "$$.Task.Token"}},
    }
    arn = states.start_execution(stateMachineArn=machine(states, task))["executionArn"]

    def began() -> Any:
        return states.list_executions(stateMachineArn=child, statusFilter="SUCCEEDED")["executions"]

    given = states.describe_execution(executionArn=until(began)[0]["executionArn"])["input"]
    states.send_task_success(taskToken=json.loads(given)["token"], output="[1]")
    assert ended(states, arn)["output"] == "[1]"


def test_starting_an_execution_gives_its_arn_and_a_refusal_its_error(states: Any) -> None:
    child = machine(states, {"Type": "Pass"})
    task = {
        "Resource": "arn:aws:states:::states:startExecution",
        "Parameters": {"StateMachineArn.$": "$.machine", "Input": {"a": 1}, "Name": "child"},
    }
    parent = machine(states, task)
    started = states.start_execution(stateMachineArn=parent, input=json.dumps({"machine": child}))
    output = json.loads(ended(states, started["executionArn"])["output"])
    assert json.loads(ended(states, output["ExecutionArn"])["input"]) == {"a": 1}
    missing = json.dumps({"machine": f"{child}-gone"})
    started = states.start_execution(stateMachineArn=parent, input=missing)
    described = ended(states, started["executionArn"])
    assert described["error"] == "StepFunctions.StateMachineDoesNotExistException"


def nested(states: Any, child: str, pattern: str) -> str:
    task = {
        "Resource": f"arn:aws:states:::states:startExecution{pattern}",
        "Parameters": {"StateMachineArn": child, "Input": {"a": 1}},
    }
    return start(states, machine(states, task))


@pytest.mark.parametrize(("pattern", "shown"), [(".sync", '{"a":1}'), (".sync:2", {"a": 1})])
def test_a_nested_execution_that_is_waited_for_gives_its_description(
    states: Any, pattern: str, shown: Any
) -> None:
    child = machine(states, {"Type": "Wait", "Seconds": 1})
    output = json.loads(ended(states, nested(states, child, pattern))["output"])
    assert (output["Status"], output["StateMachineArn"]) == ("SUCCEEDED", child)
    assert output["Input"] == output["Output"] == shown


def test_a_nested_execution_that_fails_fails_its_task(states: Any) -> None:
    definition = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Inner", "Cause": "why"}}}
    child = create(states, definition)
    described = ended(states, nested(states, child, ".sync"))
    cause = json.loads(described["cause"])
    assert described["error"] == "States.TaskFailed"
    assert (cause["Status"], cause["Error"], cause["Cause"]) == ("FAILED", "Inner", "why")


def test_a_nested_execution_is_stopped_with_its_parent(states: Any) -> None:
    child = machine(states, {"Type": "Wait", "Seconds": 3600})
    arn = nested(states, child, ".sync")
    until(lambda: any(event["type"] == "TaskSubmitted" for event in events(states, arn)))
    states.stop_execution(executionArn=arn)
    until(lambda: states.list_executions(stateMachineArn=child, statusFilter="ABORTED")["executions"])
