"""JSONata as Step Functions runs it: texts parsed once, and evaluations that always end.

An evaluation is bounded by a budget of work and by depth, never by a clock: whoever replays an
execution must see it stopped at the same point. Patterns go to RE2, which takes linear time.
"""

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import Any

from scones.cloud.asl.queryerrors import DEPTH, QueryError

from .builtins import FUNCTIONS
from .errors import JsonataError, fill
from .evaluation import BUDGET, Evaluation
from .parsing import parse_tree
from .text import number_text, quote
from .values import UNDEFINED, Frame, Items, is_function, sequence

__all__ = ["Function", "QueryError", "evaluate_query", "parse_query"]

_RECURSION_LIMIT = 12_000
_EXACT = 2**53
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Function:
    """What stands for a function in a result: it cannot be written as JSON."""


_FUNCTION = Function()


@lru_cache(maxsize=4096)
def parse_query(text: str) -> Any:
    """Raises QuerySyntaxError."""
    return parse_tree(text)


def evaluate_query(
    parsed: Any,
    variables: Mapping[str, Any],
    now_ms: int,
    draw: Callable[[], int],
    worked: Callable[[int], None] = lambda _steps: None,
    given: Any = UNDEFINED,
) -> Any:
    """The result as plain JSON, UNDEFINED, or a Function somewhere in it. Raises QueryError.

    worked: told at the end how much work it was. given: the context value `$`; in Step Functions there is
    none.
    """
    run = Evaluation(now_ms, draw)
    frame = Frame(Frame(None, FUNCTIONS), {**variables, "$": given})
    with _deep():
        try:
            result = run.evaluate(parsed, _wrapped(given), frame)
            return UNDEFINED if result is UNDEFINED else _json(result)
        except JsonataError as problem:
            raise QueryError(problem.code, fill(problem.code, problem.details, quote)) from None
        except QueryError:
            raise
        except RecursionError:
            raise QueryError("", DEPTH) from None
        except Exception as problem:  # whatever an evaluation trips over is this expression's failure alone
            raise QueryError("D3000", f"{type(problem).__name__}: {problem}") from None
        finally:
            worked(BUDGET - run.budget)


def _wrapped(given: Any) -> Any:
    """An array as context is one value."""
    if not isinstance(given, list):
        return given
    outer = sequence((given,))
    outer.outer_wrapper = True
    return outer


@contextmanager
def _deep() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _json(value: Any) -> Any:
    """A result as JSON has it. Raises JsonataError for what JSON cannot carry."""
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _written(value)
    if kind is dict:
        return {_json(key): _json(item) for key, item in value.items() if item is not UNDEFINED}
    if kind is list or kind is Items:
        return [_json(item) for item in value]
    if kind is float:
        return _number(value)
    if kind is int and value.bit_length() > 1024:
        raise JsonataError("D1001", value=math.inf)
    if value is UNDEFINED:
        return None
    return _FUNCTION if is_function(value) else value


def _written(text: str) -> str:
    if _LONE_SURROGATE.search(text):
        raise JsonataError("D3000", message="Half of a surrogate pair cannot be written as JSON")
    return text


def _number(value: float) -> Any:
    if not math.isfinite(value):  # AWS writes these as texts
        return number_text(value)
    if not value.is_integer() or abs(value) >= 1e21:
        return value
    return int(value) if abs(value) < _EXACT else int(Decimal(repr(value)))
