import asyncio
import hashlib
import hmac
import io
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from scones.cloud.auth import Auth, allow_host, identify
from scones.cloud.errors import ServiceError
from scones.cloud.settings import CloudSettings
from scones.cloud.wire.body import collect, open_body
from scones.cloud.wire.http import BytesStream, HttpRequest
from scones.cloud.wire.route import parse_query

KEY, SECRET = "AKIAEXAMPLE", "the secret/with+signs"
URL = "http://127.0.0.1:4566"


class Clock:
    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def monotonic(self) -> float:
        return 0.0


def settings(**changes: Any) -> CloudSettings:
    return CloudSettings(**{"state_dir": Path("/nowhere"), "credentials": {KEY: SECRET}, **changes})


def verify(
    request: HttpRequest, body: bytes = b"", *, ahead: timedelta = timedelta(), **options: Any
) -> None:
    auth = Auth(
        clock=Clock(ahead),
        settings=options.pop("settings", settings()),
        temporary=options.pop("temporary", None),
    )
    auth.verify(identify(request, parse_query(request.query_string)), request, hashlib.sha256(body).hexdigest)


@cache
def session(access_key: str, secret: str, token: str | None) -> boto3.Session:
    return boto3.Session(access_key, secret, token, "us-east-1")


def client(service: str, *, config: dict[str, Any] | None = None, **keys: str) -> Any:
    made = session(
        keys.get("aws_access_key_id", KEY),
        keys.get("aws_secret_access_key", SECRET),
        keys.get("aws_session_token"),
    )
    options = Config(retries={"max_attempts": 0}, **config or {})
    return made.client(service, endpoint_url=URL, config=options)  # type: ignore[call-overload]


def signed(
    service: str, operation: str, parameters: dict[str, Any], **options: Any
) -> tuple[HttpRequest, bytes]:
    """The request that boto3 would send, caught before it leaves."""
    caught: list[Any] = []

    class Caught(Exception):  # noqa: N818
        pass

    def catch(request: Any, **_: Any) -> None:
        caught.append(request)
        raise Caught

    made = client(service, **options)
    made.meta.events.register("before-send", catch)
    with pytest.raises(Caught):
        getattr(made, operation)(**parameters)
    body = caught[0].body or b""
    body = body.read() if hasattr(body, "read") else body
    body = body.encode() if isinstance(body, str) else bytes(body)
    return as_request(caught[0].method, caught[0].url, caught[0].headers, body), body


def as_request(method: str, url: str, headers: Any, body: bytes = b"") -> HttpRequest:
    parts = urlsplit(url)
    plain = {k.lower(): v.decode() if isinstance(v, bytes) else v for k, v in headers.items()}
    return HttpRequest(
        method=method,
        path=parts.path or "/",
        query_string=parts.query,
        headers={"host": parts.netloc, **plain},
        body=BytesStream(body),
    )


CALLS = [
    ("sagemaker", "list_models", {"NameContains": "a"}),
    ("sts", "get_caller_identity", {}),
    ("lambda", "get_function", {"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:f"}),
    ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b"\x00\xff"}),
    ("s3", "list_objects_v2", {"Bucket": "bucket", "Prefix": "a b+c/é~*'()", "Delimiter": "/"}),
    ("s3", "put_object", {"Bucket": "b-1", "Key": "a b+c//é~*'()", "Body": b"x", "Metadata": {"a": "b  c"}}),
    ("s3", "put_object", {"Bucket": "bucket", "Key": "k", "Body": io.BytesIO(b"hello")}),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "parameters"), CALLS)
def test_what_boto3_signs_verifies(service: str, operation: str, parameters: dict[str, Any]) -> None:
    request, body = signed(service, operation, parameters)
    verify(request, body)


@pytest.mark.parametrize(("service", "operation", "parameters"), CALLS)
def test_what_another_secret_signs_does_not(service: str, operation: str, parameters: dict[str, Any]) -> None:
    request, body = signed(service, operation, parameters, aws_secret_access_key="another")
    with pytest.raises(ServiceError, match="SignatureDoesNotMatch"):
        verify(request, body)


def test_a_body_that_was_changed_on_its_way_does_not_verify() -> None:
    request, body = signed("sagemaker", "list_models", {})
    with pytest.raises(ServiceError, match="SignatureDoesNotMatch"):
        verify(request, body + b" ")


@pytest.mark.parametrize(
    ("service", "code"), [("s3", "InvalidAccessKeyId"), ("sagemaker", "InvalidClientTokenId")]
)
def test_an_unknown_key_is_refused(service: str, code: str) -> None:
    operation = {"s3": "list_buckets", "sagemaker": "list_models"}[service]
    request, body = signed(service, operation, {}, aws_access_key_id="AKIANOBODY")
    with pytest.raises(ServiceError, match=code):
        verify(request, body)


def test_an_unsigned_request_needs_no_key_only_where_none_is_configured() -> None:
    request = HttpRequest(method="GET", path="/", headers={"host": "127.0.0.1"})
    verify(request, settings=settings(credentials={}))
    with pytest.raises(ServiceError, match="MissingAuthenticationToken"):
        verify(request)
    odd = HttpRequest(method="GET", path="/", headers={"host": "127.0.0.1", "authorization": "Bearer x"})
    verify(odd, settings=settings(credentials={}))
    with pytest.raises(ServiceError, match="AWS4-HMAC-SHA256"):
        verify(odd)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_far_off_is_refused(minutes: int) -> None:
    request, body = signed("s3", "list_buckets", {})
    with pytest.raises(ServiceError, match="RequestTimeTooSkewed"):
        verify(request, body, ahead=timedelta(minutes=minutes))


def test_keys_issued_by_the_cloud_need_their_token() -> None:
    known = {"ASIATEMP": ("temporary secret", "the token")}
    keys = {"aws_access_key_id": "ASIATEMP", "aws_secret_access_key": "temporary secret"}
    request, body = signed("sagemaker", "list_models", {}, **keys, aws_session_token="the token")
    verify(request, body, temporary=known.get)
    request, body = signed("sagemaker", "list_models", {}, **keys, aws_session_token="another")
    with pytest.raises(ServiceError, match="InvalidClientTokenId"):
        verify(request, body, temporary=known.get)


# --- presigned URLs -----------------------------------------------------------------------------


def presigned(version: str, operation: str = "get_object", **options: Any) -> str:
    parameters = {"Bucket": "bucket", "Key": "a b+c/é.txt", **options.pop("parameters", {})}
    made = client("s3", config={"signature_version": version}, **options)
    url: str = made.generate_presigned_url(operation, Params=parameters, ExpiresIn=300)
    return url


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize(
    ("operation", "method", "parameters"),
    [
        ("get_object", "GET", {}),
        ("get_object", "GET", {"ResponseContentType": "text/plain; x=1", "VersionId": "v"}),
        ("put_object", "PUT", {}),
        ("delete_object", "DELETE", {}),
        ("upload_part", "PUT", {"UploadId": "u", "PartNumber": 2}),
    ],
)
def test_a_presigned_url_verifies_until_it_expires(
    version: str, operation: str, method: str, parameters: dict[str, Any]
) -> None:
    url = presigned(version, operation, parameters=parameters)
    assert ("AWSAccessKeyId" in url) == (version == "s3")
    verify(as_request(method, url, {}))
    for keys in ({KEY: SECRET}, {}):
        with pytest.raises(ServiceError, match="Request has expired"):
            verify(
                as_request(method, url, {}), ahead=timedelta(seconds=320), settings=settings(credentials=keys)
            )


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_for_one_thing_opens_no_other(version: str) -> None:
    url = presigned(version)
    for changed in (url.replace("bucket", "basket"), url + "&uploadId=5", url.replace("300", "301")):
        if changed != url:
            with pytest.raises(ServiceError, match="SignatureDoesNotMatch"):
                verify(as_request("GET", changed, {}))
    with pytest.raises(ServiceError, match="SignatureDoesNotMatch"):
        verify(as_request("PUT", url, {}))


def test_temporary_keys_presign_too() -> None:
    known = {"ASIATEMP": ("temporary secret", "the token")}
    for version in ("s3", "s3v4"):
        url = presigned(
            version,
            aws_access_key_id="ASIATEMP",
            aws_secret_access_key="temporary secret",
            aws_session_token="the token",
        )
        verify(as_request("GET", url, {}), temporary=known.get)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=x",
        "X-Amz-Signature=x&X-Amz-Expires=soon",
        "X-Amz-Signature=x&X-Amz-Expires=5&X-Amz-Date=today",
        "X-Amz-Signature=x&X-Amz-Expires=99999999&X-Amz-Date=20260101T000000Z",
        "AWSAccessKeyId=a&Signature=b",
        "AWSAccessKeyId=a&Signature=b&Expires=-1",
        "AWSAccessKeyId=a&Signature=b&Expires=" + "9" * 5000,
        "AWSAccessKeyId=a&Signature=b&Expires=٥",
    ],
)
def test_a_broken_presigned_url_is_refused(query: str) -> None:
    request = HttpRequest(method="GET", path="/b/k", query_string=query, headers={"host": "127.0.0.1"})
    for keys in ({KEY: SECRET}, {}):
        with pytest.raises(ServiceError, match="AuthorizationQueryParametersError"):
            verify(request, settings=settings(credentials=keys))


@pytest.mark.parametrize(
    "header",
    ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Signature=é",
     f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=, Signature=é"],
)  # fmt: skip
def test_a_broken_authorization_is_refused(header: str) -> None:
    request = HttpRequest(method="GET", path="/", headers={"host": "127.0.0.1", "authorization": header})
    with pytest.raises(ServiceError) as refused:
        verify(request)
    assert refused.value.status < 500


# --- signed chunks ------------------------------------------------------------------------------


def chunk_signed(pieces: list[bytes], *, secret: str = SECRET) -> HttpRequest:
    """A body as the Java SDK sends it. Written from the specification, apart from the verifier."""

    def sign(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    now = datetime.now(UTC)
    date, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    scope = f"{day}/us-east-1/s3/aws4_request"
    content = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    headers = {"host": "127.0.0.1:4566", "x-amz-content-sha256": content, "x-amz-date": date}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["PUT", "/b/k", "", *(f"{n}:{headers[n]}" for n in sorted(headers)), "", names, content]
    )
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = sign(key, part)
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = previous = sign(key, text).hex()
    body = b""
    for piece in (*pieces, b""):
        hashes = f"{hashlib.sha256(b'').hexdigest()}\n{hashlib.sha256(piece).hexdigest()}"
        previous = sign(key, f"AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{hashes}").hex()
        body += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(piece), previous.encode(), piece)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return HttpRequest(method="PUT", path="/b/k", headers=headers, body=BytesStream(body))


async def read_verified(request: HttpRequest, body: bytes | None = None) -> bytes:
    auth = Auth(clock=Clock(), settings=settings())
    identity = identify(request, {})
    auth.verify(identity, request, lambda: "")
    if body is not None:
        request = HttpRequest(method="PUT", path="/b/k", headers=request.headers, body=BytesStream(body))
    stream = open_body(request, auth.chunk_verifier(identity, request))
    return await collect(stream, limit=1000, too_long=ServiceError("TooLong", ""))


def test_signed_chunks_verify_one_by_one() -> None:
    request = chunk_signed([b"hello", b"world"])
    assert asyncio.run(read_verified(request)) == b"helloworld"
    whole = asyncio.run(collect(request.body, limit=9999, too_long=ServiceError("TooLong", "")))
    with pytest.raises(ServiceError, match="SignatureDoesNotMatch"):
        asyncio.run(read_verified(request, whole.replace(b"world", b"w0rld")))


# --- hosts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:4566",
        "localhost:1",
        "LOCALHOST",
        "[::1]:4566",
        "b.localhost:4566",
        "127.0.0.2",
    ],
)
def test_names_of_this_machine_are_allowed(host: str) -> None:
    allow_host({"host": host}, settings(credentials={}))


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:4566", "127.0.0.1.evil.example", "localhost.evil.example",
             "10.0.0.1", "127.0.0.1,evil.example", "[::2]", "localhost:4566:80", "127.0.0.1:x"]
)  # fmt: skip
def test_other_names_are_refused(host: str) -> None:
    with pytest.raises(ServiceError, match="AccessDenied"):
        allow_host({"host": host}, settings(credentials={}))


def test_pages_of_other_sites_may_not_call() -> None:
    allow_host({"host": "127.0.0.1", "origin": "http://localhost:8888"}, settings(credentials={}))
    for origin in ("https://evil.example", "null"):
        with pytest.raises(ServiceError, match="may not use this cloud"):
            allow_host({"host": "127.0.0.1", "origin": origin}, settings(credentials={}))


def test_the_configured_host_is_allowed_and_any_beyond_loopback() -> None:
    allow_host({"host": "box.lan:4566"}, settings(host="box.lan"))
    allow_host({"host": "whatever"}, settings(host="0.0.0.0"))
