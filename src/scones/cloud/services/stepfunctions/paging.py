"""Pages of lists, and the tokens that lead from one to the next."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire

__all__ = ["decode_token", "encode_token", "page"]

Row = TypeVar("Row")


def encode_token(position: int) -> str:
    return base64.urlsafe_b64encode(f"v1:{position}".encode()).decode()


def decode_token(request: Wire, first: int) -> int:
    """The position in the request's nextToken, or `first`. Raises InvalidToken."""
    token = request.get("nextToken")
    if token is None:
        return first
    try:
        version, _, position = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if version == "v1" and position.isascii() and position.isdigit() and len(position) < 19:
            return int(position)
    except (ValueError, binascii.Error):
        pass
    raise ServiceError("InvalidToken", "Invalid Token: 'Invalid token'")


def page(
    field: str,
    rows: Sequence[Row],
    limit: int,
    show: Callable[[Row], Wire],
    position: Callable[[Row], int],
) -> Wire:
    """A reply of at most `limit` rows; `rows` holds one more where there is a next page."""
    reply: Wire = {field: [show(row) for row in rows[:limit]]}
    if len(rows) > limit:
        reply["nextToken"] = encode_token(position(rows[limit - 1]))
    return reply
