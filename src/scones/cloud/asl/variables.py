"""Which variables each state of a definition reads, as DescribeStateMachine tells."""

import re
from typing import Any

from .jsontext import loads

__all__ = ["variable_references"]

_REFERENCE = re.compile(r"(?<![\w$'])\$([A-Za-z_]\w*)")
_INNER = ("States", "Branches", "ItemProcessor", "Iterator")


def variable_references(definition: str) -> dict[str, list[str]]:
    """State name -> sorted names; states that read none are left out."""
    found: dict[str, list[str]] = {}
    _search_block(loads(definition), found)
    return found


def _search_block(block: Any, found: dict[str, list[str]]) -> None:
    states = block.get("States", {}) if isinstance(block, dict) else {}
    for name, state in states.items():
        names = {match for text in _expressions(state, "") for match in _REFERENCE.findall(text)}
        if names:
            found[name] = sorted(names)
        for inner in (*state.get("Branches", []), state.get("ItemProcessor"), state.get("Iterator")):
            _search_block(inner, found)


def _expressions(value: Any, key: str) -> list[str]:
    """The texts that are read as paths or calls: of `.$` keys, of ...Path fields, of Variable."""
    if isinstance(value, str):
        return [value] if key.endswith((".$", "Path")) or key == "Variable" else []
    if isinstance(value, list):
        return [text for item in value for text in _expressions(item, key)]
    if isinstance(value, dict):
        inner = [(k, v) for k, v in value.items() if k not in _INNER]
        return [text for k, v in inner for text in _expressions(v, k)]
    return []
