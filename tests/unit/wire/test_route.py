from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.wire.route import Route, Router, parse_query, virtual_bucket

SERVICES = ("s3", "sagemaker", "sagemaker-runtime", "lambda", "stepfunctions", "logs", "sts", "iam", "sns")


def route(method: str, target: str, *, scope: str | None = None, **rest: Any) -> Route:
    path, _, query = target.partition("?")
    options: dict[str, Any] = {"headers": {}, **rest}
    return Router(lambda: SERVICES).route(
        method=method, path=path, query=parse_query(query), scope=scope, **options
    )


@pytest.mark.parametrize(
    ("request_line", "headers", "operation"),
    [
        ("GET /", {}, "ListBuckets"),
        ("GET /b", {}, "ListObjects"),
        ("GET /b/", {}, "ListObjects"),
        ("GET /b?prefix=x&encoding-type=url", {}, "ListObjects"),
        ("GET /b?list-type=2&prefix=x", {}, "ListObjectsV2"),
        ("GET /b?uploads", {}, "ListMultipartUploads"),
        ("GET /b?versions", {}, "ListObjectVersions"),
        ("GET /b?location", {}, "GetBucketLocation"),
        ("GET /b?analytics", {}, "ListBucketAnalyticsConfigurations"),
        ("GET /b?analytics&id=1", {}, "GetBucketAnalyticsConfiguration"),
        ("GET /b?lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("HEAD /b", {}, "HeadBucket"),
        ("PUT /b", {}, "CreateBucket"),
        ("PUT /b?acl", {}, "PutBucketAcl"),
        ("POST /b?delete", {}, "DeleteObjects"),
        ("DELETE /b", {}, "DeleteBucket"),
        ("GET /b/k", {}, "GetObject"),
        ("GET /b/a/b//c", {}, "GetObject"),
        ("GET /b/k?partNumber=1", {}, "GetObject"),
        ("GET /b/k?versionId=1", {}, "GetObject"),
        ("GET /b/k?acl", {}, "GetObjectAcl"),
        ("GET /b/k?attributes", {}, "GetObjectAttributes"),
        ("GET /b/k?uploadId=1", {}, "ListParts"),
        ("GET /b/k?X-Amz-Signature=1&X-Amz-Date=2", {}, "GetObject"),
        ("PUT /b/k", {}, "PutObject"),
        ("PUT /b/k", {"x-amz-copy-source": "b/x"}, "CopyObject"),
        ("PUT /b/k?partNumber=1&uploadId=2", {}, "UploadPart"),
        ("PUT /b/k?partNumber=1", {}, "UploadPart"),
        ("PUT /b/k?partNumber=1&uploadId=2", {"x-amz-copy-source": "b/x"}, "UploadPartCopy"),
        ("PUT /b/k?tagging", {}, "PutObjectTagging"),
        ("PUT /b/k?legal-hold", {}, "PutObjectLegalHold"),
        ("POST /b/k?uploads", {}, "CreateMultipartUpload"),
        ("POST /b/k?uploadId=1", {}, "CompleteMultipartUpload"),
        ("POST /b/k?select&select-type=2", {}, "SelectObjectContent"),
        ("DELETE /b/k?uploadId=1", {}, "AbortMultipartUpload"),
        ("DELETE /b/k", {}, "DeleteObject"),
        ("GET /b/k?x-id=GetObject", {}, "GetObject"),
    ],
)
def test_s3_operations_are_told_apart_by_method_path_query_and_headers(
    request_line: str, headers: dict[str, str], operation: str
) -> None:
    method, _, target = request_line.partition(" ")
    assert route(method, target, headers=headers).operation.name == operation


@pytest.mark.parametrize(
    "target", ["PUT /b/k?uploads", "PUT /b?delete", "POST /b", "PATCH /b/k", "POST /b/k"]
)
def test_a_subresource_is_never_overlooked(target: str) -> None:
    method, _, rest = target.partition(" ")
    with pytest.raises(ServiceError) as refused:
        route(method, rest)
    assert refused.value.code == "MethodNotAllowed"


def test_a_greedy_label_keeps_slashes_and_encoding() -> None:
    assert route("GET", "/b/a%20b/%2F/c/").labels == {"Bucket": "b", "Key": "a%20b/%2F/c/"}


@pytest.mark.parametrize(
    ("method", "target", "scope", "operation"),
    [
        ("POST", "/endpoints/e/invocations", "sagemaker", "sagemaker-runtime.InvokeEndpoint"),
        ("POST", "/endpoints/e/invocations", None, "sagemaker-runtime.InvokeEndpoint"),
        ("POST", "/2015-03-31/functions/f/invocations?Qualifier=1", "lambda", "lambda.Invoke"),
        ("GET", "/2015-03-31/functions/", "lambda", "lambda.ListFunctions"),
        ("GET", "/2015-03-31/functions/arn%3Aaws/configuration", None, "lambda.GetFunctionConfiguration"),
        ("GET", "/endpoints/x", "s3", "s3.GetObject"),
    ],
)  # fmt: skip
def test_rest_services_are_found_by_scope_or_path(
    method: str, target: str, scope: str | None, operation: str
) -> None:
    assert repr(route(method, target, scope=scope).operation) == operation


def test_a_target_names_service_and_operation() -> None:
    found = route("POST", "/", headers={"x-amz-target": "AWSStepFunctions.StartExecution"})
    assert (repr(found.operation), found.protocol) == ("stepfunctions.StartExecution", "json")


@pytest.mark.parametrize("scope", [None, "sts"])
def test_a_form_names_its_action(scope: str | None) -> None:
    form = {"Action": ["GetCallerIdentity"], "Version": ["2011-06-15"]}
    found = route("POST", "/", scope=scope, form=form)
    assert (repr(found.operation), found.protocol) == ("sts.GetCallerIdentity", "query")


def test_the_version_tells_services_with_one_action_apart() -> None:
    version = {"sns": "2010-03-31", "iam": "2010-05-08"}
    for service, action in (("sns", "Subscribe"), ("iam", "GetRole")):
        form = {"Action": [action], "Version": [version[service]]}
        assert route("POST", "/", form=form).operation.service.name == service


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"headers": {"x-amz-target": "DynamoDB_20120810.GetItem"}}, "DynamoDB_20120810"),
        ({"headers": {"x-amz-target": "SageMaker.MakeCoffee"}}, "MakeCoffee"),
        ({"headers": {"x-amz-target": "nonsense"}}, "no service"),
        ({"scope": "dynamodb"}, "dynamodb"),
        ({"form": {"Action": ["MakeCoffee"], "Version": ["2011-06-15"]}}, "MakeCoffee"),
        ({"form": {"Action": ["GetUser"], "Version": ["1999-01-01"]}}, "1999-01-01"),
        ({"scope": "lambda"}, "lambda"),
    ],
)
def test_what_nobody_knows_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ServiceError, match=said):
        route("POST", "/", **options)


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("127.0.0.1:4566", None),
        ("localhost", None),
        ("pictures.localhost:4566", "pictures"),
        ("a.b.localhost", "a.b"),
        ("pictures.s3.localhost:1", "pictures"),
        ("pictures.s3.us-east-1.localhost", "pictures"),
        ("s3.localhost", None),
        ("s3.us-east-1.localhost", None),
    ],
)
def test_a_virtual_host_names_its_bucket(host: str, bucket: str | None) -> None:
    assert virtual_bucket(host, "us-east-1") == bucket


def test_a_virtual_host_routes_like_its_path() -> None:
    found = route("GET", "/a/b", bucket="pictures")
    assert (found.operation.name, found.labels) == ("GetObject", {"Bucket": "pictures", "Key": "a/b"})
    assert route("PUT", "/", bucket="pictures").operation.name == "CreateBucket"


def test_a_query_is_decoded_as_utf8() -> None:
    assert parse_query("a=%C3%A9&a=b+c&d&=x&e=%2B") == {"a": ["é", "b c"], "d": [""], "": ["x"], "e": ["+"]}
    with pytest.raises(ServiceError, match="InvalidURI"):
        parse_query("a=%FF")
    with pytest.raises(ServiceError):
        parse_query("&".join("a=1" for _ in range(20_000)))
