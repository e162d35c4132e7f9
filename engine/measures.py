"""What authors measure with: waits, windows, rates, ranges. Parsed from plain text, and printed as it was written."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = 24 * 60
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PERIODS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_WAIT = 3660 * _SECONDS["d"]
_MOST_BUSINESS_DAYS = 2600
_LONGEST_SKIP = timedelta(days=3660)
#: Calendars are worked out between them, and whatever comes after a date needs room.
_FIRST_YEAR, _LAST_YEAR = 1900, 2189

_WAIT = re.compile(r"(\d{1,99})(bd|[smhdw])", re.ASCII)
_WINDOW = re.compile(r"(?:(\D*[^\W\d]):?\s+)?(\d.*)")
_HOURS = re.compile(r"(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})", re.ASCII)
_RATE = re.compile(r"(\d{1,9})\s*/\s*([a-z]+)", re.ASCII)
_RAMP = re.compile(r"(\S.*?)\s+to\s+(\S.*?)\s+over\s+(\d{1,4})d", re.ASCII)
_DIGITS = re.compile(r"\d{1,99}", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LARGEST_NUMBER = 999_999_999
#: What people write for days, and what would be right.
_OTHER_DAYS = {"weekdays": "mon-fri", "workdays": "mon-fri", "weekend": "sat-sun", "weekends": "sat-sun"}
_NO_DAY = "is no day of the calendar"
_LONGEST_ZONE = 60
_YES, _NO = ("yes", "on", "y", "1", "true"), ("no", "off", "n", "0", "false")
#: Clocks that are no place: one stands wherever the program runs, others count leap seconds.
_NO_ZONES = ("localtime", "Factory", "posixrules")
_NO_FOLDERS = ("right/", "posix/")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wait:
    """A duration as people say it: days and weeks go by the calendar, the rest by the clock on the wall of a lab."""

    amount: int
    unit: str

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"

    @property
    def by_calendar(self) -> bool:
        return self.unit in "dw"

    @property
    def in_business_days(self) -> bool:
        return self.unit == "bd"

    @property
    def delta(self) -> timedelta:
        """Of a wait in business days only a calendar can say."""
        return timedelta(**{_UNITS[self.unit]: self.amount})


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week, and minutes of the day between which somebody may be written to."""

    days: frozenset[int]
    start: int
    end: int

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in sorted(self.days))
        return f"{days} {_clock_face(self.start)}-{_clock_face(self.end)}"

    @property
    def opens(self) -> time:
        return time(self.start // 60, self.start % 60)


@dataclass(frozen=True, slots=True)
class Dates:
    """A day, or all days from one to another, both included."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}..{self.last}"

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in each hour, day or week."""

    number: int
    period: str

    def __str__(self) -> str:
        return f"{self.number}/{self.period}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two letters from one mailbox: no less than, and about as much as."""

    least: timedelta
    most: timedelta
    written: str

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True, slots=True)
class Ramp:
    """A young mailbox begins with few letters a day, and takes its time."""

    first: int
    last: int
    days: int

    def __str__(self) -> str:
        return f"{self.first}/day to {self.last}/day over {self.days}d"

    def on(self, day: int) -> int:
        """How many on its day 0, 1, 2 and so on."""
        done = min(max(day, 0), self.days)
        return self.first + round((self.last - self.first) * done / self.days)


def parse_wait(value: object) -> Wait:
    if isinstance(value, Wait):
        return value
    found = _WAIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError(f'"{value}" is no duration. Write 45s, 30m, 4h, 3d, 2w or 3bd')
    wait = Wait(int(found[1]), found[2])
    longest = _MOST_BUSINESS_DAYS if wait.in_business_days else _LONGEST_WAIT // _SECONDS[wait.unit]
    if wait.amount > longest:
        raise ValueError(f'"{value}" is longer than ten years')
    return wait


def parse_windows(value: object) -> tuple[Window, ...]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list | tuple) or not lines:
        raise ValueError('windows is a line or a list of lines, like "mon-fri 09:00-17:00"')
    return tuple(window for line in lines for window in _parse_window_line(line))


def _parse_window_line(line: object) -> list[Window]:
    if isinstance(line, Window):
        return [line]
    found = _WINDOW.fullmatch(line.strip()) if isinstance(line, str) else None
    if not found:
        raise ValueError(f'"{line}" is no window. Write days and hours: "mon-fri 09:00-17:00"')
    days = _parse_days_of_window(found[1]) if found[1] else parse_days("mon-sun")
    return [_parse_hours(part.strip(), days) for part in found[2].split(",")]


def _parse_hours(text: str, days: frozenset[int]) -> Window:
    found = _HOURS.fullmatch(text)
    if not found:
        raise ValueError(f'"{text}" are no hours. Write "09:00-17:00"')
    start, end = _minutes(found[1]), _minutes(found[2])
    if end == start:
        raise ValueError(f'the window "{text}" ends when it starts')
    if end < start:
        two = f"{found[1]}-24:00 and 00:00-{found[2]}"
        raise ValueError(f'the window "{text}" ends before it starts. For a night write two, {two}')
    return Window(days, start, end)


def _parse_days_of_window(text: str) -> frozenset[int]:
    try:
        return parse_days(text)
    except ValueError:
        meant = _meant_days(text)
        if meant == text:
            raise
    raise ValueError(f'"{text}" are no days. Did you mean {meant}?')


def _meant_days(text: str) -> str:
    """`Mon-Fri`, `monday to friday`, `mon fri`, as they are written here; or as it was, if that is no use."""
    said = re.sub(r"\s*(?:[-\u2013\u2014]|\bto\b|\bthrough\b)\s*", "-", text.lower().strip(" :"))
    words = re.split(r"[\s,;&+/]+|\band\b", said)
    ranges = ["-".join(day[:3] for day in word.split("-")) for word in words if word]
    meant = _OTHER_DAYS.get(said, ",".join(ranges))
    names = re.split("[-,]", meant)
    return meant if all(name in DAYS for name in names) else text


def parse_days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = (name.strip() for name in part.partition("-"))
        for name in (first, last or first):
            if name not in DAYS:
                raise ValueError(f'"{name}" is no day. Write one of {", ".join(DAYS)}')
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(days)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > MIDNIGHT:
        raise ValueError(f'"{text}" is no time of day. Write 00:00 to 24:00')
    return total


def _clock_face(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def parse_day(value: object) -> date:
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and _DATE.fullmatch(value.strip()):
            return date.fromisoformat(value.strip())
    except ValueError as error:
        raise ValueError(f'"{value}" {_NO_DAY}') from error
    raise ValueError(f'"{value}" is no date. Write 2026-12-24')


def parse_dates(value: object) -> Dates:
    if isinstance(value, Dates):
        return value
    first, found, last = value.partition("..") if isinstance(value, str) else ("", "", "")
    try:
        dates = Dates(parse_day(first), parse_day(last if found else first))
    except ValueError as error:
        if _NO_DAY in str(error):
            raise
        raise ValueError(f'"{value}" is no date. Write 2026-12-24 or 2026-12-24..2027-01-02') from error
    if dates.last < dates.first:
        raise ValueError(f'"{value}" ends before it starts')
    if dates.last - dates.first > _LONGEST_SKIP:
        raise ValueError(f'"{value}" is longer than ten years')
    return dates


def parse_instant(value: object) -> datetime:
    """An ISO 8601 instant with its zone; without one, UTC."""
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f'"{value}" is no instant. Write 2026-03-02T10:00:00+01:00') from error


def parse_near_instant(value: object) -> datetime:
    """An instant that calendars know, and some years after it too."""
    instant = parse_instant(value)
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise ValueError(f'"{value}" is too far away. Write a year from {_FIRST_YEAR} to {_LAST_YEAR}')
    return instant


def parse_rate(value: object) -> Rate:
    if isinstance(value, Rate):
        return value
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or found[2] not in _PERIODS:
        raise ValueError(f'"{value}" is no rate. Write 40/day, 10/hour or 200/week')
    if int(found[1]) == 0:
        raise ValueError(f'"{value}" would send nothing at all')
    return Rate(int(found[1]), found[2])


def parse_gap(value: object) -> Gap:
    """`3m-9m`, or `5m` for always the same."""
    if isinstance(value, Gap):
        return value
    first, ranged, last = value.partition("-") if isinstance(value, str) else ("", "", "")
    try:
        least, most = parse_wait(first), parse_wait(last if ranged else first)
        if "d" in (least.unit[-1], most.unit[-1]) or "w" in (least.unit, most.unit):
            raise ValueError("days")
    except ValueError as error:
        raise ValueError(f'"{value}" is no range of time. Write 3m-9m') from error
    if most.delta < least.delta:
        raise ValueError(f'"{value}" ends before it starts')
    if most.delta > timedelta(hours=24):
        raise ValueError(f'"{value}" is longer than a day')
    return Gap(least.delta, most.delta, f"{least}-{most}" if last else f"{least}")


def parse_ramp(value: object) -> Ramp:
    if isinstance(value, Ramp):
        return value
    found = _RAMP.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError(f'"{value}" is no ramp. Write 10/day to 40/day over 14d')
    first, last = parse_rate(found[1]), parse_rate(found[2])
    if first.period != "day" or last.period != "day" or int(found[3]) == 0:
        raise ValueError(f'"{value}" is no ramp. It goes by the day, like 10/day to 40/day over 14d')
    return Ramp(first.number, last.number, int(found[3]))


def parse_percent(value: object) -> float:
    """A share: `5%` is 0.05."""
    if isinstance(value, float):
        return value
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or float(found[1]) > 100:
        raise ValueError(f'"{value}" is no percentage. Write 5% or 0.1%')
    return float(found[1]) / 100


def parse_zone(value: object) -> str:
    """An IANA name of a place, checked. `ZoneInfo` has half a dozen ways to say no."""
    name = value if isinstance(value, str) else ""
    try:
        if name not in _NO_ZONES and not name.startswith(_NO_FOLDERS):
            return str(ZoneInfo(name))
    except (ValueError, OSError, KeyError):
        pass
    near = _nearest_zone(name)
    advice = f"Did you mean {near}?" if near else "Write an IANA name, like Europe/Oslo"
    raise ValueError(f'"{value}" is no time zone. {advice}')


@lru_cache(maxsize=4096)
def _nearest_zone(name: str) -> str | None:
    """`europe/oslo`, `Europe/Olso`, `Oslo`: a long list may have the same mistake a hundred thousand times."""
    if len(name) > _LONGEST_ZONE:
        return None
    known = _zones()
    written = re.sub(r"\s+", "_", name.strip().lower())
    written = next((written.removeprefix(each) for each in _NO_FOLDERS if written.startswith(each)), written)
    near = get_close_matches(written, known, n=1, cutoff=0.8)
    return known[near[0]] if near else None


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    """By the whole name, and by its last word, in small letters."""
    places = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
    return {zone.rpartition("/")[2].lower(): zone for zone in places} | {
        zone.lower(): zone for zone in places
    }


def _zone_or_recipient(value: object) -> str:
    return "recipient" if value == "recipient" else parse_zone(value)


def parse_bool(value: object) -> bool:
    """As YAML 1.2 has it: `no` is a country."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    word = str(value).strip().lower()
    right = "true" if word in _YES else "false" if word in _NO else "true or false"
    raise ValueError(f'"{value}" is neither true nor false. Write {right}')


def parse_number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        if int(value) > _LARGEST_NUMBER:
            raise ValueError(f'"{value}" is too large. {_LARGEST_NUMBER:,} is the most')
        return int(value)
    raise ValueError(f'"{value}" is no number. Write digits, like 50')


def _measured(parse: Callable[[object], T], kind: str, example: str, **schema: Any) -> tuple[Any, ...]:
    """How a measure is read, written back, and shown to an editor."""
    return (
        BeforeValidator(parse),
        PlainSerializer(str),
        WithJsonSchema({"type": kind, "examples": [example]} | schema),
    )


def _lines(windows: tuple[Window, ...]) -> list[str]:
    return [str(window) for window in windows]


_A_LINE = {"type": "string", "examples": ["mon-fri 09:00-17:00"]}

WaitField = Annotated[Wait, *_measured(parse_wait, "string", "3d", pattern=r"^\s*\d+(s|m|h|d|w|bd)\s*$")]
DatesField = Annotated[Dates, *_measured(parse_dates, "string", "2026-12-24..2027-01-02")]
RateField = Annotated[
    Rate, *_measured(parse_rate, "string", "40/day", pattern=r"^\s*\d+\s*/\s*(hour|day|week)\s*$")
]
GapField = Annotated[Gap, *_measured(parse_gap, "string", "3m-9m")]
RampField = Annotated[Ramp, *_measured(parse_ramp, "string", "10/day to 40/day over 14d")]
ZoneField = Annotated[
    str, BeforeValidator(parse_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Oslo"]})
]
ZoneOrRecipient = Annotated[
    str,
    BeforeValidator(_zone_or_recipient),
    WithJsonSchema({"type": "string", "examples": ["recipient", "Europe/Oslo"]}),
]
WindowsField = Annotated[
    tuple[Window, ...],
    BeforeValidator(parse_windows),
    PlainSerializer(_lines),
    WithJsonSchema({"anyOf": [_A_LINE, {"type": "array", "items": _A_LINE, "minItems": 1}]}),
]
PercentField = Annotated[
    float,
    BeforeValidator(parse_percent),
    PlainSerializer(lambda share: f"{share * 100:.6f}".rstrip("0").rstrip(".") + "%"),
    WithJsonSchema({"type": "string", "examples": ["5%"], "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"}),
]
Flag = Annotated[bool, BeforeValidator(parse_bool), WithJsonSchema({"type": "boolean"})]
Number = Annotated[int, BeforeValidator(parse_number), WithJsonSchema({"type": "integer", "minimum": 0})]
