"""A ServiceError in each protocol's own form."""

from collections.abc import Mapping
from typing import Any

import orjson

from scones.cloud.errors import ServiceError
from scones.cloud.wire.http import HttpResponse
from scones.cloud.wire.model import ErrorSpec, ServiceSpec
from scones.cloud.wire.scalars import epoch
from scones.cloud.wire.serialize import header_text, mark, xml_text

__all__ = ["serialize_error"]


def serialize_error(
    error: ServiceError,
    *,
    service: ServiceSpec | None,
    protocol: str,
    request_id: str,
    head: bool = False,
    resource: str = "",
) -> HttpResponse:
    """service: None before one is known.  head: replies to HEAD have no body.

    `ResponseMetadata` among the error's fields adds headers, as in a reply.
    """
    spec = service.errors.get(error.code) if service else None
    code = spec.code if spec else error.code
    status = (spec.status if spec else None) or (500 if spec and spec.fault else error.status)
    fields = {k: v for k, v in error.fields.items() if k != "ResponseMetadata"}
    headers: dict[str, str] = {}
    if protocol in ("json", "rest-json"):
        body = _json(code, error.message, spec, fields)
        version = service.json_version if service else "1.1"
        headers["content-type"] = "application/json"
        if protocol == "json":
            headers["content-type"] = f"application/x-amz-json-{version}"
        headers["x-amzn-errortype"] = header_text(code)
        if service and service.query_compatible:
            headers["x-amzn-query-error"] = f"{code};{'Receiver' if status >= 500 else 'Sender'}"
    elif protocol == "query":
        headers["content-type"] = "text/xml"
        body = _query(code, error.message, service, fields, status, request_id)
    else:
        headers["content-type"] = "application/xml"
        body = _s3(code, error.message, fields, resource, request_id)
    mark(headers, service.name if service else _family(protocol), request_id)
    for name, value in (error.fields.get("ResponseMetadata", {}).get("HTTPHeaders") or {}).items():
        headers[name.lower()] = header_text(str(value))
    if head or status == 304:
        headers.pop("content-type", None)
        body = b""
    return HttpResponse(status=status, headers=headers, body=body)


def _family(protocol: str) -> str:
    return "s3" if protocol == "rest-xml" else ""


def _json(code: str, message: str, spec: ErrorSpec | None, fields: Mapping[str, Any]) -> bytes:
    key = (spec.message_member if spec else None) or "message"
    document: dict[str, Any] = {"__type": code, key: message}
    if spec and "Type" in spec.members:
        document["Type"] = "Service" if spec.fault else "User"
    document.update(fields)
    return orjson.dumps(document, default=_plain)


def _plain(value: Any) -> Any:
    return epoch(value)


def _query(
    code: str,
    message: str,
    service: ServiceSpec | None,
    fields: Mapping[str, Any],
    status: int,
    request_id: str,
) -> bytes:
    namespace = f' xmlns="{service.namespace}"' if service else ""
    sender = "Receiver" if status >= 500 else "Sender"
    return (
        f"<ErrorResponse{namespace}><Error><Type>{sender}</Type>{_elements(code, message, fields)}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _s3(code: str, message: str, fields: Mapping[str, Any], resource: str, request_id: str) -> bytes:
    where = f"<Resource>{xml_text(resource)}</Resource>" if resource else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error>{_elements(code, message, fields)}{where}"
        f"<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>"
    ).encode()


def _elements(code: str, message: str, fields: Mapping[str, Any]) -> str:
    extra = "".join(f"<{name}>{xml_text(str(value))}</{name}>" for name, value in fields.items())
    return f"<Code>{xml_text(code)}</Code><Message>{xml_text(message)}</Message>{extra}"
