"""The shelf of what is read: letters and conversations, one of them, a page of them, or those that say something."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    type_coerce,
)

from engine.model import Attachment, Hidden, Message
from engine.store.moves import Desk
from engine.store.pages import Page, Slice, page
from engine.store.tables import (
    UtcDateTime,
    arrival,
    draft,
    enclosure,
    inbox,
    label_event,
    message,
    message_label,
    thread,
    thread_label,
)
from engine.store.threads import letter
from engine.tags import DRAFT, STATED

T = TypeVar("T")

#: Search looks at so many, the newest: beyond them nobody waits for an answer.
_NEWEST = 10_000
#: Fewer than these are sorted; of more, the newest are looked at one by one.
_A_FEW = 1_000
_BEGINNING = 800  # characters of a letter that a list shows
_RANK = 10**14  # above every moment in milliseconds that anybody will see

_LETTER = [message.c[name] for name in Message.__dataclass_fields__]
_WITHOUT_BODY = [column for column in _LETTER if column.name not in {"text", "html"}]
_ITEM = [*_WITHOUT_BODY, func.substr(message.c.text, 1, _BEGINNING).label("text"), null().label("html")]

_SENT_OR_RECEIVED: ColumnElement[int] = type_coerce(message.c.timestamp, BigInteger)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A thread, as it is shown: what its letters sum up to. Those that nobody sees do not count."""

    id: str
    inbox_id: str
    subject: str
    last_at: datetime
    last_message_id: str
    message_count: int
    size: int
    created_at: datetime
    updated_at: datetime
    received_at: datetime | None = None
    sent_at: datetime | None = None
    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    preview: str | None = None
    hidden: Hidden | None = None
    labels: tuple[str, ...] = ()  #: its own, and those of its letters
    attachments: tuple[Attachment, ...] = ()


_OF_A_THREAD = [
    thread.c[name] for name in Conversation.__dataclass_fields__ if name not in {"labels", "attachments"}
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelEvent:
    """A letter was called something, or that was taken back."""

    id: str
    inbox_id: str
    message_id: str
    thread_id: str
    label: str
    what: Literal["added", "removed"]
    at: datetime


_OF_AN_EVENT = [label_event.c[name] for name in LabelEvent.__dataclass_fields__]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieve:
    """Whose letters, and which of them: all that is said here must be so."""

    inbox_id: str | None = None
    pod_id: str | None = None
    labels: tuple[str, ...] = ()
    before: datetime | None = None  #: of the moment that the list is sorted by; itself it is out
    after: datetime | None = None
    senders: tuple[str, ...] = ()  #: pieces of addresses or names
    recipients: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    shown: frozenset[Hidden] = frozenset()  #: what is otherwise not shown


class Letters:
    """One transaction's look at them."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db
        self._texts = _Texts(desk.db.dialect.name)

    # --- letters ---

    def get(self, inbox_id: str, *names: str) -> Message | None:
        """The first that is there, by the ways to read its name; with or without the angle brackets."""
        found = {each.message_id: each for each in self.several(inbox_id, names)}
        return next((found[way] for name in names for way in _ways(name) if way in found), None)

    def several(self, inbox_id: str, names: Collection[str]) -> list[Message]:
        """Those that are there, whole, in the order that was asked for."""
        return self._several(_LETTER, inbox_id, names)

    def glances(self, inbox_id: str, names: Collection[str]) -> list[Message]:
        """The same, of each only as much as a list shows."""
        return self._several(_ITEM, inbox_id, names)

    def page_of(self, sieve: Sieve, part: Slice) -> Page[Message]:
        """The newest first; of each only as much as a list shows."""
        order: ColumnElement[Any] = _SENT_OR_RECEIVED
        name: ColumnElement[Any] = message.c.message_id
        named = sorted(_plain(sieve.labels), key=lambda label: label in STATED)  # the rarer ones first
        if named:
            lead = message_label
            query = select(*_ITEM).join(
                lead,
                and_(lead.c.inbox_id == message.c.inbox_id, lead.c.message_id == message.c.message_id),
            )
            query = query.where(lead.c.inbox_id == sieve.inbox_id, lead.c.label == named[0])
            order, name = type_coerce(lead.c.timestamp, BigInteger), lead.c.message_id
        else:
            query = select(*_ITEM).where(message.c.inbox_id == sieve.inbox_id)
        query = query.where(*_between(order, sieve), _is_shown(message.c.hidden, sieve.shown))
        query = query.where(*(_is_called(label) for label in named[1:]), *self._were_drafts(sieve.labels))
        query = query.where(*self._says(sieve))
        return page(self._db, query, order, name, part, read=letter)

    def search(self, words: Collection[str], sieve: Sieve, part: Slice) -> Page[Message]:
        """Letters that say all these words: those that say them in the subject first, then by sender, then in the text."""
        here = [message.c.inbox_id == sieve.inbox_id, message.c.hidden.is_(None)]
        newest = select(_SENT_OR_RECEIVED).where(*here).order_by(message.c.timestamp.desc())
        subject = [self._texts.says(message.c.subject, word) for word in words]
        sender = [or_(said, self._from(word)) for said, word in zip(subject, words, strict=True)]
        text = [
            or_(said, self._texts.says(message.c.text, word))
            for said, word in zip(sender, words, strict=True)
        ]
        order = _SENT_OR_RECEIVED + _rank(subject, sender)
        query = select(*_ITEM).where(
            *here, *_between(_SENT_OR_RECEIVED, sieve), _floor(newest) <= _SENT_OR_RECEIVED, *text
        )
        return page(self._db, query, order, message.c.message_id, part, read=letter)

    def content(self, sha: str) -> bytes | None:
        """What is in a file."""
        found: bytes | None = self._db.scalar(select(enclosure.c.content).where(enclosure.c.sha == sha))
        return found

    def label_events(self, inbox_id: str, part: Slice) -> Page[LabelEvent]:
        """The latest first."""
        query = select(*_OF_AN_EVENT).where(label_event.c.inbox_id == inbox_id)
        born = label_event.c.id  # ids sort by birth
        return page(self._db, query, born, born, part, read=_event)

    # --- conversations ---

    def conversation(self, sieve: Sieve, *names: str) -> Conversation | None:
        """The first that is there. One in which nothing was said yet, or of which nothing is left, is not."""
        rows = self._db.execute(
            select(*_OF_A_THREAD).where(
                thread.c.id.in_(names), thread.c.last_at.is_not(None), *_of(sieve), _is_open()
            )
        )
        found = {row.id: _conversation(row) for row in rows}
        first = next((found[name] for name in names if name in found), None)
        return None if first is None else self._filled([first])[0]

    def conversations(self, sieve: Sieve, part: Slice) -> Page[Conversation]:
        """The one that spoke last comes first."""
        query = select(*_OF_A_THREAD).where(thread.c.last_at.is_not(None), *_of(sieve))
        order = _last_at(sieve)
        query = query.where(*_between(order, sieve), _is_shown(thread.c.hidden, sieve.shown))
        query = query.where(*(_is_talked_of(label) for label in sieve.labels))
        if (few := self._few(sieve)) is not None:
            query = query.where(thread.c.id.in_(few))
        query = query.where(
            *(self._texts.says_in(thread.c.senders, piece) for piece in sieve.senders),
            *(self._texts.says_in(thread.c.recipients, piece) for piece in sieve.recipients),
            *(self._texts.says(thread.c.subject, piece) for piece in sieve.subjects),
        )
        return self._shown(query, order, sieve, part, expression=sieve.inbox_id is None)

    def search_conversations(self, words: Collection[str], sieve: Sieve, part: Slice) -> Page[Conversation]:
        """Those in which all these words are said, in the subject, by a sender, or in any letter."""
        here = [thread.c.last_at.is_not(None), thread.c.hidden.is_(None), *_of(sieve)]
        moment = _last_at(sieve)
        newest = select(moment).where(*here).order_by(moment.desc())
        subject = [self._texts.says(thread.c.subject, word) for word in words]
        sender = [
            or_(said, self._texts.says_in(thread.c.senders, word))
            for said, word in zip(subject, words, strict=True)
        ]
        text = [or_(said, self._is_said(word)) for said, word in zip(sender, words, strict=True)]
        query = select(*_OF_A_THREAD).where(*here, *_between(moment, sieve), moment >= _floor(newest), *text)
        return self._shown(query, moment + _rank(subject, sender), sieve, part)

    def letters_in(self, talk: Conversation, part: Slice) -> Page[Message]:
        """A page from its end, to be read from old to new; the next page has what came before."""
        query = select(*_LETTER).where(message.c.thread_id == talk.id, _counts(talk.hidden))
        found = page(self._db, query, message.c.position, message.c.message_id, part, read=letter)
        return Page(found.items[::-1], found.next)

    # --- what the stories ask for ---

    def heard_since(self, thread_id: str, draft_id: str) -> list[Message]:
        """What was said to us in this conversation after the letter that this draft answers; else, since it was made."""
        anchor = (
            select(message.c.position)
            .join(
                draft,
                and_(draft.c.inbox_id == message.c.inbox_id, draft.c.in_reply_to == message.c.message_id),
            )
            .where(draft.c.id == draft_id, message.c.thread_id == thread_id)
        )
        made = select(draft.c.created_at).where(draft.c.id == draft_id).scalar_subquery()
        position = self._db.scalar(anchor)
        later = message.c.timestamp >= made if position is None else message.c.position > position
        query = select(*_ITEM).where(
            message.c.thread_id == thread_id, message.c.direction == "received", later
        )
        return [letter(row) for row in self._db.execute(query.order_by(message.c.position))]

    def on_its_way(self, thread_id: str) -> list[str]:
        """The letters of this conversation that left for an inbox of this house, and have not arrived there."""
        under_way = arrival.c.ended_at.is_(None), arrival.c.outcome.is_(None)
        query = (
            select(message.c.message_id)
            .join(
                arrival,
                and_(
                    arrival.c.from_inbox == message.c.inbox_id, arrival.c.message_id == message.c.message_id
                ),
            )
            .where(message.c.thread_id == thread_id, *under_way)
        )
        return sorted(set(self._db.scalars(query)))

    # --- how they are put together ---

    def _several(self, columns: Sequence[Any], inbox_id: str, names: Collection[str]) -> list[Message]:
        ways = dict.fromkeys(way for name in names for way in _ways(name))
        rows = self._db.execute(
            select(*columns).where(
                message.c.inbox_id == inbox_id,
                message.c.message_id.in_(ways),
                message.c.hidden.is_distinct_from("deleted"),
            )
        )
        found = {row.message_id: letter(row) for row in rows}
        return [found[way] for way in ways if way in found]

    def _were_drafts(self, labels: Iterable[str]) -> Iterable[ColumnElement[bool]]:
        """A letter is called after the draft that it was. Looked up first: there is one at most."""
        for label in labels:
            if label.startswith(DRAFT):
                was = message.c.draft_id == label.removeprefix(DRAFT)
                name = self._db.scalar(select(message.c.message_id).where(was))
                yield false() if name is None else message.c.message_id == name

    def _says(self, sieve: Sieve) -> Iterable[ColumnElement[bool]]:
        yield from (self._from(piece) for piece in sieve.senders)
        yield from (
            self._texts.says_in(message.c.to, piece, names=message.c.names) for piece in sieve.recipients
        )
        yield from (self._texts.says(message.c.subject, piece) for piece in sieve.subjects)

    def _from(self, piece: str) -> ColumnElement[bool]:
        return or_(
            self._texts.says(message.c.sender, piece),
            self._texts.is_called(message.c.names, message.c.sender, piece),
        )

    def _is_said(self, word: str) -> ColumnElement[bool]:
        here = message.c.thread_id == thread.c.id, message.c.hidden.is_(None)
        said = self._texts.says(message.c.text, word)
        return _one_by_one(select(message.c.message_id).where(*here, said))

    def _few(self, sieve: Sieve) -> list[str] | None:
        """The conversations with the rarest of these labels; None: of each there are too many to sort."""
        for label in _plain(sieve.labels):
            own = select(thread_label.c.thread_id).where(thread_label.c.label == label)
            theirs = select(message_label.c.thread_id).where(message_label.c.label == label)
            if sieve.inbox_id is not None:
                own = own.join(thread).where(thread.c.inbox_id == sieve.inbox_id)
                theirs = theirs.where(message_label.c.inbox_id == sieve.inbox_id)
            else:
                theirs = theirs.where(message_label.c.inbox_id.in_(select(inbox.c.id)))
            found = [*self._db.scalars(own.limit(_A_FEW + 1)), *self._db.scalars(theirs.limit(_A_FEW + 1))]
            if len(found) <= _A_FEW:
                return sorted(set(found))
        return None

    def _shown(
        self,
        query: Select[Any],
        order: ColumnElement[Any],
        sieve: Sieve,
        part: Slice,
        *,
        expression: bool = False,
    ) -> Page[Conversation]:
        if sieve.inbox_id is None:
            query = query.where(_is_open())
        found = page(self._db, query, order, thread.c.id, part, read=_conversation, expression=expression)
        return Page(self._filled(found.items), found.next)

    def _filled(self, talks: list[Conversation]) -> list[Conversation]:
        """With what stands elsewhere: their labels, and their files."""
        ids = [each.id for each in talks]
        labels, files = self._labels(ids), self._files(talks)
        return [
            replace(each, labels=tuple(labels.get(each.id, ())), attachments=tuple(files.get(each.id, ())))
            for each in talks
        ]

    def _labels(self, ids: Collection[str]) -> dict[str, list[str]]:
        own = select(thread_label.c.thread_id, thread_label.c.label).where(thread_label.c.thread_id.in_(ids))
        theirs = select(message_label.c.thread_id, message_label.c.label).where(
            message_label.c.thread_id.in_(ids)
        )
        rows = self._db.execute(own.union(theirs))
        return _gathered(sorted((row.thread_id, row.label) for row in rows), lambda pair: pair)

    def _files(self, talks: Collection[Conversation]) -> dict[str, list[Attachment]]:
        seen = [each.id for each in talks if each.hidden is None]
        unseen = [each.id for each in talks if each.hidden is not None]
        rows = self._db.execute(
            select(message.c.thread_id, message.c.attachments)
            .where(
                or_(
                    and_(message.c.thread_id.in_(seen), message.c.hidden.is_(None)),
                    and_(message.c.thread_id.in_(unseen), message.c.hidden.is_distinct_from("deleted")),
                ),
                _has_files(),
            )
            .order_by(message.c.thread_id, message.c.position)
        )
        return _gathered(
            [(row.thread_id, each) for row in rows for each in row.attachments],
            lambda pair: (pair[0], Attachment(**pair[1])),
        )


class _Texts:
    """How each database looks for a piece of text, and into a list of texts."""

    def __init__(self, dialect: str) -> None:
        sqlite = dialect == "sqlite"
        self._items: Any = func.json_each if sqlite else func.json_array_elements_text
        self._pairs: Any = func.json_each if sqlite else func.json_each_text

    def says(self, column: ColumnElement[Any], piece: str) -> ColumnElement[bool]:
        """Whatever is large or small. SQLite knows that only of the letters of English: so the others both ways."""
        ways = [piece] if piece.isascii() else [piece, piece.lower(), piece.upper(), piece.capitalize()]
        return or_(*(column.icontains(way, autoescape=True) for way in dict.fromkeys(ways)))

    def says_in(
        self, items: ColumnElement[Any], piece: str, *, names: ColumnElement[Any] | None = None
    ) -> ColumnElement[bool]:
        """One of these addresses does, or what it is called."""
        each = self._items(items).table_valued("value").alias()
        said = self.says(each.c.value, piece)
        if names is not None:
            said = or_(said, self.is_called(names, each.c.value, piece))
        return select(literal(1)).select_from(each).where(said).exists()

    def is_called(
        self, names: ColumnElement[Any], address: ColumnElement[Any], piece: str
    ) -> ColumnElement[bool]:
        each = self._pairs(names).table_valued("key", "value").alias()
        its_own = func.lower(each.c.key) == func.lower(address)
        return select(literal(1)).select_from(each).where(its_own, self.says(each.c.value, piece)).exists()


def _conversation(row: Row[Any]) -> Conversation:
    fields = {column.name: getattr(row, column.name) for column in _OF_A_THREAD}
    return Conversation(**fields | {"senders": tuple(row.senders), "recipients": tuple(row.recipients)})


def _event(row: Row[Any]) -> LabelEvent:
    return LabelEvent(**{column.name: getattr(row, column.name) for column in _OF_AN_EVENT})


def _gathered(pairs: Iterable[Any], read: Callable[[Any], tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for name, value in map(read, pairs):
        found.setdefault(name, []).append(value)
    return found


def _ways(name: str) -> tuple[str, ...]:
    """A Message-ID as it was given, and as it is spelt."""
    return (name,) if name.startswith("<") else (name, f"<{name}>")


def _plain(labels: Iterable[str]) -> list[str]:
    return [label for label in labels if not label.startswith(DRAFT)]


def _is_called(label: str) -> ColumnElement[bool]:
    other = message_label.alias()
    its_own = other.c.inbox_id == message.c.inbox_id, other.c.message_id == message.c.message_id
    return select(other.c.label).where(*its_own, other.c.label == label).exists()


def _is_talked_of(label: str) -> ColumnElement[bool]:
    """It is on the conversation, or on a letter in it."""
    if label.startswith(DRAFT):
        was = message.c.draft_id == label.removeprefix(DRAFT), message.c.hidden.is_distinct_from("deleted")
        return thread.c.id.in_(select(message.c.thread_id).where(*was))
    own, theirs = thread_label.alias(), message_label.alias()
    found = (
        select(own.c.label).where(own.c.thread_id == thread.c.id, own.c.label == label),
        select(theirs.c.label).where(theirs.c.thread_id == thread.c.id, theirs.c.label == label),
    )
    return or_(*map(_one_by_one, found))


def _one_by_one(found: Select[Any]) -> ColumnElement[bool]:
    """Is there one? With an offset of nothing: else PostgreSQL gathers all that there are before it asks for the first."""
    return found.offset(0).exists()


def _is_shown(hidden: ColumnElement[Any], also: Collection[Hidden]) -> ColumnElement[bool]:
    """What was deleted never is."""
    asked_for = sorted(set(also) - {"deleted"})
    return or_(hidden.is_(None), hidden.in_(asked_for)) if asked_for else hidden.is_(None)


def _counts(hidden: Hidden | None) -> ColumnElement[bool]:
    """The letters of a conversation that make it up: those that are seen; if none is, all that there are."""
    return message.c.hidden.is_(None) if hidden is None else message.c.hidden.is_distinct_from("deleted")


def _has_files() -> ColumnElement[bool]:
    return cast(message.c.attachments, Text) != "[]"


def _of(sieve: Sieve) -> list[ColumnElement[bool]]:
    asked = []
    if sieve.inbox_id is not None:
        asked.append(thread.c.inbox_id == sieve.inbox_id)
    if sieve.pod_id is not None:
        # said so that a database walks by time, and does not sort all that its inboxes ever heard
        asked.append((thread.c.inbox_id + "").in_(select(inbox.c.id).where(inbox.c.pod_id == sieve.pod_id)))
    return asked


def _is_open() -> ColumnElement[bool]:
    """Its inbox is still there."""
    return thread.c.inbox_id.not_in(select(inbox.c.id).where(inbox.c.deleted_at.is_not(None)))


def _last_at(sieve: Sieve) -> ColumnElement[Any]:
    """Spelt as the index is that serves: one for each inbox, one for all of them."""
    if sieve.inbox_id is not None:
        return type_coerce(thread.c.last_at, BigInteger)
    return literal_column("thread.last_at + 0", BigInteger)


def _between(order: ColumnElement[Any], sieve: Sieve) -> list[ColumnElement[bool]]:
    asked = []
    if sieve.before is not None:
        asked.append(order < literal(sieve.before, UtcDateTime()))
    if sieve.after is not None:
        asked.append(order > literal(sieve.after, UtcDateTime()))
    return asked


def _rank(
    subject: Sequence[ColumnElement[bool]], sender: Sequence[ColumnElement[bool]]
) -> ColumnElement[int]:
    none, some, most = (literal(number * _RANK, BigInteger) for number in range(3))
    return case((and_(true(), *subject), most), (and_(true(), *sender), some), else_=none)


def _floor(newest: Select[Any]) -> ColumnElement[Any]:
    """The oldest moment that a search still looks at."""
    return func.coalesce(newest.offset(_NEWEST - 1).limit(1).correlate(None).scalar_subquery(), 0)
