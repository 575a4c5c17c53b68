from pathlib import Path

import pytest

from .harness import ACCOUNT, Service


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper",
        "under_score",
        "-start",
        "end-",
        "dots..twice",
        "192.168.5.4",
        "xn--name",
        "sthree-name",
        "name-s3alias",
        "name--ol-s3",
        "new\nline",
        "name\n",
        "é-accent",
    ],
)
def test_names_that_break_the_rules_are_refused(s3: Service, name: str) -> None:
    error = s3.refused("create_bucket", Bucket=name)
    assert (error.code, error.fields) == ("InvalidBucketName", {"BucketName": name})


@pytest.mark.parametrize("name", ["abc", "a" * 63, "1.2.3", "dots.and-dashes", "192.168.5.400"])
def test_names_within_the_rules_are_taken(s3: Service, name: str) -> None:
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    s3.head_bucket(Bucket=name)


def test_creating_again_succeeds_in_us_east_1_and_keeps_the_objects(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=b"x")
    s3.create_bucket(Bucket="shelf")
    assert s3.keys("shelf") == ["k"]


def test_creating_again_elsewhere_says_who_owns_it(tmp_path: Path) -> None:
    s3 = Service(tmp_path, region="eu-west-1")
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="shelf", CreateBucketConfiguration=place)
    error = s3.refused("create_bucket", Bucket="shelf", CreateBucketConfiguration=place)
    assert (error.code, error.status) == ("BucketAlreadyOwnedByYou", 409)
    assert s3.get_bucket_location(Bucket="shelf") == {"LocationConstraint": "eu-west-1"}
    assert s3.refused("create_bucket", Bucket="other").code == "IllegalLocationConstraintException"
    s3.close()


@pytest.mark.parametrize(
    ("constraint", "code"),
    [("us-east-1", "InvalidLocationConstraint"), ("eu-west-1", "IllegalLocationConstraintException")],
)
def test_a_location_other_than_this_region_is_refused(s3: Service, constraint: str, code: str) -> None:
    place = {"LocationConstraint": constraint}
    assert s3.refused("create_bucket", Bucket="other", CreateBucketConfiguration=place).code == code


def test_us_east_1_has_no_location_name(s3: Service) -> None:
    assert s3.get_bucket_location(Bucket="shelf") == {}


def test_buckets_are_listed_in_pages_by_prefix(s3: Service) -> None:
    for name in ("box-c", "box-a", "box-b"):
        s3.create_bucket(Bucket=name)
    first = s3.list_buckets(Prefix="box-", MaxBuckets=2)
    assert [b["Name"] for b in first["Buckets"]] == ["box-a", "box-b"]
    rest = s3.list_buckets(Prefix="box-", MaxBuckets=2, ContinuationToken=first["ContinuationToken"])
    assert [b["Name"] for b in rest["Buckets"]] == ["box-c"]
    assert "ContinuationToken" not in rest
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["box-a", "box-b", "box-c", "shelf"]


def test_a_bucket_with_objects_stays(s3: Service) -> None:
    s3.put_object(Bucket="shelf", Key="k", Body=b"x")
    error = s3.refused("delete_bucket", Bucket="shelf")
    assert (error.code, error.status) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="shelf", Key="k")
    s3.delete_bucket(Bucket="shelf")
    error = s3.refused("head_bucket", Bucket="shelf")
    assert (error.code, error.status, error.fields) == ("NoSuchBucket", 404, {"BucketName": "shelf"})


def test_deleting_a_bucket_forgets_its_unfinished_uploads(s3: Service) -> None:
    upload = s3.create_multipart_upload(Bucket="shelf", Key="k")["UploadId"]
    s3.upload_part(Bucket="shelf", Key="k", UploadId=upload, PartNumber=1, Body=b"x" * 50_000)
    s3.delete_bucket(Bucket="shelf")
    assert s3.files() == set()


@pytest.mark.parametrize(
    "operation",
    ["head_bucket", "delete_bucket", "get_bucket_location", "list_objects", "list_objects_v2"],
)
def test_another_expected_owner_is_denied(s3: Service, operation: str) -> None:
    getattr(s3, operation)(Bucket="shelf", ExpectedBucketOwner=ACCOUNT)
    if operation == "delete_bucket":
        s3.create_bucket(Bucket="shelf")
    error = s3.refused(operation, Bucket="shelf", ExpectedBucketOwner="111111111111")
    assert (error.code, error.status) == ("AccessDenied", 403)


def test_qualities_that_buckets_lack_are_refused_by_name(s3: Service) -> None:
    error = s3.refused("create_bucket", Bucket="other", ObjectLockEnabledForBucket=True)
    assert error.code == "NotImplemented"
    assert "object-lock" in error.message
    error = s3.refused("create_bucket", Bucket="other", ACL="public-read")
    assert error.code == "InvalidBucketAclWithObjectOwnership"
    assert s3.refused("head_bucket", Bucket="other").code == "NoSuchBucket"
