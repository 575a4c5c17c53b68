"""What waits while the cloud is killed: tokens, nested executions, activities, timers, stops."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from tests.killable import KillableCloud, persist

ROLE = "arn:aws:iam::000000000000:role/states"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[KillableCloud]:
    running = KillableCloud(tmp_path)
    running.start()
    yield running
    running.kill()


def machine(states: Any, name: str, definition: dict[str, Any]) -> str:
    text = json.dumps(definition)
    made = persist(states.create_state_machine, name=name, roleArn=ROLE, definition=text)
    arn: str = made["stateMachineArn"]
    return arn


def one(state: dict[str, Any]) -> dict[str, Any]:
    """A definition of one state."""
    return {"StartAt": "S", "States": {"S": state | {"End": True}}}


def ended(states: Any, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (described := persist(states.describe_execution, executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < deadline, "the execution did not end"
        time.sleep(0.05)
    found: dict[str, Any] = described
    return found


@pytest.mark.parametrize(
    ("resource", "given"),
    [
        ("states:startExecution.sync:2", {"StateMachineArn": "", "Name": "named", "Input": {"a": 1}}),
        ("states:startExecution", {"StateMachineArn": ""}),
        ("aws-sdk:sfn:startExecution", {"StateMachineArn": ""}),
    ],
)
def test_a_nested_execution_begun_just_before_a_kill_is_found_again(
    cloud: KillableCloud, resource: str, given: dict[str, Any]
) -> None:
    states = cloud.client("stepfunctions")
    child = machine(states, "child", one({"Type": "Pass"}))
    given = given | {"StateMachineArn": child}
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": given}
    parent = machine(states, "parent", one(task))
    cloud.kill()
    cloud.start("stepfunctions.task.answered")
    arn = persist(states.start_execution, stateMachineArn=parent)["executionArn"]
    cloud.kill(30)
    cloud.start()
    assert ended(states, arn)["status"] == "SUCCEEDED"
    assert len(states.list_executions(stateMachineArn=child)["executions"]) == 1


def test_a_nested_execution_of_a_name_that_someone_else_used_fails_after_a_kill(cloud: KillableCloud) -> None:
    states = cloud.client("stepfunctions")
    child = machine(states, "child", one({"Type": "Pass"}))
    persist(states.start_execution, stateMachineArn=child, name="taken")
    given = {"StateMachineArn": child, "Name": "taken"}
    task = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "Parameters": given}
    parent = machine(states, "parent", one(task))
    cloud.kill()
    cloud.start("stepfunctions.task.answered")
    arn = persist(states.start_execution, stateMachineArn=parent)["executionArn"]
    cloud.kill(30)
    cloud.start()
    assert ended(states, arn)["error"] == "StepFunctions.ExecutionAlreadyExistsException"


def test_waits_that_were_over_before_the_cloud_came_back_end_in_the_order_of_their_instants(
    cloud: KillableCloud,
) -> None:
    states = cloud.client("stepfunctions")
    branches = [
        {
            "StartAt": f"W{seconds}",
            "States": {f"W{seconds}": {"Type": "Wait", "Seconds": seconds, "End": True}},
        }
        for seconds in (3, 1, 2)
    ]
    arn = machine(states, "waits", one({"Type": "Parallel", "Branches": branches}))
    execution = persist(states.start_execution, stateMachineArn=arn)
    cloud.kill()
    over = execution["startDate"].timestamp() + 3
    while time.time() < over:
        time.sleep(0.05)
    cloud.start()
    ended(states, execution["executionArn"])
    events = states.get_execution_history(executionArn=execution["executionArn"])["events"]
    left = [
        event["stateExitedEventDetails"]["name"] for event in events if event["type"] == "WaitStateExited"
    ]
    assert left == ["W1", "W2", "W3"]


@pytest.mark.parametrize(("point", "status"), [("made", "RUNNING"), ("journaled", "ABORTED")])
def test_a_stop_counts_from_the_moment_in_which_it_is_journaled(
    cloud: KillableCloud, point: str, status: str
) -> None:
    states = cloud.client("stepfunctions")
    arn = machine(states, "waits", one({"Type": "Wait", "Seconds": 600}))
    cloud.kill()
    cloud.start(f"stepfunctions.turn.{point}:2")
    execution = persist(states.start_execution, stateMachineArn=arn)["executionArn"]
    with pytest.raises(BotoCoreError):
        states.stop_execution(executionArn=execution)
    cloud.kill(30)
    cloud.start()
    assert persist(states.describe_execution, executionArn=execution)["status"] == status


def test_a_task_token_outlives_the_cloud_that_gave_it(cloud: KillableCloud) -> None:
    states = cloud.client("stepfunctions")
    topic = persist(cloud.client("sns").create_topic, Name="tokens")["TopicArn"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish.waitForTaskToken",
        "Parameters": {"TopicArn": topic, "Message.$": "$$.Task.Token"},
    }
    waiter = machine(states, "waiter", one(task))
    arn = persist(states.start_execution, stateMachineArn=waiter)["executionArn"]

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
    described = ended(states, arn)
    assert (described["status"], described["output"]) == ("SUCCEEDED", '"here"')
    kinds = [event["type"] for event in events()]
    assert kinds.count("TaskSubmitted") == kinds.count("TaskSucceeded") == 1


def test_a_killed_cloud_goes_on_waiting_for_the_one_nested_execution(cloud: KillableCloud) -> None:
    states = cloud.client("stepfunctions")
    child = machine(states, "child", one({"Type": "Wait", "Seconds": 3}))
    resource = "arn:aws:states:::states:startExecution.sync:2"
    task = {"Type": "Task", "Resource": resource, "Parameters": {"StateMachineArn": child}}
    parent = machine(states, "parent", one(task))
    arn = persist(states.start_execution, stateMachineArn=parent)["executionArn"]
    deadline = time.monotonic() + 60
    while not persist(states.list_executions, stateMachineArn=child)["executions"]:
        assert time.monotonic() < deadline, "the nested execution did not begin"
    cloud.kill()
    cloud.start()
    assert json.loads(ended(states, arn)["output"])["Status"] == "SUCCEEDED"
    assert len(persist(states.list_executions, stateMachineArn=child)["executions"]) == 1


def test_tasks_of_activities_outlive_a_kill_and_are_given_once(cloud: KillableCloud) -> None:
    states = cloud.client("stepfunctions")
    activity = persist(states.create_activity, name="durable")["activityArn"]
    tasks_machine = machine(states, "tasks", one({"Type": "Task", "Resource": activity}))

    def start(given: str) -> str:
        started = states.start_execution(stateMachineArn=tasks_machine, input=json.dumps(given))
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
        described = ended(states, arn)
        assert (described["status"], described["output"]) == ("SUCCEEDED", task["input"])
        events = states.get_execution_history(executionArn=arn)["events"]
        assert [event["type"] for event in events].count("ActivityStarted") == 1
