"""Readers from the fields of a form, `Tags.member.1.Key=a`, to members, one per shape."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.wire.model import wire_name
from scones.cloud.wire.route import parse_query
from scones.cloud.wire.scalars import MisreadError, each, named, text_reader

__all__ = ["FormReaders", "parse_form", "tree"]

Read = Callable[[Any], Any]

_FORM_DEPTH = 32


def parse_form(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_query(body.decode("utf-8"))
    except (UnicodeDecodeError, ServiceError):
        raise ServiceError("MalformedQueryString", "The query string contains a syntax error.") from None


def tree(fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """`Tags.member.1.Key=a` as nested dictionaries; a node's own value lies under the empty name."""
    root: dict[str, Any] = {}
    for name, values in fields.items():
        node = root
        for part in name.split(".", _FORM_DEPTH):
            node = node.setdefault(part, {})
        node[""] = values[-1]
    return root


class FormReaders:
    def __init__(self) -> None:
        self._structures: dict[str, Read] = {}

    def of(self, shape: Shape) -> Read:
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        text = text_reader(shape)
        return lambda node: text(_leaf(node))

    def _structure(self, shape: StructureShape) -> Read:
        if known := self._structures.get(shape.name):
            return known
        plan: dict[str, tuple[str, Read]] = {}

        def read(node: dict[str, Any]) -> Wire:
            result: Wire = {}
            for key, child in node.items():
                entry = plan.get(key) if key else None
                if entry is not None:
                    result[entry[0]] = named(entry[0], entry[1], child)
            return result

        self._structures[shape.name] = read
        for name, member in shape.members.items():
            tag = wire_name(member, name)
            if isinstance(member, ListShape) and member.serialization.get("flattened"):
                tag = str(member.member.serialization.get("name", tag))
            plan[tag] = (name, self.of(member))
        return read

    def _list(self, shape: ListShape) -> Read:
        item, flattened = self.of(shape.member), bool(shape.serialization.get("flattened"))
        tag = str(shape.member.serialization.get("name", "member"))
        return lambda node: each(item, _numbered(node if flattened else node.get(tag, {})))

    def _map(self, shape: MapShape) -> Read:
        key, value = text_reader(shape.key), self.of(shape.value)
        flattened = bool(shape.serialization.get("flattened"))
        key_tag, value_tag = wire_name(shape.key, "key"), wire_name(shape.value, "value")

        def read(node: dict[str, Any]) -> dict[str, Any]:
            result = {}
            for entry in _numbered(node if flattened else node.get("entry", {})):
                if key_tag in entry and value_tag in entry:
                    name = key(_leaf(entry[key_tag]))
                    result[name] = named(name, value, entry[value_tag])
            return result

        return read


def _leaf(node: dict[str, Any]) -> str:
    text = node.get("")
    if text is None:
        raise MisreadError("a value", node)
    return str(text)


def _numbered(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A list's items in the order of their numbers."""
    numbers = [key for key in node if key.isascii() and key.isdigit() and len(key) < 10]
    return [node[key] for key in sorted(numbers, key=int)]
