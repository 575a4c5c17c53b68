"""JSONata as Step Functions runs it: the one place that knows the library.

An evaluation is bounded by a budget of work and by depth, never by a clock: whoever replays an
execution must see it stopped at the same point. Patterns go to RE2, which takes linear time.
"""

import copy
import math
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]
from jsonata import jexception  # type: ignore[import-untyped]
from jsonata.functions import Functions  # type: ignore[import-untyped]
from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]
from jsonata.utils import Utils  # type: ignore[import-untyped]

from .queryerrors import DEPTH, MEMORY, TIME, QueryError, QuerySyntaxError, rendered
from .queryfunctions import LONGEST_ARRAY, FunctionError, functions, no_match

__all__ = ["UNDEFINED", "Function", "QueryError", "evaluate_query", "parse_query", "stray_references"]

_BUDGET = 100_000
_DEPTH = 100
"""Of nested evaluations, as measured on AWS; each takes up to a dozen frames of Python."""
_RECURSION_LIMIT = 12_000
_VALUES_A_STEP = 64
"""What an expression may see is copied for it: so many values take as long as a step."""
_LONGEST_TEXT = 4_194_304
"""Characters of a text on the way, the most that AWS was seen to allow."""
_LONGEST_RANGE = 1_000_000
"""JSONata's own limit."""


class _Undefined:
    pass


class Function:
    """What stands for a function in a result: it cannot be written as JSON."""


UNDEFINED: Any = _Undefined()
_FUNCTION = Function()


def _pattern(pattern: str, flags: Any) -> Any:
    options = re2.Options()
    options.case_sensitive = not flags.case_insensitive
    options.log_errors = False
    try:
        return re2.compile(f"(?m){pattern}" if flags.multiline else pattern, options)
    except re2.error as problem:
        told = f"The regular expression /{pattern}/ is not supported by this cloud yet: {problem}"
        raise QuerySyntaxError("NOT_SUPPORTED", told) from None


class _Evaluation(Jsonata):  # type: ignore[misc]  # the library's module is not typed strictly
    """A parsed expression. One evaluation runs on a copy of its own."""

    budget = _BUDGET
    depth = 0

    def get_per_thread_instance(self) -> "_Evaluation":
        return self

    def charge(self, work: int) -> None:
        self.budget -= 1 + work
        if self.budget < 0:
            raise QueryError("", TIME)

    def _eval(self, expr: Any, input: Any, environment: Any) -> Any:
        self.charge(0)
        self.depth += 1
        if self.depth > _DEPTH:
            raise QueryError("", DEPTH)
        result = super()._eval(expr, input, environment)
        self.depth -= 1
        _check_size(result)
        return result

    def evaluate_range_expression(self, lhs: Any, rhs: Any) -> Any:
        if isinstance(lhs, int) and isinstance(rhs, int):
            size = max(rhs - lhs + 1, 0)
            if size > _LONGEST_RANGE:
                raise jexception.JException("D2014", -1, size)
            if size > LONGEST_ARRAY:
                raise QueryError("", MEMORY)
            self.charge(size // 10)
        result = super().evaluate_range_expression(lhs, rhs)
        return None if result is None else Utils.create_sequence_from_iter(result)

    def evaluate_numeric_expression(self, lhs: Any, rhs: Any, op: str) -> Any:
        """Numbers are doubles, and a division by zero gives one of those that are no number."""
        for side, code in ((lhs, "T2001"), (rhs, "T2002")):
            if side is not None and not Utils.is_numeric(side):
                raise jexception.JException(code, -1, op)
        if lhs is None or rhs is None:
            return None
        result = _ARITHMETIC[op](float(lhs), float(rhs))
        return Utils.convert_number(result) if math.isfinite(result) else result

    def evaluate_function(self, expr: Any, input: Any, environment: Any, applyto_context: Any) -> Any:
        try:
            return super().evaluate_function(expr, input, environment, applyto_context)
        except jexception.JException as problem:
            if problem.error == "T0410" and problem.current is None:
                problem.current, problem.expected = 1, getattr(expr.procedure, "value", None)
            raise

    def evaluate_string_concat(self, lhs: Any, rhs: Any) -> str:
        result: str = super().evaluate_string_concat(lhs, rhs)
        self.charge(len(result) // 256)
        return result


def _quotient(dividend: float, divisor: float) -> float:
    if divisor:
        return dividend / divisor
    return math.copysign(math.inf, dividend) * math.copysign(1, divisor) if dividend else math.nan


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "%": lambda dividend, divisor: math.fmod(dividend, divisor) if divisor else math.nan,
}


def _check_size(value: Any) -> None:
    longest = {str: _LONGEST_TEXT, list: LONGEST_ARRAY}
    for kind, length in longest.items():
        if isinstance(value, kind) and len(value) > length:
            raise QueryError("", MEMORY)
    if isinstance(value, int) and value.bit_length() > 1024:
        raise QueryError("D1001", "Number out of range")


class _Metered(Jsonata.JFunction):  # type: ignore[misc]
    """A function of the library whose work or result outgrows its arguments.

    code: JSONata's for what the library lets slip as an error of Python's.
    """

    def __init__(self, native: Any, evaluation: _Evaluation, work: Callable[..., int], code: str) -> None:
        super().__init__(native, None)
        self.signature = native.signature
        self._evaluation = evaluation
        self._work = work
        self._code = code

    def call(self, input: Any, args: Any) -> Any:
        self._evaluation.charge(self._work(*(args or [])))
        try:
            return super().call(input, args)
        except (ValueError, TypeError, ArithmeticError):
            if not self._code:
                raise
            raise jexception.JException(self._code, -1, *args[:2]) from None

    def get_number_of_args(self) -> int:
        return int(self.function.get_number_of_args())


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list) else 0


_WORK: dict[str, Callable[..., int]] = {
    "pad": lambda text=None, width=0, *_: abs(int(width or 0)) // 64,
    "replace": lambda text=None, _pattern=None, by=None, *_: _length(text) * (1 + _length(by)) // 256,
    "join": lambda parts=None, by=None, *_: _length(parts) * (1 + _length(by)) // 256,
    "distinct": lambda items=None, *_: _length(items) ** 2 // 256,
    "append": lambda first=None, second=None, *_: (_length(first) + _length(second)) // 16,
    "sort": lambda items=None, *_: _length(items),
    "string": lambda *_: 16,
    "number": lambda *_: 0,
    "power": lambda *_: 0,
    "toMillis": lambda *_: 0,
}
_SLIPS = {"number": "D3030", "power": "D3061", "toMillis": "D3110"}
_UNCODED = {
    "Second argument of replace function cannot be an empty string": "D3010",
    "Fourth argument of replace function must evaluate to a positive number": "D3011",
}
"""Where the library has a message in place of a code."""


@lru_cache(maxsize=4096)
def parse_query(text: str) -> Any:
    """Raises QuerySyntaxError."""
    try:
        return _Evaluation(text, _pattern)
    except QuerySyntaxError:
        raise
    except jexception.JException as problem:
        failure = _failure(problem)
        message = str(failure).removeprefix(f"{failure.code}: ")
        raise QuerySyntaxError("INVALID_JSONATA_EXPRESSION", message) from None
    except Exception as problem:  # the parser trips over broken texts in many ways
        raise QuerySyntaxError("INVALID_JSONATA_EXPRESSION", str(problem)) from None


def stray_references(parsed: Any) -> list[str]:
    """What an expression reads of a context item, of which Step Functions has none: names, `$`, `*`.

    Inside functions the expression makes, nothing is said about them.
    """
    return list(dict.fromkeys(_strays(parsed.ast)))


def _strays(node: Any) -> Iterator[str]:
    kind = getattr(node, "type", None)
    if kind in ("name", "wildcard", "descendant"):
        yield str(node.value)
    elif kind == "variable" and node.value in ("", "$"):
        yield f"${node.value}"
    elif kind == "path":
        yield from _strays(node.steps[0])
    for part in _PARTS.get(str(kind), ()):
        yield from _strays_of(getattr(node, part, None))


def _strays_of(part: Any) -> Iterator[str]:
    if isinstance(part, list | tuple):
        for item in part:
            yield from _strays_of(item)
    elif part is not None:
        yield from _strays(part)


_PARTS = {
    "unary": ("expressions", "lhs_object", "expression"),
    "function": ("arguments",),
    "partial": ("arguments",),
    "block": ("expressions",),
    "condition": ("condition", "then", "_else"),
    "binary": ("lhs", "rhs"),
    "bind": ("rhs",),
    "apply": ("lhs", "rhs"),
}
"""The parts of each kind of node that are evaluated where the node is."""


def evaluate_query(
    parsed: Any,
    variables: Mapping[str, Any],
    now_ms: int,
    draw: Callable[[], int],
    worked: Callable[[int], None] = lambda _steps: None,
) -> Any:
    """The result as plain JSON, UNDEFINED, or a Function somewhere in it. Raises QueryError.

    worked: told at the end how much work it was.
    """
    evaluation: _Evaluation = copy.copy(parsed)
    evaluation.output_convert_nulls = False  # only this tells null from undefined
    marking = _Marking()
    bindings: dict[str, Any] = {name: marking(value) for name, value in variables.items()}
    bindings["eval"] = Jsonata.JLambda(_no_function)
    bindings["millis"] = Jsonata.JLambda(lambda: now_ms)
    bindings["now"] = Jsonata.JLambda(
        lambda picture=None, zone=None: Functions.datetime_from_millis(now_ms, picture, zone)
    )
    for name, work in _WORK.items():
        native = Jsonata.static_frame.lookup(name)
        bindings[name] = _Metered(native, evaluation, work, _SLIPS.get(name, ""))
    for name, function in functions(draw, evaluation.charge).items():
        bindings[name] = Jsonata.JLambda(_adapted(name, function))
    with _running(evaluation):
        try:
            return _plain(evaluation.evaluate(None, bindings))
        except jexception.JException as problem:
            raise _failure(problem) from None
        except FunctionError as problem:
            raise QueryError(problem.code, str(problem)) from None
        except RecursionError:
            raise QueryError("", DEPTH) from None
        except ArithmeticError:
            raise QueryError("D1001", "Number out of range") from None
        except QueryError:
            raise
        except Exception as problem:  # whatever the library trips over is this expression's failure alone
            raise QueryError("D3000", f"{type(problem).__name__}: {problem}") from None
        finally:
            worked(_BUDGET - evaluation.budget + marking.values // _VALUES_A_STEP)


def _failure(problem: Any) -> QueryError:
    code = _UNCODED.get(problem.error, problem.error)
    values = [problem.current, problem.expected, problem.extra]
    if code == "D3100":
        values = [problem.location]
    template = jexception.JException.error_codes.get(code, str(problem))
    return QueryError(code, rendered(code, template, values))


def _no_function(*_arguments: Any) -> Any:
    """Step Functions has no $eval."""
    raise FunctionError("T1006", "Attempted to invoke a non-function")


class _Marking:
    """Puts the library's own null in place of None, which it reads as undefined."""

    def __init__(self) -> None:
        self.values = 0
        """Those it has looked at."""

    def __call__(self, value: Any) -> Any:
        if isinstance(value, dict):
            self.values += len(value)
            return {key: self(item) for key, item in value.items()}
        if isinstance(value, list):
            self.values += len(value)
            return [self(item) for item in value]
        return Utils.NULL_VALUE if value is None else value


def _adapted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A range is a sequence: of one item the language keeps only the item. Parsed text may be null."""

    most = function.__code__.co_argcount

    def call(*arguments: Any) -> Any:
        if len(arguments) > most:
            raise no_match(name, most + 1)
        result = function(*arguments)
        if name == "range":
            return Utils.create_sequence_from_iter(result)
        return _Marking()(result) if name == "parse" and arguments else result

    return call


@contextmanager
def _running(evaluation: _Evaluation) -> Iterator[None]:
    """The library's functions find the evaluation they serve in a global."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
    before = getattr(Jsonata.CURRENT, "jsonata", None)
    Jsonata.CURRENT.jsonata = evaluation
    try:
        yield
    finally:
        Jsonata.CURRENT.jsonata = before
        sys.setrecursionlimit(limit)


def _plain(value: Any) -> Any:
    if value is None:
        return UNDEFINED
    return _json(value)


def _json(value: Any) -> Any:
    if value is Utils.NULL_VALUE or value is None or isinstance(value, str | bool | int):
        return None if value is Utils.NULL_VALUE else value
    if isinstance(value, float):
        if not math.isfinite(value):  # AWS writes these as texts
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return _FUNCTION
