"""botocore writes a request for every operation; we must route it there and read the same dict back."""

from typing import Any

import pytest

from scones.cloud.wire.model import load
from scones.cloud.wire.parse import Incoming, parse
from scones.cloud.wire.route import Router, is_form, parse_query

from .wire_cases import MODELS, operations, sent_request, structure, target

AMBIGUOUS = {
    # Two operations, one request: a client of one is a client of the other.
    ("s3", "GetBucketLifecycle"): "GetBucketLifecycleConfiguration",
    ("s3", "PutBucketLifecycle"): "PutBucketLifecycleConfiguration",
    ("s3", "ListDirectoryBuckets"): "ListBuckets",
}


def example(service: str, operation: str) -> dict[str, Any]:
    shape = MODELS[service].operation_model(operation).input_shape
    return structure(shape) if shape is not None else {}


@pytest.mark.parametrize(("service", "operation"), list(operations()))
def test_a_request_of_botocore_is_read_back_whole(service: str, operation: str) -> None:
    spec = load(service)
    given = example(service, operation)
    request = sent_request(spec.protocol, MODELS[service].operation_model(operation), given)
    path, query_string = target(request)
    headers = {k.lower(): v.decode() if isinstance(v, bytes) else str(v) for k, v in request.headers.items()}
    query = parse_query(query_string)
    body = request.prepare().body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    form = parse_query(body.decode()) if is_form(request.method, path, headers) else None

    route = Router(lambda: [service]).route(
        method=request.method, path=path, query=query, headers=headers, scope=spec.signing_name, form=form
    )
    assert route.operation.name == AMBIGUOUS.get((service, operation), operation)
    incoming = Incoming(labels=route.labels, query=query, headers=headers, body=body)
    assert parse(spec.operation(operation), route.protocol, incoming) == given
