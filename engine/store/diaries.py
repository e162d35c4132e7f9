"""The shelf of what is booked and what has left, as the limits count it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, text

from engine.limits import Diary, Place, What, counted
from engine.sequence import Limits
from engine.states import DraftState
from engine.store.drafts import wanted
from engine.store.tables import draft

_BOOKED = sorted(set(DraftState) - {DraftState.CANCELLED, DraftState.FAILED})
_TO_COME = [DraftState.CLAIMED, DraftState.SCHEDULED]
#: What may have left counts as if it had.
_LEFT = [DraftState.RELEASING, DraftState.SENT, DraftState.UNCERTAIN]
_COLUMNS = {"mailbox": draft.c.inbox_id, "company": draft.c.company, "domain": draft.c.domain}


class Diaries:
    """One transaction's look at them."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def booked(self, limits: Limits, *, besides: str | None = None) -> Diary:
        """Whatever has its hour, past or to come, read a day at a time. `besides`: a draft that gives up its own."""

        def look(what: What, key: str, begin: datetime, end: datetime) -> Iterator[tuple[datetime, bool]]:
            yield from self.booked_between(what, key, begin, end, besides=besides)

        return Diary(look, lambda inbox: self.first(inbox, besides=besides), counts=counted(limits))

    def booked_between(
        self, what: What, key: str, begin: datetime, end: datetime, *, besides: str | None = None
    ) -> list[tuple[datetime, bool]]:
        found = select(draft.c.send_at, draft.c.opener).where(
            draft.c.state.in_(_BOOKED),
            _COLUMNS[what] == key,
            draft.c.send_at >= begin,
            draft.c.send_at < end,
            *_not(besides),
        )
        return [(at, opener) for at, opener in self._db.execute(found.order_by(draft.c.send_at))]

    def first(self, inbox: str, *, besides: str | None = None) -> datetime | None:
        """When this mailbox sent its first letter; else when it will."""
        theirs = draft.c.inbox_id == inbox
        left = select(func.min(draft.c.gate_at)).where(theirs, draft.c.state.in_(_LEFT))
        to_come = select(func.min(draft.c.send_at)).where(theirs, draft.c.state.in_(_TO_COME), *_not(besides))
        first: datetime | None = self._db.scalar(left) or self._db.scalar(to_come)
        return first

    def left(self) -> "Tally":
        """Whatever has really left, or may have."""
        return Tally(self._db, draft.c.gate_at, draft.c.state.in_(_LEFT))

    def waiting(self) -> "Tally":
        """Whatever has its hour."""
        return Tally(self._db, draft.c.send_at, draft.c.state.in_(_BOOKED))

    def queue_up(self, place: Place, limits: Limits) -> None:
        """Until this transaction is over nobody else counts the same mailbox, company or domain.

        SQLite has one writer at a time anyway.
        """
        if self._db.dialect.name != "postgresql":
            return
        keys = {"mailbox": place.inbox, "company": place.company, "domain": place.domain}
        for what in sorted(counted(limits)):
            turn = text("SELECT pg_advisory_xact_lock(hashtextextended(:turn, 0))")
            self._db.execute(turn, {"turn": f"{what} {keys[what]}"})


@dataclass(frozen=True, slots=True)
class Tally:
    """Counted by the database: for one letter, a day of a large mailbox is too much to read."""

    _db: Connection
    _at: ColumnElement[Any]
    _which: ColumnElement[bool]

    def count(self, what: What, key: str, begin: datetime, end: datetime, *, openers: bool) -> int:
        return (
            self._db.scalar(self._of(func.count(), what, key, openers, self._at >= begin, self._at < end))
            or 0
        )

    def to_come(self, what: What, key: str, now: datetime, end: datetime) -> int:
        """Also those that should have left by now."""
        still = draft.c.state.in_(_TO_COME), wanted(), self._at < end
        return self._db.scalar(self._of(func.count(), what, key, False, *still)) or 0

    def last(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        near = self._at >= at - reach, self._at <= at
        return self._latest(inbox, True, *near)

    def follow_up_near(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        near = self._at > at - reach, self._at < at + reach
        return self._latest(inbox, False, *near)

    def began(self, inbox: str) -> datetime | None:
        return Diaries(self._db).first(inbox)

    def _latest(self, inbox: str, openers: bool, *where: ColumnElement[bool]) -> datetime | None:
        found: datetime | None = self._db.scalar(
            self._of(func.max(self._at), "mailbox", inbox, openers, *where)
        )
        return found

    def _of(
        self, asked: ColumnElement[Any], what: What, key: str, openers: bool, *where: ColumnElement[bool]
    ) -> Select[Any]:
        found = select(asked).where(self._which, _COLUMNS[what] == key, *where)
        return found if openers else found.where(draft.c.opener.is_(False))


def _not(besides: str | None) -> list[ColumnElement[bool]]:
    return [] if besides is None else [draft.c.id != besides]
