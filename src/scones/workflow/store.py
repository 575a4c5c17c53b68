"""What the workflow keeps in its bucket besides pictures: small JSON documents on what was made."""

import json
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow.aws import Aws, missing
from scones.workflow.errors import WorkflowError

__all__ = ["CURRENT_RUN", "DEPLOYED", "MANIFEST", "PROPOSED", "TRAINED", "get", "need", "put"]

MANIFEST = "manifest.json"
"""Written last by `etl`: what lies under train/ and test/."""
TRAINED = "runs/trained.json"
"""Written last by `train`: the job and its model."""
DEPLOYED = "runs/deployed.json"
"""Written last by `deploy`: the endpoint and what it serves."""
PROPOSED = "runs/threshold.json"
"""Written last by `threshold`: the threshold it proposes, and for which model."""
CURRENT_RUN = "runs/current.json"
"""The run in progress, or the last one."""

_MAKER = {
    MANIFEST: "scones etl",
    TRAINED: "scones train",
    DEPLOYED: "scones deploy",
    PROPOSED: "scones threshold",
    CURRENT_RUN: "scones run",
}


def put(aws: Aws, key: str, document: dict[str, Any]) -> None:
    body = json.dumps(document, indent=1).encode()
    aws.client("s3").put_object(Bucket=aws.bucket, Key=key, Body=body, ContentType="application/json")


def get(aws: Aws, key: str) -> dict[str, Any] | None:
    """The document, or None where it (or the bucket) is missing."""
    try:
        reply = aws.client("s3").get_object(Bucket=aws.bucket, Key=key)
    except ClientError as error:
        if missing(error):
            return None
        raise
    try:
        document: dict[str, Any] = json.loads(reply["Body"].read())
    except ValueError as error:
        raise WorkflowError(f"s3://{aws.bucket}/{key} is not JSON", _MAKER.get(key, "")) from error
    return document


def need(aws: Aws, key: str) -> dict[str, Any]:
    """The document; raises WorkflowError naming the verb that writes it."""
    if document := get(aws, key):
        return document
    raise WorkflowError(f"there is no s3://{aws.bucket}/{key} yet", f"run `{_MAKER[key]}` first")
