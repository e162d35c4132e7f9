"""The shelf of our inboxes, and of the pods that they belong to."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    and_,
    delete,
    distinct,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from engine.addresses import CANARYS
from engine.ids import new_id
from engine.model import Inbox
from engine.states import CANCEL, DRAFT_ENDS, STOP, DraftState, StopReason
from engine.store.moves import Desk
from engine.store.pages import Page, Slice, page
from engine.store.tables import (
    api_key,
    arrival,
    audit,
    draft,
    enrollment,
    inbox,
    instance,
    list_entry,
    pod,
    thread,
    webhook,
)

#: For whom something holds: for everybody here, for a pod's inboxes, for one of them.
Scope = Literal["organization", "pod", "inbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Inboxes that belong together."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    client_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How much of everything there is here, and since when."""

    inboxes: int
    domains: int
    created_at: datetime


_POD = [pod.c[name] for name in Pod.__dataclass_fields__]
_INBOX = [*(inbox.c[name] for name in Inbox.__dataclass_fields__ if name != "paused"), inbox.c.status]
_HERE = inbox.c.deleted_at.is_(None)
_SHOWN = and_(_HERE, inbox.c.id.not_in(CANARYS))
_MADE: ColumnElement[int] = type_coerce(inbox.c.created_at, BigInteger)
_POD_MADE: ColumnElement[int] = type_coerce(pod.c.created_at, BigInteger)


def write_down(desk: Desk, what: str, detail: str) -> None:
    """A line in the log for what is neither a draft nor an enrollment."""
    desk.db.execute(insert(audit).values(at=desk.now, actor=desk.by, what=what, detail=detail))


def _inbox(row: Row[Any]) -> Inbox:
    fields = {name: getattr(row, name) for name in Inbox.__dataclass_fields__ if name != "paused"}
    return Inbox(**fields, paused=row.status == "paused")


def _pod(row: Row[Any]) -> Pod:
    return Pod(**{name: getattr(row, name) for name in Pod.__dataclass_fields__})


def _values(new: Inbox) -> dict[str, Any]:
    fields = {name: getattr(new, name) for name in Inbox.__dataclass_fields__ if name != "paused"}
    return fields | {"metadata": dict(new.metadata), "status": "paused" if new.paused else "active"}


class Inboxes:
    """One transaction's hands on them. What was deleted is not there any more."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- found ---

    def get(self, inbox_id: str) -> Inbox | None:
        return self.of([inbox_id]).get(inbox_id)

    def of(self, ids: Collection[str]) -> dict[str, Inbox]:
        """Those of them that are there."""
        found = select(*_INBOX).where(inbox.c.id.in_(ids), _HERE)
        return {row.id: _inbox(row) for row in self._db.execute(found)}

    def lock(self, inbox_id: str) -> Inbox | None:
        """Nobody else changes it until this transaction is over."""
        found = select(*_INBOX).where(inbox.c.id == inbox_id, _HERE).with_for_update()
        row = self._db.execute(found).one_or_none()
        return None if row is None else _inbox(row)

    def called(self, client_id: str) -> Inbox | None:
        """By the name that its author gave it."""
        row = self._db.execute(select(*_INBOX).where(inbox.c.client_id == client_id, _HERE)).one_or_none()
        return None if row is None else _inbox(row)

    def serves(self, domain: str) -> bool:
        """Does anybody live at this domain?"""
        found = select(inbox.c.id).where(inbox.c.id.endswith(f"@{domain}", autoescape=True), _HERE)
        return self._db.scalar(found.limit(1)) is not None

    def search(
        self, words: Collection[str], part: Slice, *, pod_id: str | None = None, inbox_id: str | None = None
    ) -> Page[Inbox]:
        """Every one of these words is in its address, or in its name."""
        query = _within(select(*_INBOX).where(_SHOWN), pod_id, inbox_id)
        for word in words:
            piece = word.lower()
            query = query.where(
                or_(
                    inbox.c.id.contains(piece, autoescape=True),
                    func.lower(inbox.c.display_name).contains(piece, autoescape=True),
                )
            )
        return page(self._db, query, _MADE, inbox.c.id, part, read=_inbox)

    def count(self) -> Count:
        name = (
            func.substr(inbox.c.id, func.instr(inbox.c.id, "@") + 1)
            if self._db.dialect.name == "sqlite"
            else func.split_part(inbox.c.id, "@", 2)
        )
        row = self._db.execute(select(func.count(), func.count(distinct(name))).where(_SHOWN)).one()
        born: datetime = self._db.scalars(select(instance.c.created_at)).one()
        return Count(inboxes=row[0], domains=row[1], created_at=born)

    # --- made and changed ---

    def create(self, new: Inbox) -> Inbox | None:
        """The first one that was made under its `client_id`, if there is one. None: somebody lives at that address.

        Where somebody once lived, and does not any more, somebody new may move in.
        """
        if (first := self._first(new)) is not None:
            return first
        made = self._desk.insert_once(inbox, **_values(new)) or self._move_in(new)
        if not made:
            return self._first(new)
        write_down(self._desk, "inbox: create", new.id)
        return _inbox(made[0])

    def update(self, inbox_id: str, **values: Any) -> Inbox | None:
        """These columns and no others; `paused` is one."""
        if "paused" in values:
            values["status"] = "paused" if values.pop("paused") else "active"
        if "metadata" in values:
            values["metadata"] = dict(values["metadata"])
        changed = (
            update(inbox)
            .where(inbox.c.id == inbox_id, _HERE)
            .values(**values, updated_at=self._desk.now)
            .returning(*_INBOX)
        )
        row = self._db.execute(changed).one_or_none()
        if row is None:
            return None
        write_down(self._desk, "inbox: update", inbox_id)
        return _inbox(row)

    def _first(self, new: Inbox) -> Inbox | None:
        return None if new.client_id is None else self.called(new.client_id)

    def _move_in(self, new: Inbox) -> list[Row[Any]]:
        """What is left of whoever lived there before stays hidden, and what somebody wrote there meanwhile unsaid."""
        empty = update(inbox).where(inbox.c.id == new.id, inbox.c.deleted_at.is_not(None))
        rows = list(self._db.execute(empty.values(**_values(new), deleted_at=None).returning(*_INBOX)))
        if rows:
            why = StopReason.BY_HAND
            self._desk.move(draft, CANCEL, draft.c.inbox_id == new.id, why=why, outcome=why)
        return rows

    # --- deleted ---

    def lock_threads(self, inbox_id: str) -> None:
        """Every conversation here, in the order in which everybody locks them: nobody says a word in any meanwhile."""
        here = select(thread.c.id).where(thread.c.inbox_id == inbox_id).order_by(thread.c.id)
        self._db.execute(here.with_for_update()).all()

    def at_work(self, inbox_id: str) -> list[str]:
        """The conversations here in which something is still to be said, or a sequence speaks."""
        said = select(draft.c.thread_id).where(draft.c.inbox_id == inbox_id, _pending())
        living = enrollment.c.inbox_id == inbox_id, enrollment.c.state.in_(sorted(STOP.sources))
        theirs = select(enrollment.c.id).where(*living)
        found = select(thread.c.id).where(or_(thread.c.id.in_(said), thread.c.enrollment_id.in_(theirs)))
        return list(self._db.scalars(found.order_by(thread.c.id)))

    def still_to_be_said(self, inbox_id: str) -> list[str]:
        """Drafts that have not had their end, whoever wrote them."""
        found = select(draft.c.id).where(draft.c.inbox_id == inbox_id, _pending())
        return list(self._db.scalars(found.order_by(draft.c.id)))

    def leaving(self, inbox_id: str) -> str | None:
        """A draft of which nobody can say yet whether it goes or stays."""
        found = select(draft.c.id).where(draft.c.inbox_id == inbox_id, draft.c.state == DraftState.RELEASING)
        return self._db.scalar(found.limit(1))

    def under_way(self, inbox_id: str) -> str | None:
        """A letter that left it for another inbox here, and has not arrived there."""
        found = select(arrival.c.message_id).where(
            arrival.c.from_inbox == inbox_id, arrival.c.ended_at.is_(None), arrival.c.outcome.is_(None)
        )
        return self._db.scalar(found.limit(1))

    def waits(self, inbox_id: str) -> bool:
        """Is there a draft that could still leave?"""
        ended = sorted({*DRAFT_ENDS, DraftState.UNCERTAIN})
        found = select(draft.c.id).where(draft.c.inbox_id == inbox_id, draft.c.state.not_in(ended))
        return self._db.scalar(found.limit(1)) is not None

    def delete(self, inbox_id: str) -> bool:
        """With its keys, lists and webhooks. False: it was not there."""
        now = self._desk.now
        # Who writes in it holds its row for that; whoever comes later finds it gone.
        self._db.execute(select(inbox.c.id).where(inbox.c.id == inbox_id).with_for_update()).all()
        gone = update(inbox).where(inbox.c.id == inbox_id, _HERE)
        left = gone.values(deleted_at=now, updated_at=now, client_id=None, metadata={}, display_name=None)
        if not self._db.execute(left.returning(inbox.c.id)).all():
            return False
        for statement in (
            delete(list_entry).where(list_entry.c.scope == "inbox", list_entry.c.scope_id == inbox_id),
            _revoked("inbox", inbox_id, now),
            update(webhook)
            .where(webhook.c.inbox_id == inbox_id, webhook.c.deleted_at.is_(None))
            .values(deleted_at=now, updated_at=now, enabled=False, client_id=None),
        ):
            self._db.execute(statement)
        write_down(self._desk, "inbox: delete", inbox_id)
        return True

    # --- pods ---

    def pod(self, pod_id: str) -> Pod | None:
        return self._pod(pod.c.id == pod_id)

    def enter_pod(self, pod_id: str) -> Pod | None:
        """The same; and nobody deletes it until this transaction is over."""
        return self._pod(pod.c.id == pod_id, shared=True)

    def pods(self, part: Slice, *, pod_id: str | None = None) -> Page[Pod]:
        query = select(*_POD).where(pod.c.deleted_at.is_(None))
        if pod_id is not None:
            query = query.where(pod.c.id == pod_id)
        return page(self._db, query, _POD_MADE, pod.c.id, part, read=_pod)

    def create_pod(self, name: str | None, client_id: str | None) -> Pod:
        """The first one that was made under this `client_id`, if there is one."""
        if client_id is not None and (first := self._pod(pod.c.client_id == client_id)) is not None:
            return first
        new, now = new_id("pod", self._desk.now), self._desk.now
        made = self._desk.insert_once(
            pod, id=new, name=name or new, client_id=client_id, created_at=now, updated_at=now
        )
        if not made:  # a twin was faster
            return _pod(self._db.execute(select(*_POD).where(pod.c.client_id == client_id)).one())
        write_down(self._desk, "pod: create", new)
        return _pod(made[0])

    def lock_pod(self, pod_id: str) -> Pod | None:
        """Nobody moves in until this transaction is over."""
        return self._pod(pod.c.id == pod_id, shared=False)

    def lives_in(self, pod_id: str) -> bool:
        """Is there an inbox in it?"""
        found = select(inbox.c.id).where(inbox.c.pod_id == pod_id, _HERE)
        return self._db.scalar(found.limit(1)) is not None

    def delete_pod(self, pod_id: str) -> None:
        """With its keys, lists and webhooks. The caller has seen that nobody lives in it."""
        now = self._desk.now
        for statement in (
            update(pod).where(pod.c.id == pod_id).values(deleted_at=now, updated_at=now, client_id=None),
            delete(list_entry).where(list_entry.c.scope == "pod", list_entry.c.scope_id == pod_id),
            _revoked("pod", pod_id, now),
            update(webhook)
            .where(webhook.c.pod_id == pod_id, webhook.c.deleted_at.is_(None))
            .values(deleted_at=now, updated_at=now, enabled=False, client_id=None),
        ):
            self._db.execute(statement)
        write_down(self._desk, "pod: delete", pod_id)

    def _pod(self, which: ColumnElement[bool], *, shared: bool | None = None) -> Pod | None:
        query = select(*_POD).where(which, pod.c.deleted_at.is_(None))
        if shared is not None:
            query = query.with_for_update(read=shared)
        row = self._db.execute(query).one_or_none()
        return None if row is None else _pod(row)

    # below everything that speaks of lists as Python does
    def list(self, part: Slice, *, pod_id: str | None = None, inbox_id: str | None = None) -> Page[Inbox]:
        """The newest first, unless the slice says otherwise."""
        query = _within(select(*_INBOX).where(_SHOWN), pod_id, inbox_id)
        return page(self._db, query, _MADE, inbox.c.id, part, read=_inbox)


def _within(query: Select[Any], pod_id: str | None, inbox_id: str | None) -> Select[Any]:
    if pod_id is not None:
        query = query.where(inbox.c.pod_id == pod_id)
    return query if inbox_id is None else query.where(inbox.c.id == inbox_id)


def _pending() -> ColumnElement[bool]:
    return draft.c.state.not_in(sorted(DRAFT_ENDS))


def _revoked(scope: Scope, scope_id: str, now: datetime) -> Any:
    theirs = api_key.c.scope == scope, api_key.c.scope_id == scope_id, api_key.c.revoked_at.is_(None)
    return update(api_key).where(*theirs).values(revoked_at=now, updated_at=now)
