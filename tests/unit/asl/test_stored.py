"""The limits of variables: of one Assign, and of all that an execution holds."""

import json
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.journal import Event, Finish, Started
from scones.cloud.asl.machine import Execution, Machine

QUARTER = "a" * (250 * 1024)


def finish(states: dict[str, Any], given: Any) -> tuple[Finish, list[Event]]:
    definition = json.dumps({"StartAt": next(iter(states)), "States": states})
    execution = Execution(
        arn="arn:e", name="e", role_arn="arn:r", machine_arn="arn:m", machine_name="m",
        region="us-east-1", input=json.dumps(given), seed="seed",
    )  # fmt: skip
    machine = Machine(compile_definition(definition), execution)
    turn = machine.feed([Started()], 0)
    events = turn.events
    while machine.busy:
        turn = machine.feed([], 0)
        events += turn.events
    assert isinstance(turn.commands[-1], Finish)
    return turn.commands[-1], events


def row(count: int, assign: Any) -> dict[str, Any]:
    """States one after the other."""
    names = [f"S{n}" for n in range(count)]
    return {
        name: {
            "Type": "Pass",
            "Assign": assign(n),
            **({"Next": names[n + 1]} if n + 1 < count else {"End": True}),
        }
        for n, name in enumerate(names)
    }


@pytest.mark.parametrize(
    ("assign", "status"),
    [
        ({"x.$": "$"}, "SUCCEEDED"),
        ({"x.$": "$", "y": 1}, "SUCCEEDED"),
        ({"x.$": "$", "y.$": "$"}, "FAILED"),
        ({"x.$": "States.Array($, $)"}, "FAILED"),
    ],
)
def test_what_one_assign_may_hold(assign: dict[str, Any], status: str) -> None:
    end, events = finish({"A": {"Type": "Pass", "Assign": assign, "OutputPath": None, "End": True}}, QUARTER)
    assert end.status == status
    if status == "FAILED":
        assert end.error == "States.DataLimitExceeded"
        assert "'A'" in (end.cause or "")
        assert "PassStateExited" not in [event["type"] for event in events]


def test_an_execution_holds_ten_mebibytes_and_what_is_replaced_makes_room() -> None:
    assert finish(row(40, lambda n: {f"v{n}.$": "$"}), QUARTER)[0].status == "SUCCEEDED"
    assert finish(row(41, lambda n: {f"v{n}.$": "$"}), QUARTER)[0].error == "States.DataLimitExceeded"
    assert finish(row(50, lambda n: {"same.$": "$"}), QUARTER)[0].status == "SUCCEEDED"


@pytest.mark.parametrize(("concurrency", "status"), [(1, "SUCCEEDED"), (0, "FAILED")])
def test_branches_share_the_room_and_give_it_back(concurrency: int, status: str) -> None:
    keep = {"Type": "Pass", "Assign": {"mine.$": "$"}, "OutputPath": None, "Next": "B"}
    inner = {"StartAt": "A", "States": {"A": keep, "B": {"Type": "Pass", "End": True}}}
    each = {"Type": "Map", "ItemProcessor": inner, "ItemsPath": "$.n", "MaxConcurrency": concurrency}
    selector = {"ItemSelector": {"text.$": "$.text", "more.$": "$.text"}}
    given = {"text": "a" * (125 * 1024), "n": list(range(45))}
    first = {"Type": "Pass", "Assign": {"outer.$": "States.Array($.text, $.text)"}, "Next": "M"}
    end, _ = finish({"F": first, "M": each | selector | {"End": True}}, given)
    assert end.status == status
