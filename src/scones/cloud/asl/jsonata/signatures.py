"""Signatures of functions, as `<s-nn?:s>`: which arguments a function takes.

An argument's kind is a letter: a(rray) b(oolean) f(unction) n(umber) o(bject) s(tring), l for null, m for
missing. A signature is a regular expression over these letters.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import JsonataError

__all__ = ["Signature", "SignatureError", "parse_signature"]

_ANY = "asnblfom"
_KINDS = {
    **{kind: f"[{kind}m]" for kind in "snblo"},
    "a": f"[{_ANY}]",
    "x": f"[{_ANY}]",
    "f": "f",
    "j": "[asnblom]",
}
_PLURALS = {
    "a": "arrays", "b": "booleans", "f": "functions", "n": "numbers", "o": "objects", "s": "strings",
}  # fmt: skip


class SignatureError(ValueError):
    """A signature that says what signatures cannot say."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class _Parameter:
    kind: str
    pattern: str
    context: str | None = None
    """What kinds the context value may be of, where it stands in for a missing argument."""
    content: str | None = None
    """What an array holds."""


@dataclass(slots=True)
class Signature:
    text: str
    parameters: list[_Parameter]
    pattern: re.Pattern[str]

    def validate(
        self, arguments: list[Any], context: Any, kind_of: Callable[[Any], str], missing: Any
    ) -> list[Any]:
        """The arguments as the function gets them. Raises JsonataError T0410, T0411, T0412."""
        supplied = "".join(map(kind_of, arguments))
        fit = self.pattern.match(supplied)
        if fit is None:
            raise JsonataError("T0410", index=self._fits_to(supplied) + 1)
        validated: list[Any] = []
        position = 0
        for parameter, kinds in zip(self.parameters, fit.groups(), strict=True):
            if not kinds and parameter.context is not None:
                if not re.search(parameter.context, kind_of(context)):
                    raise JsonataError("T0411", index=position + 1)
                validated.append(context)
                continue
            argument = arguments[position] if position < len(arguments) else missing
            for kind in kinds or " ":  # of several the reference repeats the first, unless they are arrays
                if parameter.kind == "a" and kind == "m":
                    argument = missing
                elif parameter.kind == "a" and kind != " ":
                    argument = arguments[position]
                    argument = _array(parameter, argument, kind, kinds, position, kind_of)
                validated.append(argument)
                position += 1
        return validated

    def _fits_to(self, supplied: str) -> int:
        """How many arguments fit."""
        fits, pattern = 0, ""
        for parameter in self.parameters:
            pattern += parameter.pattern
            fit = re.match(pattern, supplied)
            if fit is None:
                return fits
            fits = fit.end()
        return fits


def _array(
    parameter: _Parameter, argument: Any, kind: str, kinds: str, position: int, kind_of: Callable[[Any], str]
) -> Any:
    content = parameter.content
    if content is not None:
        fits = kinds == content if kind != "a" else all(kind_of(item) == content[:1] for item in argument)
        if not fits:
            plural = {"type": _PLURALS[content]} if content in _PLURALS else {}
            raise JsonataError("T0412", index=position + 1, **plural)
    return argument if kind == "a" else [argument]


def _closing(text: str, start: int, opening: str, closing: str) -> int:
    depth, position = 1, start
    while position < len(text) - 1 and depth:
        position += 1
        depth += (text[position] == opening) - (text[position] == closing)
    return position if not depth else len(text)


def parse_signature(text: str) -> Signature:
    """Raises SignatureError."""
    parameters: list[_Parameter] = []
    position = 1
    while position < len(text) and text[position] != ":":
        symbol = text[position]
        last = parameters[-1] if parameters else _Parameter("", "")
        if symbol in _KINDS:
            parameters.append(_Parameter(symbol, _KINDS[symbol]))
        elif symbol == "-":
            last.context = last.pattern
            last.pattern += "?"
        elif symbol in "?+":
            last.pattern += symbol
        elif symbol == "(":
            end = _closing(text, position, "(", ")")
            choice = text[position + 1 : end]
            if "<" in choice:
                raise SignatureError("S0402")
            parameters.append(_Parameter(f"({choice})", f"[{choice}m]"))
            position = end
        elif symbol == "<":
            if last.kind not in ("a", "f"):
                raise SignatureError("S0401")
            end = _closing(text, position, "<", ">")
            last.content = text[position + 1 : end]
            position = end
        position += 1
    try:
        return Signature(text, parameters, re.compile("".join(f"({p.pattern})" for p in parameters) + r"\Z"))
    except re.error:
        raise SignatureError("S0401") from None
