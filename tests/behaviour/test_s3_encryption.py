"""What S3 tells of encryption: of every object, and of what a bucket gives its objects by default."""

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scones.testing import LocalAWS

DEFAULT = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}
KEY = "arn:aws:kms:us-east-1:000000000000:key/0d3b6a70-6a4a-4b9b-a9f4-0e7d0a8e1c11"
WITH_KEY = {
    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
    "BucketKeyEnabled": True,
}
TOLD = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY, "BucketKeyEnabled": True}


@pytest.fixture
def bucket(aws: LocalAWS) -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


def put_rules(aws: LocalAWS, bucket: str, *rules: Any) -> None:
    configuration: Any = {"Rules": list(rules)}
    s3 = aws.client("s3")
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=configuration)


def rules(aws: LocalAWS, bucket: str) -> Any:
    reply = aws.client("s3").get_bucket_encryption(Bucket=bucket)
    return reply["ServerSideEncryptionConfiguration"]["Rules"]


def told(reply: Any) -> dict[str, Any]:
    return {name: reply[name] for name in TOLD if name in reply}


@pytest.mark.aws_portable
def test_every_object_is_told_to_be_encrypted(aws: LocalAWS, bucket: str) -> None:
    s3 = aws.client("s3")
    begun = s3.create_multipart_upload(Bucket=bucket, Key="parts")
    upload: Any = {"Bucket": bucket, "Key": "parts", "UploadId": begun["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"p")
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    replies = [
        s3.put_object(Bucket=bucket, Key="k", Body=b"b"),
        s3.get_object(Bucket=bucket, Key="k"),
        s3.head_object(Bucket=bucket, Key="k"),
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"}),
        s3.head_object(Bucket=bucket, Key="copy"),
        begun,
        part,
        s3.complete_multipart_upload(**upload, MultipartUpload=parts),
        s3.head_object(Bucket=bucket, Key="parts"),
    ]
    assert [told(reply) for reply in replies] == [{"ServerSideEncryption": "AES256"}] * len(replies)
    assert rules(aws, bucket) == [DEFAULT]


def test_a_buckets_rule_is_what_its_new_objects_have(aws: LocalAWS, bucket: str) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="before", Body=b"b")
    put_rules(aws, bucket, WITH_KEY)
    assert rules(aws, bucket) == [WITH_KEY]
    assert told(s3.put_object(Bucket=bucket, Key="k", Body=b"b")) == TOLD
    assert told(s3.get_object(Bucket=bucket, Key="k")) == TOLD
    assert told(s3.head_object(Bucket=bucket, Key="before")) == {"ServerSideEncryption": "AES256"}
    own = s3.put_object(Bucket=bucket, Key="own", Body=b"b", ServerSideEncryption="AES256")
    assert told(own) == {"ServerSideEncryption": "AES256"}
    copy = s3.copy_object(Bucket=bucket, Key="before", CopySource={"Bucket": bucket, "Key": "before"})
    assert told(copy) == TOLD  # as it changes the encryption, an object may be copied onto itself
    s3.delete_bucket_encryption(Bucket=bucket)
    assert rules(aws, bucket) == [DEFAULT]
    assert told(s3.put_object(Bucket=bucket, Key="k", Body=b"b")) == {"ServerSideEncryption": "AES256"}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ([], "MalformedXML"),
        ([DEFAULT, DEFAULT], "MalformedXML"),
        ([{"BucketKeyEnabled": True}], "MalformedXML"),
        ([{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "ROT13"}}], "MalformedXML"),
        (
            [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": KEY}}],
            "InvalidArgument",
        ),
    ],
)
def test_a_rule_that_is_none_is_refused(aws: LocalAWS, bucket: str, wrong: Any, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        put_rules(aws, bucket, *wrong)
    assert refused.value.response["Error"]["Code"] == code
    assert rules(aws, bucket) == [DEFAULT]
