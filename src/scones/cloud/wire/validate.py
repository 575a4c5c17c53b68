"""What the model demands of an input, in AWS's words: required, kind, enum, length, range, pattern."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.wire.model import OperationSpec
from scones.cloud.wire.patterns import compile_pattern

__all__ = ["refuse_unknown", "validate", "validation_code"]

Report = list[str]
Check = Callable[[Any, str, Report], None]

_SHOWN = 1024
_CODES = {
    "logs": "InvalidParameterException",
    "sns": "InvalidParameter",
    "sagemaker-runtime": "ValidationError",
    "s3": "InvalidArgument",
}
_LEFT_TO_THE_SERVICE = frozenset({"BucketLocationConstraint"})
"""Shapes whose wrong values have an error code of their own."""


def validation_code(operation: OperationSpec) -> str:
    service = operation.service
    default = "ValidationError" if service.protocol == "query" else "ValidationException"
    return _CODES.get(service.name, default)


def validate(operation: OperationSpec, request: Wire) -> None:
    """Raises ServiceError that lists everything wrong with the request."""
    report: Report = []
    _plan(operation)(request, "", report)
    if report:
        count = f"{len(report)} validation error{'s' if len(report) > 1 else ''} detected: "
        code = validation_code(operation)
        if operation.document and any(f"at '{_lower(operation.document)}." in text for text in report):
            code = "MalformedXML"
        raise ServiceError(code, count + "; ".join(report))


def refuse_unknown(operation: OperationSpec, request: Wire) -> None:
    """For requests that no parser has read: a member the operation lacks is a mistake."""
    known = operation.input.members if operation.input else {}
    for name in request:
        if name not in known:
            raise ServiceError(
                validation_code(operation),
                f"{operation.name} has no parameter '{name}'; it has: {list(known)}",
            )


@cache
def _plan(operation: OperationSpec) -> Check:
    if operation.input is None:
        return lambda request, path, report: None
    return _Checks(streaming=operation.streaming_member).of(operation.input)


class _Checks:
    """Checks of one operation's shapes; structures are shared, for they may contain themselves."""

    def __init__(self, *, streaming: str | None) -> None:
        self._streaming = streaming
        self._structures: dict[str, Check] = {}

    def of(self, shape: Shape) -> Check:
        if isinstance(shape, StructureShape):
            return _pass if shape.is_document_type else self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        return _scalar(shape)

    def _structure(self, shape: StructureShape) -> Check:
        if known := self._structures.get(shape.name):
            return known
        plan: dict[str, tuple[str, Check]] = {}
        required = [(name, _lower(name)) for name in shape.required_members]
        union = bool(shape.is_tagged_union)

        def check(value: Any, path: str, report: Report) -> None:
            if not isinstance(value, dict):
                report.append(_wrong_kind(value, path, "an object"))
                return
            prefix = f"{path}." if path else ""
            for name, lower in required:
                if value.get(name) is None:
                    report.append(
                        f"Value null at '{prefix}{lower}' failed to satisfy constraint: "
                        "Member must not be null"
                    )
            for name, member in value.items():
                entry = plan.get(name)
                if entry is not None and member is not None:
                    entry[1](member, prefix + entry[0], report)
            if union and sum(v is not None for v in value.values()) != 1:
                report.append(_violation(value, path, "Member must have exactly one member set"))

        self._structures[shape.name] = check
        for name, member in shape.members.items():
            if name != self._streaming:
                plan[name] = (_lower(name), self.of(member))
        return check

    def _list(self, shape: ListShape) -> Check:
        item, size = self.of(shape.member), _size(shape)

        def check(value: Any, path: str, report: Report) -> None:
            if not isinstance(value, list | tuple):
                report.append(_wrong_kind(value, path, "a list"))
                return
            size(value, path, report)
            for index, element in enumerate(value, 1):
                item(element, f"{path}.{index}.member", report)

        return check

    def _map(self, shape: MapShape) -> Check:
        key, item, size = self.of(shape.key), self.of(shape.value), _size(shape)

        def check(value: Any, path: str, report: Report) -> None:
            if not isinstance(value, dict):
                report.append(_wrong_kind(value, path, "an object"))
                return
            size(value, path, report)
            for name, element in value.items():
                inner: Report = []
                key(name, path, inner)
                report.extend(f"{_map_part(text)}" for text in inner)
                item(element, f"{path}.{name}.member", report)

        return check


def _pass(value: Any, path: str, report: Report) -> None:
    pass


def _map_part(text: str) -> str:
    head, _, constraint = text.partition("failed to satisfy constraint: ")
    return f"{head}failed to satisfy constraint: Map keys must satisfy constraint: [{constraint}]"


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _violation(value: Any, path: str, constraint: str, *, secret: bool = False) -> str:
    shown = "" if secret else f" '{str(value)[:_SHOWN]}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {constraint}"


def _wrong_kind(value: Any, path: str, wanted: str) -> str:
    return _violation(value, path, f"Member must be {wanted}")


def _size(shape: Shape) -> Check:
    return _bounds(shape.metadata, len, "length")


def _bounds(metadata: Mapping[str, Any], measure: Callable[[Any], Any], what: str) -> Check:
    lowest, highest = _number(metadata.get("min")), _number(metadata.get("max"))
    secret = bool(metadata.get("sensitive"))
    if lowest is None and highest is None:
        return _pass

    def check(value: Any, path: str, report: Report) -> None:
        measured = measure(value)
        if lowest is not None and measured < lowest:
            text = f"Member must have {what} greater than or equal to {metadata['min']}"
            report.append(_violation(value, path, text, secret=secret))
        if highest is not None and measured > highest:
            text = f"Member must have {what} less than or equal to {metadata['max']}"
            report.append(_violation(value, path, text, secret=secret))

    return check


def _number(value: Any) -> float | int | None:
    return float(value) if isinstance(value, str) else value


def _value(value: Any) -> Any:
    return value


_KINDS: dict[str, tuple[Any, str]] = {
    "integer": (int, "an integer"),
    "long": (int, "an integer"),
    "float": (int | float, "a number"),
    "double": (int | float, "a number"),
    "boolean": (bool, "a boolean"),
    "timestamp": (datetime, "a timestamp"),
    "blob": (bytes | bytearray, "bytes"),
}


def _scalar(shape: Shape) -> Check:
    kind, words = _KINDS.get(shape.type_name, (str, "a string"))
    bounds: Check = _pass
    if shape.type_name in ("integer", "long", "float", "double"):
        bounds = _bounds(shape.metadata, _value, "value")
    elif shape.type_name in ("string", "blob", "character"):
        bounds = _size(shape)
    form: Check = _form(shape) if shape.type_name == "string" else _pass
    numeric = kind is int or kind == int | float

    def check(value: Any, path: str, report: Report) -> None:
        if not isinstance(value, kind) or (numeric and isinstance(value, bool)):
            report.append(_wrong_kind(value, path, words))
            return
        bounds(value, path, report)
        form(value, path, report)

    return check


def _form(shape: Shape) -> Check:
    """A string's enum and pattern."""
    enum = frozenset(getattr(shape, "enum", ()) or ())
    if shape.name in _LEFT_TO_THE_SERVICE:
        enum = frozenset()
    text = shape.metadata.get("pattern")
    pattern: re.Pattern[str] | None = compile_pattern(str(text)) if text else None
    if not enum and pattern is None:
        return _pass
    words = f"Member must satisfy enum value set: [{', '.join(getattr(shape, 'enum', ()))}]"
    secret = bool(shape.metadata.get("sensitive"))
    longest = _number(shape.metadata.get("max")) or float("inf")

    def check(value: Any, path: str, report: Report) -> None:
        if enum and value not in enum:
            report.append(_violation(value, path, words, secret=secret))
        # What is too long is refused for that; some patterns would take minutes over it.
        if pattern is not None and len(value) <= longest and pattern.fullmatch(value) is None:
            constraint = f"Member must satisfy regular expression pattern: {text}"
            report.append(_violation(value, path, constraint, secret=secret))

    return check
