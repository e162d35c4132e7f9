"""What somebody wants written, and the draft that it becomes: whom a reply goes to, what it is called, where it belongs."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from engine.addresses import contact
from engine.compose import forward_subject, reply_subject
from engine.errors import Busy, Forbidden, Invalid, Issue, NotFound, Unprocessable
from engine.ids import message_id, new_id
from engine.model import NEVER, Attachment, Draft, DraftKind, Enclosure, Message, Thread, content_sha
from engine.oddity import oddities, rank
from engine.states import GRAVE, DraftState, HoldReason
from engine.store import Ledger
from engine.store.letters import Sieve

MOST_READERS, MOST_FILES = 50, 100
#: Whoever gives a draft this label wants a human's yes before it leaves, whatever their own word is worth.
NEEDS_REVIEW = "needs-review"
#: A clock that is a little late is no mistake; a moment long past is one, and mail cannot be called back.
_JUST_NOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who writes, and whether their word is enough for a letter to leave."""

    id: str
    may_send: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A letter as it is asked for. None: not said, so it is derived."""

    inbox_id: str
    to: tuple[str, ...] | None = None
    cc: tuple[str, ...] | None = None
    bcc: tuple[str, ...] | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    reply_to: tuple[str, ...] = ()
    subject: str | None = None
    text: str = ""
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Enclosure, ...] = ()
    labels: tuple[str, ...] = ()
    in_reply_to: str | None = None
    forward_of: str | None = None
    reply_all: bool = False
    send_at: datetime | None = None
    client_id: str | None = None
    goes_into: str | None = None  #: a conversation; only with `on_trust`
    on_trust: bool = False  #: what it answers is looked for when it leaves, and not before

    @property
    def kind(self) -> DraftKind:
        if self.forward_of is not None:
            return "forward"
        if self.in_reply_to is not None:
            return "reply_all" if self.reply_all else "reply"
        return "plain"


def draft_of(wish: Wish, *, by: Author, ledger: Ledger) -> Draft:
    """Not yet kept; its thread is, and its files are. Raises Invalid, NotFound, Forbidden."""
    _check(wish, by)
    files = keep_files(wish.files, ledger)
    source = None if wish.on_trust else _source(wish, ledger)
    to, cc = _readers(wish, source)
    names = {**(source.names if source else {}), **wish.names}
    subject = wish.subject if wish.subject is not None else _subject(wish, source)
    thread_id = source.thread_id if source else _new_thread(wish, to, subject, ledger)
    draft_id = new_id("drf", ledger.now)
    readers = {contact(each) for each in (*to, *cc, *(wish.bcc or ()), *wish.reply_to)}
    draft = Draft(
        id=draft_id,
        inbox_id=wish.inbox_id,
        thread_id=thread_id,
        enrollment_id=None,
        step="",
        state=_first_state(wish),
        send_at=_first_hour(wish, ledger.now),
        outcome=HoldReason.APPROVAL if NEEDS_REVIEW in wish.labels else None,
        to=to[0] if to else "",
        also_to=to[1:],
        cc=cc,
        bcc=wish.bcc or (),
        names={address: name for address, name in names.items() if contact(address) in readers},
        reply_to=wish.reply_to,
        subject=subject,
        text=wish.text,
        html=wish.html,
        headers=dict(wish.headers),
        attachments=files,
        labels=tuple(dict.fromkeys(wish.labels)),
        kind="plain" if wish.on_trust else wish.kind,
        in_reply_to=wish.in_reply_to if wish.on_trust else _id_of(source, wish.in_reply_to),
        goes_into=wish.goes_into if wish.on_trust else None,
        forward_of=_id_of(source, wish.forward_of),
        client_id=wish.client_id,
        message_id=message_id(ledger.instance_key(), draft_id, "", wish.inbox_id),
        reason="asked for",
        content_sha="",
    )
    check_readers(draft)
    if NEEDS_REVIEW not in draft.labels:
        return approved(draft, by)
    locked = conversations_of(draft, ledger)
    ledger.threads.lock(locked)
    return for_review(replace(placed(draft, locked, ledger), asked_at=ledger.now))


def _first_state(wish: Wish) -> DraftState:
    if NEEDS_REVIEW in wish.labels:
        return DraftState.HELD
    return DraftState.SCHEDULED if wish.send_at else DraftState.WRITTEN


def _first_hour(wish: Wish, now: datetime) -> datetime:
    """Without an hour it leaves as soon as somebody has said yes, if that is what is waited for."""
    if wish.send_at:
        return hour(wish.send_at, now)
    return now if NEEDS_REVIEW in wish.labels else NEVER


def only_a_human(draft: Draft) -> bool:
    """Does it want a human's yes, whatever its author's word is worth? Once that was said it stays so."""
    return draft.asked_at is not None or NEEDS_REVIEW in draft.labels


def still_for(draft: Draft) -> HoldReason:
    """What it waits for when a yes is wanted: what else it is held for, it is held for still."""
    if draft.state == DraftState.HELD and draft.outcome in GRAVE:
        return HoldReason(draft.outcome)
    return HoldReason.APPROVAL


def for_review(draft: Draft) -> Draft:
    """With nobody's yes, and what a reviewer should look at twice."""
    found = tuple(each for reader in draft.everybody[:1] or ("",) for each in oddities(draft.text, reader))
    return replace(
        draft,
        content_sha=content_sha(draft),
        approved_sha=None,
        approved_by=None,
        approved_head=None,
        approved_name=None,
        approved_until=None,
        oddities=found,
        rank=rank(found),
    )


def approved(draft: Draft, by: Author) -> Draft:
    """With the yes of whoever may give one, and bound to these words."""
    sha = content_sha(draft)
    return replace(
        draft,
        content_sha=sha,
        approved_sha=sha if by.may_send else None,
        approved_by=by.id if by.may_send else None,
        approved_head=None,
        approved_name=None,
        approved_until=None,
    )


def hour(send_at: datetime, now: datetime) -> datetime:
    if send_at < now - _JUST_NOW:
        raise Invalid(Issue(("send_at",), f"{send_at.isoformat()} has passed; the time is {now.isoformat()}"))
    return max(send_at, now)


def check_readers(draft: Draft) -> None:
    if len(draft.everybody) > MOST_READERS:
        raise Invalid(
            Issue(
                ("to",), f"a letter has at most {MOST_READERS} readers; this one has {len(draft.everybody)}"
            )
        )


def check_files(draft: Draft) -> None:
    """However many requests they came in."""
    if len(draft.attachments) > MOST_FILES:
        raise Invalid(
            Issue(
                ("add_attachments",),
                f"a letter has at most {MOST_FILES} files; this one would have {len(draft.attachments)}",
            )
        )


def may_schedule(by: Author) -> None:
    """An hour is a yes."""
    if not by.may_send:
        raise Forbidden(
            "this key writes drafts; it may not let one leave, now or later", "missing_permission"
        )


def keep_files(files: Iterable[Enclosure], ledger: Ledger) -> tuple[Attachment, ...]:
    """What is in them is kept once, however many letters carry them.

    Before anything else is locked: whoever keeps the same file at this moment is waited for.
    """
    known = [(hashlib.sha256(file.content).hexdigest(), file) for file in files]
    ledger.drafts.keep_files({sha: file.content for sha, file in known})
    return tuple(
        Attachment(
            id=new_id("att", ledger.now),
            name=file.name,
            content_type=file.content_type,
            sha=sha,
            size=len(file.content),
            disposition=file.disposition,
            content_id=file.content_id,
        )
        for sha, file in known
    )


def still_here(made: Draft, ledger: Ledger) -> None:
    """Asked once it is made: whoever deletes the inbox at this moment has seen the draft, or is seen here."""
    if ledger.inboxes.get(made.inbox_id) is None:
        raise NotFound(f"there is no inbox {made.inbox_id}")


def referred_to(inbox_id: str, name: str, ledger: Ledger) -> Message:
    """The letter that is answered or passed on: one of this inbox, that nobody has deleted."""
    found = ledger.letters.get(inbox_id, name)
    if found is None:
        raise NotFound(f"there is no message {name} in {inbox_id}")
    return found


def conversations_of(draft: Draft, ledger: Ledger) -> set[str]:
    """The one that it is in, and the one that it is for: to be locked together."""
    source = _answered(draft, ledger) if draft.unplaced else None
    return {draft.thread_id} if source is None else {draft.thread_id, source.thread_id}


def placed(draft: Draft, locked: Collection[str], ledger: Ledger) -> Draft:
    """In the conversation that it is for, which is looked for only now. Raises Unprocessable, and then it stays a draft.

    `locked`: the conversations that the caller has locked.
    """
    if not draft.unplaced:
        return draft
    source = _answered(draft, ledger)
    if source is None:
        raise Unprocessable(f"{draft.id} answers what is not there: {_said_to_answer(draft)}")
    if source.thread_id not in locked:
        raise Busy(f"{draft.id} was changed by somebody else meanwhile")
    return replace(
        draft,
        thread_id=source.thread_id,
        kind="reply",
        in_reply_to=source.message_id,
        goes_into=None,
        subject=draft.subject or reply_subject(source.subject),
    )


def _answered(draft: Draft, ledger: Ledger) -> Message | None:
    """The letter that it names, or the last one of the conversation; both must fit, and be of this inbox."""
    name = draft.in_reply_to
    if name is None and draft.goes_into is not None:
        talk = ledger.letters.conversation(Sieve(inbox_id=draft.inbox_id), draft.goes_into)
        name = talk.last_message_id if talk else None
    found = ledger.letters.get(draft.inbox_id, name) if name else None
    if found is None or found.hidden == "deleted" or draft.goes_into not in (None, found.thread_id):
        return None
    return found


def _said_to_answer(draft: Draft) -> str:
    named = {"message": draft.in_reply_to, "thread": draft.goes_into}
    return " of ".join(f"{what} {name}" for what, name in named.items() if name is not None)


def _id_of(source: Message | None, asked: str | None) -> str | None:
    return source.message_id if source and asked is not None else None


def _check(wish: Wish, by: Author) -> None:
    if wish.in_reply_to is not None and wish.forward_of is not None:
        raise Invalid(Issue(("forward_of",), "a letter answers one message or passes one on, not both"))
    if wish.reply_all and any(each is not None for each in (wish.to, wish.cc, wish.bcc)):
        raise Invalid(Issue(("reply_all",), "a reply to all goes to all: leave out to, cc and bcc"))
    if wish.send_at is not None and NEEDS_REVIEW not in wish.labels:
        may_schedule(by)


def _source(wish: Wish, ledger: Ledger) -> Message | None:
    """With its conversation locked: before the inbox, which a new draft holds on to, as whoever deletes one does."""
    name = wish.in_reply_to if wish.in_reply_to is not None else wish.forward_of
    if name is None:
        return None
    ledger.threads.lock([referred_to(wish.inbox_id, name, ledger).thread_id])
    return referred_to(wish.inbox_id, name, ledger)


def _subject(wish: Wish, source: Message | None) -> str:
    if source is None:
        return ""
    return forward_subject(source.subject) if wish.kind == "forward" else reply_subject(source.subject)


def _readers(wish: Wish, source: Message | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """To, and copies. An answer to our own letter goes to whom that went: that is what a follow-up is."""
    if source is None or wish.kind == "forward":
        return wish.to or (), wish.cc or ()
    ours = source.direction == "sent"
    writer = source.to if ours else source.reply_to or (source.sender,)
    if wish.kind == "reply":
        return writer if wish.to is None else wish.to, wish.cc or ()
    others = () if ours else source.to
    to = _once((*writer, *others), besides={wish.inbox_id})
    return to, _once(source.cc, besides={wish.inbox_id, *map(contact, to)})


def _once(addresses: Iterable[str], *, besides: set[str]) -> tuple[str, ...]:
    found = {contact(each): each for each in addresses if contact(each) not in besides}
    return tuple(found.values())


def _new_thread(wish: Wish, to: tuple[str, ...], subject: str, ledger: Ledger) -> str:
    thread_id = new_id("thr", ledger.now)
    person = contact(to[0]) if to else ""
    ledger.threads.add(
        Thread(id=thread_id, inbox_id=wish.inbox_id, contact=person, subject=subject, enrollment_id=None)
    )
    return thread_id
