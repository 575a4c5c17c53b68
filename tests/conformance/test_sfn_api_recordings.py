"""Calls of the Step Functions API recorded on AWS, made again here through boto3.

SCONES_ASL_CASES names the folder of the cases, with `compare.py` beside or above it. Each case has the
calls before it, one call, and its response or its error. `sfn_api_passing.txt` lists what is known to
pass; a case that leaves the list is a failure. SCONES_ASL_RECORD=1 writes the list anew.
"""

import json
import os
import re
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from scones.testing import LocalAWS

from .test_asl_recordings import CASES, HANDLERS, ROLE, Case, Stage, _comparer, _read
from .test_asl_recordings import staged as staged  # a fixture

PASSING = Path(__file__).with_name("sfn_api_passing.txt")
FILES = ["api_error.jsonl", "api_result.jsonl", "validate.jsonl"]
SYNC = ["express_pure.jsonl", "express_lambda.jsonl"]
ELSEWHERE = {"test_state", "describe_map_run"}
"""Operations that other recordings cover."""
LATER = {"encryptionConfiguration", "redriveCount", "redriveStatus", "redriveStatusReason"}
"""Came to the responses after some of the recordings."""
NEVER_BILLED = {"billingDetails"}

pytestmark = pytest.mark.skipif(not CASES, reason="SCONES_ASL_CASES is not set")


class Replay:
    """One case's calls, with the ids that the recording made up replaced by the true ones."""

    def __init__(self, states: Any) -> None:
        self._states = states
        self._executions: list[str] = []
        self._token: str | None = None

    def call(self, operation: str, arguments: Case) -> Case:
        reply: Case = getattr(self._states, operation)(**self._true(arguments))
        self._token = reply.get("nextToken", self._token)
        if operation == "start_execution":
            self._executions.append(reply["executionArn"])
        if operation == "get_execution_history":
            self.settle()
        return reply

    def _true(self, arguments: Case) -> Case:
        """An execution is told by its place among those started, a token of the page before by None."""
        if self._token and arguments.get("nextToken", "") is None:
            arguments = arguments | {"nextToken": self._token}
        arn = arguments.get("executionArn", "")
        numbered = re.search(r"exec-(\d{4})-", arn)
        if numbered and int(numbered[1]) < len(self._executions):
            return arguments | {"executionArn": self._executions[int(numbered[1])]}
        return arguments

    def settle(self) -> None:
        """Every STANDARD execution started so far is over."""
        deadline = time.monotonic() + 30
        for arn in self._executions:
            if ":execution:" not in arn:
                continue
            while self._running(arn):
                assert time.monotonic() < deadline, "waited too long"
                time.sleep(0.01)

    def _running(self, arn: str) -> bool:
        try:
            status: str = self._states.describe_execution(executionArn=arn)["status"]
        except self._states.exceptions.ExecutionDoesNotExist:
            return False  # went with its machine
        return status == "RUNNING"

    def clear(self) -> None:
        for arn in self._executions:
            if ":execution:" in arn and self._running(arn):
                self._states.stop_execution(executionArn=arn)
        for machine in self._states.list_state_machines(maxResults=1000)["stateMachines"]:
            self._states.delete_state_machine(stateMachineArn=machine["stateMachineArn"])


def _outcome(replay: Replay, case: Case) -> Case:
    """The response, or the error in the two manners in which the collection tells errors."""
    for call in case.get("prior_calls", ()):
        try:
            replay.call(call["op"], call["args"])
        except (ClientError, BotoCoreError):
            continue  # recorded as a case of its own
    replay.settle()
    try:
        return replay.call(case.get("api", "validate_state_machine_definition"), case["args"])
    except ClientError as problem:
        error = problem.response["Error"]
        asked = f"when calling the {problem.operation_name} operation"
        value = f"An error occurred ({error['Code']}) {asked}: {error['Message']}"
        return problem.response | {"exception_typename": error["Code"], "exception_value": value}
    except BotoCoreError as problem:
        return {"exception_typename": type(problem).__name__, "exception_value": str(problem)}


def _agrees(case: Case, expected: Case, found: Case, compare: ModuleType, ignore: set[str]) -> bool:
    comparer = compare.Comparer(case, ignore=ignore)
    told = {
        key: value for key, value in found.items() if key in expected or "exception_value" not in expected
    }
    if "Error" in expected:
        told = {key: value for key, value in told.items() if not key.startswith("exception_")}
    return not comparer.eq(expected, json.loads(json.dumps(told, default=_instant)))


def _instant(value: Any) -> str:
    text: str = value.isoformat()
    return text


def _check(name: str, passed: set[str]) -> None:
    lines = PASSING.read_text("utf-8").splitlines() if PASSING.exists() else []
    known = {line for line in lines if line.startswith(f"{name} ")}
    assert known <= passed, sorted(known - passed)
    if os.environ.get("SCONES_ASL_RECORD"):
        PASSING.write_text("\n".join(sorted({*lines, *passed})) + "\n", "utf-8")


@pytest.mark.parametrize("file", FILES)
def test_recorded_calls_give_the_recorded_answers(file: str, tmp_path: Path) -> None:
    folder = Path(CASES or "")
    compare = _comparer(folder)
    passed: set[str] = set()
    cases = [case for case in _read(folder, file) if case.get("api") not in ELSEWHERE]
    with LocalAWS(tmp_path, account_id="111111111111") as cloud:
        states = cloud.client("stepfunctions")
        for case in cases:
            replay = Replay(states)
            found = _outcome(replay, case)
            replay.clear()
            expected = case["expected_error"] if "expected_error" in case else case["expected"]
            if _agrees(case, expected, found, compare, LATER):
                passed.add(f"{file} {case['id']}")
            elif os.environ.get("SCONES_ASL_SHOW"):
                print("MISS", case["id"], "\n  E", json.dumps(expected)[:600], "\n  F", str(found)[:600])
    print(f"\n{file}: {len(passed)} of {len(cases)}")
    _check(file, passed)


@pytest.mark.parametrize("file", SYNC)
def test_recorded_synchronous_executions_give_the_recorded_answers(file: str, staged: Any) -> None:
    folder = Path(CASES or "")
    compare = _comparer(folder)
    passed: set[str] = set()
    cases = _read(folder, file)

    async def play(stage: Stage) -> None:
        for number, case in enumerate(cases):
            for function in case.get("lambdas") or []:
                stem = Path(function["file"]).stem.rpartition("-")[0]
                stage.functions[function["name"]] = HANDLERS[stem]
            definition = case.get("definition_raw") or json.dumps(case["definition"])
            machine = stage.ask(
                "create_state_machine",
                name=f"m-{number}",
                definition=definition,
                roleArn=ROLE,
                type="EXPRESS",
            )
            found = await stage.wait_for(
                "start_sync_execution", stateMachineArn=machine["stateMachineArn"], input=case["input"]
            )
            for name in ("input", "output"):
                found[name] = json.loads(found[name])
            if _agrees(case, case["expected"], found, compare, NEVER_BILLED | {"RedriveCount"}):
                passed.add(f"{file} {case['id']}")
            elif os.environ.get("SCONES_ASL_SHOW"):
                print("MISS", case["id"], "\n  E", json.dumps(case["expected"]), "\n  F", str(found))

    staged(play)
    print(f"\n{file}: {len(passed)} of {len(cases)}")
    _check(file, passed)
