"""The order for a processing job that does ETL: an archive and a program go to S3, a request comes back."""

import hashlib
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow.aws import Aws, missing
from scones.workflow.etl import ensure_bucket
from scones.workflow.images import pytorch_training
from scones.workflow.progress import Progress
from scones.workflow.source import DEFAULT_CLASSES, open_archive

__all__ = ["PREPARATION_PREFIX", "prepare"]

PREPARATION_PREFIX = "preparation/"
"""Archives and programs of processing jobs."""

_PACKAGE = Path(__file__).parents[1]
_PROGRAM = ("__init__.py", *(f"workflow/{name}.py" for name in ("__init__", "archive", "errors", "frames",
                                                                "objects", "processing")))  # fmt: skip
_INPUT = "/opt/ml/processing/input"
_LONGEST_S = 3600


def prepare(aws: Aws, progress: Progress, name: str, role: str) -> dict[str, Any]:
    """CreateProcessingJob's request, once all that the job needs lies in the bucket.

    Raises WorkflowError for data that is no archive, or that cannot be had.
    """
    path, source, sha256 = open_archive(aws.settings, progress)
    ensure_bucket(aws, progress)
    archive = f"{PREPARATION_PREFIX}archive/{sha256[:12]}/{path.name}"
    _send_archive(aws, progress, path, archive)
    code = _send_program(aws)
    classes = aws.settings.classes or DEFAULT_CLASSES
    cluster = {
        "InstanceCount": 1,
        "InstanceType": aws.settings.processing_instance,
        "VolumeSizeInGB": 30,
    }
    return {
        "ProcessingJobName": name,
        "RoleArn": role,
        "AppSpecification": {
            "ImageUri": pytorch_training(aws.region),
            "ContainerEntrypoint": ["python3", "-m", "scones.workflow.processing"],
            "ContainerArguments": ["--classes", ",".join(classes), "--source", source],
        },
        "Environment": {"PYTHONPATH": f"{_INPUT}/code"},
        "ProcessingInputs": [_input(aws, "archive", archive), _input(aws, "code", code)],
        "ProcessingOutputConfig": {"Outputs": [_output(aws)]},
        "ProcessingResources": {"ClusterConfig": cluster},
        "StoppingCondition": {"MaxRuntimeInSeconds": _LONGEST_S},
    }


def _send_archive(aws: Aws, progress: Progress, path: Path, key: str) -> None:
    """Upload it unless it is there; its digest is part of the key."""
    s3, size = aws.client("s3"), path.stat().st_size
    try:
        if s3.head_object(Bucket=aws.bucket, Key=key)["ContentLength"] == size:
            return
    except ClientError as error:
        if not missing(error):
            raise
    with progress.bar(f"uploading {path.name}", size) as advance:
        s3.upload_file(str(path), aws.bucket, key, Callback=advance)


def _send_program(aws: Aws) -> str:
    """Upload the files of `processing`; returns their prefix, which their content decides."""
    contents = {name: (_PACKAGE / name).read_bytes() for name in _PROGRAM}
    digest = hashlib.sha256(b"\0".join(contents.values())).hexdigest()
    prefix = f"{PREPARATION_PREFIX}code/{digest[:12]}/"
    for name, content in contents.items():
        aws.client("s3").put_object(Bucket=aws.bucket, Key=f"{prefix}{_PACKAGE.name}/{name}", Body=content)
    return prefix


def _input(aws: Aws, name: str, key: str) -> dict[str, Any]:
    source = {
        "S3Uri": f"s3://{aws.bucket}/{key}",
        "LocalPath": f"{_INPUT}/{name}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {"InputName": name, "S3Input": source}


def _output(aws: Aws) -> dict[str, Any]:
    target = {
        "S3Uri": f"s3://{aws.bucket}",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }
    return {"OutputName": "data", "S3Output": target}
