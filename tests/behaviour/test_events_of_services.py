"""Events that AWS's services send by themselves: of executions, training jobs and endpoints."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.asking import unique, until
from tests.stepfunctions import ROLE, create, inputs

from scones.testing import LocalAWS


class Heard:
    """A state machine that a rule of the default bus starts with each event of a pattern."""

    def __init__(self, aws: LocalAWS, pattern: Any) -> None:
        self._states, self._events, self.name = aws.client("stepfunctions"), aws.client("events"), unique("r")
        self.machine = machine(aws, {"Type": "Pass", "End": True})
        self._events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        target: Any = {"Id": "t", "Arn": self.machine, "RoleArn": ROLE}
        self._events.put_targets(Rule=self.name, Targets=[target])

    def events(self) -> list[Any]:
        return inputs(self._states, self.machine)

    def close(self) -> None:
        self._events.remove_targets(Rule=self.name, Ids=["t"])
        self._events.delete_rule(Name=self.name)


def machine(aws: LocalAWS, state: Any, **options: Any) -> str:
    definition = {"StartAt": "S", "States": {"S": state}} | options.pop("top", {})
    return create(aws.client("stepfunctions"), definition, **options)


@pytest.fixture
def heard(aws: LocalAWS) -> Iterator[Callable[[Any], Heard]]:
    made: list[Heard] = []

    def listen(pattern: Any) -> Heard:
        made.append(Heard(aws, pattern))
        return made[-1]

    yield listen
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("state", "top", "statuses"),
    [
        ({"Type": "Pass", "Result": {"a": 1}, "End": True}, {}, {"RUNNING", "SUCCEEDED"}),
        ({"Type": "Fail", "Error": "E", "Cause": "c"}, {}, {"RUNNING", "FAILED"}),
        ({"Type": "Wait", "Seconds": 60, "End": True}, {"TimeoutSeconds": 1}, {"RUNNING", "TIMED_OUT"}),
        ({"Type": "Wait", "Seconds": 60, "End": True}, {}, {"RUNNING", "ABORTED"}),
    ],
)
def test_every_status_of_an_execution_is_told(
    aws: LocalAWS, heard: Callable[[Any], Heard], state: Any, top: Any, statuses: set[str]
) -> None:
    states, watched = aws.client("stepfunctions"), machine(aws, state, top=top)
    listener = heard({"source": ["aws.states"], "detail": {"stateMachineArn": [watched]}})
    arn = states.start_execution(stateMachineArn=watched, input='{"x": 1}')["executionArn"]
    if "ABORTED" in statuses:
        states.stop_execution(executionArn=arn)
    until(lambda: {event["detail"]["status"] for event in listener.events()} == statuses)
    told = {event["detail"]["status"]: event for event in listener.events()}
    assert len(listener.events()) == 2
    for event in told.values():
        assert event["detail-type"] == "Step Functions Execution Status Change"
        assert event["resources"] == [arn]
        assert event["detail"]["input"] == '{"x": 1}'
    assert told["RUNNING"]["detail"]["stopDate"] is None
    (last,) = (told[status]["detail"] for status in statuses - {"RUNNING"})
    described = states.describe_execution(executionArn=arn)
    for member in ("executionArn", "name", "redriveCount", "redriveStatus"):
        assert last[member] == described[member]
    for member in ("output", "error", "cause", "redriveStatusReason"):
        assert last[member] == described.get(member)
    assert last["stopDate"] == round(described["stopDate"].timestamp() * 1000)


def test_a_redrive_is_told_with_its_count(aws: LocalAWS, heard: Callable[[Any], Heard]) -> None:
    states, watched = aws.client("stepfunctions"), machine(aws, {"Type": "Fail", "Error": "E"})
    listener = heard({"detail": {"stateMachineArn": [watched]}})
    arn = states.start_execution(stateMachineArn=watched)["executionArn"]
    until(lambda: len(listener.events()) == 2)
    states.redrive_execution(executionArn=arn)
    until(lambda: len(listener.events()) == 4)
    told = sorted((event["detail"]["redriveCount"], event["detail"]["status"]) for event in listener.events())
    assert told == [(0, "FAILED"), (0, "RUNNING"), (1, "FAILED"), (1, "RUNNING")]


def test_of_express_executions_nothing_is_told(aws: LocalAWS, heard: Callable[[Any], Heard]) -> None:
    states = aws.client("stepfunctions")
    silent = machine(aws, {"Type": "Pass", "End": True}, type="EXPRESS")
    spoken = machine(aws, {"Type": "Pass", "End": True})
    listener = heard({"detail": {"stateMachineArn": [silent, spoken]}})
    states.start_sync_execution(stateMachineArn=silent)
    states.start_execution(stateMachineArn=spoken)
    until(lambda: len(listener.events()) == 2)
    assert {event["detail"]["stateMachineArn"] for event in listener.events()} == {spoken}


def test_large_data_is_left_out(aws: LocalAWS, heard: Callable[[Any], Heard]) -> None:
    watched = machine(aws, {"Type": "Pass", "End": True})
    listener = heard({"detail": {"stateMachineArn": [watched]}})
    large = json.dumps({"x": "y" * 130 * 1024})
    aws.client("stepfunctions").start_execution(stateMachineArn=watched, input=large)
    until(lambda: len(listener.events()) == 2)
    told = {event["detail"]["status"]: event["detail"] for event in listener.events()}
    assert (told["RUNNING"]["input"], told["RUNNING"]["inputDetails"]) == (large, {"included": True})
    assert told["SUCCEEDED"]["output"] == large
    assert (told["SUCCEEDED"]["input"], told["SUCCEEDED"]["inputDetails"]) == (None, {"included": False})


@pytest.mark.parametrize(("kind", "told"), [("STANDARD", 3), ("EXPRESS", 1)])
def test_child_executions_of_a_map_run_are_told_by_their_kind(
    aws: LocalAWS, heard: Callable[[Any], Heard], kind: str, told: int
) -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    }
    watched = machine(aws, {"Type": "Map", "ItemProcessor": processor, "Label": "each", "End": True})
    listener = heard({"detail": {"stateMachineArn": [{"prefix": watched}], "status": ["SUCCEEDED"]}})
    aws.client("stepfunctions").start_execution(stateMachineArn=watched, input="[1, 2]")

    def arns() -> list[str]:
        return sorted(event["detail"]["stateMachineArn"] for event in listener.events())

    until(lambda: watched in arns() and len(arns()) >= told)
    assert arns() == [watched] + [f"{watched}/each"] * (told - 1)
