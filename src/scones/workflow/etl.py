"""Archive -> frames -> PNG -> .lst -> S3. Repeating it sends only what differs."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow import store
from scones.workflow.aws import Aws, code, message, missing
from scones.workflow.errors import WorkflowError
from scones.workflow.frames import Dataset, Frame, lst, png
from scones.workflow.parallel import each
from scones.workflow.progress import Progress
from scones.workflow.source import DRAWN_BANNER, open_dataset

__all__ = ["Etl", "Upload", "etl", "plan"]


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


@dataclass(frozen=True, slots=True)
class Upload:
    """One object to be: its bytes are made when they are needed."""

    key: str
    content: Callable[[], bytes] = field(repr=False)
    content_type: str = "image/png"


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
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if known.get(upload.key) != md5:
            aws.client("s3").put_object(
                Bucket=aws.bucket, Key=upload.key, Body=content, ContentType=upload.content_type
            )
            uploaded.append(upload.key)
        return upload.key, md5

    aws.client("s3")  # made before the threads share it
    with progress.bar(f"uploading to s3://{aws.bucket}", len(uploads)) as advance:
        objects = dict(each(send, uploads, workers=aws.settings.workers, done=advance))
    removed = _remove_stale(aws, set(objects))
    digest = hashlib.sha256(json.dumps(sorted(objects.items())).encode()).hexdigest()
    store.put(aws, store.MANIFEST, _manifest(dataset, objects, digest))
    return Etl(
        bucket=aws.bucket,
        classes=dataset.classes,
        train=len(dataset.train),
        test=len(dataset.test),
        uploaded=len(uploaded),
        unchanged=len(objects) - len(uploaded),
        removed=removed,
        source=dataset.source,
        digest=digest,
        drawn=dataset.drawn,
        banner=DRAWN_BANNER if dataset.drawn else "",
    )


def plan(dataset: Dataset) -> list[Upload]:
    """Every object of the data set: the pictures, both lists, and the names of the labels."""
    uploads = []
    for split, frame in (("train", dataset.train), ("test", dataset.test)):
        uploads += [
            Upload(f"{split}/{name}", lambda frame=frame, index=index: png(frame.rows[index]))  # type: ignore[misc]
            for index, name in enumerate(frame.filenames)
        ]
        text = lst(frame.labels.tolist(), frame.filenames).encode()
        uploads.append(Upload(f"{split}.lst", lambda text=text: text, "text/plain"))  # type: ignore[misc]
    names = json.dumps(list(dataset.classes)).encode()
    return [*uploads, Upload("train/classes.json", lambda: names, "application/json")]


def _manifest(dataset: Dataset, objects: dict[str, str], digest: str) -> dict[str, Any]:
    return {
        "classes": list(dataset.classes),
        "source": dataset.source,
        "sha256": dataset.sha256,
        "drawn": dataset.drawn,
        "digest": digest,
        "train": _labels("train", dataset.train),
        "test": _labels("test", dataset.test),
        "objects": objects,
    }


def _labels(split: str, frame: Frame) -> dict[str, int]:
    pairs = zip(frame.filenames, frame.labels.tolist(), strict=True)
    return {f"{split}/{name}": label for name, label in pairs}


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


def _remove_stale(aws: Aws, wanted: set[str]) -> int:
    """Delete what an earlier manifest put and this one does not want; nobody else's objects."""
    before = store.get(aws, store.MANIFEST) or {}
    stale = [key for key in before.get("objects", {}) if key not in wanted]
    for start in range(0, len(stale), 1000):
        batch = [{"Key": key} for key in stale[start : start + 1000]]
        aws.client("s3").delete_objects(Bucket=aws.bucket, Delete={"Objects": batch, "Quiet": True})
    return len(stale)
