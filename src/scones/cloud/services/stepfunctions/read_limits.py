"""What reading the items of a distributed Map may cost, and the one way in which it fails.

Source: Step Functions Developer Guide, "ItemReader (Map)".
"""

from scones.cloud.asl.failures import StateError

__all__ = ["LARGEST_FILE_BYTES", "LARGEST_ITEM_BYTES", "read_failed"]

LARGEST_ITEM_BYTES = 8 * 1024 * 1024
LARGEST_FILE_BYTES = 10 * 1024**3
"""Of one object, after decompression."""


def read_failed(cause: str) -> StateError:
    return StateError("States.ItemReaderFailed", cause)
