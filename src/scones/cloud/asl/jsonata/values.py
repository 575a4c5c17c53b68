"""The values of an evaluation: JSON's own as Python has them, undefined, marked arrays, functions.

null is None. An array that the evaluation made may carry marks that decide how it flattens; whatever came
in from outside is a plain list or dictionary, and is never changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import JsonataError
from .signatures import Signature

__all__ = [
    "UNDEFINED", "Closure", "Frame", "Items", "Lambda", "Matcher", "Native",
    "code_units", "halved", "is_function", "is_number", "keys_of", "paired", "sequence",
]  # fmt: skip


class _Undefined:
    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Any = _Undefined()
_LARGEST_INDEX = 2**32 - 2


class Items(list[Any]):
    """An array with marks."""

    sequence = False
    """Of one item, the language keeps only the item; of none, nothing."""
    keep_singleton = False
    tuple_stream = False
    """The items are dictionaries of what each step bound."""
    outer_wrapper = False
    cons = False
    """Written with brackets at the end of a path: it does not flatten."""


def sequence(items: Any = ()) -> Items:
    made = Items(items)
    made.sequence = True
    return made


class Frame:
    """A scope's variables."""

    __slots__ = ("bindings", "outer")

    def __init__(self, outer: "Frame | None" = None, bindings: dict[str, Any] | None = None) -> None:
        self.outer = outer
        self.bindings: dict[str, Any] = {} if bindings is None else bindings

    def lookup(self, name: str) -> Any:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.bindings:
                return frame.bindings[name]
            frame = frame.outer
        return UNDEFINED


@dataclass(slots=True, eq=False)
class Native:
    """A built-in function.

    strict: undefined for its first argument gives undefined. aware: it is given the evaluation first.
    optional: how many parameters at the end do not count for how many a higher-order function passes.
    """

    call: Callable[..., Any]
    parameters: int
    signature: Signature | None = None
    strict: bool = True
    aware: bool = False
    optional: int = 0
    work: Callable[..., int] | None = None


@dataclass(slots=True, eq=False)
class Lambda:
    """A function of the expression's own, or what is left of a function partly applied (then `native`)."""

    names: list[str]
    body: Any
    input: Any
    frame: Frame
    signature: Signature | None = None
    thunk: bool = False
    native: Any = None
    token: Any = UNDEFINED


@dataclass(slots=True, eq=False)
class Closure:
    """A function passed as an argument: whoever calls it gives it no context."""

    function: Any


class Matcher:
    """A regular expression as a function: text -> its first match, an object, or undefined."""

    __slots__ = ("pattern",)

    def __init__(self, pattern: Any) -> None:
        self.pattern = pattern

    def match(self, text: Any = UNDEFINED, start: Any = 0) -> Any:
        text = text if isinstance(text, str) else _coerced(text)
        begin = start if type(start) is int else 0
        if not 0 <= begin <= len(text):
            return UNDEFINED
        return _Matches(text, self.pattern.finditer(text, begin)).next()


def _coerced(value: Any) -> str:
    """What JavaScript takes a value for where it needs a text; of numbers only whole ones are exact."""
    if isinstance(value, list):
        return ",".join("" if item is None or item is UNDEFINED else _coerced(item) for item in value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return "[object Object]" if isinstance(value, dict) else str(value)


class _Matches:
    """The matches in one text, one after another."""

    def __init__(self, text: str, found: Iterator[Any]) -> None:
        self._text = text
        self._found = found
        self._wide = not text.isascii()
        self._end = self._units = 0
        """How far the text has been matched: in characters, in UTF-16 code units."""
        self._empty = False

    def next(self) -> Any:
        """Raises JsonataError D1004 where matches would never end."""
        first = self._end == self._units == 0 and not self._empty
        if not first and self._end >= len(self._text):
            return UNDEFINED
        found = None if self._empty else next(self._found, None)
        if self._empty or (found is not None and not first and found[0] == ""):
            raise JsonataError("D1004")
        if found is None:
            return UNDEFINED
        start = self._count(found.start())
        end = self._count(found.end())
        self._empty = found[0] == ""
        groups = [UNDEFINED if group is None else group for group in found.groups()]
        again = Native(lambda *_: self.next(), 0, strict=False)
        return {"match": found[0], "start": start, "end": end, "groups": groups, "next": again}

    def _count(self, position: int) -> int:
        between = self._text[self._end : position]
        self._units += code_units(between) if self._wide else len(between)
        self._end = position
        return self._units


_FUNCTIONS = frozenset({Native, Lambda, Closure, Matcher})


def is_function(value: Any) -> bool:
    return type(value) in _FUNCTIONS


def is_number(value: Any) -> bool:
    """Whether it is of the type number: not a number (NaN) and infinity are."""
    return type(value) is int or type(value) is float


def keys_of(value: dict[str, Any]) -> list[str]:
    """The keys in JavaScript's order: whole numbers first, by size."""
    keys = list(value)
    numbered = [key for key in keys if key[:1].isdigit() and _is_index(key)]
    if not numbered:
        return keys
    indexes = set(numbered)
    return sorted(numbered, key=int) + [key for key in keys if key not in indexes]


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdigit() and (key == "0" or key[0] != "0") and int(key) <= _LARGEST_INDEX


def code_units(text: str) -> int:
    """The length as JavaScript counts: a character beyond U+FFFF counts twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def paired(text: str) -> str:
    """The text with halves of surrogate pairs that stand side by side made one character."""
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def halved(text: str) -> str:
    """The text with each character beyond U+FFFF as its two halves, so that positions are JavaScript's."""
    if text.isascii() or not any(c > "\uffff" for c in text):
        return text
    return "".join(map(chr, memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")))
