"""The functions that Step Functions adds to JSONata. What they draw, a replay draws again."""

import hashlib
import random
import uuid
from collections.abc import Callable
from typing import Any

from .jsontext import loads

__all__ = ["FunctionError", "functions"]

_ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_LARGEST_RANGE = 1000


class FunctionError(Exception):
    """Arguments that a function does not take."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def functions(draw: Callable[[], int], charge: Callable[[int], None]) -> dict[str, Callable[..., Any]]:
    """Name -> function. `draw` gives 128 random bits; `charge` accounts for work."""

    def shuffle(items: Any = None) -> Any:
        if not isinstance(items, list):
            return items
        charge(len(items))
        shuffled = list(items)
        random.Random(draw()).shuffle(shuffled)
        return shuffled

    return {
        "partition": _partition,
        "range": _range,
        "hash": _hash,
        "random": lambda seed=None: _random(draw, seed),
        "uuid": lambda: str(uuid.UUID(int=draw(), version=4)),
        "parse": _parse,
        "shuffle": shuffle,
    }


def _argument(name: str, position: int) -> FunctionError:
    return FunctionError("T0410", f"Argument {position} of function {name} does not match function signature")


def _whole(name: str, position: int, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise _argument(name, position)
    return int(value)


def _partition(items: Any = None, size: Any = None) -> Any:
    if items is None:
        return None
    if not isinstance(items, list):
        raise _argument("partition", 1)
    length = _whole("partition", 2, size)
    if length < 1:
        raise _argument("partition", 2)
    return [items[start : start + length] for start in range(0, len(items), length)]


def _range(first: Any = None, last: Any = None, step: Any = None) -> list[int]:
    start, end, by = (_whole("range", n, v) for n, v in enumerate((first, last, step), 1))
    if by == 0:
        raise _argument("range", 3)
    values = range(start, end + (1 if by > 0 else -1), by)
    if len(values) > _LARGEST_RANGE:
        raise FunctionError("D2014", f"The range has more than {_LARGEST_RANGE} items")
    return list(values)


def _hash(text: Any = None, algorithm: Any = None) -> Any:
    if text is None:
        return None
    if not isinstance(text, str):
        raise _argument("hash", 1)
    if algorithm not in _ALGORITHMS:
        raise _argument("hash", 2)
    return hashlib.new(_ALGORITHMS[algorithm], text.encode()).hexdigest()


def _random(draw: Callable[[], int], seed: Any) -> float:
    if seed is None:
        return (draw() >> 75) / 2**53
    if isinstance(seed, bool) or not isinstance(seed, int | float):
        raise _argument("random", 1)
    return random.Random(seed).random()


def _parse(text: Any = None) -> Any:
    if not isinstance(text, str):
        raise _argument("parse", 1)
    try:
        return loads(text)
    except ValueError as problem:
        raise FunctionError(
            "D3120", f"Syntax error in the text passed to function parse: {problem}"
        ) from None
