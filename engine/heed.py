"""Who has answered, and nobody told us? Asked right before the gate, where a mailbox can say; and of our own books.

A webhook is somebody else's promise. What it missed is heard here, by the same road as if it had come, and so it stops
what it stops.
"""

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from time import monotonic

from engine.compose import outside
from engine.errors import MailboxError, StillSending
from engine.events import Event, Reply
from engine.model import Draft, Letter, Message, Pace
from engine.react import Ignored, Reaction, hear, in_a_word, react
from engine.seams import Clock, Mailbox
from engine.store import Store
from engine.store.inbound import MISSED

log = logging.getLogger("relent.heed")

_BY = "the watch"
#: RFC 3834, section 5: whatever else stands there, a machine wrote it.
_NO_MACHINE = "no"


def listen(
    letter: Letter, draft: Draft, *, mailbox: Mailbox, store: Store, clock: Clock, pace: Pace
) -> str | None:
    """Ask where the letter goes on what came in there. None: whoever has answered is heard. Else why nobody knows.

    An answer that took long is none: in all that time somebody may have written.
    """
    if not letter.references or not outside(letter):
        return None  # nothing was said yet that anybody could have answered; or whoever answers does it here
    began = monotonic()
    try:
        events = mailbox.answers_to(letter, draft.thread_id)
    except MailboxError as error:
        return f"nobody could say whether somebody has answered: {error}"
    took = timedelta(seconds=monotonic() - began)
    for event in events:
        _hear_as_told(event, store=store, clock=clock, pace=pace)
    if took > pace.patience_to_listen:
        return f"it took {took.total_seconds():.0f} s to say whether somebody has answered"
    return None


def hear_missed(thread_id: str, *, store: Store, clock: Clock) -> list[Reaction]:
    """The letters in this conversation that are kept, and that nobody has heard. Each in a transaction of its own."""
    with store.reading(clock.now()) as ledger:
        letters = ledger.drift.unheard_in(thread_id)
    reactions = [_hear_again(each, store=store, clock=clock) for each in letters]
    return [each for each in reactions if each is not None]


def _hear_as_told(event: Event, *, store: Store, clock: Clock, pace: Pace) -> None:
    """Nobody waits for an answer from us, so nothing in the air is waited for."""
    at_once = replace(pace, ack_wait=timedelta(0))
    reaction: Reaction | None = None
    with suppress(StillSending):
        reaction = react(event, _as_bytes(event), store=store, clock=clock, pace=at_once)
    if reaction is None or not isinstance(reaction, Ignored):
        with store.transaction(clock.now(), _BY) as ledger:
            ledger.inbound.count(MISSED, 1)
        log.warning(
            "no webhook told us of %s in %s, the mailbox did: %s",
            event.id,
            event.thread_id,
            in_a_word(reaction) if reaction else "stopped",
        )


def _hear_again(kept: Message, *, store: Store, clock: Clock) -> Reaction | None:
    """None: by now somebody has heard it."""
    event = _as_event(kept)
    with store.transaction(clock.now(), _BY) as ledger:
        if kept not in ledger.drift.unheard_in(kept.thread_id):
            return None
        reaction = hear(event, _as_bytes(event), ledger).reaction
        if kept in ledger.drift.unheard_in(kept.thread_id):  # it stops nobody; let it be asked for no more
            ledger.inbound.note_message(kept.inbox_id, kept.message_id)
        else:
            ledger.inbound.count(MISSED, 1)
    log.warning("nobody had heard %s in %s: %s", kept.message_id, kept.thread_id, in_a_word(reaction))
    return reaction


def _as_event(kept: Message) -> Event:
    """Whatever may be a machine's, or a forgery, holds and does not stop: a human looks."""
    said_by = {name.lower(): value for name, value in kept.headers.items()}
    by_hand = said_by.get("auto-submitted", _NO_MACHINE).strip().lower() == _NO_MACHINE
    name = hashlib.sha256(f"{kept.inbox_id}\0{kept.message_id}".encode("utf-8", "replace"))
    return Reply(
        id=f"missed/{name.hexdigest()[:32]}",
        inbox_id=kept.inbox_id,
        thread_id=kept.thread_id,
        message_id=kept.message_id,
        at=kept.timestamp,
        sender=kept.sender,
        subject=kept.subject,
        text=kept.text,
        in_reply_to=kept.in_reply_to,
        references=kept.references,
        to=kept.to,
        verified=by_hand and kept.hidden not in {"blocked", "spam", "unauthenticated"},
    )


def _as_bytes(event: Event) -> bytes:
    """For the receipts, so that a human can read what was heard."""
    said = {"heard_as": type(event).__name__.lower(), **asdict(event)}
    return json.dumps(said, default=_iso, ensure_ascii=False).encode("utf-8", "replace")


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
