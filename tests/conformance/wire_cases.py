"""Values for every shape of botocore's models, and botocore itself as the other end of the wire."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from scones.cloud.wire.http import BytesStream, HttpRequest, HttpResponse

OURS = ("s3", "sagemaker", "sagemaker-runtime", "lambda", "stepfunctions", "logs", "sts", "iam", "sns")
OTHERS = ("sqs", "dynamodb", "events", "ecr", "autoscaling", "sagemaker-featurestore-runtime", "cloudfront")
"""Services we may never have, whose models use traits that ours don't."""

MOMENT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
TEXT = "é <&>\"' ☃ a+b %41"
DEEP = 3


def service_model(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), service_name=name)


MODELS = {name: service_model(name) for name in (*OURS, *OTHERS)}


NOT_COMPARABLE = {
    ("s3", "PutBucketNotification"): "its deprecated document has two members with one tag",
    ("s3", "GetBucketNotification"): "its deprecated document has two members with one tag",
    ("s3", "GetBucketLocation"): "boto3 reads it by a handler of its own; tests/behaviour covers it",
    ("s3", "WriteGetObjectResponse"): "its host prefix takes no generated value",
}


def operations() -> Iterator[tuple[str, str]]:
    for name, model in MODELS.items():
        for operation in model.operation_names:
            if (name, operation) not in NOT_COMPARABLE:
                yield name, str(operation)


def has_event_stream(shape: StructureShape | None) -> bool:
    return shape is not None and shape.event_stream_name is not None


def value(shape: Shape, *, depth: int = 0, in_header: bool = False) -> Any:
    """A value with every member set, down to where shapes begin to contain themselves."""
    if isinstance(shape, StructureShape):
        return structure(shape, depth)
    if isinstance(shape, ListShape):
        location = shape.serialization.get("location")
        return [value(shape.member, depth=depth, in_header=in_header or location == "header")] * 2
    if isinstance(shape, MapShape):
        key = (getattr(shape.key, "enum", None) or ["some-key"])[0]
        return {
            key: value(shape.value, depth=depth, in_header=in_header or "location" in shape.serialization)
        }
    return scalar(shape, in_header=in_header or shape.serialization.get("location") in ("header", "headers"))


def scalar(shape: Shape, *, in_header: bool) -> Any:
    match shape.type_name:
        case "integer" | "long":
            return 206
        case "float" | "double":
            return 1.5
        case "boolean":
            return True
        case "timestamp":
            return MOMENT
        case "blob":
            return b"\x00\xffbytes"
    enum = getattr(shape, "enum", None)
    if enum:
        return enum[0]
    return "plain text" if in_header else TEXT


def structure(shape: StructureShape, depth: int = 0) -> dict[str, Any]:
    if shape.is_document_type:
        return {"any": ["thing", 1, None]}
    members = list(shape.members.items())
    if shape.is_tagged_union:
        return {members[0][0]: value(members[0][1], depth=depth + 1)}
    shallow = [m for m in members if not isinstance(m[1], StructureShape | ListShape | MapShape)]
    values = {
        name: value(member, depth=depth + 1) for name, member in (shallow if depth >= DEEP else members)
    }
    # A form can't tell an empty structure from none.
    return {name: v for name, v in values.items() if v not in ({}, [{}, {}])}


def read_reply(protocol: str, operation: OperationModel, response: HttpResponse) -> dict[str, Any]:
    """What a boto3 client makes of our reply."""
    headers = HeadersDict(response.headers)
    body: Any = response.body
    if response.status < 300 and operation.has_streaming_output:
        body = memoryview(body)  # as the client does, hand the parser something to read from later
    raw = {"status_code": response.status, "headers": headers, "body": body, "context": {}}
    shape: Any = operation.output_shape
    parsed: dict[str, Any] = create_parser(protocol).parse(raw, shape)
    return parsed


def sent_request(protocol: str, operation: OperationModel, parameters: dict[str, Any]) -> HttpRequest:
    """What a boto3 client sends, but for its signature."""
    serialized = create_serializer(protocol, include_validation=False).serialize_to_request(
        parameters, operation
    )
    serialized["headers"] = dict(serialized["headers"])
    prepare_request_dict(serialized, endpoint_url="http://127.0.0.1:4566", context={})
    prepared = AWSRequest(
        method=serialized["method"],
        url=serialized["url"],
        headers=serialized["headers"],
        data=serialized["body"],
    ).prepare()
    parts = urlsplit(prepared.url)
    body: Any = prepared.body or b""
    return HttpRequest(
        method=serialized["method"],
        path=parts.path or "/",
        query_string=parts.query,
        headers={k.lower(): _text(v) for k, v in prepared.headers.items()},
        body=BytesStream(body.encode() if isinstance(body, str) else bytes(body)),
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
