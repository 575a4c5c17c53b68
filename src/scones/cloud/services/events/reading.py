"""JSON text as a tree that remembers where each thing stood, for messages that tell the place. Pure."""

import json
import re
from dataclasses import dataclass, field

from scones.cloud.asl.jackson import complaint, source

__all__ = ["Node", "PatternError", "read"]

_LEXEME = re.compile(
    r"[ \t\n\r]*(?:([{}\[\],:])|(\"(?:[^\"\\]|\\.)*\")"
    r"|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))",
    re.DOTALL,
)
_DEEPEST = 100
_LITERALS = {"true": True, "false": False, "null": None}


class PatternError(Exception):
    """Why a text is no event pattern, in the words of AWS's Event Ruler."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"{reason}\n at {place}" if place else reason)


@dataclass(slots=True)
class Node:
    """A value; `at` is how far a streaming parser has read when it meets it, `end` when it is through.

    The two differ for texts and containers, of which only the first character has been read then.
    """

    kind: str
    """object, array, string, number or literal."""
    value: str | int | float | bool | None
    at: int
    end: int = 0
    fields: list[tuple[str, "Node"]] = field(default_factory=list)
    items: list["Node"] = field(default_factory=list)


def read(text: str) -> Node:
    """Raises PatternError in Jackson's words where the text is no JSON."""
    if found := complaint(text):
        reason, at = found
        if reason.startswith("Unexpected character"):
            at -= 1  # as recorded: here, unlike in Step Functions, the place is that of the character
        raise PatternError(reason, source(text, at))
    return _Reader(text).value()


class _Reader:
    """Of a text that is known to be JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def _next(self) -> str:
        match = _LEXEME.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return match[match.lastindex or 0]

    def value(self) -> Node:
        return self._node(self._next())

    def _node(self, lexeme: str) -> Node:
        if lexeme in ("{", "["):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise PatternError(
                    "Document nesting depth exceeds the maximum allowed", source(self._text, self._at)
                )
            node = self._object() if lexeme == "{" else self._array()
            self._depth -= 1
            return node
        if lexeme[0] == '"':
            return Node("string", json.loads(lexeme), self._at - len(lexeme) + 1, self._at)
        if lexeme in _LITERALS:
            return Node("literal", _LITERALS[lexeme], self._at, self._at)
        return Node("number", json.loads(lexeme), self._at, self._at)

    def _object(self) -> Node:
        node = Node("object", None, self._at)
        lexeme = self._next()
        while lexeme != "}":
            if lexeme == ",":
                lexeme = self._next()
            name = json.loads(lexeme)
            self._next()  # the colon
            node.fields.append((name, self.value()))
            lexeme = self._next()
        node.end = self._at
        return node

    def _array(self) -> Node:
        node = Node("array", None, self._at)
        lexeme = self._next()
        while lexeme != "]":
            if lexeme == ",":
                lexeme = self._next()
            node.items.append(self._node(lexeme))
            lexeme = self._next()
        node.end = self._at
        return node
