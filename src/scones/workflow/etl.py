"""Archive -> frames -> PNG -> .lst -> S3. Repeating it sends only what differs."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow import store
from scones.workflow.aws import Aws, code, message, missing
from scones.workflow.errors import WorkflowError
from scones.workflow.objects import Upload, manifest, md5_of, plan
from scones.workflow.parallel import each
from scones.workflow.progress import Progress
from scones.workflow.source import DRAWN_BANNER, open_dataset

__all__ = ["Etl", "ensure_bucket", "etl", "remove_stale"]


@dataclass(frozen=True, slots=True)
class Etl:
    """What lies in the bucket now."""

    bucket: str
    classes: tuple[str, ...]
    train: int
    test: int
    uploaded: int
    unchanged: int
    removed: int
    source: str
    digest: str
    drawn: bool
    banner: str = ""


def etl(aws: Aws, progress: Progress) -> Etl:
    """Make the bucket hold exactly the chosen pictures; the manifest is written last."""
    dataset = open_dataset(aws.settings, progress)
    progress.say(
        f"{len(dataset.train):,} train and {len(dataset.test):,} test pictures of "
        f"{', '.join(dataset.classes)} from {dataset.source}"
    )
    ensure_bucket(aws, progress)
    known = _etags(aws, "train") | _etags(aws, "test")
    uploads = plan(dataset)
    uploaded: list[str] = []

    def send(upload: Upload) -> tuple[str, str]:
        content = upload.content()
        md5 = md5_of(content)
        if known.get(upload.key) != md5:
            aws.client("s3").put_object(
                Bucket=aws.bucket, Key=upload.key, Body=content, ContentType=upload.content_type
            )
            uploaded.append(upload.key)
        return upload.key, md5

    aws.client("s3")  # made before the threads share it
    with progress.bar(f"uploading to s3://{aws.bucket}", len(uploads)) as advance:
        objects = dict(each(send, uploads, workers=aws.settings.workers, done=advance))
    removed = remove_stale(aws, store.get(aws, store.MANIFEST), set(objects))
    document = manifest(dataset, objects)
    store.put(aws, store.MANIFEST, document)
    return Etl(
        bucket=aws.bucket,
        classes=dataset.classes,
        train=len(dataset.train),
        test=len(dataset.test),
        uploaded=len(uploaded),
        unchanged=len(objects) - len(uploaded),
        removed=removed,
        source=dataset.source,
        digest=document["digest"],
        drawn=dataset.drawn,
        banner=DRAWN_BANNER if dataset.drawn else "",
    )


def ensure_bucket(aws: Aws, progress: Progress) -> None:
    s3 = aws.client("s3")
    try:
        s3.head_bucket(Bucket=aws.bucket)
        return
    except ClientError as error:
        if code(error) == "403":
            raise WorkflowError(f"bucket {aws.bucket} belongs to somebody else", "--bucket NAME") from error
        if not missing(error):
            raise
    placed = {} if aws.region == "us-east-1" else {"LocationConstraint": aws.region}
    try:
        s3.create_bucket(Bucket=aws.bucket, **({"CreateBucketConfiguration": placed} if placed else {}))
    except ClientError as error:
        if code(error) == "BucketAlreadyOwnedByYou":
            return
        raise WorkflowError(
            f"bucket {aws.bucket} cannot be made: {message(error)}", "--bucket NAME"
        ) from error
    s3.get_waiter("bucket_exists").wait(Bucket=aws.bucket, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    progress.say(f"made bucket {aws.bucket}")


def _etags(aws: Aws, prefix: str) -> dict[str, str]:
    """Key -> ETag; the MD5 of what was put in one piece without KMS."""
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=aws.bucket, Prefix=prefix)
    return {entry["Key"]: entry["ETag"].strip('"') for page in pages for entry in page.get("Contents", [])}


def remove_stale(aws: Aws, before: dict[str, Any] | None, wanted: set[str]) -> int:
    """Delete what an earlier manifest put and this one does not want; nobody else's objects."""
    stale = [key for key in (before or {}).get("objects", {}) if key not in wanted]
    for start in range(0, len(stale), 1000):
        batch = [{"Key": key} for key in stale[start : start + 1000]]
        aws.client("s3").delete_objects(Bucket=aws.bucket, Delete={"Objects": batch, "Quiet": True})
    return len(stale)
