import json
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.ports import FileBody
from scones.cloud.wire.failure import serialize_error
from scones.cloud.wire.http import HttpResponse
from scones.cloud.wire.model import load
from scones.cloud.wire.serialize import serialize

NOW = datetime(2026, 2, 3, 4, 5, 6, 789_000, UTC)


def written(service: str, operation: str, reply: dict[str, Any]) -> HttpResponse:
    spec = load(service)
    return serialize(spec.operation(operation), spec.protocol, reply, "the-id")


def failed(service: str, error: ServiceError, **rest: Any) -> HttpResponse:
    spec = load(service)
    return serialize_error(error, service=spec, protocol=spec.protocol, request_id="the-id", **rest)


def body(response: HttpResponse) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def test_json_timestamps_are_epoch_seconds_to_the_millisecond() -> None:
    reply = written("stepfunctions", "StartExecution", {"executionArn": "arn:x", "startDate": NOW})
    assert json.loads(body(reply)) == {"executionArn": "arn:x", "startDate": 1770091506.789}
    assert reply.headers["content-type"] == "application/x-amz-json-1.0"
    assert reply.headers["x-amzn-requestid"] == "the-id"


def test_nothing_is_written_for_none() -> None:
    assert body(written("sagemaker", "ListModels", {"Models": [], "NextToken": None})) == b'{"Models":[]}'


def test_a_list_of_objects_has_s3s_own_root_and_form() -> None:
    reply = written(
        "s3", "ListObjectsV2", {"Name": "b", "Contents": [{"Key": "a<\r\x01", "LastModified": NOW}]}
    )
    text = body(reply).decode()
    assert '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' in text
    assert "<Contents><Key>a&lt;&#13;&#1;</Key><LastModified>2026-02-03T04:05:06.789Z</LastModified>" in text


def test_a_buckets_location_is_its_root_element() -> None:
    for reply, text in (({"LocationConstraint": "eu-west-1"}, "eu-west-1"), ({}, None)):
        root = ElementTree.fromstring(body(written("s3", "GetBucketLocation", reply)))
        assert root.tag.endswith("}LocationConstraint")
        assert root.text == text


def test_metadata_becomes_headers_and_a_file_stays_a_file(tmp_path: Any) -> None:
    file = FileBody(tmp_path / "x", 0, 5)
    reply = written(
        "s3",
        "GetObject",
        {"Body": file, "ContentLength": 5, "LastModified": NOW, "Metadata": {"a": "b", "c": "é\r\nx: y"},
         "ResponseMetadata": {"HTTPStatusCode": 206, "HTTPHeaders": {"X-Extra": "1"}}},
    )  # fmt: skip
    assert reply.status == 206
    assert reply.body is file
    assert reply.headers["last-modified"] == "Tue, 03 Feb 2026 04:05:06 GMT"
    assert reply.headers["x-amz-meta-a"] == "b"
    assert reply.headers["x-amz-meta-c"] == "=?UTF-8?B?w6kNCng6IHk=?="
    assert reply.headers["x-extra"] == "1"
    assert reply.headers["x-amz-request-id"] == "the-id"
    assert "content-length" not in reply.headers


def test_head_states_a_length_and_has_no_body() -> None:
    reply = written("s3", "HeadObject", {"ContentLength": 5, "ContentType": "image/png"})
    assert (reply.headers["content-length"], reply.headers["content-type"], reply.body) == (
        "5",
        "image/png",
        b"",
    )


def test_a_status_member_is_the_status() -> None:
    reply = written("lambda", "Invoke", {"StatusCode": 202, "Payload": b""})
    assert (reply.status, reply.body) == (202, b"")
    assert written("lambda", "CreateFunction", {"FunctionName": "f"}).status == 201


@pytest.mark.parametrize(
    ("service", "operation", "reply"),
    [
        ("sagemaker", "CreateModel", {"ModelArn": "a", "Colour": "red"}),
        ("sagemaker", "CreateModel", {"ModelArn": 5}),
        ("sagemaker", "DeleteModel", {"ModelArn": "a"}),
        ("s3", "ListBuckets", {"Buckets": [{"Nmae": "b"}]}),
        ("s3", "GetObject", {"Body": object()}),
        ("sts", "GetCallerIdentity", {"Account": 5}),
        ("stepfunctions", "StartExecution", {"executionArn": "a", "startDate": datetime(2026, 1, 1)}),
    ],
)  # fmt: skip
def test_a_reply_that_the_model_forbids_is_a_bug(service: str, operation: str, reply: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=operation):
        written(service, operation, reply)


def test_json_errors_name_their_type_and_spell_message_as_modelled() -> None:
    reply = failed("sagemaker", ServiceError("ResourceInUse", "taken"))
    assert (reply.status, json.loads(body(reply))) == (400, {"__type": "ResourceInUse", "Message": "taken"})
    reply = failed("sagemaker", ServiceError("ValidationException", "wrong"))
    assert json.loads(body(reply)) == {"__type": "ValidationException", "message": "wrong"}


def test_the_models_status_wins_over_the_errors() -> None:
    assert failed("lambda", ServiceError("ResourceNotFoundException", "m", status=400)).status == 404
    assert failed("s3", ServiceError("NoSuchTagSet", "m", status=404)).status == 404


def test_lambdas_errors_say_whose_fault_it_is() -> None:
    reply = failed("lambda", ServiceError("ResourceNotFoundException", "Function not found: f"))
    assert reply.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    got = json.loads(body(reply))
    assert (got["Type"], got["Message"]) == ("User", "Function not found: f")


def test_further_members_of_an_error_travel_with_it() -> None:
    error = ServiceError("ModelError", "m", fields={"OriginalStatusCode": 400, "OriginalMessage": "no"})
    reply = failed("sagemaker-runtime", error)
    assert reply.status == 424
    assert json.loads(body(reply))["OriginalStatusCode"] == 400


def test_s3s_errors_hold_their_fields_and_resource() -> None:
    reply = failed("s3", ServiceError("NoSuchKey", "gone <&>", fields={"Key": "a&b"}), resource="/b/a&b")
    root = ElementTree.fromstring(body(reply))
    assert {e.tag: e.text for e in root} == {
        "Code": "NoSuchKey", "Message": "gone <&>", "Key": "a&b", "Resource": "/b/a&b",
        "RequestId": "the-id", "HostId": "the-id",
    }  # fmt: skip
    assert reply.status == 404


@pytest.mark.parametrize(
    "error", [ServiceError("NoSuchKey", "m"), ServiceError("NotModified", "m", status=304)]
)
def test_replies_to_head_and_not_modified_have_no_body(error: ServiceError) -> None:
    error.fields["ResponseMetadata"] = {"HTTPHeaders": {"ETag": '"x"'}}
    reply = failed("s3", error, head=error.code == "NoSuchKey")
    assert reply.body == b""
    assert reply.headers["etag"] == '"x"'


def test_query_errors_use_the_code_on_the_wire() -> None:
    reply = failed("iam", ServiceError("NoSuchEntityException", "no role"))
    assert reply.status == 404
    assert b"<Type>Sender</Type><Code>NoSuchEntity</Code><Message>no role</Message>" in body(reply)
    assert b"<RequestId>the-id</RequestId>" in body(reply)
