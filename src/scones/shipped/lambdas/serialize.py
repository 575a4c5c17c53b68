"""First function: fetch a picture from S3 and put it into the event as base64 text.

Event:  {"s3_bucket": ..., "s3_key": ...}; anything else in it passes on.
Result: the event with "image_data" (base64 text) and "inferences" ([]).
"""

import base64
import functools
from typing import Any

import boto3
from botocore.exceptions import ClientError

# A state of Step Functions holds 262,144 bytes, and base64 makes four of three; the rest is for the event.
LARGEST_BYTES = 180_000


class InvalidEvent(Exception):  # noqa: N818 - the class name is the error name that the state machine sees
    """The event names no object."""


class ImageNotFound(Exception):  # noqa: N818
    """There is no such object, or no such bucket."""


class ImageTooLarge(Exception):  # noqa: N818
    """The object does not fit into a state."""


@functools.cache
def s3() -> Any:
    return boto3.client("s3")


def lambda_handler(event: Any, context: Any) -> Any:
    bucket, key = _text(event, "s3_bucket"), _text(event, "s3_key")
    try:
        reply = s3().get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            raise ImageNotFound(f"there is no s3://{bucket}/{key}") from error
        raise
    if reply["ContentLength"] > LARGEST_BYTES:
        raise ImageTooLarge(
            f"s3://{bucket}/{key} has {reply['ContentLength']:,} bytes; a state can carry {LARGEST_BYTES:,}"
        )
    picture = reply["Body"].read()
    if not picture:
        raise InvalidEvent(f"s3://{bucket}/{key} is empty")
    return {**event, "image_data": base64.b64encode(picture).decode("ascii"), "inferences": []}


def _text(event: Any, name: str) -> str:
    value = event.get(name) if isinstance(event, dict) else None
    if not isinstance(value, str) or not value:
        raise InvalidEvent(f'the event needs "{name}", a non-empty text')
    return value
