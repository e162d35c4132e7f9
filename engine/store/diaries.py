"""The shelf of what is booked and what has left, as the limits count it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from engine.limits import Diary, What, counted
from engine.sequence import Limits
from engine.states import DraftState
from engine.store.tables import draft, message

_COUNTS = sorted(set(DraftState) - {DraftState.CANCELLED, DraftState.FAILED})


class Diaries:
    """One transaction's look at them; a page is read when it is first asked for."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def booked(self, limits: Limits) -> Diary:
        """Whatever has its hour, past or to come."""
        return Diary(self._booked, self.first, counts=counted(limits))

    def sent(self, limits: Limits) -> Diary:
        """Whatever has really left, or is leaving now."""
        return Diary(self._sent, self.first, counts=counted(limits))

    def booked_between(
        self, what: What, key: str, begin: datetime, end: datetime
    ) -> list[tuple[datetime, bool]]:
        return list(self._booked(what, key, begin, end))

    def first(self, inbox: str) -> datetime | None:
        """The first hour that this mailbox ever had."""
        found = select(draft.c.send_at).where(draft.c.inbox_id == inbox).order_by(draft.c.send_at).limit(1)
        return self._db.scalar(found)

    def _booked(
        self, what: What, key: str, begin: datetime, end: datetime
    ) -> Iterator[tuple[datetime, bool]]:
        yield from self._rows(_booked(_is(what, key), draft.c.send_at >= begin, draft.c.send_at < end))

    def _sent(self, what: What, key: str, begin: datetime, end: datetime) -> Iterator[tuple[datetime, bool]]:
        left = select(message.c.timestamp, draft.c.opener).join(draft, draft.c.id == message.c.draft_id)
        of = message.c.inbox_id == key if what == "mailbox" else _is(what, key)
        between = message.c.timestamp >= begin, message.c.timestamp < end, message.c.direction == "sent"
        yield from self._rows(left.where(of, *between))
        leaving = select(draft.c.gate_at, draft.c.opener).where(draft.c.state == DraftState.RELEASING)
        yield from self._rows(leaving.where(_is(what, key), draft.c.gate_at >= begin, draft.c.gate_at < end))

    def _rows(self, query: Select[Any]) -> Iterator[tuple[datetime, bool]]:
        yield from ((at, opener) for at, opener in self._db.execute(query))


def _booked(*where: ColumnElement[bool]) -> Select[Any]:
    return (
        select(draft.c.send_at, draft.c.opener)
        .where(draft.c.state.in_(_COUNTS), *where)
        .order_by(draft.c.send_at)
    )


def _is(what: What, key: str) -> ColumnElement[bool]:
    column = {"mailbox": draft.c.inbox_id, "company": draft.c.company, "domain": draft.c.domain}[what]
    return column == key
