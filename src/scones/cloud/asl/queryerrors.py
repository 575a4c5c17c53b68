"""How a JSONata expression fails, in the words that AWS passes on.

The templates are the library's. It has "Object" where the language says "function", shows texts without
their quotes, and at some places hands over other values than the template names.
"""

import re
from collections.abc import Sequence
from typing import Any

from .jsontext import dumps

__all__ = ["DEPTH", "MEMORY", "TIME", "QueryError", "QuerySyntaxError", "rendered"]

_PLACEHOLDER = re.compile(r"\{\{\{(\w+)\}\}\}|\{\{(\w+)\}\}")
_KINDS = {"a": "arrays", "b": "booleans", "f": "functions", "n": "numbers", "o": "objects", "s": "strings"}


class QueryError(Exception):
    """An expression failed while it ran.

    code: JSONata's; empty where what Step Functions allows an evaluation is spent.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code

    @property
    def ending(self) -> str:
        """What follows the sentence that an expression threw an error."""
        return f". {self}" if self.code else f": {self}"


class QuerySyntaxError(ValueError):
    """A text that is no JSONata, or none that Step Functions or this interpreter takes.

    code: of the diagnostic.  place: where it stands below the payload's root, as `/a/b[0]`.
    """

    def __init__(self, code: str, message: str, place: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.place = place


TIME = "Expression evaluation timeout: Check for infinite loop"
MEMORY = "Expression evaluation memory limit exceeded: Check for excessive memory usage"
DEPTH = (
    "Stack overflow error: Check for non-terminating recursive function."
    " Consider rewriting as tail-recursive."
)


def rendered(code: str, template: str, values: Sequence[Any]) -> str:
    """The message. values: one for each placeholder, in the order of the template."""
    left = list(_corrected(code, values))

    def replace(match: re.Match[str]) -> str:
        value = left.pop(0) if left else None
        if match[1]:
            return str(value)
        return _shown(value)

    return _PLACEHOLDER.sub(replace, template.replace(" Object ", " function "))


def _corrected(code: str, values: Sequence[Any]) -> Sequence[Any]:
    if code == "T0412":
        index, function, kind = values
        return index, function, _KINDS.get(str(kind)[:1], kind)
    if code == "D1002":
        return values[1:]
    return values


def _shown(value: Any) -> str:
    try:
        return dumps(value)
    except (TypeError, ValueError):
        return f'"{value}"'
