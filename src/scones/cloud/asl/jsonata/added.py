"""The functions that Step Functions adds to JSONata, or changes. What they draw, a replay draws again."""

import hashlib
import math
import random
import uuid
from typing import TYPE_CHECKING, Any

from scones.cloud.asl.jsontext import loads
from scones.cloud.asl.queryerrors import MEMORY, QueryError

from .errors import JsonataError
from .sequences import LONGEST_ARRAY
from .values import UNDEFINED, is_number, sequence

if TYPE_CHECKING:
    from .evaluation import Evaluation

__all__ = ["hash_text", "make_range", "parse", "partition", "random_number", "shuffle", "unique_id"]

_ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def shuffle(run: "Evaluation", items: list[Any]) -> list[Any]:
    shuffled = list(items)
    random.Random(run.draw()).shuffle(shuffled)
    return shuffled


def _argument(position: int, name: str) -> JsonataError:
    return JsonataError("T0410", index=position, token=name)


def _whole(name: str, position: int, value: Any) -> int:
    """A fraction is cut off, as measured on AWS."""
    if not is_number(value) or not math.isfinite(value):
        raise _argument(position, name)
    return int(value)


def partition(items: Any, size: Any = UNDEFINED) -> list[Any]:
    if not isinstance(items, list):
        raise _argument(1, "partition")
    length = _whole("partition", 2, size)
    if length < 1:
        raise _argument(2, "partition")
    return [items[start : start + length] for start in range(0, len(items), length)]


def make_range(
    run: "Evaluation", first: Any = UNDEFINED, last: Any = UNDEFINED, step: Any = UNDEFINED
) -> Any:
    """A sequence: of one number, the language keeps only the number."""
    start, end, by = (_whole("range", n, v) for n, v in enumerate((first, last, step), 1))
    if by == 0:
        raise _argument(3, "range")
    count = max((end - start) // by + 1, 0)
    if count > LONGEST_ARRAY:
        raise QueryError("", MEMORY)
    run.charge(count // 16)
    return sequence(start + n * by for n in range(count))


def hash_text(text: Any, algorithm: Any = UNDEFINED) -> str:
    if not isinstance(text, str):
        raise _argument(1, "hash")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise _argument(2, "hash")
    return hashlib.new(_ALGORITHMS[algorithm], text.encode()).hexdigest()


def random_number(run: "Evaluation", seed: Any = UNDEFINED) -> float:
    if seed is UNDEFINED:
        return (run.draw() >> 75) / 2**53
    return _java_random(_whole("random", 1, seed))


def _java_random(seed: int) -> float:
    """The first double of a java.util.Random, as AWS gives it."""
    multiplier, mask = 0x5DEECE66D, 2**48 - 1
    state = (seed ^ multiplier) & mask
    parts = []
    for bits in (26, 27):
        state = (state * multiplier + 0xB) & mask
        parts.append(state >> (48 - bits))
    return float((parts[0] << 27) + parts[1]) / 2**53


def unique_id(run: "Evaluation") -> str:
    return str(uuid.UUID(int=run.draw(), version=4))


def parse(text: Any = UNDEFINED) -> Any:
    if not isinstance(text, str):
        raise _argument(1, "parse")
    try:
        return loads(text)
    except ValueError as problem:
        message = f"Syntax error in the text passed to function parse: {problem}"
        raise JsonataError("D3120", message=message) from None
