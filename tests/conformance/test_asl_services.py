"""Executions recorded on AWS whose tasks ask other services, run again on a whole local cloud.

`services.jsonl` tells what was set up before; where it does not tell of a nested state machine, one is made
that ends as the recorded one did. Cases of services that are not here, and of a second account, are
left out.
`asl_services_passing.txt` lists what is known to pass; SCONES_ASL_RECORD=1 writes it anew.
"""

import ast
import contextlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scones.cloud.services.stepfunctions.times import milliseconds
from scones.testing import LocalAWS

from .test_asl_recordings import CASES, Case, _comparer, _read, _supported

PASSING = Path(__file__).with_name("asl_services_passing.txt")
ROLE = "arn:aws:iam::111111111111:role/sfn"
HERE = {"activity", "aws-sdk:s3", "aws-sdk:sfn", "events", "lambda", "s3", "sns", "states"}


def _value(value: Any) -> Any:
    """An argument of the setup; bytes were written down as they could be."""
    if isinstance(value, dict) and "__bytes__" in value:
        return value["__bytes__"].encode()
    if isinstance(value, str) and value.startswith("bytearray("):
        return ast.literal_eval(value.removeprefix("bytearray(").removesuffix(")"))
    return value


def _prepare(aws: LocalAWS, case: Case, given: Any) -> None:
    for step in case.get("setup") or []:
        arguments = {name: _value(value) for name, value in step["args"].items() if name != "_args"}
        if step["op"] == "s3_create_bucket":
            aws.client("s3").create_bucket(**{"Bucket": "test-bucket-00000000"} | arguments)
        elif step["op"] == "put_object":
            aws.client("s3").put_object(**arguments)
        elif step["op"] == "sns_create_topic":
            aws.client("sns").create_topic(**{"Name": "topic-00000000"} | arguments)
        elif step["op"] == "sfn_activity_consumer":
            _work(aws, step["args"]["activity_arn"], step["args"]["template"])
    text = json.dumps([given, case["definition"]])
    for name in set(re.findall(r":stateMachine:(statemachine_create_and_record_execution_u\d+)\b", text)):
        _create(aws, name, _child(case))


def _work(aws: LocalAWS, activity: str, worker: Case) -> None:
    """The recorded workers were state machines; without one, the activity had been deleted."""
    states = aws.client("stepfunctions")
    states.create_activity(name=activity.rpartition(":")[2])
    created = states.create_state_machine(name="worker", definition=json.dumps(worker), roleArn=ROLE)
    given = json.dumps({"ActivityArn": activity})
    states.start_execution(stateMachineArn=created["stateMachineArn"], input=given)


def _child(case: Case) -> Case:
    """A state machine that ends as the recorded nested one did."""
    for event in case["expected"]["events"]:
        for kind, field in (("taskSucceededEventDetails", "output"), ("taskFailedEventDetails", "cause")):
            told = event.get(kind, {}).get(field)
            if isinstance(told, dict) and told.get("Status") == "SUCCEEDED":
                output = told["Output"]
                result = json.loads(output) if isinstance(output, str) else output
                return {"Type": "Pass", "Result": result, "End": True}
            if isinstance(told, dict) and "Error" in told:
                return {"Type": "Fail"} | {key: told[key] for key in ("Error", "Cause") if key in told}
    return {"Type": "Pass", "End": True}


def _create(aws: LocalAWS, name: str, state: Case) -> None:
    definition = json.dumps({"StartAt": "S", "States": {"S": state}})
    aws.client("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=ROLE)


def _execute(aws: LocalAWS, case: Case) -> tuple[Case, list[Case]]:
    states = aws.client("stepfunctions")
    definition = case.get("definition_raw") or json.dumps(case["definition"])
    machine = states.create_state_machine(
        name=case["state_machine_name"], definition=definition, roleArn=ROLE
    )
    started = states.start_execution(stateMachineArn=machine["stateMachineArn"], input=case["input"] or "{}")
    arn = {"executionArn": started["executionArn"]}
    deadline = time.monotonic() + 30
    while (described := states.describe_execution(**arn))["status"] == "RUNNING":
        assert time.monotonic() < deadline, case["id"]
        _call_back(states, arn)
        time.sleep(0.02)
    events = states.get_execution_history(**arn)["events"]
    for event in events:
        event["timestamp"] = milliseconds(event["timestamp"])
    return described, events


def _call_back(states: Any, arn: dict[str, str]) -> None:
    """Answer a task that waits with its token."""
    events = states.get_execution_history(**arn)["events"]
    if events[-1]["type"] == "TaskSubmitted" and "waitForTaskToken" in json.dumps(events, default=str):
        scheduled = next(e for e in reversed(events) if e["type"] == "TaskScheduled")
        parameters = json.loads(scheduled["taskScheduledEventDetails"]["parameters"])
        with contextlib.suppress(ClientError):
            states.send_task_success(taskToken=parameters["Message"]["TaskToken"], output="{}")


@pytest.mark.skipif(not CASES, reason="SCONES_ASL_CASES is not set")
def test_recorded_tasks_of_other_services_end_as_recorded(tmp_path: Path) -> None:
    folder = Path(CASES or "")
    compare, passed, tried = _comparer(folder), set(), 0
    for number, case in enumerate(_read(folder, "services.jsonl")):
        if "cross_account" in case["id"]:
            continue
        if not set(case["services"]) <= HERE or not _supported(
            case.get("definition_raw") or json.dumps(case["definition"])
        ):
            continue
        tried += 1
        with LocalAWS(tmp_path / str(number), account_id="111111111111") as aws:
            _prepare(aws, case, case["input"])
            described, events = _execute(aws, case)
        skipped = {path[3:] for path in case.get("localstack_skip_paths") or [] if path.startswith("$..")}
        skipped |= {"RedriveCount"}
        texts = (described.get(name) for name in ("output", "error", "cause"))
        result, *_ = compare.compare_result(case, described["status"], *texts, ignore=skipped)
        history, *_ = compare.compare_history(case, events, ignore=skipped)
        passed |= {f"result {case['id']}"} if not result else set()
        passed |= {f"history {case['id']}"} if not history else set()
        for kind, differences in (("result", result), ("history", history)):
            if differences:
                print(kind, case["id"], differences)
    print(f"\ncases {tried}, results and histories {len(passed)} of {2 * tried}")
    if os.environ.get("SCONES_ASL_RECORD"):
        PASSING.write_text("\n".join(sorted(passed)) + "\n", "utf-8")
    known = set(PASSING.read_text("utf-8").splitlines())
    assert known <= passed, sorted(known - passed)
