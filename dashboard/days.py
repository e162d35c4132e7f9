"""Days of whoever reads: where they begin and end in their zone, and which instant an hour of their clock is. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.errors import Invalid, Issue

_FIRST, _LAST = date(1970, 1, 2), date(9000, 1, 1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One of them."""

    date: date
    begin: datetime
    end: datetime
    is_today: bool
    is_past: bool

    @property
    def name(self) -> str:
        return f"{self.date:%a %-d %b}"

    @property
    def whole_name(self) -> str:
        return f"{self.date:%A %-d %B %Y}"


def today(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def days(first: date, number: int, *, now: datetime, zone: ZoneInfo) -> list[Day]:
    """One after the other. One on which the clock is changed has 23 hours, or 25."""
    here = today(now, zone)
    return [
        Day(
            date=each,
            begin=_midnight(each, zone),
            end=_midnight(each + _DAY, zone),
            is_today=each == here,
            is_past=each < here,
        )
        for each in (first + _DAY * index for index in range(number))
    ]


def day_named(said: str) -> date | None:
    """`2026-11-21`. None: that is no day, or one that nobody will see."""
    try:
        found = date.fromisoformat(said)
    except ValueError:
        return None
    return found if _FIRST <= found <= _LAST else None


def instant_of(said: str, zone: ZoneInfo, field: str = "at") -> datetime:
    """What a form says by `2026-11-21T10:30` in this zone. Raises Invalid."""
    try:
        wall = datetime.fromisoformat(said)
    except ValueError:
        wall = None
    if wall is None or wall.tzinfo is not None or not _FIRST <= wall.date() <= _LAST:
        raise Invalid(Issue((field,), f'write a day and an hour, like 2026-11-21T10:30; found "{said[:40]}"'))
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != wall:
        why = (
            f"the clock is put forward that night: there is no {wall:%H:%M} on {wall:%a %-d %b} in {zone.key}"
        )
        raise Invalid(Issue((field,), f"{why}. Choose an hour before or after"))
    return instant


def wall_of(moment: datetime, zone: ZoneInfo) -> str:
    """The same the other way, for `<input type="datetime-local">`."""
    return f"{moment.astimezone(zone):%Y-%m-%dT%H:%M}"


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
