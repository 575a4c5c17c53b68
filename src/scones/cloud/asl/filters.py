"""Filters of JSONPath, `[?(@.price < 10 && @.isbn)]`, with the operators and the notion of equality that
Jayway's library has: a number equals the text that shows it, and what is missing equals nothing. A text
without quotes is one too, as the library took it up to its release 2.0 and as published machines rely on.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .jayway import Indices, Names, Step, Walk, read_steps
from .jsontext import loads
from .regexes import RegexError, compile_regex

__all__ = ["read_filter"]

Test = Callable[[Any, Any, Walk], bool]

_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"\s*(===|!==|==|!=|<=|>=|<|>|=~|[A-Za-z]+\b)\s*")
_TEXT = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_ESCAPE = re.compile(r"\\(.)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[^\s'\"()\[\]&|<>=!~,]+")
_WORDS = {"true": True, "false": False, "null": None}
_PATTERN = re.compile(r"/((?:[^/\\]|\\.)*)/([a-z]*)")
_NOTHING = object()
"""What a path gives that leads nowhere."""


def read_filter(text: str, position: int) -> tuple[Test, int]:
    """The test that begins at a position, and where it ends. Raises ValueError."""
    return _Filter(text).either(position)


@dataclass(frozen=True, slots=True)
class _Filter:
    text: str

    def either(self, position: int) -> tuple[Test, int]:
        tests, position = self._joined(position, "||", self._all)
        return (tests[0] if len(tests) == 1 else lambda *at: any(test(*at) for test in tests)), position

    def _all(self, position: int) -> tuple[Test, int]:
        tests, position = self._joined(position, "&&", self._one)
        return (tests[0] if len(tests) == 1 else lambda *at: all(test(*at) for test in tests)), position

    def _joined(
        self, position: int, sign: str, read: Callable[[int], tuple[Test, int]]
    ) -> tuple[list[Test], int]:
        test, position = read(position)
        tests = [test]
        while self.text.startswith(sign, after := self._skip(position)):
            test, position = read(after + len(sign))
            tests.append(test)
        return tests, position

    def _one(self, position: int) -> tuple[Test, int]:
        position = self._skip(position)
        if self.text.startswith("!", position):
            test, position = self._one(position + 1)
            return (lambda *at: not test(*at)), position
        if self.text.startswith("(", position):
            test, position = self.either(position + 1)
            position = self._skip(position)
            if not self.text.startswith(")", position):
                raise ValueError(f"a closing parenthesis was expected at {position}")
            return test, position + 1
        return self._comparison(position)

    def _comparison(self, position: int) -> tuple[Test, int]:
        left, position = self._operand(position)
        match = _OPERATOR.match(self.text, position)
        if match and (compare := _OPERATORS.get(match[1].upper())):
            right, position = self._operand(match.end())
            return (lambda *at: compare(left.value(*at), right.value(*at))), position
        if isinstance(left, _Literal):
            raise ValueError(f"an operator was expected at {position}")
        return left.exists, position

    def _operand(self, position: int) -> tuple["_Literal | _Path", int]:
        position = self._skip(position)
        start = self.text[position : position + 1]
        if start in ("@", "$"):
            steps, position = read_steps(self.text, position + 1, read_filter, free=False)
            return _Path(steps, relative=start == "@"), position
        literal, position = self._literal(position)
        return _Literal(literal), position

    def _literal(self, position: int) -> tuple[Any, int]:
        if match := _TEXT.match(self.text, position):
            quoted = match[1] if match[1] is not None else match[2]
            return _ESCAPE.sub(r"\1", quoted), match.end()
        if match := _PATTERN.match(self.text, position):
            return _compiled(match[1], match[2]), match.end()
        if self.text.startswith(("[", "{"), position):
            return self._json(position)
        if match := _WORD.match(self.text, position):
            return _word(match[0]), match.end()
        raise ValueError(f"a value was expected at {position}")

    def _json(self, position: int) -> tuple[Any, int]:
        """An array or object; texts in it may have single quotes."""
        depth, at, parts = 0, position, []
        while at < len(self.text):
            if match := _TEXT.match(self.text, at):
                content = match[1] if match[1] is not None else match[2]
                parts.append('"' + content.replace('"', '\\"').replace("\\'", "'") + '"')
                at = match.end()
                continue
            parts.append(self.text[at])
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(self.text[at], 0)
            at += 1
            if not depth:
                return loads("".join(parts)), at
        raise ValueError(f"the value at {position} does not end")

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self.text, position)
        return match.end() if match else position


@dataclass(frozen=True, slots=True)
class _Literal:
    literal: Any

    def value(self, _item: Any, _root: Any, _walk: Walk) -> Any:
        return self.literal


@dataclass(frozen=True, slots=True)
class _Path:
    """relative: to the item that is asked about, else to the whole document."""

    steps: tuple[Step, ...]
    relative: bool

    def value(self, item: Any, root: Any, walk: Walk) -> Any:
        """The value, a list of those that an indefinite path finds, or _NOTHING."""
        found = list(walk.find(self.steps, item if self.relative else root))
        if self._definite(self.steps):
            return found[0] if found else _NOTHING
        return found if self._begins(item, root, walk) else _NOTHING

    def exists(self, item: Any, root: Any, walk: Walk) -> bool:
        return self.value(item, root, walk) is not _NOTHING

    def _begins(self, item: Any, root: Any, walk: Walk) -> bool:
        """Is what the path definitely names there?"""
        count = next(n for n in range(len(self.steps)) if not self._definite(self.steps[: n + 1]))
        return any(True for _ in walk.find(self.steps[:count], item if self.relative else root))

    @staticmethod
    def _definite(steps: tuple[Step, ...]) -> bool:
        return all(
            (isinstance(step, Names) and (len(step.names) == 1 or number == len(steps)))
            or (isinstance(step, Indices) and len(step.indices) == 1)
            for number, step in enumerate(steps, start=1)
        )


def _word(word: str) -> Any:
    """What has no quotes is true, false, null, a number, or else a text."""
    if word in _WORDS:
        return _WORDS[word]
    return loads(word) if _NUMBER.fullmatch(word) else word


def _compiled(pattern: str, flags: str) -> Any:
    try:
        return compile_regex(
            pattern.replace("\\/", "/"), case_sensitive="i" not in flags, dot_all="s" in flags
        )
    except RegexError as problem:
        raise ValueError(f"the regular expression /{pattern}/ is not supported: {problem}") from None


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _shown(value: Any) -> str | None:
    """The text of a text or a number."""
    number = _number(value)
    return value if isinstance(value, str) else None if number is None else str(number)


def _equal(left: Any, right: Any) -> bool:
    if left is _NOTHING or right is _NOTHING:
        return False
    if isinstance(left, str) and _shown(right) is not None:
        return left == _shown(right)
    if _number(left) is not None and isinstance(right, str):
        try:
            return _number(left) == float(right)
        except ValueError:
            return False
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _ordered(left: Any, right: Any, compare: Callable[[Any, Any], bool]) -> bool:
    numbers = _number(left) is not None and _number(right) is not None
    texts = isinstance(left, str) and isinstance(right, str)
    return (numbers or texts) and compare(left, right)


def _matches(left: Any, right: Any) -> bool:
    pattern, value = (right, left) if hasattr(right, "fullmatch") else (left, right)
    text = str(value).lower() if isinstance(value, bool) else _shown(value)
    return hasattr(pattern, "fullmatch") and text is not None and pattern.fullmatch(text) is not None


def _within(value: Any, values: Any) -> bool:
    return isinstance(values, list) and any(_equal(item, value) for item in values)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return _within(right, left)


def _subset(left: Any, right: Any) -> bool:
    return isinstance(left, list) and isinstance(right, list) and all(_within(item, right) for item in left)


def _meet(left: Any, right: Any) -> bool:
    return isinstance(left, list) and isinstance(right, list) and any(_within(item, right) for item in left)


def _size(value: Any) -> int | None:
    return len(value) if isinstance(value, str | list | dict) else None


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "===": lambda left, right: type(left) is type(right) and _equal(left, right),
    "!=": lambda left, right: not _equal(left, right),
    "!==": lambda left, right: not (type(left) is type(right) and _equal(left, right)),
    "<": lambda left, right: _ordered(left, right, lambda a, b: a < b),
    "<=": lambda left, right: _ordered(left, right, lambda a, b: a <= b),
    ">": lambda left, right: _ordered(left, right, lambda a, b: a > b),
    ">=": lambda left, right: _ordered(left, right, lambda a, b: a >= b),
    "=~": _matches,
    "IN": _within,
    "NIN": lambda left, right: not _within(left, right),
    "CONTAINS": _contains,
    "ALL": lambda left, right: _subset(right, left),
    "SIZE": lambda left, right: _size(left) is not None and _size(left) == right,
    "EMPTY": lambda left, right: _size(left) is not None and (_size(left) == 0) is right,
    "SUBSETOF": _subset,
    "ANYOF": _meet,
    "NONEOF": lambda left, right: not _meet(left, right),
}
