"""Executions of several shapes while the cloud is killed again and again: none is lost, none doubled."""

import contextlib
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROLE = "arn:aws:iam::000000000000:role/states"
KILLS = 4
EXECUTIONS = 24
EVENTS = 44
"""Of an undisturbed run: a task in flight at a kill is asked again under the events it has."""
HANDLER = (
    "import time\n\n\ndef handler(event, context):\n"
    "    time.sleep(0.05)\n"
    "    with open(event['log'], 'a') as log:\n        log.write(event['who'] + '\\n')\n"
    "    return {'who': event['who']}\n"
)


class KillableCloud:
    """`scones up` as a process of its own, on one port and one state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "scones", "up", "--port", str(self._port)]
        with (self._folder / "cloud.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--state", str(self._folder / "state")],
                stdout=log,
                stderr=log,
                env={**os.environ, "SCONES_STATE": ""},
            )

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def client(self, service: str) -> Any:
        session: Any = boto3.Session("test", "test", region_name="us-east-1")
        return session.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self._port}",
            config=Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=20),
        )


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[KillableCloud]:
    running = KillableCloud(tmp_path)
    running.start()
    yield running
    running.kill()


def persist(call: Callable[..., Any], seconds: float = 40, **request: Any) -> Any:
    """Call until the cloud is there to answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call(**request)
        except BotoCoreError:
            assert time.monotonic() < deadline, "the cloud does not answer"
            time.sleep(0.05)


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("handler.py", HANDLER)
    return content.getvalue()


def definition(function: str) -> dict[str, Any]:
    """Tasks in a row, in branches and over items, with waits between."""

    def task(who: str, **way: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {
                "FunctionName": function,
                "Payload": {"log.$": "$.log", "who.$": f"States.Format('{who} {{}}', $$.Execution.Name)"},
            },
            "Retry": [
                {
                    "ErrorEquals": ["Lambda.TooManyRequestsException", "Lambda.ServiceException"],
                    "IntervalSeconds": 1,
                    "BackoffRate": 1,
                    "MaxAttempts": 50,
                }
            ],
            "ResultPath": None,
            **way,
        }

    def branch(who: str) -> dict[str, Any]:
        return {"StartAt": who, "States": {who: task(who, End=True)}}

    item = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}
    return {
        "StartAt": "first",
        "States": {
            "first": task("first", Next="Pause"),
            "Pause": {"Type": "Wait", "Seconds": 1, "Next": "Both"},
            "Both": {
                "Type": "Parallel",
                "Branches": [branch("left"), branch("right")],
                "ResultPath": None,
                "Next": "Each",
            },
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemProcessor": item,
                "ResultPath": "$.items",
                "MaxConcurrency": 2,
                "Next": "last",
            },
            "last": task("last", End=True),
        },
    }


@pytest.mark.timeout(240)
def test_killed_again_and_again_every_execution_ends_as_if_undisturbed(
    cloud: KillableCloud, tmp_path: Path
) -> None:
    lambda_, states = cloud.client("lambda"), cloud.client("stepfunctions")
    persist(lambda_.list_functions)
    function = lambda_.create_function(
        FunctionName="work", Runtime="python3.12", Role=ROLE, Handler="handler.handler", Timeout=30,
        Code={"ZipFile": archive()},
    )["FunctionArn"]  # fmt: skip
    lambda_.get_waiter("function_active_v2").wait(FunctionName="work")
    machine = states.create_state_machine(
        name="shapes", definition=json.dumps(definition(function)), roleArn=ROLE
    )["stateMachineArn"]
    log, chance = tmp_path / "work.log", random.Random(7)
    given = json.dumps({"log": str(log), "items": [1, 2, 3]})
    acknowledged: list[str] = []
    for kill in range(KILLS):
        for number in range(EXECUTIONS // KILLS):
            request = {"stateMachineArn": machine, "name": f"e{kill}-{number}", "input": given}
            acknowledged.append(persist(states.start_execution, **request)["executionArn"])
        time.sleep(chance.uniform(0.0, 1.5))
        cloud.kill()
        cloud.start()
    persist(states.list_state_machines)

    for arn in acknowledged:
        deadline = time.monotonic() + 90
        while (described := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (described["status"], json.loads(described["output"])) == ("SUCCEEDED", json.loads(given))
        events = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
        assert len(events) == EVENTS
    with contextlib.suppress(ClientError):
        states.delete_state_machine(stateMachineArn=machine)
    done = log.read_text().split("\n")[:-1]
    assert len(set(done)) == 4 * EXECUTIONS
    repeated = len(done) - len(set(done))
    assert repeated <= 10 * KILLS, "only what was in flight at a kill may run again"


def test_a_task_token_outlives_the_cloud_that_gave_it(cloud: KillableCloud) -> None:
    states = cloud.client("stepfunctions")
    topic = persist(cloud.client("sns").create_topic, Name="tokens")["TopicArn"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish.waitForTaskToken",
        "Parameters": {"TopicArn": topic, "Message.$": "$$.Task.Token"},
        "End": True,
    }
    text = json.dumps({"StartAt": "T", "States": {"T": task}})
    machine = persist(states.create_state_machine, name="waiter", roleArn=ROLE, definition=text)
    arn = persist(states.start_execution, stateMachineArn=machine["stateMachineArn"])["executionArn"]

    def events() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = persist(states.get_execution_history, executionArn=arn)["events"]
        return found

    deadline = time.monotonic() + 30
    while events()[-1]["type"] != "TaskSubmitted":
        assert time.monotonic() < deadline, "the task was not submitted"
        time.sleep(0.05)
    token = json.loads(events()[2]["taskScheduledEventDetails"]["parameters"])["Message"]
    cloud.kill()
    cloud.start()
    persist(states.send_task_success, taskToken=token, output='"here"')
    cloud.kill()
    cloud.start()
    described = persist(states.describe_execution, executionArn=arn)
    while described["status"] == "RUNNING":
        assert time.monotonic() < deadline + 60, "the execution did not end"
        time.sleep(0.05)
        described = persist(states.describe_execution, executionArn=arn)
    assert (described["status"], described["output"]) == ("SUCCEEDED", '"here"')
    kinds = [event["type"] for event in events()]
    assert kinds.count("TaskSubmitted") == kinds.count("TaskSucceeded") == 1


def test_a_killed_cloud_goes_on_waiting_for_the_one_nested_execution(cloud: KillableCloud) -> None:
    states = cloud.client("stepfunctions")

    def machine(name: str, state: dict[str, Any]) -> str:
        text = json.dumps({"StartAt": "S", "States": {"S": state | {"End": True}}})
        created = persist(states.create_state_machine, name=name, roleArn=ROLE, definition=text)
        arn: str = created["stateMachineArn"]
        return arn

    child = machine("child", {"Type": "Wait", "Seconds": 3})
    resource = "arn:aws:states:::states:startExecution.sync:2"
    task = {"Type": "Task", "Resource": resource, "Parameters": {"StateMachineArn": child}}
    parent = machine("parent", task)
    arn = persist(states.start_execution, stateMachineArn=parent)["executionArn"]
    deadline = time.monotonic() + 60
    while not persist(states.list_executions, stateMachineArn=child)["executions"]:
        assert time.monotonic() < deadline, "the nested execution did not begin"
    cloud.kill()
    cloud.start()
    described = persist(states.describe_execution, executionArn=arn)
    while described["status"] == "RUNNING":
        assert time.monotonic() < deadline, "the execution did not end"
        time.sleep(0.05)
        described = persist(states.describe_execution, executionArn=arn)
    assert json.loads(described["output"])["Status"] == "SUCCEEDED"
    assert len(persist(states.list_executions, stateMachineArn=child)["executions"]) == 1


def test_tasks_of_activities_outlive_a_kill_and_are_given_once(cloud: KillableCloud) -> None:
    states = cloud.client("stepfunctions")
    activity = persist(states.create_activity, name="durable")["activityArn"]
    text = json.dumps({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": True}}})
    machine = states.create_state_machine(name="tasks", definition=text, roleArn=ROLE)["stateMachineArn"]

    def start(given: str) -> str:
        started = states.start_execution(stateMachineArn=machine, input=json.dumps(given))
        arn: str = started["executionArn"]
        return arn

    arns = [start("taken")]
    tasks = [states.get_activity_task(activityArn=activity)]
    arns.append(start("waiting"))
    cloud.kill()
    cloud.start()
    tasks.append(persist(states.get_activity_task, activityArn=activity))
    assert [task["input"] for task in tasks] == ['"taken"', '"waiting"']
    for task in tasks:
        states.send_task_success(taskToken=task["taskToken"], output=task["input"])
    for arn, task in zip(arns, tasks, strict=True):
        deadline = time.monotonic() + 30
        while (described := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (described["status"], described["output"]) == ("SUCCEEDED", task["input"])
        events = states.get_execution_history(executionArn=arn)["events"]
        assert [event["type"] for event in events].count("ActivityStarted") == 1
