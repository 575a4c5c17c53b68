"""Second function: send the picture to the endpoint and put its answer into the event.

Event:  {"image_data": base64 text}; anything else in it passes on.
Result: the event with "inferences", one score per class.
Environment: ENDPOINT_NAME.
"""

import base64
import binascii
import functools
import json
import os
from typing import Any

import boto3


class InvalidEvent(Exception):  # noqa: N818 - the class name is the error name that the state machine sees
    """The event carries no picture."""


@functools.cache
def runtime() -> Any:
    return boto3.client("sagemaker-runtime")


def lambda_handler(event: Any, context: Any) -> Any:
    reply = runtime().invoke_endpoint(
        EndpointName=os.environ["ENDPOINT_NAME"], ContentType="image/png", Body=_picture(event)
    )
    scores = json.loads(reply["Body"].read())
    return {**event, "inferences": [float(score) for score in scores]}


def _picture(event: Any) -> bytes:
    text = event.get("image_data") if isinstance(event, dict) else None
    if not isinstance(text, str) or not text:
        raise InvalidEvent('the event needs "image_data", a picture as base64 text')
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InvalidEvent(f'"image_data" is not base64: {error}') from error
