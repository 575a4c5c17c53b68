"""Second function: send the picture to the endpoint and put its answer into the event.

Event:  {"image_data": base64 text}; anything else in it passes on.
Result: the event with "inferences", one score per class, and with "novelty" where the endpoint tells it: how
unlike the training pictures this one is; about 1 for one in twenty of those.
Environment: ENDPOINT_NAME.
"""

import base64
import binascii
import functools
import json
import math
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
    answer = {**event, "inferences": [float(score) for score in scores]}
    answer.pop("novelty", None)  # the caller's word does not count
    novelty = _novelty(reply.get("CustomAttributes", ""))
    return answer if novelty is None else answer | {"novelty": novelty}


def _novelty(attributes: str) -> float | None:
    """The number in `novelty=0.412`, one of the attributes between commas."""
    for attribute in attributes.split(","):
        name, _, value = attribute.strip().partition("=")
        if name == "novelty":
            try:
                novelty = float(value)
            except ValueError:
                return None
            return novelty if math.isfinite(novelty) else None
    return None


def _picture(event: Any) -> bytes:
    text = event.get("image_data") if isinstance(event, dict) else None
    if not isinstance(text, str) or not text:
        raise InvalidEvent('the event needs "image_data", a picture as base64 text')
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InvalidEvent(f'"image_data" is not base64: {error}') from error
