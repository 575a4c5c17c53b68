"""Readers from JSON values to members, one per shape."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from botocore.model import ListShape, MapShape, Shape, StructureShape

from scones.cloud.errors import ServiceError
from scones.cloud.ports import FileBody, Stream, Wire
from scones.cloud.wire.model import wire_name
from scones.cloud.wire.scalars import (
    MisreadError,
    blob_from_text,
    each,
    in_range,
    int_limit,
    read_timestamp,
)

__all__ = ["JsonReaders", "load_json"]

Read = Callable[[Any], Any]


def load_json(body: bytes | Stream | FileBody) -> Any:
    assert isinstance(body, bytes)
    if not body or body.isspace():
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as wrong:
        raise ServiceError("SerializationException", f"The request body is not JSON: {wrong}") from None


class JsonReaders:
    """Readers of one operation's shapes; structures are shared, for they may contain themselves."""

    def __init__(self) -> None:
        self._structures: dict[str, Read] = {}

    def of(self, shape: Shape) -> Read:
        if isinstance(shape, StructureShape):
            return _as_it_is if shape.is_document_type else self.structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        return _json_scalar(shape)

    def structure(self, shape: StructureShape, members: Mapping[str, Shape] | None = None) -> Read:
        if members is None and (known := self._structures.get(shape.name)):
            return known
        plan: dict[str, tuple[str, Read]] = {}

        def read(value: Any) -> Wire:
            if type(value) is not dict:
                raise MisreadError("an object", value)
            result: Wire = {}
            for key, raw in value.items():
                entry = plan.get(key)
                if entry is not None and raw is not None:
                    try:
                        result[entry[0]] = entry[1](raw)
                    except MisreadError as wrong:
                        wrong.path.append(entry[0])
                        raise
            return result

        if members is None:
            self._structures[shape.name] = read
        for name, member in (shape.members if members is None else members).items():
            plan[wire_name(member, name)] = (name, self.of(member))
        return read

    def _list(self, shape: ListShape) -> Read:
        item = self.of(shape.member)

        def read(value: Any) -> list[Any]:
            if type(value) is not list:
                raise MisreadError("a list", value)
            return each(item, [v for v in value if v is not None])

        return read

    def _map(self, shape: MapShape) -> Read:
        item = self.of(shape.value)

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise MisreadError("an object", value)
            result = {}
            for key, raw in value.items():
                if raw is not None:
                    try:
                        result[key] = item(raw)
                    except MisreadError as wrong:
                        wrong.path.append(key)
                        raise
            return result

        return read


def _as_it_is(value: Any) -> Any:
    return value


def _json_string(value: Any) -> str:
    if type(value) is not str:
        raise MisreadError("a string", value)
    return value


def _json_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise MisreadError("true or false", value)
    return value


def _json_integer(limit: int) -> Read:
    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise MisreadError("an integer", value)
        return in_range(value, limit)

    return read


def _json_float(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    raise MisreadError("a number", value)


def _json_blob(value: Any) -> bytes:
    return blob_from_text(_json_string(value))


def _json_scalar(shape: Shape) -> Read:
    match shape.type_name:
        case "integer" | "long":
            return _json_integer(int_limit(shape.type_name))
        case "float" | "double":
            return _json_float
        case "boolean":
            return _json_boolean
        case "timestamp":
            return read_timestamp
        case "blob":
            return _json_blob
    return _json_string
