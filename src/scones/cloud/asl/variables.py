"""Which variables each state of a definition reads, as DescribeStateMachine tells."""

import re
from typing import Any

from .jsontext import loads
from .query import is_query

__all__ = ["variable_references"]

_REFERENCE = re.compile(r"(?<![\w$'])\$([A-Za-z_]\w*)")
_QUOTED = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`""")
_CALL = re.compile(r"\$\w+\s*\(")
_BOUND = re.compile(r"\$(\w+)\s*:=")
_PARAMETERS = re.compile(r"(?:function|λ)\s*\(([^)]*)\)")
_INNER = ("States", "Branches", "ItemProcessor", "Iterator")


def variable_references(definition: str) -> dict[str, list[str]]:
    """State name -> sorted names; states that read none are left out."""
    found: dict[str, list[str]] = {}
    _search_block(loads(definition), found)
    return found


def _search_block(block: Any, found: dict[str, list[str]]) -> None:
    states = block.get("States", {}) if isinstance(block, dict) else {}
    for name, state in states.items():
        names = {name for text in _expressions(state, "") for name in _names(text)}
        if names:
            found[name] = sorted(names)
        for inner in (*state.get("Branches", []), state.get("ItemProcessor"), state.get("Iterator")):
            _search_block(inner, found)


def _names(text: str) -> set[str]:
    """Of JSONata: neither functions called nor what the expression itself binds."""
    if not is_query(text):
        return set(_REFERENCE.findall(text))
    bare = _QUOTED.sub("''", text)
    bound = {*_BOUND.findall(bare), *_REFERENCE.findall(" ".join(_PARAMETERS.findall(bare))), "states"}
    return set(_REFERENCE.findall(_CALL.sub("(", bare))) - bound


def _expressions(value: Any, key: str) -> list[str]:
    """The texts that are read: of `.$` keys, of ...Path fields, of Variable, and all of JSONata."""
    if isinstance(value, str):
        return [value] if is_query(value) or key.endswith((".$", "Path")) or key == "Variable" else []
    if isinstance(value, list):
        return [text for item in value for text in _expressions(item, key)]
    if isinstance(value, dict):
        inner = [(k, v) for k, v in value.items() if k not in _INNER]
        return [text for k, v in inner for text in _expressions(v, k)]
    return []
