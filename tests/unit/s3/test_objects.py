import asyncio
import errno
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.services.s3.bodies import Bodies
from scones.cloud.services.s3.checksums import Declared
from scones.cloud.state.blobs import Blobs, BlobWriter

from .harness import ACCOUNT, Pieces, Service

SMALL = b"a small body"
LARGE = bytes(range(256)) * 1000


@pytest.mark.parametrize("body", [b"", SMALL, b"x" * 16_384, b"x" * 16_385, LARGE])
def test_what_is_put_is_got(s3: Service, body: bytes) -> None:
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    assert s3.put_object(Bucket="shelf", Key="k", Body=body)["ETag"] == etag
    reply = s3.get_object(Bucket="shelf", Key="k")
    assert s3.read("shelf", "k") == body
    assert (reply["ETag"], reply["ContentLength"], reply["AcceptRanges"]) == (etag, len(body), "bytes")
    head = s3.head_object(Bucket="shelf", Key="k")
    assert {**head, "Body": reply["Body"]} == reply


def test_a_stream_is_stored_as_it_comes(s3: Service) -> None:
    pieces = [LARGE[start : start + 7000] for start in range(0, len(LARGE), 7000)]
    s3.put_object(Bucket="shelf", Key="k", Body=Pieces(pieces, length=len(LARGE)))
    assert s3.read("shelf", "k") == LARGE


@pytest.mark.parametrize("before", [b"", LARGE])
def test_a_body_that_breaks_off_leaves_what_was_there(s3: Service, before: bytes) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=before)
    files = s3.files()
    with pytest.raises(ConnectionResetError):
        s3.put_object(Bucket="shelf", Key="k", Body=Pieces([LARGE, ConnectionResetError()]))
    short = Pieces([LARGE], length=len(LARGE) + 1)
    assert s3.refused("put_object", Bucket="shelf", Key="k", Body=short).code == "IncompleteBody"
    assert s3.read("shelf", "k") == before
    assert s3.files() == files


def test_replacing_and_deleting_remove_the_bytes(s3: Service) -> None:
    for body in (LARGE, LARGE[1:], SMALL, LARGE):
        s3.put_object(Bucket="shelf", Key="k", Body=body)
    assert len(s3.files()) == 1
    s3.delete_object(Bucket="shelf", Key="k")
    s3.delete_object(Bucket="shelf", Key="k")
    assert s3.files() == set()


def test_a_reply_can_be_read_although_its_object_has_gone(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=LARGE)
    reply = s3.get_object(Bucket="shelf", Key="k")
    s3.delete_object(Bucket="shelf", Key="k")
    assert reply["Body"].read() == LARGE


def test_a_start_after_a_crash_sweeps_bytes_without_a_row(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=LARGE)
    kept = s3.files()
    s3.blobs.put(b"an orphan")
    unfinished = s3.blobs.writer()
    unfinished.write(b"half")
    unfinished._file.close()
    s3.crash()
    assert s3.files() == kept
    assert s3.read("shelf", "k") == LARGE


def test_a_full_disk_is_an_answer_and_leaves_nothing(s3: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    s3.put_object(Bucket="shelf", Key="k", Body=SMALL)
    with monkeypatch.context() as broken:
        broken.setattr(BlobWriter, "write", full)
        error = s3.refused("put_object", Bucket="shelf", Key="k", Body=LARGE)
    assert (error.code, error.status) == ("ServiceUnavailable", 503)
    assert "full" in error.message
    assert s3.read("shelf", "k") == SMALL
    assert s3.files() == set()


def test_a_full_database_is_an_answer_too(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL)
    (pages,) = s3.db.one("PRAGMA page_count") or (0,)
    s3.db.execute(f"PRAGMA max_page_count = {pages}")
    error = s3.refused("put_object", Bucket="shelf", Key="other", Body=b"x" * 16_000)
    assert error.code == "ServiceUnavailable"
    assert s3.keys("shelf") == ["k"]


# --- keys and names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        " ",
        "a b+c%2F",
        "é/ü",
        "😀",
        "//",
        "trailing/",
        "../../etc/passwd",
        "/abs",
        "nul\0byte",
        "\x01\n",
        "é" * 512,
    ],
)
def test_any_text_is_a_key(s3: Service, key: str) -> None:
    s3.put_object(Bucket="shelf", Key=key, Body=LARGE)
    assert s3.read("shelf", key) == LARGE
    assert s3.keys("shelf") == [key]
    s3.delete_object(Bucket="shelf", Key=key)
    assert s3.keys("shelf") == []


def test_a_key_is_limited_in_bytes(s3: Service) -> None:
    error = s3.refused("put_object", Bucket="shelf", Key="é" * 512 + "x", Body=b"")
    assert (error.code, error.fields["Size"]) == ("KeyTooLongError", 1025)
    assert s3.refused("put_object", Bucket="shelf", Key="\udcff", Body=b"").code == "InvalidURI"


def test_what_is_not_there_is_named(s3: Service) -> None:
    for operation in ("get_object", "head_object"):
        error = s3.refused(operation, Bucket="shelf", Key="no")
        assert (error.code, error.status, error.fields) == ("NoSuchKey", 404, {"Key": "no"})
    error = s3.refused("put_object", Bucket="nowhere", Key="k", Body=b"")
    assert (error.code, error.status, error.fields) == ("NoSuchBucket", 404, {"BucketName": "nowhere"})


# --- properties ---------------------------------------------------------------------------------

PROPERTIES = {
    "CacheControl": "no-cache",
    "ContentDisposition": "attachment",
    "ContentLanguage": "de",
    "ContentType": "image/png",
    "Expires": datetime(2030, 1, 1, tzinfo=UTC),
    "Metadata": {"colour": "grün"},
    "ServerSideEncryption": "aws:kms",
    "SSEKMSKeyId": "alias/key",
    "WebsiteRedirectLocation": "/elsewhere",
}


def test_properties_come_back(s3: Service) -> None:
    put = s3.put_object(
        Bucket="shelf",
        Key="k",
        Body=SMALL,
        ContentEncoding="aws-chunked, gzip",
        StorageClass="STANDARD_IA",
        Tagging="a=1&b=",
        **PROPERTIES,
    )
    assert put["ServerSideEncryption"] == "aws:kms"
    head = s3.head_object(Bucket="shelf", Key="k")
    assert {name: head[name] for name in PROPERTIES} == PROPERTIES
    assert (head["ContentEncoding"], head["StorageClass"], head["TagCount"]) == ("gzip", "STANDARD_IA", 2)


def test_a_plain_object_has_the_usual_type_and_an_unsaid_class(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL, ContentEncoding="aws-chunked")
    head = s3.head_object(Bucket="shelf", Key="k")
    assert head["ContentType"] == "binary/octet-stream"
    assert head["ServerSideEncryption"] == "AES256"
    assert not {"StorageClass", "ContentEncoding", "SSEKMSKeyId"} & head.keys()


def test_a_reader_may_override_headers(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL, ContentType="image/png")
    reply = s3.get_object(Bucket="shelf", Key="k", ResponseContentType="text/plain")
    assert reply["ContentType"] == "text/plain"


@pytest.mark.parametrize(
    ("request_members", "code"),
    [
        ({"Metadata": {"k": "x" * 2048}}, "MetadataTooLarge"),
        ({"StorageClass": "GLACIER"}, "InvalidStorageClass"),
        ({"ACL": "public-read"}, "AccessControlListNotSupported"),
        ({"GrantRead": "id=1"}, "AccessControlListNotSupported"),
        ({"SSECustomerAlgorithm": "AES256"}, "NotImplemented"),
        ({"WriteOffsetBytes": 3}, "NotImplemented"),
        ({"ObjectLockMode": "GOVERNANCE"}, "InvalidRequest"),
        ({"SSEKMSKeyId": "key"}, "InvalidArgument"),
        ({"Tagging": "a=1&a=2"}, "InvalidTag"),
        ({"Tagging": "=1"}, "InvalidTag"),
        ({"Tagging": "&".join(f"k{n}=v" for n in range(11))}, "BadRequest"),
        ({"IfNoneMatch": '"etag"'}, "NotImplemented"),
        ({"ExpectedBucketOwner": "111111111111"}, "AccessDenied"),
    ],
)
def test_what_cannot_be_honoured_is_refused(s3: Service, request_members: dict[str, Any], code: str) -> None:
    assert s3.refused("put_object", Bucket="shelf", Key="k", Body=b"", **request_members).code == code
    assert s3.keys("shelf") == []


def test_only_the_null_version_exists(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL)
    assert s3.read("shelf", "k", VersionId="null") == SMALL
    for operation in ("get_object", "head_object", "delete_object"):
        assert s3.refused(operation, Bucket="shelf", Key="k", VersionId="v1").code == "InvalidArgument"


# --- ranges -------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"0123456789", b"0123456789" * 5000])
@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=2-5", 2, 5),
        ("bytes=4-", 4, -1),
        ("bytes=-3", -3, -1),
        ("bytes=-99999999", 0, -1),
        ("bytes=7-99999999", 7, -1),
    ],
)
def test_a_range_is_a_stretch(s3: Service, body: bytes, header: str, first: int, last: int) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=body)
    first, last = first % len(body), last % len(body)
    reply = s3.get_object(Bucket="shelf", Key="k", Range=header, ChecksumMode="ENABLED")
    assert s3.read("shelf", "k", Range=header) == body[first : last + 1]
    assert reply["ContentRange"] == f"bytes {first}-{last}/{len(body)}"
    assert reply["ContentLength"] == last + 1 - first
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.head_object(Bucket="shelf", Key="k", Range=header)["ContentRange"] == reply["ContentRange"]


@pytest.mark.parametrize("header", ["bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=-", "x"])
def test_a_range_that_is_none_means_the_whole(s3: Service, header: str) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL)
    assert s3.read("shelf", "k", Range=header) == SMALL


@pytest.mark.parametrize(("body", "header"), [(SMALL, "bytes=12-"), (SMALL, "bytes=-0"), (b"", "bytes=0-")])
def test_a_range_outside_is_unsatisfiable(s3: Service, body: bytes, header: str) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=body)
    error = s3.refused("get_object", Bucket="shelf", Key="k", Range=header)
    assert (error.code, error.status) == ("InvalidRange", 416)
    assert error.fields == {"RangeRequested": header, "ActualObjectSize": len(body)}


# --- conditions ---------------------------------------------------------------------------------

MODIFIED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ETAG = f'"{hashlib.md5(SMALL).hexdigest()}"'
EARLIER, LATER = MODIFIED - timedelta(seconds=1), MODIFIED + timedelta(seconds=1)
READS: list[tuple[dict[str, Any], int]] = [
    ({"IfMatch": ETAG}, 200),
    ({"IfMatch": ETAG.strip('"')}, 200),
    ({"IfMatch": f'"x", {ETAG}'}, 200),
    ({"IfMatch": "*"}, 200),
    ({"IfMatch": '"x"'}, 412),
    ({"IfNoneMatch": ETAG}, 304),
    ({"IfNoneMatch": "*"}, 304),
    ({"IfNoneMatch": '"x"'}, 200),
    ({"IfModifiedSince": EARLIER}, 200),
    ({"IfModifiedSince": MODIFIED}, 304),
    ({"IfUnmodifiedSince": MODIFIED}, 200),
    ({"IfUnmodifiedSince": EARLIER}, 412),
    ({"IfMatch": ETAG, "IfUnmodifiedSince": EARLIER}, 200),
    ({"IfNoneMatch": '"x"', "IfModifiedSince": LATER}, 200),
    ({"IfNoneMatch": ETAG, "IfModifiedSince": EARLIER}, 304),
]


@pytest.mark.parametrize(("conditions", "status"), READS)
def test_conditional_reads(s3: Service, conditions: dict[str, Any], status: int) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL)
    for operation in ("get_object", "head_object"):
        if status == 200:
            getattr(s3, operation)(Bucket="shelf", Key="k", **conditions)
        else:
            assert s3.refused(operation, Bucket="shelf", Key="k", **conditions).status == status


@pytest.mark.parametrize(("conditions", "status"), READS)
def test_conditional_copies_fail_alike(s3: Service, conditions: dict[str, Any], status: int) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL)
    members = {f"CopySource{name}": value for name, value in conditions.items()}
    request = {"Bucket": "shelf", "Key": "copy", "CopySource": "shelf/k", **members}
    if status == 200:
        s3.copy_object(**request)
    else:
        assert s3.refused("copy_object", **request).code == "PreconditionFailed"


def test_conditional_writes(s3: Service) -> None:
    put = {"Bucket": "shelf", "Key": "k"}
    assert s3.refused("put_object", **put, Body=SMALL, IfMatch=ETAG).code == "NoSuchKey"
    s3.put_object(**put, Body=SMALL, IfNoneMatch="*")
    error = s3.refused("put_object", **put, Body=b"other", IfNoneMatch="*")
    assert (error.code, error.status, error.fields) == (
        "PreconditionFailed",
        412,
        {"Condition": "If-None-Match"},
    )
    assert s3.refused("put_object", **put, Body=b"other", IfMatch='"x"').status == 412
    s3.put_object(**put, Body=b"other", IfMatch=ETAG)
    assert s3.refused("delete_object", **put, IfMatch=ETAG).status == 412
    s3.delete_object(**put, IfMatch=s3.head_object(**put)["ETag"])
    assert s3.keys("shelf") == []


def test_of_two_that_create_at_once_one_wins(s3: Service) -> None:
    requests = [
        {"Bucket": "shelf", "Key": "k", "IfNoneMatch": "*", "Body": Pieces([body] * 9)}
        for body in (LARGE, LARGE[1:])
    ]
    results = s3.together(*(("put_object", request) for request in requests))
    assert [type(result) for result in results].count(dict) == 1
    assert len(s3.files()) == 1


# --- copy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["shelf/a%20b%2Bc", "/shelf/a%20b%2Bc", "shelf/a%20b%2Bc?versionId=null"])
@pytest.mark.parametrize("body", [SMALL, LARGE])
def test_a_copy_has_the_sources_bytes_and_properties(s3: Service, source: str, body: bytes) -> None:
    s3.create_bucket(Bucket="other")
    s3.put_object(
        Bucket="shelf", Key="a b+c", Body=body, ContentType="image/png", Metadata={"m": "1"}, Tagging="t=1"
    )
    result = s3.copy_object(Bucket="other", Key="copy", CopySource=source)["CopyObjectResult"]
    assert result["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    head = s3.head_object(Bucket="other", Key="copy")
    assert (head["ContentType"], head["Metadata"], head["TagCount"]) == ("image/png", {"m": "1"}, 1)
    s3.delete_object(Bucket="shelf", Key="a b+c")
    assert s3.read("other", "copy") == body


def test_a_copy_may_replace_properties(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL, ContentType="image/png", Tagging="t=1")
    s3.copy_object(
        Bucket="shelf",
        Key="k",
        CopySource="shelf/k",
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        Metadata={"new": "1"},
    )
    head = s3.head_object(Bucket="shelf", Key="k")
    assert (head["ContentType"], head["Metadata"]) == ("binary/octet-stream", {"new": "1"})
    assert "TagCount" not in head
    assert s3.read("shelf", "k") == SMALL


def test_a_copy_onto_itself_must_change_something(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=LARGE)
    onto_itself = {"Bucket": "shelf", "Key": "k", "CopySource": "shelf/k"}
    assert s3.refused("copy_object", **onto_itself).code == "InvalidRequest"
    s3.copy_object(**onto_itself, StorageClass="ONEZONE_IA")
    assert s3.refused("copy_object", **onto_itself, StorageClass="ONEZONE_IA").code == "InvalidRequest"
    assert s3.read("shelf", "k") == LARGE
    assert len(s3.files()) == 1


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("nowhere/k", "NoSuchBucket"),
        ("shelf/no", "NoSuchKey"),
        ("shelf", "InvalidArgument"),
        ("shelf/", "InvalidArgument"),
        ("//k", "InvalidArgument"),
        ("arn:aws:s3:::shelf/k", "InvalidArgument"),
        ("shelf/k?versionId=abc", "InvalidArgument"),
        ("shelf/%FF", "InvalidURI"),
    ],
)
def test_a_source_that_is_none_is_refused(s3: Service, source: str, code: str) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL)
    assert s3.refused("copy_object", Bucket="shelf", Key="copy", CopySource=source).code == code


def test_the_source_may_be_expected_to_be_anothers(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SMALL)
    copy = {"Bucket": "shelf", "Key": "copy", "CopySource": "shelf/k"}
    s3.copy_object(**copy, ExpectedSourceBucketOwner=ACCOUNT)
    assert s3.refused("copy_object", **copy, ExpectedSourceBucketOwner="111111111111").status == 403


# --- delete many --------------------------------------------------------------------------------


def test_many_are_deleted_at_once(s3: Service) -> None:
    for key in ("a", "b", "c"):
        s3.put_object(Bucket="shelf", Key=key, Body=LARGE)
    targets = [{"Key": "a"}, {"Key": "missing"}, {"Key": "b", "ETag": '"x"'}, {"Key": "c", "VersionId": "v"}]
    reply = s3.delete_objects(Bucket="shelf", Delete={"Objects": targets})
    assert reply["Deleted"] == [{"Key": "a"}, {"Key": "missing"}]
    assert [(e["Key"], e["Code"]) for e in reply["Errors"]] == [
        ("b", "PreconditionFailed"),
        ("c", "InvalidArgument"),
    ]
    assert s3.delete_objects(Bucket="shelf", Delete={"Objects": [{"Key": "b"}], "Quiet": True}) == {
        "Deleted": [],
        "Errors": [],
    }
    assert s3.keys("shelf") == ["c"]
    assert len(s3.files()) == 1


@pytest.mark.parametrize("count", [0, 1001])
def test_how_many_at_once_is_limited(s3: Service, count: int) -> None:
    targets = [{"Key": f"k{n}"} for n in range(count)]
    assert s3.refused("delete_objects", Bucket="shelf", Delete={"Objects": targets}).code == "MalformedXML"


def test_bytes_of_a_put_that_finds_its_bucket_gone_are_removed(s3: Service) -> None:
    slow = {"Bucket": "shelf", "Key": "k", "Body": Pieces([LARGE] * 5)}
    results = s3.together(("put_object", slow), ("delete_bucket", {"Bucket": "shelf"}))
    assert getattr(results[0], "code", None) == "NoSuchBucket"
    assert s3.files() == set()


async def _received(bodies: Bodies, body: bytes) -> int:
    return (await bodies.receive(body, Declared())).body.size


def test_the_limit_of_one_put_is_told(tmp_path: Path) -> None:
    bodies = Bodies(Blobs(tmp_path), limit_bytes=len(LARGE))
    assert asyncio.run(_received(bodies, LARGE)) == len(LARGE)
    with pytest.raises(ServiceError) as caught:
        asyncio.run(_received(bodies, LARGE + b"x"))
    assert caught.value.code == "EntityTooLarge"
    assert caught.value.fields["MaxSizeAllowed"] == len(LARGE)
    assert list((tmp_path / "incoming").iterdir()) == []
