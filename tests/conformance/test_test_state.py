"""TestState requests recorded on AWS, asked again here and compared field by field.

SCONES_ASL_CASES names the folder of `test_state.jsonl` and `api_error.jsonl`. `test_state_passing.txt`
lists what is known to pass; a case that leaves the list is a failure. SCONES_ASL_RECORD=1 writes it anew.
"""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.runtime import RandomIds, SystemClock
from scones.cloud.services.stepfunctions.test_state import TestState

CASES = os.environ.get("SCONES_ASL_CASES")
PASSING = Path(__file__).with_name("test_state_passing.txt")
CONTEXT = Context(request_id="r", account_id="111111111111", region="us-east-1")
_VARYING = re.compile(r"<[^>]+>")


async def _function(service: str, operation: str, request: Wire) -> Wire:
    """What the recorded function gives: its event."""
    assert (service, operation) == ("lambda", "Invoke")
    return {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": request.get("Payload", b"{}")}


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _agree(recorded: Any, given: Any, wild: set[str]) -> bool:
    recorded, given = _parsed(recorded), _parsed(given)
    if isinstance(recorded, str) and recorded in {*wild, "date", "timestamp", "datetime"}:
        return True
    if isinstance(recorded, str) and isinstance(given, str):
        pattern = ".*".join(re.escape(part) for part in _VARYING.split(recorded))
        return re.fullmatch(pattern, given, re.DOTALL) is not None
    if isinstance(recorded, dict) and isinstance(given, dict):
        return recorded.keys() == given.keys() and all(_agree(recorded[k], given[k], wild) for k in recorded)
    if isinstance(recorded, list) and isinstance(given, list):
        return len(recorded) == len(given) and all(map(lambda a, b: _agree(a, b, wild), recorded, given))
    return bool(recorded == given)


def _ask(request: Wire) -> Wire:
    service = TestState(clock=SystemClock(), ids=RandomIds(), call=_function)
    try:
        return asyncio.run(service.test_state(request, CONTEXT))
    except ServiceError as problem:
        return {"Code": problem.code, "Message": problem.message}


def _expected(case: Wire) -> Wire | None:
    """None: the request never leaves the client."""
    if case["kind"] == "test_state":
        return {key: value for key, value in case["expected"].items() if key != "ResponseMetadata"}
    error = case["expected_error"]
    if "Error" in error:
        return {key: error["Error"][key] for key in ("Code", "Message")}
    text = error["exception_value"].partition("operation: ")[2]
    return {"Code": error["exception_typename"], "Message": text} if text else None


def _cases(file: str) -> list[Wire]:
    lines = (Path(CASES or "") / file).read_text("utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    return [case for case in cases if case["kind"] == "test_state" or case.get("api") == "test_state"]


@pytest.mark.skipif(not CASES, reason="SCONES_ASL_CASES is not set")
@pytest.mark.parametrize("file", ["test_state.jsonl", "api_error.jsonl"])
def test_recorded_requests_get_the_recorded_answers(file: str) -> None:
    passed, missed = set(), {}
    for case in _cases(file):
        if (expected := _expected(case)) is None:
            continue
        given = _ask(case["args"])
        if _agree(expected, given, set(case.get("wild_literals") or ())):
            passed.add(f"{file} {case['id']}")
        else:
            missed[case["id"]] = given
    print(f"\n{file}: {len(passed)} passed")
    for name, given in missed.items():
        print(f"missed {name}: {json.dumps(given)[:300]}")
    lines = PASSING.read_text("utf-8").splitlines() if PASSING.exists() else []
    known = {line for line in lines if line.startswith(f"{file} ")}
    assert known <= passed, sorted(known - passed)
    if os.environ.get("SCONES_ASL_RECORD"):
        kept = [line for line in lines if not line.startswith(f"{file} ")]
        PASSING.write_text("\n".join(sorted({*kept, *passed})) + "\n", "utf-8")
