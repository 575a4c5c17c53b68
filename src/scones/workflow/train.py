"""A training job of the built-in algorithm, named by what goes into it: the same content is trained once."""

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow import store
from scones.workflow.aws import Aws, missing, once_propagated
from scones.workflow.errors import WorkflowError
from scones.workflow.images import image_classification
from scones.workflow.objects import counts
from scones.workflow.progress import Advance, Progress
from scones.workflow.roles import ensure_role

__all__ = ["JOB_PREFIX", "Epochs", "Train", "job_request", "train"]

JOB_PREFIX = "scones-image-classification"
_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_ENDED = {"Completed", "Failed", "Stopped"}


@dataclass(frozen=True, slots=True)
class Train:
    """A completed job and its model."""

    job: str
    model_data: str
    image: str
    reused: bool
    accuracy: float | None
    """Validation accuracy of the stored model."""
    epochs: int
    seconds: float | None
    classes: tuple[str, ...]


def train(aws: Aws, progress: Progress, *, again: bool = False) -> Train:
    """Train, or find the completed job that had the same content, or wait for the one that runs.

    again: train once more even if a completed job had the same content.
    Raises WorkflowError with the job's FailureReason. Ctrl-C stops the job.
    """
    manifest = store.need(aws, store.MANIFEST)
    role = ensure_role(aws, "scones-sagemaker", progress)
    request = job_request(aws, role, counts(manifest))
    base = f"{JOB_PREFIX}-{_digest(request, manifest['digest'])}"
    name, state = _attempt(aws, base, again)
    if state is None:
        _create(aws, request, name, progress)
    elif state == "Completed":
        progress.say(f"training job {name} has already trained on exactly this; --again trains anew")
    else:
        progress.say(f"training job {name} is running")
    job, epochs = _wait(aws, name, progress)
    if state is not None and job["TrainingJobStatus"] != "Completed":
        progress.say(f"training job {name} ended {job['TrainingJobStatus']}; training anew")
        name, _ = _attempt(aws, base, again)
        _create(aws, request, name, progress)
        job, epochs = _wait(aws, name, progress)
    _insist(job, epochs, progress)
    result = Train(
        job=name,
        model_data=job["ModelArtifacts"]["S3ModelArtifacts"],
        image=job["AlgorithmSpecification"]["TrainingImage"],
        reused=state == "Completed",
        accuracy=epochs.stored,
        epochs=epochs.count,
        seconds=_seconds(job),
        classes=tuple(manifest["classes"]),
    )
    document = {
        "job": name,
        "model_data": result.model_data,
        "image": result.image,
        "classes": manifest["classes"],
    }
    store.put(aws, store.TRAINED, document | {"accuracy": result.accuracy, "digest": manifest["digest"]})
    return result


def _create(aws: Aws, request: dict[str, Any], name: str, progress: Progress) -> None:
    sagemaker = aws.client("sagemaker")
    once_propagated(
        lambda: sagemaker.create_training_job(TrainingJobName=name, **request), poll_s=aws.settings.poll_s
    )
    progress.say(f"training job {name}")


def _insist(job: dict[str, Any], epochs: "Epochs", progress: Progress) -> None:
    """Raise WorkflowError with the end of the log unless the job has a model to show."""
    if job["TrainingJobStatus"] == "Completed":
        return
    for line in epochs.lines[-8:]:
        progress.say(f"  {line}")
    reason = job.get("FailureReason") or job["SecondaryStatus"]
    raise WorkflowError(
        f"training job {job['TrainingJobName']} ended {job['TrainingJobStatus']}: {reason}",
        "the end of its log is above; mend the cause and repeat",
    )


def job_request(aws: Aws, role: str, data: dict[str, str]) -> dict[str, Any]:
    """CreateTrainingJob's request, all but the name. data: hyperparameters that only the data can tell."""
    settings = aws.settings
    sources = {
        "train": "train/",
        "validation": "test/",
        "train_lst": "train.lst",
        "validation_lst": "test.lst",
    }
    return {
        "AlgorithmSpecification": {
            "TrainingImage": image_classification(aws.region),
            "TrainingInputMode": "File",
        },
        "RoleArn": role,
        "InputDataConfig": [_channel(name, f"s3://{aws.bucket}/{key}") for name, key in sources.items()],
        "OutputDataConfig": {"S3OutputPath": f"s3://{aws.bucket}/models/image_model"},
        "ResourceConfig": {
            "InstanceType": settings.training_instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.max_training_s},
        "HyperParameters": {"image_shape": "3,32,32"} | data | dict(settings.hyperparameters),
    }


def _channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "ContentType": "application/x-image", "DataSource": {"S3DataSource": source}}


def _digest(request: dict[str, Any], data: str) -> str:
    content = json.dumps([request, data], sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def _attempt(aws: Aws, base: str, again: bool) -> tuple[str, str | None]:
    """The job to look at and its status; None: it is to be created."""
    for number in range(1, 1000):
        name = base if number == 1 else f"{base}-{number}"
        try:
            job = aws.client("sagemaker").describe_training_job(TrainingJobName=name)
        except ClientError as error:
            if missing(error):
                return name, None
            raise
        status: str = job["TrainingJobStatus"]
        if status == "Completed" and not again and _model_exists(aws, job):
            return name, status
        if status == "InProgress":
            return name, status
    raise WorkflowError(f"there are too many training jobs called {base}-N", "change a hyperparameter")


def _model_exists(aws: Aws, job: dict[str, Any]) -> bool:
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    try:
        aws.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if missing(error):
            return False
        raise
    return True


@dataclass(slots=True)
class Epochs:
    """What the algorithm's log says, line by line."""

    total: int | None = None
    count: int = 0
    train_accuracy: float | None = None
    validation_accuracy: float | None = None
    best: float | None = None
    lines: list[str] = field(default_factory=list)

    _TOTAL = re.compile(r"\] epochs: (\d+)\s*$")
    _TRAIN = re.compile(r"Epoch\[(\d+)\] Train-accuracy=([0-9.]+)")
    _VALIDATION = re.compile(r"Epoch\[(\d+)\] Validation-accuracy=([0-9.]+)")
    _BEST = re.compile(r"Storing the best model with validation accuracy: ([0-9.]+)")

    def read(self, line: str) -> bool:
        """Take one line. Returns whether it ended an epoch."""
        self.lines.append(line)
        if found := self._TOTAL.search(line):
            self.total = int(found[1])
        elif found := self._TRAIN.search(line):
            self.train_accuracy = float(found[2])
        elif found := self._BEST.search(line):
            self.best = float(found[1])
        elif found := self._VALIDATION.search(line):
            self.count, self.validation_accuracy = int(found[1]) + 1, float(found[2])
            return True
        return False

    @property
    def stored(self) -> float | None:
        """Validation accuracy of the model that was kept: the best, or else the last."""
        return self.best if self.best is not None else self.validation_accuracy

    @property
    def note(self) -> str:
        parts = [f"epoch {self.count}"]
        if self.train_accuracy is not None:
            parts.append(f"train {self.train_accuracy:.3f}")
        if self.validation_accuracy is not None:
            parts.append(f"validation {self.validation_accuracy:.3f}")
        return "  ".join(parts)


def _wait(aws: Aws, name: str, progress: Progress) -> tuple[dict[str, Any], Epochs]:
    """Show the epochs until the job has ended, and return it with them."""
    epochs, log = Epochs(), _Log(aws, name)
    try:
        with progress.bar("training", None) as advance:
            job = _watch(aws, name, epochs, log, progress, advance)
    except KeyboardInterrupt:
        aws.client("sagemaker").stop_training_job(TrainingJobName=name)
        progress.say(f"training job {name} was told to stop")
        raise
    return job, epochs


def _watch(
    aws: Aws, name: str, epochs: Epochs, log: "_Log", progress: Progress, advance: Advance
) -> dict[str, Any]:
    shown = ""
    while True:
        job: dict[str, Any] = aws.client("sagemaker").describe_training_job(TrainingJobName=name)
        ended = job["TrainingJobStatus"] in _ENDED
        for line in log.new():
            progress.detail(line)
            if epochs.read(line) and not (ended and not shown):  # a job that ended long ago has no news
                advance(1, note=epochs.note + (f"  of {epochs.total}" if epochs.total else ""))
        transitions = job.get("SecondaryStatusTransitions") or [{}]
        status = f"{job['SecondaryStatus']}: {transitions[-1].get('StatusMessage', '')}"
        if status != shown:
            shown = status
            advance(0, note=status)
        if ended:
            return job
        time.sleep(aws.settings.poll_s)


class _Log:
    """The job's log stream, from its first line on, each line once."""

    def __init__(self, aws: Aws, job: str) -> None:
        self._logs = aws.client("logs")
        self._job = job
        self._stream: str | None = None
        self._token: dict[str, str] = {}

    def new(self) -> Iterator[str]:
        if self._stream is None:
            self._stream = self._find()
        while self._stream is not None:
            reply = self._logs.get_log_events(
                logGroupName=_LOG_GROUP, logStreamName=self._stream, startFromHead=True, **self._token
            )
            token = {"nextToken": reply["nextForwardToken"]}
            yield from (event["message"].rstrip("\n") for event in reply["events"])
            if token == self._token or not reply["events"]:
                self._token = token
                return
            self._token = token

    def _find(self) -> str | None:
        try:
            reply = self._logs.describe_log_streams(
                logGroupName=_LOG_GROUP, logStreamNamePrefix=f"{self._job}/"
            )
        except ClientError as error:
            if missing(error):
                return None  # the first job of an account has no log group until it speaks
            raise
        names = [stream["logStreamName"] for stream in reply["logStreams"]]
        return names[0] if names else None


def _seconds(job: dict[str, Any]) -> float | None:
    start, end = job.get("TrainingStartTime"), job.get("TrainingEndTime")
    return (end - start).total_seconds() if start and end else None
