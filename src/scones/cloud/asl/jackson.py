"""What Java's Jackson says about a text that is no JSON, in the words that AWS passes on."""

import re
from typing import NoReturn

__all__ = ["complaint", "source"]

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r"[\w$]+")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_WORDS = ("null", "true", "false")
_NAMES = {"{": "Object", "[": "Array"}
_ENDS = {"{": "}", "[": "]"}
_SHOWN = 500
"""Characters of the text that Jackson repeats."""
_LONGEST_TOKEN = 256


class _ComplaintError(Exception):
    def __init__(self, message: str, read: int) -> None:
        super().__init__(message)
        self.found = (message, read)


def complaint(text: str) -> tuple[str, int] | None:
    """The message, and how many characters had been read; None where nothing is wrong."""
    try:
        _Scan(text).document()
    except _ComplaintError as problem:
        return problem.found
    return None


class _Scan:
    """Goes through a text once, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[int] = []
        """Where the brackets stand that are not closed yet."""

    def document(self) -> None:
        if not self._look():
            self._refuse("Unexpected end-of-input")
        self._value()
        while self._open:
            self._entry()
        if character := self._look():
            start = self._at
            self._value()
            self._at = start
            self._unexpected(character)

    def _entry(self) -> None:
        """What follows inside the innermost bracket: its end, or one more entry and what begins in it."""
        start = self._open[-1]
        kind = self._text[start]
        first = self._at == start + 1
        character = self._look()
        if not character:
            marker = f"expected close marker for {_NAMES[kind]} (start marker at {source(self._text, start)})"
            self._refuse(f"Unexpected end-of-input: {marker}")
        if character in "}]":
            self._close(character, start)
            return
        if not first:
            if character != ",":
                self._unexpected(character, f"was expecting comma to separate {_NAMES[kind]} entries")
            self._at += 1
            self._more(kind)
        if kind == "{":
            self._name()
        self._value()

    def _close(self, character: str, start: int) -> None:
        self._at += 1
        kind = self._text[start]
        if character != _ENDS[kind]:
            place = f"(for {_NAMES[kind]} starting at {source(self._text, start)})"
            self._refuse(f"Unexpected close marker '{character}': expected '{_ENDS[kind]}' {place}")
        self._open.pop()

    def _name(self) -> None:
        character = self._more("{")
        if character != '"':
            self._unexpected(character, "was expecting double-quote to start field name")
        self._string("name", " in field name")
        if (character := self._more("{")) != ":":
            self._unexpected(character, "was expecting a colon to separate field name and value")
        self._at += 1
        self._more("{")

    def _value(self) -> None:
        character = self._look()
        if character in _NAMES:
            self._open.append(self._at)
            self._at += 1
        elif character == '"':
            self._string("string value", ": was expecting closing quote for a string value")
        elif character == "-" or (character.isascii() and character.isdigit()):
            self._number()
        else:
            self._word(character)

    def _word(self, character: str) -> None:
        match = _TOKEN.match(self._text, self._at)
        if not match:
            self._unexpected(character, f"expected a valid value {_VALUES}")
        self._at = match.end()
        if match[0] in _WORDS:
            return
        if match[0] in ("NaN", "Infinity"):
            wanted = "enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow"
            self._refuse(f"Non-standard token '{match[0]}': {wanted}")
        token = match[0] if len(match[0]) <= _LONGEST_TOKEN else match[0][:_LONGEST_TOKEN] + "..."
        self._refuse(f"Unrecognized token '{token}': was expecting {_VALUES}")

    def _number(self) -> None:
        match = _NUMBER.match(self._text, self._at)
        if not match:
            self._at += 1
            self._digit_missing("No digit following minus sign")
        digits = match[0].lstrip("-")
        self._at = match.end()
        follower = self._text[self._at : self._at + 1]
        if digits == "0" and follower.isascii() and follower.isdigit():
            self._refuse("Invalid numeric value: Leading zeroes not allowed")
        if follower == "." and digits.isdigit():
            self._at += 1
            self._digit_missing("Decimal point not followed by a digit")
        if follower in ("e", "E") and not {"e", "E"} & set(digits):
            self._at += 2 if self._text[self._at + 1 : self._at + 2] in ("+", "-") else 1
            self._digit_missing("Exponent indicator not followed by a digit")
        if not self._open and follower.strip():
            self._unexpected(follower, "Expected space separating root-level values")

    def _digit_missing(self, reason: str) -> NoReturn:
        character = self._text[self._at : self._at + 1]
        if not character:
            self._refuse("Unexpected end-of-input")
        self._at += 1
        self._refuse(f"Unexpected character ({_shown(character)}) in numeric value: {reason}")

    def _string(self, of: str, at_end: str) -> None:
        text, at = self._text, self._at + 1
        while True:
            match = _PLAIN.match(text, at)
            assert match is not None
            at = match.end()
            self._at = at + 1
            character = text[at : at + 1]
            if character == '"':
                return
            if not character:
                self._at = at
                self._refuse(f"Unexpected end-of-input{at_end}")
            if character != "\\":
                wanted = f"has to be escaped using backslash to be included in {of}"
                self._refuse(f"Illegal unquoted character ({_shown(character)}): {wanted}")
            at = self._escape(at + 1)

    def _escape(self, at: int) -> int:
        """Where the text goes on behind the escape whose letter stands at `at`."""
        letter = self._text[at : at + 1]
        digits = 4 if letter == "u" else 0
        self._at = at + 1
        for place in range(at + 1, at + 1 + digits):
            digit = self._text[place : place + 1]
            self._at = place
            if digit and digit not in "0123456789abcdefABCDEF":
                self._unexpected(digit, "expected a hex-digit for character escape sequence")
            letter = letter and digit
        if not letter:
            self._at = len(self._text)
            self._refuse("Unexpected end-of-input in character escape sequence")
        if not digits and letter not in '"\\/bfnrt':
            self._refuse(f"Unrecognized character escape {_shown(letter)}")
        return at + 1 + digits

    def _look(self) -> str:
        """The next character that is no space; empty at the end of the text."""
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _more(self, kind: str) -> str:
        """The next character where an entry has begun, so that the text must not end."""
        character = self._look()
        if not character:
            self._refuse(f"Unexpected end-of-input within/between {_NAMES[kind]} entries")
        return character

    def _unexpected(self, character: str, wanted: str = "") -> NoReturn:
        self._at += 1
        self._refuse(f"Unexpected character ({_shown(character)})" + (f": {wanted}" if wanted else ""))

    def _refuse(self, message: str) -> NoReturn:
        raise _ComplaintError(message, self._at)


def _shown(character: str) -> str:
    code = ord(character)
    if code < 32 or 127 <= code < 160:
        return f"(CTRL-CHAR, code {code})"
    return f"'{character}' (code {code}" + (f" / 0x{code:x})" if code > 255 else ")")


def source(text: str, read: int) -> str:
    """Where in the text Jackson stood, as it writes it."""
    line = text.count("\n", 0, read) + 1
    column = read - (text.rfind("\n", 0, read) + 1) + 1
    cut = f"[truncated {len(text) - _SHOWN} chars]" if len(text) > _SHOWN else ""
    return f'[Source: (String)"{text[:_SHOWN]}"{cut}; line: {line}, column: {column}]'
