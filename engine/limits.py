"""How much may leave, and how fast: the next instant at which a letter has room. Pure, over a diary of what is booked.

Whoever is being followed up goes first: a first letter takes what room is left, so that a long list never keeps the
second letter of a conversation waiting. What is booked is a forecast; when its hour comes, `room_now` has the last word.
"""

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from engine.errors import Refused
from engine.hours import Calendar, Opening
from engine.measures import Gap, Rate
from engine.sequence import Limits, Sequence

What = Literal["mailbox", "company", "domain"]
Look = Callable[[What, str, datetime, datetime], Iterable[tuple[datetime, bool]]]

_DAY = timedelta(days=1)
TICK = timedelta(milliseconds=1)  #: no clock of ours is finer
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_TRIES = 5000
_EVERYTHING: tuple[What, ...] = ("mailbox", "company", "domain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Who writes to whom: everything that a limit can count."""

    inbox: str
    company: str | None
    domain: str
    opener: bool  #: the first letter of a conversation
    seed: str  #: what its share of chance is drawn from


def keys(place: Place) -> Iterator[tuple[What, str]]:
    """What may be counted about it, and by which name."""
    yield "mailbox", place.inbox
    if place.company:
        yield "company", place.company
    yield "domain", place.domain


class Began(Protocol):
    """Whoever knows since when a mailbox writes."""

    def began(self, inbox: str) -> datetime | None:
        """The first letter this mailbox is known to have sent, or will."""


class Books(Began, Protocol):
    """What has left, or what is booked, as far as a limit asks."""

    def count(self, what: What, key: str, begin: datetime, end: datetime, *, openers: bool) -> int:
        """How many in this while; without those that only open a conversation, if they have to stand back."""

    def to_come(self, what: What, key: str, now: datetime, end: datetime) -> int:
        """How many that are no first letters still want to leave before then."""

    def last(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        """The last letter up to this instant; one that is further away than that need not be found."""

    def follow_up_near(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        """The last one that is nearer than that, before or after."""


@dataclass(slots=True)
class _Page:
    """One mailbox, company or domain on one day: who is booked when, in order."""

    every: list[datetime] = field(default_factory=list)
    follow_ups: list[datetime] = field(default_factory=list)


_BLANK = _Page()  #: of a day on which nothing is booked; never written on


class _Count(NamedTuple):
    """One limit as it counts for some letters: they find its periods full together."""

    name: str
    said: str
    period: str
    zone: str  #: whose midnight ends a day
    openers: bool


class Diary:
    """What has left and what is booked. Filled by hand, or looked up a day at a time."""

    def __init__(
        self,
        look: Look | None = None,
        first: Callable[[str], datetime | None] | None = None,
        *,
        counts: Collection[What] = _EVERYTHING,
    ) -> None:
        self._look, self._first, self._counts = look, first, counts
        self._pages: dict[tuple[What, str, int], _Page] = {}
        self._began: dict[str, datetime | None] = {}
        self._full: dict[tuple[What, str], dict[_Count, dict[datetime, datetime]]] = {}

    def book(self, place: Place, at: datetime) -> None:
        day = _day(at)
        for what, key in self._keys(place):
            page = self._page(what, key, day)
            if page is _BLANK:
                page = self._pages[what, key, day] = _Page()
            insort(page.every, at)
            if not place.opener:
                insort(page.follow_ups, at)
        began = self.began(place.inbox)
        if began is None or at < began:
            self._began[place.inbox] = at
            self._full.pop(("mailbox", place.inbox), None)  # a ramp allows more on every day after

    def strike(self, place: Place, at: datetime) -> None:
        """It will not leave then after all."""
        for what, key in self._keys(place):
            page = self._page(what, key, _day(at))
            for booked in (page.every, page.follow_ups):
                index = bisect_left(booked, at)
                if (booked is page.every or not place.opener) and index < len(booked) and booked[index] == at:
                    del booked[index]
            self._make_room(what, key, at)
        if self._look is None and self._began.get(place.inbox) == at:
            self._began[place.inbox] = self._first_booked(place.inbox)

    def count(self, what: What, key: str, begin: datetime, end: datetime, *, openers: bool) -> int:
        found = 0
        for day in range(_day(begin), _day(end) + 1):
            page = self._page(what, key, day)
            if booked := page.every if openers else page.follow_ups:
                found += bisect_left(booked, end) - bisect_left(booked, begin)
        return found

    def to_come(self, what: What, key: str, now: datetime, end: datetime) -> int:
        return self.count(what, key, now + TICK, end, openers=False)

    def last(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        last = None
        for day in range(_day(at - reach), _day(at) + 1):
            every = self._page("mailbox", inbox, day).every
            if index := bisect_right(every, at):
                last = every[index - 1]
        return last

    def follow_up_near(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        near = None
        for day in range(_day(at - reach), _day(at + reach) + 1):
            booked = self._page("mailbox", inbox, day).follow_ups
            index = bisect_left(booked, at + reach)
            if index and booked[index - 1] > at - reach:
                near = booked[index - 1]
        return near

    def hole(self, place: Place, at: datetime, before: timedelta, after: timedelta) -> datetime:
        """The first instant from there on that is so far from the letter before it, and from the one after it."""
        day = _day(at - before)
        while day <= _day(at + after):
            page = self._page("mailbox", place.inbox, day)
            letters = page.every if place.opener else page.follow_ups
            for booked in letters[bisect_left(letters, at - before) :]:
                if booked - at >= after:
                    return at
                at = max(at, booked + before)
            day += 1
        return at

    def began(self, inbox: str) -> datetime | None:
        if inbox not in self._began:
            self._began[inbox] = self._first(inbox) if self._first else None
        return self._began[inbox]

    def _first_booked(self, inbox: str) -> datetime | None:
        pages = (page for (what, key, _), page in self._pages.items() if what == "mailbox" and key == inbox)
        return min((page.every[0] for page in pages if page.every), default=None)

    def leap(self, what: What, key: str, of: _Count, begin: datetime, end: datetime) -> datetime:
        """This period is full: the end of it, and of all those behind it that were found full before.

        A long list would else look at the same full days again and again.
        """
        runs, passed = self._full.setdefault((what, key), {}).setdefault(of, {}), [begin]
        while end in runs:
            passed.append(end)
            end = runs[end]
        runs.update(dict.fromkeys(passed, end))
        return end

    def _make_room(self, what: What, key: str, at: datetime) -> None:
        """Somebody left: what was known to be full ends before that period, and begins again behind it."""
        for of, runs in self._full.get((what, key), {}).items():
            freed, _ = period(at, of.period, of.zone)
            runs.pop(freed, None)
            runs.update({begin: freed for begin, end in runs.items() if begin < freed < end})

    def _keys(self, place: Place) -> Iterator[tuple[What, str]]:
        return ((what, key) for what, key in keys(place) if what in self._counts)

    def _page(self, what: What, key: str, day: int) -> _Page:
        if (known := self._pages.get((what, key, day))) is not None:
            return known
        if self._look is None:
            return _BLANK
        known = self._pages[what, key, day] = _Page()
        begin = _EPOCH + day * _DAY
        for at, opener in self._look(what, key, begin, begin + _DAY):
            insort(known.every, at)
            if not opener:
                insort(known.follow_ups, at)
        return known


def next_room(
    earliest: datetime, place: Place, *, calendar: Calendar, sequence: Sequence, diary: Diary
) -> Opening:
    """The first open instant at which no limit is in the way, and the rule that made it so late."""
    limits = sequence.limits
    zone = sequence_zone(sequence)
    at, binding = earliest, None
    for _ in range(_MOST_TRIES):
        opens = calendar.first_open(at)
        if full := _full(opens, place, limits, diary, zone):
            name, rate, at = full
            binding = f"{name} {rate} is full"
        elif (spaced := _spaced(opens, earliest, place, limits.gap, diary)) > opens:
            at, binding = spaced, binding or f"gap {limits.gap} keeps {place.inbox} busy"
        elif binding is None:
            return calendar.next_open(earliest)
        else:
            return Opening(opens, _until(binding, opens, calendar))
    raise Refused("there is no room for it in the next years: raise the limits, or write to fewer people")


@dataclass(frozen=True, slots=True)
class Full:
    """What says no, and until when at least."""

    why: str
    until: datetime


def room_now(now: datetime, place: Place, *, sequence: Sequence, sent: Books, waiting: Books) -> Full | None:
    """Its hour has come: may it leave? `sent` is what has really left, `waiting` what is booked for later."""
    limits = sequence.limits
    zone = sequence_zone(sequence)
    for name, what, key, rate in rates(place, limits, now, zone, waiting):
        begin, end = period(now, rate.period, zone)
        left = sent.count(what, key, begin, end, openers=True)
        if place.opener:  # whoever is being followed up goes first
            left += waiting.to_come(what, key, now, end)
        if left >= rate.number:
            return Full(f"{name} {rate} is full", end)
    return _too_close(now, place, limits.gap, sent, waiting) if limits.gap else None


def _too_close(now: datetime, place: Place, gap: Gap, sent: Books, waiting: Books) -> Full | None:
    why = f"gap {gap} keeps {place.inbox} busy"
    before = sent.last(place.inbox, now, gap.least)
    if before and now - before < gap.least:
        return Full(why, before + gap.least)
    if place.opener and (near := waiting.follow_up_near(place.inbox, now, gap.least)):
        return Full(why, near + gap.least)
    return None


def sequence_zone(sequence: Sequence) -> str:
    """Whose midnight ends a day's share: the sender's."""
    schedule = sequence.schedule
    return schedule.fallback_timezone if schedule.timezone == "recipient" else schedule.timezone


def share_of_chance(seed: str) -> float:
    """The same every time, from 0 to almost 1: what is shown is what happens."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7]) / 2**56


def counted(limits: Limits) -> tuple[What, ...]:
    """What a diary has to keep for these limits: to remember every company of a long list takes memory."""
    wanted = {"mailbox": True, "company": limits.per_company, "domain": limits.per_domain}
    return tuple(what for what in _EVERYTHING if wanted[what])


def mailbox_rates(
    limits: Limits, began: datetime | None, at: datetime, zone: str
) -> Iterator[tuple[str, Rate]]:
    """How much one mailbox may send, if its first letter left then."""
    yield "per_mailbox", limits.per_mailbox
    if limits.ramp:
        day = (_date(at, zone) - _date(began, zone)).days if began else 0
        yield "ramp", Rate(limits.ramp.on(day), "day")


def rates(
    place: Place, limits: Limits, at: datetime, zone: str, books: Began
) -> Iterator[tuple[str, What, str, Rate]]:
    """All that hold for it: their names, what they count, and how much they allow."""
    began = books.began(place.inbox) if limits.ramp else None
    for name, rate in mailbox_rates(limits, began, at, zone):
        yield name, "mailbox", place.inbox, rate
    if limits.per_company and place.company:
        yield "per_company", "company", place.company, limits.per_company
    if limits.per_domain:
        yield "per_domain", "domain", place.domain, limits.per_domain


def _full(
    at: datetime, place: Place, limits: Limits, diary: Diary, zone: str
) -> tuple[str, Rate, datetime] | None:
    """The limit in the way, and when its next period begins that is not known to be full."""
    for name, what, key, rate in rates(place, limits, at, zone, diary):
        begin, end = period(at, rate.period, zone)
        if diary.count(what, key, begin, end, openers=place.opener) >= rate.number:
            said = str(limits.ramp if name == "ramp" else rate)
            of = _Count(name, said, rate.period, zone, place.opener)
            return name, rate, diary.leap(what, key, of, begin, end)
    return None


def _spaced(at: datetime, earliest: datetime, place: Place, gap: Gap | None, diary: Diary) -> datetime:
    """As far from its neighbours as chance, which is always the same, has drawn."""
    if gap is None:
        return at
    drawn = gap.least + (gap.most - gap.least) * share_of_chance(f"{place.seed}/gap")
    drawn = timedelta(seconds=round(drawn.total_seconds()))
    # First letters that are still to come stand back for a follow-up; one that has left cannot.
    if not place.opener and (left := diary.last(place.inbox, earliest, drawn)):
        at = max(at, left + drawn)
    return diary.hole(place, at, drawn, gap.least)


def _until(binding: str, at: datetime, calendar: Calendar) -> str:
    return f"{binding} until {at.astimezone(calendar.zone):%a %d %b %H:%M} {calendar.zone.key}"


def period(at: datetime, length: str, zone: str) -> tuple[datetime, datetime]:
    """The hour, day or week that counts for this instant: its begin, and the begin of the next one."""
    if length == "hour":
        wall = at.astimezone(ZoneInfo(zone))  # where the clock stands at half past when elsewhere it is full
        begin = at - timedelta(minutes=wall.minute, seconds=wall.second, microseconds=wall.microsecond)
        return begin, begin + timedelta(hours=1)
    local = _date(at, zone)
    if length == "week":
        local -= timedelta(days=local.weekday())
    return _midnights(local.toordinal(), 7 if length == "week" else 1, zone)


def _date(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


@lru_cache(maxsize=10_000)
def _midnights(day: int, days: int, zone: str) -> tuple[datetime, datetime]:
    first = datetime.combine(datetime.fromordinal(day), time(), ZoneInfo(zone))
    last = datetime.combine(datetime.fromordinal(day + days), time(), ZoneInfo(zone))
    return first.astimezone(UTC), last.astimezone(UTC)


def _day(at: datetime) -> int:
    return (at - _EPOCH).days
