"""Story: a letter lands in one of our inboxes. It is kept, told to whoever wants to know, and stops what it stops."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from engine.addresses import contact
from engine.errors import StillSending
from engine.events import Event
from engine.ids import new_id
from engine.model import Attachment, Enclosure, Hidden, Message, Pace, Thread
from engine.react import (
    Hearing,
    Ignored,
    Reaction,
    hear,
    in_a_word,
    settle_yeses,
    wait_for_what_is_in_the_air,
)
from engine.seams import Clock
from engine.store import Ledger, Store
from engine.store.arrivals import Arrival
from engine.wish import keep_files

log = logging.getLogger("relent.receive")

#: The letter, as the mailbox's own webhook would tell it, and as an event: local and hosted take one road.
Read = Callable[[Message, str, str], tuple[Event | None, bytes]]

_AT_ONCE = 20
_LEASE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
#: Two machines that answer each other do so for ever. So many in an hour in one conversation, and the next waits an hour.
_MOST_IN_AN_HOUR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A letter as it came in."""

    event_id: str
    inbox_id: str
    message_id: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""
    text: str = ""
    html: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Enclosure, ...] = ()
    attachments: tuple[Attachment, ...] = ()  #: files that are kept here already
    authentic: Literal["pass", "none", "fail"] = "pass"  #: what its sender's domain says to it
    spam: bool = False


def receive(arrived: Arrived, *, read: Read, store: Store, clock: Clock, pace: Pace) -> Reaction:
    """When this has returned, nothing more goes out to whoever answered. Raises StillSending, as `react` does."""
    with store.transaction(clock.now(), "mailbox") as ledger:
        heard = _take_in(arrived, read, ledger)
    wait_for_what_is_in_the_air(heard, store=store, clock=clock, pace=pace)
    return heard.reaction


def receive_next(*, read: Read, store: Store, clock: Clock, pace: Pace) -> list[Reaction]:
    """What one inbox of ours has written to another. Killed in between, it is done once more, and comes to the same."""
    with store.reading(clock.now()) as ledger:
        due = ledger.arrivals.next_due()
    if due is None or due > clock.now():
        return []
    with store.transaction(clock.now(), "mailbox") as ledger:
        taken = ledger.arrivals.take(_AT_ONCE, until=ledger.now + _LEASE)
    return [_land(each, read, store=store, clock=clock, pace=pace) for each in taken]


def receive_sent(
    inbox_id: str, message_id: str, *, read: Read, store: Store, clock: Clock, pace: Pace
) -> list[Reaction]:
    """What this letter is to other inboxes of ours. A worker may have it in hand: it is waited for, or done for it.

    When this has returned, nobody who is answered by it sends on.
    """
    with store.reading(clock.now()) as ledger:
        sent = ledger.arrivals.of(inbox_id, message_id)
    return [_land(each, read, store=store, clock=clock, pace=pace) for each in sent]


def _land(taken: Arrival, read: Read, *, store: Store, clock: Clock, pace: Pace) -> Reaction:
    with store.transaction(clock.now(), "mailbox") as ledger:
        arrived = _from_inside(taken, ledger)
        if arrived is None:
            ledger.arrivals.end(taken, "its letter is not there any more")
            return Ignored("deleted on its way")
        if _is_a_loop(arrived, ledger):
            log.warning(
                "%s: too many letters from %s in an hour, this one waits", taken.inbox_id, taken.from_inbox
            )
            ledger.arrivals.wait(taken, ledger.now + _HOUR)
            return Ignored("too many in an hour")
        heard = _take_in(arrived, read, ledger)
        if ledger.arrivals.end(taken, in_a_word(heard.reaction)):
            ledger.outbox.tell(
                "message.delivered",
                inbox_id=taken.from_inbox,
                message_id=taken.message_id,
                thread_id=_sent_in(taken, ledger),
                recipients=[taken.inbox_id],
            )
    try:
        wait_for_what_is_in_the_air(heard, store=store, clock=clock, pace=pace)
    except StillSending as error:
        log.warning("%s", error)
    return heard.reaction


def _from_inside(taken: Arrival, ledger: Ledger) -> Arrived | None:
    """As its reader sees it: nobody is told of blind copies."""
    letter = ledger.threads.letter(taken.from_inbox, taken.message_id)
    if letter is None or letter.hidden == "deleted":
        return None
    return Arrived(
        event_id=taken.id,
        inbox_id=taken.inbox_id,
        message_id=letter.message_id,
        sender=letter.sender,
        to=letter.to,
        cc=letter.cc,
        reply_to=letter.reply_to,
        names=letter.names,
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        in_reply_to=letter.in_reply_to,
        references=letter.references,
        headers=letter.headers,
        attachments=letter.attachments,
    )


def _sent_in(taken: Arrival, ledger: Ledger) -> str | None:
    letter = ledger.threads.letter(taken.from_inbox, taken.message_id)
    return letter.thread_id if letter else None


def _is_a_loop(arrived: Arrived, ledger: Ledger) -> bool:
    thread = _known_thread(arrived, ledger)
    return (
        thread is not None and ledger.threads.letters_since(thread.id, ledger.now - _HOUR) > _MOST_IN_AN_HOUR
    )


# --- what is done with it ---


def _take_in(arrived: Arrived, read: Read, ledger: Ledger) -> Hearing:
    inbox = ledger.inboxes.get(arrived.inbox_id)
    if inbox is None:
        return _nothing(f"there is no inbox {arrived.inbox_id}")
    if inbox.paused:
        return _nothing(f"{arrived.inbox_id} is paused")
    if arrived.authentic == "fail":
        return _nothing("its sender's domain says that it is forged")
    kept = ledger.threads.letter(arrived.inbox_id, arrived.message_id)
    if kept is not None and kept.direction == "sent":
        return _nothing("our own mail")
    files = (*arrived.attachments, *keep_files(arrived.files, ledger))
    known = _known_thread(arrived, ledger)
    hidden = _hidden(arrived, known, ledger)
    thread = known or _new_thread(arrived, ledger)
    message = _as_message(arrived, thread, hidden, files, ledger)
    kind = "message.received" + (f".{hidden}" if hidden else "")
    event, raw = read(message, kind, arrived.event_id)
    # First whom it stops: that locks whoever is concerned, in the one order that everybody keeps. Whatever is made
    # before would hold on to the inbox, and whoever deletes that has the conversations first.
    heard = hear(event, raw, ledger) if event else _nothing("changes nothing")
    if ledger.threads.letter(arrived.inbox_id, arrived.message_id) is not None:  # a twin is over by now
        return heard
    if _keep(message, None if known else thread, kind, arrived.event_id, ledger) and event:
        settle_yeses(heard, event, ledger)
    return heard


def _keep(message: Message, new: Thread | None, kind: str, event_id: str, ledger: Ledger) -> bool:
    """False: it was there."""
    if new is not None:
        ledger.threads.add(new)
    ledger.threads.lock([message.thread_id])
    if not ledger.threads.keep(message):
        return False
    if (
        ledger.inboxes.get(message.inbox_id) is None
    ):  # deleted at this moment, by somebody who could not see it
        ledger.filing.erase(message.inbox_id, message.message_id)
    else:
        ledger.outbox.tell(
            kind,
            inbox_id=message.inbox_id,
            thread_id=message.thread_id,
            message_id=message.message_id,
            event_id=event_id,
            labels=list(message.labels),
        )
    return True


def _nothing(why: str) -> Hearing:
    return Hearing(reaction=Ignored(why), reach=None)


def _known_thread(arrived: Arrived, ledger: Ledger) -> Thread | None:
    """By what it answers, the nearest letter first; in this inbox, and never by what it is called."""
    nearest = dict.fromkeys([arrived.in_reply_to, *reversed(arrived.references)])
    for message_id in nearest:
        letter = ledger.threads.letter(arrived.inbox_id, message_id) if message_id else None
        if letter is not None:
            return ledger.threads.get(letter.thread_id)
    # an answer may be faster than the note that what it answers has left
    promised = ledger.threads.spoken_of(arrived.inbox_id, "", [each for each in nearest if each])
    return promised[-1] if promised else None


def _new_thread(arrived: Arrived, ledger: Ledger) -> Thread:
    """Not yet kept."""
    return Thread(
        id=new_id("thr", ledger.now),
        inbox_id=arrived.inbox_id,
        contact=contact(arrived.sender),
        subject=arrived.subject,
        enrollment_id=None,
    )


def _hidden(arrived: Arrived, known: Thread | None, ledger: Ledger) -> Hidden | None:
    """What answers our own letter is judged by the reply lists, everything else by the receive lists."""
    direction: Literal["reply", "receive"] = "receive"
    if known and _answers_us(arrived, ledger):
        direction = "reply"
    verdict = ledger.lists.verdict(direction, arrived.inbox_id, arrived.sender)
    if verdict == "block":
        return "blocked"
    if arrived.spam and verdict != "allow":
        return "spam"
    return "unauthenticated" if arrived.authentic == "none" else None


def _answers_us(arrived: Arrived, ledger: Ledger) -> bool:
    ours = (arrived.in_reply_to, *arrived.references)
    return any(
        letter.direction == "sent"
        for each in ours
        if each and (letter := ledger.threads.letter(arrived.inbox_id, each))
    )


def _as_message(
    arrived: Arrived,
    thread: Thread,
    hidden: Hidden | None,
    files: tuple[Attachment, ...],
    ledger: Ledger,
) -> Message:
    return Message(
        message_id=arrived.message_id,
        inbox_id=arrived.inbox_id,
        thread_id=thread.id,
        direction="received",
        sender=arrived.sender,
        to=arrived.to,
        cc=arrived.cc,
        names=arrived.names,
        reply_to=arrived.reply_to,
        subject=arrived.subject,
        text=arrived.text,
        html=arrived.html,
        timestamp=_now(ledger.now),
        in_reply_to=arrived.in_reply_to,
        references=arrived.references,
        headers=arrived.headers,
        attachments=files,
        labels=("received", "unread", *([hidden] if hidden else [])),
        size=len((arrived.text + (arrived.html or "")).encode()) + sum(each.size for each in files),
        hidden=hidden,
    )


def _now(now: datetime) -> datetime:
    """As the books know it."""
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
