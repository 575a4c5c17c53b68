import asyncio
import hashlib

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.wire.body import collect, open_body, plain_headers
from scones.cloud.wire.http import BytesStream, HttpRequest

CHUNKED = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
TOO_LONG = ServiceError("EntityTooLarge", "too long")


def read(body: bytes, headers: dict[str, str], limit: int = 100) -> tuple[bytes, dict[str, str]]:
    stream = open_body(HttpRequest(method="PUT", path="/", headers=headers, body=BytesStream(body)))
    return asyncio.run(collect(stream, limit=limit, too_long=TOO_LONG)), stream.trailers


def test_an_aws_chunked_body_is_unwrapped_and_shows_its_trailers() -> None:
    headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "5"}
    assert read(CHUNKED, headers) == (b"hello", {"x-amz-checksum-crc32": "NhCmhg=="})


def test_a_body_that_is_not_what_was_signed_fails_at_its_end() -> None:
    headers = {"x-amz-content-sha256": hashlib.sha256(b"hello").hexdigest()}
    assert read(b"hello", headers)[0] == b"hello"
    with pytest.raises(ServiceError, match="XAmzContentSHA256Mismatch"):
        read(b"jello", headers)


@pytest.mark.parametrize("length", ["4", "6"])
def test_a_body_of_another_length_than_announced_fails(length: str) -> None:
    with pytest.raises(ServiceError, match="IncompleteBody"):
        read(CHUNKED, {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": length})


@pytest.mark.parametrize("length", ["", "-5", "five", "٥", "9" * 30])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    with pytest.raises(ServiceError, match="InvalidArgument"):
        read(CHUNKED, {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": length})


def test_collecting_stops_at_the_limit() -> None:
    with pytest.raises(ServiceError, match="too long"):
        read(b"x" * 101, {})
    with pytest.raises(ServiceError, match="too long"):
        read(CHUNKED, {"content-encoding": "aws-chunked"}, limit=4)


def test_the_encoding_on_the_wire_is_not_the_objects_own() -> None:
    headers = {
        "content-encoding": "gzip,aws-chunked",
        "content-length": "99",
        "x-amz-decoded-content-length": "5",
    }
    assert dict(plain_headers(headers)) | {"x-amz-decoded-content-length": ""} == {
        "content-encoding": "gzip",
        "content-length": "5",
        "x-amz-decoded-content-length": "",
    }
    assert "content-encoding" not in plain_headers({"content-encoding": "aws-chunked"})
