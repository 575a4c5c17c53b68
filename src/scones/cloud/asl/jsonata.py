"""JSONata as Step Functions runs it: the one place that knows the library.

An evaluation is bounded by a budget of work and by depth, never by a clock: whoever replays an
execution must see it stopped at the same point. Patterns go to RE2, which takes linear time.
"""

import copy
import math
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

from .queryfunctions import FunctionError, functions

__all__ = ["UNDEFINED", "Function", "QueryError", "evaluate_query", "parse_query"]

_BUDGET = 100_000
_DEPTH = 300
"""Of nested evaluations; each takes up to a dozen frames of Python."""
_RECURSION_LIMIT = 12_000
_LONGEST = 4_194_304
"""Longest text or array on the way, sixteen times what a result may be."""

_STOPPED = "D1012", "Expression evaluation timeout: check for an infinite loop"
_TOO_DEEP = "D1011", "Stack overflow error: check for a non-terminating recursive function"


class QueryError(Exception):
    """An expression failed while it ran; the text is JSONata's code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")


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
        raise ValueError(f"the regular expression is not supported: {problem}") from None


class _Evaluation(Jsonata):  # type: ignore[misc]  # the library's module is not typed strictly
    """A parsed expression. One evaluation runs on a copy of its own."""

    budget = _BUDGET
    depth = 0

    def get_per_thread_instance(self) -> "_Evaluation":
        return self

    def charge(self, work: int) -> None:
        self.budget -= 1 + work
        if self.budget < 0:
            raise QueryError(*_STOPPED)

    def _eval(self, expr: Any, input: Any, environment: Any) -> Any:
        self.charge(0)
        self.depth += 1
        if self.depth > _DEPTH:
            raise QueryError(*_TOO_DEEP)
        result = super()._eval(expr, input, environment)
        self.depth -= 1
        _check_size(result)
        return result

    def evaluate_range_expression(self, lhs: Any, rhs: Any) -> Any:
        if isinstance(lhs, int) and isinstance(rhs, int):
            self.charge(max(rhs - lhs, 0))
        result = super().evaluate_range_expression(lhs, rhs)
        return None if result is None else Utils.create_sequence_from_iter(result)

    def evaluate_string_concat(self, lhs: Any, rhs: Any) -> str:
        result: str = super().evaluate_string_concat(lhs, rhs)
        self.charge(len(result) // 256)
        return result


def _check_size(value: Any) -> None:
    if isinstance(value, str | list) and len(value) > _LONGEST:
        raise QueryError(*_STOPPED)
    if isinstance(value, int) and value.bit_length() > 1024:
        raise QueryError("D1001", "Number out of range")


class _Metered(Jsonata.JFunction):  # type: ignore[misc]
    """A function of the library whose work or result outgrows its arguments."""

    def __init__(self, native: Any, evaluation: _Evaluation, work: Callable[..., int]) -> None:
        super().__init__(native, None)
        self.signature = native.signature
        self._evaluation = evaluation
        self._work = work

    def call(self, input: Any, args: Any) -> Any:
        self._evaluation.charge(self._work(*(args or [])))
        return super().call(input, args)

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
}


@lru_cache(maxsize=4096)
def parse_query(text: str) -> Any:
    """Raises ValueError where `text` is no JSONata."""
    try:
        return _Evaluation(text, _pattern)
    except Exception as problem:  # the parser trips over broken texts in many ways
        raise ValueError(str(problem)) from None


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
    bindings: dict[str, Any] = {name: _marked(value) for name, value in variables.items()}
    bindings["eval"] = Jsonata.JLambda(_no_function)
    bindings["millis"] = Jsonata.JLambda(lambda: now_ms)
    bindings["now"] = Jsonata.JLambda(
        lambda picture=None, zone=None: Functions.datetime_from_millis(now_ms, picture, zone)
    )
    for name, work in _WORK.items():
        bindings[name] = _Metered(Jsonata.static_frame.lookup(name), evaluation, work)
    for name, function in functions(draw, evaluation.charge).items():
        bindings[name] = Jsonata.JLambda(_adapted(name, function))
    with _running(evaluation):
        try:
            return _plain(evaluation.evaluate(None, bindings))
        except jexception.JException as problem:
            raise QueryError(str(problem.error), str(problem)) from None
        except FunctionError as problem:
            raise QueryError(problem.code, str(problem)) from None
        except RecursionError:
            raise QueryError(*_TOO_DEEP) from None
        except ArithmeticError:
            raise QueryError("D1001", "Number out of range") from None
        except QueryError:
            raise
        except Exception as problem:  # whatever the library trips over is this expression's failure alone
            raise QueryError("D3000", f"{type(problem).__name__}: {problem}") from None
        finally:
            worked(_BUDGET - evaluation.budget)


def _no_function(*_arguments: Any) -> Any:
    """Step Functions has no $eval."""
    raise FunctionError("T1006", "Attempted to invoke a non-function")


def _marked(value: Any) -> Any:
    """The library's own null in place of None, which it reads as undefined."""
    if isinstance(value, dict):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item) for item in value]
    return Utils.NULL_VALUE if value is None else value


def _adapted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A range is a sequence: of one item the language keeps only the item. Parsed text may be null."""

    def call(*arguments: Any) -> Any:
        result = function(*arguments)
        if name == "range":
            return Utils.create_sequence_from_iter(result)
        return _marked(result) if name == "parse" and arguments else result

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
        if not math.isfinite(value):
            raise QueryError("D1001", "Number out of range")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return _FUNCTION
