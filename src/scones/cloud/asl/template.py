"""Payload templates: an object whose keys ending in `.$` are computed, everything else literal."""

from dataclasses import dataclass
from typing import Any

from .environment import Environment
from .failures import DataError
from .intrinsics import Call, compile_call
from .jsontext import dumps, java_order
from .paths import Path, PathError, compile_path

__all__ = [
    "Expression",
    "Template",
    "TemplateError",
    "check_input",
    "compile_expression",
    "compile_template",
    "evaluate",
]

Expression = Path | Call
Template = Any
"""A compiled template: a `_Literal`, `_Object` or `_List`, evaluated by `.evaluate(environment)`."""


class TemplateError(ValueError):
    """The value of a `.$` key is neither a path nor a call. `place` leads from the template's root."""

    def __init__(self, field: str, place: str) -> None:
        super().__init__(field)
        self.field = field
        self.place = place


@dataclass(frozen=True, slots=True)
class _Literal:
    value: Any

    def evaluate(self, _environment: Environment) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class _Object:
    literal: tuple[tuple[str, Template], ...]
    computed: tuple[tuple[str, Expression], ...]

    def evaluate(self, environment: Environment) -> Any:
        result = {key: node.evaluate(environment) for key, node in self.literal}
        for key, expression in self.computed:
            result[key] = evaluate(expression, environment, f"{key}.$")
        return result


@dataclass(frozen=True, slots=True)
class _List:
    items: tuple[Template, ...]

    def evaluate(self, environment: Environment) -> Any:
        return [item.evaluate(environment) for item in self.items]


def check_input(path: Path, root: Any) -> None:
    """Raises DataError where a path is to be applied to null: AWS never does."""
    if root is None and path.source == "input":
        raise DataError("Unable to apply Path transformation to null or empty input.")


def evaluate(expression: Expression, environment: Environment, field: str) -> Any:
    """The value of a path or call that stands in `field`. Raises DataError, IntrinsicError."""
    try:
        if isinstance(expression, Path):
            check_input(expression, environment.root)
            return environment.resolve(expression)
        return expression.evaluate(environment)
    except PathError:
        raise DataError(
            f"The JSONPath '{expression.text}' specified for the field '{field}'"
            f" could not be found in the input '{dumps(environment.root)}'"
        ) from None


def compile_expression(text: Any) -> Expression:
    """Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("not a text")
    return compile_call(text) if text.startswith("States.") else compile_path(text)


def compile_template(value: Any, place: str = "") -> Template:
    """Raises TemplateError."""
    node = _compile(value, place)
    return _Literal(value) if isinstance(node, _Literal) else node


def _compile(value: Any, place: str) -> Template:
    if isinstance(value, list):
        items = tuple(_compile(item, f"{place}[{n}]") for n, item in enumerate(value))
        return _Literal(value) if all(isinstance(i, _Literal) for i in items) else _List(items)
    if not isinstance(value, dict):
        return _Literal(value)
    literal: list[tuple[str, Template]] = []
    computed: dict[str, Expression] = {}
    for key, item in value.items():
        if not key.endswith(".$"):
            literal.append((key, _compile(item, f"{place}/{key}")))
            continue
        try:
            computed[key[:-2]] = compile_expression(item)
        except ValueError:
            raise TemplateError(key, place) from None
    if not computed and all(isinstance(node, _Literal) for _, node in literal):
        return _Literal(value)
    return _Object(tuple(literal), tuple((key, computed[key]) for key in java_order(list(computed))))
