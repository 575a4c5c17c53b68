"""What Java's Jackson says about a text that is no JSON, in the words that AWS passes on."""

import json
import re

__all__ = ["complaint", "source"]

_TOKEN = re.compile(r"[\w$]+")
_SHOWN = 500
"""Characters of the text that Jackson repeats."""


def complaint(text: str) -> tuple[str, int] | None:
    """The message, and how many characters had been read; None where nothing is wrong."""
    try:
        json.loads(text)
    except json.JSONDecodeError as problem:
        at = problem.pos
        rest = text[at:]
        if not rest:
            return "Unexpected end-of-input", at
        if "property name" in problem.msg:
            wanted = "was expecting double-quote to start field name"
            return f"Unexpected character ({_shown(rest[0])}): {wanted}", at + 1
        if token := _TOKEN.match(rest):
            known = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
            return f"Unrecognized token '{token[0]}': was expecting {known}", at + token.end()
        return f"Unexpected character ({_shown(rest[0])})", at + 1
    except RecursionError:
        return "Document nesting depth exceeds the maximum allowed", 0
    return None


def _shown(character: str) -> str:
    return f"'{character}' (code {ord(character)})"


def source(text: str, read: int) -> str:
    """Where in the text Jackson stood, as it writes it."""
    line = text.count("\n", 0, read) + 1
    column = read - (text.rfind("\n", 0, read) + 1) + 1
    cut = f"[truncated {len(text) - _SHOWN} chars]" if len(text) > _SHOWN else ""
    return f'[Source: (String)"{text[:_SHOWN]}"{cut}; line: {line}, column: {column}]'
