"""What an author may write: a list of mails with waits between, and the few rules above it.

The values here are parsed from plain text, so that a YAML file, a database row and a test say the same words.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import time, timedelta
from functools import cached_property
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from engine.addresses import valid_address
from engine.errors import Refused

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WAIT = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_LONGEST_WAIT = timedelta(days=3660)
_WINDOW = re.compile(r"(?:([a-z]{3}(?:-[a-z]{3})?(?:\s*,\s*[a-z]{3}(?:-[a-z]{3})?)*)\s+)?(\S.*)", re.ASCII)
_HOURS = re.compile(r"(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})", re.ASCII)
_MIDNIGHT = 24 * 60


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
    def delta(self) -> timedelta:
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


def parse_wait(value: object) -> Wait:
    if isinstance(value, Wait):
        return value
    found = _WAIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError(f'"{value}" is no duration. Write 45s, 30m, 4h, 3d or 2w')
    wait = Wait(int(found[1]), found[2])
    if wait.delta > _LONGEST_WAIT:
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
    days = _parse_days(found[1] or "mon-sun")
    return [_parse_hours(part.strip(), days) for part in found[2].split(",")]


def _parse_hours(text: str, days: frozenset[int]) -> Window:
    found = _HOURS.fullmatch(text)
    if not found:
        raise ValueError(f'"{text}" are no hours. Write "09:00-17:00"')
    start, end = _minutes(found[1]), _minutes(found[2])
    if end <= start:
        raise ValueError(f'the window "{text}" ends before it starts')
    return Window(days, start, end)


def _parse_days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        for name in (first, last or first):
            if name not in DAYS:
                raise ValueError(f'"{name}" is no day. Write one of {", ".join(DAYS)}')
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(days)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > _MIDNIGHT:
        raise ValueError(f'"{text}" is no time of day')
    return total


def _clock_face(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def parse_zone(value: object) -> str:
    """An IANA name, checked. `ZoneInfo` has half a dozen ways to say no."""
    try:
        return str(ZoneInfo(value if isinstance(value, str) else ""))
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f'"{value}" is no time zone. Write an IANA name, like Europe/Oslo') from error


def _zone_or_recipient(value: object) -> str:
    return "recipient" if value == "recipient" else parse_zone(value)


def _words(windows: tuple[Window, ...]) -> list[str]:
    return [str(window) for window in windows]


AfterField = Annotated[Wait, BeforeValidator(parse_wait), PlainSerializer(str)]
WindowsField = Annotated[tuple[Window, ...], BeforeValidator(parse_windows), PlainSerializer(_words)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=100_000)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Schedule(_Written):
    """When somebody may be written to. Without one, at any hour."""

    timezone: Annotated[str, BeforeValidator(_zone_or_recipient)] = "recipient"
    fallback_timezone: Annotated[str, BeforeValidator(parse_zone)] = "UTC"
    windows: WindowsField = parse_windows("mon-fri 09:00-17:00")


class Step(_Written):
    """One mail. No `subject`: the same thread goes on. A `subject`: a new thread."""

    id: Id
    after: AfterField = Wait(0, "d")
    subject: Annotated[str, Field(min_length=1, max_length=998)] | None = None
    body: Text


class Sequence(_Written):
    """A sequence as its author wrote it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    sender: Annotated[str, Field(alias="from")]
    requires: tuple[Name, ...] = ()
    defaults: dict[Name, str] = {}
    schedule: Schedule | None = None
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=100)]

    @field_validator("sender")
    @classmethod
    def _an_address(cls, value: str) -> str:
        try:
            return valid_address(value)
        except Refused as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="before")
    @classmethod
    def _name_the_steps(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("steps"), list | tuple):
            return data
        named = [
            {"id": f"step-{number}"} | step if isinstance(step, dict) else step
            for number, step in enumerate(data["steps"], start=1)
        ]
        return data | {"steps": named}

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.steps[0].subject is None:
            raise ValueError("the first step needs a subject: it starts the thread")
        seen: set[str] = set()
        for step in self.steps:
            if step.id in seen:
                raise ValueError(f'two steps are called "{step.id}"')
            seen.add(step.id)
        return self

    def dump(self) -> dict[str, Any]:
        """As plain data that `Sequence.model_validate` reads back."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @cached_property
    def version(self) -> str:
        """The hash of what it says: a changed file is another version."""
        return hashlib.sha256(json.dumps(self.dump(), sort_keys=True).encode()).hexdigest()[:16]
