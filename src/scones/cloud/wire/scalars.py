"""Single values as text and back: numbers, booleans, timestamps, blobs, and the words for a wrong one."""

import base64
import binascii
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from botocore.model import Shape

__all__ = [
    "MisreadError",
    "blob_from_text",
    "each",
    "epoch",
    "from_epoch",
    "in_range",
    "int_limit",
    "iso8601",
    "kind",
    "named",
    "read_timestamp",
    "rfc822",
    "text_reader",
    "text_writer",
]

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}\Z")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\Z")
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*"
    r"([Zz]|[+-]\d\d:?\d\d)?\Z",
    re.ASCII,
)
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = -62135596800, 253402300799


class MisreadError(Exception):
    """A value that is not what its shape says; `path` grows from the inside out."""

    def __init__(self, wanted: str, found: Any) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.found = kind(found)
        self.path: list[str] = []

    def __str__(self) -> str:
        where = f" at '{'.'.join(reversed(self.path))}'" if self.path else ""
        return f"Unexpected value{where}: expected {self.wanted}, found {self.found}"


def named(member: str, read: Callable[[Any], Any], value: Any) -> Any:
    """A member's value; a wrong one is told by the member's name."""
    try:
        return read(value)
    except MisreadError as wrong:
        wrong.path.append(member)
        raise


def each(read: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """A list's items; a wrong one is named by its place."""
    done: list[Any] = []
    try:
        for item in items:
            done.append(read(item))
    except MisreadError as wrong:
        wrong.path.append(str(len(done) + 1))
        raise
    return done


def kind(value: Any) -> str:
    """A value's kind in JSON's words, with a short text itself."""
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else value[:77] + "...")
    names = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def int_limit(type_name: str) -> int:
    return 1 << 31 if type_name == "integer" else 1 << 63


def in_range(value: int, limit: int) -> int:
    if not -limit <= value < limit:
        raise MisreadError(f"an integer of {32 if limit == 1 << 31 else 64} bits", str(value)[:40])
    return value


def blob_from_text(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MisreadError("base64", text) from None


# --- timestamps ---------------------------------------------------------------------------------


def epoch(moment: datetime) -> float | int:
    """Seconds since 1970, to the millisecond; a whole number where it is one."""
    if moment.tzinfo is None:
        raise TypeError(f"a timestamp without a time zone: {moment!r}")
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def from_epoch(seconds: float) -> datetime:
    if not _EARLIEST <= seconds <= _LATEST:
        raise MisreadError("a timestamp between the years 1 and 9999", str(seconds))
    return _EPOCH + timedelta(milliseconds=round(seconds * 1000))


def iso8601(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def rfc822(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def read_timestamp(value: Any) -> datetime:
    """Any of AWS's three forms, whichever the model names: clients mix them up."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return from_epoch(value)
    if not isinstance(value, str):
        raise MisreadError("a timestamp", value)
    text = value.strip()
    if _FLOAT.match(text):
        return from_epoch(float(text))
    try:
        return _iso(text) or parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        raise MisreadError("a timestamp", value) from None


def _iso(text: str) -> datetime | None:
    found = _ISO.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    microsecond = int(((fraction or "") + "000000")[:6])
    moment = datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
        microsecond, UTC,
    )  # fmt: skip
    if zone and zone not in "Zz":
        sign = -1 if zone[0] == "-" else 1
        moment -= sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return moment


# --- text of one scalar shape, as headers, URIs, forms and XML carry it --------------------------


def _integer(limit: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _INTEGER.match(text.strip()):
            raise MisreadError("an integer", text)
        return in_range(int(text), limit)

    return read


def _float(text: str) -> float:
    text = text.strip()
    if text in _SPECIAL:
        return _SPECIAL[text]
    if not _FLOAT.match(text):
        raise MisreadError("a number", text)
    return float(text)


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise MisreadError("true or false", text)
    return word == "true"


def _string(text: str) -> str:
    return text


def text_reader(shape: Shape) -> Callable[[str], Any]:
    match shape.type_name:
        case "integer" | "long":
            return _integer(int_limit(shape.type_name))
        case "float" | "double":
            return _float
        case "boolean":
            return _boolean
        case "timestamp":
            return read_timestamp
        case "blob":
            return blob_from_text
    return _string


def _write_boolean(value: Any) -> str:
    return "true" if value else "false"


def _write_blob(value: Any) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


def _write_float(value: Any) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _write_string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string member holds {value!r}")
    return str(value)


def _write_integer(value: Any) -> str:
    return str(int(value))


def _write_epoch(value: Any) -> str:
    return str(epoch(value))


_TIMESTAMPS: dict[str, Callable[[Any], str]] = {
    "iso8601": iso8601,
    "rfc822": rfc822,
    "unixtimestamp": _write_epoch,
}


def text_writer(shape: Shape, *, timestamps: str) -> Callable[[Any], str]:
    """timestamps: the protocol's form where the shape names none."""
    match shape.type_name:
        case "boolean":
            return _write_boolean
        case "blob":
            return _write_blob
        case "timestamp":
            return _TIMESTAMPS[str(shape.serialization.get("timestampFormat", timestamps)).lower()]
        case "float" | "double":
            return _write_float
        case "integer" | "long":
            return _write_integer
    return _write_string
