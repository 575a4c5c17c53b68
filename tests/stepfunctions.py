"""What the tests of state machines do again and again."""

import json
from typing import Any

from tests.asking import code, refusal, unique, until

__all__ = [
    "ROLE",
    "code",
    "create",
    "ended",
    "events",
    "inputs",
    "refusal",
    "single",
    "start",
    "types",
    "unique",
    "until",
]

ROLE = "arn:aws:iam::000000000000:role/states"


def single(state: dict[str, Any]) -> dict[str, Any]:
    """A definition of one state."""
    return {"StartAt": "T", "States": {"T": {"End": True} | state}}


def create(states: Any, definition: dict[str, Any], **options: Any) -> str:
    """The ARN of a new state machine."""
    options = {"name": unique("machine"), "roleArn": ROLE} | options
    arn: str = states.create_state_machine(definition=json.dumps(definition), **options)["stateMachineArn"]
    return arn


def inputs(states: Any, machine: str) -> list[Any]:
    """What a machine has been started with, in the order of the starts."""
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine)
    started = [run["executionArn"] for page in pages for run in page["executions"]]
    return [json.loads(states.describe_execution(executionArn=arn)["input"]) for arn in reversed(started)]


def start(states: Any, machine: str, given: str = "{}", **options: Any) -> str:
    arn: str = states.start_execution(stateMachineArn=machine, input=given, **options)["executionArn"]
    return arn


def ended(states: Any, arn: str) -> dict[str, Any]:
    """The description of an execution once it is over."""

    def look() -> dict[str, Any] | None:
        described: dict[str, Any] = states.describe_execution(executionArn=arn)
        return described if described["status"] != "RUNNING" else None

    return until(look)


def events(states: Any, arn: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
    return found


def types(states: Any, arn: str) -> list[str]:
    return [event["type"] for event in events(states, arn)]
