"""Instants: milliseconds since the epoch in rows and events, aware datetimes on the wire."""

from datetime import UTC, datetime, timedelta

__all__ = ["milliseconds", "moment"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(instant_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=instant_ms)


def milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)
