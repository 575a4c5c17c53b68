"""Reading executions back: which there are, what became of each state, and the machine they ran."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow.aws import Aws, missing
from scones.workflow.errors import WorkflowError
from scones.workflow.history import StateSummary, summarize
from scones.workflow.orchestrate import STATE_MACHINE

__all__ = ["Listed", "Shown", "definition_of", "list_executions", "show_execution", "test_state", "value_of"]


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    arn: str
    status: str
    started: datetime
    stopped: datetime | None
    redrives: int


@dataclass(frozen=True, slots=True)
class Shown:
    arn: str
    status: str
    started: datetime
    stopped: datetime | None
    redrives: int
    redriven: datetime | None
    """The last time."""
    error: str | None
    cause: str | None
    definition: dict[str, Any]
    states: list[StateSummary]


def _machine_arn(aws: Aws, machine: str | None) -> str:
    if machine and machine.startswith("arn:"):
        return machine
    return aws.arn("states", f"stateMachine:{machine or STATE_MACHINE}")


def list_executions(
    aws: Aws, *, machine: str | None = None, status: str | None = None, limit: int = 100
) -> tuple[list[Listed], bool]:
    """(the newest first, whether there are more than `limit`)."""
    arn = _machine_arn(aws, machine)
    pages = aws.client("stepfunctions").get_paginator("list_executions")
    chosen = {"statusFilter": status} if status else {}
    found: list[Listed] = []
    try:
        for page in pages.paginate(stateMachineArn=arn, **chosen, PaginationConfig={"MaxItems": limit + 1}):
            found += [
                Listed(
                    e["name"],
                    e["executionArn"],
                    e["status"],
                    e["startDate"],
                    e.get("stopDate"),
                    e.get("redriveCount", 0),
                )
                for e in page["executions"]
            ]
    except ClientError as error:
        if missing(error):
            hint = "--machine takes a name or an ARN" if machine else "`scones orchestrate` makes it"
            raise WorkflowError(f"there is no state machine {arn}", hint) from error
        raise
    return found[:limit], len(found) > limit


def show_execution(aws: Aws, execution: str, machine: str | None = None) -> Shown:
    """execution: its ARN, or its name with the machine it belongs to."""
    arn = execution
    if not execution.startswith("arn:"):
        arn = f"{_machine_arn(aws, machine).replace(':stateMachine:', ':execution:')}:{execution}"
    client = aws.client("stepfunctions")
    try:
        told = client.describe_execution(executionArn=arn)
        machine_told = client.describe_state_machine_for_execution(executionArn=arn)
    except ClientError as error:
        if missing(error):
            raise WorkflowError(f"there is no execution {arn}", "`scones executions` lists them") from error
        raise
    definition = json.loads(machine_told["definition"])
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
    states = summarize(definition, [event for page in pages for event in page["events"]])
    return Shown(
        arn,
        told["status"],
        told["startDate"],
        told.get("stopDate"),
        told.get("redriveCount", 0),
        told.get("redriveDate"),
        told.get("error"),
        told.get("cause"),
        definition,
        states,
    )


def definition_of(
    aws: Aws, subject: str | None, machine: str | None = None
) -> tuple[dict[str, Any], Sequence[StateSummary]]:
    """subject: a file, an execution's ARN, or a machine's name or ARN. The states only of an execution."""
    if subject and Path(subject).is_file():
        return _read(Path(subject)), ()
    if subject and ":execution:" in subject:
        shown = show_execution(aws, subject)
        return shown.definition, shown.states
    arn = _machine_arn(aws, subject)
    try:
        told = aws.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    except ClientError as error:
        if not missing(error):
            raise
        if subject and not subject.startswith("arn:"):
            try:
                shown = show_execution(aws, subject, machine)
            except WorkflowError:
                pass
            else:
                return shown.definition, shown.states
        hint = "give the name or ARN of a state machine or execution, or a file"
        raise WorkflowError(f"there is no state machine, execution or file {subject or arn}", hint) from error
    return json.loads(told["definition"]), ()


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise WorkflowError(f"{path} is no JSON: {error}", "a definition is a JSON object") from error
    states = value.get("States") if isinstance(value, dict) else None
    if not isinstance(states, dict) or not states or not all(isinstance(s, dict) for s in states.values()):
        raise WorkflowError(f"{path} is no state machine", "a definition has StartAt and States")
    whole: dict[str, Any] = value
    return whole


def value_of(text: str) -> str:
    """The text, or with a leading @ what the file of that name holds; JSON in either case."""
    if text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise WorkflowError(f"there is no file {path}", "--input takes JSON, or @FILE")
        text = path.read_text("utf-8")
    try:
        json.loads(text)
    except ValueError as error:
        raise WorkflowError(
            f"the input is no JSON: {error}", "--input '{\"key\": 1}', or --input @FILE"
        ) from error
    return text


def test_state(aws: Aws, definition: Path, state: str | None, given: str, level: str) -> dict[str, Any]:
    """TestState's own answer."""
    if not definition.is_file():
        raise WorkflowError(f"there is no file {definition}", "--definition takes a file")
    try:
        text = definition.read_text("utf-8")
    except ValueError as error:
        raise WorkflowError(f"{definition} is no text: {error}", "a definition is a JSON object") from error
    request = {"definition": text, "input": value_of(given), "inspectionLevel": level}
    reply: dict[str, Any] = aws.client("stepfunctions").test_state(
        **request, **({"stateName": state} if state else {})
    )
    reply.pop("ResponseMetadata", None)
    return reply
