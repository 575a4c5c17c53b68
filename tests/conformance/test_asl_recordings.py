"""Executions recorded on AWS, run again here and compared event by event.

SCONES_ASL_CASES names the folder of `pure.jsonl` and `lambda.jsonl`, with `compare.py` beside or
above it; SCONES_AWS_RECORDINGS the folder whose `executions/` holds exports of the console. Time is
virtual: when nothing is left to do, the loop's clock jumps to the next timer.

`asl_passing.txt` lists what is known to pass; a case that leaves the list is a failure.
SCONES_ASL_RECORD=1 writes the list anew.
"""

import asyncio
import importlib.util
import json
import os
import selectors
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.failures import DefinitionError
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.stepfunctions import StepFunctions
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

CASES = os.environ.get("SCONES_ASL_CASES")
RECORDINGS = os.environ.get("SCONES_AWS_RECORDINGS")
PASSING = Path(__file__).with_name("asl_passing.txt")
CONTEXT = Context(request_id="r", account_id="111111111111", region="us-east-1")
ROLE = "arn:aws:iam::111111111111:role/sfn"
REDRIVE = {"RedriveCount"}
"""Came to the context object after most of the recordings."""

Case = dict[str, Any]
Handler = Callable[[Any], Any]


# A stage: the service alone, with virtual time and functions of our own ----------------------------


class VirtualSelector(selectors.DefaultSelector):
    """Instead of waiting, tells how long the loop would have waited."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout:
            self.skipped += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.skipped


class VirtualClock:
    def now(self) -> datetime:
        seconds = asyncio.get_running_loop().time()
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(seconds * 1000))

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class CountingIds:
    def __init__(self) -> None:
        self._count = 0

    def uuid(self) -> str:
        self._count += 1
        return f"00000000-0000-4000-8000-{self._count:012d}"

    def token(self, length: int) -> str:
        self._count += 1
        return f"{self._count:0{length}x}"[-length:]


class NoFaults:
    def reach(self, point: str) -> None:
        pass


class Stage:
    """The service and what surrounds it; `functions` maps a function's name to its handler."""

    def __init__(self, folder: Path) -> None:
        self.functions: dict[str, Handler] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._db = Database(folder / "state.sqlite")
        self._service = StepFunctions(
            db=self._db,
            clock=VirtualClock(),
            ids=CountingIds(),
            call=self._call,
            spawn=self._spawn,
            faults=NoFaults(),
            settings=CloudSettings(state_dir=folder),
            processes=Processes(self._db, sys.executable),
        )

    async def _call(self, service: str, operation: str, request: Wire) -> Wire:
        assert (service, operation) == ("lambda", "Invoke")
        name = request["FunctionName"].rpartition(":function:")[2].partition(":")[0]
        if name not in self.functions:
            message = f"Function not found: {request['FunctionName']}:$LATEST"
            raise ServiceError("ResourceNotFoundException", message, status=404)
        reply: Wire = {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
        if request.get("LogType") == "Tail":
            reply["LogResult"] = "TG9n"
        payload = self.functions[name](json.loads(request.get("Payload", b"{}")))
        if asyncio.iscoroutine(payload):
            payload = await payload
        if isinstance(payload, dict) and "errorType" in payload and "stackTrace" in payload:
            reply["FunctionError"] = "Unhandled"
        reply["Payload"] = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return reply

    def _spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        await self._service.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._db.close()

    def ask(self, operation: str, **request: Any) -> Wire:
        part = next(part for part in self._service.parts if hasattr(part, operation))
        with self._db.transaction():
            reply: Wire = getattr(part, operation)(request, CONTEXT)
            return reply

    async def wait_for(self, operation: str, **request: Any) -> Wire:
        """The reply of an operation that answers later."""
        part = next(part for part in self._service.parts if hasattr(part, operation))
        reply: Wire = await getattr(part, operation)(request, CONTEXT)
        return reply

    async def execute(self, name: str, definition: str, given: str) -> tuple[Wire, list[Case]]:
        """The description and the history of a finished execution."""
        machine = self.ask("create_state_machine", name=name, definition=definition, roleArn=ROLE)
        started = self.ask("start_execution", stateMachineArn=machine["stateMachineArn"], input=given)
        return await self.ended(started["executionArn"]), self.history(started["executionArn"])

    async def ended(self, arn: str) -> Wire:
        described = self.ask("describe_execution", executionArn=arn)
        for _ in range(10_000):
            if described["status"] != "RUNNING":
                break
            await asyncio.sleep(0.25)
            described = self.ask("describe_execution", executionArn=arn)
        return described

    def history(self, arn: str) -> list[Case]:
        events: list[Case] = []
        token: Wire = {}
        while True:
            found = self.ask("get_execution_history", executionArn=arn, **token, maxResults=7)
            events += found["events"]
            if "nextToken" not in found:
                return events
            token = {"nextToken": found["nextToken"]}


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Callable[[Callable[[Stage], Coroutine[Any, Any, Any]]], Any]]:
    """Runs a coroutine over a fresh stage in virtual time."""
    loop = VirtualLoop()

    async def perform(play: Callable[[Stage], Coroutine[Any, Any, Any]]) -> Any:
        stage = Stage(tmp_path)
        try:
            return await play(stage)
        finally:
            await stage.close()

    def run(play: Callable[[Stage], Coroutine[Any, Any, Any]]) -> Any:
        return loop.run_until_complete(perform(play))

    yield run
    loop.close()


# The collection's own handlers -------------------------------------------------------------------


def _raised(kind: str, message: str, line: int, source: str) -> Case:
    trace = f'  File "/var/task/handler.py", line {line}, in handler\n    {source}\n'
    return {"errorMessage": message, "errorType": kind, "requestId": "r", "stackTrace": [trace]}


async def _wait_60_seconds(event: Any) -> Any:
    await asyncio.sleep(60)
    return event


HANDLERS: dict[str, Handler] = {
    "echo_function": lambda event: {"Return": "HelloWorld"},
    "id_function": lambda event: event,
    "large_output_string": lambda event: "a" * (257 * 1024),
    "raise_custom_exception": lambda event: _raised("CustomException", "", 9, "raise CustomException()"),
    "raise_exception": lambda event: _raised(
        "Exception", "Some exception was raised.", 2, 'raise Exception("Some exception was raised.")'
    ),
    "return_bytes_str": lambda event: b'"HelloWorld!"',
    "return_decorated_input": lambda event: f"input-event-{event}",
    "wait_60_seconds": _wait_60_seconds,
}


# The cases ----------------------------------------------------------------------------------------


@dataclass
class Score:
    cases: int = 0
    unsupported: int = 0
    results: int = 0
    histories: int = 0
    with_history: int = 0


def _comparer(folder: Path) -> ModuleType:
    path = next(p / "compare.py" for p in (folder, folder.parent) if (p / "compare.py").exists())
    spec = importlib.util.spec_from_file_location("asl_compare", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(folder: Path, file: str) -> list[Case]:
    return [json.loads(line) for line in (folder / file).read_text("utf-8").splitlines()]


def _supported(definition: str) -> bool:
    try:
        compile_definition(definition)
    except DefinitionError as problem:
        return not any(diagnostic.code == "NOT_SUPPORTED" for diagnostic in problem.diagnostics)
    return True


async def _run_case(stage: Stage, case: Case, number: int, compare: ModuleType) -> list[str]:
    """Which parts agree: `result`, and `history` where one was recorded."""
    for function in case.get("lambdas") or []:
        file = Path(function["file"]).stem.rpartition("-")[0]
        stage.functions[function["name"]] = HANDLERS[file]
    definition = case.get("definition_raw") or json.dumps(case["definition"])
    described, events = await stage.execute(f"case-{number}", definition, case["input"] or "{}")
    skipped = {path[3:] for path in case.get("localstack_skip_paths") or [] if path.startswith("$..")}
    texts = (described.get(name) for name in ("output", "error", "cause"))
    agreed = []
    if not compare.compare_result(case, described["status"], *texts, ignore=skipped | REDRIVE)[0]:
        agreed.append("result")
    recorded = case["expected"].get("events")
    if recorded and recorded[0].get("id") not in (None, 1):
        events = events[::-1]
    if recorded and not compare.compare_history(case, events, ignore=skipped | REDRIVE)[0]:
        agreed.append("history")
    return agreed


@pytest.mark.skipif(not CASES, reason="SCONES_ASL_CASES is not set")
@pytest.mark.parametrize("file", ["pure.jsonl", "lambda.jsonl"])
def test_recorded_cases_give_the_recorded_results_and_histories(file: str, staged: Any) -> None:
    folder = Path(CASES or "")
    compare, score = _comparer(folder), Score()
    passed: set[str] = set()

    async def play(stage: Stage) -> None:
        for number, case in enumerate(_read(folder, file)):
            score.cases += 1
            if not _supported(case.get("definition_raw") or json.dumps(case["definition"])):
                score.unsupported += 1
                continue
            agreed = set(await _run_case(stage, case, number, compare))
            score.results += "result" in agreed
            score.with_history += bool(case["expected"].get("events"))
            score.histories += "history" in agreed
            passed.update(f"{file} {part} {case['id']}" for part in agreed)

    staged(play)
    print(f"\n{file}: {score}")
    _compare_with_known(file, passed)


def _compare_with_known(file: str, passed: set[str]) -> None:
    lines = PASSING.read_text("utf-8").splitlines() if PASSING.exists() else []
    known = {line for line in lines if line.startswith(f"{file} ")}
    assert known <= passed, sorted(known - passed)
    if os.environ.get("SCONES_ASL_RECORD"):
        kept = [line for line in lines if not line.startswith(f"{file} ")]
        PASSING.write_text("\n".join(sorted({*kept, *passed})) + "\n", "utf-8")


@pytest.mark.skipif(not CASES, reason="SCONES_ASL_CASES is not set")
def test_recorded_validations_give_the_recorded_diagnostics(staged: Any) -> None:
    passed: set[str] = set()

    async def play(stage: Stage) -> None:
        for case in _read(Path(CASES or ""), "validate.jsonl"):
            reply = stage.ask("validate_state_machine_definition", **case["args"])
            wanted = {k: v for k, v in case["expected"].items() if k != "ResponseMetadata"}
            if reply == wanted:
                passed.add(f"validate.jsonl result {case['id']}")

    staged(play)
    print(f"\nvalidate.jsonl: {len(passed)}")
    _compare_with_known("validate.jsonl", passed)


# Whole executions exported from the console ---------------------------------------------------------


def _exports() -> list[str]:
    folder = Path(RECORDINGS or "") / "executions"
    return sorted(path.name for path in folder.glob("*.json")) if RECORDINGS else []


def _details(event: Case) -> Case:
    found = (value for key, value in event.items() if key.endswith("EventDetails") and value)
    return next(found, {})


def _parsed(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _comparable(event: Case) -> Case:
    """Without what the console added, what differs each time, and the console's parsing of texts."""
    details = {k: v for k, v in _details(event).items() if v is not None and k != "roleArn"}
    for field in ("parameters", "output", "input"):
        if field in details:
            details[field] = _parsed(details[field])
            if isinstance(details[field], dict):
                for varying in ("SdkHttpMetadata", "SdkResponseMetadata"):
                    if varying in details[field]:
                        details[field][varying] = None
    return {
        "id": event["id"],
        "previousEventId": event["previousEventId"],
        "type": event["type"],
        "details": details,
    }


def _in_turn(payloads: list[Any]) -> Handler:
    return lambda _event: payloads.pop(0)


def _recorded_handlers(events: list[Case]) -> dict[str, Handler]:
    """Each function gives what it gave on AWS, call by call."""
    answers: dict[str, list[Any]] = {}
    for event in events:
        if not event["type"].endswith("Scheduled"):
            continue
        details = _details(event)
        name = (_parsed(details.get("parameters")) or {}).get("FunctionName") or details["resource"]
        reply = _details(events[event["id"] + 1])
        if "cause" in reply:
            payload = json.loads(reply["cause"])
        else:
            output = reply["output"]
            payload = json.loads(output)["Payload"] if "parameters" in details else output.encode()
        answers.setdefault(name.rpartition(":function:")[2].partition(":")[0], []).append(payload)
    return {name: _in_turn(payloads) for name, payloads in answers.items()}


@pytest.mark.skipif(not RECORDINGS, reason="SCONES_AWS_RECORDINGS is not set")
@pytest.mark.parametrize("file", _exports())
def test_exported_executions_are_reproduced_event_for_event(file: str, staged: Any) -> None:
    export = json.loads((Path(RECORDINGS or "") / "executions" / file).read_text("utf-8"))
    recorded = sorted(export["historyHash"].values(), key=lambda event: event["id"])
    definition = export["stateMachine"]["definition"]
    if not isinstance(definition, str):
        definition = json.dumps(definition)

    async def play(stage: Stage) -> list[Case]:
        stage.functions = _recorded_handlers(recorded)
        given = _details(recorded[0])["input"]
        given = given if isinstance(given, str) else json.dumps(given)
        described, _ = await stage.execute("exported", definition, given)
        arn = described["executionArn"]
        for _ in range(sum(event["type"] == "ExecutionRedriven" for event in recorded)):
            redriven = stage.ask("redrive_execution", executionArn=arn)
            described = await stage.ended(arn)
            assert described["redriveDate"] == redriven["redriveDate"]
        if export["execution"]["status"] == described["status"]:  # else it was exported too early
            for field in ("redriveCount", "redriveStatus", "redriveStatusReason"):
                assert export["execution"][field] in (None, described[field])
        return stage.history(arn)

    assert [_comparable(e) for e in staged(play)] == [_comparable(e) for e in recorded]
