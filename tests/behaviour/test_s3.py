"""S3 as an unmodified boto3 sees it, over a socket."""

import concurrent.futures
import hashlib
import http.client
import io
import random
import urllib.request
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from scones.testing import LocalAWS

ODD_KEYS = [
    " ",
    "a b",
    "a+b",
    "a%20b",
    "a//b",
    "/leading",
    "trailing/",
    "é/ü",
    "😀",
    "<&>\"'",
    "?x=1&y#z",
    "../up",
    "line\nbreak\r",
    "\x01control",
    "a\\b",
]
LARGE = random.Random(1).randbytes(20 * 1024 * 1024)


@pytest.fixture(scope="module")
def s3(aws: LocalAWS) -> Any:
    return aws.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"shelf-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return name


def failure(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    reply = caught.value.response
    return reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]


def details(caught: pytest.ExceptionInfo[ClientError]) -> dict[str, Any]:
    return dict(caught.value.response["Error"])


def keys(pages: Any) -> list[str]:
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


# --- buckets ------------------------------------------------------------------------------------


@pytest.mark.aws_portable
def test_a_bucket_lives_and_ends(s3: Any, bucket: str) -> None:
    assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert failure(caught) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket=bucket)
    assert failure(caught) == ("404", 404)
    with pytest.raises(s3.exceptions.NoSuchBucket) as gone:
        s3.list_objects_v2(Bucket=bucket)
    assert details(gone)["BucketName"] == bucket


def test_another_expected_owner_is_denied(s3: Any, bucket: str) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="000000000000")
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="111111111111")
    assert failure(caught) == ("403", 403)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"", ExpectedBucketOwner="111111111111")
    assert failure(caught) == ("AccessDenied", 403)


def test_another_region_has_locations(tmp_path: Path) -> None:
    with LocalAWS(tmp_path, region="eu-west-1") as elsewhere:
        s3 = elsewhere.client("s3")
        place = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket="shelf", CreateBucketConfiguration=place)
        assert s3.get_bucket_location(Bucket="shelf")["LocationConstraint"] == "eu-west-1"
        with pytest.raises(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="shelf", CreateBucketConfiguration=place)


def test_an_operation_that_is_absent_says_so(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_versioning(Bucket=bucket)
    assert failure(caught)[0] == "NotImplemented"
    assert "GetBucketVersioning" in str(caught.value)


# --- objects ------------------------------------------------------------------------------------


@pytest.mark.aws_portable
def test_an_object_with_everything_comes_back(s3: Any, bucket: str) -> None:
    put = s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"hello",
        CacheControl="no-cache",
        ContentDisposition="attachment",
        ContentEncoding="gzip",
        ContentLanguage="de",
        ContentType="text/plain",
        Expires="2030-01-01T00:00:00Z",
        Metadata={"Colour": "red"},
        ServerSideEncryption="aws:kms",
        Tagging="a=1&b=2",
    )
    assert put["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert put["ServerSideEncryption"] == "aws:kms"
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"hello"
    for head in (got, s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")):
        assert head["ContentLength"] == 5
        assert head["Metadata"] == {"colour": "red"}
        assert head["ContentType"] == "text/plain"
        assert head["ContentEncoding"] == "gzip"
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["ChecksumCRC32"] == put["ChecksumCRC32"] == "NhCmhg=="
        assert head["ETag"] == put["ETag"]


@pytest.mark.aws_portable
@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_kept_as_they_are(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    s3.copy_object(Bucket=bucket, Key=key + "2", CopySource={"Bucket": bucket, "Key": key})
    assert keys([s3.list_objects_v2(Bucket=bucket)]) == sorted([key, key + "2"], key=str.encode)
    targets = [{"Key": key}, {"Key": key + "2"}]
    if key[0] < " ":  # no XML can name it, so DeleteObjects cannot either
        for target in targets:
            s3.delete_object(Bucket=bucket, **target)
    else:
        reply = s3.delete_objects(Bucket=bucket, Delete={"Objects": targets})
        assert sorted(d["Key"] for d in reply["Deleted"]) == sorted([key, key + "2"])
    assert keys([s3.list_objects_v2(Bucket=bucket)]) == []


@pytest.mark.aws_portable
@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_paginators_see_every_key_once(s3: Any, bucket: str, operation: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), ODD_KEYS))
    pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert keys(pages) == sorted(ODD_KEYS, key=str.encode)
    rolled = list(
        s3.get_paginator(operation).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 3})
    )
    prefixes = [p["Prefix"] for page in rolled for p in page.get("CommonPrefixes", [])]
    assert sorted(prefixes) == sorted({k.partition("/")[0] + "/" for k in ODD_KEYS if "/" in k})
    assert keys(rolled) == sorted((k for k in ODD_KEYS if "/" not in k), key=str.encode)


@pytest.mark.aws_portable
def test_ranges(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=LARGE[:100_000])
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=10-19")
    assert (got["Body"].read(), got["ContentRange"]) == (LARGE[10:20], "bytes 10-19/100000")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=-5")["Body"].read() == LARGE[99_995:100_000]
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=100000-")
    assert failure(caught) == ("InvalidRange", 416)
    assert details(caught)["ActualObjectSize"] == "100000"


@pytest.mark.aws_portable
def test_conditional_requests(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    for condition, expected in (
        ({"IfNoneMatch": etag}, ("304", 304)),
        ({"IfModifiedSince": modified}, ("304", 304)),
        ({"IfMatch": '"x"'}, ("PreconditionFailed", 412)),
    ):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="k", **condition)
        assert failure(caught) == expected
        if expected[1] == 304:
            assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["etag"] == etag
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert failure(caught) == ("PreconditionFailed", 412)
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"


@pytest.mark.aws_portable
def test_a_missing_key_is_named(s3: Any, bucket: str) -> None:
    with pytest.raises(s3.exceptions.NoSuchKey) as caught:
        s3.get_object(Bucket=bucket, Key="no/where")
    assert details(caught)["Key"] == "no/where"
    with pytest.raises(ClientError) as head:
        s3.head_object(Bucket=bucket, Key="no/where")
    assert failure(head) == ("404", 404)
    s3.delete_object(Bucket=bucket, Key="no/where")


@pytest.mark.aws_portable
def test_delete_objects_in_quiet(s3: Any, bucket: str) -> None:
    for key in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    reply = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}], "Quiet": True})
    assert "Deleted" not in reply
    assert "Errors" not in reply
    assert keys([s3.list_objects_v2(Bucket=bucket)]) == []


@pytest.mark.aws_portable
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AA=="}, "InvalidRequest"),
        ({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"),
        ({}, "InvalidRequest"),
    ],
)
def test_a_deletion_with_a_wrong_checksum_deletes_nothing(
    aws: LocalAWS, bucket: str, headers: dict[str, str], code: str
) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="a", Body=b"")

    def falsify(request: Any, **_: Any) -> None:
        for name in ("x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm"):
            del request.headers[name]
        for name, value in headers.items():
            request.headers[name] = value

    s3.meta.events.register("before-sign.s3.DeleteObjects", falsify)
    with pytest.raises(ClientError) as caught:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}]})
    assert failure(caught) == (code, 400)
    assert keys([s3.list_objects_v2(Bucket=bucket)]) == ["a"]


@pytest.mark.aws_portable
def test_a_copy_with_new_metadata(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=LARGE[:50_000], Metadata={"a": "1"})
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource=source, Metadata={"b": "2"}, MetadataDirective="REPLACE"
    )
    assert s3.head_object(Bucket=bucket, Key="same")["Metadata"] == {"a": "1"}
    assert s3.head_object(Bucket=bucket, Key="new")["Metadata"] == {"b": "2"}
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == LARGE[:50_000]
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    assert failure(caught) == ("InvalidRequest", 400)


@pytest.mark.aws_portable
@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_of_the_clients_choice(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert got["Body"].read() == b"hello"  # botocore verifies as it reads


def test_a_body_that_is_not_what_was_declared_is_refused(s3: Any, bucket: str) -> None:
    for wrong in (
        {"ChecksumCRC32": "AAAAAA=="},
        {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="},
    ):
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket=bucket, Key="k", Body=b"hello", **wrong)
        assert failure(caught) == ("BadDigest", 400)
    assert keys([s3.list_objects_v2(Bucket=bucket)]) == []


def test_a_chunked_body_with_a_trailer(aws: LocalAWS, s3: Any, bucket: str) -> None:
    """What SDKs send over https, written by hand: botocore itself frames nothing over http."""

    def put(checksum: str) -> http.client.HTTPResponse:
        target = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}))
        connection = http.client.HTTPConnection(target.netloc)
        body = f"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
        headers = {
            "Content-Encoding": "aws-chunked",
            "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "X-Amz-Decoded-Content-Length": "5",
            "X-Amz-Trailer": "x-amz-checksum-crc32",
        }
        connection.request("PUT", f"{target.path}?{target.query}", body, headers)
        response = connection.getresponse()
        response.text = response.read()  # type: ignore[attr-defined]
        connection.close()
        return response

    refused = put("AAAAAA==")
    assert refused.status == 400
    assert b"BadDigest" in refused.text  # type: ignore[attr-defined]
    assert keys([s3.list_objects_v2(Bucket=bucket)]) == []
    assert put("NhCmhg==").status == 200
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ChecksumCRC32"]) == (b"hello", "NhCmhg==")
    assert "ContentEncoding" not in got


@pytest.mark.aws_portable
def test_presigned_urls(s3: Any, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "a b/é+.txt"}
    put = urllib.request.Request(
        s3.generate_presigned_url("put_object", Params=target), data=b"hello", method="PUT"
    )
    with urllib.request.urlopen(put) as response:
        assert response.status == 200
    override = target | {"ResponseContentType": "text/x-test"}
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", Params=override)) as response:
        assert response.read() == b"hello"
        assert response.headers["Content-Type"] == "text/x-test"


# --- uploads in parts ---------------------------------------------------------------------------


@pytest.mark.aws_portable
def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(s3: Any, bucket: str, tmp_path: Path) -> None:
    source, target = tmp_path / "up", tmp_path / "down"
    source.write_bytes(LARGE)
    s3.upload_file(str(source), bucket, "large")
    head = s3.head_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"')
    assert (head["ChecksumType"], head["ChecksumCRC32"][-2:]) == ("COMPOSITE", "-3")
    s3.download_file(bucket, "large", str(target))
    assert target.read_bytes() == LARGE
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == LARGE


@pytest.mark.aws_portable
def test_a_large_object_is_copied_in_parts(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="large", Body=LARGE)
    settings = TransferConfig(multipart_threshold=6 * 1024**2, multipart_chunksize=6 * 1024**2)
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy", Config=settings)
    assert s3.head_object(Bucket=bucket, Key="copy")["ETag"].endswith('-4"')
    got = io.BytesIO()
    s3.download_fileobj(bucket, "copy", got)
    assert got.getvalue() == LARGE


@pytest.mark.aws_portable
def test_an_upload_by_hand(s3: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "k", "UploadId": ""}
    upload["UploadId"] = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [
        upload["UploadId"]
    ]
    etags = [s3.upload_part(**upload, PartNumber=n, Body=b"x")["ETag"] for n in (1, 2)]
    assert [p["ETag"] for p in s3.list_parts(**upload)["Parts"]] == etags
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert failure(caught) == ("EntityTooSmall", 400)
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**upload)
    assert failure(caught) == ("MalformedXML", 400)
    s3.abort_multipart_upload(**upload)
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.list_parts(**upload)


# --- many at once, and the end of a cloud -------------------------------------------------------


@pytest.mark.parametrize("size", [100, 300_000])
def test_a_reader_sees_one_of_the_bodies_that_are_being_written(s3: Any, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0" * size)

    def write(digit: int) -> None:
        for _ in range(5):
            s3.put_object(Bucket=bucket, Key="k", Body=str(digit).encode() * size)

    def read(_: int) -> None:
        for _ in range(10):
            body = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
            assert body == body[:1] * size

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        work = [pool.submit(write, digit) for digit in range(3)] + [pool.submit(read, n) for n in range(3)]
        for done in work:
            done.result(60)


def test_a_client_that_leaves_leaves_nothing(aws: LocalAWS, s3: Any, bucket: str) -> None:
    target = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}))
    connection = http.client.HTTPConnection(target.netloc)
    connection.putrequest("PUT", f"{target.path}?{target.query}")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    connection.send(b"x" * 300_000)
    connection.close()
    assert keys([s3.list_objects_v2(Bucket=bucket)]) == []


def test_objects_outlive_the_cloud(tmp_path: Path) -> None:
    with LocalAWS(tmp_path) as first:
        s3 = first.client("s3")
        s3.create_bucket(Bucket="shelf")
        for key, size in (("small", 10), ("large", 100_000)):
            s3.put_object(Bucket="shelf", Key=key, Body=LARGE[:size], Metadata={"size": str(size)})
    with LocalAWS(tmp_path) as second:
        s3 = second.client("s3")
        for key, size in (("small", 10), ("large", 100_000)):
            got = s3.get_object(Bucket="shelf", Key=key)
            assert (got["Body"].read(), got["Metadata"]) == (LARGE[:size], {"size": str(size)})
