"""Activities and the workers that ask for their tasks, as boto3 sees them."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.stepfunctions import code, create, ended, single, start, types, unique, until

from scones.testing import LocalAWS


@pytest.fixture
def activity(states: Any) -> str:
    arn: str = states.create_activity(name=unique("activity"))["activityArn"]
    return arn


def ask(states: Any, activity: str, given: Any, **fields: Any) -> str:
    """An execution whose one state is a task of the activity."""
    machine = create(states, single({"Type": "Task", "Resource": activity} | fields))
    return start(states, machine, json.dumps(given))


def take(states: Any, activity: str, **request: Any) -> Any:
    return until(lambda: _taken(states.get_activity_task(activityArn=activity, **request)))


def _taken(reply: Any) -> Any:
    return reply if reply.get("taskToken") else None


def test_an_activity_is_made_once_described_listed_tagged_and_deleted(states: Any) -> None:
    name = unique("activity")
    created = states.create_activity(name=name, tags=[{"key": "a", "value": "1"}])
    again = states.create_activity(name=name, tags=[{"key": "b", "value": "2"}])
    arn = created["activityArn"]
    assert arn.endswith(f":activity:{name}")
    assert (again["activityArn"], again["creationDate"]) == (arn, created["creationDate"])
    assert states.describe_activity(activityArn=arn)["name"] == name
    assert arn in [
        listed["activityArn"]
        for page in states.get_paginator("list_activities").paginate(PaginationConfig={"PageSize": 1})
        for listed in page["activities"]
    ]
    states.tag_resource(resourceArn=arn, tags=[{"key": "c", "value": "3"}])
    states.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert states.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "c", "value": "3"}]
    states.delete_activity(activityArn=arn)
    states.delete_activity(activityArn=arn)
    assert code(states.describe_activity, activityArn=arn) == "ActivityDoesNotExist"
    assert code(states.get_activity_task, activityArn=arn) == "ActivityDoesNotExist"
    assert code(states.list_tags_for_resource, resourceArn=arn) == "ResourceNotFound"


def test_names_and_arns_that_are_none_are_refused(states: Any) -> None:
    assert code(states.create_activity, name="a b") == "InvalidName"
    assert code(states.get_activity_task, activityArn="activity") == "InvalidArn"


def test_a_worker_takes_a_task_and_its_answer_ends_it(states: Any, activity: str) -> None:
    arn = ask(states, activity, {"a": 1})
    task = take(states, activity, workerName="ann")
    assert json.loads(task["input"]) == {"a": 1}
    states.send_task_success(taskToken=task["taskToken"], output='{"b": 2}')
    assert json.loads(ended(states, arn)["output"]) == {"b": 2}
    events = states.get_execution_history(executionArn=arn)["events"]
    assert [event["type"] for event in events][2:5] == [
        "ActivityScheduled",
        "ActivityStarted",
        "ActivitySucceeded",
    ]
    assert events[2]["activityScheduledEventDetails"]["resource"] == activity
    assert events[3]["activityStartedEventDetails"]["workerName"] == "ann"
    assert code(states.send_task_heartbeat, taskToken=task["taskToken"]) == "TaskTimedOut"


def test_a_failure_can_be_retried_and_then_caught(states: Any, activity: str) -> None:
    retry = [{"ErrorEquals": ["Refused"], "MaxAttempts": 1, "IntervalSeconds": 1}]
    arn = ask(states, activity, {}, Retry=retry)
    first = take(states, activity)
    states.send_task_failure(taskToken=first["taskToken"], error="Refused", cause="no")
    second = take(states, activity)
    assert second["taskToken"] != first["taskToken"]
    assert code(states.send_task_success, taskToken=first["taskToken"], output="1") == "TaskTimedOut"
    states.send_task_failure(taskToken=second["taskToken"], error="Refused", cause="never")
    described = ended(states, arn)
    assert (described["status"], described["error"], described["cause"]) == ("FAILED", "Refused", "never")


@pytest.mark.parametrize("field", ["TimeoutSeconds", "HeartbeatSeconds"])
def test_limits_count_from_the_moment_a_worker_takes_the_task(states: Any, activity: str, field: str) -> None:
    limits = {"TimeoutSeconds": 60} | {field: 1}
    arn = ask(states, activity, {}, **limits)
    until(lambda: "ActivityScheduled" in types(states, arn))
    assert states.describe_execution(executionArn=arn)["status"] == "RUNNING"
    take(states, activity)
    described = ended(states, arn)
    assert (described["status"], described["error"]) == ("FAILED", "States.Timeout")
    assert types(states, arn)[2:5] == ["ActivityScheduled", "ActivityStarted", "ActivityTimedOut"]


def test_a_jsonata_state_gives_its_arguments_and_its_token(states: Any, activity: str) -> None:
    arguments = {"double": "{% $states.input.n * 2 %}", "token": "{% $states.context.Task.Token %}"}
    output = "{% $states.result.x %}"
    arn = ask(states, activity, {"n": 4}, QueryLanguage="JSONata", Arguments=arguments, Output=output)
    task = take(states, activity)
    assert json.loads(task["input"]) == {"double": 8, "token": task["taskToken"]}
    states.send_task_success(taskToken=task["taskToken"], output='{"x": "y"}')
    assert json.loads(ended(states, arn)["output"]) == "y"


def test_an_activity_that_is_not_there_fails_its_task(states: Any, activity: str) -> None:
    states.delete_activity(activityArn=activity)
    described = ended(states, ask(states, activity, {}))
    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    assert described["cause"].endswith(f"The activity {activity} does not exist.")


def test_waiting_workers_share_tasks_and_none_gets_what_another_has(states: Any, activity: str) -> None:
    with ThreadPoolExecutor(4) as workers:
        polls = [workers.submit(states.get_activity_task, activityArn=activity) for _ in range(4)]
        arns = [ask(states, activity, number) for number in range(4)]
        tasks = [poll.result() for poll in polls]
    assert sorted(task["input"] for task in tasks) == ["0", "1", "2", "3"]
    for task in tasks:
        states.send_task_success(taskToken=task["taskToken"], output=task["input"])
    assert [ended(states, arn)["output"] for arn in arns] == ["0", "1", "2", "3"]


def test_a_task_of_a_stopped_execution_is_given_to_nobody(states: Any, activity: str) -> None:
    stopped = ask(states, activity, "first")
    until(lambda: "ActivityScheduled" in types(states, stopped))
    states.stop_execution(executionArn=stopped)
    ask(states, activity, "second")
    assert take(states, activity)["input"] == '"second"'


def test_a_worker_that_left_takes_no_task_with_it(aws: LocalAWS, states: Any, activity: str) -> None:
    place = urlsplit(states.meta.endpoint_url)
    body = json.dumps({"activityArn": activity}).encode()
    request = AWSRequest("POST", f"{states.meta.endpoint_url}/", data=body)
    request.headers["Host"] = place.netloc
    request.headers["Content-Type"] = "application/x-amz-json-1.0"
    request.headers["X-Amz-Target"] = "AWSStepFunctions.GetActivityTask"
    request.headers["Content-Length"] = str(len(body))
    SigV4Auth(Credentials("test", "test"), "states", "us-east-1").add_auth(request)
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((place.hostname, place.port)) as worker:
        worker.sendall(f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body)
        states.list_activities()
    states.list_activities()
    ask(states, activity, "kept")
    assert take(states, activity)["input"] == '"kept"'


def test_tasks_outlive_the_cloud(tmp_path: Path) -> None:
    with LocalAWS(tmp_path) as cloud:
        states = cloud.client("stepfunctions")
        activity = states.create_activity(name="durable")["activityArn"]
        held = ask(states, activity, "held")
        task = take(states, activity)
        waiting = ask(states, activity, "waiting")
        until(lambda: "ActivityScheduled" in types(states, waiting))
    with LocalAWS(tmp_path) as cloud:
        states = cloud.client("stepfunctions")
        later = take(states, activity)
        assert later["input"] == '"waiting"'
        for given in (task, later):
            states.send_task_success(taskToken=given["taskToken"], output=given["input"])
        assert [ended(states, arn)["output"] for arn in (held, waiting)] == ['"held"', '"waiting"']
        assert types(states, held).count("ActivityStarted") == 1
