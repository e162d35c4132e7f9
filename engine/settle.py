"""What became of a letter, and how that is written down: each in one transaction, with its thread locked first."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from engine.addresses import contact
from engine.advance import advance, place_of_draft
from engine.compose import compose
from engine.errors import Refused
from engine.limits import Full, next_room, room_now
from engine.model import Draft, Enrollment, Letter, Message
from engine.plan import calendar_of
from engine.sequence import Sequence
from engine.states import DraftState, HoldReason, StopReason
from engine.store import Ledger, Reach


@dataclass(frozen=True, slots=True)
class Delivered:
    """It left, and the next step is a draft."""

    draft_id: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not now; it will be tried again."""

    draft_id: str
    why: str


@dataclass(frozen=True, slots=True)
class CalledOff:
    """It was called back, or it changed, while it was being carried. Nothing left."""

    draft_id: str
    why: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Refused for good."""

    draft_id: str
    why: str


@dataclass(frozen=True, slots=True)
class InDoubt:
    """It may have left. A human, or proof, will say."""

    draft_id: str
    why: str


Outcome = Delivered | Postponed | CalledOff | GaveUp | InDoubt


def departed(draft: Draft, letter: Letter, note: str, *, ledger: Ledger) -> Outcome:
    """The letter is a message now, its label is gone, and the next step is a draft: all of it or nothing."""
    ledger.threads.lock([draft.thread_id])
    enrollment = ledger.enrollments.lock(draft.enrollment_id) if draft.enrollment_id else None
    if not ledger.drafts.settle(draft, note):
        current = ledger.drafts.get(draft.id)
        if current and current.state == DraftState.SENT:  # our own commit, whose answer was lost on the way
            return Delivered(draft.id)
        return InDoubt(draft.id, "somebody else wrote down what became of it")
    ledger.threads.untag([draft.id])
    ledger.threads.keep(_as_message(draft, letter, ledger.now))
    if enrollment:
        advance(enrollment, ledger)
    return Delivered(draft.id)


def letter_of(draft: Draft, ledger: Ledger) -> Letter:
    """As it would leave now: without copies to anybody who may not be written to."""
    copies = [*draft.cc, *draft.bcc]
    unwanted = ledger.inbound.suppressed_among(copies) if copies else {}
    cc, bcc = (
        tuple(address for address in addresses if contact(address) not in unwanted)
        for addresses in (draft.cc, draft.bcc)
    )
    thread, files = ledger.threads.messages(draft.thread_id), ledger.drafts.files(draft)
    return compose(replace(draft, cc=cc, bcc=bcc), thread, files)


def postponed(draft: Draft, why: str, wait: timedelta, *, ledger: Ledger) -> Outcome:
    ledger.threads.lock([draft.thread_id])
    if ledger.drafts.put_back(draft, send_at=ledger.now + wait, why=why):
        return Postponed(draft.id, why)
    return _ended_meanwhile(draft, ledger)


def no_room(draft: Draft, ledger: Ledger, *, in_turn: bool = False) -> Full | None:
    """Its hour has come; but has its window closed since, or does a limit of its sequence say no?

    `in_turn`: nobody else may count on the same room until this transaction is over.
    """
    found = _sequence_of(draft, ledger)
    if found is None:
        return None
    enrollment, sequence = found
    opens = calendar_of(sequence, enrollment.variables).next_open(ledger.now)
    if opens.reason:
        return Full(opens.reason, opens.at)
    place = place_of_draft(draft, sequence)
    if in_turn:
        ledger.diaries.queue_up(place, sequence.limits)
    left, waiting = ledger.diaries.left(), ledger.diaries.waiting()
    return room_now(ledger.now, place, sequence=sequence, sent=left, waiting=waiting)


def moved_on(draft: Draft, full: Full, *, ledger: Ledger) -> Outcome:
    """It waits for the next hour in which there is room."""
    ledger.threads.lock([draft.thread_id])
    found = _sequence_of(draft, ledger)
    if found is None:
        return postponed(draft, full.why, timedelta(minutes=1), ledger=ledger)
    enrollment, sequence = found
    place = place_of_draft(draft, sequence)
    diary = ledger.diaries.booked_besides(draft.id, sequence.limits)
    calendar = calendar_of(sequence, enrollment.variables)
    try:
        room = next_room(full.until, place, calendar=calendar, sequence=sequence, diary=diary)
    except Refused as error:  # none in the next years
        return postponed(draft, str(error), timedelta(days=1), ledger=ledger)
    why = room.reason or full.why
    if ledger.drafts.move_on(draft, send_at=room.at, why=why):
        return Postponed(draft.id, why)
    return _ended_meanwhile(draft, ledger)


def _sequence_of(draft: Draft, ledger: Ledger) -> tuple[Enrollment, Sequence] | None:
    if draft.enrollment_id is None:
        return None
    enrollment = ledger.enrollments.get(draft.enrollment_id)
    return enrollment, ledger.enrollments.version(enrollment.version)


def given_up(draft: Draft, why: str, *, ledger: Ledger) -> Outcome:
    ledger.threads.lock([draft.thread_id])
    if ledger.drafts.give_up(draft, why):
        return GaveUp(draft.id, why)
    return _ended_meanwhile(draft, ledger)


def doubted(draft: Draft, why: str, *, ledger: Ledger) -> Outcome:
    ledger.threads.lock([draft.thread_id])
    ledger.drafts.doubt(draft, why)
    return InDoubt(draft.id, why)


def called_off(draft: Draft, wait: timedelta, *, ledger: Ledger) -> Outcome:
    """The gate said no. Most often an answer came; if it was something else, see to that."""
    if why := ledger.inbound.suppressed(draft.to):
        return _suppressed(draft, why, ledger)
    ledger.threads.lock([draft.thread_id])
    current = ledger.drafts.get(draft.id)
    if (
        current
        and current.claim_token == draft.claim_token
        and current.state == DraftState.CLAIMED
        and current.approved_sha != current.content_sha
    ):
        ledger.drafts.hold(current, HoldReason.CHANGED, send_at=current.send_at, until=None)
        return CalledOff(draft.id, HoldReason.CHANGED)
    why = "the gate was not passed in time"
    if ledger.drafts.put_back(draft, send_at=ledger.now + wait, why=why):
        return Postponed(draft.id, why)
    return _ended_meanwhile(draft, ledger)


def _suppressed(draft: Draft, why: str, ledger: Ledger) -> Outcome:
    """Its whole conversation ends; and so does it, also if the gate had opened for it, too slowly."""
    ledger.call_back(Reach(threads=(draft.thread_id,)), StopReason.SUPPRESSED)
    ledger.drafts.cancel([draft.id], StopReason.SUPPRESSED)
    ledger.drafts.recall([draft.id], StopReason.SUPPRESSED)
    ledger.drafts.put_back(draft, send_at=draft.send_at, why=why)
    ledger.threads.untag_ended(draft.id)
    return CalledOff(draft.id, f"suppressed: {why}")


def _ended_meanwhile(draft: Draft, ledger: Ledger) -> Outcome:
    """It was no longer ours to decide about. If that was its end, its label goes too."""
    ledger.threads.untag_ended(draft.id)
    current = ledger.drafts.get(draft.id)
    return CalledOff(draft.id, (current and current.outcome) or "it is in other hands")


def _as_message(draft: Draft, letter: Letter, now: datetime) -> Message:
    return Message(
        message_id=letter.message_id,
        inbox_id=draft.inbox_id,
        thread_id=draft.thread_id,
        direction="sent",
        sender=letter.sender,
        to=(letter.to,),
        subject=letter.subject,
        text=letter.text,
        timestamp=now,
        in_reply_to=letter.in_reply_to,
        references=letter.references,
        labels=("sent",),
        draft_id=draft.id,
        enrollment_id=draft.enrollment_id,
        step=draft.step,
        html=letter.html,
        cc=letter.cc,
    )
