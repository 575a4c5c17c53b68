"""Expressions as trees: the one place that knows the library, of which only the parser is used.

Where the library reads another version of the language, or trips over a text's end, its parts are replaced.
"""

import re
import threading
from collections.abc import Iterator
from typing import Any

from jsonata import jexception  # type: ignore[import-untyped]
from jsonata.parser import Parser  # type: ignore[import-untyped]
from jsonata.tokenizer import Tokenizer  # type: ignore[import-untyped]

from scones.cloud.asl.queryerrors import QuerySyntaxError
from scones.cloud.asl.regexes import RegexError, compile_regex

from .errors import JsonataError, fill
from .signatures import Signature, SignatureError, parse_signature
from .text import quote
from .values import paired

__all__ = ["parse_tree", "stray_references"]

_SPACE = " \t\n\r\v"
_LATER = ("?:", "??")
"""Operators of version 2.1, which Step Functions does not have."""
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)


def _regex(pattern: str, flags: Any) -> Any:
    """Raises QuerySyntaxError for what RE2 lacks: look-around, backreferences."""
    text = _ESCAPED.sub(lambda found: f"\\x{{{found[1]}}}" if found[1] else found[0], pattern)
    try:
        return compile_regex(
            f"(?m){text}" if flags.multiline else text, case_sensitive=not flags.case_insensitive
        )
    except RegexError as problem:
        told = f"The regular expression /{pattern}/ is not supported by this cloud yet: {problem}"
        raise QuerySyntaxError("NOT_SUPPORTED", told) from None


class _Text(str):
    """A text of which every position beyond the end is empty."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> str:
        try:
            return super().__getitem__(key)
        except IndexError:
            return ""


class _Tokenizer(Tokenizer):  # type: ignore[misc]  # the library's modules are not typed strictly
    position: int

    def __init__(self, text: str) -> None:
        super().__init__(_Text(text), _regex)

    def next(self, prefix: bool) -> Any:
        while self.position < self.length and self.path[self.position] in _SPACE:
            self.position += 1
        if self.path[self.position] == "/" and self.path[self.position + 1] == "*":
            return self._after_comment(prefix)
        start = self.position
        try:
            token = super().next(prefix)
        except jexception.JException as problem:
            raise self._precise(problem, start) from None
        if token is not None and token.type == "operator" and token.value in ("!", "~"):
            raise JsonataError("S0204", token=token.value)
        if token is not None and token.type == "operator" and token.value in _LATER:
            self.position -= 1
            token.value = "?"
            token.position -= 1
        if token is not None and token.type == "string":
            token.value = paired(token.value)
        return token

    def _after_comment(self, prefix: bool) -> Any:
        end = self.path.find("*/", self.position + 2)
        if end == -1 or end + 1 >= self.length:
            raise JsonataError("S0106")
        self.position = end + 2
        return self.next(prefix)

    def _precise(self, problem: Any, start: int) -> Any:
        """The error with what the library leaves out."""
        if problem.error == "S0102":
            number = re.match(r"-?[0-9]+(?:\.[0-9]+)?(?:[Ee][-+]?[0-9]+)?", self.path[start:])
            return JsonataError("S0102", token=number[0] if number else "")
        if problem.error == "S0301" and self.path[start] in "\"'":
            return JsonataError("S0103", token=problem.current)
        return problem


class _Call(Parser.InfixFunctionInvocation):  # type: ignore[misc]
    """Calls, and functions as they are written, whose signatures are read here."""

    def led(self, left: Any) -> Any:
        parser = self._outer_instance
        if left.type != "name" or left.value not in ("function", "\u03bb"):
            return super().led(left)
        name, left.value = left.value, "("
        try:
            call = super().led(left)
        finally:
            left.value = name
        for n, argument in enumerate(call.arguments, 1):
            if argument.type != "variable":
                raise JsonataError("S0208", value=n)
        call.type = "lambda"
        if parser.node.id == "<":
            call.signature = _read_signature(parser)
        parser.advance("{")
        call.body = parser.expression(0)
        parser.advance("}")
        return call


def _read_signature(parser: Any) -> Signature:
    depth, text = 1, "<"
    while depth > 0 and parser.node.id not in ("{", "(end)"):
        token = parser.advance()
        depth += (token.id == "<") - (token.id == ">")
        text += str(token.value)
    parser.advance(">")
    try:
        return parse_signature(text)
    except SignatureError as problem:
        raise JsonataError(problem.code) from None


class _Parser(Parser):  # type: ignore[misc]
    errors: list[Any]
    ancestry: list[Any]

    def __init__(self) -> None:
        super().__init__()
        for name in _LATER:
            del self.symbol_table[name]
        call = _Call(self, Tokenizer.operators["("])
        del self.symbol_table["("]
        self.register(call)

    def parse_text(self, text: str) -> Any:
        self.source = text
        self.lexer = _Tokenizer(text)
        self.errors, self.ancestry = [], []
        self.ancestor_label = self.ancestor_index = 0
        self.advance()
        tree = self.expression(0)
        if self.node.id != "(end)":
            raise JsonataError("S0201", token=self.node.value)
        tree = self.process_ast(tree)
        if tree.type == "parent" or tree.seeking_parent is not None:
            raise JsonataError("S0217")
        return tree


_OF_THREAD = threading.local()


def _parser() -> _Parser:
    """The thread's own; making one takes longer than most expressions."""
    if not hasattr(_OF_THREAD, "parser"):
        _OF_THREAD.parser = _Parser()
    found: _Parser = _OF_THREAD.parser
    return found


def parse_tree(text: str) -> Any:
    """Raises QuerySyntaxError, with the text of JSONata's error."""
    try:
        return _parser().parse_text(text)
    except QuerySyntaxError:
        raise
    except JsonataError as problem:
        reason = fill(problem.code, problem.details, quote)
    except jexception.JException as problem:
        reason = fill(problem.error, _details(problem), quote)
    except RecursionError:
        reason = "the expression is nested too deeply"
    except Exception as problem:  # the parser trips over broken texts in many ways
        reason = str(problem)
    raise QuerySyntaxError("INVALID_JSONATA_EXPRESSION", reason)


def _details(problem: Any) -> dict[str, Any]:
    """What the library's error tells, by the name that the text knows it by."""
    if problem.error in ("S0202", "S0203"):
        return {"value": problem.current, "token": problem.expected}
    return {"value" if problem.error == "S0213" else "token": problem.current}


def stray_references(parsed: Any) -> list[str]:
    """What an expression reads of a context item, of which Step Functions has none: names, `$`, `*`.

    Inside functions the expression makes, nothing is said about them.
    """
    return list(dict.fromkeys(_strays(parsed)))


def _strays(node: Any) -> Iterator[str]:
    kind = getattr(node, "type", None)
    if kind in ("name", "wildcard", "descendant"):
        yield str(node.value)
    elif kind == "variable" and node.value in ("", "$"):
        yield f"${node.value}"
    elif kind == "path":
        yield from _strays(node.steps[0])
    for part in _PARTS.get(str(kind), ()):
        yield from _strays_of(getattr(node, part, None))


def _strays_of(part: Any) -> Iterator[str]:
    if isinstance(part, list | tuple):
        for item in part:
            yield from _strays_of(item)
    elif part is not None:
        yield from _strays(part)


_PARTS = {
    "unary": ("expressions", "lhs_object", "expression"),
    "function": ("arguments",),
    "partial": ("arguments",),
    "block": ("expressions",),
    "condition": ("condition", "then", "_else"),
    "binary": ("lhs", "rhs"),
    "bind": ("rhs",),
    "apply": ("lhs", "rhs"),
}
"""The parts of each kind of node that are evaluated where the node is."""
