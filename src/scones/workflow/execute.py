"""Executions of the state machine: started under names that a restart finds again, watched until they end."""

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow import store
from scones.workflow.aws import Aws, code, missing
from scones.workflow.errors import WorkflowError
from scones.workflow.orchestrate import STATE_MACHINE
from scones.workflow.progress import Progress

__all__ = [
    "LOW_CONFIDENCE",
    "OUT_OF_DISTRIBUTION",
    "Execute",
    "Execution",
    "Show",
    "choose",
    "entered",
    "execute",
    "execution_name",
    "history_of",
]

LOW_CONFIDENCE = "THRESHOLD_CONFIDENCE_NOT_MET"
OUT_OF_DISTRIBUTION = "OUT_OF_DISTRIBUTION"

_REFUSALS = {LOW_CONFIDENCE: "low confidence", OUT_OF_DISTRIBUTION: "out of distribution"}

_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_-]+")
_HISTORY_PAGE = 1000


@dataclass(slots=True)
class Execution:
    """One execution and what became of it."""

    name: str
    keys: tuple[str, ...]
    input: dict[str, Any]
    arn: str = ""
    status: str = "WAITING"
    states: tuple[str, ...] = ()
    """The states that it entered, in order."""
    output: Any = None
    error: str = ""
    cause: str = ""
    started: datetime | None = None
    stopped: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status not in {"WAITING", "RUNNING"}

    @property
    def verdict(self) -> str:
        """passed, low confidence, out of distribution, or broken; empty while it runs."""
        if not self.ended:
            return ""
        if self.status == "SUCCEEDED":
            return "passed"
        return _REFUSALS.get(self.error, "broken")


@dataclass(frozen=True, slots=True)
class Execute:
    """What came of all of them."""

    run_id: str
    state_machine: str
    passed: int
    low_confidence: int
    broken: int
    executions: list[Execution] = field(repr=False)
    out_of_distribution: int = 0


Show = Callable[[Sequence[Execution]], None]


def choose(
    aws: Aws, *, keys: Sequence[str] = (), sample: int | None = None, seed: int = 0
) -> tuple[str, ...]:
    """The keys that were named, or a random sample of the test split (None: all of it)."""
    if keys:
        return tuple(keys)
    manifest = store.need(aws, store.MANIFEST)
    every = sorted(manifest["test"])
    if sample is None or sample >= len(every):
        return tuple(every)
    return tuple(random.Random(seed).sample(every, sample))


def execution_name(run_id: str, keys: Sequence[str]) -> str:
    """The same for the same run and keys, at most 80 characters."""
    digest = hashlib.sha256(json.dumps(list(keys)).encode()).hexdigest()[:8]
    what = keys[0].rpartition("/")[2].rpartition(".")[0] if len(keys) == 1 else f"{len(keys)}-images"
    plain = _UNNAMEABLE.sub("-", f"{run_id}-{what}").strip("-")
    return f"{plain[:71]}-{digest}"


def execute(
    aws: Aws,
    keys: Sequence[str],
    run_id: str,
    progress: Progress,
    *,
    fan_out: bool = False,
    show: Show | None = None,
) -> Execute:
    """Send the images through the state machine, at most `workers` executions at a time.

    fan_out: one execution for all of them, by the machine's Map.  show: called with every Execution whenever
    one has changed.  A name that was started before is not started again: its result is taken.
    """
    arn = aws.arn("states", f"stateMachine:{STATE_MACHINE}")
    executions = _plan(aws, keys, run_id, fan_out)
    waiting, running = list(reversed(executions)), list[Execution]()
    with progress.bar("executions", len(executions)) as advance:
        while waiting or running:
            while waiting and len(running) < aws.settings.workers:
                running.append(_start(aws, arn, waiting.pop()))
            for execution in running:
                _look(aws, execution, follow=show is not None)
                if execution.ended:
                    advance(1, note=f"{execution.keys[0]}: {execution.verdict}")
                if show:
                    show(executions)
            still = [execution for execution in running if not execution.ended]
            if len(still) == len(running):
                time.sleep(min(aws.settings.poll_s, 0.2))
            running = still
    verdicts = [execution.verdict for execution in executions]
    return Execute(
        run_id=run_id,
        state_machine=arn,
        passed=verdicts.count("passed"),
        low_confidence=verdicts.count("low confidence"),
        out_of_distribution=verdicts.count("out of distribution"),
        broken=verdicts.count("broken"),
        executions=executions,
    )


def _plan(aws: Aws, keys: Sequence[str], run_id: str, fan_out: bool) -> list[Execution]:
    if not keys:
        raise WorkflowError("there is nothing to execute", "--key KEY, --sample N or --all")
    if fan_out:
        content: dict[str, Any] = {"s3_bucket": aws.bucket, "s3_keys": list(keys)}
        return [Execution(execution_name(run_id, keys), tuple(keys), content)]
    return [
        Execution(
            execution_name(run_id, [key]), (key,), {"image_data": "", "s3_bucket": aws.bucket, "s3_key": key}
        )
        for key in dict.fromkeys(keys)
    ]


def _start(aws: Aws, machine: str, execution: Execution) -> Execution:
    execution.arn = f"{machine.replace(':stateMachine:', ':execution:')}:{execution.name}"
    try:
        aws.client("stepfunctions").start_execution(
            stateMachineArn=machine, name=execution.name, input=json.dumps(execution.input)
        )
    except ClientError as error:
        if missing(error):
            raise WorkflowError(
                f"there is no state machine {machine}", "run `scones orchestrate` first"
            ) from error
        if code(error) != "ExecutionAlreadyExists":  # then a run that was cut short had started it
            raise
    execution.status = "RUNNING"
    return execution


def _look(aws: Aws, execution: Execution, *, follow: bool) -> None:
    """Bring it up to date; follow: its states too while it runs, which costs a request more."""
    reply = aws.client("stepfunctions").describe_execution(executionArn=execution.arn)
    execution.status = reply["status"]
    execution.started, execution.stopped = reply["startDate"], reply.get("stopDate")
    if execution.ended or follow:
        execution.states = tuple(entered(history_of(aws, execution.arn)))
    if execution.ended:
        execution.error, execution.cause = reply.get("error", ""), reply.get("cause", "")
        if "output" in reply:
            execution.output = _without_picture(json.loads(reply["output"]))


def history_of(aws: Aws, arn: str) -> Iterator[dict[str, Any]]:
    """An execution's events."""
    pages = aws.client("stepfunctions").get_paginator("get_execution_history")
    for page in pages.paginate(executionArn=arn, PaginationConfig={"PageSize": _HISTORY_PAGE}):
        yield from page["events"]


def entered(events: Iterator[dict[str, Any]]) -> list[str]:
    """The names of the states entered, each once, in order."""
    names = [
        event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event
    ]
    return list(dict.fromkeys(names))


def _without_picture(output: Any) -> Any:
    """The output as people want to see it: the picture is in S3 already."""
    if isinstance(output, dict):
        return {key: value for key, value in output.items() if key != "image_data"}
    return output
