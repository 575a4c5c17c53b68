"""What sets FIFO topics apart: their names, attributes, groups, deduplication and sequence numbers. Pure.

Only queues may subscribe to one, on AWS as here; this cloud has none, so a FIFO topic numbers and
deduplicates what is published, and nobody listens.
"""

import hashlib
import re

from scones.cloud.ports import Wire
from scones.cloud.services.sns.arns import invalid
from scones.cloud.services.sns.records import Place, Topic

__all__ = ["DEDUPLICATION_MS", "FIFO_ATTRIBUTES", "place", "sequence_number", "topic_attributes"]

DEDUPLICATION_MS = 5 * 60 * 1000

_NAME = re.compile(r"[A-Za-z0-9_-]{1,251}\.fifo")
_ID = re.compile(r"[!-~]{1,128}")
FIFO_ATTRIBUTES = ("ContentBasedDeduplication", "FifoThroughputScope")
"""Those that a FIFO topic may change; FifoTopic itself never changes."""
_FIRST_SEQUENCE_NUMBER = 10**19
_STEP = 1000


def topic_attributes(name: str, attributes: dict[str, str]) -> dict[str, str]:
    """A new FIFO topic's attributes, the unsaid ones included. Raises for a name that is none."""
    if not _NAME.fullmatch(name):
        raise invalid(
            "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII"
            " letters, numbers, underscores, and hyphens, and must be between 1 and 256 characters long."
        )
    return {"ContentBasedDeduplication": "false", "FifoThroughputScope": "Topic"} | attributes


def place(topic: Topic, request: Wire) -> Place:
    """Raises InvalidParameter where the message has no group, or nothing to tell it from others by."""
    group = request.get("MessageGroupId")
    if group is None:
        raise invalid("The MessageGroupId parameter is required for FIFO topics")
    _check_id("MessageGroupId", group)
    deduplication_id = request.get("MessageDeduplicationId")
    if deduplication_id is not None:
        _check_id("MessageDeduplicationId", deduplication_id)
    elif topic.attributes["ContentBasedDeduplication"] == "true":
        deduplication_id = hashlib.sha256(request["Message"].encode()).hexdigest()
    else:
        raise invalid(
            "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId"
            " provided explicitly"
        )
    scope = group if topic.attributes["FifoThroughputScope"] == "MessageGroup" else ""
    return Place(scope=scope, deduplication_id=deduplication_id)


def _check_id(member: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise invalid(
            f"{member} Reason: it has 1 to 128 alphanumeric and punctuation characters, not {value!r}"
        )


def sequence_number(sequence: int) -> str:
    """A topic's n-th message as AWS numbers it: twenty digits, growing, not consecutive."""
    return str(_FIRST_SEQUENCE_NUMBER + sequence * _STEP)
