"""A letter in one pair of hands: up to the gate, through it, and what became of it.

Everything before the gate can be taken back, nothing after it. The gate is one commit in the database, made when the
mailbox has everything but the last byte: whoever answers before it stops the letter, whoever answers after it is
made to wait until the letter's fate is known.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from time import monotonic
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from engine.addresses import CANARY
from engine.compose import outside
from engine.errors import NoAnswer, PermanentFailure, TemporaryFailure
from engine.heed import hear_missed, listen
from engine.limits import Full
from engine.model import Draft, Letter, Pace, Sent, Withdrawn
from engine.ready import Around, InboxClosed, is_plain, letter_of, look_around, plain_letter
from engine.room import no_room, window_closed
from engine.seams import Clock, Mailbox
from engine.settle import (
    INSIDE,
    CalledOff,
    Delivered,
    GaveUp,
    InDoubt,
    Outcome,
    Postponed,
    called_off,
    departed,
    doubted,
    given_up,
    moved_on,
    postponed,
    shut_in,
    unasked,
)
from engine.store import Forecast, Ledger, Store, Together, is_outage, pauses
from engine.trail import about, span

log = logging.getLogger("relent.carry")

T = TypeVar("T")

_BY = "dispatch"
_NO_MORE = object()
_NOT_WRITTEN = "what became of it could not be written down; recovery will see to it"
_LATER_WAITS, _PATIENCE = 5.0, 600.0


@dataclass(frozen=True, slots=True)
class Hands:
    """What one pair of hands works with."""

    store: Store
    mailbox: Mailbox
    clock: Clock
    pace: Pace
    enough: Event = field(default_factory=Event)  #: somebody wants us to stop soon
    together: Together | None = None  #: for hands that work beside others: they share their commits

    def write(self, deed: Callable[[Ledger], T]) -> T:
        """All of it, or nothing of it."""
        if self.together is not None:
            return self.together.do(deed, now=self.clock.now, by=_BY)
        with self.store.transaction(self.clock.now(), _BY, first=True) as ledger:
            return deed(ledger)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What was read for several letters at once, and what is counted while they leave."""

    around: Around
    kept: Mapping[str, datetime] = field(
        default_factory=dict
    )  #: for which drafts there is room, and until when
    forecast: Forecast | None = None

    def room(self, draft: Draft, ledger: Ledger) -> Full | None:
        """Asked at the gate: nobody else may count on the same room until it is passed."""
        if self.keeps_room(draft, ledger.now):
            return self.window(draft, ledger.now)
        return no_room(draft, ledger, in_turn=True)

    def keeps_room(self, draft: Draft, now: datetime) -> bool:
        until = self.kept.get(draft.id)
        return until is not None and now < until

    def window(self, draft: Draft, now: datetime) -> Full | None:
        """Where room is kept, only the hours can have come to their end."""
        found = self.around.whose(draft)
        return window_closed(draft, *found, now) if found else None


@dataclass(slots=True, eq=False)
class _Gate:
    """One commit, right before the last byte. A commit in doubt is a no."""

    draft: Draft
    hands: Hands
    may_have_left: bool = field(default=False, init=False)  #: it was open, for somebody out there
    full: Full | None = field(default=None, init=False)  #: why it stays, if that is for want of room
    deaf: str | None = field(default=None, init=False)  #: why it stays, if nobody could say who has answered

    def passes(self, letter: Letter, batch: Batch) -> bool:
        hands = self.hands
        self.deaf = listen(
            letter,
            self.draft,
            mailbox=hands.mailbox,
            store=hands.store,
            clock=hands.clock,
            pace=hands.pace,
        )
        if self.deaf:
            return False
        asked = monotonic()
        carrier = hands.mailbox.name if outside(letter) else INSIDE

        def pass_it(ledger: Ledger) -> bool:
            self.full = batch.room(self.draft, ledger)
            return not self.full and ledger.drafts.pass_gate(
                self.draft,
                carrier,
                letter.everybody,
                letter.inside,
                letter.names.get(self.draft.inbox_id, ""),
            )

        try:
            with span("letter gate"):
                passed = hands.write(pass_it)
        except SQLAlchemyError as error:
            log.warning("the gate did not answer, so the letter stays: %s", error)
            return False
        in_time = monotonic() - asked <= hands.pace.gate_deadline.total_seconds()
        self.may_have_left = passed and in_time and carrier != INSIDE
        return passed and in_time


def carry(draft: Draft, hands: Hands, batch: Batch | None = None) -> Outcome:
    """A claimed draft becomes a letter and leaves, or it does not; either way that is written down.

    `batch`: what was read for it together with others.
    """
    with about(draft_id=draft.id, enrollment_id=draft.enrollment_id), span("letter") as told:
        outcome = _carry(draft, hands, batch)
        told.says(outcome=type(outcome).__name__)
        _log(outcome)
    if batch and batch.forecast and not isinstance(outcome, Delivered):
        batch.forecast.begin()
    return replace(outcome, canarys=True) if draft.inbox_id == CANARY else outcome


def _log(outcome: Outcome) -> None:
    """What a human should look at is a warning."""
    match outcome:
        case Delivered(draft_id):
            log.info("sent %s", draft_id)
        case CalledOff(draft_id, why):
            log.info("called off %s: %s", draft_id, why)
        case Postponed(draft_id, why):
            log.warning("postponed %s: %s", draft_id, why)
        case GaveUp(draft_id, why):
            log.warning("refused for good %s: %s", draft_id, why)
        case InDoubt(draft_id, why):
            log.warning("uncertain %s: %s", draft_id, why)


def _carry(draft: Draft, hands: Hands, batch: Batch | None) -> Outcome:
    gate = _Gate(draft, hands)
    try:
        return _try(draft, hands, batch, gate)
    except Exception as error:
        log.exception("%s: our own mistake", draft.id)
        return _own_mistake(draft, error, gate, hands)


def _try(draft: Draft, hands: Hands, batch: Batch | None, gate: _Gate) -> Outcome:
    try:
        with span("letter compose"):
            batch = batch or _alone(draft, hands)
            letter = _letter(draft, batch, hands)
        if isinstance(letter, Full):
            return _no_room(draft, letter, hands)
        with span("letter hand over"):
            answer = _hand_over(letter, batch, gate, hands)
    except (TemporaryFailure, SQLAlchemyError) as failure:
        later = partial(postponed, draft, str(failure), _back_off(draft, hands.pace))
        by_mailbox = isinstance(failure, TemporaryFailure)
        return _write_down(draft, lambda ledger: later(ledger=ledger, turned_away=by_mailbox), hands)
    except InboxClosed as failure:
        why = str(failure)
        return _write_down(draft, lambda ledger: shut_in(draft, why, ledger=ledger), hands)
    except PermanentFailure as failure:
        why = str(failure)
        return _write_down(draft, lambda ledger: given_up(draft, why, ledger=ledger), hands)
    except NoAnswer as silence:
        why = str(silence)
        return _write_down(draft, lambda ledger: doubted(draft, why, ledger=ledger), hands)
    return _answered(draft, letter, answer, batch, gate, hands)


def _alone(draft: Draft, hands: Hands) -> Batch:
    with hands.store.reading(hands.clock.now()) as ledger:
        return Batch(around=look_around([draft], ledger))


def _letter(draft: Draft, batch: Batch, hands: Hands) -> Letter | Full:
    """Whether there is room is asked before it is carried to the gate in vain."""
    now = hands.clock.now()
    if batch.keeps_room(draft, now) and is_plain(draft):
        return batch.window(draft, now) or plain_letter(draft, batch.around)
    with hands.store.reading(now) as ledger:
        return no_room(draft, ledger) or letter_of(draft, ledger, batch.around)


def _hand_over(letter: Letter, batch: Batch, gate: _Gate, hands: Hands) -> Sent | Withdrawn:
    """What is for nobody out there needs no mailbox: it arrives in the transaction that writes down that it left."""
    passes = partial(gate.passes, letter, batch)
    if outside(letter):
        return hands.mailbox.send(letter, passes)
    return Sent("delivered inside") if passes() else Withdrawn()


def _answered(
    draft: Draft, letter: Letter, answer: Sent | Withdrawn, batch: Batch, gate: _Gate, hands: Hands
) -> Outcome:
    match answer:
        case Sent(note, refused):
            left = partial(departed, draft, letter, note, refused=refused, forecast=batch.forecast)
            return _write_down(draft, lambda ledger: left(ledger=ledger), hands)
        case Withdrawn() if gate.full:
            return _no_room(draft, gate.full, hands)
        case Withdrawn() if gate.deaf:
            why, wait = gate.deaf, _back_off(draft, hands.pace)
            return _write_down(
                draft, lambda ledger: unasked(draft, why, wait, hands.pace, ledger=ledger), hands
            )
        case Withdrawn():
            with suppress(SQLAlchemyError):  # the gate stays closed until it is heard
                hear_missed(draft.thread_id, store=hands.store, clock=hands.clock)
            wait = _back_off(draft, hands.pace)
            return _write_down(draft, lambda ledger: called_off(draft, letter, wait, ledger=ledger), hands)


def let_go(drafts: Iterable[Draft], hands: Hands) -> None:
    """Nothing was tried: they keep their hour, and their patience."""

    def put_back(ledger: Ledger) -> None:
        for draft in drafts:
            ledger.drafts.put_back(draft, send_at=draft.send_at, why="not in this batch", failed=False)

    _insist(put_back, hands)


def _no_room(draft: Draft, full: Full, hands: Hands) -> Outcome:
    return _write_down(draft, lambda ledger: moved_on(draft, full, ledger=ledger), hands)


def _own_mistake(draft: Draft, error: Exception, gate: _Gate, hands: Hands) -> Outcome:
    """One letter that trips over a mistake of ours must neither stop all others nor leave twice."""
    why, wait = f"our own mistake, see the log: {type(error).__name__}", _back_off(draft, hands.pace)
    became = partial(doubted, draft, why) if gate.may_have_left else partial(postponed, draft, why, wait)
    try:
        return _write_down(draft, lambda ledger: became(ledger=ledger), hands)
    except Exception:
        log.exception("%s: nor can that be written down", draft.id)
        return InDoubt(draft.id, _NOT_WRITTEN)


def _back_off(draft: Draft, pace: Pace) -> timedelta:
    return pace.retries[min(draft.attempt, len(pace.retries)) - 1]


def _write_down(draft: Draft, deed: Callable[[Ledger], Outcome], hands: Hands) -> Outcome:
    with span("letter settle"):
        outcome = _insist(deed, hands)
    return outcome or InDoubt(draft.id, _NOT_WRITTEN)


def _insist(deed: Callable[[Ledger], T], hands: Hands) -> T | None:
    """What is known must not be lost to a database that restarts just now. None: nobody could be found to write it.

    What the database will never take is raised: to repeat that would keep everybody behind it waiting.
    """
    waits = _pauses(hands.enough)
    while True:
        try:
            return hands.write(deed)
        except SQLAlchemyError as error:
            if not is_outage(error):
                raise
            log.warning("the database did not answer: %s", error)
            if next(waits, _NO_MORE) is _NO_MORE:
                log.error("nothing could be written down, recovery will see to it")
                return None


def _pauses(enough: Event) -> Iterator[None]:
    """For as long as a restart may take; not for so long if somebody wants us to stop."""
    until = monotonic() + _PATIENCE
    yield from pauses()
    while monotonic() < until and not enough.is_set():
        enough.wait(_LATER_WAITS)
        yield
