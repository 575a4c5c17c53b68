import hashlib
from typing import Any

import pytest

from .harness import MEBIBYTE, Pieces, Service

FIRST, SECOND, LAST = b"1" * 5 * MEBIBYTE, b"2" * 6 * MEBIBYTE, b"last"


class Upload:
    """One upload of key `k`."""

    def __init__(self, s3: Service, **options: Any) -> None:
        self.s3 = s3
        created = s3.create_multipart_upload(Bucket="shelf", Key="k", **options)
        self.of = {"Bucket": "shelf", "Key": "k", "UploadId": created["UploadId"]}
        self.etags: dict[int, str] = {}

    def part(self, number: int, body: Any) -> str:
        self.etags[number] = self.s3.upload_part(**self.of, PartNumber=number, Body=body)["ETag"]
        return self.etags[number]

    def completion(self, *numbers: int) -> dict[str, Any]:
        parts = [{"PartNumber": n, "ETag": self.etags.get(n, '"none"')} for n in numbers]
        return {**self.of, "MultipartUpload": {"Parts": parts}}

    def complete(self, *numbers: int, **options: Any) -> dict[str, Any]:
        return dict(self.s3.complete_multipart_upload(**self.completion(*numbers), **options))


def test_an_upload_becomes_its_parts_in_a_row(s3: Service) -> None:
    upload = Upload(s3, ContentType="image/png", Metadata={"m": "1"}, StorageClass="STANDARD_IA")
    for number, body in ((10, SECOND), (2, FIRST), (9999, LAST)):
        upload.part(number, body)
    assert s3.keys("shelf") == []
    done = upload.complete(2, 10, 9999)
    digests = b"".join(hashlib.md5(body).digest() for body in (FIRST, SECOND, LAST))
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert done["Location"] == "http://127.0.0.1:4566/shelf/k"
    assert s3.read("shelf", "k") == FIRST + SECOND + LAST
    boundary = len(FIRST) - 2
    assert s3.read("shelf", "k", Range=f"bytes={boundary}-{boundary + 3}") == b"1122"
    head = s3.head_object(Bucket="shelf", Key="k")
    assert (head["ContentType"], head["Metadata"], head["StorageClass"]) == (
        "image/png",
        {"m": "1"},
        "STANDARD_IA",
    )
    assert len(s3.files()) == 1


def test_parts_of_a_finished_object_can_be_read_by_number(s3: Service) -> None:
    upload = Upload(s3)
    upload.part(1, FIRST)
    upload.part(2, LAST)
    upload.complete(1, 2)
    reply = s3.get_object(Bucket="shelf", Key="k", PartNumber=2)
    assert (reply["PartsCount"], reply["ContentLength"]) == (2, 4)
    assert s3.read("shelf", "k", PartNumber=2) == LAST
    error = s3.refused("get_object", Bucket="shelf", Key="k", PartNumber=3)
    assert (error.code, error.status) == ("InvalidPartNumber", 416)
    both = {"PartNumber": 1, "Range": "bytes=0-1"}
    assert s3.refused("get_object", Bucket="shelf", Key="k", **both).code == "InvalidRequest"
    s3.put_object(Bucket="shelf", Key="plain", Body=LAST)
    assert s3.read("shelf", "plain", PartNumber=1) == LAST


def test_a_part_sent_again_replaces_the_first(s3: Service) -> None:
    upload = Upload(s3)
    old = upload.part(1, FIRST)
    upload.part(1, SECOND)
    assert len(s3.files()) == 1
    stale = {**upload.of, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": old}]}}
    assert s3.refused("complete_multipart_upload", **stale).code == "InvalidPart"
    upload.complete(1)
    assert s3.read("shelf", "k") == SECOND


def test_parts_that_were_not_named_are_dropped(s3: Service) -> None:
    upload = Upload(s3)
    for number in (1, 2, 3):
        upload.part(number, FIRST)
    upload.complete(2)
    assert s3.read("shelf", "k") == FIRST
    assert len(s3.files()) == 1


def test_completing_replaces_what_was_there(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=SECOND)
    upload = Upload(s3)
    upload.part(1, LAST)
    assert s3.refused("complete_multipart_upload", **upload.completion(1), IfNoneMatch="*").status == 412
    assert s3.read("shelf", "k") == SECOND
    upload.complete(1)
    assert s3.read("shelf", "k") == LAST
    assert s3.files() == set()


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ((), "MalformedXML"),
        ((2, 1), "InvalidPartOrder"),
        ((1, 1), "InvalidPartOrder"),
        ((1, 3), "InvalidPart"),
        ((2, 4), "EntityTooSmall"),
    ],
)
def test_completions_that_cannot_be(s3: Service, numbers: tuple[int, ...], code: str) -> None:
    upload = Upload(s3)
    for number, body in ((1, FIRST), (2, LAST), (4, LAST)):
        upload.part(number, body)
    error = s3.refused("complete_multipart_upload", **upload.completion(*numbers))
    assert error.code == code
    if code == "EntityTooSmall":
        assert (error.fields["ProposedSize"], error.fields["PartNumber"]) == (4, 2)
    assert s3.keys("shelf") == []
    upload.complete(1, 4, MpuObjectSize=len(FIRST) + 4)


def test_a_completion_without_numbers_or_of_another_size_is_refused(s3: Service) -> None:
    upload = Upload(s3)
    upload.part(1, LAST)
    bare = {**upload.of, "MultipartUpload": {"Parts": [{"ETag": upload.etags[1]}]}}
    assert s3.refused("complete_multipart_upload", **bare).code == "MalformedXML"
    sized = {**upload.completion(1), "MpuObjectSize": 3}
    assert s3.refused("complete_multipart_upload", **sized).code == "InvalidRequest"


def test_an_aborted_upload_leaves_nothing(s3: Service) -> None:
    upload = Upload(s3)
    upload.part(1, FIRST)
    s3.abort_multipart_upload(**upload.of)
    assert s3.files() == set()
    for operation, more in (
        ("abort_multipart_upload", {}),
        ("list_parts", {}),
        ("upload_part", {"PartNumber": 1, "Body": b""}),
        ("complete_multipart_upload", {"MultipartUpload": upload.completion(1)["MultipartUpload"]}),
    ):
        error = s3.refused(operation, **upload.of, **more)
        assert (error.code, error.status) == ("NoSuchUpload", 404)
    assert s3.list_multipart_uploads(Bucket="shelf")["Uploads"] == []


def test_an_upload_belongs_to_its_key(s3: Service) -> None:
    upload = Upload(s3)
    assert s3.refused("list_parts", **{**upload.of, "Key": "other"}).code == "NoSuchUpload"


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_part_numbers_have_bounds(s3: Service, number: int) -> None:
    upload = Upload(s3)
    error = s3.refused("upload_part", **upload.of, PartNumber=number, Body=b"")
    assert (error.code, error.fields["ArgumentName"]) == ("InvalidArgument", "partNumber")


def test_parts_are_listed_in_pages(s3: Service) -> None:
    upload = Upload(s3, ChecksumAlgorithm="CRC32")
    for number in (3, 1, 2):
        upload.part(number, str(number).encode())
    first = s3.list_parts(**upload.of, MaxParts=2)
    assert [p["PartNumber"] for p in first["Parts"]] == [1, 2]
    assert (first["IsTruncated"], first["NextPartNumberMarker"]) == (True, 2)
    rest = s3.list_parts(**upload.of, PartNumberMarker="2")
    assert [(p["PartNumber"], p["Size"]) for p in rest["Parts"]] == [(3, 1)]
    assert rest["Parts"][0]["ChecksumCRC32"]
    assert not rest["IsTruncated"]
    assert s3.refused("list_parts", **upload.of, PartNumberMarker="x").code == "InvalidArgument"
    assert s3.refused("list_parts", **upload.of, MaxParts=-1).code == "InvalidArgument"


def test_parts_survive_a_crash(s3: Service) -> None:
    upload = Upload(s3)
    upload.part(1, FIRST)
    upload.part(2, LAST)
    s3.crash()
    upload.complete(1, 2)
    assert s3.read("shelf", "k") == FIRST + LAST


@pytest.mark.parametrize("body", [b"0123456789", b"0123456789" * 10_000])
def test_a_part_may_be_copied_from_an_object(s3: Service, body: bytes) -> None:
    s3.put_object(Bucket="shelf", Key="source", Body=body)
    upload = Upload(s3, ChecksumAlgorithm="CRC32")
    copy = {**upload.of, "PartNumber": 1, "CopySource": "shelf/source"}
    whole = s3.upload_part_copy(**copy)["CopyPartResult"]
    assert whole["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    stretch = s3.upload_part_copy(**copy, CopySourceRange="bytes=2-5")["CopyPartResult"]
    assert stretch["ChecksumCRC32"]
    upload.etags[1] = stretch["ETag"]
    upload.complete(1)
    assert s3.read("shelf", "k") == b"2345"


@pytest.mark.parametrize("header", ["bytes=0-10", "bytes=3-", "bytes=-3", "bytes=5-2", "0-3", "bytes=-"])
def test_ranges_of_a_source_must_lie_within_it(s3: Service, header: str) -> None:
    s3.put_object(Bucket="shelf", Key="source", Body=b"0123456789")
    copy = {**Upload(s3).of, "PartNumber": 1, "CopySource": "shelf/source", "CopySourceRange": header}
    assert s3.refused("upload_part_copy", **copy).code == "InvalidArgument"


def test_aborting_while_a_part_arrives_leaves_nothing(s3: Service) -> None:
    upload = Upload(s3)
    part = {**upload.of, "PartNumber": 1, "Body": Pieces([FIRST] * 3)}
    results = s3.together(("upload_part", part), ("abort_multipart_upload", upload.of))
    assert getattr(results[0], "code", None) == "NoSuchUpload"
    assert s3.files() == set()


def test_aborting_while_parts_are_joined_leaves_nothing(s3: Service) -> None:
    upload = Upload(s3)
    upload.part(1, FIRST)
    upload.part(2, SECOND)
    results = s3.together(
        ("complete_multipart_upload", upload.completion(1, 2)), ("abort_multipart_upload", upload.of)
    )
    assert getattr(results[0], "code", None) == "NoSuchUpload"
    assert s3.keys("shelf") == []
    assert s3.files() == set()


def test_a_part_replaced_while_parts_are_joined_fails_the_completion(s3: Service) -> None:
    upload = Upload(s3)
    upload.part(1, FIRST)
    again = {**upload.of, "PartNumber": 1, "Body": SECOND}
    results = s3.together(("complete_multipart_upload", upload.completion(1)), ("upload_part", again))
    assert getattr(results[0], "code", None) == "InvalidPart"
    assert len(s3.files()) == 1
