"""JSONata in a definition: texts of the form `{% ... %}`, and payloads with such texts anywhere inside."""

import re
from dataclasses import dataclass
from typing import Any

from .environment import Environment
from .failures import StateError
from .jsonata import UNDEFINED, Function, QueryError, evaluate_query, parse_query, stray_references
from .jsontext import dumps
from .queryerrors import QuerySyntaxError

__all__ = ["Payload", "Query", "QueryEvaluationError", "compile_payload", "is_query"]

_NAME = re.compile(r"\$(\w+)")


class QueryEvaluationError(StateError):
    """An expression that gave nothing, failed, or gave what its field does not take."""

    wrapped = True

    def __init__(self, location: str, message: str) -> None:
        super().__init__("States.QueryEvaluationError", message)
        self.location = location
        """The field, below the state."""


def is_query(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}") and len(value) >= 4


@dataclass(frozen=True, slots=True)
class Query:
    """One expression; `place` is where it stands below its state."""

    text: str
    place: str
    parsed: Any
    names: frozenset[str]
    """At least those that it reads, without their `$`."""

    def failure(self, problem: str) -> QueryEvaluationError:
        told = f"The JSONata expression '{self.text}' specified for the field '{self.place}' {problem}"
        return QueryEvaluationError(self.place, told)

    def evaluate(self, environment: Environment) -> Any:
        """Raises QueryEvaluationError."""
        variables = {
            name: environment.variables[name] for name in self.names if name in environment.variables
        }
        if "states" in self.names:
            variables["states"] = environment.states()
        try:
            value = evaluate_query(
                self.parsed, variables, environment.now_ms, environment.draw, environment.worked
            )
        except QueryError as problem:
            raise self.failure(f"threw an error during evaluation{problem.ending}") from None
        if value is UNDEFINED:
            raise self.failure("returned nothing (undefined).")
        if _has_function(value):
            raise self.failure("returned an unsupported result type.")
        return value

    def expect(self, kind: str, environment: Environment) -> Any:
        """The value, of JSON's type `kind`, or a number that is an `integer`. Raises QueryEvaluationError."""
        value = self.evaluate(environment)
        found = _kind(value)
        wanted = "number" if kind == "integer" and found != "number" else kind
        if wanted not in (found, "integer") or (wanted == "integer" and not isinstance(value, int)):
            shown = f"Expected '{wanted}', but was '{found}' for value: {dumps(value)}"
            raise self.failure(f"returned an unexpected result type. {shown}")
        return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _has_function(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_function(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_function(item) for item in value)
    return isinstance(value, Function)


@dataclass(frozen=True, slots=True)
class Payload:
    """An object, array or literal with expressions inside."""

    value: Any

    def evaluate(self, environment: Environment) -> Any:
        return _evaluate(self.value, environment)


def _evaluate(node: Any, environment: Environment) -> Any:
    if isinstance(node, Query):
        return node.evaluate(environment)
    if isinstance(node, dict):
        return {key: _evaluate(item, environment) for key, item in node.items()}
    if isinstance(node, list):
        return [_evaluate(item, environment) for item in node]
    return node


def compile_payload(value: Any, place: str) -> Payload:
    """Raises QuerySyntaxError for a text between `{%` and `%}` that is no JSONata."""
    return Payload(_compile(value, place, ""))


def _compile(value: Any, root: str, below: str) -> Any:
    if is_query(value):
        return _compile_query(value[2:-2].strip(), root, below)
    if isinstance(value, dict):
        return {key: _compile(item, root, f"{below}/{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_compile(item, root, f"{below}[{n}]") for n, item in enumerate(value)]
    return value


def _compile_query(text: str, root: str, below: str) -> Query:
    try:
        parsed = parse_query(text)
    except QuerySyntaxError as problem:
        raise QuerySyntaxError(problem.code, str(problem), below) from None
    for name in stray_references(parsed):
        told = f"Reference to '{name}' at the top level is not supported."
        raise QuerySyntaxError("UNSUPPORTED_JSONATA_EXPRESSION", told, below)
    return Query(text, f"{root}{below}", parsed, frozenset(_NAME.findall(text)))
