"""What the tests of state machines do again and again."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from tests.asking import code, refusal, unique, until

__all__ = [
    "ROLE",
    "Remote",
    "code",
    "create",
    "dying",
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
_DYING = """
import asyncio, json, sys
from pathlib import Path
from scones.cloud.runtime import running
from scones.cloud.settings import CloudSettings

async def main(state, fault, algorithms):
    algorithms = {name: Path(path) for name, path in json.loads(algorithms).items()}
    settings = CloudSettings(state_dir=Path(state), port=0, algorithms=algorithms, fault=fault)
    async with running(settings) as cloud:
        print(cloud.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


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


class Remote:
    """Clients of a cloud in another process, which try once."""

    def __init__(self, url: str) -> None:
        self._session: Any = boto3.Session("test", "test", region_name="us-east-1")
        self._url = url

    def client(self, service: str) -> Any:
        config = Config(retries={"max_attempts": 0})
        return self._session.client(service, endpoint_url=self._url, config=config)


@contextlib.contextmanager
def dying(state: Path, fault: str, algorithms: dict[str, Path] | None = None) -> Iterator[Remote]:
    """A cloud that kills itself at a point; in the end it must have done so."""
    named = json.dumps({name: str(path) for name, path in (algorithms or {}).items()})
    command = [sys.executable, "-c", _DYING, str(state), fault, named]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Remote(process.stdout.readline().strip())
            assert process.wait(30) == -signal.SIGKILL
        finally:
            process.kill()
