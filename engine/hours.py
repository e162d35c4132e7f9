"""The next instant at which somebody may be written to: waits, windows, zones. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.sequence import Schedule, Wait, Window


@dataclass(frozen=True, slots=True)
class Opening:
    """An instant, and why not earlier."""

    at: datetime
    reason: str | None  #: None: it was open already


def add(wait: Wait, instant: datetime, zone: ZoneInfo) -> datetime:
    """`3d` keeps the hour across a clock change, `72h` does not."""
    if not wait.by_calendar:
        return instant + wait.delta
    wall = instant.astimezone(zone).replace(tzinfo=None) + wait.delta
    return _instant(wall, zone)


def next_open(instant: datetime, schedule: Schedule | None, zone: ZoneInfo) -> Opening:
    """The instant itself if a window is open, else when the next one opens."""
    if schedule is None:
        return Opening(instant, None)
    local = instant.astimezone(zone)
    for days_ahead in range(16):  # two weeks: a spring night may swallow a weekly window whole
        day = (local + timedelta(days=days_ahead)).date()
        for window in sorted(schedule.windows, key=lambda window: window.start):
            if day.weekday() not in window.days:
                continue
            opens, closes = _edges(day, window, zone)
            if opens <= instant < closes:
                return Opening(instant, None)
            if instant < opens < closes:
                return Opening(opens, f"window opens {opens.astimezone(zone):%a %d %b %H:%M} {zone.key}")
    raise AssertionError("a schedule has at least one window a week")


def _edges(day: date, window: Window, zone: ZoneInfo) -> tuple[datetime, datetime]:
    midnight = datetime.combine(day, time())
    return (
        _instant(midnight + timedelta(minutes=window.start), zone),
        _instant(midnight + timedelta(minutes=window.end), zone),
    )


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """A wall-clock time that a spring night skips is an hour later; one that an autumn night repeats, the first."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
