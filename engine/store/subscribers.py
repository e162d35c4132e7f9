"""The shelf of those who are told: their addresses, what they want to hear, and the secrets that we sign with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    exists,
    insert,
    select,
    type_coerce,
    update,
)

from engine.store.moves import Desk
from engine.store.pages import Page, Slice, page
from engine.store.tables import audit, webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """Somebody who is told what happens here."""

    id: str
    url: str = field(repr=False)  #: it may have a secret in it
    event_types: tuple[str, ...]
    inbox_ids: tuple[str, ...] = ()  #: what happens in these, or in the pods below; neither: everywhere
    pod_ids: tuple[str, ...] = ()
    pod_id: str | None = None  #: whose it is: it never hears of anything else
    inbox_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    client_id: str | None = None
    enabled: bool = True
    secret: str = field(repr=False)
    old_secret: str | None = field(default=None, repr=False)  #: signs as well, until then
    old_until: datetime | None = None
    failing_since: datetime | None = None  #: not once has it said yes since then
    why_off: str | None = None  #: why it was switched off, if nobody asked for it
    created_at: datetime
    updated_at: datetime

    def wants(self, kind: str) -> bool:
        return kind in self.event_types

    def hears_of(self, inbox_id: str, pod_id: str | None) -> bool:
        """What lies in its own scope; and there, of what it named."""
        if self.inbox_id not in (None, inbox_id) or self.pod_id not in (None, pod_id):
            return False
        named = self.inbox_ids or self.pod_ids
        return not named or inbox_id in self.inbox_ids or pod_id in self.pod_ids

    @property
    def asks_for_pods(self) -> bool:
        return self.pod_id is not None or bool(self.pod_ids)

    def keys(self, now: datetime) -> tuple[str, ...]:
        """What its deliveries are signed with: both, while one takes the other's place."""
        both = self.old_secret is not None and self.old_until is not None and self.old_until > now
        return (self.secret, self.old_secret) if both and self.old_secret else (self.secret,)


_LISTS = ("event_types", "inbox_ids", "pod_ids")
_FIELDS = [webhook.c[name] for name in Subscriber.__dataclass_fields__]
_THERE = webhook.c.deleted_at.is_(None)
#: Put together once: it is asked whenever somebody answers.
_LISTENING = select(*_FIELDS).where(_THERE, webhook.c.enabled)


def anybody_listens() -> ColumnElement[bool]:
    """For whoever looks for something else in any case."""
    return exists(select(webhook.c.id).where(_THERE, webhook.c.enabled)).label("listened_to")


def _record(row: Row[Any]) -> Subscriber:
    fields = {name: getattr(row, name) for name in Subscriber.__dataclass_fields__}
    return Subscriber(**fields | {name: tuple(fields[name]) for name in _LISTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Whose subscribers are meant; without a word, everybody's."""

    pod_id: str | None = None
    inbox_id: str | None = None

    @property
    def guard(self) -> tuple[ColumnElement[bool], ...]:
        named = ((webhook.c.pod_id, self.pod_id), (webhook.c.inbox_id, self.inbox_id))
        return (_THERE, *(column == value for column, value in named if value is not None))


EVERYBODY = Within()


class Subscribers:
    """One transaction's hands on them. What was deleted is not there any more."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def listening(self) -> list[Subscriber]:
        """Whoever may be told."""
        return [_record(row) for row in self._db.execute(_LISTENING)]

    def get(self, subscriber_id: str, within: Within = EVERYBODY) -> Subscriber | None:
        row = self._db.execute(self._one(subscriber_id, within)).one_or_none()
        return None if row is None else _record(row)

    def lock(self, subscriber_id: str, within: Within = EVERYBODY) -> Subscriber | None:
        """Nobody changes it meanwhile. It is taken before its deliveries, always in this order."""
        # not its key: whoever is told something new at this moment need not wait for us
        locked = self._one(subscriber_id, within).with_for_update(key_share=True)
        row = self._db.execute(locked).one_or_none()
        return None if row is None else _record(row)

    def page_of(self, part: Slice, within: Within = EVERYBODY) -> Page[Subscriber]:
        """By when they came, the newest first unless somebody asks otherwise."""
        query = select(*_FIELDS).where(*within.guard)
        born = type_coerce(webhook.c.created_at, BigInteger)
        return page(self._db, query, born, webhook.c.id, part, read=_record)

    def everybody(self) -> Iterator[Subscriber]:
        rows = self._db.execute(select(*_FIELDS).where(_THERE).order_by(webhook.c.created_at, webhook.c.id))
        return map(_record, rows)

    def add(self, new: Subscriber) -> Subscriber:
        """The one that is there then: a name that its author gave it makes it once."""
        values = {name: getattr(new, name) for name in Subscriber.__dataclass_fields__}
        twin = select(*_FIELDS).where(webhook.c.client_id == new.client_id, _THERE)
        while not self._desk.insert_once(webhook, **values):
            if row := self._db.execute(twin).one_or_none():
                return _record(row)
        self._log("create", new.id)
        return new

    def change(self, locked: Subscriber, what: str, **values: Any) -> Subscriber:
        """What somebody asked for; signed in the log, since it sees everybody's mail."""
        self._log(what, locked.id)
        return self._write(locked.id, updated_at=self._desk.now, **values)

    def delete(self, locked: Subscriber) -> None:
        """Its name is free again; its deliveries are remembered."""
        self._log("delete", locked.id)
        gone = update(webhook).where(webhook.c.id == locked.id)
        self._db.execute(gone.values(deleted_at=self._desk.now, enabled=False, client_id=None))

    # --- how it is with them ---

    def switched_off(self) -> list[dict[str, Any]]:
        """Whom nobody asked to switch off."""
        off = _THERE, webhook.c.enabled.is_(False), webhook.c.why_off.is_not(None)
        rows = self._db.execute(
            select(webhook.c.id, webhook.c.failing_since, webhook.c.why_off)
            .where(*off)
            .order_by(webhook.c.id)
        )
        return [
            {"webhook_id": row.id, "failing_since": row.failing_since, "why_off": row.why_off} for row in rows
        ]

    def said_yes(self, subscriber_id: str) -> None:
        """All is well: whatever went wrong before is over."""
        failing = update(webhook).where(webhook.c.id == subscriber_id, webhook.c.failing_since.is_not(None))
        self._db.execute(failing.values(failing_since=None))

    def said_no(self, locked: Subscriber) -> datetime:
        """Since when it has not said yes."""
        if locked.failing_since is None:
            self._write(locked.id, failing_since=self._desk.now)
        return locked.failing_since or self._desk.now

    def switch_off(self, locked: Subscriber, why: str) -> None:
        """Nobody asked for it, and somebody should know."""
        self._log("switch off", locked.id, why)
        self._write(locked.id, enabled=False, why_off=why, updated_at=self._desk.now)

    def _write(self, subscriber_id: str, **values: Any) -> Subscriber:
        written = update(webhook).where(webhook.c.id == subscriber_id).values(**values)
        return _record(self._db.execute(written.returning(*_FIELDS)).one())

    def _one(self, subscriber_id: str, within: Within) -> Select[Any]:
        return select(*_FIELDS).where(webhook.c.id == subscriber_id, *within.guard)

    def _log(self, what: str, subscriber_id: str, why: str | None = None) -> None:
        line = {"at": self._desk.now, "actor": self._desk.by, "what": f"webhook: {what}"}
        detail = subscriber_id if why is None else f"{subscriber_id} {why}"
        self._db.execute(insert(audit).values(**line, detail=detail))
