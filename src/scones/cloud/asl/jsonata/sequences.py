"""What the language's rules say of values: truth, equality, order, text, members, joining of arrays."""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .errors import JsonataError
from .text import stringify
from .values import UNDEFINED, Items, Lambda, Native, is_function, is_number, sequence

if TYPE_CHECKING:
    from .evaluation import Evaluation

__all__ = [
    "LONGEST_ARRAY",
    "LONGEST_TEXT",
    "append",
    "below",
    "boolean",
    "equal",
    "is_finite_number",
    "kind_of",
    "look_up",
    "numbers",
    "text_of",
]

LONGEST_ARRAY = 873_782
"""The longest on the way that AWS was seen to allow."""
LONGEST_TEXT = 4_194_304
"""The same, in characters."""


def kind_of(value: Any) -> str:
    """The letter that signatures know a value's type by."""
    if value is UNDEFINED:
        return "m"
    if value is None:
        return "l"
    kind = _KINDS.get(type(value))
    return kind or "f"


_KINDS = {str: "s", int: "n", float: "n", bool: "b", list: "a", Items: "a", dict: "o"}


def is_finite_number(value: Any) -> bool:
    """Whether it is a number; NaN is not. Raises JsonataError D1001 for infinity."""
    if type(value) is int:
        return True
    if type(value) is not float or value != value:
        return False
    if math.isinf(value):
        raise JsonataError("D1001", value=value)
    return True


def numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_finite_number, value))


def boolean(value: Any) -> bool:
    """The truth of a value; undefined is false."""
    if value is True or value is False:
        return bool(value)
    if isinstance(value, list):
        return boolean(value[0]) if len(value) == 1 else any(map(boolean, value))
    if isinstance(value, str | dict):
        return bool(value)
    if is_finite_number(value):
        return bool(value != 0)
    return isinstance(value, Native | Lambda)


def equal(run: "Evaluation", left: Any, right: Any) -> bool:
    if is_number(left):
        return is_number(right) and bool(left == right)
    if isinstance(left, list):
        return left is right or (
            isinstance(right, list)
            and len(left) == len(right)
            and all(equal(run, item, other) for item, other in _compared(run, zip(left, right, strict=True)))
        )
    if isinstance(left, dict):
        return left is right or (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(equal(run, item, right[key]) for key, item in _compared(run, left.items()))
        )
    if isinstance(left, str):
        return isinstance(right, str) and bool(left == right)
    return left is right


def _compared(run: "Evaluation", pairs: Iterable[Any]) -> Iterator[Any]:
    for n, pair in enumerate(pairs):
        if n % 16 == 0:
            run.charge(0)
        yield pair


def below(left: Any, right: Any) -> bool:
    """Whether a number or text comes before another of its type; texts by UTF-16 code units."""
    if isinstance(left, str) and not (left.isascii() or right.isascii()):
        return bool(left.encode("utf-16-be", "surrogatepass") < right.encode("utf-16-be", "surrogatepass"))
    return bool(left < right)


def text_of(value: Any, indent: int = 0) -> Any:
    """The function $string. Raises JsonataError D3001, D1001."""
    if isinstance(value, str) or value is UNDEFINED:
        return value
    if is_function(value):
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        raise JsonataError("D3001")
    if isinstance(value, Items) and value.outer_wrapper:
        value = value[0]
    return stringify(value, indent)


def look_up(value: Any, key: str) -> Any:
    """The member of an object, or of each object in an array."""
    if isinstance(value, dict):
        return value.get(key, UNDEFINED)
    if not isinstance(value, list):
        return UNDEFINED
    found = sequence()
    for item in value:
        member = look_up(item, key)
        if isinstance(member, list):
            found.extend(member)
        elif member is not UNDEFINED:
            found.append(member)
    return found


def append(first: Any, second: Any) -> Any:
    if first is UNDEFINED:
        return second
    if second is UNDEFINED:
        return first
    left = first if isinstance(first, list) else [first]
    return [*left, *second] if isinstance(second, list) else [*left, second]
