"""When a rule fires by itself: `rate(...)` and `cron(...)` expressions, in UTC. Pure.

Source: EventBridge User Guide, "Setting a schedule pattern for scheduled rules"; which expressions are
refused is as recorded on AWS.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

__all__ = ["Schedule", "ScheduleError", "compile_schedule"]

_RATE = re.compile(r"rate\((?:(1) (minute|hour|day)|([2-9]|[1-9]\d{1,8}) (minute|hour|day)s)\)", re.ASCII)
_CRON = re.compile(r"cron\(([^()]*)\)")
_PART = re.compile(r"(\*|\w+(?:-\w+)?)(?:/(\d{1,4}))?", re.ASCII)
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS = {"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9,
           "OCT": 10, "NOV": 11, "DEC": 12}  # fmt: skip
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_LAST_YEAR = 2199

Days = Callable[[int, int], set[int]]
"""The days of a month, by its year and number, on which a schedule fires."""


class ScheduleError(Exception):
    """The text is no schedule expression."""


@dataclass(frozen=True, slots=True)
class _Rate:
    seconds: int

    def after(self, moment: datetime) -> datetime | None:
        try:
            return moment + timedelta(seconds=self.seconds)
        except OverflowError:  # after the last year that there is
            return None


@dataclass(frozen=True, slots=True)
class _Cron:
    minutes: list[int]
    hours: list[int]
    months: list[int]
    years: list[int]
    days: Days

    def after(self, moment: datetime) -> datetime | None:
        first = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for day in self._dates(first.date()):
            for hour in self.hours:
                for minute in self.minutes:
                    found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if found >= first:
                        return found
        return None

    def _dates(self, first: date) -> Iterator[date]:
        for year in self.years:
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for day in sorted(self.days(year, month)):
                    if date(year, month, day) >= first:
                        yield date(year, month, day)


Schedule = _Rate | _Cron
"""`after(moment)`: when it fires next, later than the moment; None where never again."""


@lru_cache(maxsize=512)
def compile_schedule(text: str) -> Schedule:
    """Raises ScheduleError."""
    if match := _RATE.fullmatch(text):
        return _Rate(int(match[1] or match[3]) * _SECONDS[match[2] or match[4]])
    match = _CRON.fullmatch(text)
    fields = match[1].split() if match else []
    if len(fields) != 6:
        raise ScheduleError(text)
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        raise ScheduleError("one of day-of-month and day-of-week must be ?")
    return _Cron(
        minutes=_numbers(minutes, 0, 59),
        hours=_numbers(hours, 0, 23),
        months=_numbers(months, 1, 12, _MONTHS),
        years=_numbers(years, 1970, _LAST_YEAR),
        days=_days_of_week(weekdays) if days == "?" else _days_of_month(days),
    )


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> list[int]:
    """The values of a field of numbers, names, ranges and steps, in order."""

    def number(word: str) -> int:
        value = (names or {}).get(word.upper(), int(word) if word.isdecimal() else -1)
        if not low <= value <= high:
            raise ScheduleError(f"{word} is not between {low} and {high}")
        return value

    found: set[int] = set()
    for text in field.split(","):
        part = _PART.fullmatch(text)
        if part is None or (part[2] and not int(part[2])):
            raise ScheduleError(text)
        first, _, last = part[1].partition("-")
        start = low if first == "*" else number(first)
        end = number(last) if last else high if first == "*" or part[2] else start
        if end < start:
            raise ScheduleError(f"{text} ends before it starts")
        found.update(range(start, end + 1, int(part[2] or 1)))
    return sorted(found)


def _days_of_month(field: str) -> Days:
    if field == "L":
        return lambda year, month: {monthrange(year, month)[1]}
    if field == "LW":
        return lambda year, month: _nearest_weekday(year, month, monthrange(year, month)[1])
    if match := re.fullmatch(r"(\d{1,2})W", field, re.ASCII):
        (day,) = _numbers(match[1], 1, 31)
        return lambda year, month: _nearest_weekday(year, month, day)
    days = _numbers(field, 1, 31)
    return lambda year, month: {day for day in days if day <= monthrange(year, month)[1]}


def _nearest_weekday(year: int, month: int, day: int) -> set[int]:
    """Monday to Friday, in the same month; no day at all where the month is too short."""
    last = monthrange(year, month)[1]
    if day > last:
        return set()
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return {day - 1 if day > 1 else day + 2}
    if weekday == 6:
        return {day + 1 if day < last else day - 2}
    return {day}


def _days_of_week(field: str) -> Days:
    """Days count from Sunday, 1; `6L` is the last Friday of a month, `6#3` its third."""
    if field == "L":
        field = "7"
    if match := re.fullmatch(r"(\w+)L", field, re.ASCII):
        (weekday,) = _numbers(match[1], 1, 7, _DAYS)
        return lambda year, month: {max(_on(year, month, {weekday}))}
    if match := re.fullmatch(r"(\w+)#([1-5])", field, re.ASCII):
        (weekday,), nth = _numbers(match[1], 1, 7, _DAYS), int(match[2])
        return lambda year, month: set(sorted(_on(year, month, {weekday}))[nth - 1 : nth])
    weekdays = set(_numbers(field, 1, 7, _DAYS))
    return lambda year, month: _on(year, month, weekdays)


def _on(year: int, month: int, weekdays: set[int]) -> set[int]:
    first, length = monthrange(year, month)  # Monday is 0 there
    return {day for day in range(1, length + 1) if (first + day) % 7 + 1 in weekdays}
