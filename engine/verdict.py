"""Event -> what it stops or holds. The project's policy, in one place. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from engine.events import AutoReply, Bounce, Complaint, Event, Reply
from engine.hours import Absence, Calendar
from engine.measures import Wait
from engine.sequence import OutOfOffice, Sequence
from engine.states import HoldReason, StopReason

#: An absence whose end nobody told us.
ABSENCE = timedelta(days=7)
MEETING = "meeting_booked"
_LONGEST_HOLIDAY = 366


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more to this person."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now: until they are back, or until a human says so."""

    reason: HoldReason


def verdict(event: Event) -> Stop | Hold | None:
    match event:
        case Reply(verified=True):
            return Stop(StopReason.REPLIED)
        case Reply(verified=False):  # whoever can forge a mail must not be able to end a sequence
            return Hold(HoldReason.UNVERIFIED)
        case AutoReply():  # RFC 3834: an automatic reply is nobody's answer
            return Hold(HoldReason.OUT_OF_OFFICE)
        case Bounce(permanent=True):
            return Stop(StopReason.BOUNCED)
        case Complaint():
            return Stop(StopReason.COMPLAINED)
        case _:
            return None


def stop_scope(what: str, sequence: Sequence) -> str | None:
    """Whom it stops: `person`, `company`, `everywhere`; or nobody."""
    if what == MEETING:
        awaited = any(step.wait_for == MEETING for step in sequence.every_step())
        scope = "never" if awaited else sequence.stop.meeting
    else:
        scope = getattr(sequence.stop, what, "never")
    return None if scope == "never" else scope


def absence(rule: OutOfOffice, calendar: Calendar, now: datetime, back: date | None) -> Absence | None:
    """How long nobody is written to. None: until a human says so."""
    if rule.resume == "never":
        return None
    if back is None:
        return Absence(now, calendar.add(rule.unknown, now))
    day = back
    for _ in range(_LONGEST_HOLIDAY):  # back on a Saturday is back on Monday
        if calendar.is_business_day(day):
            break
        day += timedelta(days=1)
    morning = calendar.add(Wait(0, "d"), datetime.combine(day, time(), calendar.zone))
    return Absence(now, max(now, calendar.add(rule.grace, morning)))
