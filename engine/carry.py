"""A letter in one pair of hands: up to the gate, through it, and what became of it.

Everything before the gate can be taken back, nothing after it. The gate is one commit in the database, made when the
mailbox has everything but the last byte: whoever answers before it stops the letter, whoever answers after it is
made to wait until the letter's fate is known.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from threading import Event
from time import monotonic
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from engine.compose import outside
from engine.errors import NoAnswer, PermanentFailure, TemporaryFailure
from engine.heed import hear_missed, listen
from engine.limits import Full
from engine.model import Draft, Letter, Pace, Sent, Withdrawn
from engine.ready import InboxClosed, letter_of
from engine.seams import Clock, Mailbox
from engine.settle import (
    INSIDE,
    InDoubt,
    Outcome,
    called_off,
    departed,
    doubted,
    given_up,
    moved_on,
    no_room,
    postponed,
    shut_in,
    unasked,
)
from engine.store import Ledger, Store, pauses

log = logging.getLogger("relent.carry")

T = TypeVar("T")

_LATER_WAITS, _PATIENCE = 5.0, 600.0


@dataclass(frozen=True, slots=True)
class Hands:
    """What one pair of hands works with."""

    store: Store
    mailbox: Mailbox
    clock: Clock
    pace: Pace
    enough: Event = field(default_factory=Event)  #: somebody wants us to stop soon


@dataclass(slots=True, eq=False)
class _Gate:
    """One commit, right before the last byte. A commit in doubt is a no."""

    draft: Draft
    hands: Hands
    was_open: bool = field(default=False, init=False)
    full: Full | None = field(default=None, init=False)  #: why it stays, if that is for want of room
    deaf: str | None = field(default=None, init=False)  #: why it stays, if nobody could say who has answered

    def passes(self, letter: Letter) -> bool:
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
        try:
            with hands.store.transaction(hands.clock.now(), "dispatch") as ledger:
                self.full = no_room(self.draft, ledger, in_turn=True)
                passed = not self.full and ledger.drafts.pass_gate(
                    self.draft, carrier, letter.everybody, letter.inside
                )
        except SQLAlchemyError as error:
            log.warning("the gate did not answer, so the letter stays: %s", error)
            return False
        self.was_open = passed and monotonic() - asked <= hands.pace.gate_deadline.total_seconds()
        return self.was_open


def carry(draft: Draft, hands: Hands) -> Outcome:
    """A claimed draft becomes a letter and leaves, or it does not; either way that is written down."""
    gate = _Gate(draft, hands)
    try:
        with hands.store.reading(hands.clock.now()) as ledger:
            full = no_room(draft, ledger)  # before it is carried to the gate in vain
            letter = letter_of(draft, ledger)
        if full:
            return _no_room(draft, full, hands)
        answer = _hand_over(letter, gate, hands)
    except (TemporaryFailure, SQLAlchemyError) as failure:
        why, wait = str(failure), _back_off(draft, hands.pace)
        return _write_down(draft, lambda ledger: postponed(draft, why, wait, ledger=ledger), hands)
    except InboxClosed as failure:
        why = str(failure)
        return _write_down(draft, lambda ledger: shut_in(draft, why, ledger=ledger), hands)
    except PermanentFailure as failure:
        why = str(failure)
        return _write_down(draft, lambda ledger: given_up(draft, why, ledger=ledger), hands)
    except NoAnswer as silence:
        why = str(silence)
        return _write_down(draft, lambda ledger: doubted(draft, why, ledger=ledger), hands)
    except Exception as error:
        log.exception("%s: our own mistake", draft.id)
        return _own_mistake(draft, error, gate, hands)
    return _answered(draft, letter, answer, gate, hands)


def _hand_over(letter: Letter, gate: _Gate, hands: Hands) -> Sent | Withdrawn:
    """What is for nobody out there needs no mailbox: it arrives in the transaction that writes down that it left."""
    passes = partial(gate.passes, letter)
    if outside(letter):
        return hands.mailbox.send(letter, passes)
    return Sent("delivered inside") if passes() else Withdrawn()


def _answered(draft: Draft, letter: Letter, answer: Sent | Withdrawn, gate: _Gate, hands: Hands) -> Outcome:
    match answer:
        case Sent(note, refused):
            return _write_down(
                draft, lambda ledger: departed(draft, letter, note, ledger=ledger, refused=refused), hands
            )
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
    if gate.was_open:
        return _write_down(draft, lambda ledger: doubted(draft, why, ledger=ledger), hands)
    return _write_down(draft, lambda ledger: postponed(draft, why, wait, ledger=ledger), hands)


def _back_off(draft: Draft, pace: Pace) -> timedelta:
    return pace.retries[min(draft.attempt, len(pace.retries)) - 1]


def _write_down(draft: Draft, deed: Callable[[Ledger], Outcome], hands: Hands) -> Outcome:
    outcome = _insist(deed, hands)
    return outcome or InDoubt(
        draft.id, "what became of it could not be written down; recovery will see to it"
    )


def _insist(deed: Callable[[Ledger], T], hands: Hands) -> T | None:
    """What is known must not be lost to a database that restarts just now. None: nobody could be found to write it."""
    try:
        return hands.store.insist(deed, now=hands.clock.now, by="dispatch", pauses=_pauses(hands.enough))
    except SQLAlchemyError:
        log.error("nothing could be written down, recovery will see to it")
        return None


def _pauses(enough: Event) -> Iterator[None]:
    """For as long as a restart may take; not for so long if somebody wants us to stop."""
    until = monotonic() + _PATIENCE
    yield from pauses()
    while monotonic() < until and not enough.is_set():
        enough.wait(_LATER_WAITS)
        yield
