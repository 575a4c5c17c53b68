"""The functions that Step Functions adds to JSONata. What they draw, a replay draws again."""

import hashlib
import math
import random
import uuid
from collections.abc import Callable
from typing import Any

from .jsontext import loads
from .queryerrors import MEMORY, QueryError

__all__ = ["LONGEST_ARRAY", "FunctionError", "functions", "no_match"]

_ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
LONGEST_ARRAY = 873_782
"""The longest on the way that AWS was seen to allow."""


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

    def number_range(first: Any = None, last: Any = None, step: Any = None) -> list[int]:
        start, end, by = (_whole("range", n, v) for n, v in enumerate((first, last, step), 1))
        if by == 0:
            raise no_match("range", 3)
        count = max((end - start) // by + 1, 0)
        if count > LONGEST_ARRAY:
            raise QueryError("", MEMORY)
        charge(count // 10)
        return [start + n * by for n in range(count)]

    return {
        "partition": _partition,
        "range": number_range,
        "hash": _hash,
        "random": lambda seed=None: _random(draw, seed),
        "uuid": lambda: str(uuid.UUID(int=draw(), version=4)),
        "parse": _parse,
        "shuffle": shuffle,
    }


def no_match(name: str, position: int) -> FunctionError:
    """The failure of a function that does not take the argument at a position, counted from 1."""
    told = f'Argument {position} of function "{name}" does not match function signature'
    return FunctionError("T0410", told)


def _whole(name: str, position: int, value: Any) -> int:
    """A fraction is cut off, as measured on AWS."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise no_match(name, position)
    return int(value)


def _partition(items: Any = None, size: Any = None) -> Any:
    if items is None:
        return None
    if not isinstance(items, list):
        raise no_match("partition", 1)
    length = _whole("partition", 2, size)
    if length < 1:
        raise no_match("partition", 2)
    return [items[start : start + length] for start in range(0, len(items), length)]


def _hash(text: Any = None, algorithm: Any = None) -> Any:
    if text is None:
        return None
    if not isinstance(text, str):
        raise no_match("hash", 1)
    if algorithm not in _ALGORITHMS:
        raise no_match("hash", 2)
    return hashlib.new(_ALGORITHMS[algorithm], text.encode()).hexdigest()


def _random(draw: Callable[[], int], seed: Any) -> float:
    if seed is None:
        return (draw() >> 75) / 2**53
    return java_random(_whole("random", 1, seed))


def java_random(seed: int) -> float:
    """The first double of a java.util.Random, as AWS gives it."""
    multiplier, mask = 0x5DEECE66D, 2**48 - 1
    state = (seed ^ multiplier) & mask
    parts = []
    for bits in (26, 27):
        state = (state * multiplier + 0xB) & mask
        parts.append(state >> (48 - bits))
    return float((parts[0] << 27) + parts[1]) / 2**53


def _parse(text: Any = None) -> Any:
    if not isinstance(text, str):
        raise no_match("parse", 1)
    try:
        return loads(text)
    except ValueError as problem:
        raise FunctionError(
            "D3120", f"Syntax error in the text passed to function parse: {problem}"
        ) from None
