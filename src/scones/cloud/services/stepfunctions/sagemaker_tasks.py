"""SageMaker's optimised integration: what a task asks of it, and what the end of a job is to the task."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from scones.cloud.asl.journal import Failed, Invoke, Succeeded
from scones.cloud.asl.jsontext import dumps, loads
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire

from .sdk import sdk_request
from .times import milliseconds

__all__ = ["CLASSES", "asked_before", "job_outcome", "job_over", "looking", "sagemaker_request", "stopping"]

CLASSES = {"ConflictException", "ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound"}
"""The codes for which AWS's SDK has a class; any other error is an AmazonSageMakerException."""
_MANAGED = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}
_RUNNING = {"InProgress", "Stopping"}


def sagemaker_request(invoke: Invoke) -> tuple[str, str, Wire]:
    """(service, operation, request); a job that the task waits for is tagged as Step Functions' own."""
    service, operation, wire = sdk_request(replace(invoke, service="aws-sdk:sagemaker"))
    if invoke.pattern and isinstance(tags := wire.get("Tags", []), list):
        wire["Tags"] = [*tags, _MANAGED]
    return service, operation, wire


def _describing(operation: str, request: Wire) -> tuple[str, Wire, str, str]:
    """How to look at what `operation` makes or changes: operation, request, the members that hold its
    ARN and the instant of the change."""
    what = operation.removeprefix("Create").removeprefix("Update")
    instant = "LastModifiedTime" if operation.startswith("Update") else "CreationTime"
    return f"Describe{what}", {f"{what}Name": request.get(f"{what}Name")}, f"{what}Arn", instant


Call = Callable[[str, str, Wire], Awaitable[Wire]]


async def asked_before(call: Call, operation: str, request: Wire, since_ms: int) -> Wire | None:
    """The reply that a crash lost, where the request was granted after `since_ms`; else None."""
    look, wire, arn, instant = _describing(operation, request)
    try:
        found = await call("sagemaker", look, wire)
    except ServiceError:
        return None
    return {arn: found[arn]} if milliseconds(found[instant]) >= since_ms else None


def _kind(invoke: Invoke) -> str:
    """Training or Transform: what the task's job is."""
    return invoke.operation.removeprefix("create").removesuffix("Job")


def _job(invoke: Invoke) -> Wire:
    member = f"{_kind(invoke)}JobName"
    return {member: loads(invoke.parameters)[member]}


def job_over(invoke: Invoke, described: Wire) -> bool:
    return described[f"{_kind(invoke)}JobStatus"] not in _RUNNING


def looking(invoke: Invoke) -> tuple[str, str, Wire]:
    """The call that tells how the task's job does."""
    return "sagemaker", f"Describe{_kind(invoke)}Job", _job(invoke)


def stopping(invoke: Invoke) -> tuple[str, str, Wire]:
    """The call that stops the task's job."""
    return "sagemaker", f"Stop{_kind(invoke)}Job", _job(invoke)


def job_outcome(invoke: Invoke, described: Wire) -> Succeeded | Failed:
    """The answer that a job's end is: its description, instants as milliseconds since the epoch."""
    text = dumps(_shown(described))
    if described[f"{_kind(invoke)}JobStatus"] != "Completed":
        return Failed(invoke.task, "States.TaskFailed", text)
    return Succeeded(invoke.task, text)


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shown(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return milliseconds(value) if isinstance(value, datetime) else value
