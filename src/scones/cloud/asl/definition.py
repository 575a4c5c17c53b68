"""Reading a state machine's definition: its text in, a Program or all its mistakes out.

Codes and wordings are AWS's where they are known. What this interpreter lacks is refused by name
(NOT_SUPPORTED), never accepted to misbehave later.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from .choice import PATH_RULE, QUERY_RULE, Predicate, Rule, RuleError, compile_condition
from .distribution import allow_fields, read_distribution, read_tolerance
from .failures import DefinitionError, Diagnostic
from .fields import JSONATA_FIELDS, JSONPATH_FIELDS
from .jackson import complaint, source
from .jsontext import dumps, loads
from .program import (
    Block,
    ChoiceState,
    FailState,
    MapState,
    ParallelState,
    PassState,
    Program,
    State,
    SucceedState,
    TaskState,
    WaitState,
)
from .reader import ROOT, SCHEMA, Reader
from .resources import read_resource
from .retry import Catcher, Retrier
from .timestamps import instant_ms

__all__ = ["compile_definition", "compile_processor", "processor_text", "read_definition"]

LONGEST_TEXT = 1_048_576
LONGEST_TIMEOUT_S = 99_999_999
LONGEST_STATE_NAME = 80
_NESTING_LIMIT = 40
"""Scopes within scopes."""
_JSON_DEPTH_LIMIT = 200


@lru_cache(maxsize=256)
def compile_definition(text: str) -> Program:
    """Raises DefinitionError with every diagnostic; compiled programs are shared."""
    diagnostics: list[Diagnostic] = []
    program = _read_machine(read_definition(text), diagnostics)
    if diagnostics or program is None:
        raise DefinitionError(diagnostics)
    return program


@lru_cache(maxsize=256)
def compile_processor(text: str, name: str) -> Program:
    """The item processor of a Map in a definition that compiles, as a program of its own."""
    program = compile_definition(text)
    state = _find_map(program.root, name)
    assert state is not None
    return replace(program, root=state.processor, timeout_s=None)


def processor_text(text: str, name: str) -> str:
    """The item processor of a Map as a definition of its own, as it is written."""
    waiting: list[Any] = [loads(text)]
    while waiting:
        for state, written in waiting.pop().get("States", {}).items():
            processor = written.get("ItemProcessor", written.get("Iterator"))
            if state == name:
                return dumps({field: processor[field] for field in processor if field != "ProcessorConfig"})
            waiting += [*written.get("Branches", ()), *([processor] if processor else ())]
    raise ValueError(f"no Map is named {name}")


def _find_map(block: Block, name: str) -> MapState | None:
    for state in block.states.values():
        if isinstance(state, MapState) and state.name == name:
            return state
        inner: tuple[Block, ...] = ()
        if isinstance(state, MapState):
            inner = (state.processor,)
        elif isinstance(state, ParallelState):
            inner = state.branches
        for nested in inner:
            if found := _find_map(nested, name):
                return found
    return None


def read_definition(text: str) -> dict[str, Any]:
    """The object that a definition's text is. Raises DefinitionError."""
    if len(text) > LONGEST_TEXT:
        raise DefinitionError([Diagnostic(SCHEMA, f"Definition is longer than {LONGEST_TEXT} characters")])
    if not text.strip():
        raise DefinitionError([Diagnostic(SCHEMA, "Definition must be a valid JSON object")])
    try:
        value = loads(text)
    except ValueError as problem:
        message, read = complaint(text) or (str(problem), 0)
        place = source(text, read)
        raise DefinitionError(
            [Diagnostic("INVALID_JSON_DESCRIPTION", f"{message}\n at {place}", place)]
        ) from None
    if not isinstance(value, dict):
        raise DefinitionError([Diagnostic(SCHEMA, "Definition must be a valid JSON object")])
    if _depth_exceeds(value, _JSON_DEPTH_LIMIT):
        raise DefinitionError([Diagnostic("TOO_DEEPLY_NESTED", "The definition is nested too deeply", "/")])
    return value


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _read_machine(fields: dict[str, Any], diagnostics: list[Diagnostic]) -> Program | None:
    reader = Reader(fields, "", diagnostics)
    reader.allow({"StartAt", "States", "Comment", "Version", "TimeoutSeconds", "QueryLanguage"})
    if "Version" in reader and fields["Version"] != "1.0":
        reader.wrong("Version must be '1.0'", "Version")
    _language(reader)
    block = _Blocks(reader.jsonata).read(reader, 0)
    timeout = reader.integer("TimeoutSeconds", 1, LONGEST_TIMEOUT_S)
    comment = reader.text("Comment")
    return Program(root=block, timeout_s=timeout, comment=comment) if block else None


def _language(reader: Reader) -> None:
    """From here down the reader reads the language that its object names, if it names one."""
    language = reader.fields.get("QueryLanguage")
    if language in ("JSONata", "JSONPath"):
        reader.jsonata = language == "JSONata"
    elif "QueryLanguage" in reader:
        reader.wrong(
            "The field 'QueryLanguage' should have one of these values: [JSONPath, JSONata]", "QueryLanguage"
        )


class _Blocks:
    """Reads the nested scopes of one machine; a state's name is unique in all of them together."""

    def __init__(self, jsonata: bool) -> None:
        self._jsonata = jsonata
        """The machine's own language, which a state has unless it names another."""
        self._names: set[str] = set()
        self._labels: set[str] = set()

    def read(self, reader: Reader, depth: int) -> Block | None:
        missing = [name for name in ("States", "StartAt") if name not in reader]
        if missing:
            reader.wrong(f"These fields are required: [{', '.join(missing)}]")
            return None
        if depth > _NESTING_LIMIT:
            reader.wrong("The definition is nested too deeply", code="TOO_DEEPLY_NESTED")
            return None
        states = reader.below("States", reader.fields["States"])
        start_at = reader.text("StartAt")
        if states is None or start_at is None:
            return None
        if not states.fields:
            states.wrong("Value cannot be empty")
            return None
        compiled = {name: self._state(states, name, depth) for name in states.fields}
        _check_transitions(reader, start_at, states)
        found = {name: state for name, state in compiled.items() if state}
        return Block(start_at=start_at, states=found)

    def _state(self, states: Reader, name: str, depth: int) -> State | None:
        reader = states.below(name, states.fields[name])
        if not name:
            states.wrong("Invalid State name: it is empty", name, "INVALID_STATE_NAME")
        if len(name) > LONGEST_STATE_NAME:
            told = f"State '{name}' exceeds the {LONGEST_STATE_NAME}-character limit allowed by the service"
            states.wrong(f"Invalid State name: {told}", name, "INVALID_STATE_NAME")
        if name in self._names:
            states.wrong(f"Duplicate State name: {name}", name, "DUPLICATE_STATE_NAME")
        self._names.add(name)
        if reader is None or not reader.require("Type"):
            return None
        kind = reader.fields["Type"]
        if not isinstance(kind, str) or kind not in JSONPATH_FIELDS:
            kinds = "Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map"
            reader.wrong(f"The field 'Type' should have one of these values: [{kinds}]")
            return None
        reader.jsonata = self._jsonata
        _language(reader)
        if self._jsonata and not reader.jsonata:
            reader.wrong("'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine")
            return None
        if kind == "Map":
            allow_fields(reader)
            return self._map(reader, name, depth)
        fields, others = JSONPATH_FIELDS[kind], JSONATA_FIELDS[kind]
        reader.allow(*((others, fields) if reader.jsonata else (fields, others)))
        if kind == "Parallel":
            return self._parallel(reader, name, depth)
        return _READERS[kind](reader, name)

    def _parallel(self, reader: Reader, name: str, depth: int) -> State | None:
        if not reader.require("Branches"):
            return None
        branches = [self._nested(reader, f"Branches[{n}]", branch, depth)
                    for n, branch in enumerate(reader.array("Branches"))]  # fmt: skip
        if not branches:
            reader.wrong("Value cannot be empty", "Branches")
        return ParallelState(
            **_work(reader, name),
            parameters=reader.template(reader.arguments),
            branches=tuple(branch for branch in branches if branch),
        )

    def _nested(
        self, reader: Reader, field: str, value: Any, depth: int, *, mapped: bool = False
    ) -> Block | None:
        """mapped: whether it is the processor of a Map."""
        inner = reader.below(field, value)
        if inner is None:
            return None
        inner.allow({"StartAt", "States", "Comment"} | ({"ProcessorConfig"} if mapped else set()))
        return self.read(inner, depth + 1)

    def _map(self, reader: Reader, name: str, depth: int) -> State | None:
        reader.at_most_one("ItemProcessor", "Iterator")
        reader.at_most_one("ItemSelector", "Parameters")
        reader.at_most_one("MaxConcurrency", "MaxConcurrencyPath")
        field = "Iterator" if "Iterator" in reader else "ItemProcessor"
        if not reader.require(field):
            return None
        processor = self._nested(reader, field, reader.fields[field], depth, mapped=True)
        selector = "Parameters" if "Parameters" in reader else "ItemSelector"
        distribution = read_distribution(reader, self._labels)
        if "Items" in reader and not reader.queried("Items"):
            reader.array("Items")
        if processor is None:
            return None
        return MapState(
            **_work(reader, name),
            parameters=reader.template(selector),
            processor=processor,
            items_path=reader.path("ItemsPath") or ROOT,
            items=reader.payload("Items"),
            max_concurrency=reader.integer("MaxConcurrency", 0, 2**31 - 1) or 0,
            max_concurrency_path=reader.query("MaxConcurrency") or reader.number_path("MaxConcurrencyPath"),
            **read_tolerance(reader),
            distribution=distribution,
        )


# The fields that states share ---------------------------------------------------------------------


def _common(reader: Reader, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "next": _transition(reader) if reader.fields["Type"] not in ("Choice", "Succeed", "Fail") else None,
        "input_path": reader.path_or_null("InputPath"),
        "output_path": reader.path_or_null("OutputPath"),
        "assign": _assign(reader),
        "jsonata": reader.jsonata,
        "output": reader.payload("Output"),
    }


def _transition(reader: Reader) -> str | None:
    if "Next" in reader and reader.fields.get("End") is True:
        reader.wrong("There should only be one of the following fields: [Next, End]")
    if "End" in reader and not isinstance(reader.fields["End"], bool):
        reader.wrong("Expected value of type Boolean", "End")
    elif "Next" not in reader and reader.fields.get("End") is not True:
        reader.wrong("These fields are required: [Next] or [End]")
    return reader.text("Next")


def _assign(reader: Reader) -> Any:
    value = reader.fields.get("Assign")
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.wrong("Expected value of type Object", "Assign")
        return None
    for key in value:
        name = key.removesuffix(".$")
        if not name.isidentifier() or len(name) > 80 or name == "states":
            reader.wrong(f"'{name}' is not a valid variable name", "Assign")
    return reader.template("Assign")


def _work(reader: Reader, name: str) -> dict[str, Any]:
    return {
        **_common(reader, name),
        "result_selector": reader.template("ResultSelector"),
        "result_path": reader.reference_path("ResultPath"),
        "retriers": tuple(_each(reader, "Retry", _retrier)),
        "catchers": tuple(_each(reader, "Catch", _catcher)),
    }


def _each(reader: Reader, field: str, read: Callable[[Reader], Any]) -> Iterator[Any]:
    items = reader.array(field)
    for n, item in enumerate(items):
        inner = reader.below(f"{field}[{n}]", item)
        if inner is None:
            continue
        result = read(inner)
        if result is None:
            continue
        if "States.ALL" in result.errors and (len(result.errors) > 1 or n < len(items) - 1):
            inner.wrong("'States.ALL' can only appear alone, and in the last place", "ErrorEquals")
        yield result


def _errors(reader: Reader) -> tuple[str, ...] | None:
    if not reader.require("ErrorEquals"):
        return None
    names = reader.filled_array("ErrorEquals")
    if not all(isinstance(name, str) for name in names):
        reader.wrong("Expected value of type String", "ErrorEquals")
        return None
    return tuple(names)


def _retrier(reader: Reader) -> Retrier | None:
    reader.allow({"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds",
                  "JitterStrategy", "Comment"})  # fmt: skip
    backoff = reader.fields.get("BackoffRate", 2.0)
    if isinstance(backoff, bool) or not isinstance(backoff, int | float):
        reader.wrong("Expected value of type Number", "BackoffRate")
        backoff = 2.0
    elif backoff < 1:
        reader.wrong("Minimum value is 1.0", "BackoffRate")
    jitter = reader.fields.get("JitterStrategy", "NONE")
    if jitter not in ("NONE", "FULL"):
        reader.wrong(
            "The field 'JitterStrategy' should have one of these values: [NONE, FULL]", "JitterStrategy"
        )
    interval = reader.integer("IntervalSeconds", 1, LONGEST_TIMEOUT_S) or 1
    longest = reader.integer("MaxDelaySeconds", 1, 31_622_399)
    if longest is not None and longest <= interval:
        reader.wrong("MaxDelaySeconds must be greater than IntervalSeconds", "MaxDelaySeconds")
    attempts = reader.integer("MaxAttempts", 0, LONGEST_TIMEOUT_S)
    errors = _errors(reader)
    if errors is None:
        return None
    return Retrier(
        errors=errors,
        interval_s=interval,
        attempts=3 if attempts is None else attempts,
        backoff=float(backoff),
        max_delay_s=longest,
        full_jitter=jitter == "FULL",
    )


def _catcher(reader: Reader) -> Catcher | None:
    own, other = ("Output", "ResultPath") if reader.jsonata else ("ResultPath", "Output")
    reader.allow({"ErrorEquals", "Next", own, "Assign", "Comment"}, {other})
    errors, target = _errors(reader), reader.text("Next")
    if errors is None or not reader.require("Next") or target is None:
        return None
    return Catcher(
        errors=errors,
        next=target,
        result_path=reader.reference_path("ResultPath"),
        assign=_assign(reader),
        output=reader.payload("Output"),
    )


# The states that hold no others ---------------------------------------------------------------------


def _task(reader: Reader, name: str) -> State | None:
    reader.at_most_one("TimeoutSeconds", "TimeoutSecondsPath")
    reader.at_most_one("HeartbeatSeconds", "HeartbeatSecondsPath")
    if not reader.require("Resource"):
        return None
    resource = read_resource(reader)
    if "Credentials" in reader:
        credentials = reader.below("Credentials", reader.fields["Credentials"])
        if credentials and not {"RoleArn", "RoleArn.$"} & credentials.fields.keys():
            credentials.wrong("The field 'RoleArn' is required but was missing")
    timeout = reader.integer("TimeoutSeconds", 1, LONGEST_TIMEOUT_S)
    heartbeat = reader.integer("HeartbeatSeconds", 1, LONGEST_TIMEOUT_S)
    if heartbeat and timeout and heartbeat >= timeout:
        reader.wrong("HeartbeatSeconds must be smaller than TimeoutSeconds", "HeartbeatSeconds")
    if resource is None:
        return None
    return TaskState(
        **_work(reader, name),
        resource=resource,
        parameters=reader.template(reader.arguments),
        timeout_s=timeout,
        timeout_path=reader.query("TimeoutSeconds") or reader.path("TimeoutSecondsPath"),
        heartbeat_s=heartbeat,
        heartbeat_path=reader.query("HeartbeatSeconds") or reader.path("HeartbeatSecondsPath"),
        role=reader.template("Credentials"),
    )


def _pass(reader: Reader, name: str) -> State:
    return PassState(
        **_common(reader, name),
        has_result="Result" in reader,
        result=reader.fields.get("Result"),
        parameters=reader.template("Parameters"),
        result_path=reader.reference_path("ResultPath"),
    )


def _wait(reader: Reader, name: str) -> State:
    fields = ("Seconds", "Timestamp", "SecondsPath", "TimestampPath")
    reader.at_most_one(*fields)
    if not any(field in reader for field in fields):
        reader.wrong(f"One of these fields is required: [{', '.join(fields)}]")
    timestamp = instant_ms(reader.fields.get("Timestamp"))
    if "Timestamp" in reader and timestamp is None and not reader.queried("Timestamp"):
        reader.wrong("String does not match RFC3339 timestamp", "Timestamp")
    return WaitState(
        **_common(reader, name),
        seconds=reader.integer("Seconds", 0, LONGEST_TIMEOUT_S),
        timestamp_ms=timestamp,
        seconds_path=reader.query("Seconds") or reader.path("SecondsPath"),
        timestamp_path=reader.query("Timestamp") or reader.path("TimestampPath"),
    )


def _choice(reader: Reader, name: str) -> State | None:
    if not reader.require("Choices"):
        return None
    rules = []
    for n, choice in enumerate(reader.filled_array("Choices")):
        inner = reader.below(f"Choices[{n}]", choice)
        if inner is None or not inner.require("Next"):
            continue
        condition = _condition(inner)
        if condition is None:
            continue
        rules.append(Rule(condition, inner.text("Next") or "", _assign(inner), inner.payload("Output")))
    return ChoiceState(**_common(reader, name), rules=tuple(rules), default=reader.text("Default"))


def _condition(reader: Reader) -> Predicate | None:
    reader.allow(*((QUERY_RULE, PATH_RULE) if reader.jsonata else (PATH_RULE, QUERY_RULE)))
    if reader.jsonata:
        if not reader.require("Condition"):
            return None
        if isinstance(reader.fields["Condition"], bool):
            constant: bool = reader.fields["Condition"]
            return lambda _environment: constant
        query = reader.query("Condition")
        if query is None:
            reader.wrong("Expected value of type Boolean or a JSONata expression", "Condition")
            return None
        return lambda environment: bool(query.expect("boolean", environment))
    if "Condition" in reader:
        return None
    try:
        return compile_condition(reader.fields)
    except RuleError as problem:
        reader.wrong(problem.message, problem.place.removeprefix("/"))
        return None


def _succeed(reader: Reader, name: str) -> State:
    return SucceedState(**_common(reader, name))


def _fail(reader: Reader, name: str) -> State:
    reader.at_most_one("Error", "ErrorPath")
    reader.at_most_one("Cause", "CausePath")
    return FailState(
        **_common(reader, name),
        error=reader.text("Error"),
        error_path=reader.query("Error") or reader.expression("ErrorPath"),
        cause=reader.text("Cause"),
        cause_path=reader.query("Cause") or reader.expression("CausePath"),
    )


_READERS: dict[str, Callable[[Reader, str], State | None]] = {
    "Task": _task,
    "Pass": _pass,
    "Wait": _wait,
    "Choice": _choice,
    "Succeed": _succeed,
    "Fail": _fail,
}


# Transitions --------------------------------------------------------------------------------------


def _targets(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, target) of every way out of a state, as written."""
    for field in ("Next", "Default"):
        if isinstance(state.get(field), str):
            yield field, state[field]
    for field in ("Choices", "Catch"):
        items = state.get(field)
        for n, item in enumerate(items if isinstance(items, list) else []):
            if isinstance(item, dict) and isinstance(item.get("Next"), str):
                yield f"{field}[{n}]/Next", item["Next"]


def _ends(state: dict[str, Any]) -> bool:
    return state.get("End") is True or state.get("Type") in ("Succeed", "Fail")


def _check_transitions(reader: Reader, start_at: str, states: Reader) -> None:
    code = "MISSING_TRANSITION_TARGET"
    objects = {name: state for name, state in states.fields.items() if isinstance(state, dict)}
    if start_at not in objects:
        reader.wrong(f"Missing 'Next' target: {start_at}", "StartAt", code)
    for name, state in objects.items():
        for field, target in _targets(state):
            if target not in objects:
                states.wrong(f"Missing 'Next' target: {target}", f"{name}/{field}", code)
    routed = {start_at, *(target for state in objects.values() for _, target in _targets(state))}
    if not any(map(_ends, objects.values())):
        reader.diagnostics.append(Diagnostic("MISSING_END_STATE", "Workflow has no terminal state"))
        return
    for name in objects:
        if name not in routed:
            states.wrong(f'State "{name}" is not reachable.', name, code)
