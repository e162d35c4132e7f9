"""The shelf of what is booked and what has left, as the limits count it."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from threading import Lock
from time import monotonic
from typing import Any, Literal

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    select,
)

from engine.limits import TICK, Diary, Place, What, counted, keys
from engine.sequence import Limits
from engine.states import DraftState
from engine.store.drafts import wanted
from engine.store.tables import draft

_LONG = 0.01  #: seconds
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

    def booked_besides(
        self, besides: str | None, limits: Limits, forecast: "Forecast | None" = None
    ) -> Diary:
        """The same for one letter, which gives up its own hour, if it has one.

        `forecast`: what whoever plans many of them has counted before.
        """
        return _Glance(
            Tally(self._db, "booked", besides or ""), limits, forecast if besides is None else None
        )

    def booked_between(
        self, what: What, key: str, begin: datetime, end: datetime
    ) -> list[tuple[datetime, bool]]:
        return list(Tally(self._db, "booked").between(what, key, begin, end))

    def first(self, inbox: str) -> datetime | None:
        return Tally(self._db, "booked").began(inbox)

    def left(self, besides: str = "") -> "Tally":
        """Whatever has really left, or may have; and, where it is counted, that for which room is kept."""
        return Tally(self._db, "left", besides)

    def waiting(self) -> "Tally":
        """Whatever has its hour."""
        return Tally(self._db, "booked")

    def to_come(
        self, what: What, key: str, now: datetime, end: datetime, forecast: "Forecast | None" = None
    ) -> int:
        """How many that are no first letters still want to leave before then."""
        look = partial(self.waiting().to_come, what, key, now, end)
        return forecast.count(("to_come", what, key, _LONG_AGO, end, False), look) if forecast else look()

    def queue_up(self, places: Collection[Place], *limits: Limits) -> None:
        """Until this transaction is over nobody else counts the same mailboxes, companies or domains.

        Always in the same order. SQLite has one writer at a time anyway.
        """
        if self._db.dialect.name != "postgresql":
            return
        wanted = {what for each in limits for what in counted(each)}
        turns = {f"{what} {key}" for place in places for what, key in keys(place) if what in wanted}
        self._db.execute(_QUEUE, {"turns": sorted(turns)}).all()


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


_Asked = tuple[Shelf, What, str, datetime, datetime, bool]


class Forecast:
    """How many letters were booked when somebody last counted, and how many they have booked since.

    For whoever plans many of them: each batch is counted anew. Only what took long to count is kept for longer, so that
    no more than a hundredth of the time goes into counting. What is booked is a forecast in any case: when its hour
    comes, a letter is counted again.
    """

    def __init__(self) -> None:
        self._counted: dict[_Asked, int] = {}
        self._good_until: dict[_Asked, float] = {}
        self._lock = Lock()

    def begin(self) -> "Forecast":
        """Another batch; or something was moved."""
        with self._lock:
            self._good_until = {each: end for each, end in self._good_until.items() if end > monotonic()}
            self._counted = {each: self._counted[each] for each in self._good_until}
        return self

    def count(self, asked: _Asked, look: Callable[[], int]) -> int:
        known = self._counted.get(asked)
        if known is not None:
            return known
        begun = monotonic()
        known = look()
        took = monotonic() - begun
        with self._lock:
            self._counted[asked] = known
            if took > _LONG:
                self._good_until[asked] = monotonic() + 100 * took
        return known

    def book(self, place: Place, at: datetime) -> None:
        """One more has its hour."""
        theirs = set(keys(place))
        with self._lock:
            for asked in self._counted:
                _, what, key, begin, end, openers = asked
                if (what, key) in theirs and begin <= at < end and (openers or not place.opener):
                    self._counted[asked] += 1


class _Glance(Diary):
    """A diary for one letter: it counts without reading."""

    def __init__(self, tally: Tally, limits: Limits, forecast: Forecast | None) -> None:
        super().__init__(tally.between, tally.began, counts=counted(limits))
        self._tally, self._forecast = tally, forecast

    def count(self, what: What, key: str, begin: datetime, end: datetime, *, openers: bool) -> int:
        look = partial(self._tally.count, what, key, begin, end, openers=openers)
        return (
            self._forecast.count(("booked", what, key, begin, end, openers), look)
            if self._forecast
            else look()
        )


# --- the questions: each is put together once, because that costs more than asking it ---


@cache
def _count(shelf: Shelf, what: What, openers: bool) -> Select[Any]:
    found = _but(openers, select(func.count()).where(*_on(shelf, what), *_within(shelf)))
    if shelf != "left":
        return found
    # in one look: a letter that goes through its gate meanwhile is counted here or there, and not nowhere
    return select(found.scalar_subquery() + _but(openers, _kept(what)).scalar_subquery())


def _kept(what: What) -> Select[Any]:
    """In somebody's hands, with room that was kept for it in this period, or in one that ends later."""
    claimed = draft.c.state == literal_column(f"'{DraftState.CLAIMED}'")
    mine = _COLUMNS[what] == bindparam("key"), draft.c.id != bindparam("besides")
    return select(func.count()).where(claimed, draft.c.room_until > bindparam("begin"), *mine)


_TURN = func.unnest(bindparam("turns", type_=ARRAY(Text))).column_valued("turn")
_QUEUE = select(func.pg_advisory_xact_lock(func.hashtextextended(_TURN, 0)))


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
