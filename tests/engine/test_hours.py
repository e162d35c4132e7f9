"""Waits, windows, zones, clock changes, holidays, absences."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Refused
from engine.hours import Absence, Calendar, calendar, country_of, parse_country
from engine.measures import DAYS, Wait, parse_wait, parse_windows
from engine.sequence import Schedule

OSLO = ZoneInfo("Europe/Oslo")
OFFICE = Schedule(windows="mon-fri 09:00-17:00")
ANY_HOUR = Schedule(windows="00:00-24:00")
#: Hours in which clocks are changed somewhere, and windows that overlap, touch, and go over midnight.
NIGHT = Schedule(
    windows=[
        "mon-sun 00:00-00:20, 01:30-02:15, 01:45-02:00, 02:10-02:45, 03:05-03:30, 22:30-23:10, 23:10-23:20, 23:45-24:00",
        "sun 02:45-03:05",
    ]
)
WAITS = ("45s", "90m", "30h", "1d", "2d", "1w", "1bd", "3bd")

ZONES = tuple(sorted(available_timezones() - {"localtime", "Factory"}))
A_DAY, A_MINUTE, A_SECOND = timedelta(days=1), timedelta(minutes=1), timedelta(seconds=1)

zones = st.sampled_from(ZONES)
instants = st.integers(0, 3 * 365 * 86400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
waits = st.sampled_from([*WAITS, "0d", "0h", "0bd", "20bd", "5w"]).map(parse_wait)
#: Beginning so many minutes from something, and so many minutes long.
absences = st.lists(st.tuples(st.integers(-20 * 1440, 20 * 1440), st.integers(1, 10 * 1440)), max_size=4)
weeks = st.lists(
    st.tuples(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(1, 1440)).map(
        lambda drawn: (sorted(drawn[0]), drawn[1], min(drawn[1] + drawn[2], 1440))
    ),
    min_size=1,
    max_size=4,
).map(
    lambda drawn: Schedule(
        windows=[
            f"{','.join(DAYS[day] for day in days)} "
            f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
            for days, start, end in drawn
        ]
    )
)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and an instant: any, or one in the week of a clock change."""
    zone = draw(zones)
    if (changes := clock_changes(zone)) and draw(st.booleans()):
        return zone, draw(st.sampled_from(changes)) + draw(st.integers(-4 * 86400, 3 * 86400)) * A_SECOND
    return zone, draw(instants)


def gone(since: datetime, drawn: list[tuple[int, int]]) -> list[Absence]:
    starts = ((since + minutes * A_MINUTE, length * A_MINUTE) for minutes, length in drawn)
    return [Absence(start, start + length) for start, length in starts]


def at(text: str, zone: ZoneInfo = OSLO, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def oslo(schedule: Schedule | None = OFFICE, country: str | None = "NO") -> Calendar:
    return calendar(schedule, "Europe/Oslo", country)


def stands_open(schedule: Schedule, zone: ZoneInfo, instant: datetime) -> bool:
    """What a person would say who looks at the clock on the wall."""
    wall = instant.astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    return any(
        window.start <= minute < window.end and wall.weekday() in window.days for window in schedule.windows
    )


@cache
def clock_changes(zone: str) -> tuple[datetime, ...]:
    """To the minute, 2026 to 2028."""
    place, changes = ZoneInfo(zone), []
    day = datetime(2026, 1, 1, tzinfo=UTC)
    while day < datetime(2029, 1, 1, tzinfo=UTC):
        if day.astimezone(place).utcoffset() != (day + A_DAY).astimezone(place).utcoffset():
            low, high = 0, 1440
            while high - low > 1:
                middle = (low + high) // 2
                same = (day + middle * A_MINUTE).astimezone(place).utcoffset() == day.astimezone(
                    place
                ).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            changes.append(day + high * A_MINUTE)
        day += A_DAY
    return tuple(changes)


def every_clock_change() -> Iterator[tuple[str, datetime]]:
    return ((zone, change) for zone in ZONES for change in clock_changes(zone))


def different_clock_changes() -> Iterator[tuple[str, datetime]]:
    """Without those that are the same for a whole continent."""
    seen = set()
    for zone, change in every_clock_change():
        place = ZoneInfo(zone)
        walls = (change.astimezone(place).utcoffset(), (change - A_MINUTE).astimezone(place).utcoffset())
        if (change, walls) not in seen:
            seen.add((change, walls))
            yield zone, change


def is_open(books: Calendar, instant: datetime) -> bool:
    return books.first_open(instant) == instant


def opens_and_closes_by_the_wall(
    schedule: Schedule, zone: str, since: datetime, until: datetime, step: timedelta
) -> None:
    """Look at every step from the last to the first: what is open, and what would open next."""
    place, books = ZoneInfo(zone), calendar(schedule, zone, None)
    instant, next_open = until, None
    while instant >= since:
        if stands_open(schedule, place, instant):
            next_open = instant
            assert is_open(books, instant), (zone, instant)
        else:
            assert not is_open(books, instant), (zone, instant)
        if next_open:
            assert books.next_open(instant).at == next_open, (zone, instant)
        instant -= step


# --- waits ---


@pytest.mark.parametrize(
    ("begin", "wait", "end"),
    [
        ("2026-03-27 09:00", "3d", "2026-03-30 09:00"),  # the clock goes forward on the 29th
        ("2026-03-27 09:00", "72h", "2026-03-30 10:00"),
        ("2026-10-23 09:00", "3d", "2026-10-26 09:00"),  # and back on the 25th
        ("2026-10-23 09:00", "72h", "2026-10-26 08:00"),
        ("2026-03-28 02:30", "1d", "2026-03-29 03:30"),  # 02:30 does not exist
        ("2026-02-28 12:00", "1w", "2026-03-07 12:00"),
        ("2026-03-27 09:00", "1bd", "2026-03-30 09:00"),  # Friday to Monday, over the clock change
        ("2026-03-28 11:00", "1bd", "2026-03-30 11:00"),  # Saturday to Monday
        ("2026-03-02 18:30", "3bd", "2026-03-05 18:30"),
        ("2026-03-02 09:00", "10bd", "2026-03-16 09:00"),
        ("2026-12-31 09:00", "261bd", "2027-12-31 09:00"),
        ("2026-01-01 09:00", "2600bd", "2035-12-20 09:00"),  # 520 weeks
    ],
)
def test_days_keep_the_hour_and_hours_do_not(begin, wait, end):
    assert oslo().add(parse_wait(wait), at(begin)) == at(end)


def test_a_time_that_an_autumn_night_repeats_is_the_first():
    assert oslo().add(parse_wait("1d"), at("2026-10-24 02:30")) == at("2026-10-25 02:30", fold=0)


@pytest.mark.parametrize("wait", ["0s", "0m", "0h", "0d", "0w", "0bd"])
def test_no_wait_is_no_wait_even_in_a_repeated_hour(wait):
    second = at("2026-10-25 02:30", fold=1)
    assert oslo().add(parse_wait(wait), second) == second


def test_business_days_leave_out_holidays_and_skipped_days():
    books = oslo(Schedule(holidays="recipient", skip="2026-04-08..2026-04-09"))
    # Thursday to Monday are Easter, Wednesday and Thursday are skipped
    assert books.add(parse_wait("2bd"), at("2026-04-01 12:00")) == at("2026-04-10 12:00")


def test_at_any_hour_every_day_is_a_business_day():
    assert oslo(ANY_HOUR).add(parse_wait("2bd"), at("2026-03-27 12:00")) == at("2026-03-29 12:00")


def test_a_day_that_never_was_is_no_business_day():
    samoa = calendar(OFFICE, "Pacific/Apia", None)  # had no Friday, 30 December 2011
    assert not samoa.is_business_day(date(2011, 12, 30))
    assert samoa.is_business_day(date(2011, 12, 29))
    thursday = at("2011-12-29 10:00", samoa.zone)
    assert samoa.add(parse_wait("1bd"), thursday) == at("2012-01-02 10:00", samoa.zone)
    assert samoa.add(parse_wait("1d"), thursday) == at("2011-12-31 10:00", samoa.zone)


def test_in_every_zone_a_wait_keeps_what_it_promises_around_every_clock_change():
    for zone, change in every_clock_change():
        books, place = calendar(OFFICE, zone, None), ZoneInfo(zone)
        for hours in (-47, -25, -24, -23, -1, 0, 1, 23, 24, 47):
            since = change + timedelta(hours=hours, minutes=10)
            wall = since.astimezone(place).replace(tzinfo=None)
            assert books.add(Wait(30, "h"), since) - since == timedelta(hours=30)
            for days in (1, 2, 7):
                due = books.add(Wait(days, "d"), since)
                due_wall = due.astimezone(place).replace(tzinfo=None)
                if due_wall != wall + days * A_DAY:  # the clock skipped it, at the very change
                    assert abs(due - change) < A_DAY / 8, (zone, since)
                    assert due_wall - wall - days * A_DAY == skipped(place, change), (zone, since)
                earlier = due - A_MINUTE * 61  # the first of two: nobody read this time on the clock before
                assert earlier.astimezone(place).replace(tzinfo=None) < due_wall, (zone, since)


def skipped(zone: ZoneInfo, change: datetime) -> timedelta:
    before = (change - A_MINUTE).astimezone(zone).replace(tzinfo=None) + A_MINUTE
    return change.astimezone(zone).replace(tzinfo=None) - before


@given(moments(), st.integers(0, 60))
def test_in_every_zone_business_days_are_counted_one_by_one(moment, days):
    zone, since = moment
    books = calendar(Schedule(windows="mon,wed,sat 10:00-11:00", skip="2027-01-01..2027-02-10"), zone, None)
    wall = since.astimezone(books.zone).replace(tzinfo=None)
    day, left = wall.date(), days
    while left:
        day += A_DAY
        left -= day.weekday() in {0, 2, 5} and not date(2027, 1, 1) <= day <= date(2027, 2, 10)
    expected = datetime.combine(day, wall.time(), books.zone).astimezone(UTC) if days else since
    assert books.add(Wait(days, "bd"), since) == expected


@given(moments(), waits, st.integers(0, 3 * 86400))
@settings(max_examples=500, deadline=None)
def test_who_starts_later_arrives_later_but_for_two_reasons(moment, wait, seconds):
    zone, since = moment
    books, later = calendar(OFFICE, zone, None), since + timedelta(seconds=seconds)
    lost = timedelta(0)
    if wait.unit in {"d", "w", "bd"} and any(
        abs(instant - change) < A_DAY / 6
        for instant in (since, later, books.add(wait, since), books.add(wait, later))
        for change in clock_changes(zone)
    ):
        # From 02:30 into a night that skips it, a day arrives at 03:30, and from 03:00 at 03:00.
        lost = timedelta(hours=2)
    if wait.in_business_days and not books.is_business_day(later.astimezone(books.zone).date()):
        # From Saturday at ten it is Monday at ten, from Sunday at eight Monday at eight.
        lost = A_DAY + timedelta(hours=2)
    assert books.add(wait, since) <= books.add(wait, later) + lost


# --- windows ---


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-02 10:00", "2026-03-02 10:00"),
        ("2026-03-02 09:00", "2026-03-02 09:00"),
        ("2026-03-02 08:59", "2026-03-02 09:00"),
        ("2026-03-02 16:59:59.999999", "2026-03-02 16:59:59.999999"),
        ("2026-03-02 17:00", "2026-03-03 09:00"),
        ("2026-03-06 17:00", "2026-03-09 09:00"),  # Friday evening
        ("2026-03-28 12:00", "2026-03-30 09:00"),  # over the clock change
    ],
)
def test_the_next_open_hour(now, opens):
    assert oslo().next_open(at(now)).at == at(opens)


def test_a_lunch_break_is_closed_and_windows_that_touch_are_one():
    books = oslo(
        Schedule(
            windows=["mon-thu 13:00-16:00, 09:00-11:30", "mon 11:00-12:00, 16:00-24:00", "tue 00:00-01:00"]
        )
    )
    assert books.next_open(at("2026-03-02 11:45")).at == at("2026-03-02 11:45")
    assert books.next_open(at("2026-03-02 12:00")).at == at("2026-03-02 13:00")
    assert is_open(books, at("2026-03-03 00:30"))
    assert books.next_open(at("2026-03-03 01:00")).at == at("2026-03-03 09:00")
    assert books.next_open(at("2026-03-03 11:45")).at == at("2026-03-03 13:00")


def test_a_weekly_window_that_a_spring_night_swallows_opens_a_week_later():
    swallowed = oslo(Schedule(windows="sun 02:00-03:00"))
    assert swallowed.next_open(at("2026-03-28 12:00")).at == at("2026-04-05 02:00")


def test_a_window_that_a_spring_night_begins_within_opens_when_the_clock_has_moved():
    assert oslo(Schedule(windows="sun 02:30-04:00")).next_open(at("2026-03-28 12:00")).at == at(
        "2026-03-29 03:00"
    )


def test_a_repeated_hour_is_open_both_times():
    books = oslo(Schedule(windows="sun 02:00-02:30"))
    assert is_open(books, at("2026-10-25 02:10", fold=0))
    assert not is_open(books, at("2026-10-25 02:40", fold=0))
    assert books.next_open(at("2026-10-25 02:40", fold=0)).at == at("2026-10-25 02:00", fold=1)
    assert not is_open(books, at("2026-10-25 02:30", fold=1))


@pytest.mark.parametrize(
    ("zone", "day", "next_day"),
    [
        ("America/Sao_Paulo", "2018-11-03", "2018-11-04"),  # none of these next days began with a midnight
        ("Asia/Beirut", "2026-03-28", "2026-03-29"),
        ("Africa/Cairo", "2026-04-23", "2026-04-24"),
    ],
)
def test_the_day_ends_where_the_next_begins_even_without_a_midnight(zone, day, next_day):
    place = ZoneInfo(zone)
    books = calendar(Schedule(windows="mon-sun 22:00-24:00"), zone, None)
    end = at(f"{next_day} 01:00", place)
    assert is_open(books, end - timedelta(microseconds=1))
    assert books.next_open(end).at == at(f"{next_day} 22:00", place)


def test_a_clock_that_is_changed_by_half_a_minute_opens_to_the_second():
    monrovia = calendar(Schedule(windows="fri 00:00-24:00"), "Africa/Monrovia", None)
    thursday = datetime(1972, 1, 6, 12, tzinfo=UTC)
    assert monrovia.next_open(thursday).at == datetime(1972, 1, 7, 0, 44, 30, tzinfo=UTC)


def test_at_any_hour_it_is_always_open():
    assert oslo(ANY_HOUR).next_open(at("2026-05-17 03:00")).at == at("2026-05-17 03:00")
    assert is_open(oslo(ANY_HOUR), at("2026-03-29 03:00"))


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Sao_Paulo", "2018-11-04"),  # no midnight
        ("America/Sao_Paulo", "2018-02-18"),  # an hour before midnight twice
        ("America/St_Johns", "2006-04-02"),  # changed its clock at one minute past midnight
        ("America/St_Johns", "2006-10-29"),  # so the day began, ended, and began again
        ("Pacific/Apia", "2011-12-30"),  # a day that never was
        ("Pacific/Kwajalein", "1993-08-21"),  # another
        ("Pacific/Kwajalein", "1969-10-01"),  # and most of one twice
        ("Pacific/Kiritimati", "1995-01-01"),
        ("Australia/Lord_Howe", "2026-04-05"),  # half an hour
        ("Antarctica/Troll", "2026-03-29"),  # two
        ("Pacific/Chatham", "2026-09-27"),  # twelve hours and three quarters from Greenwich
        ("America/Scoresbysund", "2026-03-28"),  # the hour before midnight is missing
        ("Asia/Pyongyang", "2018-05-05"),
        ("Asia/Gaza", "2026-03-28"),
        ("America/Caracas", "2016-05-01"),
        ("Africa/Casablanca", "2026-02-15"),  # summer time but for Ramadan
    ],
)
@pytest.mark.parametrize("schedule", [NIGHT, OFFICE, Schedule(windows="fri,sun 00:00-24:00")])
def test_the_oddest_nights_by_the_minute(zone, day, schedule):
    noon = datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=UTC)
    since, until = noon - 2 * A_DAY, noon + 2 * A_DAY
    opens_and_closes_by_the_wall(schedule, zone, since, until, timedelta(minutes=1))


def test_in_every_zone_the_night_of_every_clock_change_opens_and_closes_by_the_wall():
    for zone, change in every_clock_change():
        opens_and_closes_by_the_wall(
            NIGHT, zone, change - timedelta(hours=4), change + timedelta(hours=4), timedelta(minutes=5)
        )


def test_the_days_around_every_clock_change_open_and_close_by_the_wall():
    for zone, change in different_clock_changes():
        for schedule in (NIGHT, OFFICE):
            opens_and_closes_by_the_wall(
                schedule, zone, change - 2 * A_DAY, change + 2 * A_DAY, timedelta(minutes=5)
            )


@given(moments(), weeks)
@settings(max_examples=150, deadline=None)
def test_whatever_the_windows_what_opens_is_the_first_that_the_wall_shows(moment, schedule):
    zone, now = moment
    books = calendar(schedule, zone, None)
    opens = books.next_open(now).at
    assert stands_open(schedule, books.zone, opens)
    assert is_open(books, opens)
    assert books.next_open(opens).at == opens
    minutes = min(
        int((opens - now) / A_MINUTE), 1440
    )  # edges are on the minute: the last day of the wait shows them
    for instant in (now, *(opens - minute * A_MINUTE for minute in range(1, minutes + 1))):
        assert instant == opens or not stands_open(schedule, books.zone, instant)


@given(moments(), st.integers(0, 10 * 86400), weeks)
@settings(deadline=None)
def test_who_asks_later_is_never_let_in_earlier(moment, seconds, schedule):
    zone, now = moment
    books = calendar(schedule, zone, None)
    assert books.next_open(now).at <= books.next_open(now + timedelta(seconds=seconds)).at


@given(moments())
def test_in_every_zone_an_office_opens_within_four_days(moment):
    zone, now = moment
    opens = calendar(OFFICE, zone, None).next_open(now).at
    assert now <= opens < now + timedelta(days=4)


# --- days off ---


def test_skipped_days_are_closed_both_ends_included():
    books = oslo(
        Schedule(
            windows="mon-sun 09:00-17:00",
            skip=["2026-12-24..2026-12-27", "2026-12-26..2027-01-02", "2027-01-03", "2026-12-30"],
        )
    )
    assert books.next_open(at("2026-12-23 16:00")).at == at("2026-12-23 16:00")
    assert books.next_open(at("2026-12-24 10:00")).at == at("2027-01-04 09:00")
    assert not books.is_business_day(date(2026, 12, 24))
    assert not books.is_business_day(date(2027, 1, 3))
    assert books.is_business_day(date(2027, 1, 4))


@pytest.mark.parametrize(
    "zone", ["Pacific/Niue", "Pacific/Kiritimati"]
)  # the last to see a day, and the first
@pytest.mark.parametrize("window", ["00:00-01:00", "23:00-24:00"])
def test_a_long_skip_takes_no_hour_of_the_day_before_or_after(zone, window):
    place = ZoneInfo(zone)
    for number in range(70):
        first = date(2026, 1, 1) + number * A_DAY
        schedule = Schedule(windows=f"mon-sun {window}", skip=f"{first}..{first + 99 * A_DAY}")
        books = calendar(schedule, zone, None)
        eve, after = (
            datetime.combine(day, datetime.min.time()) for day in (first - A_DAY, first + 100 * A_DAY)
        )
        hour = timedelta(hours=int(window[:2]))
        before = at(f"{eve + hour}", place)
        assert books.next_open(before - timedelta(hours=20)).at == before
        assert books.next_open(before + timedelta(hours=1)).at == at(f"{after + hour}", place)


@given(moments(), st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 90)), min_size=1, max_size=5))
@settings(deadline=None)
def test_whatever_is_skipped_it_opens_on_the_first_day_that_is_not(moment, drawn):
    zone, now = moment
    ranges = [
        (date(2026, 1, 1) + first * A_DAY, date(2026, 1, 1) + (first + days) * A_DAY) for first, days in drawn
    ]
    schedule = Schedule(windows="mon-fri 04:00-22:00", skip=[f"{first}..{last}" for first, last in ranges])
    books = calendar(schedule, zone, None)
    opens = books.next_open(now).at
    day, end = now.astimezone(books.zone).date(), opens.astimezone(books.zone).date()
    if now.astimezone(books.zone).hour >= 22:
        day += A_DAY
    while day < end:
        assert day.weekday() > 4 or any(first <= day <= last for first, last in ranges)
        day += A_DAY
    assert end.weekday() < 5
    assert not any(first <= end <= last for first, last in ranges)


def test_a_skip_of_years_is_told_at_once():
    books = oslo(Schedule(skip="2026-01-01..2035-12-31"))
    with pytest.raises(
        Refused, match="no window opens within 5 years of 2026-03-02: all its days are skipped"
    ):
        books.next_open(at("2026-03-02 10:00"))
    with pytest.raises(Refused, match="no business day from 2026 to 2030"):
        books.add(parse_wait("1bd"), at("2025-12-31 10:00"))
    assert books.next_open(at("2032-03-02 10:00")).at == at("2036-01-01 09:00")
    assert books.add(parse_wait("1bd"), at("2032-03-02 10:00")) == at("2036-01-01 10:00")


def test_what_is_skipped_may_last_to_the_end_of_time():
    books = oslo(
        Schedule(skip=["9999-12-01..9999-12-31", "9999-12-31", "0001-01-01", "0001-01-01..0001-01-02"])
    )
    assert books.next_open(at("2026-03-02 08:00")).at == at("2026-03-02 09:00")


@pytest.mark.parametrize("year", [1, 1899, 2201, 9999])
def test_nobody_is_written_to_in_another_age(year):
    then = datetime(year, 6, 1, tzinfo=UTC)
    for ask in (
        oslo().first_open,
        oslo().next_open,
        lambda instant: oslo().is_business_day(instant.date()),
        lambda instant: oslo().add(parse_wait("1d"), instant),
        lambda instant: oslo().add_around(
            parse_wait("1d"), at("2026-03-02 10:00"), [Absence(at("2026-03-02 11:00"), instant)]
        ),
    ):
        with pytest.raises(Refused, match=f"the year {year} is too far away"):
            ask(then)


@pytest.mark.parametrize(
    ("place", "day"),
    [
        ("NO", "2027-05-17"),
        ("NO", "2026-04-02"),  # Maundy Thursday, by the moon
        ("NO", "2027-03-29"),  # Easter Monday
        ("NO", "2026-05-14"),  # Ascension Day
        ("US", "2026-11-26"),  # Thanksgiving
        ("US", "2027-12-24"),  # Christmas is a Saturday
        ("US-CA", "2026-03-31"),  # Cesar Chavez
        ("DE-BY", "2026-06-04"),  # Corpus Christi
        ("GB-SCT", "2026-11-30"),  # St Andrew
    ],
)
def test_a_public_holiday_is_no_business_day(place, day):
    day, books = date.fromisoformat(day), oslo(Schedule(holidays=[place]))
    assert oslo().is_business_day(day)
    assert not books.is_business_day(day)
    assert books.next_open(at(f"{day} 10:00")).at > at(f"{day} 23:59")


@pytest.mark.parametrize(
    ("place", "day"),
    [
        ("US", "2026-03-31"),
        ("DE", "2026-06-04"),
        ("NO", "2026-11-26"),
        ("US", "2027-05-17"),
        ("NO", "2026-12-24"),
    ],
)
def test_a_holiday_elsewhere_or_half_of_one_is_a_business_day(place, day):
    assert oslo(Schedule(holidays=[place])).is_business_day(date.fromisoformat(day))


def test_of_several_countries_a_holiday_in_any_counts():
    books = oslo(Schedule(holidays=["NO", "US-CA"]))
    assert not books.is_business_day(date(2027, 5, 17))
    assert not books.is_business_day(date(2026, 11, 26))


def test_the_recipients_holidays_are_kept_and_nobody_elses():
    schedule = Schedule(holidays="recipient")
    assert not oslo(schedule, "NO").is_business_day(date(2027, 5, 17))
    assert oslo(schedule, "US").is_business_day(date(2027, 5, 17))
    assert oslo(schedule, None).is_business_day(date(2027, 5, 17))
    assert oslo(Schedule(holidays="none"), "NO").is_business_day(date(2027, 5, 17))


def test_of_far_years_whose_moon_nobody_knows_the_fixed_holidays_are_kept():
    books = oslo(Schedule(holidays=["IN"]))
    assert not books.is_business_day(
        date(2050, 1, 26)
    )  # Republic Day; of Diwali only the next years are known


def test_there_are_no_holidays_in_a_year_that_nobody_will_see():
    books = oslo(Schedule(holidays="recipient"))
    assert books.is_business_day(date(2101, 5, 17))
    assert not books.is_business_day(date(2100, 5, 17))


@pytest.mark.parametrize(
    ("schedule", "zone", "country", "complaint"),
    [
        (Schedule(holidays=["XX"]), "Europe/Oslo", None, '"XX" is no country whose holidays are known'),
        (Schedule(holidays=["US-XX"]), "Europe/Oslo", None, '"US-XX" is no part of US .* Write US, US-AK'),
        (Schedule(holidays="recipient"), "Europe/Oslo", "Atlantis", '"Atlantis" is no country'),
        (Schedule(), "Mars/Base", None, '"Mars/Base" is no time zone'),
    ],
)
def test_a_place_that_does_not_exist_is_told_before_anything_is_planned(schedule, zone, country, complaint):
    with pytest.raises(Refused, match=complaint):
        calendar(schedule, zone, country)


def test_a_country_does_not_matter_where_no_holidays_are_kept():
    assert calendar(OFFICE, "Europe/Oslo", "Atlantis") is calendar(OFFICE, "Europe/Oslo", None)


def test_who_keeps_no_holidays_does_not_wait_for_all_the_worlds_calendars():
    asks = (
        "import sys; from datetime import *; from engine.hours import *; from engine.sequence import Schedule;"
        "calendar(Schedule(), 'Europe/Oslo', country_of('Europe/Oslo')).next_open(datetime.now(UTC));"
        "sys.exit('holidays' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", asks], check=False).returncode == 0


# --- reasons ---


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ("2026-03-06 10:00", None),
        ("2026-03-06 18:00", "window opens Mon 09 Mar 09:00 Europe/Oslo"),
        ("2027-05-17 08:00", "17 May is a holiday in NO, window opens Tue 18 May 09:00 Europe/Oslo"),
        ("2027-05-14 18:00", "17 May is a holiday in NO, window opens Tue 18 May 09:00 Europe/Oslo"),
        ("2027-05-17 17:00", "window opens Tue 18 May 09:00 Europe/Oslo"),  # it would have been closed anyway
        (
            "2026-04-01 18:00",
            "02 Apr to 06 Apr are holidays in NO, window opens Tue 07 Apr 09:00 Europe/Oslo",
        ),
        ("2026-12-23 18:00", "24 Dec 2026 to 02 Jan are skipped, window opens Mon 04 Jan 09:00 Europe/Oslo"),
        ("2026-06-12 18:00", "15 Jun is skipped, window opens Tue 16 Jun 09:00 Europe/Oslo"),
        ("2026-06-19 18:00", "window opens Mon 22 Jun 09:00 Europe/Oslo"),  # a Saturday is skipped
        (
            "2028-12-22 18:00",
            "25 Dec to 26 Dec are holidays in NO, 27 Dec is skipped, window opens Thu 28 Dec 09:00 Europe/Oslo",
        ),
        (
            "2026-05-12 18:00",
            "13 May is skipped, 14 May is a holiday in NO, window opens Fri 15 May 09:00 Europe/Oslo",
        ),
        ("2026-08-02 18:00", "03 Aug to 06 Aug are skipped, window opens Fri 07 Aug 09:00 Europe/Oslo"),
        ("2029-01-02 10:00", "01 Jan to 31 Jul are skipped, window opens Wed 01 Aug 2029 09:00 Europe/Oslo"),
    ],
)
def test_the_reason_names_what_stood_in_the_way_and_the_hour_and_the_zone(now, reason):
    skip = [
        "2026-12-24..2027-01-02",
        "2026-06-15",
        "2026-06-20",
        "2028-12-27",
        "2029-01-01..2029-07-31",
        "2026-05-13",
        "2026-08-05..2026-08-06",
        "2026-08-03..2026-08-04",
    ]
    assert oslo(Schedule(holidays="recipient", skip=skip)).next_open(at(now)).reason == reason


# --- absences ---


@pytest.mark.parametrize(
    ("since", "wait", "away", "due"),
    [
        # Monday and three days; away on the second
        ("2026-03-02 09:00", "3d", [("2026-03-03 14:00", "2026-03-09 08:00")], "2026-03-11 03:00"),
        ("2026-03-02 09:00", "72h", [("2026-03-03 14:00", "2026-03-09 08:00")], "2026-03-11 03:00"),
        # over the clock change: two days left keep the hour, 48 hours do not
        ("2026-03-24 09:00", "3d", [("2026-03-25 09:00", "2026-03-28 09:00")], "2026-03-30 09:00"),
        ("2026-03-24 09:00", "72h", [("2026-03-25 09:00", "2026-03-28 09:00")], "2026-03-30 10:00"),
        # one of three business days was over; the other two begin on the return
        ("2026-03-02 09:00", "3bd", [("2026-03-03 14:00", "2026-03-09 08:00")], "2026-03-11 08:00"),
        ("2026-03-02 09:00", "3bd", [("2026-03-03 08:00", "2026-03-09 08:00")], "2026-03-12 08:00"),
        # two absences, each pushes
        (
            "2026-03-02 09:00",
            "2d",
            [("2026-03-03 09:00", "2026-03-04 09:00"), ("2026-03-05 08:00", "2026-03-06 08:00")],
            "2026-03-06 09:00",
        ),
        (
            "2026-03-02 09:00",
            "2bd",
            [("2026-03-03 10:00", "2026-03-04 10:00"), ("2026-03-05 08:00", "2026-03-06 08:00")],
            "2026-03-09 08:00",
        ),
        # they overlap, and are told in no order
        (
            "2026-03-02 09:00",
            "2d",
            [("2026-03-03 12:00", "2026-03-05 09:00"), ("2026-03-03 09:00", "2026-03-04 09:00")],
            "2026-03-06 09:00",
        ),
        # gone before it began: counted from then on
        ("2026-03-02 09:00", "2d", [("2026-02-01 09:00", "2026-03-05 09:00")], "2026-03-07 09:00"),
        ("2026-03-02 09:00", "2bd", [("2026-02-01 09:00", "2026-03-05 09:00")], "2026-03-09 09:00"),
        ("2026-03-02 09:00", "0d", [("2026-02-01 09:00", "2026-03-05 09:00")], "2026-03-05 09:00"),
        # over before it began, or after it was due
        ("2026-03-02 09:00", "2d", [("2026-02-01 09:00", "2026-03-02 09:00")], "2026-03-04 09:00"),
        ("2026-03-02 09:00", "2d", [("2026-03-04 09:01", "2026-03-09 09:00")], "2026-03-04 09:00"),
        # away at the very instant: nothing is left, and back is back
        ("2026-03-02 09:00", "2d", [("2026-03-04 09:00", "2026-03-09 08:00")], "2026-03-09 08:00"),
        ("2026-03-02 09:00", "2bd", [("2026-03-04 09:00", "2026-03-09 08:00")], "2026-03-09 08:00"),
        # an hour away on a Saturday takes nothing from a Monday
        ("2026-03-06 18:00", "1bd", [("2026-03-07 10:00", "2026-03-07 11:00")], "2026-03-09 18:00"),
    ],
)
def test_an_absence_does_not_use_up_the_wait(since, wait, away, due):
    absences = [Absence(at(begin), at(end)) for begin, end in away]
    assert oslo().add_around(parse_wait(wait), at(since), absences) == at(due)


def test_who_is_back_in_the_second_of_two_hours_is_not_written_to_in_the_first():
    away = Absence(at("2026-10-24 12:00"), at("2026-10-25 02:30", fold=1))
    assert oslo().add_around(parse_wait("0d"), at("2026-10-24 18:00"), [away]) == away.until


@given(moments(), waits, absences)
@settings(max_examples=500, deadline=None)
def test_an_absence_never_hurries_anybody_and_nothing_is_due_within_one(moment, wait, drawn):
    zone, since = moment
    books, away = calendar(OFFICE, zone, None), gone(since, drawn)
    due = books.add_around(wait, since, away)
    assert due >= books.add(wait, since)
    assert not any(absence.since <= due < absence.until for absence in away)
    assert due == books.add_around(wait, since, [*reversed(away), *away])
    if not any(absence.since <= due and absence.until > since for absence in away):
        assert due == books.add(wait, since)


@given(moments(), st.integers(0, 3000), absences)
@settings(deadline=None)
def test_hours_away_are_hours_later(moment, minutes, drawn):
    zone, since = moment
    away = gone(since, drawn)
    due = calendar(OFFICE, zone, None).add_around(Wait(minutes, "m"), since, away)
    instants = (since + number * A_MINUTE for number in range(int((due - since) / A_MINUTE)))
    there = [
        instant
        for instant in instants
        if not any(absence.since <= instant < absence.until for absence in away)
    ]
    assert len(there) == minutes


@given(moments(), st.integers(0, 20), absences)
@settings(max_examples=200, deadline=None)
def test_days_away_are_days_later_on_the_wall(moment, days, drawn):
    # By the wall's own reckoning, which knows no clock change: the same as hours in a zone that has none.
    zone, since = moment
    books, away = calendar(OFFICE, zone, None), gone(since, drawn)
    if any(since - 30 * A_DAY < change < since + 80 * A_DAY for change in clock_changes(zone)):
        books = calendar(OFFICE, "Asia/Kathmandu", None)
    due = books.add_around(Wait(days, "d"), since, away)
    assert due == books.add_around(Wait(days * 24, "h"), since, away)


@given(moments(), st.integers(1, 10), st.integers(0, 10 * 1440), st.integers(1, 10 * 1440))
@settings(max_examples=200, deadline=None)
def test_business_days_that_were_over_are_not_counted_again(moment, days, minutes, length):
    zone, since = moment
    books, begin = calendar(OFFICE, zone, None), since + minutes * A_MINUTE
    away = Absence(begin, begin + length * A_MINUTE)
    due, plain = books.add_around(Wait(days, "bd"), since, [away]), books.add(Wait(days, "bd"), since)
    over = sum(books.add(Wait(number, "bd"), since) <= begin for number in range(1, days + 1))
    if plain < begin:
        assert due == plain
    else:
        assert due == max(plain, books.add(Wait(days - over, "bd"), away.until))


@given(moments(), waits, st.integers(-9 * 1440, 9 * 1440), st.integers(1, 9 * 1440), st.integers(0, 9 * 1440))
@settings(max_examples=300, deadline=None)
def test_who_comes_back_later_is_not_written_to_earlier(moment, wait, minutes, length, more):
    zone, since = moment
    books = calendar(OFFICE, zone, None)
    earlier = books.add_around(wait, since, gone(since, [(minutes, length)]))
    later = books.add_around(wait, since, gone(since, [(minutes, length + more)]))
    # As with `add`: the hour of a clock change, and business days from a day off.
    lost = {"d": timedelta(hours=2), "w": timedelta(hours=2), "bd": A_DAY + timedelta(hours=2)}
    assert earlier <= later + lost.get(wait.unit, timedelta(0))


# --- countries ---


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Europe/Oslo", "NO"),  # today a link to Berlin
        ("Europe/Stockholm", "SE"),
        ("Europe/Berlin", "DE"),
        ("America/New_York", "US"),
        ("US/Eastern", "US"),
        ("US/Arizona", "US"),
        ("Canada/Eastern", "CA"),
        ("Europe/Belfast", "GB"),
        ("GB", "GB"),
        ("Europe/Kiev", "UA"),
        ("Asia/Calcutta", "IN"),
        ("Iceland", "IS"),  # a link to the Ivory Coast
        ("America/Virgin", "VI"),
        ("Africa/Asmera", "ER"),
        ("UTC", None),
        ("GMT", None),
        ("Etc/GMT+5", None),
        ("CET", None),
        ("EST", None),
        ("EST5EDT", None),
        ("Mars/Base", None),
        ("", None),
    ],
)
def test_a_zone_lies_in_a_country(zone, country):
    assert country_of(zone) == country


def test_every_place_has_a_country_whose_holidays_are_known():
    rows = (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines()
    listed = {row.split("\t")[2]: row.split("\t")[0] for row in rows if not row.startswith("#")}
    assert len(listed) > 400
    for zone in {*listed, *ZONES}:
        if country := country_of(zone):
            assert listed.get(zone, country) == country
            assert calendar(Schedule(holidays="recipient"), zone, country).countries == (country,)
        else:
            assert zone not in listed
            assert "/" not in zone or zone.startswith("Etc/")


def test_every_old_name_that_shares_its_clock_with_several_countries_was_looked_at():
    # A new one would silently get the country of its clock: look where it lies, then add it here.
    looked_at = {
        *("Africa/Asmera", "Africa/Timbuktu", "America/Coral_Harbour", "America/Montreal", "America/Nipigon"),
        *(
            "America/Thunder_Bay",
            "America/Virgin",
            "Antarctica/South_Pole",
            "Asia/Rangoon",
            "Atlantic/Jan_Mayen",
        ),
        *(
            "CET",
            "Canada/Eastern",
            "EST",
            "Europe/Belfast",
            "GB",
            "GB-Eire",
            "Iceland",
            "Japan",
            "MET",
            "MST",
            "NZ",
        ),
        *(
            "Pacific/Ponape",
            "Pacific/Samoa",
            "Pacific/Truk",
            "Pacific/Yap",
            "Singapore",
            "US/Arizona",
            "US/Samoa",
        ),
    }
    tables = files("tzdata") / "zoneinfo"
    rows = [row.split("\t") for row in (tables / "zone1970.tab").read_text("utf-8").splitlines()]
    shared = {row[2] for row in rows if not row[0].startswith("#") and "," in row[0]}
    listed = (tables / "zone.tab").read_text("utf-8")
    links = [
        line.split()
        for line in (tables / "tzdata.zi").read_text("utf-8").splitlines()
        if line.startswith("L ")
    ]
    assert {name for _, zone, name in links if zone in shared and f"\t{name}" not in listed} <= looked_at


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("NO", "NO"),
        ("no", "NO"),
        (" NOR ", "NO"),
        ("Norway", "NO"),
        ("USA", "US"),
        ("United States", "US"),
        ("UK", "GB"),
        ("Guinea-Bissau", "GW"),
        ("us-ca", "US-CA"),
        ("US-California", "US-CA"),
        ("Germany-Bayern", "DE-BY"),
        ("GB-ENG", "GB-ENG"),
        ("AR-E", "AR-E"),  # Entre Ríos; ARE are the Emirates
    ],
)
def test_a_country_may_be_written_as_people_write_it(written, code):
    assert parse_country(written) == code
    assert parse_country(code) == code


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", '"" is no country'),
        ("-", '"-" is no country'),
        ("Norwey", '"Norwey" is no country whose holidays are known. Did you mean NO?'),
        ("Atlantis", "Write NO, or US-CA for a part of one"),
        ("NO-", '"NO-" is no part of NO'),
        ("US-A", '"US-A" is no part of US'),
        ("US-Bavaria", '"US-Bavaria" is no part of US whose holidays are known. Write US, US-AK, '),
        ("x" * 10_000, f'"{"x" * 60}" is no country'),
    ],
)
def test_what_is_no_country_is_told(written, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_country(written)


# --- what authors write ---


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
