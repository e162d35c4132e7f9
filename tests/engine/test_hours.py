"""Waits, windows, zones and clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.hours import add, next_open
from engine.sequence import Schedule, Wait, parse_wait, parse_windows

OSLO = ZoneInfo("Europe/Oslo")
OFFICE = Schedule(windows="mon-fri 09:00-17:00")

zones = st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})).map(ZoneInfo)
instants = st.integers(0, 3 * 365 * 86400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def at(text: str, zone: ZoneInfo = OSLO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("begin", "wait", "end"),
    [
        ("2026-03-27 09:00", "3d", "2026-03-30 09:00"),  # the clock goes forward on the 29th
        ("2026-03-27 09:00", "72h", "2026-03-30 10:00"),
        ("2026-10-23 09:00", "3d", "2026-10-26 09:00"),  # and back on the 25th
        ("2026-10-23 09:00", "72h", "2026-10-26 08:00"),
        ("2026-03-28 02:30", "1d", "2026-03-29 03:30"),  # 02:30 does not exist
        ("2026-02-28 12:00", "1w", "2026-03-07 12:00"),
    ],
)
def test_days_keep_the_hour_and_hours_do_not(begin, wait, end):
    assert add(parse_wait(wait), at(begin), OSLO) == at(end)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-02 10:00", "2026-03-02 10:00"),
        ("2026-03-02 09:00", "2026-03-02 09:00"),
        ("2026-03-02 08:59", "2026-03-02 09:00"),
        ("2026-03-02 17:00", "2026-03-03 09:00"),
        ("2026-03-06 17:00", "2026-03-09 09:00"),  # Friday evening
        ("2026-03-28 12:00", "2026-03-30 09:00"),  # over the clock change
    ],
)
def test_the_next_open_hour(now, opens):
    assert next_open(at(now), OFFICE, OSLO).at == at(opens)


def test_the_reason_names_the_hour_and_the_zone():
    assert (
        next_open(at("2026-03-06 18:00"), OFFICE, OSLO).reason == "window opens Mon 09 Mar 09:00 Europe/Oslo"
    )
    assert next_open(at("2026-03-06 10:00"), OFFICE, OSLO).reason is None


def test_a_weekly_window_that_a_spring_night_swallows_opens_a_week_later():
    swallowed = Schedule(windows="sun 02:00-03:00")
    assert next_open(at("2026-03-28 12:00"), swallowed, OSLO).at == at("2026-04-05 02:00")


def test_without_a_schedule_it_is_always_open():
    assert next_open(at("2026-03-01 03:00"), None, OSLO).at == at("2026-03-01 03:00")


@given(zones, instants)
def test_in_every_zone_an_opening_is_open_and_not_in_the_past(zone, now):
    opening = next_open(now, OFFICE, zone)
    local = opening.at.astimezone(zone)
    assert opening.at >= now
    assert opening.at - now < timedelta(days=4)
    assert local.weekday() < 5
    assert 9 <= local.hour < 17
    assert next_open(opening.at, OFFICE, zone).at == opening.at


@given(zones, instants, st.integers(0, 60))
def test_in_every_zone_days_keep_the_wall_clock_unless_it_does_not_exist(zone, now, days):
    later = add(Wait(days, "d"), now, zone).astimezone(zone)
    wall = now.astimezone(zone).replace(tzinfo=None) + timedelta(days=days)
    exists = wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall
    assert later.replace(tzinfo=None) == wall or not exists


@pytest.mark.parametrize(
    "text", ["mon-fri 09:00-17:00", "mon-sun 00:00-24:00", "sat,sun 10:00-12:00", "fri-mon 08:00-09:30"]
)
def test_a_window_says_what_was_written(text):
    windows = parse_windows(text)
    assert parse_windows([str(window) for window in windows]) == windows


def test_a_line_may_hold_two_windows():
    assert [str(window) for window in parse_windows("mon-thu 09:00-11:30, 13:00-16:00")] == [
        "mon,tue,wed,thu 09:00-11:30",
        "mon,tue,wed,thu 13:00-16:00",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mon",
        "09-17",
        "mon-fri 17:00-09:00",
        "mon-fri 09:00-09:00",
        "noday 09:00-17:00",
        "mon 09:00-25:00",
        "mon 09:60-10:00",
    ],
)
def test_what_is_no_window_is_told(text):
    with pytest.raises(ValueError, match=r"window|hours|day"):
        parse_windows(text)


@pytest.mark.parametrize("text", ["", "3", "d", "3 days", "-1d", "1.5h", "3y", "٣d", "9999999d", "999999w"])
def test_what_is_no_duration_is_told(text):
    with pytest.raises(ValueError, match=r"is no duration|ten years"):
        parse_wait(text)
