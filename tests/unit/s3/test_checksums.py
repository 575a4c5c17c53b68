import base64
import hashlib
import zlib
from typing import Any

import pytest

from scones.cloud.services.s3.crc import CRC32C, CRC64NVME, CrcHash

from .harness import Pieces, Service

BODY = b"hello" * 7000


def digest(algorithm: str, data: bytes) -> bytes:
    if algorithm == "CRC32":
        return zlib.crc32(data).to_bytes(4, "big")
    if algorithm in ("CRC32C", "CRC64NVME"):
        hasher = CrcHash(CRC32C if algorithm == "CRC32C" else CRC64NVME)
        hasher.update(data)
        return hasher.digest()
    return hashlib.new(algorithm.lower(), data).digest()


def text(algorithm: str, data: bytes) -> str:
    return base64.b64encode(digest(algorithm, data)).decode()


ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_is_verified_kept_and_told_when_asked(s3: Service, algorithm: str) -> None:
    member, value = f"Checksum{algorithm}", text(algorithm, BODY)
    put = s3.put_object(Bucket="shelf", Key="k", Body=BODY, ChecksumAlgorithm=algorithm, **{member: value})
    assert (put[member], put["ChecksumType"]) == (value, "FULL_OBJECT")
    for operation in ("get_object", "head_object"):
        reply = getattr(s3, operation)(Bucket="shelf", Key="k", ChecksumMode="ENABLED")
        assert (reply[member], reply["ChecksumType"]) == (value, "FULL_OBJECT")
        assert member not in getattr(s3, operation)(Bucket="shelf", Key="k")
    ranged = s3.get_object(Bucket="shelf", Key="k", ChecksumMode="ENABLED", Range="bytes=0-1")
    assert member not in ranged  # it is not the checksum of those bytes
    item = s3.list_objects_v2(Bucket="shelf")["Contents"][0]
    assert (item["ChecksumAlgorithm"], item["ChecksumType"]) == ([algorithm], "FULL_OBJECT")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_body_that_is_not_what_was_declared_is_not_stored(s3: Service, algorithm: str) -> None:
    member = f"Checksum{algorithm}"
    wrong = {member: text(algorithm, BODY + b"!")}
    error = s3.refused("put_object", Bucket="shelf", Key="k", Body=BODY, **wrong)
    assert error.code == "BadDigest"
    assert algorithm in error.message
    garbled = {member: "AAAA"}
    assert s3.refused("put_object", Bucket="shelf", Key="k", Body=BODY, **garbled).code == "InvalidRequest"
    assert s3.keys("shelf") == []
    assert s3.files() == set()


def test_trailers_are_verified_after_the_body(s3: Service) -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-crc32"}
    right, wrong = text("CRC32", BODY), text("CRC32", b"")

    def body(**trailers: str) -> Pieces:
        return Pieces(
            [BODY], length=len(BODY), trailers={k.replace("_", "-"): v for k, v in trailers.items()}
        )

    put: dict[str, Any] = {"Bucket": "shelf", "Key": "k", "ChecksumAlgorithm": "CRC32", "headers": headers}
    assert s3.refused("put_object", Body=body(x_amz_checksum_crc32=wrong), **put).code == "BadDigest"
    assert s3.refused("put_object", Body=body(), **put).code == "MalformedTrailerError"
    assert s3.keys("shelf") == []
    s3.put_object(Body=body(x_amz_checksum_crc32=right), **put)
    assert s3.head_object(Bucket="shelf", Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"] == right


def test_content_md5(s3: Service) -> None:
    right = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    s3.put_object(Bucket="shelf", Key="k", Body=BODY, ContentMD5=right)
    error = s3.refused("put_object", Bucket="shelf", Key="k", Body=b"other", ContentMD5=right)
    assert (error.code, error.fields["ExpectedDigest"]) == ("BadDigest", right)
    error = s3.refused("put_object", Bucket="shelf", Key="k", Body=b"", ContentMD5="no")
    assert error.code == "InvalidDigest"
    assert s3.read("shelf", "k") == BODY


@pytest.mark.parametrize(
    ("members", "headers", "code"),
    [
        ({"ChecksumAlgorithm": "CRC32"}, {}, "InvalidRequest"),
        ({"ChecksumCRC32": "NhCmhg==", "ChecksumSHA1": "x"}, {}, "InvalidRequest"),
        ({"ChecksumAlgorithm": "SHA1", "ChecksumCRC32": "NhCmhg=="}, {}, "InvalidRequest"),
        ({"ChecksumXXHASH64": "AAAAAAAAAAA="}, {}, "NotImplemented"),
        ({}, {"x-amz-trailer": "x-amz-checksum-xxhash3"}, "NotImplemented"),
        ({}, {"x-amz-trailer": "x-amz-checksum-crc9"}, "InvalidRequest"),
    ],
)
def test_declarations_that_make_no_sense(
    s3: Service, members: dict[str, str], headers: dict[str, str], code: str
) -> None:
    error = s3.refused("put_object", Bucket="shelf", Key="k", Body=b"hello", headers=headers, **members)
    assert error.code == code


def test_a_copy_keeps_the_algorithm_or_changes_it(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=BODY, ChecksumCRC32=text("CRC32", BODY))
    kept = s3.copy_object(Bucket="shelf", Key="c1", CopySource="shelf/k")["CopyObjectResult"]
    assert kept["ChecksumCRC32"] == text("CRC32", BODY)
    changed = s3.copy_object(Bucket="shelf", Key="c2", CopySource="shelf/k", ChecksumAlgorithm="SHA256")
    assert changed["CopyObjectResult"]["ChecksumSHA256"] == text("SHA256", BODY)
    assert "ChecksumCRC32" not in s3.head_object(Bucket="shelf", Key="c2", ChecksumMode="ENABLED")


# --- uploads in parts ---------------------------------------------------------------------------

PARTS = [b"a" * 5 * 1024 * 1024, b"b" * 5 * 1024 * 1024, b"c" * 10]


@pytest.mark.parametrize(
    ("algorithm", "kind", "told"),
    [
        ("CRC32", None, "COMPOSITE"),
        ("CRC32C", "COMPOSITE", "COMPOSITE"),
        ("SHA256", None, "COMPOSITE"),
        ("CRC32", "FULL_OBJECT", "FULL_OBJECT"),
        ("CRC64NVME", None, "FULL_OBJECT"),
    ],
)
def test_the_checksum_of_an_upload(s3: Service, algorithm: str, kind: str | None, told: str) -> None:
    options = {"ChecksumType": kind} if kind else {}
    created = s3.create_multipart_upload(Bucket="shelf", Key="k", ChecksumAlgorithm=algorithm, **options)
    assert (created["ChecksumAlgorithm"], created["ChecksumType"]) == (algorithm, told)
    upload = {"Bucket": "shelf", "Key": "k", "UploadId": created["UploadId"]}
    member = f"Checksum{algorithm}"
    parts = []
    for number, body in enumerate(PARTS, 1):
        value = text(algorithm, body)
        reply = s3.upload_part(**upload, PartNumber=number, Body=body, **{member: value})
        assert reply[member] == value
        parts.append({"PartNumber": number, "ETag": reply["ETag"], member: value})
    whole = (
        text(algorithm, b"".join(PARTS))
        if told == "FULL_OBJECT"
        else text(algorithm, b"".join(digest(algorithm, body) for body in PARTS)) + "-3"
    )
    end = {**upload, "MultipartUpload": {"Parts": parts}}
    assert (
        s3.refused("complete_multipart_upload", **end, **{member: text(algorithm, b"")}).code == "BadDigest"
    )
    done = s3.complete_multipart_upload(**end, ChecksumType=told, **{member: whole})
    assert (done[member], done["ChecksumType"]) == (whole, told)
    head = s3.head_object(Bucket="shelf", Key="k", ChecksumMode="ENABLED")
    assert (head[member], head["ChecksumType"]) == (whole, told)


def test_types_that_an_algorithm_cannot_have(s3: Service) -> None:
    create = {"Bucket": "shelf", "Key": "k"}
    for members in (
        {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
        {"ChecksumType": "COMPOSITE"},
    ):
        assert s3.refused("create_multipart_upload", **create, **members).code == "InvalidRequest"


def test_a_part_by_another_algorithm_is_refused(s3: Service) -> None:
    created = s3.create_multipart_upload(Bucket="shelf", Key="k", ChecksumAlgorithm="CRC32")
    part = {"Bucket": "shelf", "Key": "k", "UploadId": created["UploadId"], "PartNumber": 1, "Body": BODY}
    error = s3.refused("upload_part", **part, ChecksumSHA1=text("SHA1", BODY))
    assert "expected checksum Type: crc32, actual checksum Type: sha1" in error.message
    assert s3.upload_part(**part)["ChecksumCRC32"] == text("CRC32", BODY)
