"""Executions that ended without success and are redriven, as boto3 sees them."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from tests.dying import dying
from tests.stepfunctions import create, ended, refusal, single, start, types, unique, until

from scones.testing import LocalAWS

FLAG = "arn:aws:states:::aws-sdk:s3:headObject"


@pytest.fixture
def bucket(aws: LocalAWS) -> str:
    name = unique("redrive")
    aws.client("s3").create_bucket(Bucket=name)
    return name


def task(bucket: str, key: str, **fields: Any) -> dict[str, Any]:
    """Fails until there is an object."""
    parameters = {"Bucket": bucket, "Key": key}
    return {"Type": "Task", "Resource": FLAG, "Parameters": parameters, "ResultPath": None} | fields


def test_a_failed_execution_goes_on_from_the_state_that_failed(
    aws: LocalAWS, states: Any, bucket: str
) -> None:
    first = {"Type": "Pass", "Result": {"id": 1}, "ResultPath": "$.made", "Next": "T"}
    definition = {"StartAt": "P", "States": {"P": first, "T": task(bucket, "flag", End=True)}}
    machine = create(states, definition)
    arn = start(states, machine, '{"a": 1}')
    before = ended(states, arn)
    assert (before["status"], before["redriveStatus"], before["redriveCount"]) == ("FAILED", "REDRIVABLE", 0)
    assert "redriveDate" not in before
    aws.client("s3").put_object(Bucket=bucket, Key="flag")
    date = states.redrive_execution(executionArn=arn)["redriveDate"]
    after = ended(states, arn)
    assert (after["status"], json.loads(after["output"])) == ("SUCCEEDED", {"a": 1, "made": {"id": 1}})
    assert (after["redriveCount"], after["redriveDate"], after["startDate"]) == (1, date, before["startDate"])
    assert (after["redriveStatus"], "error" in after) == ("NOT_REDRIVABLE", False)
    assert types(states, arn)[3:] == [
        "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskFailed", "ExecutionFailed",
        "ExecutionRedriven", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited",
        "ExecutionSucceeded",
    ]  # fmt: skip
    (listed,) = states.list_executions(stateMachineArn=machine, redriveFilter="REDRIVEN")["executions"]
    assert (listed["redriveCount"], listed["redriveDate"]) == (1, date)
    assert not states.list_executions(stateMachineArn=machine, redriveFilter="NOT_REDRIVEN")["executions"]


def test_a_stopped_execution_goes_on_and_stops_again(states: Any) -> None:
    wait = {"Type": "Wait", "Seconds": 3600}
    arn = start(states, create(states, single(wait)))
    for count in (1, 2):
        states.stop_execution(executionArn=arn, error="Enough")
        assert states.describe_execution(executionArn=arn)["status"] == "ABORTED"
        states.redrive_execution(executionArn=arn)
        described = states.describe_execution(executionArn=arn)
        assert (described["status"], described["redriveCount"]) == ("RUNNING", count)
        assert not {"stopDate", "error"} & described.keys()
    states.stop_execution(executionArn=arn)


def test_an_execution_that_timed_out_has_its_whole_time_again(states: Any) -> None:
    wait = {"Type": "Wait", "Seconds": 2}
    arn = start(states, create(states, single(wait) | {"TimeoutSeconds": 1}))
    assert ended(states, arn)["status"] == "TIMED_OUT"
    states.redrive_execution(executionArn=arn)
    assert ended(states, arn)["status"] == "TIMED_OUT"
    assert types(states, arn).count("WaitStateEntered") == 1


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_a_redriven_map_run_runs_only_what_has_no_result(
    aws: LocalAWS, states: Any, bucket: str, kind: str
) -> None:
    """Item 1 has its object from the start; the others fail until theirs is there."""
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    look = {"Look": task(bucket, "flag", End=True)}
    del look["Look"]["Parameters"]["Key"]
    look["Look"]["Parameters"]["Key.$"] = "$"
    inner = {"ProcessorConfig": config, "StartAt": "Look", "States": look}
    machine = create(states, single({"Type": "Map", "MaxConcurrency": 1, "ItemProcessor": inner}))
    aws.client("s3").put_object(Bucket=bucket, Key="one")
    arn = start(states, machine, '["one", "two", "three"]')
    assert ended(states, arn)["status"] == "FAILED"
    (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    aws.client("s3").put_object(Bucket=bucket, Key="two")
    aws.client("s3").put_object(Bucket=bucket, Key="three")
    states.redrive_execution(executionArn=arn)
    assert json.loads(ended(states, arn)["output"]) == ["one", "two", "three"]
    (same,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    assert same["mapRunArn"] == run["mapRunArn"]
    described = states.describe_map_run(mapRunArn=run["mapRunArn"])
    assert (described["status"], described["redriveCount"]) == ("SUCCEEDED", 1)
    assert described["executionCounts"]["succeeded"] == described["executionCounts"]["total"] == 3
    told = types(states, arn)
    assert told[told.index("ExecutionRedriven") :][:2] == ["ExecutionRedriven", "MapRunRedriven"]
    children = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    if kind == "STANDARD":
        assert sorted(child["redriveCount"] for child in children) == [0, 0, 1]


def test_a_redriven_map_run_writes_beside_what_it_wrote_before(
    aws: LocalAWS, states: Any, bucket: str
) -> None:
    look = task(bucket, "flag", End=True)
    look["Parameters"] = {"Bucket": bucket, "Key.$": "$"}
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    inner = {"ProcessorConfig": config, "StartAt": "Look", "States": {"Look": look}}
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "out"}}
    mapped = {"Type": "Map", "MaxConcurrency": 1, "ItemProcessor": inner, "ResultWriter": writer}
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="one")
    arn = start(states, create(states, single(mapped)), '["one", "two"]')
    assert ended(states, arn)["status"] == "FAILED"
    s3.put_object(Bucket=bucket, Key="two")
    states.redrive_execution(executionArn=arn)
    key = json.loads(ended(states, arn)["output"])["ResultWriterDetails"]["Key"]
    (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    folder = f"out/{run['mapRunArn'].rpartition(':')[2]}"
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]
    assert [entry["Key"].removeprefix(folder) for entry in listed] == [
        "/FAILED_0.json", "/Redrive-1/SUCCEEDED_0.json", "/Redrive-1/manifest.json",
        "/SUCCEEDED_0.json", "/manifest.json",
    ]  # fmt: skip
    assert key == f"{folder}/Redrive-1/manifest.json"


WAITS_OR_FAILS: dict[str, Any] = {
    "StartAt": "C",
    "States": {
        "C": {
            "Type": "Choice",
            "Choices": [{"Variable": "$", "StringEquals": "wait", "Next": "W"}],
            "Default": "F",
        },
        "F": {"Type": "Fail", "Error": "Broken", "Cause": "by design"},
        "W": {"Type": "Wait", "Seconds": 3600, "End": True},
    },
}


def redriven_while_two_of_three_wait(states: Any) -> str:
    """An execution redriven once, of whose map run one execution runs and two, which have failed, wait."""
    inner = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}} | WAITS_OR_FAILS
    mapped = {"Type": "Map", "MaxConcurrency": 2, "ToleratedFailureCount": 3, "ItemProcessor": inner}
    arn = start(states, create(states, single(mapped)), '["wait", "fail", "fail"]')
    until(lambda: counts(states, arn).get("failed") == 2)
    (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    states.update_map_run(mapRunArn=run["mapRunArn"], maxConcurrency=1)
    states.stop_execution(executionArn=arn)
    until(lambda: counts(states, arn)["aborted"] == 1)
    states.redrive_execution(executionArn=arn)
    until(lambda: counts(states, arn)["running"] == 1)
    assert counts(states, arn)["pendingRedrive"] == 2
    return arn


def counts(states: Any, arn: str) -> dict[str, int]:
    """Of the child executions of an execution's one map run; none before it has begun."""
    for run in states.list_map_runs(executionArn=arn)["mapRuns"]:
        found: dict[str, int] = states.describe_map_run(mapRunArn=run["mapRunArn"])["executionCounts"]
        return found
    return {}


def test_what_a_stop_kept_from_being_redriven_is_what_it_was(
    states: Any, caplog: pytest.LogCaptureFixture
) -> None:
    arn = redriven_while_two_of_three_wait(states)
    states.stop_execution(executionArn=arn)
    until(lambda: counts(states, arn)["aborted"] == 1)
    found = counts(states, arn)
    assert (found["failed"], found["pendingRedrive"], found["total"]) == (2, 0, 3)
    (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    failed = states.list_executions(mapRunArn=run["mapRunArn"], statusFilter="FAILED")["executions"]
    for child in failed:
        told = states.describe_execution(executionArn=child["executionArn"])
        assert (told["status"], told["error"], told["cause"]) == ("FAILED", "Broken", "by design")
        assert (told["redriveCount"], types(states, child["executionArn"])[-1]) == (0, "ExecutionFailed")
    states.redrive_execution(executionArn=arn)
    until(lambda: counts(states, arn)["running"] == 1)
    assert counts(states, arn)["pendingRedrive"] == 2
    states.stop_execution(executionArn=arn)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_redrive_need_not_wait_until_the_stopped_map_run_is_down(states: Any) -> None:
    inner = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}} | WAITS_OR_FAILS
    mapped = single({"Type": "Map", "ItemProcessor": inner})
    arn = start(states, create(states, mapped), json.dumps(["wait"] * 1000))
    until(lambda: counts(states, arn).get("running") == 1000)
    for _ in range(3):
        states.stop_execution(executionArn=arn)
        states.redrive_execution(executionArn=arn)
    until(lambda: counts(states, arn)["running"] == 1000)
    assert states.describe_execution(executionArn=arn)["status"] == "RUNNING"
    states.stop_execution(executionArn=arn)
    until(lambda: counts(states, arn)["aborted"] == 1000)


@pytest.mark.parametrize("point", ["stepfunctions.turn.made", "stepfunctions.turn.journaled:3"])
def test_a_kill_changes_none_that_wait_to_be_redriven(tmp_path: Path, point: str) -> None:
    """Within the transaction that stops their parent, and right after it; two turns are those of the start."""
    with LocalAWS(tmp_path) as aws:
        arn = redriven_while_two_of_three_wait(aws.client("stepfunctions"))
    with dying(tmp_path, point) as doomed, contextlib.suppress(BotoCoreError):
        doomed.client("stepfunctions").stop_execution(executionArn=arn)
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        durable = point.endswith("3")
        assert states.describe_execution(executionArn=arn)["status"] == ("ABORTED" if durable else "RUNNING")
        assert counts(states, arn)["pendingRedrive"] == (0 if durable else 2)
        states.stop_execution(executionArn=arn)
        until(lambda: counts(states, arn)["aborted"] == 1)
        assert counts(states, arn)["failed"] == 2


def test_a_child_execution_is_redriven_by_its_map_run_alone(states: Any) -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    inner = {"ProcessorConfig": config, "StartAt": "F", "States": {"F": {"Type": "Fail"}}}
    arn = start(states, create(states, single({"Type": "Map", "ItemProcessor": inner})), "[1]")
    ended(states, arn)
    (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    (child,) = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    code, _ = refusal(states.redrive_execution, executionArn=child["executionArn"])
    assert code == "ExecutionNotRedrivable"
    told = states.describe_execution(executionArn=child["executionArn"])
    assert told["redriveStatus"] == "REDRIVABLE_BY_MAP_RUN"


def test_the_same_client_token_redrives_once(states: Any) -> None:
    arn = start(states, create(states, {"StartAt": "F", "States": {"F": {"Type": "Fail"}}}))
    ended(states, arn)
    first = states.redrive_execution(executionArn=arn, clientToken="one")
    ended(states, arn)
    again = states.redrive_execution(executionArn=arn, clientToken="one")
    assert again["redriveDate"] == first["redriveDate"]
    assert states.describe_execution(executionArn=arn)["redriveCount"] == 1
    states.redrive_execution(executionArn=arn, clientToken="two")
    assert ended(states, arn)["redriveCount"] == 2


def test_what_cannot_be_redriven_is_refused_with_its_reason(states: Any) -> None:
    succeeded = start(states, create(states, single({"Type": "Pass"})))
    ended(states, succeeded)
    running = start(states, create(states, single({"Type": "Wait", "Seconds": 3600})))
    for arn, status in ((succeeded, "SUCCEEDED"), (running, "RUNNING")):
        reason = f"Execution is {status} and cannot be redriven"
        assert refusal(states.redrive_execution, executionArn=arn) == ("ExecutionNotRedrivable", reason)
        assert states.describe_execution(executionArn=arn)["redriveStatusReason"] == reason
    states.stop_execution(executionArn=running)
    unknown = succeeded.rpartition(":")[0] + ":none"
    assert refusal(states.redrive_execution, executionArn=unknown)[0] == "ExecutionDoesNotExist"
    express = succeeded.replace(":execution:", ":express:") + ":x"
    assert refusal(states.redrive_execution, executionArn=express)[0] == "InvalidArn"


def test_an_execution_of_a_machine_being_deleted_is_not_redriven(states: Any) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.wait", "BooleanEquals": True, "Next": "W"}],
        "Default": "F",
    }
    wait = {"Type": "Wait", "Seconds": 3600, "End": True}
    machine = create(states, {"StartAt": "C", "States": {"C": choice, "W": wait, "F": {"Type": "Fail"}}})
    running, failed = start(states, machine, '{"wait": true}'), start(states, machine, '{"wait": false}')
    ended(states, failed)
    states.delete_state_machine(stateMachineArn=machine)
    code, message = refusal(states.redrive_execution, executionArn=failed)
    assert (code, message) == ("ExecutionNotRedrivable", "State machine is in DELETING status")
    states.stop_execution(executionArn=running)


def test_an_execution_whose_journal_does_not_replay_stays_as_it_is(tmp_path: Path) -> None:
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        arn = start(states, create(states, {"StartAt": "F", "States": {"F": {"Type": "Fail"}}}))
        before = ended(states, arn)
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as file, file:
        file.execute("UPDATE sfn_turns SET steps = 0")
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        assert refusal(states.redrive_execution, executionArn=arn)[0] == "ExecutionNotRedrivable"
        after = states.describe_execution(executionArn=arn)
        assert (after["status"], after["redriveCount"]) == (before["status"], 0)


@pytest.mark.parametrize(
    "point",
    ["stepfunctions.redrive.recorded", "stepfunctions.turn.journaled", "stepfunctions.turn.journaled:2"],
)
def test_a_kill_neither_loses_nor_doubles_a_redrive(tmp_path: Path, point: str) -> None:
    """Within the redrive's transaction, after it, and after the turn that ends the execution."""
    inner = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}
    each = {"Type": "Map", "ItemProcessor": inner, "End": True}
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        arn = start(states, create(states, single(each)), '[{"n": 1}, {"n": 2}]')
        states.stop_execution(executionArn=arn)
    with dying(tmp_path, point) as doomed, contextlib.suppress(BotoCoreError):  # it may not answer
        doomed.client("stepfunctions").redrive_execution(executionArn=arn, clientToken="token")
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        states.redrive_execution(executionArn=arn, clientToken="token")  # as a client that saw no reply would
        described = ended(states, arn)
        assert (described["status"], described["redriveCount"]) == ("SUCCEEDED", 1)
        assert json.loads(described["output"]) == [{"n": 1}, {"n": 2}]
        kinds = types(states, arn)
        assert (kinds.count("WaitStateEntered"), kinds.count("ExecutionRedriven")) == (2, 1)
