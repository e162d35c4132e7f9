"""The shelf of what is booked and what has left, as the limits count it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, text

from engine.limits import TICK, Diary, Place, What, counted
from engine.sequence import Limits
from engine.states import DraftState
from engine.store.drafts import wanted
from engine.store.tables import draft

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_BOOKED = sorted(set(DraftState) - {DraftState.CANCELLED, DraftState.FAILED, DraftState.WRITTEN})
_TO_COME = [DraftState.CLAIMED, DraftState.SCHEDULED]
#: What may have left counts as if it had.
_LEFT = [DraftState.RELEASING, DraftState.SENT, DraftState.UNCERTAIN]
_COLUMNS = {"mailbox": draft.c.inbox_id, "company": draft.c.company, "domain": draft.c.domain}

Shelf = Literal["booked", "to_come", "left"]


class Diaries:
    """One transaction's look at them."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def booked(self, limits: Limits) -> Diary:
        """Whatever has its hour, past or to come, read a day at a time: for many letters."""
        return Diary(self.booked_between, self.first, counts=counted(limits))

    def booked_besides(self, besides: str | None, limits: Limits) -> Diary:
        """The same for one letter, which gives up its own hour, if it has one."""
        return _Glance(Tally(self._db, "booked", besides or ""), limits)

    def booked_between(
        self, what: What, key: str, begin: datetime, end: datetime
    ) -> list[tuple[datetime, bool]]:
        return list(Tally(self._db, "booked").between(what, key, begin, end))

    def first(self, inbox: str) -> datetime | None:
        return Tally(self._db, "booked").began(inbox)

    def left(self) -> "Tally":
        """Whatever has really left, or may have."""
        return Tally(self._db, "left")

    def waiting(self) -> "Tally":
        """Whatever has its hour."""
        return Tally(self._db, "booked")

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
    """Counted by the database: for one letter, the day of a large mailbox is too much to read."""

    _db: Connection
    _shelf: Shelf
    _besides: str = ""

    def count(self, what: What, key: str, begin: datetime, end: datetime, *, openers: bool) -> int:
        return self._ask(_count(self._shelf, what, openers), key, begin, end) or 0

    def to_come(self, what: What, key: str, now: datetime, end: datetime) -> int:
        """Also those that should have left by now."""
        return self._ask(_count("to_come", what, False), key, _LONG_AGO, end) or 0

    def last(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        last: datetime | None = self._ask(_latest(self._shelf, True), inbox, at - reach, at + TICK)
        return last

    def follow_up_near(self, inbox: str, at: datetime, reach: timedelta) -> datetime | None:
        near: datetime | None = self._ask(_latest(self._shelf, False), inbox, at - reach + TICK, at + reach)
        return near

    def began(self, inbox: str) -> datetime | None:
        """When this mailbox sent its first letter; else when it will."""
        ever = {"key": inbox, "besides": self._besides}
        first: datetime | None = self._db.scalar(_first("left"), ever) or self._db.scalar(
            _first("to_come"), ever
        )
        return first

    def between(
        self, what: What, key: str, begin: datetime, end: datetime
    ) -> Iterator[tuple[datetime, bool]]:
        found = {"key": key, "begin": begin, "end": end, "besides": self._besides}
        yield from ((at, opener) for at, opener in self._db.execute(_each(self._shelf, what), found))

    def _ask(self, query: Select[Any], key: str, begin: datetime, end: datetime) -> Any:
        return self._db.scalar(query, {"key": key, "begin": begin, "end": end, "besides": self._besides})


class _Glance(Diary):
    """A diary for one letter: it counts without reading."""

    def __init__(self, tally: Tally, limits: Limits) -> None:
        super().__init__(tally.between, tally.began, counts=counted(limits))
        self._tally = tally

    def count(self, what: What, key: str, begin: datetime, end: datetime, *, openers: bool) -> int:
        return self._tally.count(what, key, begin, end, openers=openers)


# --- the questions: each is put together once, because that costs more than asking it ---


@cache
def _count(shelf: Shelf, what: What, openers: bool) -> Select[Any]:
    return _but(openers, select(func.count()).where(*_on(shelf, what), *_within(shelf)))


@cache
def _latest(shelf: Shelf, openers: bool) -> Select[Any]:
    return _but(openers, select(func.max(_hour(shelf))).where(*_on(shelf, "mailbox"), *_within(shelf)))


@cache
def _first(shelf: Shelf) -> Select[Any]:
    return select(func.min(_hour(shelf))).where(*_on(shelf, "mailbox"))


@cache
def _each(shelf: Shelf, what: What) -> Select[Any]:
    found = select(_hour(shelf), draft.c.opener).where(*_on(shelf, what), *_within(shelf))
    return found.order_by(_hour(shelf))


def _but(openers: bool, query: Select[Any]) -> Select[Any]:
    return query if openers else query.where(draft.c.opener.is_(False))


def _hour(shelf: Shelf) -> ColumnElement[Any]:
    return draft.c.gate_at if shelf == "left" else draft.c.send_at


def _within(shelf: Shelf) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _hour(shelf) >= bindparam("begin"), _hour(shelf) < bindparam("end")


def _on(shelf: Shelf, what: What) -> Iterator[ColumnElement[bool]]:
    yield _COLUMNS[what] == bindparam("key")
    yield draft.c.id != bindparam("besides")
    yield draft.c.state.in_({"booked": _BOOKED, "to_come": _TO_COME, "left": _LEFT}[shelf])
    if shelf == "to_come":
        yield wanted()
