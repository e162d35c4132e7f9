"""The next instant at which somebody may be written to: waits, windows, zones, holidays, absences. Pure.

A wall clock is simple as long as nobody changes it. So a calendar is worked out by the chapter, a month or so at
a time; a chapter is cut where the zone changes its clock, and in each piece an hour is an hour. What was worked
out is remembered: a long list of people has few calendars.
"""

import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from engine.errors import Refused
from engine.measures import Dates, Wait, Window, parse_zone
from engine.sequence import Schedule

#: Of one day, since midnight; in order, none touches another.
_Hours = tuple[tuple[timedelta, timedelta], ...]
_Week = tuple[_Hours, ...]  #: Monday first

_DAY = timedelta(days=1)
_CHAPTER = 32  #: days
_PATIENCE = 5  #: years in which a calendar must open once
#: Nobody is written to beyond. A date in a stranger's mail may say anything.
_FIRST_YEAR, _LAST_YEAR = 1900, 2200


@dataclass(frozen=True, slots=True)
class Opening:
    """An instant, and why not earlier."""

    at: datetime
    reason: str | None  #: None: it was open already


@dataclass(frozen=True, slots=True)
class Absence:
    """While somebody is away, nothing is written to them, and no wait is used up."""

    since: datetime
    until: datetime  #: the first instant at which they are back


@dataclass(frozen=True, eq=False)
class Calendar:
    """When one kind of people may be written to: one zone, one week of windows, the days off. Made by `calendar`."""

    zone: ZoneInfo
    week: _Week
    countries: tuple[str, ...] = ()  #: whose public holidays are kept
    skips: tuple[Dates, ...] = ()  #: in order, none touches another

    def next_open(self, instant: datetime) -> Opening:
        """The instant itself if a window is open, else when the next one opens."""
        at = _utc(instant)
        opens = self.first_open(at)
        return Opening(opens, None if opens == at else self._why(at, opens))

    def first_open(self, instant: datetime) -> datetime:
        """As `next_open`, without its reason."""
        at = _utc(instant)
        chapter = at.toordinal() // _CHAPTER
        last = chapter + _PATIENCE * 366 // _CHAPTER
        while chapter <= last:
            opens, closes = _openings(self, chapter)
            place = bisect_right(closes, at)
            if place < len(opens):
                return max(opens[place], at)
            chapter = self._chapter_after(chapter)
        raise Refused(f"no window opens within {_PATIENCE} years of {at:%Y-%m-%d}: all its days are skipped")

    def is_business_day(self, day: date) -> bool:
        """A day that has a window, is not off, and exists: who moves over the date line loses one."""
        _check(day.year)
        days = _business_days(self, day.year)
        place = bisect_left(days, day.toordinal())
        return place < len(days) and days[place] == day.toordinal()

    def add(self, wait: Wait, since: datetime) -> datetime:
        """`3d` and `3bd` keep the hour across a clock change, `72h` does not.

        An hour that a spring night skips moves forward with the clock, one that an autumn night repeats is the
        first. So who starts later may arrive earlier, by no more than that hour; and, of business days, who
        starts on a day off: from a Saturday at ten it is Monday at ten, from the Sunday at eight Monday at eight.
        """
        since = _utc(since)
        if wait.amount == 0:
            return since  # not even the repeated hour of an autumn night is taken back
        if wait.in_business_days:
            wall = self._wall(since)
            day = self._business_day_after(wall.date(), wait.amount)
            return self._instant(datetime.combine(day, wall.time()))
        if wait.by_calendar:
            return self._instant(self._wall(since) + wait.delta)
        return since + wait.delta

    def add_around(self, wait: Wait, since: datetime, absences: Sequence[Absence]) -> datetime:
        """Like `add`, but what is left of the wait when somebody goes away is still left when they are back.

        Never earlier than `add`, and never within an absence.
        """
        since = _utc(since)
        due = self.add(wait, since)
        for begin, until in sorted((_utc(away.since), _utc(away.until)) for away in absences):
            begin = max(begin, since)
            if due < begin:
                break
            if until <= begin:
                continue
            if wait.in_business_days:
                wait = Wait(max(wait.amount - self._business_days_done(since, begin), 0), "bd")
                resumed = self.add(wait, until)
            elif wait.by_calendar:
                resumed = self._instant(self._wall(until) + (self._wall(due) - self._wall(begin)))
            else:
                resumed = until + (due - begin)
            # A repeated hour, or a short absence on a day off, would else turn the clock back.
            due = max(due, resumed, until)
            since = until
        return due

    def _wall(self, instant: datetime) -> datetime:
        """What the clock shows there."""
        return instant.astimezone(self.zone).replace(tzinfo=None)

    def _instant(self, wall: datetime) -> datetime:
        """A time that a spring night skips is so much later; one that an autumn night repeats, the first."""
        return wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)

    # --- windows ---

    def _chapter_after(self, chapter: int) -> int:
        """The next one, or where a long skip ends: years that are skipped need not be worked out."""
        first = date.fromordinal((chapter + 1) * _CHAPTER)
        skip = self._skip_on(first - _DAY)  # a day to spare on both sides: no wall is further from UTC
        return max(chapter + 1, (skip.last - _DAY).toordinal() // _CHAPTER if skip else 0)

    def _hours_on(self, day: date) -> _Hours:
        hours = self.week[day.weekday()]
        return () if not hours or self._skip_on(day) or self._holiday_on(day) else hours

    def _skip_on(self, day: date) -> Dates | None:
        place = bisect_right(self.skips, day, key=lambda dates: dates.first) if self.skips else 0
        return self.skips[place - 1] if place and day in self.skips[place - 1] else None

    def _holiday_on(self, day: date) -> str | None:
        """Where."""
        return next((place for place in self.countries if day in _holidays(place, day.year)), None)

    # --- reasons ---

    def _why(self, at: datetime, opens: datetime) -> str:
        local = opens.astimezone(self.zone)
        year = " %Y" if opens - at > 180 * _DAY else ""
        window = f"window opens {local:%a %d %b{year} %H:%M} {self.zone.key}"
        return ", ".join([*self._days_off(self._wall(at), local.date()), window])

    def _days_off(self, since: datetime, until: date) -> list[str]:
        """What stood on days that would have had a window: `17 May is a holiday in NO`."""
        if not self.countries and not self.skips:
            return []
        off: list[tuple[Dates, str]] = []
        day = since.date() if self._opens_later_on(since) else since.date() + _DAY
        while day < until:
            if not self.week[day.weekday()]:
                pass
            elif skip := self._skip_on(day):
                off.append((skip, ""))
                day = skip.last
            elif place := self._holiday_on(day):
                first = off.pop()[0].first if off and off[-1][1] == place else day
                off.append((Dates(first, day), place))
            day += _DAY
        return [_day_off(dates, place, until.year) for dates, place in off]

    def _opens_later_on(self, wall: datetime) -> bool:
        """Whether the day, were it not off, would have had an hour left."""
        hours = self.week[wall.weekday()]
        return bool(hours) and wall - datetime.combine(wall, time()) < hours[-1][1]

    # --- business days ---

    def _business_day_after(self, day: date, number: int) -> date:
        year, empty = day.year, 0
        days = _business_days(self, year)
        place = bisect_right(days, day.toordinal()) + number - 1
        while place >= len(days):
            place -= len(days)
            year += 1
            days = _business_days(self, year)
            empty = 0 if days else empty + 1
            if empty == _PATIENCE:
                raise Refused(f"there is no business day from {year - empty + 1} to {year}: all are skipped")
        return date.fromordinal(days[place])

    def _business_days_done(self, since: datetime, until: datetime) -> int:
        """How many business days since then were over at `until`."""
        first, last = self._wall(since).date(), self._wall(until).date()
        done = sum(
            bisect_right(days, last.toordinal()) - bisect_right(days, first.toordinal())
            for days in (_business_days(self, year) for year in range(first.year, last.year + 1))
        )
        return done - 1 if done > 0 and self.add(Wait(done, "bd"), since) > until else max(done, 0)


# --- making one ---


def calendar(schedule: Schedule, zone: str, country: str | None) -> Calendar:
    """The calendar of everybody in this zone and country. Raises Refused when there is no such place."""
    try:
        return _calendar(schedule, zone, _places(schedule, country))
    except ValueError as error:
        raise Refused(str(error)) from error


def _places(schedule: Schedule, country: str | None) -> tuple[str, ...]:
    """Whose holidays count. Of people whose country is not known, none."""
    if schedule.holidays == "none":
        return ()
    if schedule.holidays == "recipient":
        return (parse_country(country),) if country else ()
    return tuple(dict.fromkeys(map(parse_country, schedule.holidays)))


@lru_cache(maxsize=4096)
def _calendar(schedule: Schedule, zone: str, places: tuple[str, ...]) -> Calendar:
    week = tuple(_hours(window for window in schedule.windows if day in window.days) for day in range(7))
    return Calendar(ZoneInfo(parse_zone(zone)), week, places, _one_after_the_other(schedule.skip))


def _hours(windows: Iterable[Window]) -> _Hours:
    hours: list[tuple[timedelta, timedelta]] = []
    for window in sorted(windows, key=lambda window: window.start):
        start, end = timedelta(minutes=window.start), timedelta(minutes=window.end)
        if hours and start <= hours[-1][1]:
            start, end = hours[-1][0], max(hours.pop()[1], end)
        hours.append((start, end))
    return tuple(hours)


def _one_after_the_other(skips: Iterable[Dates]) -> tuple[Dates, ...]:
    merged: list[Dates] = []
    for dates in sorted(skips, key=lambda dates: dates.first):
        if merged and dates.first.toordinal() <= merged[-1].last.toordinal() + 1:
            before = merged.pop()
            dates = Dates(before.first, max(before.last, dates.last))
        merged.append(dates)
    return tuple(merged)


def _utc(instant: datetime) -> datetime:
    _check(instant.year)
    return instant.astimezone(UTC)


def _check(year: int) -> None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise Refused(f"the year {year} is too far away")


def _day_off(dates: Dates, place: str, this_year: int) -> str:
    first, last = (
        f"{day:%d %b}" if day.year == this_year else f"{day:%d %b %Y}" for day in (dates.first, dates.last)
    )
    if dates.first == dates.last:
        return f"{first} is a holiday in {place}" if place else f"{first} is skipped"
    return f"{first} to {last} are holidays in {place}" if place else f"{first} to {last} are skipped"


# --- what is remembered ---


@lru_cache(maxsize=8192)
def _openings(calendar: Calendar, chapter: int) -> tuple[list[datetime], list[datetime]]:
    """When the windows of a chapter open, and when each of them closes."""
    opens: list[datetime] = []
    closes: list[datetime] = []
    for since, until, offset in _steady(calendar.zone, chapter):
        day = (since + offset).date()
        while (midnight := datetime.combine(day, time(), UTC) - offset) < until:
            for start, end in calendar._hours_on(day):
                first, last = max(midnight + start, since), min(midnight + end, until)
                if first < last:
                    opens.append(first)
                    closes.append(last)
            day += _DAY
    return opens, closes


@lru_cache(maxsize=8192)
def _steady(zone: ZoneInfo, chapter: int) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """A chapter, cut where the clock is changed: since, until, and how far the wall is from UTC between them."""
    pieces: list[tuple[datetime, datetime, timedelta]] = []
    since = now = datetime.combine(date.fromordinal(chapter * _CHAPTER), time(), UTC)
    offset = _offset(zone, since)
    for _ in range(_CHAPTER):
        before, now = now, now + _DAY  # no zone ever changed its clock there and back within a day
        if (changed := _offset(zone, now)) != offset:
            change = _change(zone, before, now)
            pieces.append((since, change, offset))
            since, offset = change, changed
    return (*pieces, (since, now, offset))


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first second of the new time."""
    old = _offset(zone, before)
    seconds = range(int((after - before).total_seconds()))
    return before + timedelta(
        seconds=bisect_left(seconds, 1, key=lambda s: _offset(zone, before + timedelta(seconds=s)) != old)
    )


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).replace(tzinfo=None) - instant.replace(tzinfo=None)


@lru_cache(maxsize=2048)
def _business_days(calendar: Calendar, year: int) -> tuple[int, ...]:
    """All of a year, as ordinals."""
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    lost = _lost_days(calendar.zone, year)
    days = (date.fromordinal(number) for number in range(first, last + 1))
    return tuple(day.toordinal() for day in days if calendar._hours_on(day) and day not in lost)


def _lost_days(zone: ZoneInfo, year: int) -> frozenset[date]:
    """Days that never were: Samoa moved over the date line and had no 30 December 2011."""
    first, last = datetime(year, 1, 1, tzinfo=UTC) - _DAY, datetime(year, 12, 31, tzinfo=UTC) + 2 * _DAY
    if abs(_offset(zone, last) - _offset(zone, first)) < _DAY / 2:
        return frozenset()
    noons = (datetime(year, 1, 1, 12, tzinfo=zone) + number * _DAY for number in range(366))
    return frozenset(
        noon.date() for noon in noons if noon.astimezone(UTC).astimezone(zone).date() != noon.date()
    )


@lru_cache(maxsize=4096)
def _holidays(place: str, year: int) -> frozenset[date]:
    """The public ones of a year that somebody may live to see."""
    if not 1990 <= year <= 2100:
        return frozenset()
    import holidays  # slow to load, and most sequences do without

    country, _, part = place.partition("-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of some far years it knows only the holidays that no moon decides
        found = holidays.country_holidays(country, subdiv=part or None, years=year, categories="public")
    return frozenset(day for day in found if day.year == year)


# --- countries ---

#: Old names that share their clock with a place elsewhere, so that what they link to says nothing.
_ELSEWHERE = {
    "Africa/Asmera": "ER",
    "Africa/Timbuktu": "ML",
    "America/Coral_Harbour": "CA",
    "America/Virgin": "VI",
    "Antarctica/South_Pole": "AQ",
    "Atlantic/Jan_Mayen": "SJ",
    "Iceland": "IS",
    "Pacific/Johnston": "UM",
    "Pacific/Ponape": "FM",
    "Pacific/Truk": "FM",
    "Pacific/Yap": "FM",
}
#: They name a clock and no place.
_NOWHERE = frozenset(
    {"CET", "EET", "MET", "WET", "EST", "HST", "MST", "CST6CDT", "EST5EDT", "MST7MDT", "PST8PDT"}
)


_CODE = 3  #: the longest short form of a country
_UNIONS = ("eu", "europe", "europeanunion", "dach", "benelux", "nordics", "emea", "apac", "latam")


def country_of(zone: str) -> str | None:
    """The country in which an IANA zone lies. None where that would be a guess: UTC, Etc/GMT+5, CET."""
    return _zone_countries().get(zone)


@lru_cache(maxsize=1)
def _zone_countries() -> dict[str, str]:
    tables = files("tzdata") / "zoneinfo"
    rows = (line.split("\t") for line in (tables / "zone.tab").read_text("utf-8").splitlines())
    countries = {row[2]: row[0] for row in rows if not row[0].startswith("#")}
    words = (line.split() for line in (tables / "tzdata.zi").read_text("utf-8").splitlines())
    links = {word[2]: word[1] for word in words if word[0] == "L"}
    aliases = {name: countries[zone] for name, zone in links.items() if zone in countries}
    known = aliases | _ELSEWHERE | countries
    return {name: country for name, country in known.items() if name not in _NOWHERE}


def parse_country(value: str) -> str:
    """`NO` from `no`, `NOR` or `Norway`; `US-CA` from `us-ca` or `US-California`. Loads all the world's calendars."""
    code, complaint = _look_up(value)
    if complaint:
        raise ValueError(complaint)
    return code


@lru_cache(maxsize=4096)
def _look_up(value: str) -> tuple[str, str]:
    """The code, or what is wrong: a long list may have the same mistake a hundred thousand times."""
    named = _countries_by_name()
    name, dash, part = value.strip().partition("-")
    if (not dash or len(name) > 3) and (country := named.get(_plain(value))):
        return country, ""  # Guinea-Bissau is no part of Guinea; but AR-E is not ARE
    if country := named.get(_plain(name)):
        return _look_up_part(country, part, value)
    return "", f'"{value[:60]}" is no country whose holidays are known. {_right_country(_plain(value[:60]))}'


def _right_country(name: str) -> str:
    """Between two letters and two others everything is near."""
    named = _countries_by_name()
    if name in _UNIONS:
        return "Write its countries one by one, like DE and FR"
    close = get_close_matches(name, named, n=1, cutoff=0.8) if len(name) > _CODE else []
    return f"Did you mean {named[close[0]]}?" if close else "Write NO, or US-CA for a part of one"


def _look_up_part(country: str, part: str, value: str) -> tuple[str, str]:
    import holidays

    known = holidays.country_holidays(country)
    named = {_plain(name): code for code, names in known.get_subdivision_aliases().items() for name in names}
    named |= {_plain(code): code for code in known.subdivisions}
    if found := named.get(_plain(part)):
        return f"{country}-{found}", ""
    parts = [country, *(f"{country}-{code}" for code in known.subdivisions)]
    hint = ", ".join(parts[:8]) + (", …" if len(parts) > 8 else "")
    return "", f'"{value[:60]}" is no part of {country} whose holidays are known. Write {hint}'


@lru_cache(maxsize=1)
def _countries_by_name() -> dict[str, str]:
    from holidays.registry import COUNTRIES

    named: dict[str, str] = {}
    for name, (_, code, *others) in COUNTRIES.items():
        named |= dict.fromkeys(map(_plain, (name, code, *others)), code)
    return named


def _plain(name: str) -> str:
    """As one spells who is in a hurry: letters and digits, all small."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
