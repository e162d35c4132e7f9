"""Story: the world spoke. Note it once, decide what it means, stop what it stops.

This is the cancel path. When `react` has returned, nothing more goes out to whoever answered.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic, sleep

from engine.absence import day_of_return
from engine.addresses import contact
from engine.advance import advance, look_ahead
from engine.brake import pause_what_fails
from engine.companies import company
from engine.errors import StillSending
from engine.events import AutoReply, Bounce, Complaint, Event, Incoming, Reply
from engine.model import Draft, Enrollment, Message, Pace, Thread
from engine.plan import Planned, calendar_of
from engine.seams import Clock
from engine.states import DraftState, EnrollmentState, HoldReason, StopReason
from engine.store import Ledger, Reach, Store
from engine.store.inbound import SOURCE
from engine.trail import span
from engine.verdict import ABSENCE, Hold, Stop, absence, stop_scope, verdict

_POLL, _LONGEST_POLL = 0.005, 0.05
#: The line in a sequence's `stop:` that speaks of it.
_RULE = {
    StopReason.REPLIED: "reply",
    StopReason.BOUNCED: "bounce",
    StopReason.COMPLAINED: "complaint",
    StopReason.UNSUBSCRIBED: "unsubscribe",
}


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

#: Held for these, a letter waits for a human, whoever is away besides.
_FIRM = frozenset(
    {HoldReason.UNVERIFIED, HoldReason.ANSWERED, HoldReason.CHANGED, HoldReason.REJECTED, HoldReason.RESTORED}
)


def react(event: Event, raw: bytes, *, store: Store, clock: Clock, pace: Pace) -> Reaction:
    """Raises StillSending when a letter was already leaving and does not land in time: it is stopped all the same."""
    with span("webhook hear"), store.transaction(clock.now(), "webhook") as ledger:
        heard = hear_and_keep(event, raw, ledger)
    wait_for_what_is_in_the_air(heard, store=store, clock=clock, pace=pace)
    return heard.reaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What came of it, whom it was about, and where it is kept, if it is worth keeping."""

    reaction: Reaction
    reach: Reach | None
    home: str | None = None


def hear_and_keep(event: Event, raw: bytes, ledger: Ledger) -> Hearing:
    """In somebody's transaction; and the letter is kept with the conversation that it belongs to."""
    heard = hear(event, raw, ledger)
    if heard.home and isinstance(event, Incoming):
        ledger.threads.lock([heard.home])
        if ledger.threads.keep(as_message(event, heard.home, ledger.now)):
            settle_yeses(heard, event, ledger)
    return heard


def settle_yeses(heard: "Hearing", event: Event, ledger: Ledger) -> None:
    """What a machine wrote was kept just now, and takes nobody's yes away."""
    if heard.home is not None and isinstance(event, AutoReply):
        ledger.drafts.follow(heard.home)


def _void_yeses(event: Event, reach: Reach, ledger: Ledger) -> None:
    """It stopped nothing; but what a human said yes to was said before it, wherever this person is spoken to."""
    if isinstance(event, Reply | Bounce):
        threads = [each.id for each in ledger.threads.of_people(reach.contacts, reach.threads)]
        ledger.threads.lock(threads)
        ledger.drafts.void_in(threads)


def hear(event: Event, raw: bytes, ledger: Ledger) -> Hearing:
    """In somebody's transaction. Whoever ends it well waits for what is in the air, and only then says so."""
    new = ledger.inbound.note_receipt(SOURCE, event.id, raw, "hearing")
    reach = _whom(event, ledger)
    if not new:
        return Hearing(reaction=Ignored("heard before"), reach=reach)
    reaction, concerns_somebody = _respond(event, reach, ledger)
    if reach and concerns_somebody and not isinstance(reaction, Stopped):
        _void_yeses(event, reach, ledger)
    ledger.inbound.conclude(SOURCE, event.id, in_a_word(reaction))
    home = (reach.home or _nearest(reach, ledger)) if reach and concerns_somebody else None
    return Hearing(reaction=reaction, reach=reach, home=home)


def note_unreadable(event_id: str, raw: bytes, why: str, *, store: Store, clock: Clock) -> None:
    """Signed, and we cannot read it: kept, so that a human can, and nothing is lost."""
    with store.transaction(clock.now(), "webhook") as ledger:
        ledger.inbound.note_receipt(SOURCE, f"unreadable/{event_id}", raw, f"unreadable: {why}")


def _whom(event: Event, ledger: Ledger) -> Reach | None:
    """The conversation it speaks of, and the person wherever a sequence speaks to them. None: nobody of ours."""
    inbox = contact(event.inbox_id)
    threads = ledger.threads.spoken_of(inbox, event.thread_id, _ids(event))
    contacts = {thread.contact for thread in threads if thread.contact and thread.enrollment_id}
    sender = contact(event.sender) if isinstance(event, Incoming) and event.sender else None
    if sender and ledger.threads.followed_up_from(inbox, sender):
        contacts.add(sender)
    found = [thread.id for thread in threads]
    if sender:
        found += ledger.threads.followed_up_by_hand(inbox, sender)
    if isinstance(said := verdict(event), Stop):
        found += _colleagues(said, {*contacts, *([sender] if sender else [])}, inbox, ledger)
    if not found and not contacts:
        return None
    return Reach(
        threads=tuple(dict.fromkeys(found)),
        contacts=frozenset(contacts),
        home=threads[-1].id if threads else None,
    )


def _colleagues(said: Stop, people: set[str], inbox: str, ledger: Ledger) -> list[str]:
    """The threads of those at the same company whose sequence stops for any of them.

    Written to from this inbox, or in the sequence that the answer is about: a pool has many inboxes.
    """
    companies = {employer for person in people if (employer := company(person))}
    found = [
        one
        for employer in sorted(companies)
        if (which := _stopped_together(said, employer, ledger))
        for one in ledger.enrollments.colleagues(employer, which)
    ]
    about = (
        {life.sequence for person in people for life in ledger.enrollments.living(person)} if found else {}
    )
    return [one.thread_id for one in found if one.inbox_id == inbox or one.sequence in about]


def _stopped_together(said: Stop, employer: str, ledger: Ledger) -> list[str]:
    """Of the versions that somebody there is in, those in which one answer is everybody's."""
    versions, rule = ledger.enrollments.versions_at(employer), _RULE[said.reason]
    return [each for each in versions if stop_scope(rule, ledger.enrollments.version(each)) == "company"]


def _respond(event: Event, reach: Reach | None, ledger: Ledger) -> tuple[Reaction, bool]:
    """And whether it is somebody's word, worth keeping."""
    if reach is None:
        return Ignored("no conversation of ours"), False
    if isinstance(event, Incoming) and _is_our_own(event, reach, ledger):
        return Ignored("our own mail"), False
    match verdict(event):
        case Stop() if _is_a_twin(event, ledger):
            return Ignored("the same mail under another event's name"), False
        case Stop(reason):
            return _stop(event, reach, reason, ledger), True
        case Hold(reason) if isinstance(event, AutoReply):
            return _be_away(event, reach, reason, ledger), True
        case Hold(reason):
            return _hold(reach, reason, ledger), True
        case None:
            return Ignored("changes nothing"), True


def _nearest(reach: Reach, ledger: Ledger) -> str:
    """A letter in a thread of its own is kept with the person who wrote it, else with their colleagues."""
    own = ledger.threads.of_people(reach.contacts, ())
    return own[-1].id if own else reach.threads[-1]


def _stop(event: Event, reach: Reach, reason: StopReason, ledger: Ledger) -> Reaction:
    failed: list[Thread] = []
    if isinstance(event, Bounce | Complaint):
        failed = _failed(event, ledger)
        if not failed:
            return Ignored("about somebody else")  # a copy to another address says nothing about this person
        _tell(event, failed, ledger)
        for person in sorted({thread.contact for thread in failed}) if isinstance(event, Complaint) else ():
            ledger.inbound.suppress(person, reason)
    sparing = _spared(reach, reason, ledger)
    if sparing.everybody:
        _count(failed, reason, ledger)
        return Ignored(f"the sequence does not stop for {_RULE[reason]}")
    called_back = ledger.call_back(reach, reason, sparing=sparing.enrollments)
    if sparing.enrollments:
        _void_yeses(event, reach, ledger)
    ledger.written.hold_answered(reach.threads)
    in_the_air = dict.fromkeys([*called_back.in_the_air, *ledger.written.recall_answered(reach.threads)])
    _count(failed, reason, ledger)
    return Stopped(reason, tuple(called_back.drafts), tuple(in_the_air))


def _failed(event: Bounce | Complaint, ledger: Ledger) -> list[Thread]:
    """The conversations whose own letter came back, or was called spam: not those of colleagues."""
    own = ledger.threads.spoken_of(contact(event.inbox_id), event.thread_id, _ids(event))
    told = set(map(contact, event.recipients))
    return [thread for thread in own if not told or thread.contact in told]


def _tell(event: Bounce | Complaint, failed: Iterable[Thread], ledger: Ledger) -> None:
    """Whoever sent it by our API wants to know."""
    kind = "message.bounced" if isinstance(event, Bounce) else "message.complained"
    for thread in failed:
        ledger.outbox.tell(
            kind,
            inbox_id=thread.inbox_id,
            thread_id=thread.id,
            message_id=event.message_id,
            recipients=list(event.recipients) or [thread.contact],
        )


def _count(failed: Iterable[Thread], reason: StopReason, ledger: Ledger) -> None:
    """Once each; also when nothing was left to be stopped, or nothing stops for it."""
    for thread in failed:
        ledger.threads.note_failure(thread.id, reason)
    pause_what_fails({thread.enrollment_id for thread in failed if thread.enrollment_id}, ledger)


@dataclass(frozen=True, slots=True)
class _Spared:
    """Those whose sequence says `never`."""

    enrollments: frozenset[str]
    everybody: bool


def _spared(reach: Reach, reason: StopReason, ledger: Ledger) -> _Spared:
    lives = ledger.lives(reach)
    spared = frozenset(
        one.id for one in lives if stop_scope(_RULE[reason], ledger.enrollments.version(one.version)) is None
    )
    return _Spared(spared, bool(lives) and len(spared) == len(lives))


def _hold(reach: Reach, reason: HoldReason, ledger: Ledger) -> Reaction:
    """Until a human says so. A letter that is leaving cannot be held; what would come after it can."""
    held = [
        draft
        for draft in ledger.waiting(reach)
        if ledger.drafts.hold(draft, reason, send_at=draft.send_at, until=None)
    ]
    ledger.pause(reach, reason, but_not={draft.enrollment_id for draft in held})
    unlabelled = ledger.written.hold_answered(reach.threads)
    return Held(reason, (*(draft.id for draft in held), *unlabelled), None)


def _be_away(event: AutoReply, reach: Reach, reason: HoldReason, ledger: Ledger) -> Reaction:
    """A hold does not use up the wait: what was three days off is three days off when it ends."""
    waiting = ledger.waiting(reach)
    held, ends = [], []
    for life in ledger.lives(reach):
        draft = next((draft for draft in waiting if draft.enrollment_id == life.id), None)
        until = _note_absence(event, life, ledger)
        ends.append(until)
        if draft is None:
            _sleep_on(life, until, reason, ledger)
        elif _is_firmer(draft, until):
            continue
        elif ledger.drafts.hold(draft, reason, send_at=_redated(draft, life, until, ledger), until=until):
            held.append(draft.id)
    for draft in waiting:
        until = ledger.now + ABSENCE
        if draft.enrollment_id is None and not _is_firmer(draft, until):  # nobody's sequence: as by default
            ends.append(until)
            if ledger.drafts.hold(draft, reason, send_at=draft.send_at + ABSENCE, until=until):
                held.append(draft.id)
    known = [end for end in ends if end is not None]
    return Held(reason, tuple(held), max(known) if len(known) == len(ends) and known else None)


def _note_absence(event: AutoReply, life: Enrollment, ledger: Ledger) -> datetime | None:
    """Until when; None: until a human says so."""
    sequence = ledger.enrollments.version(life.version)
    calendar = calendar_of(sequence, life.variables)
    today = ledger.now.astimezone(calendar.zone).date()
    back = day_of_return(event.subject, event.text, today)
    away = absence(sequence.out_of_office, calendar, ledger.now, back)
    if away is None:
        return None
    ledger.past.be_away(life.id, away)
    return away.until


def _is_firmer(draft: Draft, until: datetime | None) -> bool:
    """An absence does not loosen a hold that lasts longer."""
    if draft.state == DraftState.HELD and draft.outcome in _FIRM:
        return True
    if draft.state != DraftState.HELD or until is None:
        return False
    return draft.held_until is None or draft.held_until >= until


def _redated(draft: Draft, life: Enrollment, until: datetime | None, ledger: Ledger) -> datetime:
    """When it would leave after the absence. What a human has to release keeps its hour."""
    if until is None:
        return draft.send_at
    planned = look_ahead(life, ledger, besides=draft).plan
    if isinstance(planned, Planned) and planned.step == draft.step:
        return planned.send_at
    return draft.send_at + (until - ledger.now)


def _sleep_on(life: Enrollment, until: datetime | None, reason: HoldReason, ledger: Ledger) -> None:
    """It waits for something else than an hour: the wait grows longer."""
    if until is None:
        ledger.enrollments.pause([life.id], reason)
    elif life.state == EnrollmentState.ACTIVE and ledger.drafts.of(life.id) is None:
        advance(life, ledger)


def _is_our_own(event: Incoming, reach: Reach, ledger: Ledger) -> bool:
    """A copy of what we sent ourselves is nobody's answer; but one of our inboxes may be the person we write to."""
    inbox = contact(event.inbox_id)
    if event.message_id and ledger.threads.is_ours(inbox, event.message_id):
        return True
    sender = contact(event.sender or "")
    if sender == inbox:
        return True
    if sender in reach.contacts or not ledger.threads.our_inboxes([sender]):
        return False
    return sender not in {thread.contact for thread in ledger.threads.of_people((), reach.threads)}


def _is_a_twin(event: Event, ledger: Ledger) -> bool:
    """The same mail may be told twice. What only held it before does not count: it may be vouched for by now."""
    return (
        isinstance(event, Incoming)
        and event.message_id is not None
        and not ledger.inbound.note_message(contact(event.inbox_id), event.message_id)
    )


def _ids(event: Event) -> list[str]:
    """The letters of ours that it speaks of."""
    return event.speaks_of


def as_message(event: Incoming, thread_id: str, now: datetime) -> Message:
    """As it is kept."""
    return Message(
        message_id=event.message_id or f"<{event.id}@unknown>",
        inbox_id=contact(event.inbox_id),
        thread_id=thread_id,
        direction="received",
        sender=event.sender or "",
        to=event.to,
        subject=event.subject,
        text=event.text,
        timestamp=now,
        in_reply_to=event.in_reply_to,
        references=event.references,
        labels=("received", "unread"),
    )


def may_be_in_the_air(heard: Hearing) -> bool:
    """Is a letter leaving to whoever is to be told "stopped"? What was heard before may have been told too soon."""
    if heard.reach is None:
        return False
    return not isinstance(heard.reaction, Stopped) or bool(heard.reaction.in_the_air)


def wait_for_what_is_in_the_air(heard: Hearing, *, store: Store, clock: Clock, pace: Pace) -> None:
    """Whoever is told "stopped" must not get one more letter: so do not say it while one is leaving."""
    reach = heard.reach
    if reach is None or not may_be_in_the_air(heard):
        return
    with span("webhook wait"):
        _wait(reach, store=store, clock=clock, pace=pace)


def _wait(reach: Reach, *, store: Store, clock: Clock, pace: Pace) -> None:
    until, pause = monotonic() + pace.ack_wait.total_seconds(), _POLL
    while True:
        with store.reading(clock.now()) as ledger:
            flying = ledger.in_the_air(reach)
        if not flying:
            return
        if monotonic() > until:
            raise StillSending(
                f"stopped, but {', '.join(flying)} was already leaving and has not landed. Ask again soon."
            )
        sleep(pause)
        pause = min(pause * 1.5, _LONGEST_POLL)


def in_a_word(reaction: Reaction) -> str:
    match reaction:
        case Stopped(reason, drafts, _):
            return f"stopped: {reason}, {len(drafts)} cancelled"
        case Held(reason, drafts, _):
            return f"held: {reason}, {len(drafts)} held"
        case Ignored(why):
            return f"ignored: {why}"
