"""The shelf of what is told to others: what happened, once, and a delivery of it for each who wants to know."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, func, select, update

from engine.addresses import CANARY
from engine.calls import Answer
from engine.ids import new_id
from engine.model import Attachment, Message
from engine.store.letters import Conversation, Letters, Sieve
from engine.store.moves import Desk
from engine.store.pages import Page, Slice, page
from engine.store.subscribers import Subscriber, Subscribers
from engine.store.tables import delivery, delivery_try, inbox, message, message_label, telling, webhook
from engine.store.threads import letter

#: A letter came in; and, after another dot, what we think of it.
RECEIVED = "message.received"

_AT_ONCE = 500
#: What a yes is, in a status; it is looked for in what has ended.
_YES = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Something that happened, as it is told."""

    id: str  #: of the event: whoever hears it twice knows by this that it is one
    kind: str
    inbox_id: str
    thread_id: str | None
    message_id: str | None
    draft_id: str | None
    says: Mapping[str, Any]  #: what was so at that moment, and may be another way by now
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A telling, on its way to one subscriber."""

    id: str
    telling_id: str
    webhook_id: str
    tries: int  #: also says in whose hands it is: whoever has counted less has lost it
    next_try_at: datetime | None
    ended_at: datetime | None
    outcome: str | None  #: what became of it, or of the last try
    status: int | None  #: what was answered last


_TELLING = [telling.c[name] for name in Telling.__dataclass_fields__]
_DELIVERY = [delivery.c[name] for name in Delivery.__dataclass_fields__]
_MESSAGE = [message.c[name] for name in Message.__dataclass_fields__]
_OPEN = delivery.c.ended_at.is_(None)

_PEOPLE = ("senders", "recipients", "labels")
_HOURS = tuple(name for name in Conversation.__dataclass_fields__ if name.endswith("_at"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__dataclass_fields__})


def _noted(shown: Conversation) -> dict[str, Any]:
    """A conversation as it can be kept: its hours in milliseconds."""
    hours = {name: getattr(shown, name) for name in _HOURS}
    return asdict(shown) | {
        name: at and (at - _EPOCH) // timedelta(milliseconds=1) for name, at in hours.items()
    }


def conversation_then(told: Telling) -> Conversation | None:
    """What was noted of the thread when it was told."""
    if (noted := told.says.get("thread")) is None:
        return None
    hours = {name: noted[name] and _EPOCH + timedelta(milliseconds=noted[name]) for name in _HOURS}
    files = tuple(Attachment(**each) for each in noted["attachments"])
    people = {name: tuple(noted[name]) for name in _PEOPLE}
    return Conversation(**noted | hours | people | {"attachments": files})


class Outbox:
    """One transaction's hands on it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db
        self._listening: list[Subscriber] | None = None

    # --- it happened ---

    def nobody_listens(self) -> None:
        """Whoever looked for something else has looked for that as well."""
        self._listening = []

    def wants(self, kind: str) -> bool:
        """Does anybody, anywhere, want to hear of this?"""
        return any(each.wants(kind) for each in self._everybody())

    def tell(
        self,
        kind: str,
        *,
        inbox_id: str,
        thread_id: str | None = None,
        message_id: str | None = None,
        draft_id: str | None = None,
        event_id: str | None = None,
        **says: Any,
    ) -> None:
        """In the transaction of the cause: so it is told if it happened, and only then. Under one id, once.

        What may be another way tomorrow is noted as it is now: what a letter is called, what its conversation looks
        like. So it is told after everything else about the letter is written down.
        """
        readers = self._readers(kind, inbox_id) if inbox_id != CANARY else ()
        if not readers:
            return
        if kind.startswith(RECEIVED):
            says = {**self._as_it_is(inbox_id, thread_id, message_id), **says}
        made = self._desk.insert_once(
            telling,
            id=event_id or new_id("evt", self._desk.now),
            kind=kind,
            inbox_id=inbox_id,
            thread_id=thread_id,
            message_id=message_id,
            draft_id=draft_id,
            says=says,
            at=self._desk.now,
            twin=("id",),
        )
        for row in made:
            self._begin(row.id, [each.id for each in readers])

    def _begin(self, telling_id: str, readers: Collection[str]) -> list[str]:
        now = self._desk.now
        rows = [
            {
                "id": new_id("msg", now),
                "telling_id": telling_id,
                "webhook_id": each,
                "next_try_at": now,
            }
            for each in readers
        ]
        return [row.id for row in self._desk.insert_all(delivery, rows)]

    def _everybody(self) -> list[Subscriber]:
        """Asked once in a transaction, however much is told in it."""
        if self._listening is None:
            self._listening = Subscribers(self._desk).listening()
        return self._listening

    def _readers(self, kind: str, inbox_id: str) -> list[Subscriber]:
        if not self._everybody():
            return []
        curious = [each for each in self._everybody() if each.wants(kind)]
        pod_id = None
        if any(each.asks_for_pods for each in curious):
            pod_id = self._db.scalar(select(inbox.c.pod_id).where(inbox.c.id == inbox_id))
        return [each for each in curious if each.hears_of(inbox_id, pod_id)]

    def _as_it_is(self, inbox_id: str, thread_id: str | None, message_id: str | None) -> dict[str, Any]:
        here = message_label.c.inbox_id == inbox_id, message_label.c.message_id == message_id
        labels = select(message_label.c.label).where(*here).order_by(message_label.c.label)
        shown = Letters(self._desk).conversation(
            Sieve(inbox_id=inbox_id), *([thread_id] if thread_id else [])
        )
        return {"labels": list(self._db.scalars(labels)), "thread": _noted(shown) if shown else None}

    # --- it is delivered ---

    def has_any_due(self, *, but_not: Collection[str], only_well: bool) -> bool:
        """One look, holding nobody up."""
        return self._db.execute(self._due(but_not, only_well).limit(1)).one_or_none() is not None

    def due(self, at_most: int, *, but_not: Collection[str], only_well: bool) -> list[Delivery]:
        """What its hour has come for, the longest waiting first; not for these; and for nobody who is failing, if so said.

        Nobody else looks at them meanwhile, and nobody is waited for: two who go through a long list in their own order
        would wait for each other.
        """
        due = self._due(but_not, only_well).order_by(delivery.c.next_try_at).limit(at_most)
        return [_delivery(row) for row in self._db.execute(due.with_for_update(skip_locked=True))]

    def _due(self, but_not: Collection[str], only_well: bool) -> Select[Any]:
        due = select(*_DELIVERY).where(_OPEN, delivery.c.next_try_at <= self._desk.now)
        if but_not:
            due = due.where(delivery.c.webhook_id.not_in(but_not))
        if only_well:
            failing = select(webhook.c.id).where(webhook.c.failing_since.is_not(None))
            due = due.where(delivery.c.webhook_id.not_in(failing))
        return due

    def take(self, due: Delivery, *, until: datetime) -> Delivery | None:
        """One more try, and nobody else's before then. None: somebody was faster."""
        taken = update(delivery).where(*self._mine(due), delivery.c.next_try_at <= self._desk.now)
        row = self._db.execute(
            taken.values(tries=delivery.c.tries + 1, next_try_at=until).returning(*_DELIVERY)
        ).one_or_none()
        return None if row is None else _delivery(row)

    def end(self, taken: Delivery, outcome: str, *, status: int | None, tries: int) -> bool:
        """It is over, well or not. False: it is in other hands by now, or was over before."""
        ended = {"ended_at": self._desk.now, "next_try_at": None}
        return self._write(taken, outcome=outcome, status=status, tries=tries, **ended)

    def postpone(self, taken: Delivery, until: datetime, why: str, *, status: int | None, tries: int) -> bool:
        """Once more, then."""
        return self._write(taken, outcome=why, status=status, tries=tries, next_try_at=until)

    def note(self, taken: Delivery, number: int, answer: Answer, took_ms: int) -> None:
        """A line in its log."""
        self._desk.insert_once(
            delivery_try,
            delivery_id=taken.id,
            number=number,
            at=self._desk.now,
            status=answer.status,
            words=answer.words or None,
            took_ms=took_ms,
        )

    def end_all(self, webhook_id: str, outcome: str) -> None:
        """Nobody is there to be told. The subscriber is locked before."""
        theirs = select(delivery.c.id).where(delivery.c.webhook_id == webhook_id, _OPEN)
        locked = self._db.scalars(theirs.order_by(delivery.c.id).with_for_update()).all()
        for begin in range(0, len(locked), _AT_ONCE):
            some = delivery.c.id.in_(locked[begin : begin + _AT_ONCE])
            ended = {"ended_at": self._desk.now, "next_try_at": None, "outcome": outcome}
            self._db.execute(update(delivery).where(some, _OPEN).values(**ended))

    def telling(self, telling_id: str) -> Telling:
        row = self._db.execute(select(*_TELLING).where(telling.c.id == telling_id)).one()
        return Telling(**{name: getattr(row, name) for name in Telling.__dataclass_fields__})

    def letter_of(self, told: Telling) -> Message | None:
        """The letter that it is about, as it is kept."""
        here = message.c.inbox_id == told.inbox_id, message.c.message_id == told.message_id
        row = self._db.execute(select(*_MESSAGE).where(*here)).one_or_none()
        return None if row is None else letter(row)

    def _write(self, taken: Delivery, **values: Any) -> bool:
        written = update(delivery).where(*self._mine(taken)).values(**values)
        return bool(self._db.execute(written.returning(delivery.c.id)).all())

    def _mine(self, taken: Delivery) -> tuple[ColumnElement[bool], ...]:
        return delivery.c.id == taken.id, delivery.c.tries == taken.tries, _OPEN

    # --- once more, and no more ---

    def delivery(self, delivery_id: str) -> Delivery | None:
        row = self._db.execute(select(*_DELIVERY).where(delivery.c.id == delivery_id)).one_or_none()
        return None if row is None else _delivery(row)

    def again(self, ended: Delivery) -> str | None:
        """The same telling under a new name. None: it is forgotten by now."""
        held = select(telling.c.id).where(telling.c.id == ended.telling_id)
        if self._db.scalar(held.with_for_update(read=True, key_share=True)) is None:
            return None
        return self._begin(ended.telling_id, [ended.webhook_id])[0]

    def hasten(self, waiting: Delivery) -> bool:
        """Its hour is now."""
        return self._write(waiting, next_try_at=self._desk.now)

    def forget(self, before: datetime, at_most: int) -> int:
        """What was told so long ago, and to everybody who wanted to know. How many of them there were."""
        old = select(telling.c.id).where(telling.c.at < before).order_by(telling.c.at).limit(at_most)
        open_ones = select(delivery.c.telling_id).where(_OPEN, delivery.c.telling_id == telling.c.id)
        held = list(self._db.scalars(old.where(~open_ones.exists()).with_for_update(skip_locked=True)))
        if not held:
            return 0
        # asked once more now that nobody can begin another delivery of them
        again = select(delivery.c.telling_id).where(delivery.c.telling_id.in_(held), _OPEN)
        over = set(held) - set(self._db.scalars(again))
        theirs = select(delivery.c.id).where(delivery.c.telling_id.in_(over))
        self._db.execute(delete(delivery_try).where(delivery_try.c.delivery_id.in_(theirs)))
        self._db.execute(delete(delivery).where(delivery.c.telling_id.in_(over)))
        self._db.execute(delete(telling).where(telling.c.id.in_(over)))
        return len(over)

    # --- what people ask to see ---

    def log(self, webhook_id: str | None = None, *, only_open: bool = False) -> Iterator[dict[str, Any]]:
        """Who was told what, the latest first, a handful at a time: a million of them need not fit into memory."""
        last: str | None = None
        while rows := self._some(webhook_id, last, only_open=only_open):
            tries = self._tries([row.id for row in rows])
            for row in rows:
                yield _shown(row, tries.get(row.id, []))
            last = rows[-1].id

    def page_of(self, part: Slice, webhook_id: str | None = None) -> Page[dict[str, Any]]:
        """The same, a page at a time."""
        query, name = _told(webhook_id), delivery.c.id
        found = page(self._db, query, name, name, part, read=lambda row: row, expression=True)
        tries = self._tries([row.id for row in found.items])
        return Page([_shown(row, tries.get(row.id, [])) for row in found.items], found.next)

    def _some(self, webhook_id: str | None, before: str | None, *, only_open: bool) -> Sequence[Row[Any]]:
        query = _told(webhook_id)
        if before is not None:
            query = query.where(delivery.c.id < before)
        if only_open:
            query = query.where(_OPEN)
        return self._db.execute(query.order_by(delivery.c.id.desc()).limit(_AT_ONCE)).all()

    def _tries(self, deliveries: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        found = select(delivery_try).where(delivery_try.c.delivery_id.in_(deliveries))
        tries: dict[str, list[dict[str, Any]]] = {}
        for row in self._db.execute(found.order_by(delivery_try.c.delivery_id, delivery_try.c.number)):
            line = {name: getattr(row, name) for name in ("number", "at", "status", "words", "took_ms")}
            tries.setdefault(row.delivery_id, []).append(line)
        return tries

    def waiting(self) -> dict[str, int]:
        """For each subscriber, how much it has not taken yet."""
        counted = select(delivery.c.webhook_id, func.count()).where(_OPEN)
        rows = self._db.execute(counted.group_by(delivery.c.webhook_id))
        return {row[0]: row[1] for row in rows}


def _told(webhook_id: str | None) -> Select[Any]:
    """Deliveries, with what they tell, and to whom: to everybody, or to this one."""
    query: Select[Any] = (
        select(*_DELIVERY, telling.c.kind, telling.c.at, telling.c.inbox_id, webhook.c.url)
        .join(telling, telling.c.id == delivery.c.telling_id)
        .join(webhook, webhook.c.id == delivery.c.webhook_id)
    )
    return query if webhook_id is None else query.where(delivery.c.webhook_id == webhook_id)


def _shown(row: Row[Any], tries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "delivery_id": row.id,
        "webhook_id": row.webhook_id,
        "to": row.url,
        "event_id": row.telling_id,
        "event_type": row.kind,
        "inbox_id": row.inbox_id,
        "at": row.at,
        "state": _state(row),
        "tries": row.tries,
        "next_try_at": row.next_try_at,
        "status": row.status,
        "outcome": row.outcome,
        "ended_at": row.ended_at,
        "log": tries,
    }


def _state(row: Row[Any]) -> str:
    if row.ended_at is None:
        return "waits"
    return "delivered" if row.status in _YES else "failed"
