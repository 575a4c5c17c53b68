"""Pictures of dates and times, as `[D01] [MNn] [Y]`: literal text and markers.

Source: XPath and XQuery Functions and Operators 3.1, 9.8.4; what the reference implementation answers.
"""

import functools
import re
from dataclasses import dataclass

from .errors import JsonataError
from .integers import IntegerPicture, number_prefix, read_picture

__all__ = ["DAYS", "MONTHS", "Marker", "read_date_picture"]

MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
]  # fmt: skip
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_DEFAULTS = {
    **dict.fromkeys("YMDdWwXxHhf", "1"), **dict.fromkeys("FPCE", "n"), "m": "01", "s": "01",
    "Z": "01:01", "z": "01:01",
}  # fmt: skip


@dataclass(slots=True)
class Marker:
    component: str
    names: str | None = None
    """How a name is written: upper, lower or title; None for figures."""
    integer: IntegerPicture | None = None
    digits: int | None = None
    """How many of a year's last digits; -1 for all."""
    widest: int | None = None
    zulu: bool = False
    """Whether UTC is written Z."""


@functools.lru_cache(maxsize=256)
def read_date_picture(picture: str) -> tuple[str | Marker, ...]:
    """Raises JsonataError D3132, D3135, D3131."""
    parts: list[str | Marker] = []
    start = position = 0
    while position < len(picture):
        if picture[position] != "[":
            position += 1
            continue
        parts.append(picture[start:position].replace("]]", "]"))
        if picture[position + 1 : position + 2] == "[":
            parts.append("[")
            start = position = position + 2
            continue
        end = picture.find("]", position)
        if end == -1:
            raise JsonataError("D3135")
        parts.append(_marker(re.sub(r"\s+", "", picture[position + 1 : end])))
        start = position = end + 1
    parts.append(picture[start:].replace("]]", "]"))
    return tuple(part for part in parts if part != "")


def _marker(text: str) -> Marker:
    head, comma, width = text.rpartition(",")
    component, modifiers = text[:1], (head if comma else text)[1:]
    narrowest, widest = _widths(width) if comma else (None, None)
    second = modifiers[-1] if len(modifiers) > 1 and modifiers[-1] in "atco" else ""
    first = modifiers[: len(modifiers) - len(second)] if modifiers else _DEFAULTS.get(component)
    if first is None:
        raise JsonataError("D3132", value=component)
    marker = Marker(component, widest=widest, zulu=second == "t")
    if first[:1] == "n":
        marker.names = "lower"
    elif first[:1] == "N":
        marker.names = "title" if first[1:2] == "n" else "upper"
    elif component in tuple("YMDdFWwXxHhmsf"):
        marker.integer = picture = read_picture(f"{first};{second}" if second else first)
        if narrowest is not None and picture.mandatory is not None:
            picture.mandatory = max(picture.mandatory, narrowest)
        if component in "YMD":
            _limit(marker, picture)
    if component in ("Z", "z"):
        marker.integer = read_picture(first)
    return marker


def _limit(marker: Marker, picture: IntegerPicture) -> None:
    marker.digits = -1
    if marker.widest is not None:
        marker.digits = picture.mandatory = marker.widest
    elif picture.mandatory is not None and picture.mandatory + (picture.optional or 0) >= 2:
        marker.digits = picture.mandatory + (picture.optional or 0)


def _widths(width: str) -> tuple[int | None, int | None]:
    narrowest, dash, widest = width.partition("-")
    return number_prefix(narrowest), number_prefix(widest) if dash else None
