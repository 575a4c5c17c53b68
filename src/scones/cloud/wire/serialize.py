"""From an operation's reply with AWS's member names to status, headers and body: one writer per shape.

A reply that the model does not allow is our own bug and raises TypeError; nothing is dropped in silence.
"""

import base64
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import orjson
from botocore.model import ListShape, MapShape, Shape, StructureShape

from scones.cloud.ports import FileBody, Wire
from scones.cloud.wire.http import HttpResponse
from scones.cloud.wire.model import OperationSpec, wire_name
from scones.cloud.wire.scalars import epoch, text_writer

__all__ = ["header_text", "mark", "serialize", "xml_text"]

Write = Callable[[Any], Any]
Emit = Callable[[Any, list[str]], None]

_XML_TYPE = "application/xml"
_XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def serialize(operation: OperationSpec, protocol: str, reply: Wire, request_id: str) -> HttpResponse:
    """The reply as HTTP. `ResponseMetadata` may override the status and add headers."""
    metadata = reply.get("ResponseMetadata") or {}
    if "ResponseMetadata" in reply:
        reply = {k: v for k, v in reply.items() if k != "ResponseMetadata"}
    try:
        status, headers, body = _plan(operation, protocol)(reply, request_id)
    except (TypeError, AttributeError, ValueError) as wrong:
        raise TypeError(f"the reply of {operation} does not fit its model: {wrong}") from wrong
    mark(headers, operation.service.name, request_id)
    for name, value in (metadata.get("HTTPHeaders") or {}).items():
        headers[name.lower()] = header_text(str(value))
    if operation.method == "HEAD":
        body = b""
    else:
        headers.pop("content-length", None)
    return HttpResponse(status=metadata.get("HTTPStatusCode") or status, headers=headers, body=body)


def mark(headers: dict[str, str], service: str, request_id: str) -> None:
    """Put the request's id where the service's clients look for it."""
    if service == "s3":
        headers["x-amz-request-id"] = request_id
        headers["x-amz-id-2"] = request_id
    else:
        headers["x-amzn-requestid"] = request_id


Plan = Callable[[Wire, str], tuple[int, dict[str, str], bytes | FileBody]]


@cache
def _plan(operation: OperationSpec, protocol: str) -> Plan:
    if protocol == "json":
        return _json_plan(operation)
    if protocol == "query":
        return _query_plan(operation)
    return _rest_plan(operation, protocol)


def _refuse_unknown(reply: Mapping[str, Any], known: Any, where: str) -> None:
    for name in reply:
        if name not in known:
            raise TypeError(f"{where} has no member {name!r}")


# --- JSON ---------------------------------------------------------------------------------------


def _json_plan(operation: OperationSpec) -> Plan:
    content_type = f"application/x-amz-json-{operation.service.json_version}"
    write = _JsonWriters().of(operation.output) if operation.output else None

    def plan(reply: Wire, request_id: str) -> tuple[int, dict[str, str], bytes]:
        if write is None:
            _refuse_unknown(reply, (), operation.name)
        body = orjson.dumps(write(reply)) if write else b"{}"
        return operation.success, {"content-type": content_type}, body

    return plan


class _JsonWriters:
    def __init__(self) -> None:
        self._structures: dict[str, Write] = {}

    def of(self, shape: Shape) -> Write:
        if isinstance(shape, StructureShape):
            return _as_it_is if shape.is_document_type else self.structure(shape)
        if isinstance(shape, ListShape):
            item = self.of(shape.member)
            return lambda value: [item(v) for v in value]
        if isinstance(shape, MapShape):
            entry = self.of(shape.value)
            return lambda value: {str(k): entry(v) for k, v in value.items()}
        return _json_scalar(shape)

    def structure(self, shape: StructureShape, members: Mapping[str, Shape] | None = None) -> Write:
        if members is None and (known := self._structures.get(shape.name)):
            return known
        plan: dict[str, tuple[str, Write]] = {}

        def write(value: Any) -> dict[str, Any]:
            result: dict[str, Any] = {}
            for name, member in value.items():
                if member is not None:
                    entry = plan.get(name)
                    if entry is None:
                        raise TypeError(f"{shape.name} has no member {name!r}")
                    result[entry[0]] = entry[1](member)
            return result

        if members is None:
            self._structures[shape.name] = write
        for name, member in (shape.members if members is None else members).items():
            plan[name] = (wire_name(member, name), self.of(member))
        return write


def _as_it_is(value: Any) -> Any:
    return value


def _json_blob(value: Any) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


def _json_string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string member holds {value!r}")
    return value


def _json_float(value: Any) -> Any:
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return float(value)


def _json_scalar(shape: Shape) -> Write:
    match shape.type_name:
        case "timestamp":
            if str(shape.serialization.get("timestampFormat", "unixTimestamp")).lower() == "unixtimestamp":
                return epoch
            return text_writer(shape, timestamps="iso8601")
        case "blob":
            return _json_blob
        case "integer" | "long":
            return int
        case "float" | "double":
            return _json_float
        case "boolean":
            return bool
    return _json_string


# --- XML ----------------------------------------------------------------------------------------

_CONTROL = {chr(c): f"&#{c};" for c in (*range(9), 11, 12, *range(13, 32))} | {'"': "&quot;"}


def xml_text(text: str) -> str:
    """Escaped for an element or an attribute; control characters as references, as AWS writes them."""
    return escape(text, _CONTROL)


class _XmlWriters:
    """Emitters append one element, its tag included."""

    def __init__(self) -> None:
        self._structures: dict[str, Emit] = {}

    def member(self, shape: Shape, tag: str) -> Emit:
        """The element `tag` for a member of this shape; a flattened list is several of them."""
        if isinstance(shape, ListShape):
            return self._list(shape, tag)
        if isinstance(shape, MapShape):
            return self._map(shape, tag)
        if isinstance(shape, StructureShape):
            return self._element(shape, tag)
        text = text_writer(shape, timestamps="iso8601")
        return lambda value, out: out.append(f"<{tag}>{xml_text(text(value))}</{tag}>")

    def _element(self, shape: StructureShape, tag: str) -> Emit:
        content = self.content(shape)
        attributes = [
            (name, str(member.serialization["name"]))
            for name, member in shape.members.items()
            if member.serialization.get("xmlAttribute")
        ]
        namespace = _namespace(shape)

        def emit(value: Any, out: list[str]) -> None:
            marks = "".join(f' {key}="{xml_text(value[n])}"' for n, key in attributes if n in value)
            out.append(f"<{tag}{namespace}{marks}>")
            content(value, out)
            out.append(f"</{tag}>")

        return emit

    def content(self, shape: StructureShape, members: Mapping[str, Shape] | None = None) -> Emit:
        """The members' elements, without one around them."""
        if members is None and (known := self._structures.get(shape.name)):
            return known
        plan: dict[str, Emit] = {}

        def emit(value: Any, out: list[str]) -> None:
            for name, member in value.items():
                if member is not None:
                    entry = plan.get(name)
                    if entry is None:
                        raise TypeError(f"{shape.name} has no member {name!r}")
                    entry(member, out)

        if members is None:
            self._structures[shape.name] = emit
        for name, member in (shape.members if members is None else members).items():
            if member.serialization.get("xmlAttribute"):
                plan[name] = lambda value, out: None
            else:
                plan[name] = self.member(member, wire_name(member, name))
        return emit

    def _list(self, shape: ListShape, tag: str) -> Emit:
        flattened = bool(shape.serialization.get("flattened"))
        item_tag = shape.member.serialization.get("name", tag if flattened else "member")
        item = self.member(shape.member, str(item_tag))

        def emit(value: Any, out: list[str]) -> None:
            if not flattened:
                out.append(f"<{tag}>")
            for element in value:
                item(element, out)
            if not flattened:
                out.append(f"</{tag}>")

        return emit

    def _map(self, shape: MapShape, tag: str) -> Emit:
        flattened = bool(shape.serialization.get("flattened"))
        entry = tag if flattened else "entry"
        key = self.member(shape.key, wire_name(shape.key, "key"))
        item = self.member(shape.value, wire_name(shape.value, "value"))

        def emit(value: Any, out: list[str]) -> None:
            if not flattened:
                out.append(f"<{tag}>")
            for name, element in value.items():
                out.append(f"<{entry}>")
                key(name, out)
                item(element, out)
                out.append(f"</{entry}>")
            if not flattened:
                out.append(f"</{tag}>")

        return emit


def _namespace(shape: Shape) -> str:
    namespace = shape.serialization.get("xmlNamespace") or shape.metadata.get("xmlNamespace")
    if not isinstance(namespace, Mapping) or "prefix" not in namespace:
        return ""
    return f' xmlns:{namespace["prefix"]}="{namespace["uri"]}"'


# --- query --------------------------------------------------------------------------------------


def _query_plan(operation: OperationSpec) -> Plan:
    name, output = operation.name, operation.output
    namespace = f' xmlns="{operation.service.namespace}"'
    content = _XmlWriters().content(output) if output is not None else None
    wrapper = str(output.serialization.get("resultWrapper", f"{name}Result")) if output else ""

    def plan(reply: Wire, request_id: str) -> tuple[int, dict[str, str], bytes]:
        out = [f"{_XML_HEAD}<{name}Response{namespace}>"]
        if content is None:
            _refuse_unknown(reply, (), name)
        else:
            out.append(f"<{wrapper}>")
            content(reply, out)
            out.append(f"</{wrapper}>")
        out.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
        out.append(f"</{name}Response>")
        return operation.success, {"content-type": "text/xml"}, "".join(out).encode()

    return plan


# --- REST ---------------------------------------------------------------------------------------

_ROOTS = {
    "CompleteMultipartUploadOutput": "CompleteMultipartUploadResult",
    "CreateMultipartUploadOutput": "InitiateMultipartUploadResult",
    "DeleteObjectsOutput": "DeleteResult",
    "GetBucketAccelerateConfigurationOutput": "AccelerateConfiguration",
    "GetBucketAclOutput": "AccessControlPolicy",
    "GetBucketCorsOutput": "CORSConfiguration",
    "GetBucketLifecycleConfigurationOutput": "LifecycleConfiguration",
    "GetBucketLifecycleOutput": "LifecycleConfiguration",
    "GetBucketLoggingOutput": "BucketLoggingStatus",
    "GetBucketRequestPaymentOutput": "RequestPaymentConfiguration",
    "GetBucketTaggingOutput": "Tagging",
    "GetBucketVersioningOutput": "VersioningConfiguration",
    "GetBucketWebsiteOutput": "WebsiteConfiguration",
    "GetObjectAclOutput": "AccessControlPolicy",
    "GetObjectAttributesOutput": "GetObjectAttributesResponse",
    "GetObjectTaggingOutput": "Tagging",
    "ListBucketsOutput": "ListAllMyBucketsResult",
    "ListDirectoryBucketsOutput": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploadsOutput": "ListMultipartUploadsResult",
    "ListObjectVersionsOutput": "ListVersionsResult",
    "ListObjectsOutput": "ListBucketResult",
    "ListObjectsV2Output": "ListBucketResult",
    "ListPartsOutput": "ListPartsResult",
}
"""Root elements of S3's replies where they differ from the shape's name.  Source: S3 API Reference."""

Place = Callable[[Any, dict[str, str]], None]


def _rest_plan(operation: OperationSpec, protocol: str) -> Plan:
    output = operation.output
    members = dict(output.members) if output else {}
    places = {n: _place(n, m) for n, m in members.items() if _located(m)}
    status_member = next(
        (n for n, m in members.items() if m.serialization.get("location") == "statusCode"), None
    )
    payload = str(output.serialization.get("payload", "")) if output else ""
    body_of, content_type = _body(operation, protocol, payload)

    def plan(reply: Wire, request_id: str) -> tuple[int, dict[str, str], bytes | FileBody]:
        _refuse_unknown(reply, members, operation.name)
        headers: dict[str, str] = {}
        body = body_of(reply)
        if body != b"" and content_type:
            headers["content-type"] = content_type
        for name, place in places.items():
            value = reply.get(name)
            if value is not None:
                place(value, headers)
        status = int(reply.get(status_member) or 0) if status_member else 0
        return status or operation.success, headers, body

    return plan


def _located(member: Shape) -> bool:
    return "location" in member.serialization


def header_text(text: str) -> str:
    """What a header may carry; anything but printable ASCII as an encoded word, as S3 sends metadata."""
    if text.isascii() and text.isprintable():
        return text
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode('ascii')}?="


def _place(name: str, member: Shape) -> Place:
    location, key = member.serialization["location"], wire_name(member, name)
    if location == "statusCode":
        return lambda value, headers: None
    if location == "headers":
        prefix = key.lower()
        return lambda value, headers: headers.update(
            {prefix + k.lower(): header_text(str(v)) for k, v in value.items()}
        )
    key = key.lower()
    many = isinstance(member, ListShape)
    text = text_writer(member.member if isinstance(member, ListShape) else member, timestamps="rfc822")

    def place(value: Any, headers: dict[str, str]) -> None:
        headers[key] = header_text(", ".join(map(text, value)) if many else text(value))

    return place


def _body(
    operation: OperationSpec, protocol: str, payload: str
) -> tuple[Callable[[Wire], bytes | FileBody], str]:
    output = operation.output
    if output is None:
        return (lambda reply: b""), ""
    if payload:
        member = output.members[payload]
        if isinstance(member, StructureShape):
            return _payload_document(payload, member, operation, protocol)
        return _payload_bytes(payload), "" if member.type_name == "blob" else "text/plain"
    members = {n: m for n, m in output.members.items() if not _located(m)}
    if protocol == "rest-json":
        if not members:
            return (lambda reply: b""), ""
        write = _JsonWriters().structure(output, members)
        return (
            lambda reply: orjson.dumps(write({k: v for k, v in reply.items() if k in members})),
            "application/json",
        )
    if not members:
        return (lambda reply: b""), ""
    return _xml_document(operation, output, members), _XML_TYPE


def _payload_bytes(payload: str) -> Callable[[Wire], bytes | FileBody]:
    def body(reply: Wire) -> bytes | FileBody:
        value = reply.get(payload)
        if value is None:
            return b""
        if isinstance(value, str):
            return value.encode()
        if not isinstance(value, bytes | FileBody):
            raise TypeError(f"{payload} is a {type(value).__name__}, not bytes or FileBody")
        return value

    return body


def _payload_document(
    payload: str, member: StructureShape, operation: OperationSpec, protocol: str
) -> tuple[Callable[[Wire], bytes], str]:
    if protocol == "rest-json":
        write = _JsonWriters().of(member)
        return (lambda reply: orjson.dumps(write(reply.get(payload) or {}))), "application/json"
    document = _xml_document(operation, member, dict(member.members))
    return (lambda reply: document(reply[payload]) if reply.get(payload) is not None else b""), _XML_TYPE


def _xml_document(
    operation: OperationSpec, shape: StructureShape, members: Mapping[str, Shape]
) -> Callable[[Wire], bytes]:
    root = str(shape.serialization.get("name") or _ROOTS.get(shape.name, shape.name))
    namespace = operation.service.namespace or "http://s3.amazonaws.com/doc/2006-03-01/"
    content = _XmlWriters().content(shape, members)
    opening, closing = f'{_XML_HEAD}<{root} xmlns="{namespace}">', f"</{root}>"

    def body(reply: Wire) -> bytes:
        out = [opening]
        content({k: v for k, v in reply.items() if k in members}, out)
        out.append(closing)
        return "".join(out).encode()

    def location(reply: Wire) -> bytes:
        # GetBucketLocation's one member is its root element, with text in it.
        text = xml_text(reply.get("LocationConstraint") or "")
        tag = f'<LocationConstraint xmlns="{namespace}">'
        return f"{_XML_HEAD}{tag}{text}</LocationConstraint>".encode()

    return location if operation.name == "GetBucketLocation" else body
