"""Story: is this still the database that it was? If not, nothing leaves it until a human says so.

A backup that is put back has forgotten what was sent since, and who answered. A copy does not know of the original that
goes on beside it. Both would send letters a second time, and to people who have answered; so neither sends anything.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.errors import MailboxError
from engine.model import Draft
from engine.ready import as_it_left
from engine.seams import Clock, Mailbox, Trace
from engine.settle import Delivered, departed
from engine.states import HoldReason
from engine.store import Book, Brake, Doubt, Ledger, Place, Store, write_into_the_file
from engine.witness import UNBORN, Memory, Witness

log = logging.getLogger("relent.safe")

#: The clocks of those who look after one house agree to within this: see docs/promises.md.
_CLOCKS = timedelta(minutes=10)
_ASKED_AT_ONCE = 200
#: How every brake begins that this story puts on, and why a draft is held.
RESTORED = HoldReason.RESTORED
#: What is compared of two places, and what it means that it differs.
_MOVED = {
    "inode": "it is another file than the one that was here: a copy, or a backup that was put in its place",
    "born": "it is another file than the one that was here: a copy, or a backup that was put in its place",
    "machine": "it lay on another machine: this is a copy, or the whole was moved",
    "system": "it lay on another server: it was copied there, or restored",
    "database": "it was another database on its server: this is a copy, or it was made anew",
    "table": "its tables are not those that they were: they were restored from a dump",
    "timeline": "its server was restored to an earlier moment, or a standby took over of which nobody knows whether it has everything",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What stays until somebody says yes, because it may have left already."""

    drafts: int = 0
    people: int = 0  #: whose next step was due


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What a human has let go."""

    brake: Brake | None  #: None: nobody stood on it
    doubt: str | None  #: why the database was not believed; None: it was
    held: Held = field(default_factory=Held)
    restored: int = 0  #: drafts that wait for a yes, because the database was restored or copied
    scheduled: int = 0  #: drafts that go at their hours
    due: int = 0  #: of these, whose hour has passed: they leave at the ordinary limits
    late: int = 0  #: drafts that wait for a yes, because they are too late


def judge(memory: Memory | None, book: Book) -> str | None:
    """Why this may not be the database that it was. None: it is."""
    ours = memory if memory and memory.house == book.house else None
    if ours is not None and (forgotten := _forgotten(ours, book)):
        return forgotten
    if book.home is not None and (moved := _elsewhere(book.home, book.here, whole=_is_whole(ours, book))):
        return moved
    if ours is not None or book.home is None or not book.alone:  # known; or a first time, or one more machine
        return None
    if memory is None:
        return "the state file beside it is gone, so nobody can say whether it was restored"
    return "the state file beside it is another database's, so nobody can say whether it was restored"


def _is_whole(ours: Memory | None, book: Book) -> bool:
    """Does the line stand in it that was remembered of this very life of it? That it was not forgotten has been seen."""
    return ours is not None and ours.line is not None and ours.boot == book.boot


def _elsewhere(home: Place, here: Place, *, whole: bool = False) -> str | None:
    """`whole`: nothing is missing. Then a standby that every commit had waited for may have taken over."""
    for name, words in _MOVED.items():
        was, now = home.get(name), here.get(name)
        harmless = name == "timeline" and here.get("waited_for") and whole
        if was is not None and now is not None and was != now and not harmless:
            return words
    return None


def _forgotten(ours: Memory, book: Book) -> str | None:
    if ours.boot == (book.boot or UNBORN):
        said = book.remembered and book.remembered.said
        if ours.line is None or said == ours.said:
            return None
    elif ours.boot in book.before and book.since and ours.at <= book.since + _CLOCKS:
        return None  # a human has seen to it since
    last = f"ends on {_said(book.last.at)}" if book.last else "is empty"
    return f"it has forgotten what it knew on {_said(ours.at)}: its log {last}. It was restored from a backup"


def _said(at: datetime) -> str:
    return f"{at:%a %d %b %Y %H:%M:%S} UTC"


def arrive(witness: Witness, *, store: Store, clock: Clock, known: Memory | None = None) -> Memory | None:
    """Before anything is sent. None: it is not believed, and braked. `known`: what this process has seen itself."""
    with store.reading(clock.now()) as ledger:
        house, boot = ledger.lineage.house(), ledger.watch.boot()
    with store.transaction(clock.now(), "the house") as ledger:
        ledger.lineage.lock()  # of two who arrive at one moment, the second finds what the first has remembered
        # before the book: whoever writes it has read the book before
        memory = known or witness.recall(house, boot)
        book = ledger.lineage.book(memory)
        doubt = _doubt(memory, book, ledger)
        settles = book.home is None or _elsewhere(book.home, book.here) is not None
        if doubt is None and settles:
            if book.home is None:  # else whoever dies right after this commit leaves a file that nobody knows
                witness.remember(book.memory(clock.now()))
            book = ledger.lineage.settle_in(book)
        if doubt is not None:
            _hold_everything(doubt, ledger)
    if doubt is not None:
        log.error("nothing is sent: %s. When that is right: relent resume --all", doubt.why)
        return None
    if settles:
        write_into_the_file(store)
    return _remember(book, witness, clock)


def look(memory: Memory | None, witness: Witness, *, store: Store, clock: Clock) -> Memory | None:
    """Now and then, while letters leave: a database can be put back under the feet of whoever works with it."""
    with store.reading(clock.now()) as ledger:
        book = ledger.lineage.book(memory)
        doubt, brake = ledger.lineage.doubt(), ledger.watch.braked()
    if doubt is not None and brake is not None:
        return None  # that is known, and nothing leaves
    if memory is None or doubt is not None or book.home is None or judge(memory, book):
        return arrive(witness, store=store, clock=clock, known=memory)
    now = book.memory(clock.now())
    return memory if (now.boot, now.line) == (memory.boot, memory.line) else _remember(book, witness, clock)


def resume(witness: Witness, *, by: str, store: Store, clock: Clock) -> Released:
    """A human says: this is the house, and it may send. Nothing that was due meanwhile leaves without another word."""
    with store.reading(clock.now()) as ledger:
        memory = witness.recall(ledger.lineage.house(), ledger.watch.boot())
    with store.transaction(clock.now(), by) as ledger:
        ledger.lineage.lock()
        book = ledger.lineage.book(memory)
        doubt = _doubt(memory, book, ledger) or _gone(ledger)
        ledger.lineage.reopen()
        held = Held()
        if doubt is not None:
            held = _hold_back(doubt.why, ledger)
            book = ledger.lineage.settle_in(book, known=doubt.boots)
        brake = ledger.watch.braked()
        ledger.watch.release(f"{by} says so")
        released = Released(
            brake=brake, doubt=doubt.why if doubt else None, held=held, **ledger.views.waiting(ledger.now)
        )
    if doubt is not None:
        write_into_the_file(store)
        _remember(book, witness, clock)
    return released


def doubt_of(witness: Witness, *, store: Store, clock: Clock) -> str | None:
    """Why it would not be believed. Writes nothing."""
    with store.reading(clock.now()) as ledger:
        memory = witness.recall(ledger.lineage.house(), ledger.watch.boot())
    with store.reading(clock.now()) as ledger:
        doubt = _doubt(memory, ledger.lineage.book(memory), ledger)
    return doubt.why if doubt else None


def ask_the_mailbox(*, store: Store, mailbox: Mailbox, clock: Clock) -> int:
    """What it can prove to have left, has left. What it cannot waits for a human. How many have."""
    found, after = 0, ""
    while True:
        with store.reading(clock.now()) as ledger:
            waiting = ledger.drafts.restored(after=after, at_most=_ASKED_AT_ONCE)
        for draft in waiting:
            match _trace(draft, mailbox):
                case Trace.UNKNOWN:
                    return found
                case Trace.FOUND:
                    found += _left(draft, mailbox, store, clock)
        if not waiting:
            return found
        after = waiting[-1].id


def _trace(draft: Draft, mailbox: Mailbox) -> Trace:
    try:
        return mailbox.find(draft.message_id)
    except MailboxError as error:
        log.warning("the mailbox cannot be asked what has left: %s", error)
        return Trace.UNKNOWN


def _left(draft: Draft, mailbox: Mailbox, store: Store, clock: Clock) -> bool:
    with store.transaction(clock.now(), "recovery") as ledger:
        ledger.threads.lock([draft.thread_id])
        outcome = departed(draft, as_it_left(draft, ledger), f"{mailbox.name} says so", ledger=ledger)
    return isinstance(outcome, Delivered)


def _doubt(memory: Memory | None, book: Book, ledger: Ledger) -> Doubt | None:
    """What is seen now, else what nobody has seen to yet."""
    earlier, why = ledger.lineage.doubt(), judge(memory, book)
    if why is None:
        return earlier
    known = (*(earlier.boots if earlier else ()), *((memory.boot,) if memory else ()))
    return Doubt(why, tuple(dict.fromkeys(known)))


def _gone(ledger: Ledger) -> Doubt | None:
    """Opened again although everything has moved: from over there it may have been sent."""
    gone = ledger.lineage.moved()
    return Doubt(f"everything was moved to {gone.where}") if gone else None


def _hold_everything(doubt: Doubt, ledger: Ledger) -> None:
    if ledger.lineage.doubt() is None:
        ledger.members.end_everything()
    ledger.lineage.note_doubt(doubt)
    ledger.watch.brake(f"{RESTORED}: {doubt.why}", firmly=True)
    _hold_back(doubt.why, ledger)


def _hold_back(why: str, ledger: Ledger) -> Held:
    """Whatever is due by now may have left in a time that this database does not know of, or from its twin."""
    rows = ledger.drafts.hold_what_may_have_left()
    people = ledger.enrollments.pause_sleepers(f"{RESTORED}: {why}")
    for row in rows:
        ledger.outbox.tell(
            "draft.held",
            inbox_id=row.inbox_id,
            thread_id=row.thread_id,
            message_id=row.message_id,
            draft_id=row.id,
            reason=row.outcome,
        )
    return Held(drafts=len(rows), people=people)


def _remember(book: Book, witness: Witness, clock: Clock) -> Memory:
    memory = book.memory(clock.now())
    witness.remember(memory)
    return memory
