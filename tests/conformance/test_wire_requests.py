"""botocore writes a request for every operation; we must route it there and read the same dict back."""

import asyncio
from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.wire.body import collect
from scones.cloud.wire.model import load
from scones.cloud.wire.parse import Incoming, parse
from scones.cloud.wire.route import Router, is_form, parse_query

from .wire_cases import MODELS, operations, sent_request, structure

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
    query = parse_query(request.query_string)
    body = asyncio.run(collect(request.body, limit=1 << 20, too_long=ServiceError("TooLong", "")))
    form = parse_query(body.decode()) if is_form(request.method, request.path, request.headers) else None

    route = Router(lambda: [service]).route(
        method=request.method,
        path=request.path,
        query=query,
        headers=request.headers,
        scope=spec.signing_name,
        form=form,
    )
    assert route.operation.name == AMBIGUOUS.get((service, operation), operation)
    incoming = Incoming(labels=route.labels, query=query, headers=request.headers, body=body)
    assert parse(spec.operation(operation), route.protocol, incoming) == given
