"""Story: from due to sent.

Everything before the gate can be taken back, nothing after it. The gate is one commit in the database, made when the
mailbox has everything but the last byte: whoever answers before it stops the letter, whoever answers after it is
made to wait until the letter's fate is known.
"""

import logging
import secrets
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic, sleep

from sqlalchemy.exc import SQLAlchemyError

from engine import owner
from engine.advance import advance
from engine.compose import compose
from engine.errors import NoAnswer, PermanentFailure, TemporaryFailure
from engine.model import Draft, Letter, Message, Pace, Sent, Withdrawn
from engine.seams import Clock, Mailbox
from engine.states import DraftState, HoldReason, StopReason
from engine.store import Ledger, Reach, Store

log = logging.getLogger("relent.dispatch")

_SETTLE_TRIES = (0.05, 0.2, 1.0, 3.0)


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


def dispatch_due(*, store: Store, mailbox: Mailbox, clock: Clock, pace: Pace) -> Generator[Outcome]:
    """Claim what is due and send it, a letter at a time. Nothing is claimed that this call does not also let go."""
    with store.transaction(clock.now(), "dispatch") as ledger:
        claimed = ledger.drafts.claim(
            token=secrets.token_hex(16), owner=owner.me(), lease=pace.lease, at_most=pace.batch
        )
    begun, waiting = monotonic(), deque(claimed)
    try:
        while waiting and monotonic() - begun <= pace.lease.total_seconds() / 2:
            yield _send(waiting.popleft(), store=store, mailbox=mailbox, clock=clock, pace=pace)
    finally:  # also when the caller has had enough
        mailbox.rest()
        for draft in waiting:
            _put_back(draft, "not in this batch", store=store, clock=clock)


def _send(draft: Draft, *, store: Store, mailbox: Mailbox, clock: Clock, pace: Pace) -> Outcome:
    gate = _Gate(draft, mailbox.name, store=store, clock=clock, pace=pace)
    try:
        with store.reading(clock.now()) as ledger:
            letter = compose(draft, ledger.threads.messages(draft.thread_id))
        answer = mailbox.send(letter, gate)
    except TemporaryFailure as failure:
        return _postpone(draft, str(failure), _back_off(draft, pace), store=store, clock=clock)
    except PermanentFailure as failure:
        return _give_up(draft, str(failure), store=store, clock=clock)
    except NoAnswer as silence:
        return _doubt(draft, str(silence), store=store, clock=clock)
    except Exception as error:
        log.exception("%s: our own mistake", draft.id)
        why = f"our own mistake, see the log: {type(error).__name__}"
        if gate.was_open:
            return _doubt(draft, why, store=store, clock=clock)
        return _postpone(draft, why, _back_off(draft, pace), store=store, clock=clock)
    match answer:
        case Sent(note):
            return _settle(draft, letter, note, store=store, clock=clock)
        case Withdrawn():
            return _called_off(draft, store=store, clock=clock, pace=pace)


class _Gate:
    """One commit, right before the last byte. A commit in doubt is a no."""

    def __init__(self, draft: Draft, carrier: str, *, store: Store, clock: Clock, pace: Pace) -> None:
        self._draft = draft
        self._carrier = carrier
        self._store = store
        self._clock = clock
        self._pace = pace
        self.was_open = False

    def __call__(self) -> bool:
        asked = monotonic()
        try:
            with self._store.transaction(self._clock.now(), "dispatch") as ledger:
                passed = ledger.drafts.pass_gate(self._draft, self._carrier)
        except SQLAlchemyError as error:
            log.warning("the gate did not answer, so the letter stays: %s", error)
            return False
        self.was_open = passed and monotonic() - asked <= self._pace.gate_deadline.total_seconds()
        return self.was_open


def _settle(draft: Draft, letter: Letter, note: str, *, store: Store, clock: Clock) -> Outcome:
    """It left: write that down, whatever it takes. If it cannot be written, recovery will find it in doubt."""

    def write() -> Outcome:
        with store.transaction(clock.now(), "dispatch") as ledger:
            return note_departure(draft, letter, note, ledger=ledger)

    return _insist(write, otherwise=InDoubt(draft.id, "it left, but the database did not answer"))


def note_departure(draft: Draft, letter: Letter, note: str, *, ledger: Ledger) -> Outcome:
    """The letter is a message now, its label is gone, and the next step is a draft: all of it or nothing."""
    ledger.threads.lock([draft.thread_id])
    enrollment = ledger.enrollments.lock(draft.enrollment_id) if draft.enrollment_id else None
    if not ledger.drafts.settle(draft, note):
        return InDoubt(draft.id, "somebody else wrote down what became of it")
    ledger.threads.untag([draft.id])
    ledger.threads.keep(_as_message(draft, letter, ledger))
    if enrollment:
        advance(enrollment, ledger)
    return Delivered(draft.id)


def _as_message(draft: Draft, letter: Letter, ledger: Ledger) -> Message:
    return Message(
        message_id=letter.message_id,
        inbox_id=draft.inbox_id,
        thread_id=draft.thread_id,
        direction="sent",
        sender=letter.sender,
        to=(letter.to,),
        subject=letter.subject,
        text=letter.text,
        timestamp=ledger.now,
        in_reply_to=letter.in_reply_to,
        references=letter.references,
        labels=("sent",),
        draft_id=draft.id,
        enrollment_id=draft.enrollment_id,
        step=draft.step,
    )


def _postpone(draft: Draft, why: str, wait: timedelta, *, store: Store, clock: Clock) -> Outcome:
    def write() -> Outcome:
        with store.transaction(clock.now(), "dispatch") as ledger:
            ledger.threads.lock([draft.thread_id])
            if ledger.drafts.put_back(draft, send_at=ledger.now + wait, why=why):
                return Postponed(draft.id, why)
            return _ended_meanwhile(draft, ledger)

    return _insist(write, otherwise=Postponed(draft.id, "the database did not answer; its lease will end"))


def _put_back(draft: Draft, why: str, *, store: Store, clock: Clock) -> Outcome:
    """Nothing was tried: it keeps its hour, and its patience."""

    def write() -> Outcome:
        with store.transaction(clock.now(), "dispatch") as ledger:
            ledger.drafts.put_back(draft, send_at=draft.send_at, why=why, failed=False)
        return Postponed(draft.id, why)

    return _insist(write, otherwise=Postponed(draft.id, "the database did not answer; its lease will end"))


def _give_up(draft: Draft, why: str, *, store: Store, clock: Clock) -> Outcome:
    def write() -> Outcome:
        with store.transaction(clock.now(), "dispatch") as ledger:
            ledger.threads.lock([draft.thread_id])
            if ledger.drafts.give_up(draft, why):
                return GaveUp(draft.id, why)
            return _ended_meanwhile(draft, ledger)

    return _insist(write, otherwise=InDoubt(draft.id, why))


def _doubt(draft: Draft, why: str, *, store: Store, clock: Clock) -> Outcome:
    def write() -> Outcome:
        with store.transaction(clock.now(), "dispatch") as ledger:
            ledger.threads.lock([draft.thread_id])
            ledger.drafts.doubt(draft, why)
        return InDoubt(draft.id, why)

    return _insist(write, otherwise=InDoubt(draft.id, why))


def _called_off(draft: Draft, *, store: Store, clock: Clock, pace: Pace) -> Outcome:
    """The gate said no. Most often an answer came; if it was something else, see to that."""

    def write() -> Outcome:
        with store.transaction(clock.now(), "dispatch") as ledger:
            return _find_out_why(draft, _back_off(draft, pace), ledger)

    return _insist(write, otherwise=CalledOff(draft.id, "the database did not answer; its lease will end"))


def _find_out_why(draft: Draft, wait: timedelta, ledger: Ledger) -> Outcome:
    if why := ledger.inbound.suppressed(draft.to):
        ledger.call_back(Reach(threads=(draft.thread_id,)), StopReason.SUPPRESSED)
        return CalledOff(draft.id, f"suppressed: {why}")
    ledger.threads.lock([draft.thread_id])
    current = ledger.drafts.get(draft.id)
    if current is None or current.claim_token != draft.claim_token:
        return CalledOff(draft.id, (current and current.outcome) or "it is in other hands")
    if current.state == DraftState.CLAIMED and current.approved_sha != current.content_sha:
        ledger.drafts.hold(current, HoldReason.CHANGED, send_at=current.send_at, until=None)
        return CalledOff(draft.id, HoldReason.CHANGED)
    if ledger.drafts.put_back(current, send_at=ledger.now + wait, why="the gate was not passed in time"):
        return Postponed(draft.id, "the gate was not passed in time")
    return _ended_meanwhile(draft, ledger)


def _ended_meanwhile(draft: Draft, ledger: Ledger) -> Outcome:
    """It was no longer ours to decide about. If that was its end, its label goes too."""
    ledger.threads.untag_ended(draft.id)
    current = ledger.drafts.get(draft.id)
    return CalledOff(draft.id, (current and current.outcome) or "it is in other hands")


def _back_off(draft: Draft, pace: Pace) -> timedelta:
    return pace.retries[min(draft.attempt, len(pace.retries)) - 1]


def _insist(write: Callable[[], Outcome], *, otherwise: Outcome) -> Outcome:
    """What is known must not be lost to a database that restarts just now."""
    for wait in _SETTLE_TRIES:
        try:
            return write()
        except SQLAlchemyError as error:
            log.warning("%s: the database did not answer, trying again in %s s: %s", otherwise, wait, error)
            sleep(wait)
    return otherwise
