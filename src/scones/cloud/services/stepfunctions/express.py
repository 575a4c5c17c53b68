"""What a state machine's definition may not say although it is of the language.

EXPRESS never waits for an outside answer, and no API is asked for what it does not have.
"""

import re
from collections.abc import Iterator
from typing import Any

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.failures import DefinitionError, Diagnostic
from scones.cloud.asl.jsontext import loads
from scones.cloud.asl.reader import SCHEMA
from scones.cloud.asl.resources import unrecognized

from .sdk import has_operation

__all__ = ["definition_problems"]

_SDK = re.compile(r"arn:aws[a-z-]*:states:::aws-sdk:(?P<service>[a-z0-9-]+):(?P<action>\w+)(\.\w+)?")
_PREFIX = "Express state machine does not support"


def definition_problems(definition: str, type_: str) -> list[Diagnostic]:
    """Why a machine of this type cannot have this definition; empty where it can.

    What a task would hand to a resource that it may not have is not looked at.
    """
    forbidden = list(_forbidden(definition, type_))
    places = {diagnostic.location for diagnostic in forbidden}
    tasks = [str(place).removesuffix("/Resource") for place in places]
    places |= {f"{task}/{field}" for task in tasks for field in ("Parameters", "Arguments")}
    try:
        compile_definition(definition)
    except DefinitionError as problem:
        return forbidden + [other for other in problem.diagnostics if other.location not in places]
    return forbidden


def _forbidden(definition: str, type_: str) -> Iterator[Diagnostic]:
    try:
        value = loads(definition)
    except ValueError:
        return
    for place, state, express in _states(value, "", express=type_ == "EXPRESS"):
        resource = state.get("Resource")
        if state.get("Type") == "Task" and isinstance(resource, str):
            reason = (_refused(resource) if express else None) or _unknown(resource)
            if reason:
                yield Diagnostic(SCHEMA, reason, f"{place}/Resource")
        if express and state.get("Type") == "Map" and "DISTRIBUTED" in _mode(state):
            yield Diagnostic(SCHEMA, f"{_PREFIX} a Map state of Mode 'DISTRIBUTED'", place)


def _mode(state: dict[str, Any]) -> tuple[Any, Any]:
    """(Mode, ExecutionType) of a Map's processor, as written."""
    processor = state.get("ItemProcessor", state.get("Iterator"))
    config = processor.get("ProcessorConfig") if isinstance(processor, dict) else None
    return (config.get("Mode"), config.get("ExecutionType")) if isinstance(config, dict) else (None, None)


def _refused(resource: str) -> str | None:
    # The two spaces that AWS puts after the pattern that waits for a token are its own.
    if resource.endswith(".waitForTaskToken"):
        return f"{_PREFIX} '.waitForTaskToken' service integration "
    if resource.endswith((".sync", ".sync:2")):
        return f"{_PREFIX} '.{resource.rpartition('.')[2]}' service integration"
    if ":activity:" in resource:
        return f"{_PREFIX} Activity ARN"
    return None


def _unknown(resource: str) -> str | None:
    match = _SDK.fullmatch(resource)
    known = match is None or has_operation(match["service"], match["action"])
    return None if known else unrecognized(resource)


def _states(block: Any, place: str, *, express: bool) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(location, state, whether it runs in an EXPRESS execution) of a block and the blocks inside it."""
    states = block.get("States") if isinstance(block, dict) else None
    for name, state in (states if isinstance(states, dict) else {}).items():
        if not isinstance(state, dict):
            continue
        here = f"{place}/States/{name}"
        yield here, state, express
        inner = express or _mode(state) == ("DISTRIBUTED", "EXPRESS")
        for field in ("ItemProcessor", "Iterator"):
            yield from _states(state.get(field), f"{here}/{field}", express=inner)
        branches = state.get("Branches")
        for index, branch in enumerate(branches if isinstance(branches, list) else []):
            yield from _states(branch, f"{here}/Branches[{index}]", express=express)
