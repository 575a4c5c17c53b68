"""From a request to an operation's input with AWS's member names: one plan per operation, built once.

Unknown members are overlooked, as AWS does; a value of the wrong kind is a ServiceError.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import unquote

from botocore.model import ListShape, Shape, StructureShape

from scones.cloud.errors import ServiceError
from scones.cloud.ports import FileBody, Stream, Wire
from scones.cloud.wire.model import OperationSpec, wire_name
from scones.cloud.wire.read_form import FormReaders, parse_form, tree
from scones.cloud.wire.read_json import JsonReaders, load_json
from scones.cloud.wire.read_xml import XmlReaders, load_xml, xml_value
from scones.cloud.wire.scalars import MisreadError, named, text_reader

__all__ = ["Incoming", "parse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A routed request: everything that an operation's members may come from."""

    labels: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Stream | FileBody = b""


def parse(operation: OperationSpec, protocol: str, incoming: Incoming) -> Wire:
    """Raises ServiceError for whatever cannot be read, in the protocol's own code."""
    try:
        return _plan(operation, protocol)(incoming)
    except MisreadError as wrong:
        raise ServiceError(_BAD_VALUE[protocol], str(wrong)) from None
    except RecursionError:
        raise ServiceError(_BAD_BODY[protocol], "The request is nested too deeply.") from None


_BAD_VALUE = {
    "json": "SerializationException",
    "rest-json": "SerializationException",
    "query": "MalformedInput",
    "rest-xml": "InvalidArgument",
}
_BAD_BODY = _BAD_VALUE | {"rest-xml": "MalformedXML"}


@cache
def _plan(operation: OperationSpec, protocol: str) -> Callable[[Incoming], Wire]:
    if operation.input is None:
        return lambda incoming: {}
    if protocol == "json":
        return _json_plan(operation.input)
    if protocol == "query":
        return _query_plan(operation.input)
    return _rest_plan(operation.input, protocol)


def _json_plan(shape: StructureShape) -> Callable[[Incoming], Wire]:
    read = JsonReaders().structure(shape)

    def plan(incoming: Incoming) -> Wire:
        result: Wire = read(load_json(incoming.body))
        return result

    return plan


def _query_plan(shape: StructureShape) -> Callable[[Incoming], Wire]:
    read = FormReaders().of(shape)

    def plan(incoming: Incoming) -> Wire:
        fields: Mapping[str, Sequence[str]] = incoming.query
        if isinstance(incoming.body, bytes) and incoming.body:
            fields = {**fields, **parse_form(incoming.body)}
        result: Wire = read(tree(fields))
        return result

    return plan


Bind = Callable[[Incoming, Wire], None]


def _rest_plan(shape: StructureShape, protocol: str) -> Callable[[Incoming], Wire]:
    binds = [_bind(name, member) for name, member in shape.members.items() if _located(member)]
    binds.append(_body(shape, protocol))

    def plan(incoming: Incoming) -> Wire:
        result: Wire = {}
        for bind in binds:
            bind(incoming, result)
        return result

    return plan


def _located(member: Shape) -> bool:
    return "location" in member.serialization


def _bind(name: str, member: Shape) -> Bind:
    match member.serialization["location"]:
        case "uri":
            return _bind_label(name, member)
        case "querystring":
            return _bind_query(name, member)
        case "headers":
            return _bind_headers(name, member)
    return _bind_header(name, member)


def _bind_label(name: str, member: Shape) -> Bind:
    label, read = wire_name(member, name), text_reader(member)

    def bind(incoming: Incoming, result: Wire) -> None:
        try:
            text = unquote(incoming.labels[label], errors="strict")
        except UnicodeDecodeError:
            raise ServiceError("InvalidURI", "Couldn't parse the specified URI.") from None
        result[name] = named(name, read, text)

    return bind


def _bind_query(name: str, member: Shape) -> Bind:
    key = wire_name(member, name)
    if isinstance(member, ListShape):
        item = text_reader(member.member)

        def bind_list(incoming: Incoming, result: Wire) -> None:
            if key in incoming.query:
                result[name] = [named(name, item, text) for text in incoming.query[key]]

        return bind_list
    read = text_reader(member)

    def bind(incoming: Incoming, result: Wire) -> None:
        values = incoming.query.get(key)
        if values and (values[0] or member.type_name == "string"):
            result[name] = named(name, read, values[0])

    return bind


def _bind_header(name: str, member: Shape) -> Bind:
    key = wire_name(member, name).lower()
    forgiving = key.startswith("if-")  # RFC 9110 13.1: a condition with an invalid date does not exist.
    many = isinstance(member, ListShape)
    read = text_reader(member.member if isinstance(member, ListShape) else member)

    def bind(incoming: Incoming, result: Wire) -> None:
        text = incoming.headers.get(key)
        if text is None or (not text and member.type_name != "string"):
            return
        try:
            result[name] = [read(part.strip()) for part in text.split(",")] if many else read(text)
        except MisreadError as wrong:
            if not forgiving:
                wrong.path.append(name)
                raise

    return bind


def _bind_headers(name: str, member: Shape) -> Bind:
    prefix = wire_name(member, name).lower()

    def bind(incoming: Incoming, result: Wire) -> None:
        found = {k[len(prefix) :]: v for k, v in incoming.headers.items() if k.startswith(prefix)}
        if found:
            result[name] = found

    return bind


def _body(shape: StructureShape, protocol: str) -> Bind:
    payload = shape.serialization.get("payload")
    if payload is None:
        return _members_in_body(shape, protocol)
    member = shape.members[payload]
    if member.type_name in ("blob", "string"):
        return _raw_body(payload, member)
    assert isinstance(member, StructureShape)
    read = JsonReaders().of(member) if protocol == "rest-json" else XmlReaders().of(member)
    root = str(member.serialization.get("name", member.name))

    def bind(incoming: Incoming, result: Wire) -> None:
        assert isinstance(incoming.body, bytes)
        if not incoming.body:
            return
        if protocol == "rest-json":
            result[payload] = read(load_json(incoming.body))
        else:
            result[payload] = xml_value(read, load_xml(incoming.body, root))

    return bind


def _raw_body(name: str, member: Shape) -> Bind:
    def bind(incoming: Incoming, result: Wire) -> None:
        body = incoming.body
        if member.type_name == "string":
            assert isinstance(body, bytes)
            try:
                result[name] = body.decode("utf-8")
            except UnicodeDecodeError:
                raise MisreadError("text in UTF-8", body) from None
        elif body != b"" or member.serialization.get("streaming"):
            result[name] = body

    return bind


def _members_in_body(shape: StructureShape, protocol: str) -> Bind:
    members = {name: member for name, member in shape.members.items() if not _located(member)}
    if not members:
        return lambda incoming, result: None
    if protocol == "rest-json":
        read = JsonReaders().structure(shape, members)
        return lambda incoming, result: result.update(read(load_json(incoming.body)))
    read = XmlReaders().structure(shape, members)
    root = str(shape.serialization.get("name", shape.name))

    def bind(incoming: Incoming, result: Wire) -> None:
        assert isinstance(incoming.body, bytes)
        if incoming.body:
            result.update(xml_value(read, load_xml(incoming.body, root)))

    return bind
