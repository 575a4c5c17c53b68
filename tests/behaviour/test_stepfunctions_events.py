"""Events that state machines put."""

import json
from typing import Any

from tests.asking import unique, until
from tests.stepfunctions import ROLE, create, ended, inputs, single, start

from scones.testing import LocalAWS


def put_events(states: Any, resource: str, entry: Any) -> tuple[str, Any]:
    """The execution's machine, and how it ended."""
    task = {"Type": "Task", "Resource": resource, "Parameters": {"Entries": [entry]}}
    machine = create(states, single(task))
    return machine, ended(states, start(states, machine))


def listen(aws: LocalAWS, source: str, state: Any) -> str:
    """A machine of one state that each event of a source starts."""
    events, name = aws.client("events"), unique("rule")
    machine = create(aws.client("stepfunctions"), single(state))
    events.create_event_bus(Name=name)
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"source": [source]}))
    target: Any = {"Id": "t", "Arn": machine, "RoleArn": ROLE}
    events.put_targets(Rule=name, EventBusName=name, Targets=[target])
    return name


def test_an_event_tells_of_the_execution_that_put_it(aws: LocalAWS, states: Any) -> None:
    bus = listen(aws, "test", {"Type": "Pass"})
    entry = {"Source": "test", "DetailType": "d", "Detail": {"a": 1}, "Resources": ["r"], "EventBusName": bus}
    entry["Time"] = "2026-01-02T03:04:05Z"
    machine, described = put_events(states, "arn:aws:states:::events:putEvents", entry)
    output = json.loads(described["output"])
    assert output["FailedEntryCount"] == 0
    target = aws.client("events").list_targets_by_rule(Rule=bus, EventBusName=bus)["Targets"][0]["Arn"]
    event = until(lambda: inputs(states, target), what="the event did not arrive")[0]
    assert event["id"] == output["Entries"][0]["EventId"]
    assert event["resources"] == ["r", described["executionArn"], machine]
    assert (event["detail"], event["time"]) == ({"a": 1}, "2026-01-02T03:04:05Z")


def test_a_failed_entry_fails_the_task(states: Any) -> None:
    _, described = put_events(states, "arn:aws:states:::events:putEvents", {"DetailType": "d", "Detail": {}})
    assert described["error"] == "EventBridge.FailedEntry"
    assert json.loads(described["cause"])["Entries"][0]["ErrorCode"] == "InvalidArgument"


def test_a_task_waits_for_whoever_hears_its_event(aws: LocalAWS, states: Any) -> None:
    answer = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sfn:sendTaskSuccess",
        "Parameters": {"TaskToken.$": "$.detail.token", "Output": {"heard": True}},
    }
    bus = listen(aws, "asking", answer)
    detail = {"token.$": "$$.Task.Token"}
    entry = {"Source": "asking", "DetailType": "d", "Detail": detail, "EventBusName": bus}
    _, described = put_events(states, "arn:aws:states:::events:putEvents.waitForTaskToken", entry)
    assert (described["status"], json.loads(described["output"])) == ("SUCCEEDED", {"heard": True})


def test_any_operation_of_eventbridge_is_a_task(aws: LocalAWS, states: Any) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:eventbridge:describeEventBus"}
    machine = create(states, single(task | {"Parameters": {"Name": "nowhere"}}))
    described = ended(states, start(states, machine))
    assert described["error"] == "EventBridge.ResourceNotFoundException"
