"""The functions $toMillis and $fromMillis. Times are milliseconds since 1970, in the proleptic calendar.

Source: ISO 8601; what the reference implementation answers.
"""

import math
import re
from typing import TYPE_CHECKING, Any

from scones.cloud.asl.queryerrors import MEMORY, QueryError

from .calendar import fragment, millis_of
from .datepictures import DAYS, MONTHS, Marker, read_date_picture
from .errors import JsonataError
from .integers import parsed_integer, read_picture, write_integer
from .parsedates import parse_date
from .sequences import LONGEST_TEXT
from .values import UNDEFINED

if TYPE_CHECKING:
    from .evaluation import Evaluation

__all__ = ["format_now", "from_millis", "to_millis"]

_ISO = "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]"
_SHAPE = re.compile(
    r"\d{4}(?:-[01]\d)*(?:-[0-3]\d)*(?:T[0-2]\d:[0-5]\d:[0-5]\d)*(?:\.\d+)?(?:[+-][0-2]\d:?[0-5]\d|Z)?",
    re.ASCII,
)
_TIMESTAMP = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?)?(?:([+-])(\d\d):?(\d\d)|Z)?",
    re.ASCII,
)
_LARGEST_TIME = 8.64e15
"""In milliseconds, either way from 1970."""


def to_millis(run: "Evaluation", text: str, picture: Any = UNDEFINED) -> Any:
    if picture is not UNDEFINED:
        return parse_date(run, text, picture)
    if not _SHAPE.fullmatch(text):
        raise JsonataError("D3110", value=text)
    parts = _TIMESTAMP.fullmatch(text)
    return _iso_millis(parts) if parts else math.nan


def _iso_millis(parts: re.Match[str]) -> Any:
    year, month, day, hour, minute, second = (
        int(parts[n] or default) for n, default in enumerate((0, 1, 1, 0, 0, 0), 1)
    )
    milliseconds = int((parts[7] or "")[:3].ljust(3, "0"))
    midnight = hour == 24 and minute == second == milliseconds == 0
    if not (1 <= month <= 12 and 1 <= day <= 31 and (hour <= 23 or midnight)):
        return math.nan
    millis = millis_of(year, month - 1, day, hour, minute, second, milliseconds)
    if parts[8]:
        offset = (int(parts[9]) * 60 + int(parts[10])) * 60_000
        millis += -offset if parts[8] == "+" else offset
    return millis


def format_now(run: "Evaluation", picture: Any = UNDEFINED, zone: Any = UNDEFINED) -> str:
    return from_millis(run.now_ms, picture, zone)


def from_millis(millis: Any, picture: Any = UNDEFINED, zone: Any = UNDEFINED) -> str:
    """zone: an offset as `+hhmm`."""
    offset = 0 if zone is UNDEFINED else parsed_integer(zone)
    if offset != offset:
        raise JsonataError("D3000", message=f"The timezone {zone} is no offset like +0100")
    hours, minutes = math.floor(offset / 100), int(math.fmod(offset, 100))
    moved = millis + (60 * hours + minutes) * 60_000
    if not abs(moved) <= _LARGEST_TIME:
        raise JsonataError("D3000", message="Invalid time value")
    parts = read_date_picture(_ISO if picture is UNDEFINED else picture)
    time = int(moved)
    written: list[str] = []
    length = 0
    for part in parts:
        written.append(part if isinstance(part, str) else _formatted(time, part, hours, minutes))
        length += len(written[-1])
        if length > LONGEST_TEXT:
            raise QueryError("", MEMORY)
    return "".join(written)


def _formatted(time: int, marker: Marker, hours: int, minutes: int) -> str:
    component = marker.component
    if component in "Zz":
        return _zone(marker, hours, minutes)
    value = fragment(time, component)
    if component in "CE":
        return str(value)
    if component == "P":
        return str(value).upper() if marker.names == "upper" else str(value)
    if component == "Y" and marker.digits not in (-1, None):
        value = int(math.fmod(value, 10**marker.digits)) if marker.digits <= 300 else value
    if marker.names and component != "f":
        return _name(marker, value)
    assert marker.integer is not None
    return write_integer(value, marker.integer)


def _name(marker: Marker, value: int) -> str:
    if marker.component in "Mx":
        name = MONTHS[value - 1]
    elif marker.component == "F":
        name = DAYS[value - 1]
    else:
        raise JsonataError("D3133", value=marker.component)
    if marker.names != "title":
        name = name.upper() if marker.names == "upper" else name.lower()
    return name if marker.widest is None else name[: max(marker.widest, 0)]


def _zone(marker: Marker, hours: int, minutes: int) -> str:
    offset = hours * 100 + minutes
    picture = marker.integer
    assert picture is not None
    digits = picture.mandatory or 0
    if picture.interval or digits in (3, 4):
        text = write_integer(offset, picture)
    elif digits in (1, 2):
        text = write_integer(hours, picture)
        text += ":" + write_integer(minutes, read_picture("00")) if minutes else ""
    else:
        raise JsonataError("D3134")
    if offset == 0 and marker.zulu:
        return "Z"
    return ("GMT" if marker.component == "z" else "") + ("+" if offset >= 0 else "") + text
