"""Event -> what it stops or holds. The project's policy, in one place. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from engine.events import AutoReply, Bounce, Complaint, Event, Reply
from engine.states import HoldReason, StopReason

#: An absence whose end nobody told us.
ABSENCE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more to this person."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now: until then, or until a human says so."""

    reason: HoldReason
    lasting: timedelta | None = None


def verdict(event: Event) -> Stop | Hold | None:
    match event:
        case Reply(verified=True):
            return Stop(StopReason.REPLIED)
        case Reply(verified=False):  # whoever can forge a mail must not be able to end a sequence
            return Hold(HoldReason.UNVERIFIED)
        case AutoReply():  # RFC 3834: an automatic reply is nobody's answer
            return Hold(HoldReason.OUT_OF_OFFICE, ABSENCE)
        case Bounce(permanent=True):
            return Stop(StopReason.BOUNCED)
        case Complaint():
            return Stop(StopReason.COMPLAINED)
        case _:
            return None
