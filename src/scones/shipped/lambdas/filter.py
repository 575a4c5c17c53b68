"""Third function: let only confident classifications of familiar pictures pass.

Event:  {"inferences": [score, ...]}, and perhaps "novelty", a number; anything else in it passes on.
Result: the event as it came; or the error THRESHOLD_CONFIDENCE_NOT_MET, or, for a picture that is confidently
classified but unlike those of the training, OUT_OF_DISTRIBUTION.
Environment: THRESHOLD, between 0 and 1; NOVELTY_LIMIT, which a novelty may not exceed (empty: no limit).
"""

import os
from typing import Any


class InvalidEvent(Exception):  # noqa: N818 - the class name is the error name that the state machine sees
    """The event carries no scores."""


class THRESHOLD_CONFIDENCE_NOT_MET(Exception):  # noqa: N801, N818
    """No class is likely enough."""


class OUT_OF_DISTRIBUTION(Exception):  # noqa: N801, N818
    """The picture is unlike everything that the model was trained on."""


def lambda_handler(event: Any, context: Any) -> Any:
    threshold = float(os.environ["THRESHOLD"])
    scores = _scores(event)
    if max(scores) < threshold:
        raise THRESHOLD_CONFIDENCE_NOT_MET(
            f"the highest of the scores {scores} is below the threshold {threshold:g}"
        )
    novelty, limit = event.get("novelty"), float(os.environ.get("NOVELTY_LIMIT") or "inf")
    if isinstance(novelty, int | float) and novelty > limit:
        raise OUT_OF_DISTRIBUTION(f"the novelty {novelty:g} is above the limit {limit:g}")
    return event


def _scores(event: Any) -> list[float]:
    scores = event.get("inferences") if isinstance(event, dict) else None
    numbers = isinstance(scores, list) and all(
        isinstance(score, int | float) and not isinstance(score, bool) for score in scores
    )
    if not scores or not numbers:
        raise InvalidEvent('the event needs "inferences", a list of numbers')
    return list(scores)
