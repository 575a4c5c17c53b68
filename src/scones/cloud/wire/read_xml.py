"""Readers from XML elements to members, one per shape."""

from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from botocore.model import ListShape, MapShape, Shape, StructureShape

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.wire.model import wire_name
from scones.cloud.wire.scalars import MisreadError, each, named, text_reader

__all__ = ["XmlReaders", "load_xml", "xml_value"]

Read = Callable[[Any], Any]

_MALFORMED_XML = "The XML you provided was not well-formed or did not validate against our published schema"


class _Builder(ElementTree.TreeBuilder):
    """Refuses document types, and with them every entity a document could define."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ElementTree.ParseError("document types are not allowed")


def load_xml(body: bytes, root: str) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(body)
        element = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError):
        raise ServiceError("MalformedXML", f"{_MALFORMED_XML}.") from None
    if not isinstance(element, ElementTree.Element) or _local(element.tag) != root:
        raise ServiceError("MalformedXML", f"{_MALFORMED_XML}: the root element is not {root}.")
    return element


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


class XmlReaders:
    def __init__(self) -> None:
        self._structures: dict[str, Read] = {}

    def of(self, shape: Shape) -> Read:
        if isinstance(shape, StructureShape):
            return self.structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        text = text_reader(shape)
        return lambda element: text(element.text or "")

    def structure(self, shape: StructureShape, members: Mapping[str, Shape] | None = None) -> Read:
        if members is None and (known := self._structures.get(shape.name)):
            return known
        elements: dict[str, tuple[str, Read, bool]] = {}
        attributes: dict[str, str] = {}

        def read(element: ElementTree.Element) -> Wire:
            result: Wire = {}
            repeated: dict[str, tuple[Read, list[ElementTree.Element]]] = {}
            for child in element:
                entry = elements.get(_local(child.tag))
                if entry is None:
                    continue
                member, reader, flattened = entry
                if flattened:
                    repeated.setdefault(member, (reader, []))[1].append(child)
                else:
                    result[member] = named(member, reader, child)
            for member, (reader, children) in repeated.items():
                result[member] = named(member, reader, children)
            for key, value in element.attrib.items() if attributes else ():
                if member_name := attributes.get(_local(key)):
                    result[member_name] = value
            return result

        if members is None:
            self._structures[shape.name] = read
        for name, member in (shape.members if members is None else members).items():
            tag, flattened = wire_name(member, name), bool(member.serialization.get("flattened"))
            if member.serialization.get("xmlAttribute"):
                attributes[tag.rpartition(":")[2]] = name
                continue
            if flattened and isinstance(member, ListShape):
                tag = str(member.member.serialization.get("name", tag))
            elements[tag] = (name, self.of(member), flattened)
        return read

    def _list(self, shape: ListShape) -> Read:
        item, flattened = self.of(shape.member), bool(shape.serialization.get("flattened"))
        tag = str(shape.member.serialization.get("name", "member"))
        if flattened:
            return lambda elements: each(item, elements)
        return lambda element: each(item, [c for c in element if _local(c.tag) == tag])

    def _map(self, shape: MapShape) -> Read:
        key, value = text_reader(shape.key), self.of(shape.value)
        key_tag, value_tag = wire_name(shape.key, "key"), wire_name(shape.value, "value")

        def read(entries: Any) -> dict[str, Any]:
            result = {}
            for entry in entries:
                found = {_local(child.tag): child for child in entry}
                if key_tag in found and value_tag in found:
                    name = key(found[key_tag].text or "")
                    result[name] = value(found[value_tag])
            return result

        return read


def xml_value(read: Read, element: ElementTree.Element) -> Any:
    try:
        return read(element)
    except MisreadError as wrong:
        raise ServiceError("MalformedXML", f"{_MALFORMED_XML}. {wrong}") from None
