"""What a target receives: the event, a part of it, a constant, or a template filled from it. Pure.

Source: EventBridge User Guide, "Input transformation"; where a value stands in a text and is no text
itself, it follows what was recorded on AWS.
"""

import json
import re
from typing import Any

from scones.cloud.asl.jsontext import dumps
from scones.cloud.asl.paths import PathError, compile_path
from scones.cloud.ports import Wire

__all__ = ["InputError", "placeholders", "target_input"]

_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")
_TOKEN = re.compile(r"\\.|\"|<[A-Za-z0-9_.-]+>", re.DOTALL)
_MISSING: Any = object()
_DECODER = json.JSONDecoder()


class InputError(Exception):
    """What would be delivered is no JSON: nothing is."""


def placeholders(template: str) -> list[str]:
    return _PLACEHOLDER.findall(template)


def target_input(target: Wire, event: Wire, *, rule_arn: str, rule_name: str, now: str) -> str:
    """The text for one target; now: when the event came in, as EventBridge writes it.

    Raises InputError.
    """
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        found = _found(target["InputPath"], event)
        return _compact(None if found is _MISSING else found)
    if "InputTransformer" in target:
        transformer = target["InputTransformer"]
        values = {name: _found(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
        values |= _predefined(event, rule_arn=rule_arn, rule_name=rule_name, now=now)
        return _filled(transformer["InputTemplate"], values)
    return _compact(event)


def _compact(value: Any) -> str:
    try:
        return dumps(value)
    except ValueError as problem:
        raise InputError(str(problem)) from None


def _found(path: str, event: Wire) -> Any:
    try:
        return compile_path(path).find(event)
    except PathError:
        return _MISSING


def _predefined(event: Wire, *, rule_arn: str, rule_name: str, now: str) -> dict[str, Any]:
    shown = ("id", "account", "detail-type", "time", "source", "region", "resources", "version")
    names = {"detail-type": "detailType"}
    return {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_name,
        "aws.events.event.ingestion-time": now,
        "aws.events.event": {names.get(name, name): event[name] for name in shown},
        "aws.events.event.json": event,
    }


def _filled(template: str, values: dict[str, Any]) -> str:
    """A value between quotes stands as part of their text, elsewhere as JSON; a missing one is empty."""
    in_text, of_texts = False, template.lstrip().startswith('"')

    def fill(token: re.Match[str]) -> str:
        nonlocal in_text
        if token[0] == '"':
            in_text = not in_text
        if token[0][0] != "<":
            return token[0]
        value = values.get(token[0][1:-1], _MISSING)
        if value is _MISSING:
            return "" if in_text else '""'
        if not in_text:
            return _compact(value)
        if isinstance(value, str):
            return _compact(value)[1:-1]
        return _compact(value).replace('"', "") if of_texts else _compact(value)

    filled = _TOKEN.sub(fill, template)
    if not _is_json(filled):
        raise InputError(f"the template, filled, is no JSON: {filled[:200]}")
    return filled


def _is_json(text: str) -> bool:
    """Whether a text is JSON, or several JSON values after each other, as texts on lines of their own."""
    try:
        rest = text.strip()
        while rest:
            _, end = _DECODER.raw_decode(rest)
            rest = rest[end:].lstrip()
    except (ValueError, RecursionError):
        return False
    return bool(text.strip())
