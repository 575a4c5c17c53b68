"""What a served model said of the pictures its training kept aside, read from its own archive."""

import json
import tarfile
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow.aws import Aws, missing
from scones.workflow.errors import WorkflowError

__all__ = ["Record", "record_of", "served_model"]

_CARD = "model.json"
_LARGEST_BYTES = 64 * 2**20  # of the card; 256 pictures take some kilobytes

Record = tuple[list[float], list[bool]]
"""Confidences, and whether the predicted class was right."""


def served_model(aws: Aws) -> tuple[str, str]:
    """Name and S3 URI of the model behind the endpoint. Raises WorkflowError when there is no endpoint."""
    sagemaker, endpoint = aws.client("sagemaker"), aws.settings.endpoint_name
    try:
        config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        model: str = variants[0]["ModelName"]
        described = sagemaker.describe_model(ModelName=model)
    except ClientError as error:
        if missing(error):
            raise WorkflowError(f"there is no endpoint {endpoint}", "run `scones deploy` first") from error
        raise
    container = described.get("PrimaryContainer") or described["Containers"][0]
    return model, container.get("ModelDataUrl", "")


def record_of(aws: Aws, uri: str) -> Record:
    """The record in a model.tar.gz; empty where the archive has none, as after another algorithm's training.

    Raises WorkflowError for an archive that is gone or damaged, and for a record that is none.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not key:
        return [], []
    try:
        body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if missing(error):
            raise WorkflowError(
                f"the model {uri} is gone", "run `scones train` and `scones deploy`"
            ) from error
        raise
    try:
        with tarfile.open(fileobj=body, mode="r|gz") as archive:
            return _record(_card(archive))
    except (tarfile.TarError, EOFError, OSError, ValueError, TypeError, KeyError) as error:
        raise WorkflowError(
            f"{uri} cannot be read as a model's archive: {error}", "run `scones train` again"
        ) from error


def _card(archive: tarfile.TarFile) -> dict[str, Any]:
    for member in archive:
        if member.name.removeprefix("./") == _CARD and member.isfile() and member.size <= _LARGEST_BYTES:
            file = archive.extractfile(member)
            card = json.loads(file.read()) if file else None
            return card if isinstance(card, dict) else {}
    return {}


def _record(card: dict[str, Any]) -> Record:
    found = card.get("held_out") or {"confidence": [], "right": []}
    heights = [float(height) for height in found["confidence"]]
    right = [bool(correct) for correct in found["right"]]
    if len(heights) != len(right) or not all(0 <= height <= 1 for height in heights):
        raise ValueError("its record of held-out pictures does not add up")
    return heights, right
