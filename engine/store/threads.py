"""The threads' shelf: conversations, their labels, and the letters in them."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, func, or_, select, update

from engine.ids import FOLLOW_UP, follow_up_label
from engine.model import Attachment, Message, Thread
from engine.states import DRAFT_ENDS
from engine.store.moves import Desk, unless_there
from engine.store.prepared import Prepared
from engine.store.subscribers import anybody_listens
from engine.store.tables import draft, enrollment, inbox, message, message_label, thread, thread_label

#: What the label of a conversation begins with in which a letter came back, or was called spam.
FAILED = "failed:"

_PREVIEW = 200
_MOST_PEOPLE = 200

_FIELDS = [thread.c[name] for name in Thread.__dataclass_fields__]


def _record(row: Row[Any]) -> Thread:
    return Thread(**{name: getattr(row, name) for name in Thread.__dataclass_fields__})


def letter(row: Row[Any]) -> Message:
    fields = {name: getattr(row, name) for name in Message.__dataclass_fields__}
    lists = ("to", "references", "labels", "cc", "bcc", "reply_to")
    enclosed = tuple(Attachment(**each) for each in row.attachments)
    return Message(**fields | {name: tuple(fields[name]) for name in lists} | {"attachments": enclosed})


class SoFar(NamedTuple):
    """What a conversation says of itself, as far as one more letter asks for it or changes it."""

    id: str
    inbox_id: str
    contact: str
    subject: str
    enrollment_id: str | None
    last_position: int
    message_count: int
    size: int
    senders: list[str]
    recipients: list[str]
    hidden: str | None

    @property
    def thread(self) -> Thread:
        return Thread(**{name: getattr(self, name) for name in Thread.__dataclass_fields__})


class Mark(NamedTuple):
    """A letter, as far as those after it speak of it."""

    message_id: str
    direction: str


def with_one_more(so_far: Any, new: Message) -> dict[str, Any]:
    """What a conversation says of itself, after this letter. What nobody sees changes nothing that somebody sees."""
    position = {"last_position": so_far.last_position + 1}
    if new.hidden and so_far.message_count and not so_far.hidden:
        return position
    way = "sent_at" if new.direction == "sent" else "received_at"
    # after a first letter that is hidden, one that is not begins the conversation anew for whoever looks
    count = so_far.message_count if bool(so_far.hidden) == bool(new.hidden) else 0
    return position | {
        "last_at": new.timestamp,
        way: new.timestamp,
        "last_message_id": new.message_id,
        "message_count": count + 1,
        "size": (so_far.size if count else 0) + new.size,
        "senders": among(so_far.senders, [new.sender]),
        "recipients": among(so_far.recipients, [*new.to, *new.cc]),
        "preview": preview(new.text),
        "hidden": new.hidden,
        "updated_at": new.timestamp,
    }


def among(known: list[str], more: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*known, *more]))[:_MOST_PEOPLE]


def preview(text: str) -> str:
    """The beginning, on one line."""
    return " ".join(text[: 4 * _PREVIEW].split())[:_PREVIEW]


def _grown(way: str) -> Prepared:
    """What most letters change of their conversation; `way`: when it was last written in, or answered."""
    names = (
        "last_position", "last_at", way, "last_message_id", "message_count", "size", "senders", "recipients",
        "preview", "hidden", "updated_at",
    )  # fmt: skip
    values = {name: bindparam(name, type_=thread.c[name].type) for name in names}
    return Prepared(update(thread).where(thread.c.id == bindparam("which")).values(values))


# Asked for every letter, so put together once.
_GROWN = {"sent": _grown("sent_at"), "received": _grown("received_at")}
_SO_FAR = select(*(thread.c[name] for name in SoFar._fields)).where(thread.c.id == bindparam("which"))
_LOOK = Prepared(_SO_FAR)
_HOLD = Prepared(_SO_FAR.add_columns(anybody_listens()).with_for_update(of=thread))
_ONE = Prepared(select(*_FIELDS).where(thread.c.id == bindparam("which")))
_KEEP = Prepared(
    unless_there(message, [*Message.__dataclass_fields__, "position"], ("inbox_id", "message_id"))
)
_CALL = Prepared(unless_there(message_label, [column.name for column in message_label.c]))
_TAG = Prepared(unless_there(thread_label, ["thread_id", "label"]))
_UNTAG = Prepared(delete(thread_label).where(thread_label.c.label == bindparam("label")))


class Threads:
    """One transaction's hands on the threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- inboxes and threads ---

    def open_inbox(self, address: str) -> None:
        """It may exist already; and whoever writes from an address that was deleted moves in again."""
        if not self._desk.insert_once(
            inbox, id=address, created_at=self._desk.now, updated_at=self._desk.now
        ):
            gone = inbox.c.id == address, inbox.c.deleted_at.is_not(None)
            self._db.execute(update(inbox).where(*gone).values(deleted_at=None, updated_at=self._desk.now))

    def our_inboxes(self, addresses: Collection[str]) -> set[str]:
        """Which of these addresses are ours."""
        ours = select(inbox.c.id).where(inbox.c.id.in_(addresses), inbox.c.deleted_at.is_(None))
        return set(self._db.scalars(ours))

    def add(self, new: Thread) -> None:
        self.add_all([new])

    def add_all(self, new: Collection[Thread]) -> None:
        rows = [{name: getattr(each, name) for name in Thread.__dataclass_fields__} for each in new]
        if rows:
            born = {"created_at": self._desk.now, "updated_at": self._desk.now}
            self._db.execute(thread.insert(), [row | born for row in rows])

    def get(self, thread_id: str) -> Thread:
        found = _ONE.one(self._db, which=thread_id)
        if found is None:
            raise LookupError(f"there is no thread {thread_id}")
        return Thread(**dict(zip(Thread.__dataclass_fields__, found, strict=True)))

    def name(self, thread_id: str, subject: str) -> None:
        """Its first letter gives it its subject."""
        self._db.execute(update(thread).where(thread.c.id == thread_id).values(subject=subject))

    def readdress(self, thread_id: str, contact: str, subject: str) -> None:
        """Of a letter that has not left yet: to somebody else, or about something else."""
        unsaid = thread.c.id == thread_id, thread.c.message_count == 0, thread.c.last_at.is_(None)
        self._db.execute(update(thread).where(*unsaid).values(contact=contact, subject=subject))

    def lock(self, which: Collection[str]) -> None:
        """The one row that cancel, gate and next step all take first, always in the same order.

        SQLite has one writer at a time anyway.
        """
        if self._db.dialect.name == "sqlite":
            return
        locked = select(thread.c.id).where(thread.c.id.in_(which)).order_by(thread.c.id).with_for_update()
        self._db.execute(locked).all()

    def hold(self, thread_id: str) -> tuple[SoFar, bool]:
        """The same for one of them, with what it says of itself; and whether anybody at all wants to be told anything."""
        found = _HOLD.one(self._db, which=thread_id)
        if found is None:
            raise LookupError(f"there is no thread {thread_id}")
        *so_far, listened_to = found
        return SoFar(*so_far), bool(listened_to)

    # --- whose conversation is this? ---

    def spoken_of(self, inbox_id: str, thread_id: str, ids: Collection[str]) -> list[Thread]:
        """By its own id, else by the Message-IDs of ours that the letter answers; in this inbox, never in another's."""
        by_id = self._found(thread.c.id == thread_id, thread.c.inbox_id == inbox_id)
        if by_id or not ids:
            return by_id
        ours = or_(
            thread.c.id.in_(
                select(draft.c.thread_id).where(draft.c.message_id.in_(ids), draft.c.inbox_id == inbox_id)
            ),
            thread.c.id.in_(
                select(message.c.thread_id).where(
                    message.c.message_id.in_(ids),
                    message.c.inbox_id == inbox_id,
                    message.c.direction == "sent",
                )
            ),
        )
        return self._found(ours)

    def followed_up_from(self, inbox_id: str, contact: str) -> bool:
        """Does somebody of this address get follow-ups from this inbox?

        The inbox as an expression: SQLite would look for this person among all whom it writes to.
        """
        found = select(enrollment.c.id).where(
            enrollment.c.contact == contact,
            enrollment.c.inbox_id.concat("") == inbox_id,
            or_(
                enrollment.c.state.in_(["active", "paused"]),
                select(draft.c.id)
                .where(draft.c.enrollment_id == enrollment.c.id, draft.c.state.not_in(sorted(DRAFT_ENDS)))
                .exists(),
            ),
        )
        return self._db.scalar(found.limit(1)) is not None

    def followed_up_by_hand(self, inbox_id: str, contact: str) -> list[str]:
        """The conversations with this person in this inbox in which a letter waits that no sequence made."""
        waiting = (
            select(draft.c.id)
            .where(
                draft.c.thread_id == thread.c.id,
                draft.c.enrollment_id.is_(None),
                draft.c.state.not_in(sorted(DRAFT_ENDS)),
            )
            .exists()
        )
        theirs = thread.c.contact == contact, thread.c.inbox_id == inbox_id, waiting
        return list(self._db.scalars(select(thread.c.id).where(*theirs).order_by(thread.c.id)))

    def of_people(self, contacts: Collection[str], threads: Collection[str]) -> list[Thread]:
        """These threads, and every thread in which a sequence speaks to these people."""
        return self._found(
            or_(
                thread.c.id.in_(threads),
                and_(thread.c.contact.in_(contacts), thread.c.enrollment_id.is_not(None)),
            )
        )

    def _found(self, *where: ColumnElement[bool]) -> list[Thread]:
        return [
            _record(row) for row in self._db.execute(select(*_FIELDS).where(*where).order_by(thread.c.id))
        ]

    # --- labels ---

    def tag(self, thread_id: str, label: str) -> None:
        self.tag_all([(thread_id, label)])

    def tag_all(self, labels: Collection[tuple[str, str]]) -> None:
        _TAG.each(self._db, [{"thread_id": one, "label": label} for one, label in labels])

    def note_failure(self, thread_id: str, how: str) -> None:
        """A letter of this conversation came back, or was called spam."""
        self.tag(thread_id, f"{FAILED}{how}")

    def labels(self, thread_id: str) -> list[str]:
        found = select(thread_label.c.label).where(thread_label.c.thread_id == thread_id)
        return list(self._db.scalars(found.order_by(thread_label.c.label)))

    def follow_ups(self, threads: Collection[str]) -> list[str]:
        """The drafts that these threads' labels name."""
        found = select(thread_label.c.label).where(
            thread_label.c.thread_id.in_(threads), thread_label.c.label.startswith(FOLLOW_UP, autoescape=True)
        )
        return [
            label.removeprefix(FOLLOW_UP) for label in self._db.scalars(found.order_by(thread_label.c.label))
        ]

    def untag(self, drafts: Iterable[str]) -> None:
        """A draft that has had its end is named on no thread any more."""
        _UNTAG.each(self._db, [{"label": follow_up_label(draft_id)} for draft_id in drafts])

    def untag_here(self, threads: Collection[str], drafts: Iterable[str]) -> None:
        """Only on these threads: elsewhere the label may be right."""
        labels = [follow_up_label(draft_id) for draft_id in drafts]
        self._db.execute(
            delete(thread_label).where(
                thread_label.c.thread_id.in_(threads), thread_label.c.label.in_(labels)
            )
        )

    def untag_ended(self, draft_id: str) -> None:
        """The same, if it has had its end."""
        ended = select(draft.c.id).where(draft.c.id == draft_id, draft.c.state.in_(sorted(DRAFT_ENDS)))
        self.untag(self._db.scalars(ended))

    # --- letters ---

    def keep(self, new: Message, so_far: SoFar | None = None) -> bool:
        """Once: a mailbox may tell us twice. The thread is locked before, so that positions do not collide.

        `so_far`: what whoever has locked it has read.
        """
        if so_far is None:
            found = _LOOK.one(self._db, which=new.thread_id)
            if found is None:
                raise LookupError(f"there is no thread {new.thread_id}")
            so_far = SoFar(*found)
        values = {name: getattr(new, name) for name in Message.__dataclass_fields__}
        values |= {
            "attachments": [asdict(each) for each in new.attachments],
            "updated_at": new.updated_at or new.timestamp,
            "position": so_far.last_position + 1,
        }
        if not _KEEP.touch(self._db, **values):
            return False
        self._grow(new, with_one_more(so_far, new))
        self.find_by_labels([new])
        return True

    def _grow(self, new: Message, values: dict[str, Any]) -> None:
        if "last_at" in values:
            _GROWN[new.direction].touch(self._db, which=new.thread_id, **values)
        else:  # nobody sees this letter
            self._db.execute(update(thread).where(thread.c.id == new.thread_id).values(**values))

    def find_by_labels(self, letters: Iterable[Message]) -> None:
        """Their labels, as they are asked for."""
        called = [
            {
                "inbox_id": each.inbox_id,
                "message_id": each.message_id,
                "label": label,
                "thread_id": each.thread_id,
                "timestamp": each.timestamp,
            }
            for each in letters
            for label in dict.fromkeys(each.labels)
        ]
        _CALL.each(self._db, called)

    def letter(self, inbox_id: str, message_id: str) -> Message | None:
        fields = [message.c[name] for name in Message.__dataclass_fields__]
        one = message.c.inbox_id == inbox_id, message.c.message_id == message_id
        row = self._db.execute(select(*fields).where(*one)).one_or_none()
        return None if row is None else letter(row)

    def messages(self, thread_id: str, *, last: int | None = None) -> list[Message]:
        """Oldest first. `last`: no more than so many, those that were written last."""
        fields = [message.c[name] for name in Message.__dataclass_fields__]
        found = select(*fields).where(message.c.thread_id == thread_id).order_by(message.c.position.desc())
        rows = self._db.execute(found if last is None else found.limit(last)).all()
        return [letter(row) for row in reversed(rows)]

    def marks(self, threads: Collection[str]) -> dict[str, list[Mark]]:
        """By conversation, the letters that those to come may speak of, the oldest first."""
        found = select(message.c.thread_id, message.c.message_id, message.c.direction).where(
            message.c.thread_id.in_(threads)
        )
        marks: dict[str, list[Mark]] = {each: [] for each in threads}
        for thread_id, *mark in self._db.execute(found.order_by(message.c.thread_id, message.c.position)):
            marks[thread_id].append(Mark(*mark))
        return marks

    def letters_since(self, thread_id: str, since: datetime) -> int:
        found = select(func.count()).select_from(message)
        recent = message.c.thread_id == thread_id, message.c.timestamp > since
        return self._db.scalar(found.where(*recent)) or 0

    def last_word_to(self, contact: str) -> datetime | None:
        """When anybody here last wrote to this person."""
        latest = (
            select(func.max(message.c.timestamp))
            .join(thread, thread.c.id == message.c.thread_id)
            .where(thread.c.contact == contact, message.c.direction == "sent")
        )
        found: datetime | None = self._db.scalar(latest)
        return found

    def is_ours(self, inbox_id: str, message_id: str) -> bool:
        """Did we write it, or are we about to?"""
        kept = select(message.c.message_id).where(
            message.c.inbox_id == inbox_id, message.c.message_id == message_id, message.c.direction == "sent"
        )
        promised = select(draft.c.message_id).where(
            draft.c.message_id == message_id, draft.c.inbox_id == inbox_id
        )
        return self._db.scalar(kept.union(promised).limit(1)) is not None
