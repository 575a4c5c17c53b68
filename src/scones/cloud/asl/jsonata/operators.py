"""The operators between two values, the minus sign, and the brackets and braces that make values."""

import math
from typing import TYPE_CHECKING, Any

from scones.cloud.asl.queryerrors import MEMORY, QueryError

from .errors import JsonataError
from .paths import grouped
from .sequences import LONGEST_ARRAY, below, boolean, equal, is_finite_number, text_of
from .values import UNDEFINED, Frame, Items, is_number, paired, sequence

if TYPE_CHECKING:
    from .evaluation import Evaluation, Node

__all__ = ["binary", "unary"]

_EXACT = 2**53
_LARGEST_RANGE = 10_000_000


def binary(run: "Evaluation", node: "Node", given: Any, frame: Frame) -> Any:
    left = run.evaluate(node.lhs, given, frame)
    operator = node.value
    try:
        if operator == "and":
            return boolean(left) and boolean(run.evaluate(node.rhs, given, frame))
        if operator == "or":
            return boolean(left) or boolean(run.evaluate(node.rhs, given, frame))
    except JsonataError as problem:  # of the right side too
        problem.details["token"] = operator
        raise
    right = run.evaluate(node.rhs, given, frame)
    try:
        if operator in _ARITHMETIC:
            return _calculated(operator, left, right)
        if operator == "=" or operator == "!=":
            if left is UNDEFINED or right is UNDEFINED:
                return False
            return equal(run, left, right) is (operator == "=")
        if operator == "&":
            return _concatenated(run, left, right)
        if operator == "in":
            return _includes(left, right)
        if operator == "..":
            return _range(run, left, right)
        return _compared(operator, left, right)
    except JsonataError as problem:
        problem.details["token"] = operator
        raise


def _calculated(operator: str, left: Any, right: Any) -> Any:
    if left is not UNDEFINED and not is_finite_number(left):
        raise JsonataError("T2001")
    if right is not UNDEFINED and not is_finite_number(right):
        raise JsonataError("T2002")
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    return _ARITHMETIC[operator](_double(left), _double(right))


def _double(value: Any) -> Any:
    """The value, or where JavaScript cannot tell it from its neighbours the number that it takes it for."""
    if type(value) is not int or -_EXACT <= value <= _EXACT:
        return value
    try:
        return float(value)
    except OverflowError:
        raise JsonataError("D1001", value=math.inf) from None


def exact(value: Any) -> Any:
    """A result: whole numbers stay integers as long as they are exact."""
    if type(value) is int:
        return value if -_EXACT <= value <= _EXACT else float(value)
    return int(value) if value.is_integer() and abs(value) <= _EXACT else value


def _divided(left: Any, right: Any) -> Any:
    if right == 0:
        return math.nan if left == 0 else math.copysign(math.inf, left) * math.copysign(1, right)
    return exact(left / right)


def _remainder(left: Any, right: Any) -> Any:
    return math.nan if right == 0 else exact(math.fmod(left, right))


_ARITHMETIC: dict[str, Any] = {
    "+": lambda left, right: exact(left + right),
    "-": lambda left, right: exact(left - right),
    "*": lambda left, right: exact(left * right),
    "/": _divided,
    "%": _remainder,
}


def _compared(operator: str, left: Any, right: Any) -> Any:
    texts = isinstance(left, str), isinstance(right, str)
    for value, text in zip((left, right), texts, strict=True):
        if not (text or value is UNDEFINED or is_number(value)):
            raise JsonataError("T2010")
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    if texts[0] is not texts[1]:
        raise JsonataError("T2009", value=left, value2=right)
    if operator == "<":
        return below(left, right)
    if operator == ">":
        return below(right, left)
    return left == right or (below(left, right) if operator == "<=" else below(right, left))


def _includes(left: Any, right: Any) -> bool:
    if left is UNDEFINED or right is UNDEFINED:
        return False
    items = right if isinstance(right, list) else [right]
    if isinstance(left, str):
        return any(isinstance(item, str) and item == left for item in items)
    if is_number(left):
        return any(is_number(item) and item == left for item in items)
    return any(item is left for item in items)


def _concatenated(run: "Evaluation", left: Any, right: Any) -> str:
    before = "" if left is UNDEFINED else text_of(left)
    after = "" if right is UNDEFINED else text_of(right)
    text = paired(before + after)
    written = isinstance(left, str) and isinstance(right, str)
    run.charge(len(text) // (256 if written else 32))
    return text


def _range(run: "Evaluation", left: Any, right: Any) -> Any:
    for code, value in (("T2003", left), ("T2004", right)):
        whole = is_number(value) and (isinstance(value, int) or value.is_integer())
        if value is not UNDEFINED and not whole:
            raise JsonataError(code)
    if left is UNDEFINED or right is UNDEFINED or left > right:
        return UNDEFINED
    size = right - left + 1
    if size > _LARGEST_RANGE:
        raise JsonataError("D2014", value=size)
    if size > LONGEST_ARRAY:
        raise QueryError("", MEMORY)
    run.charge(int(size) // 16)
    return sequence(range(int(left), int(right) + 1))


def unary(run: "Evaluation", node: "Node", given: Any, frame: Frame) -> Any:
    if node.value == "{":
        return grouped(run, node, given, frame)
    if node.value == "[":
        return _array(run, node, given, frame)
    value = run.evaluate(node.expression, given, frame)
    if value is UNDEFINED:
        return UNDEFINED
    if not is_finite_number(value):
        raise JsonataError("D1002", value=value)
    return -value


def _array(run: "Evaluation", node: "Node", given: Any, frame: Frame) -> Any:
    made = Items()
    for item in node.expressions:
        value = run.evaluate(item, given, frame)
        if value is UNDEFINED:
            continue
        if item.value == "[" or not isinstance(value, list):
            made.append(value)
        else:
            made.extend(value)
    if node.consarray:
        made.cons = True
    return made
