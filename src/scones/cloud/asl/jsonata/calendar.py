"""The calendar: milliseconds since 1970 -> years, weeks, hours, and back. No time zones but UTC."""

from typing import Any

__all__ = ["DAY_MS", "date_of", "fragment", "millis_of"]

DAY_MS = 86_400_000


def _days(year: int, month: int, day: int = 1) -> int:
    """Days since 1970-01-01. month: 0 is January; months and days beyond the year's run on."""
    year, month = year + month // 12, month % 12 + 1
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468 + day - 1


def date_of(days: int) -> tuple[int, int, int]:
    """Year, month (0 is January), day of the month."""
    era, of_era = divmod(days + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = (shifted + 2) % 12
    return year_of_era + era * 400 + (month < 2), month, of_year - (153 * shifted + 2) // 5 + 1


def millis_of(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, millis: int = 0
) -> int:
    return ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis


def _weekday(days: int) -> int:
    """1 is Monday."""
    return (days + 3) % 7 + 1


def _first_week(year: int, month: int) -> int:
    """The Monday of the week with the year's, or month's, first Thursday."""
    first = _days(year, month)
    weekday = _weekday(first)
    return first + 8 - weekday if weekday > 4 else first - weekday + 1


def _week(days: int, year: int, month: int, months: int, most: int) -> int:
    """The week's number within the year or month that begins so, and lasts `months`."""
    week = (days - _first_week(year, month)) // 7 + 1
    if week > most and days >= _first_week(year, month + months):
        return 1
    return week if week >= 1 else (days - _first_week(year, month - months)) // 7 + 1


def _week_owner(days: int, year: int, month: int, months: int) -> int:
    """-1, 0 or 1: whether the week belongs to the year or month before, to this one, or to the next."""
    if days < _first_week(year, month):
        return -1
    return int(days >= _first_week(year, month + months))


def fragment(time: int, component: str) -> Any:
    """A component of a date and time, by its letter in pictures."""
    days, of_day = divmod(time, DAY_MS)
    year, month, day = date_of(days)
    hour = of_day // 3_600_000
    simple = {
        "Y": year, "M": month + 1, "D": day, "d": days - _days(year, 0) + 1, "F": _weekday(days),
        "H": hour, "h": hour % 12 or 12, "P": "pm" if hour >= 12 else "am",
        "m": of_day // 60_000 % 60, "s": of_day // 1000 % 60, "f": of_day % 1000, "C": "ISO", "E": "ISO",
    }  # fmt: skip
    if component in simple:
        return simple[component]
    if component == "W":
        return _week(days, year, 0, 12, 52)
    if component == "w":
        return _week(days, year, month, 1, 4)
    if component == "X":
        return year + _week_owner(days, year, 0, 12)
    return (month + _week_owner(days, year, month, 1)) % 12 + 1
