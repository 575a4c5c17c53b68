"""We write a reply for every operation; botocore's own parser must read the same dict back."""

from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.wire.failure import serialize_error
from scones.cloud.wire.model import load
from scones.cloud.wire.serialize import serialize

from .wire_cases import MODELS, OURS, has_event_stream, operations, read_reply, structure

WITH_EVENT_STREAMS = {
    (service, operation)
    for service, operation in operations()
    if has_event_stream(MODELS[service].operation_model(operation).output_shape)
}


def example(service: str, operation: str) -> dict[str, Any]:
    shape = MODELS[service].operation_model(operation).output_shape
    return structure(shape) if shape is not None else {}


@pytest.mark.parametrize(("service", "operation"), [o for o in operations() if o not in WITH_EVENT_STREAMS])
def test_botocore_reads_a_reply_back_whole(service: str, operation: str) -> None:
    model = MODELS[service].operation_model(operation)
    given = example(service, operation)
    spec = load(service)
    response = serialize(spec.operation(operation), spec.protocol, given, "the-request-id")
    got = read_reply(spec.protocol, model, response)
    metadata = got.pop("ResponseMetadata")
    if model.has_streaming_output:
        given.pop("ContentLength", None)  # follows from the body, so the server writes it
    assert got == given
    if service != "cloudfront":  # the one rest-xml service that isn't S3 puts it elsewhere
        assert metadata["RequestId"] == "the-request-id"


@pytest.mark.parametrize("service", OURS)
def test_botocore_reads_every_modelled_error(service: str) -> None:
    spec = load(service)
    operation = MODELS[service].operation_model(spec.operation_names[0])
    for error in {id(e): e for e in spec.errors.values()}.values():
        raised = ServiceError(error.code, "what went wrong")
        response = serialize_error(raised, service=spec, protocol=spec.protocol, request_id="the-id")
        got = read_reply(spec.protocol, operation, response)
        assert got["Error"]["Code"] == error.code
        assert got["Error"]["Message"] == "what went wrong"
        assert got["ResponseMetadata"]["RequestId"] == "the-id"
        assert response.status == (error.status or (500 if error.fault else 400))
