"""Choice rules in JSONPath mode: compiled once into predicates over an environment.

A comparison of the wrong types is false; a Variable that leads nowhere is a runtime error, except
to IsPresent.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .environment import Environment
from .failures import DataError
from .paths import Path, PathError, compile_path
from .template import Template
from .timestamps import instant_ms

__all__ = ["PATH_RULE", "QUERY_RULE", "Predicate", "Rule", "RuleError", "compile_condition"]

Predicate = Callable[[Environment], bool]
Report = Callable[[str, str], None]
"""Called with a message and the place it speaks of, below the rule."""

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_COMBINATORS = ("And", "Or", "Not")


class RuleError(ValueError):
    """A rule that the language does not have."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


@dataclass(frozen=True, slots=True)
class Rule:
    condition: Predicate
    next: str
    assign: Template | None
    output: Template | None = None


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _string(value: Any) -> Any:
    """Java compares UTF-16 units, which differs from Python's order beyond the basic plane only."""
    return value.encode("utf-16-be") if isinstance(value, str) else None


def _boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else None


_KINDS: dict[str, Callable[[Any], Any]] = {
    "String": _string,
    "Numeric": _number,
    "Timestamp": instant_ms,
    "Boolean": _boolean,
}
_TESTS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: _number(value) is not None,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: instant_ms(value) is not None,
}


def _operators() -> dict[str, tuple[str, str]]:
    table = {
        f"{kind}{comparison}": (kind, comparison)
        for kind in ("String", "Numeric", "Timestamp")
        for comparison in _COMPARISONS
    }
    table["BooleanEquals"] = ("Boolean", "Equals")
    return table


_OPERATORS = _operators()
_ALL = {*_OPERATORS, *(f"{name}Path" for name in _OPERATORS), *_TESTS, "IsPresent", "StringMatches"}
PATH_RULE = {*_ALL, *_COMBINATORS, "Variable", "Next", "Assign", "Comment"}
"""The fields of a choice rule in JSONPath."""
QUERY_RULE = {"Condition", "Output", "Next", "Assign", "Comment"}
"""The fields of a choice rule in JSONata."""


def compile_condition(rule: Mapping[str, Any], place: str = "") -> Predicate:
    """The test of a rule without its Next. Raises RuleError."""
    for combinator in _COMBINATORS:
        if combinator in rule:
            return _combined(combinator, rule[combinator], f"{place}/{combinator}")
    names = [key for key in rule if key in _ALL]
    if len(names) != 1:
        raise RuleError("A choice rule must have exactly one comparison operator", place)
    if "Variable" not in rule:
        raise RuleError("These fields are required: [Variable]", place)
    variable = _path(rule["Variable"], f"{place}/Variable")
    return _test(names[0], rule[names[0]], variable, f"{place}/{names[0]}")


def _path(value: Any, place: str) -> Path:
    try:
        if isinstance(value, str):
            return compile_path(value)
    except ValueError:
        pass
    raise RuleError("Value must be a valid JSONPath.", place)


def _combined(combinator: str, value: Any, place: str) -> Predicate:
    if combinator == "Not":
        if not isinstance(value, Mapping):
            raise RuleError("Expected value of type Object", place)
        inner = compile_condition(value, place)
        return lambda environment: not inner(environment)
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        raise RuleError("Expected a non-empty array of objects", place)
    parts = [compile_condition(item, f"{place}[{n}]") for n, item in enumerate(value)]
    combine = all if combinator == "And" else any
    return lambda environment: combine(part(environment) for part in parts)


def _test(name: str, operand: Any, variable: Path, place: str) -> Predicate:
    if name in _OPERATORS:
        kind, comparison = _OPERATORS[name]
        if _KINDS[kind](operand) is None:
            raise RuleError(_unfit(kind, operand), place)
        return _comparing(kind, comparison, variable, lambda _environment: operand)
    if name.endswith("Path"):
        kind, comparison = _OPERATORS[name[:-4]]
        other = _path(operand, place)
        return _comparing(kind, comparison, variable, lambda environment: _read(other, environment))
    if name == "StringMatches":
        return _matching(operand, variable, place)
    if not isinstance(operand, bool):
        raise RuleError("Expected value of type Boolean", place)
    if name == "IsPresent":
        return lambda environment: _present(variable, environment) is operand
    test = _TESTS[name]
    return lambda environment: test(_read(variable, environment)) is operand


def _unfit(kind: str, operand: Any) -> str:
    if kind == "Timestamp":
        text = isinstance(operand, str)
        return "String does not match RFC3339 timestamp" if text else "Expected value of type String"
    return f"Expected value of type {'Number' if kind == 'Numeric' else kind}"


def _comparing(kind: str, comparison: str, variable: Path, other: Callable[[Environment], Any]) -> Predicate:
    convert, compare = _KINDS[kind], _COMPARISONS[comparison]

    def test(environment: Environment) -> bool:
        left, right = convert(_read(variable, environment)), convert(other(environment))
        return left is not None and right is not None and compare(left, right)

    return test


def _matching(operand: Any, variable: Path, place: str) -> Predicate:
    """`*` stands for any run of characters, `\\*` for itself and `\\\\` for a backslash.

    Matched piece by piece: a pattern of many stars must not take exponential time.
    """
    if not isinstance(operand, str):
        raise RuleError("Expected value of type String", place)
    pieces = [""]
    for token in re.findall(r"\\[*\\]|.", operand, re.DOTALL):
        if token == "*":
            pieces.append("")
        else:
            pieces[-1] += token[1:] if len(token) == 2 else token

    def test(environment: Environment) -> bool:
        text = _read(variable, environment)
        return isinstance(text, str) and _glob(text, pieces)

    return test


def _glob(text: str, pieces: list[str]) -> bool:
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _read(path: Path, environment: Environment) -> Any:
    try:
        return environment.resolve(path)
    except PathError:
        raise DataError(
            f"Invalid path '{path.text}': The choice state's condition path references an invalid value."
        ) from None


def _present(path: Path, environment: Environment) -> bool:
    try:
        value = environment.resolve(path)
    except PathError:
        return False
    return path.steps is not None or bool(value)
