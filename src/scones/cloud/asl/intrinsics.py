"""The intrinsic functions of payload templates: `States.Format('{}', $.a)` and its eighteen sisters.

`compile_call` reads a call once; `Call.evaluate` runs it. Whatever a function refuses, and an argument's
path that leads nowhere, is States.Runtime: States.IntrinsicFailure is reserved, as documented.
"""

import base64
import binascii
import hashlib
import math
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .environment import Environment
from .failures import DataError
from .jsontext import dumps, java_order, loads
from .paths import Path, PathError, compile_path

__all__ = ["Call", "IntrinsicError", "compile_call"]

_NESTING_LIMIT = 10
_TEXT_LIMIT = 10_000
_RANGE_LIMIT = 1_000
_NAME = re.compile(r"States\.([A-Za-z0-9]+)\(")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_STRING = re.compile(r"'((?:[^'\\]|\\['\\{}n])*)'")
_ESCAPE = re.compile(r"\\(.)")
_CONSTANTS = {"true": True, "false": False, "null": None}
_PLACEHOLDER = re.compile(r"\\(.)|\{\}|([{}])")


class IntrinsicError(DataError):
    """A function refused its arguments."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any
    raw: str = ""
    """The text between the quotes, escapes and all: Format needs to know which braces were escaped."""


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed call; `text` is its source, for messages."""

    text: str
    name: str
    arguments: tuple["Argument", ...]

    def evaluate(self, environment: Environment) -> Any:
        """Raises DataError."""
        try:
            values = [self._value(argument, environment) for argument in self.arguments]
            if self.name == "Format":
                return _format(self.arguments[0], values)
            if self.name in ("MathRandom", "UUID"):
                return _RANDOM[self.name](values, environment.draw())
            return _FUNCTIONS[self.name](*values)
        except _ArgumentError as problem:
            raise IntrinsicError(f"The function '{self.text}' had the following error: {problem}") from None

    def _value(self, argument: "Argument", environment: Environment) -> Any:
        if isinstance(argument, Literal):
            return argument.value
        if isinstance(argument, Call):
            return argument.evaluate(environment)
        try:
            return environment.resolve(argument)
        except PathError:
            found = f"could not be found in the input '{dumps(environment.root)}'"
            told = f"The JsonPath argument for the field '{argument.text}' {found}"
            raise DataError(f"The function '{self.text}' had the following error: {told}") from None


Argument = Literal | Path | Call


class _ArgumentError(Exception):
    pass


# Reading ----------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def compile_call(text: str) -> Call:
    """Raises ValueError where `text` is no call of a known function."""
    call, end = _read_call(text, 0, 1)
    if text[end:].strip():
        raise ValueError("text after the call")
    return call


def _read_call(text: str, start: int, depth: int) -> tuple[Call, int]:
    match = _NAME.match(text, start)
    if not match or match[1] not in _ARITIES or depth > _NESTING_LIMIT:
        raise ValueError("not a known function")
    arguments: list[Argument] = []
    position = _blank(text, match.end())
    while text[position : position + 1] != ")":
        if arguments:
            if text[position : position + 1] != ",":
                raise ValueError("expected ,")
            position = _blank(text, position + 1)
        argument, position = _read_argument(text, position, depth)
        arguments.append(argument)
        position = _blank(text, position)
    fewest, most = _ARITIES[match[1]]
    if not fewest <= len(arguments) <= most:
        raise ValueError("wrong number of arguments")
    return Call(text[start : position + 1], match[1], tuple(arguments)), position + 1


def _blank(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _read_argument(text: str, start: int, depth: int) -> tuple[Argument, int]:
    if text.startswith("States.", start):
        return _read_call(text, start, depth + 1)
    if text.startswith("$", start):
        end = _path_end(text, start)
        return compile_path(text[start:end].rstrip()), end
    if match := _STRING.match(text, start):
        value = _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], match[1])
        return Literal(value, match[1]), match.end()
    if match := _NUMBER.match(text, start):
        return Literal(loads(match[0])), match.end()
    for word, constant in _CONSTANTS.items():
        if text.startswith(word, start):
            return Literal(constant), start + len(word)
    raise ValueError("not an argument")


def _path_end(text: str, start: int) -> int:
    """A path ends at a comma or closing bracket outside its own brackets and quotes."""
    depth, quote, position = 0, "", start
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"" and depth:
            quote = character
        elif character in "[(":
            depth += 1
        elif character in "])" and depth:
            depth -= 1
        elif character in ")," and not depth:
            break
        position += 1
    return position


# The functions ------------------------------------------------------------------------------------


def _format(template: Argument, arguments: list[Any]) -> str:
    """template: the first argument as written, whose escaped braces are no placeholders."""
    text, *values = arguments
    if not isinstance(text, str):
        raise _ArgumentError("The first argument must be a string template.")
    if isinstance(template, Literal):
        text = template.raw
    used = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal used
        if match[1]:
            return "\n" if match[1] == "n" else match[1]
        if match[2]:
            return match[2]
        used += 1
        return _shown(values[used - 1]) if used <= len(values) else ""

    result = _PLACEHOLDER.sub(replace, text)
    if used != len(values):
        raise _ArgumentError("The number of arguments does not match the number of occurrences of '{}'.")
    return result


def _shown(value: Any) -> str:
    """As Java prints a value: {Arg1=1, Arg2=[]}."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={_shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return dumps(value)


def _string_to_json(text: Any) -> Any:
    if not isinstance(text, str):
        raise _ArgumentError("The argument must be a string.")
    if not text.strip():
        return None
    try:
        return loads(text)
    except ValueError:
        raise _ArgumentError("The argument is not a valid JSON text.") from None


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _ArgumentError("The first argument must be an array.")
    return value


def _integer(value: Any, which: str) -> int:
    """A whole number; a fraction rounds half up, as Java's Math.round."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _ArgumentError(f"The {which} argument must be an integer.")
    whole = math.floor(value + 0.5) if isinstance(value, float) else value
    if not -(2**31) <= whole < 2**31:
        raise _ArgumentError(f"The {which} argument must be a 32-bit integer.")
    return whole


def _text(value: Any, limit: int = _TEXT_LIMIT) -> str:
    if not isinstance(value, str):
        raise _ArgumentError("The argument must be a string.")
    if len(value) > limit:
        raise _ArgumentError(f"The argument must have at most {limit} characters.")
    return value


def _array_partition(array: Any, size: Any) -> list[Any]:
    items, length = _array(array), _integer(size, "second")
    if length < 1:
        raise _ArgumentError("The second argument must be a positive integer.")
    return [items[start : start + length] for start in range(0, len(items), length)]


def _array_range(first: Any, last: Any, step: Any) -> list[int]:
    start, end, by = _integer(first, "first"), _integer(last, "second"), _integer(step, "third")
    if by == 0:
        raise _ArgumentError("The third argument must not be zero.")
    numbers = range(start, end + (1 if by > 0 else -1), by)
    if len(numbers) > _RANGE_LIMIT:
        raise _ArgumentError(f"The range must have at most {_RANGE_LIMIT} elements.")
    return list(numbers)


def _array_get_item(array: Any, index: Any) -> Any:
    items, position = _array(array), _integer(index, "second")
    if not 0 <= position < len(items):
        raise _ArgumentError("The second argument is not an index of the array.")
    return items[position]


def _same(one: Any, other: Any) -> bool:
    """Deep equality without Python's True == 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _array_unique(array: Any) -> list[Any]:
    seen: dict[str, Any] = {}
    for item in _array(array):
        seen.setdefault(dumps(item), item)
    return list(seen.values())


def _base64_decode(text: Any) -> str:
    try:
        return base64.b64decode(_text(text), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _ArgumentError("The argument is not valid Base64 of a UTF-8 text.") from None


def _hash(value: Any, algorithm: Any) -> str:
    names = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
    if not isinstance(algorithm, str) or algorithm not in names:
        raise _ArgumentError(f"The algorithm must be one of {', '.join(names)}.")
    text = _text(value if isinstance(value, str) else dumps(value))
    return hashlib.new(names[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _json_merge(one: Any, other: Any, deep: Any) -> dict[str, Any]:
    if not isinstance(one, dict) or not isinstance(other, dict):
        raise _ArgumentError("The first and second arguments must be objects.")
    if deep is not False:
        raise _ArgumentError("The third argument must be false: deep merging is not supported.")
    merged = {**one, **other}
    return {key: merged[key] for key in java_order(list(merged))}


def _math_add(one: Any, other: Any) -> int:
    return _integer(_integer(one, "first") + _integer(other, "second"), "resulting")


def _string_split(text: Any, delimiters: Any) -> list[str]:
    if not isinstance(text, str) or not isinstance(delimiters, str):
        raise _ArgumentError("Both arguments must be strings.")
    if not delimiters:
        return [text]
    return [piece for piece in re.split(f"[{re.escape(delimiters)}]", text) if piece]


def _math_random(values: list[Any], bits: int) -> int:
    start, end = _integer(values[0], "first"), _integer(values[1], "second")
    if start >= end:
        raise _ArgumentError("The second argument must be greater than the first.")
    seed = _integer(values[2], "third") if len(values) > 2 else bits
    return random.Random(seed).randrange(start, end)


def _uuid(_values: list[Any], bits: int) -> str:
    return str(uuid.UUID(int=bits, version=4))


_RANDOM: dict[str, Callable[[list[Any], int], Any]] = {"MathRandom": _math_random, "UUID": _uuid}

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "StringToJson": _string_to_json,
    "JsonToString": dumps,
    "Array": lambda *items: list(items),
    "ArrayPartition": _array_partition,
    "ArrayContains": lambda array, value: any(_same(value, item) for item in _array(array)),
    "ArrayRange": _array_range,
    "ArrayGetItem": _array_get_item,
    "ArrayLength": lambda array: len(_array(array)),
    "ArrayUnique": _array_unique,
    "Base64Encode": lambda text: base64.b64encode(_text(text).encode()).decode(),
    "Base64Decode": _base64_decode,
    "Hash": _hash,
    "JsonMerge": _json_merge,
    "MathAdd": _math_add,
    "StringSplit": _string_split,
}

_ANY = 10_000
_ARITIES = {
    "Format": (1, _ANY),
    "StringToJson": (1, 1),
    "JsonToString": (1, 1),
    "Array": (0, _ANY),
    "ArrayPartition": (2, 2),
    "ArrayContains": (2, 2),
    "ArrayRange": (3, 3),
    "ArrayGetItem": (2, 2),
    "ArrayLength": (1, 1),
    "ArrayUnique": (1, 1),
    "Base64Encode": (1, 1),
    "Base64Decode": (1, 1),
    "Hash": (2, 2),
    "JsonMerge": (3, 3),
    "MathRandom": (2, 3),
    "MathAdd": (2, 2),
    "StringSplit": (2, 2),
    "UUID": (0, 0),
}
