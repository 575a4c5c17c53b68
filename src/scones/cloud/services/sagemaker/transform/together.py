"""Several calls of one service in one transaction, which costs a fraction of one for each.

Only calls that wait for nothing can share one: S3's of bytes that are in memory.
"""

from collections.abc import Coroutine, Iterable
from typing import Any

from scones.cloud.ports import Wire
from scones.cloud.state.db import Database

__all__ = ["together"]


def together(db: Database, calls: Iterable[Coroutine[Any, Any, Wire]]) -> list[Wire]:
    """The replies. Raises the first ServiceError; then none of the calls has changed anything."""
    with db.transaction():
        return [_at_once(call) for call in calls]


def _at_once(call: Coroutine[Any, Any, Wire]) -> Wire:
    try:
        call.send(None)
    except StopIteration as done:
        reply: Wire = done.value
        return reply
    call.close()
    raise RuntimeError("a call that waits cannot be part of a transaction")
