"""TestState: one state run by the interpreter that runs executions, and what it made of its data.

The state becomes a machine of its own whose other states are only names to go to. Tasks are really
asked, through the same integrations, unless a mock answers for them.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scones.cloud.asl.definition import compile_definition, read_definition
from scones.cloud.asl.failures import DefinitionError, StateError
from scones.cloud.asl.journal import Failed, Fired, Invoke, SetTimer, Started, Stimulus, Succeeded
from scones.cloud.asl.jsontext import Json, dumps, loads
from scones.cloud.asl.machine import Execution
from scones.cloud.asl.probe import UNNAMED, Probe, Tolerance
from scones.cloud.asl.program import MapState, Program
from scones.cloud.asl.query import Payload
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Clock, Context, Ids, Wire

from . import integrations
from .inputs import check_input
from .mock_results import mock_fault
from .times import milliseconds

__all__ = ["TestState", "inspection", "program_text"]

_LONGEST_MS = 300_000
"""AWS lets a state be tested for five minutes."""
_MOCKABLE = ("Task", "Map", "Parallel")
_INVOKE = "arn:aws:states:::lambda:invoke"
_NO_FANS = (
    "TestState API does not support Map or Parallel states."
    " Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]"
)
_NOBODY = "arn:aws:lambda:us-east-1:000000000000:function:mocked"
"""Stands in for an integration whose answer is mocked: it need not be one that is here."""
_ASKED = re.compile(r"arn:aws[a-z-]*:(states|lambda):.+")
_CALLED_BACK = re.compile(r"arn:aws[a-z-]*:states:.*(\.sync(:2)?|\.waitForTaskToken|:activity:.+)")
_JSONPATH_FIELDS = ("afterInputPath", "afterParameters", "afterItemsPath", "afterItemSelector",
                    "afterResultSelector", "afterResultPath")  # fmt: skip
_SHOWN = {
    "Pass": ("afterInputPath", "afterParameters", "afterResultSelector", "afterResultPath"),
    "Task": ("afterInputPath", "afterParameters", "result", "afterResultSelector", "afterResultPath"),
    "Map": ("afterInputPath", "afterItemsPath", "afterItemSelector", "afterResultSelector",
            "afterResultPath"),
    "Parallel": ("afterResultSelector", "afterResultPath"),
}  # fmt: skip
"""What is told of each type of state, as recorded; of the other types, only the InputPath."""


class TestState:
    __test__ = False  # no test of ours, whatever its name

    def __init__(self, *, clock: Clock, ids: Ids, call: Call) -> None:
        self._clock = clock
        self._ids = ids
        self._call = call

    async def test_state(self, request: Wire, context: Context) -> Wire:
        name, state, language = _state(request)
        _check(request, state)
        if "mock" not in request and ":activity:" in str(state.get("Resource")):
            message = "A task of an activity can be tested only with a mock"
            raise ServiceError("ValidationException", message)
        probe = self._probe(request, context, program_text(name, state, language, request))
        await self._run(probe, request, state)
        return _reply(probe, request, state, jsonata=language == "JSONata")

    def _probe(self, request: Wire, context: Context, text: str) -> Probe:
        try:
            program = _inline(compile_definition(text), request)
        except DefinitionError as problem:
            message = f"Invalid State Machine Definition: '{problem}'"
            raise ServiceError("InvalidDefinition", message) from None
        machine, name = self._ids.uuid(), self._ids.uuid()
        prefix = f"arn:aws:states:{context.region}:{context.account_id}"
        execution = Execution(
            arn=f"{prefix}:express:{machine}:{name}",
            name=name,
            role_arn=request.get("roleArn"),  # type: ignore[arg-type]  # null in the context, as recorded
            machine_arn=f"{prefix}:stateMachine:{machine}",
            machine_name=machine,
            region=context.region,
            input=request.get("input") or "{}",
            seed=name,
        )
        return Probe(
            program,
            execution,
            variables=_object(request, "variables") or {},
            context=_object(request, "context"),
            mocked="mock" in request,
            retries=request.get("stateConfiguration", {}).get("retrierRetryCount", 0),
        )

    async def _run(self, probe: Probe, request: Wire, state: Wire) -> None:
        """Until the state is left, has failed, or would be retried."""
        mock = request.get("mock")
        deadline = milliseconds(self._clock.now()) + _LONGEST_MS
        stimuli: list[Stimulus] = [Started()]
        while not probe.over:
            now = milliseconds(self._clock.now())
            turn = probe.step(*stimuli, now_ms=now)
            stimuli = []
            if probe.over:
                return
            if mock is not None and probe.fanned_out:
                _settle(probe, request, state, mock)
            elif invoke := next((c for c in turn.commands if isinstance(c, Invoke)), None):
                stimuli = [await self._answer(probe, invoke, mock, deadline)]
            elif not probe.busy:
                stimuli = await self._timer(probe, deadline)

    async def _answer(self, probe: Probe, invoke: Invoke, mock: Wire | None, deadline: int) -> Stimulus:
        if mock is not None:
            if failure := _mocked_error(mock):
                return Failed(invoke.task, failure.error or "", failure.cause)
            return Succeeded(invoke.task, mock["result"])
        timers = [command for command in probe.pending() if isinstance(command, SetTimer)]
        due = min([deadline, *(timer.due_ms for timer in timers)])
        try:
            left = max(due - milliseconds(self._clock.now()), 0) / 1000
            return await asyncio.wait_for(self._ask(invoke), left)
        except TimeoutError:
            if timers and due < deadline:
                return Fired(timers[0].timer)
            return Failed(invoke.task, "States.Timeout", None)

    async def _ask(self, invoke: Invoke) -> Stimulus:
        envelope = integrations.Envelope.draw(self._clock, self._ids)
        try:
            service, operation, request = integrations.request(invoke, self._ids.uuid())
            return integrations.answer(invoke, await self._call(service, operation, request), envelope)
        except ServiceError as problem:
            return integrations.failure(invoke, problem, envelope)

    async def _timer(self, probe: Probe, deadline: int) -> list[Stimulus]:
        """The next timer, when its instant has come; of one beyond the limit nobody waits for the end."""
        timers = [command for command in probe.pending() if isinstance(command, SetTimer)]
        if not timers:
            raise ServiceError("ValidationException", "The state waits for what TestState does not run")
        timer = min(timers, key=lambda timer: timer.due_ms)
        if timer.due_ms > deadline:
            probe.time_out()
            return []
        await asyncio.sleep(max(timer.due_ms - milliseconds(self._clock.now()), 0) / 1000)
        return [Fired(timer.timer)]


# The request --------------------------------------------------------------------------------------


def _state(request: Wire) -> tuple[str, Wire, str]:
    """(name, the state as written, its query language)."""
    try:
        definition = read_definition(request["definition"])
    except DefinitionError as problem:
        message = f"Invalid State Machine Definition: '{problem}'"
        raise ServiceError("InvalidDefinition", message) from None
    language: str = definition.get("QueryLanguage", "JSONPath")
    name: str | None = request.get("stateName")
    if name is None:
        if "States" in definition:
            raise ServiceError("ValidationException", "stateName is required with a state machine definition")
        return UNNAMED, definition, language
    found = _find(definition, name)
    if found is None:
        raise ServiceError("ValidationException", "State not found in definition")
    return name, found, found.get("QueryLanguage", language)


def _find(block: Any, name: str) -> Wire | None:
    """A state of the machine or of any block inside it."""
    states = block.get("States") if isinstance(block, dict) else None
    if not isinstance(states, dict):
        return None
    if isinstance(states.get(name), dict):
        found: Wire = states[name]
        return found
    for state in (state for state in states.values() if isinstance(state, dict)):
        inner = [state.get("ItemProcessor"), state.get("Iterator"), *(state.get("Branches") or [])]
        for nested in inner:
            if (match := _find(nested, name)) is not None:
                return match
    return None


def _check(request: Wire, state: Wire) -> None:
    """Raises ValidationException, InvalidDefinition, InvalidExecutionInput for what cannot be tested."""
    check_input(request.get("input") or "{}")
    kind, mock = state.get("Type"), request.get("mock")
    if mock is None:
        if kind in ("Map", "Parallel"):
            raise ServiceError("InvalidDefinition", _NO_FANS)
        if kind == "Task" and _CALLED_BACK.fullmatch(str(state.get("Resource"))):
            _refuse(
                f"Resource '{state['Resource']}' is not supported when a mock is not specified:"
                " TestState does not wait for a service, a task token or a worker"
            )
        if "context" in request:
            _refuse("A context may only be specified together with a mock")
        return
    if kind not in _MOCKABLE:
        _refuse(f"State type '{kind}' is not supported when a mock is specified")
    if "result" in mock and "errorOutput" in mock:
        _refuse("A test mock should have only one of the following fields: [result, errorOutput].")
    if "result" not in mock and "errorOutput" not in mock:
        _refuse("A test mock needs one of the following fields: [result, errorOutput].")
    if request.get("revealSecrets"):
        _refuse("TestState does not support RevealSecrets when a mock is specified.")
    if "result" in mock:
        _check_result(state, mock)


def _check_result(state: Wire, mock: Wire) -> None:
    try:
        result = loads(mock["result"])
    except ValueError:
        raise ServiceError("ValidationException", "Mocked result must be valid JSON") from None
    if state["Type"] == "Map" and "ResultWriter" in state:
        if not isinstance(result, dict):
            _refuse("Mocked result must be a JSON object.")
    elif state["Type"] in ("Map", "Parallel") and not isinstance(result, list):
        _refuse("Mocked result must be an array.")
    mode = mock.get("fieldValidationMode", "STRICT")
    if state["Type"] == "Task" and mode != "NONE":
        fault = mock_fault(str(state.get("Resource")), result, required=mode == "STRICT")
        if fault:
            _refuse(f"Mock result schema validation error: {fault}")


def _refuse(message: str) -> None:
    raise ServiceError("ValidationException", message)


def _object(request: Wire, field: str) -> dict[str, Any] | None:
    if field not in request:
        return None
    try:
        value = loads(request[field])
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ServiceError("ValidationException", f"The field '{field}' must be a JSON object")
    return value


def program_text(name: str, state: Wire, language: str, request: Wire) -> str:
    """The state as a machine: whatever it may go to is there by name, and no more."""
    state = {**state, "QueryLanguage": language} if language != "JSONPath" else dict(state)
    if "mock" in request:
        state = _mocked(state)
    targets = {state.get("Next"), state.get("Default")}
    for field in ("Choices", "Catch"):
        rules = state.get(field)
        targets |= {r.get("Next") for r in (rules if isinstance(rules, list) else []) if isinstance(r, dict)}
    stubs = {t: {"Type": "Succeed"} for t in sorted(t for t in targets if isinstance(t, str)) if t != name}
    return dumps({"StartAt": name, "States": {name: state, **stubs}})


def _mocked(state: Wire) -> Wire:
    """Whom a mocked task would ask does not matter."""
    if state["Type"] == "Task":
        if _ASKED.fullmatch(str(state.get("Resource"))) and state["Resource"] != _INVOKE:
            state["Resource"] = _NOBODY
        return state
    if state["Type"] == "Map" and isinstance(processor := state.get("ItemProcessor"), dict):
        state["ItemProcessor"] = _unasked(processor)
    if state["Type"] == "Parallel" and isinstance(branches := state.get("Branches"), list):
        state["Branches"] = [_unasked(branch) for branch in branches]
    return state


def _inline(program: Program, request: Wire) -> Program:
    """A mocked Map's items are at hand, those of a reader as the request gives them; none of them runs."""
    block = program.root
    state = block.states[block.start_at]
    if not isinstance(state, MapState) or state.distribution is None:
        return program
    inline = replace(state, distribution=None)
    if state.distribution.reader is not None:
        read = request.get("stateConfiguration", {}).get("mapItemReaderData", "[]")
        inline = replace(inline, items=Payload(_items(read)))
    return replace(program, root=replace(block, states={**block.states, state.name: inline}))


def _items(text: str) -> Any:
    try:
        items = loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list):
        raise ServiceError("ValidationException", "The field 'mapItemReaderData' must be a JSON array")
    return items


def _unasked(block: Any) -> Any:
    """A block whose tasks, which never run, ask nobody in particular."""
    states = block.get("States") if isinstance(block, dict) else None
    if not isinstance(states, dict):
        return block
    mocked = {
        name: _mocked(dict(state)) if isinstance(state, dict) and "Type" in state else state
        for name, state in states.items()
    }
    return {**block, "States": mocked}


def _mocked_error(mock: Wire) -> StateError | None:
    output = mock.get("errorOutput")
    return None if output is None else StateError(output.get("error"), output.get("cause"))


def _settle(probe: Probe, request: Wire, state: Wire, mock: Wire) -> None:
    """The mocked end of a Map or Parallel; of a limit that cannot be computed, a failure."""
    failed = request.get("stateConfiguration", {}).get("mapIterationFailureCount", 0)
    if failed > probe.items:
        _refuse("Map iteration failure count must be less than or equal to the number of Map iterations")
    limits: dict[str, float | None] = {}
    failure = _mocked_error(mock)
    try:
        for kind in ("Count", "Percentage"):
            field = f"ToleratedFailure{kind}"
            limits[kind] = probe.limit(field, state.get(field, state.get(f"{field}Path")))
            if (limit := limits[kind]) is not None:
                probe.note(f"toleratedFailure{kind}", int(limit) if kind == "Count" else limit)
    except StateError as problem:
        failure = problem
    tolerance = Tolerance(failed, limits.get("Count"), limits.get("Percentage"))
    probe.settle(mock.get("result"), failure, tolerance)


# The reply ----------------------------------------------------------------------------------------


def _reply(probe: Probe, request: Wire, state: Wire, *, jsonata: bool) -> Wire:
    notes = probe.notes
    reply: Wire = {}
    failure = notes.get("failure")
    if failure is not None:
        told = {"error": failure.error, "cause": failure.cause}
        reply = {name: text for name, text in told.items() if text is not None}
        reply["status"] = "RETRIABLE" if "retryBackoff" in notes else "FAILED"
    if "left" in notes:
        target, output = notes["left"]
        reply["status"] = "SUCCEEDED" if failure is None else "CAUGHT_ERROR"
        reply["output"] = output.text
        if target is not None:
            reply["nextState"] = target
    if request.get("inspectionLevel", "INFO") != "INFO":
        reply["inspectionData"] = inspection(notes, state, probe.execution.input, jsonata=jsonata)
        if probe.variables:
            reply["inspectionData"]["variables"] = dumps(probe.variables)
    return reply


def inspection(notes: Mapping[str, Any], state: Wire, given: str, *, jsonata: bool) -> Wire:
    """How the data flowed, from a probe's notes; which fields each type of state tells is as recorded."""
    kind = str(state.get("Type"))
    shown = list(_SHOWN.get(kind, ("afterInputPath",)))
    if kind == "Pass" and "Result" in state:
        shown = ["result", "afterResultSelector", "afterResultPath"]
    data: Wire = {"input": given}
    if jsonata:
        shown = [field for field in shown if field not in _JSONPATH_FIELDS]
        if kind == "Task" and isinstance(notes.get("afterParameters"), Json):
            data["afterArguments"] = notes["afterParameters"].text
    data |= {field: notes[field].text for field in shown if field in notes}
    if kind == "Map" and ("afterItemsPath" in notes or jsonata):
        data |= _limits(notes, state)
    details = {name: notes[name] for name in ("catchIndex", "retryIndex") if name in notes}
    if "retryBackoff" in notes:
        details["retryBackoffIntervalSeconds"] = notes["retryBackoff"] // 1000
    return data | ({"errorDetails": details} if details else {})


def _limits(notes: Mapping[str, Any], state: Wire) -> Wire:
    """As computed; as written, where the state ended before."""
    written = {"maxConcurrency": state.get("MaxConcurrency", 0)}
    for kind in ("Count", "Percentage"):
        written[f"toleratedFailure{kind}"] = state.get(f"ToleratedFailure{kind}")
    limits = {name: notes.get(name, value) for name, value in written.items()}
    return {name: limit for name, limit in limits.items() if isinstance(limit, int | float)}
