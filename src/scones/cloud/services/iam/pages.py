"""IAM's way of listing in pages: MaxItems, and a Marker that names the last item given."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from scones.cloud.ports import Wire

__all__ = ["page"]

Item = TypeVar("Item")

_DEFAULT_ITEMS = 100


def page(
    request: Wire,
    member: str,
    fetch: Callable[[str, int], Sequence[Item]],
    *,
    key: Callable[[Item], str],
    wire: Callable[[Item], Any],
) -> Wire:
    """fetch(after, limit) gives at most `limit` items whose key follows `after`, in order."""
    limit = request.get("MaxItems", _DEFAULT_ITEMS)
    items = fetch(request.get("Marker", ""), limit + 1)
    shown = items[:limit]
    reply: Wire = {member: [wire(item) for item in shown], "IsTruncated": len(items) > limit}
    if len(items) > limit:
        reply["Marker"] = key(shown[-1])
    return reply
