"""The two lives as tables of moves.

Write an arrow once: the check (`Move.allows`), the guard of the one UPDATE that makes the move
(`engine/store/moves.py`) and the picture in `docs/lives.md` come from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class DraftState(StrEnum):
    WRITTEN = "written"  #: somebody is still writing it; an hour or a send, given by them, moves it on
    HELD = "held"  #: waits for a human's `approve`, or for `held_until`: then recovery wakes it
    SCHEDULED = "scheduled"  #: waits for its hour; then whichever worker claims it moves it on
    CLAIMED = "claimed"  #: in one worker's hands, and can still be called back; its lease frees it
    RELEASING = "releasing"  #: past the gate, the last bytes are leaving; its worker moves it on, or doubt
    SENT = "sent"  #: it went out; the end
    CANCELLED = "cancelled"  #: it will never go out; the end
    FAILED = "failed"  #: refused for good; a human may retry it, an answer cancels it
    UNCERTAIN = "uncertain"  #: it may have gone out; proof or a human moves it on, nothing else


class EnrollmentState(StrEnum):
    ACTIVE = "active"  #: being followed up, until the last letter, an answer or a human
    PAUSED = "paused"  #: nothing goes out; only a human, or what a human hands in, makes it active again
    FINISHED = "finished"  #: everything was said and nobody answered; the end
    STOPPED = "stopped"  #: somebody or something said stop; the end


class StopReason(StrEnum):
    """Why a person is written to no more."""

    REPLIED = "replied"  #: somebody answered
    BOUNCED = "bounced"  #: there is no such person
    COMPLAINED = "complained"  #: they called it spam; nobody here writes to them again
    UNSUBSCRIBED = "unsubscribed"  #: they said so
    SUPPRESSED = "suppressed"  #: the address came to stand on the list of those never to be written to
    MEETING = "meeting"  #: they booked a meeting
    BY_HAND = "by_hand"  #: somebody here said so


class HoldReason(StrEnum):
    """Why a draft waits for somebody."""

    OUT_OF_OFFICE = "out_of_office"  #: an automatic reply: nobody has answered, nobody is there
    UNVERIFIED = "unverified"  #: an answer that the mail provider does not vouch for: a human looks
    LATE = "late"  #: its hour passed too long ago; nobody wants a Tuesday's note on Saturday
    APPROVAL = "approval"  #: the sequence wants a human's yes
    CHANGED = "changed"  #: no longer what was approved
    ANSWERED = "answered"  #: somebody has answered since it was written
    RESTORED = "restored"  #: the database was restored or copied: it may have left already
    REJECTED = "rejected"  #: a human said no: it is reworded, or it never leaves
    EXPIRED = "expired"  #: nobody said yes in time; it needs a yes all the same
    INBOX_PAUSED = "inbox_paused"  #: somebody has paused the inbox that it leaves from


#: Held for one of these, whoever says yes must know it: somebody may have answered, or it may have left already.
GRAVE = frozenset({HoldReason.UNVERIFIED, HoldReason.ANSWERED, HoldReason.RESTORED})


@dataclass(frozen=True, slots=True)
class Move:
    """An arrow: from any of these states to that one."""

    name: str
    sources: frozenset[str]
    target: str

    def allows(self, state: str) -> bool:
        return state in self.sources


def _table(moves: Iterable[Move]) -> dict[str, Move]:
    return {move.name: move for move in moves}


def _move(name: str, *sources: StrEnum, to: StrEnum) -> Move:
    return Move(name, frozenset(sources), to)


_D = DraftState
_E = EnrollmentState

APPROVE = _move("approve", _D.HELD, to=_D.SCHEDULED)
SUBMIT = _move("submit", _D.WRITTEN, _D.HELD, _D.SCHEDULED, _D.FAILED, to=_D.HELD)
WAKE = _move("wake", _D.HELD, to=_D.SCHEDULED)
SCHEDULE = _move("schedule", _D.WRITTEN, _D.FAILED, to=_D.SCHEDULED)
UNSCHEDULE = _move("unschedule", _D.HELD, _D.SCHEDULED, _D.FAILED, to=_D.WRITTEN)
TAKE = _move("take", _D.WRITTEN, _D.HELD, _D.SCHEDULED, _D.FAILED, to=_D.CLAIMED)
REDATE = _move("redate", _D.SCHEDULED, to=_D.SCHEDULED)
HOLD = _move("hold", _D.HELD, _D.SCHEDULED, _D.CLAIMED, to=_D.HELD)
CLAIM = _move("claim", _D.SCHEDULED, to=_D.CLAIMED)
GATE = _move("gate", _D.CLAIMED, to=_D.RELEASING)
PUT_BACK = _move("put back", _D.CLAIMED, _D.RELEASING, to=_D.SCHEDULED)
SETTLE = _move("settle", _D.RELEASING, _D.UNCERTAIN, to=_D.SENT)
FOUND = _move("found", _D.HELD, to=_D.SENT)
GIVE_UP = _move("give up", _D.CLAIMED, _D.RELEASING, _D.UNCERTAIN, to=_D.FAILED)
DOUBT = _move("doubt", _D.RELEASING, to=_D.UNCERTAIN)
DISPROVE = _move("disprove", _D.UNCERTAIN, to=_D.SCHEDULED)
RETRY = _move("retry", _D.FAILED, to=_D.SCHEDULED)
CANCEL = _move("cancel", _D.WRITTEN, _D.HELD, _D.SCHEDULED, _D.CLAIMED, _D.FAILED, to=_D.CANCELLED)
WITHDRAW = _move("withdraw", _D.RELEASING, _D.UNCERTAIN, to=_D.CANCELLED)

DRAFT_MOVES = _table(
    (
        SCHEDULE,
        UNSCHEDULE,
        TAKE,
        SUBMIT,
        APPROVE,
        WAKE,
        REDATE,
        HOLD,
        CLAIM,
        GATE,
        PUT_BACK,
        SETTLE,
        FOUND,
        GIVE_UP,
        DOUBT,
        DISPROVE,
        RETRY,
        CANCEL,
        WITHDRAW,
    )
)

PAUSE = _move("pause", _E.ACTIVE, _E.PAUSED, to=_E.PAUSED)
RESUME = _move("resume", _E.PAUSED, to=_E.ACTIVE)
FINISH = _move("finish", _E.ACTIVE, to=_E.FINISHED)
STOP = _move("stop", _E.ACTIVE, _E.PAUSED, to=_E.STOPPED)

ENROLLMENT_MOVES = _table((PAUSE, RESUME, FINISH, STOP))

#: A draft in one of these has had its end; one enrollment has at most one draft that has not.
DRAFT_ENDS = frozenset({_D.SENT, _D.CANCELLED})
#: What an answer can still call back, at once.
RECALLABLE = CANCEL.sources
#: Its words may still be changed.
REWORDABLE = frozenset({_D.WRITTEN, _D.HELD, _D.SCHEDULED, _D.FAILED})
#: Both of these mean: a worker has it.
IN_HAND = frozenset({_D.CLAIMED, _D.RELEASING})
