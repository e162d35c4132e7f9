"""Story: the world spoke. Note it once, decide what it means, stop what it stops.

This is the cancel path. When `react` has returned, nothing more goes out to whoever answered.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic, sleep

from engine.addresses import contact
from engine.errors import StillSending
from engine.events import Bounce, Complaint, Event, Incoming
from engine.model import Message, Pace
from engine.seams import Clock
from engine.states import DraftState, HoldReason, StopReason
from engine.store import Ledger, Reach, Store
from engine.verdict import Hold, Stop, verdict

_SOURCE = "agentmail"
_POLL = 0.005


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing more goes out."""

    reason: StopReason
    drafts: tuple[str, ...]
    in_the_air: tuple[str, ...] = ()  #: already leaving when somebody answered


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing goes out before then, or before a human says so."""

    reason: HoldReason
    drafts: tuple[str, ...]
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Noted, and nothing changed."""

    why: str


Reaction = Stopped | Held | Ignored


def react(event: Event, raw: bytes, *, store: Store, clock: Clock, pace: Pace) -> Reaction:
    """Raises StillSending when a letter was already leaving and does not land in time: it is stopped all the same."""
    with store.transaction(clock.now(), "webhook") as ledger:
        new = ledger.inbound.note_receipt(_SOURCE, event.id, raw, "hearing")
        reach = _whom(event, ledger)
        reaction = _respond(event, reach, ledger) if new else Ignored("heard before")
        if new:
            ledger.inbound.conclude(_SOURCE, event.id, in_a_word(reaction))
    if reach and not (isinstance(reaction, Stopped) and not reaction.in_the_air):
        _wait_for_what_is_in_the_air(reach, store=store, clock=clock, pace=pace)
    return reaction


def note_unreadable(event_id: str, raw: bytes, why: str, *, store: Store, clock: Clock) -> None:
    """Signed, and we cannot read it: kept, so that a human can, and nothing is lost."""
    with store.transaction(clock.now(), "webhook") as ledger:
        ledger.inbound.note_receipt(_SOURCE, f"unreadable/{event_id}", raw, f"unreadable: {why}")


def _whom(event: Event, ledger: Ledger) -> Reach | None:
    """The conversation it speaks of, and the person wherever a sequence speaks to them. None: nobody of ours."""
    inbox = contact(event.inbox_id)
    answered = _ids(event)
    threads = ledger.threads.spoken_of(inbox, event.thread_id, answered)
    contacts = {thread.contact for thread in threads if thread.contact and thread.enrollment_id}
    if isinstance(event, Incoming) and event.sender:
        sender = contact(event.sender)
        if ledger.threads.followed_up_from(inbox, sender):
            contacts.add(sender)
    if not threads and not contacts:
        return None
    return Reach(threads=tuple(thread.id for thread in threads), contacts=frozenset(contacts))


def _respond(event: Event, reach: Reach | None, ledger: Ledger) -> Reaction:
    if reach is None:
        return Ignored("no conversation of ours")
    if isinstance(event, Incoming) and _is_our_own(event, reach, ledger):
        return Ignored("our own mail")
    match verdict(event):
        case Stop() if _is_a_twin(event, ledger):
            return Ignored("the same mail under another event's name")
        case Stop(reason):
            reaction: Reaction = _stop(event, reach, reason, ledger)
        case Hold(reason, lasting):
            reaction = _hold(reach, reason, ledger.now + lasting if lasting else None, ledger)
        case None:
            reaction = Ignored("changes nothing")
    if isinstance(event, Incoming):
        threads = reach.threads or tuple(each.id for each in ledger.threads.of_people(reach.contacts, ()))
        _keep(event, threads[-1], ledger)
    return reaction


def _stop(event: Event, reach: Reach, reason: StopReason, ledger: Ledger) -> Reaction:
    if isinstance(event, Bounce | Complaint):
        persons = {ledger.threads.get(thread_id).contact for thread_id in reach.threads}
        if event.recipients and persons.isdisjoint(map(contact, event.recipients)):
            return Ignored("about somebody else")  # a copy to another address says nothing about this person
        for person in sorted(persons) if isinstance(event, Complaint) else ():
            ledger.inbound.suppress(person, reason)
    called_back = ledger.call_back(reach, reason)
    return Stopped(reason, tuple(called_back.drafts), tuple(called_back.in_the_air))


def _hold(reach: Reach, reason: HoldReason, until: datetime | None, ledger: Ledger) -> Reaction:
    """A hold does not use up the wait: what was three days off is three days off when it ends."""
    later = until - ledger.now if until else timedelta(0)
    waiting = ledger.waiting(reach)
    held = [
        draft
        for draft in waiting
        if (until is None or draft.state != DraftState.HELD)  # an absence does not loosen a firmer hold
        and ledger.drafts.hold(draft, reason, send_at=draft.send_at + later, until=until)
    ]
    if until is None:  # a letter that is leaving cannot be held; what would come after it can
        ledger.pause(reach, reason, but_not={draft.enrollment_id for draft in held})
    return Held(reason, tuple(draft.id for draft in held), until)


def _is_our_own(event: Incoming, reach: Reach, ledger: Ledger) -> bool:
    """A copy of what we sent ourselves is nobody's answer; but one of our inboxes may be the person we write to."""
    inbox = contact(event.inbox_id)
    if event.message_id and ledger.threads.is_ours(inbox, event.message_id):
        return True
    sender = contact(event.sender or "")
    return sender == inbox or (sender not in reach.contacts and bool(ledger.threads.our_inboxes([sender])))


def _is_a_twin(event: Event, ledger: Ledger) -> bool:
    """The same mail may be told twice. What only held it before does not count: it may be vouched for by now."""
    return (
        isinstance(event, Incoming)
        and event.message_id is not None
        and not ledger.inbound.note_message(contact(event.inbox_id), event.message_id)
    )


def _ids(event: Event) -> list[str]:
    """The letters of ours that it speaks of."""
    if isinstance(event, Incoming):
        return [*event.references, *([event.in_reply_to] if event.in_reply_to else [])]
    return [event.message_id] if event.message_id else []


def _keep(event: Incoming, thread_id: str, ledger: Ledger) -> None:
    ledger.threads.lock([thread_id])
    ledger.threads.keep(
        Message(
            message_id=event.message_id or f"<{event.id}@unknown>",
            inbox_id=contact(event.inbox_id),
            thread_id=thread_id,
            direction="received",
            sender=event.sender or "",
            to=event.to,
            subject=event.subject,
            text=event.text,
            timestamp=ledger.now,
            in_reply_to=event.in_reply_to,
            references=event.references,
            labels=("received", "unread"),
        )
    )


def _wait_for_what_is_in_the_air(reach: Reach, *, store: Store, clock: Clock, pace: Pace) -> None:
    """Whoever is told "stopped" must not get one more letter: so do not say it while one is leaving."""
    until = monotonic() + pace.ack_wait.total_seconds()
    while True:
        with store.reading(clock.now()) as ledger:
            flying = ledger.in_the_air(reach)
        if not flying:
            return
        if monotonic() > until:
            raise StillSending(
                f"stopped, but {', '.join(flying)} was already leaving and has not landed. Ask again soon."
            )
        sleep(_POLL)


def in_a_word(reaction: Reaction) -> str:
    match reaction:
        case Stopped(reason, drafts, _):
            return f"stopped: {reason}, {len(drafts)} cancelled"
        case Held(reason, drafts, _):
            return f"held: {reason}, {len(drafts)} held"
        case Ignored(why):
            return f"ignored: {why}"
