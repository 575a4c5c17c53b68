"""Third function: let only confident classifications pass.

Event:  {"inferences": [score, ...]}; anything else in it passes on.
Result: the event as it came, or the error THRESHOLD_CONFIDENCE_NOT_MET.
Environment: THRESHOLD, between 0 and 1.
"""

import os
from typing import Any


class InvalidEvent(Exception):  # noqa: N818 - the class name is the error name that the state machine sees
    """The event carries no scores."""


class THRESHOLD_CONFIDENCE_NOT_MET(Exception):  # noqa: N801, N818
    """No class is likely enough."""


def lambda_handler(event: Any, context: Any) -> Any:
    threshold = float(os.environ["THRESHOLD"])
    scores = _scores(event)
    if max(scores) < threshold:
        raise THRESHOLD_CONFIDENCE_NOT_MET(
            f"the highest of the scores {scores} is below the threshold {threshold:g}"
        )
    return event


def _scores(event: Any) -> list[float]:
    scores = event.get("inferences") if isinstance(event, dict) else None
    numbers = isinstance(scores, list) and all(
        isinstance(score, int | float) and not isinstance(score, bool) for score in scores
    )
    if not scores or not numbers:
        raise InvalidEvent('the event needs "inferences", a list of numbers')
    return list(scores)
