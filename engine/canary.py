"""Story: somebody made up is written to and answers, so that it is known how fast an answer stops a follow-up.

It is the real way from one end to the other: enrolled, claimed, through the gate, settled, the follow-up drafted and
named on its thread; then the answer is posted to our own door, signed, as a mailbox posts it. When that takes too long, or
nobody takes it, the house brakes: whoever really answers just now would be written to again.

Whom it writes to lives in this house, at a domain at which nobody else ever will; no transport ever gets a letter of it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Thread
from time import monotonic
from typing import Any

from engine.addresses import CANARY, CANARYS_READER
from engine.calls import Answer
from engine.enroll import Enrolled, enroll, prepare
from engine.errors import RelentError
from engine.ids import new_id
from engine.model import Message, Prospect
from engine.receive import Read
from engine.seams import Clock
from engine.sequence import Sequence
from engine.states import DraftState
from engine.store import Ledger, Store
from engine.store.nest import EVENT

log = logging.getLogger("relent.canary")

#: The sign that tells of the last flight; and how our reasons begin.
SIGN = "canary"
OURS = "canary: "

_BY = "the canary"
_POLL = 0.01
_SHORTLY, _A_MOMENT = 0.1, 5.0
_NEXT_LETTER = 30.0  #: seconds that whoever sends gets for the first letter; there may be a queue
_SO_OFTEN = 2  #: in a row: once may be an accident
_KEPT = 50
_FIRST, _BUMP = "hello", "bump"

#: Posts these bytes to our own door, as those do who tell us of answers.
Knock = Callable[[bytes], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """What was measured, in seconds. None: it did not come to that."""

    sent_after: float | None = None  #: from its hour to its follow-up
    cancelled_after: float | None = None  #: from the answer's first byte to the cancelled draft
    answered_after: float | None = None  #: and to our 204
    why: str | None = None  #: what went wrong
    hollow: bool = False  #: we said 204, and cancelled nothing

    @property
    def seconds(self) -> float | None:
        """The longer of the two."""
        both = [each for each in (self.cancelled_after, self.answered_after) if each is not None]
        return max(both) if len(both) == 2 else None


def sequence() -> Sequence:
    return Sequence.model_validate(
        {
            "name": "relent: canary",
            "from": CANARY,
            "schedule": {"timezone": "UTC", "windows": "00:00-24:00"},
            "limits": {"per_mailbox": "100000/day"},
            "steps": [
                {"id": _FIRST, "subject": "Are we awake?", "body": "Whoever answers this gets nothing more."},
                {"id": _BUMP, "after": "30d", "body": "Nobody will ever get this."},
            ],
        }
    )


def fly(
    *,
    knock: Knock,
    read: Read,
    store: Store,
    clock: Clock,
    limit: timedelta,
    enough: Event | None = None,
    patience: float = _NEXT_LETTER,
) -> Flight | None:
    """Once, and nothing of it stays but what was measured. None: somebody wants us to stop, or she is still on her way."""
    enough = enough or Event()
    if not _clear(store, clock, enough):
        return None
    try:
        enrollment_id = _take_off(store, clock)
        sent_after = _wait_for_the_bump(enrollment_id, store, clock, enough, patience)
        if enough.is_set():
            return None
        return _answer(
            enrollment_id, sent_after, knock=knock, read=read, store=store, clock=clock, limit=limit
        )
    finally:
        _clear(store, clock, enough)


def judge(flight: Flight, *, limit: timedelta, store: Store, clock: Clock) -> str | None:
    """Write it down; brake, or take our own brake off again. Returns why it brakes, if it does."""
    in_time = flight.seconds is not None and flight.seconds <= limit.total_seconds() and not flight.why
    with store.transaction(clock.now(), _BY) as ledger:
        last = ledger.watch.last(SIGN, to_change=True)
        before: Mapping[str, Any] = last.says if last else {}
        failures = 0 if in_time else int(before.get("failures", 0)) + 1
        why = None if in_time else _why_brake(flight, failures, limit)
        ledger.watch.sign(SIGN, **_told(flight, before, in_time, failures, ledger.now))
        braked = ledger.watch.brake(why) if why else False
        released = in_time and ledger.watch.release("the canary's answer was in time again", only=OURS)
    if braked:
        log.error("nothing leaves any more: %s", why)
    elif not in_time:
        log.warning("the canary: %s", _words(flight, limit))
    elif released:
        log.warning("the canary's answer was in time again, letters leave")
    return why if braked else None


def _why_brake(flight: Flight, failures: int, limit: timedelta) -> str | None:
    """At once when an answer is slow, or worse; when nobody took it, the second time."""
    slow = flight.seconds is not None
    if slow or flight.hollow or failures >= _SO_OFTEN:
        return (
            f"{OURS}{_words(flight, limit)}. While she flies, she takes this brake off when an answer is in time "
            "again; `relent resume --all` does at any time"
        )
    return None


def _words(flight: Flight, limit: timedelta) -> str:
    if flight.why:
        return flight.why
    return (
        f"an answer took {flight.seconds:.1f} s to stop its follow-up, more than {limit.total_seconds():g} s"
    )


def _told(
    flight: Flight, before: Mapping[str, Any], in_time: bool, failures: int, now: datetime
) -> dict[str, Any]:
    figures = [
        *before.get("figures", ()),
        *([round(flight.seconds, 4)] if flight.seconds is not None else ()),
    ]
    return {
        "in_time": in_time,
        "well_at": now.isoformat() if in_time else before.get("well_at", now.isoformat()),
        "why": flight.why,
        "seconds": flight.seconds,
        "sent_after": flight.sent_after,
        "cancelled_after": flight.cancelled_after,
        "answered_after": flight.answered_after,
        "failures": failures,  #: in a row
        "flights": int(before.get("flights", 0)) + 1,
        "figures": figures[-_KEPT:],
    }


# --- one flight ---


def _clear(store: Store, clock: Clock, enough: Event) -> bool:
    """Whoever has a letter of hers in hand gets a moment to put it down."""
    begun = monotonic()
    while True:
        with store.transaction(clock.now(), _BY) as ledger:
            if ledger.nest.clear():
                return True
        if monotonic() - begun > _A_MOMENT or enough.wait(_SHORTLY):
            return False


def _take_off(store: Store, clock: Clock) -> str:
    with store.transaction(clock.now(), _BY) as ledger:
        ledger.threads.open_inbox(CANARYS_READER)
        entered = enroll(prepare(Prospect(email=CANARYS_READER), sequence()), ledger=ledger)
    if not isinstance(entered, Enrolled):
        raise RuntimeError(f"the canary was not enrolled: {entered}")
    return entered.enrollment_id


def _wait_for_the_bump(
    enrollment_id: str, store: Store, clock: Clock, enough: Event, patience: float
) -> float | None:
    """Until the first letter has left, and the next is a draft. Under a brake it never will, and that is no reason not to answer."""
    begun = monotonic()
    while monotonic() - begun < patience and not enough.is_set():
        with store.reading(clock.now()) as ledger:
            braked, pending = ledger.watch.braked(), ledger.drafts.of(enrollment_id)
        if pending is not None and pending.step == _BUMP:
            return monotonic() - begun
        if braked:
            return None
        enough.wait(_POLL)
    return None


def _answer(
    enrollment_id: str,
    sent_after: float | None,
    *,
    knock: Knock,
    read: Read,
    store: Store,
    clock: Clock,
    limit: timedelta,
) -> Flight:
    with store.reading(clock.now()) as ledger:
        pending = ledger.drafts.of(enrollment_id)
        if pending is None:
            return Flight(sent_after=sent_after, why="her follow-up was not there to be stopped")
        body = _said(enrollment_id, read, ledger)
    said = _Said(knock, body)
    cancelled_after = _watch(pending.id, said, store, clock, limit)
    return _measured(said, sent_after, cancelled_after)


class _Said:
    """The answer, on its way to our own door, in a thread of its own: its draft is watched meanwhile."""

    def __init__(self, knock: Knock, body: bytes) -> None:
        self._knock = knock
        self._body = body
        self.answer: Answer | None = None
        self.after: float | None = None
        self.begun = monotonic()
        self._thread = Thread(target=self._say, name="relent-canary-answer", daemon=True)
        self._thread.start()

    def _say(self) -> None:
        try:
            answer = self._knock(self._body)
        except RelentError as error:
            answer = Answer(None, str(error))
        self.after = monotonic() - self.begun
        self.answer = answer

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()


def _watch(draft_id: str, said: _Said, store: Store, clock: Clock, limit: timedelta) -> float | None:
    """Until it is cancelled and we are answered. What has had no end long after the limit will have none."""
    cancelled: float | None = None
    until = said.begun + limit.total_seconds() + 20.0
    pause = Event()
    while monotonic() < until:
        over = said.is_over
        if cancelled is None:
            with store.reading(clock.now()) as ledger:
                now = ledger.drafts.get(draft_id)
            if now is not None and now.state == DraftState.CANCELLED:
                cancelled = monotonic() - said.begun
        if over:
            break
        pause.wait(_POLL)
    return cancelled


def _measured(said: _Said, sent_after: float | None, cancelled_after: float | None) -> Flight:
    answer = said.answer
    flight = Flight(sent_after=sent_after, cancelled_after=cancelled_after)
    if answer is None or not answer.is_yes:
        words = str(answer) if answer else "no answer"
        return replace(flight, why=f"our own door did not take her answer: {words}")
    if cancelled_after is None:
        return replace(
            flight,
            answered_after=said.after,
            hollow=True,
            why="her answer was taken, and nothing was cancelled",
        )
    return replace(flight, answered_after=said.after)


def _said(enrollment_id: str, read: Read, ledger: Ledger) -> bytes:
    """Her answer, in the mailbox's own dialect."""
    life = ledger.enrollments.get(enrollment_id)
    name = new_id("evt", ledger.now)
    letter = Message(
        message_id=f"<{name}@relent.invalid>",
        inbox_id=CANARY,
        thread_id=life.thread_id,
        direction="received",
        sender=CANARYS_READER,
        to=(CANARY,),
        subject="Re: Are we awake?",
        text="We are.",
        timestamp=ledger.now,
        labels=("received", "unread"),
    )
    return read(letter, "message.received", f"{EVENT}{life.thread_id}")[1]
