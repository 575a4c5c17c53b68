import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scones.cloud.errors import ServiceError
from scones.cloud.wire.model import load
from scones.cloud.wire.parse import Incoming, parse


def read(service: str, operation: str, body: bytes = b"", **rest: Any) -> dict[str, Any]:
    spec = load(service)
    return parse(spec.operation(operation), spec.protocol, Incoming(body=body, **rest))


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (b"1770091506", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        (b"1770091506.789", datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)),
        (b'"2026-02-03T04:05:06Z"', datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        (b'"2026-02-03T06:05:06.5+02:00"', datetime(2026, 2, 3, 4, 5, 6, 500000, UTC)),
        (b'"2026-02-03"', datetime(2026, 2, 3, tzinfo=UTC)),
        (b'"Tue, 03 Feb 2026 04:05:06 GMT"', datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        (b'"1770091506"', datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
    ],
)
def test_timestamps_are_read_in_every_form(sent: bytes, meant: datetime) -> None:
    assert read("sagemaker", "ListModels", b'{"CreationTimeAfter":%s}' % sent) == {"CreationTimeAfter": meant}


def test_what_the_model_does_not_know_is_overlooked_and_null_is_absent() -> None:
    assert read("sagemaker", "ListModels", b'{"Nope":1,"NextToken":null,"MaxResults":5.0}') == {
        "MaxResults": 5
    }


@pytest.mark.parametrize("body", [b"", b" \n", b"{}"])
def test_no_body_is_an_empty_object(body: bytes) -> None:
    assert read("sagemaker", "ListModels", body) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"MaxResults":"5"}',
        b'{"MaxResults":true}',
        b'{"MaxResults":1.5}',
        b'{"MaxResults":99999999999999999999999}',
        b'{"MaxResults":3000000000}',
        b'{"NextToken":5}',
        b'{"NextToken":"\\ud800"}',
        b'{"CreationTimeAfter":"yesterday"}',
        b'{"CreationTimeAfter":1e300}',
        b'{"CreationTimeAfter":"2026-13-45T00:00:00Z"}',
        b'{"CreationTimeAfter":{}}',
        b"[" * 5000,
    ],
)
def test_wrong_json_is_a_serialization_exception(body: bytes) -> None:
    with pytest.raises(ServiceError, match="SerializationException"):
        read("sagemaker", "ListModels", body)


def test_a_wrong_value_is_named_with_its_place() -> None:
    body = b'{"ModelName":"m","Tags":[{"Key":"k","Value":"v"},{"Key":1}]}'
    with pytest.raises(ServiceError) as refused:
        read("sagemaker", "CreateModel", body)
    assert refused.value.message == "Unexpected value at 'Tags.2.Key': expected a string, found a number"


@pytest.mark.parametrize(
    "body",
    [
        b"<",
        b"not xml",
        b"<Other/>",
        b"<Delete><Object><Key>k</Key></Object><Quiet>perhaps</Quiet></Delete>",
        b'<!DOCTYPE d [<!ENTITY e "eeee">]><Delete><Object><Key>&e;</Key></Object></Delete>',
        b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>',
        b"<Delete>\xff</Delete>",
        b'<?xml version="1.0" encoding="nonsense"?><Delete/>',
        b"<a>" * 100_000,
    ],
)
def test_wrong_xml_is_malformed(body: bytes) -> None:
    with pytest.raises(ServiceError, match="MalformedXML"):
        read("s3", "DeleteObjects", body, labels={"Bucket": "b"})


def test_xml_lists_may_be_flat_and_namespaced() -> None:
    body = (
        b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<Object><Key>a&amp;b</Key></Object><Object><Key/></Object></Delete>"
    )
    assert read("s3", "DeleteObjects", body, labels={"Bucket": "b"}) == {
        "Bucket": "b",
        "Delete": {"Objects": [{"Key": "a&b"}, {"Key": ""}]},
    }


def test_headers_labels_and_query_become_members() -> None:
    got = read(
        "s3",
        "PutObject",
        b"body",
        labels={"Bucket": "b", "Key": "a%20%C3%A9+/c"},
        headers={
            "x-amz-meta-colour": "red",
            "x-amz-meta-size": "5",
            "content-length": "4",
            "if-none-match": "*",
        },
    )
    assert got == {
        "Bucket": "b",
        "Key": "a é+/c",
        "Metadata": {"colour": "red", "size": "5"},
        "ContentLength": 4,
        "IfNoneMatch": "*",
        "Body": b"body",
    }


def test_a_condition_with_a_wrong_date_does_not_exist() -> None:
    labels = {"Bucket": "b", "Key": "k"}
    got = read("s3", "GetObject", labels=labels, headers={"if-modified-since": "whenever"})
    assert got == labels


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ({"partNumber": ["x"]}, {}),
        ({"partNumber": ["1_0"]}, {}),
        ({}, {"Key": "%FF"}),
        ({"partNumber": ["٣"]}, {}),
    ],
)
def test_wrong_parameters_of_s3_are_refused(query: dict[str, list[str]], labels: dict[str, str]) -> None:
    with pytest.raises(ServiceError) as refused:
        read("s3", "GetObject", labels={"Bucket": "b", "Key": "k"} | labels, query=query)
    assert refused.value.code in ("InvalidArgument", "InvalidURI")


def test_forms_hold_lists_and_maps() -> None:
    body = (
        b"Action=Publish&Message=m&MessageAttributes.entry.1.Name=n"
        b"&MessageAttributes.entry.1.Value.DataType=Binary&MessageAttributes.entry.1.Value.BinaryValue=AP8%3D"
    )
    assert read("sns", "Publish", body) == {
        "Message": "m",
        "MessageAttributes": {"n": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
    }
    body = b"Tags.member.10.Key=j&Tags.member.2.Key=b&Tags.member.2.Value=x&Tags.member.x.Key=no"
    assert read("sns", "CreateTopic", body)["Tags"] == [{"Key": "b", "Value": "x"}, {"Key": "j"}]
    assert read("sns", "CreateTopic", b"Tags=")["Tags"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"\xff=\xff",
        b"Message=%FF",
        b"Message.x=1",
        b"MessageAttributes.entry.1.Name.x=1&MessageAttributes.entry.1.Value.DataType=s",
        b"MessageAttributes.entry.1.Name=n&MessageAttributes.entry.1.Value.BinaryValue=!",
    ],
)
def test_wrong_forms_are_refused(body: bytes) -> None:
    with pytest.raises(ServiceError) as refused:
        read("sns", "Publish", body)
    assert refused.value.code in ("MalformedQueryString", "MalformedInput")


def test_an_endless_path_in_a_form_is_cut_short() -> None:
    assert read("sns", "Publish", b"Message=m&" + b"a." * 500_000 + b"=1") == {"Message": "m"}


@given(st.binary(max_size=300))
@pytest.mark.parametrize(
    ("service", "operation"),
    [("sagemaker", "CreateModel"), ("sns", "Publish"), ("s3", "DeleteObjects"), ("lambda", "CreateFunction")],
)
def test_any_bytes_are_read_or_refused(service: str, operation: str, body: bytes) -> None:
    with contextlib.suppress(ServiceError):
        read(service, operation, body, labels={"Bucket": "b"})
