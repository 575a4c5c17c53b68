"""When schedule expressions fire, and which texts are none; the lists of both are as recorded on AWS."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scones.cloud.services.events.schedules import ScheduleError, compile_schedule

NOON = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)  # a Wednesday


def following(text: str, count: int = 1, after: datetime = NOON) -> list[str]:
    """The next times, as texts."""
    found, moment = [], after
    for _ in range(count):
        if (due := compile_schedule(text).after(moment)) is None:
            break
        found.append(f"{due:%Y-%m-%d %H:%M:%S}")
        moment = due
    return found


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("rate(1 minute)", ["2026-11-25 12:01:30", "2026-11-25 12:02:30"]),
        ("rate(5 minutes)", ["2026-11-25 12:05:30", "2026-11-25 12:10:30"]),
        ("rate(1 hour)", ["2026-11-25 13:00:30", "2026-11-25 14:00:30"]),
        ("rate(2 days)", ["2026-11-27 12:00:30", "2026-11-29 12:00:30"]),
        ("cron(* * * * ? *)", ["2026-11-25 12:01:00", "2026-11-25 12:02:00"]),
        ("cron(0 10 * * ? *)", ["2026-11-26 10:00:00", "2026-11-27 10:00:00"]),
        ("cron(0 12 * * ? *)", ["2026-11-26 12:00:00", "2026-11-27 12:00:00"]),
        ("cron(5,35 14 * * ? *)", ["2026-11-25 14:05:00", "2026-11-25 14:35:00"]),
        ("cron(0/15 * * * ? *)", ["2026-11-25 12:15:00", "2026-11-25 12:30:00"]),
        ("cron(0/30 20-23 ? * MON-FRI *)", ["2026-11-25 20:00:00", "2026-11-25 20:30:00"]),
        ("cron(0 18 ? * mon-fri *)", ["2026-11-25 18:00:00", "2026-11-26 18:00:00", "2026-11-27 18:00:00"]),
        ("cron(0 8 1 * ? *)", ["2026-12-01 08:00:00", "2027-01-01 08:00:00"]),
        ("cron(0 2 ? * SAT *)", ["2026-11-28 02:00:00", "2026-12-05 02:00:00"]),
        ("cron(0 2 ? * SAT#3 *)", ["2026-12-19 02:00:00", "2027-01-16 02:00:00"]),
        ("cron(15 10 ? * 6L *)", ["2026-11-27 10:15:00", "2026-12-25 10:15:00"]),
        ("cron(0 0 L * ? *)", ["2026-11-30 00:00:00", "2026-12-31 00:00:00"]),
        ("cron(0 0 LW * ? *)", ["2026-11-30 00:00:00", "2026-12-31 00:00:00", "2027-01-29 00:00:00"]),
        ("cron(0 0 1W * ? *)", ["2026-12-01 00:00:00", "2027-01-01 00:00:00", "2027-02-01 00:00:00"]),
        ("cron(0 0 31W * ? *)", ["2026-12-31 00:00:00", "2027-01-29 00:00:00", "2027-03-31 00:00:00"]),
        ("cron(0 0 ? * L *)", ["2026-11-28 00:00:00", "2026-12-05 00:00:00"]),
        ("cron(0 0 29 FEB ? *)", ["2028-02-29 00:00:00", "2032-02-29 00:00:00"]),
        ("cron(0 0 30 2 ? *)", []),
        ("cron(15 10 ? * 6L 2002-2005)", []),
        ("cron(0/5 5 ? JAN 1-5 2022)", []),
    ],
)
def test_a_schedule_fires_at_its_times(text: str, times: list[str]) -> None:
    assert following(text, max(len(times), 1)) == times


@pytest.mark.parametrize(
    "text",
    [
        "rate(10 seconds)", "rate(10 years)", "rate(1 minutes)", "rate(1 hours)", "rate(1 days)", "rate(10 minute)",
        "rate(10 hour)", "rate(10 day)", "rate()", "rate(10)", "rate(10 minutess)", "rate(foo minutes)",
        "rate(0 minutes)", "rate(-10 minutes)", "rate(10 MINUTES)", "rate( 10 minutes )", " rate(10 minutes)",
        "cron(INVALID)", "cron(0 dummy ? * MON-FRI *)", "cron(7 20 * * NOT *)", "cron(71 8 1 * ? *)",
        "cron(0 1 * * * *)", "cron(0 1 ? * ? *)", "cron(0 1 * * ?)", "cron(0 1 0 * ? *)", "cron(0/0 1 * * ? *)",
        "cron(5-1 1 * * ? *)", "cron(0 1 32W * ? *)", "cron(0 1 ? * 8L *)", "cron(0 1 ? * 2#6 *)",
        "cron(0 1 * * ? 1969)", "cron(, 1 * * ? *)", "at(2026-01-01T00:00:00)", "",
    ],
)  # fmt: skip
def test_other_texts_are_no_schedule(text: str) -> None:
    with pytest.raises(ScheduleError):
        compile_schedule(text)


def test_a_rate_beyond_all_time_never_fires() -> None:
    assert compile_schedule("rate(999999999 days)").after(NOON) is None


NUMBERS = st.integers(0, 59)


@settings(deadline=None, max_examples=60)
@given(
    minute=NUMBERS,
    step=st.integers(1, 59),
    hour=st.integers(0, 23),
    weekday=st.integers(1, 7),
    offset=st.integers(0, 7 * 24 * 60),
)
def test_the_next_time_is_the_first_minute_that_fits(
    minute: int, step: int, hour: int, weekday: int, offset: int
) -> None:
    after = NOON + timedelta(minutes=offset)
    found = compile_schedule(f"cron({minute}/{step} {hour}-23 ? * {weekday},1 *)").after(after)
    moment = after.replace(second=0) + timedelta(minutes=1)
    while not (
        moment.minute >= minute
        and (moment.minute - minute) % step == 0
        and moment.hour >= hour
        and moment.isoweekday() % 7 + 1 in (weekday, 1)
    ):
        moment += timedelta(minutes=1)
    assert found == moment
