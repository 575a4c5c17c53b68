"""Reading a date and time by a picture.

What is missing to the right of what is given is zero, to its left it is now's; between it is an error.
"""

import math
from typing import TYPE_CHECKING, Any

from scones.cloud.asl.regexes import RegexError, compile_regex, escaped

from .calendar import date_of, fragment, millis_of
from .datepictures import DAYS, MONTHS, Marker, read_date_picture
from .errors import JsonataError
from .integers import WORDS, parsed_integer, read_integer
from .values import UNDEFINED

if TYPE_CHECKING:
    from .evaluation import Evaluation

__all__ = ["parse_date"]

_DAY_PERIODS = {"am": 0, "AM": 0, "pm": 1, "PM": 1}
_DATES = {"YMD": 0b10100001, "YD": 0b10000010, "XxwF": 0b01010100, "XWF": 0b01001000}
"""The components of a date -> the letters of YXMxWwdD that it may be given by."""
_TIMES = {"Hmsf": 0b010111, "Phmsf": 0b101111}
"""The same for a time, of PHhmsf."""


def parse_date(run: "Evaluation", text: str, picture: str) -> Any:
    """Raises JsonataError D3136, D3133, D3130; undefined where the text does not look like the picture."""
    parts = read_date_picture(picture)
    patterns = [_pattern(part) for part in parts]
    try:
        compiled = compile_regex("".join(f"({pattern})" for pattern in patterns), case_sensitive=False)
    except RegexError as problem:
        raise JsonataError("D3000", message=f"The picture cannot be read by: {problem}") from None
    found = compiled.fullmatch(text)
    if found is None:
        return UNDEFINED
    components = {
        part.component: _read(part, value)
        for part, value in zip(parts, found.groups(), strict=True)
        if isinstance(part, Marker)
    }
    return _assembled(run, components) if components else UNDEFINED


def _pattern(part: str | Marker) -> str:
    if isinstance(part, str):
        return escaped(part)
    if part.component in ("Z", "z"):
        assert part.integer is not None
        separator = part.integer.separators[0][1] if part.integer.interval else ""
        more = escaped(separator) + "[0-9]+" if separator else ""
        return ("GMT" if part.component == "z" else "") + "[-+][0-9]+" + more
    if part.integer is None:
        if part.component not in "MxFP":
            raise JsonataError("D3133", value=part.component)
        return "[a-zA-Z]+"
    return _integer_pattern(part)


def _integer_pattern(part: Marker) -> str:
    picture = part.integer
    assert picture is not None
    if picture.style == "sequence":
        raise JsonataError("D3130", value=picture.token)
    if picture.style == "letters":
        return "[A-Z]+"
    if picture.style == "roman":
        return "[MDCLXVI]+"
    if picture.style == "words":
        return f"(?:{'|'.join(WORDS)}|and|[\\-, ])+"
    times = "+"
    if part.digits is not None and part.digits > 0:
        least = f"{part.digits - picture.optional}," if picture.optional else ""
        times = f"{{{least}{part.digits}}}"
    return f"[0-9]{times}" + ("(?:th|st|nd|rd)" if picture.ordinal else "")


def _read(part: Marker, text: str) -> Any:
    """The component's value; undefined for a name that there is not."""
    if part.component in ("Z", "z"):
        return _offset(part, text)
    if part.integer is not None:
        return read_integer(text, part.integer)
    if part.component == "P":
        return _DAY_PERIODS.get(text, UNDEFINED)
    names = [name[: part.widest or None] for name in (DAYS if part.component == "F" else MONTHS)]
    return max((n for n, name in enumerate(names, 1) if name == text), default=UNDEFINED)


def _offset(part: Marker, text: str) -> Any:
    """Minutes."""
    assert part.integer is not None
    text = text[3:] if part.component == "z" else text
    if part.integer.interval:
        head, _, tail = text.partition(part.integer.separators[0][1])
    elif len(text) <= 3:
        head, tail = text, "0"
    else:
        head, tail = text[:3], text[3:]
    return parsed_integer(head) * 60 + parsed_integer(tail)


def _kind(components: dict[str, Any], letters: str, kinds: dict[str, int]) -> str:
    """Which of the ways to give a date, or a time, it is."""
    mask = 0
    for letter in letters:
        value = components.get(letter, UNDEFINED)
        mask = mask * 2 + (value is not UNDEFINED and value == value and value != 0)
    for kind, allowed in kinds.items():
        if not ~allowed & mask and allowed & mask:
            return kind
    return next(iter(kinds))


def _assembled(run: "Evaluation", components: dict[str, Any]) -> Any:
    date, time = _kind(components, "YXMxWwdD", _DATES), _kind(components, "PHhmsf", _TIMES)
    started = ended = False
    for part in date + time:
        if components.get(part, UNDEFINED) is not UNDEFINED:
            started = True
            if ended:
                raise JsonataError("D3136")
        elif started:
            components[part] = 1 if part in "MDd" else 0
            ended = True
        else:
            components[part] = fragment(run.now_ms, part)
    if date in ("XxwF", "XWF"):
        raise JsonataError("D3136")
    month = components.get("M", 0)
    components["M"] = month - 1 if month is not UNDEFINED and month > 0 else 0
    if date == "YD":
        _from_day_of_year(components)
    if time == "Phmsf":
        components["H"] = (components["h"] if components["h"] != 12 else 0) + (
            12 if components["P"] == 1 else 0
        )
    return _millis(components)


def _from_day_of_year(components: dict[str, Any]) -> None:
    day = components.get("d", UNDEFINED)
    if day is UNDEFINED or not all(math.isfinite(value) for value in (day, components["Y"])):
        components["M"] = math.nan
        return
    first = millis_of(_full_year(components["Y"]), 0, 1) // 86_400_000
    _, components["M"], components["D"] = date_of(first + int(day) - 1)


def _full_year(year: Any) -> int:
    return int(year) + 1900 if 0 <= year <= 99 else int(year)


def _millis(components: dict[str, Any]) -> Any:
    values = [components.get(part, math.nan) for part in "YMDHmsf"]
    if not all(isinstance(value, int | float) and abs(value) < 1e9 for value in values):
        return math.nan
    year, *rest = values
    millis = millis_of(_full_year(year), *map(int, rest))
    for zone in ("Z", "z"):
        offset = components.get(zone, UNDEFINED)
        if offset is not UNDEFINED and offset:
            return millis - offset * 60_000
    return millis
