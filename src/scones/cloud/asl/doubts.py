"""What a definition may say and hardly means: paths and calls where only literal values are read.

Source: Step Functions API Reference, ValidateStateMachineDefinitionDiagnostic, for the codes; the words
are ours. JSONata states have no such fields.
"""

import re
from collections.abc import Iterator
from typing import Any

from .failures import Diagnostic
from .jsontext import loads
from .paths import compile_path
from .template import compile_expression

__all__ = ["doubts"]

_TEMPLATES = ("Parameters", "ItemSelector", "ResultSelector", "Assign", "Credentials")
_INNER_TEMPLATES = {"ItemReader": "Parameters", "ItemBatcher": "BatchInput", "ResultWriter": "Parameters"}
_WITH_PATHS = ("Seconds", "Timestamp", "TimeoutSeconds", "HeartbeatSeconds", "MaxConcurrency", "MaxItems",
               "ToleratedFailureCount", "ToleratedFailurePercentage", "Error", "Cause")  # fmt: skip
"""Fields beside which there is another whose name ends with Path."""
_COMPARISON = re.compile(r"(String|Numeric|Timestamp|Boolean)(Equals|(Less|Greater)Than(Equals)?)")
_CALL = re.compile(r"States\.\w+\(.*\)", re.DOTALL)


def doubts(text: str) -> list[Diagnostic]:
    """The warnings that a definition deserves, in the order in which it is written."""
    try:
        definition = loads(text)
        return list(_machine(definition)) if isinstance(definition, dict) else []
    except (ValueError, RecursionError):  # it is refused for that
        return []


def _machine(definition: dict[str, Any]) -> Iterator[Diagnostic]:
    language = definition.get("QueryLanguage")
    for place, state in _states(definition):
        if state.get("QueryLanguage", language) != "JSONata":
            yield from _state(state, place)


def _states(block: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(location, state) of a block and of the blocks inside it, however broken they are."""
    states = block.get("States") if isinstance(block, dict) else None
    for name, state in (states if isinstance(states, dict) else {}).items():
        if not isinstance(state, dict):
            continue
        here = f"{place}/States/{name}"
        yield here, state
        for field in ("ItemProcessor", "Iterator"):
            yield from _states(state.get(field), f"{here}/{field}")
        branches = state.get("Branches")
        for index, branch in enumerate(branches if isinstance(branches, list) else []):
            yield from _states(branch, f"{here}/Branches[{index}]")


def _state(state: dict[str, Any], place: str) -> Iterator[Diagnostic]:
    for field, value in state.items():
        here = f"{place}/{field}"
        if field in _TEMPLATES:
            yield from _template(value, here)
        elif field in _INNER_TEMPLATES and isinstance(value, dict):
            inner = _INNER_TEMPLATES[field]
            yield from _template(value.get(inner), f"{here}/{inner}")
        elif field in _WITH_PATHS:
            yield from _literal(field, value, here)
        elif field == "Result" and state.get("Type") == "Pass" and _dynamic(value):
            message = "The Result of a Pass state is static, but it appears to hold a path"
            yield Diagnostic("PASS_RESULT_IS_STATIC", message, here)
        elif field in ("Choices", "Catch"):
            for index, rule in enumerate(value if isinstance(value, list) else ()):
                yield from _rule(rule, f"{here}[{index}]")


def _template(value: Any, place: str) -> Iterator[Diagnostic]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _template(item, f"{place}[{index}]")
    for field, item in value.items() if isinstance(value, dict) else ():
        here = f"{place}/{field}"
        if not field.endswith(".$") and (_is_path(item) or _is_call(item)):
            message = f"No .$ on the field '{field}', which appears to be a JSONPath or an intrinsic function"
            yield Diagnostic("NO_DOLLAR", message, here)
        yield from _template(item, here)


def _rule(rule: Any, place: str) -> Iterator[Diagnostic]:
    """A choice rule with the rules inside it, or a catcher."""
    for field, value in rule.items() if isinstance(rule, dict) else ():
        here = f"{place}/{field}"
        if field == "Assign":
            yield from _template(value, here)
        elif field in ("And", "Or"):
            for index, inner in enumerate(value if isinstance(value, list) else ()):
                yield from _rule(inner, f"{here}[{index}]")
        elif field == "Not":
            yield from _rule(value, here)
        elif _COMPARISON.fullmatch(field):
            yield from _literal(field, value, here)


def _literal(field: str, value: Any, place: str) -> Iterator[Diagnostic]:
    if _is_path(value):
        message = f"The value of '{field}' looks like a path, but the field's name does not end with 'Path'"
        yield Diagnostic("NO_PATH", message, place)


def _dynamic(value: Any) -> bool:
    """Whether a path or a call stands anywhere in a value."""
    if isinstance(value, list):
        return any(map(_dynamic, value))
    if isinstance(value, dict):
        return any(field.endswith(".$") or _dynamic(item) for field, item in value.items())
    return _is_path(value) or _is_call(value)


def _is_path(value: Any) -> bool:
    if not isinstance(value, str) or not value.startswith("$"):
        return False
    try:
        compile_path(value)
    except ValueError:
        return False
    return True


def _is_call(value: Any) -> bool:
    if not isinstance(value, str) or not _CALL.fullmatch(value):
        return False
    try:
        compile_expression(value)
    except ValueError:
        return False
    return True
