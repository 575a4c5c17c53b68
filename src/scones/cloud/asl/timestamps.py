"""Timestamps of the language: RFC 3339 with `T` and a zone."""

import re
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["instant_ms", "iso"]

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_ms(text: object) -> int | None:
    """Milliseconds since the epoch; None where `text` is no timestamp of the language."""
    match = _TIMESTAMP.fullmatch(text) if isinstance(text, str) else None
    if not match:
        return None
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    micros = int((match[7] or "").ljust(6, "0")[:6] or 0)
    try:
        moment = datetime(year, month, day, hour, minute, int(match[6] or 0), micros, tzinfo=_zone(match[8]))
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def iso(instant: int) -> str:
    """2024-01-01T00:00:00.123Z"""
    moment = _EPOCH + timedelta(milliseconds=instant)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant % 1000:03d}Z"
