"""All pictures under a prefix classified by one batch transform job, and what came of them."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from scones.workflow import store
from scones.workflow.aws import Aws, once_propagated
from scones.workflow.deploy import ensure_model
from scones.workflow.errors import WorkflowError
from scones.workflow.parallel import each
from scones.workflow.progress import Advance, Progress
from scones.workflow.roles import ensure_role

__all__ = ["OUTPUT_PREFIX", "TRANSFORM_JOBS", "Transform", "transform"]

OUTPUT_PREFIX = "transform/"
TRANSFORM_JOBS = "scones-transform"
"""How the names of our jobs begin."""
_PAGE = 1000  # results read before any is told
_ENDED = {"Completed", "Failed", "Stopped"}


@dataclass(frozen=True, slots=True)
class Transform:
    """A completed job, and its results taken together."""

    job: str
    model: str
    source: str
    output: str
    count: int
    """Pictures, each of which has its result."""
    classes: tuple[str, ...]
    predicted: dict[str, int]
    """How many pictures each class was found for."""
    mean_confidence: float
    threshold: float
    coverage: float
    """Share of the pictures at or above the threshold."""
    labelled: int
    """Pictures whose label is known, because they are of the test split."""
    accuracy: float | None
    """Of these."""
    job_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Result:
    key: str
    predicted: int
    confidence: float


def transform(
    aws: Aws,
    progress: Progress,
    *,
    prefix: str,
    instances: int,
    instance_type: str,
    table: Path | None = None,
) -> Transform:
    """Classify what lies in the folder `prefix` of the bucket by the model of the last `train`.

    table: a file that gets one JSON line for each picture. Raises WorkflowError with the job's
    FailureReason. Ctrl-C stops the job.
    """
    trained = store.need(aws, store.TRAINED)
    started = time.monotonic()
    prefix = prefix and f"{prefix.rstrip('/')}/"
    total = sum(1 for _ in _keys(aws, prefix))
    if not total:
        raise WorkflowError(
            f"there is nothing under s3://{aws.bucket}/{prefix}", "scones etl, or another PREFIX"
        )
    name, model = _begin(aws, progress, trained, prefix, instances=instances, instance_type=instance_type)
    output = f"{OUTPUT_PREFIX}{name}/"
    job = _completed(aws, progress, name, output, total)
    tally = _tallied(aws, progress, trained, output, prefix, total, table)
    if tally.count != total:
        raise WorkflowError(f"transform job {name} has {tally.count:,} results for {total:,} pictures")
    return Transform(
        job=name,
        model=model,
        source=f"s3://{aws.bucket}/{prefix}",
        output=f"s3://{aws.bucket}/{output}",
        count=tally.count,
        classes=tally.classes,
        predicted={kind: tally.predicted[index] for index, kind in enumerate(tally.classes)},
        mean_confidence=tally.confidence / tally.count,
        threshold=aws.settings.threshold,
        coverage=tally.sure / tally.count,
        labelled=tally.labelled,
        accuracy=tally.right / tally.labelled if tally.labelled else None,
        job_seconds=(job["TransformEndTime"] - job["CreationTime"]).total_seconds(),
        seconds=time.monotonic() - started,
    )


def _begin(
    aws: Aws,
    progress: Progress,
    trained: dict[str, Any],
    prefix: str,
    *,
    instances: int,
    instance_type: str,
) -> tuple[str, str]:
    """Create the model, where it is not there yet, and a job for it; their names, the job's first."""
    role = ensure_role(aws, "scones-sagemaker", progress)
    model = ensure_model(aws, trained, role)
    name = f"{TRANSFORM_JOBS}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    request = _request(aws, name, model, prefix, instances=instances, instance_type=instance_type)
    sagemaker = aws.client("sagemaker")
    once_propagated(lambda: sagemaker.create_transform_job(**request), poll_s=aws.settings.poll_s)
    progress.say(f"transform job {name}")
    return name, model


def _request(
    aws: Aws, name: str, model: str, prefix: str, *, instances: int, instance_type: str
) -> dict[str, Any]:
    """CreateTransformJob's request."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{aws.bucket}/{prefix}"}
    return {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "application/x-image"},
        "TransformOutput": {
            "S3OutputPath": f"s3://{aws.bucket}/{OUTPUT_PREFIX}{name}",
            "Accept": "application/json",
        },
        "TransformResources": {"InstanceType": instance_type, "InstanceCount": instances},
    }


def _completed(aws: Aws, progress: Progress, name: str, output: str, total: int) -> dict[str, Any]:
    """The job's description once it is Completed. Raises WorkflowError for any other end."""
    job = _wait(aws, name, output, total, progress)
    if job["TransformJobStatus"] == "Completed":
        return job
    done = sum(1 for _ in _keys(aws, output))
    reason = job.get("FailureReason") or "it was stopped"
    raise WorkflowError(
        f"transform job {name} ended {job['TransformJobStatus']}: {reason};"
        f" {done:,} of {total:,} pictures have their result",
        f"the log group /aws/sagemaker/TransformJobs names the others: streams {name}/",
    )


def _wait(aws: Aws, name: str, output: str, total: int, progress: Progress) -> dict[str, Any]:
    """Count the results as they come until the job has ended, and return it."""
    sagemaker = aws.client("sagemaker")
    try:
        with progress.bar("classifying", total) as advance:
            last = ""
            while True:
                job: dict[str, Any] = sagemaker.describe_transform_job(TransformJobName=name)
                last = _advance(aws, output, last, job["TransformJobStatus"], advance)
                if job["TransformJobStatus"] in _ENDED:
                    return job
                time.sleep(aws.settings.poll_s)
    except KeyboardInterrupt:
        sagemaker.stop_transform_job(TransformJobName=name)
        progress.say(f"transform job {name} was told to stop")
        raise


def _advance(aws: Aws, output: str, last: str, status: str, advance: Advance) -> str:
    """Count what lies beyond the last key seen; keys come about in order, so that few are missed."""
    new = list(_keys(aws, output, after=last))
    advance(len(new), note=status)
    return new[-1] if new else last


def _keys(aws: Aws, prefix: str, after: str = "") -> Iterator[str]:
    begin = {"StartAfter": after} if after else {}
    pages = (
        aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=aws.bucket, Prefix=prefix, **begin)
    )
    for page in pages:
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):
                yield item["Key"]


@dataclass(slots=True)
class _Tally:
    """The results so far."""

    classes: tuple[str, ...]
    labels: dict[str, int]
    threshold: float
    predicted: Counter[int] = field(default_factory=Counter)
    confidence: float = 0.0
    sure: int = 0
    labelled: int = 0
    right: int = 0

    def add(self, result: _Result) -> None:
        self.predicted[result.predicted] += 1
        self.confidence += result.confidence
        self.sure += result.confidence >= self.threshold
        label = self.labels.get(result.key)
        if label is not None:
            self.labelled += 1
            self.right += label == result.predicted

    @property
    def count(self) -> int:
        return self.predicted.total()

    def line(self, result: _Result) -> str:
        name = self.classes[result.predicted]
        return json.dumps({"key": result.key, "class": name, "confidence": result.confidence}) + "\n"


def _tallied(
    aws: Aws,
    progress: Progress,
    trained: dict[str, Any],
    output: str,
    prefix: str,
    total: int,
    table: Path | None,
) -> _Tally:
    """The results read and counted, each a line of the table where one is wanted."""
    labels: dict[str, int] = (store.get(aws, store.MANIFEST) or {}).get("test", {})
    tally = _Tally(tuple(trained["classes"]), labels, aws.settings.threshold)
    with _opened(table) as file, progress.bar("reading the results", total) as advance:
        for result in _results(aws, output, prefix, tally.classes, advance):
            tally.add(result)
            if file:
                file.write(tally.line(result))
    return tally


def _results(
    aws: Aws, output: str, prefix: str, classes: tuple[str, ...], advance: Advance
) -> Iterator[_Result]:
    """Every result, a page's worth of them asked for at a time."""
    s3 = aws.client("s3")

    def read(key: str) -> _Result:
        body = s3.get_object(Bucket=aws.bucket, Key=key)["Body"].read()
        return _result(prefix + key.removeprefix(output).removesuffix(".out"), body, len(classes))

    keys = _keys(aws, output)
    while page := list(islice(keys, _PAGE)):
        yield from each(read, page, workers=aws.settings.workers, done=advance)


def _result(key: str, body: bytes, classes: int) -> _Result:
    try:
        scores = [float(score) for score in json.loads(body)]
    except (TypeError, ValueError) as error:
        raise WorkflowError(f"the result for {key} is {body[:80]!r} instead of scores") from error
    if len(scores) != classes:
        raise WorkflowError(f"the result for {key} has {len(scores)} scores for {classes} classes")
    confidence = max(scores)
    return _Result(key, scores.index(confidence), confidence)


@contextmanager
def _opened(table: Path | None) -> Iterator[TextIO | None]:
    if table is None:
        yield None
        return
    try:
        file = table.open("w", encoding="utf-8")
    except OSError as error:
        raise WorkflowError(f"{table} cannot be written: {error.strerror}") from error
    with file:
        yield file
