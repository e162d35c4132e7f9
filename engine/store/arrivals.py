"""The shelf of letters between two inboxes of this house: they left one, and have not been heard in the other."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from engine.addresses import CANARYS_READER
from engine.ids import new_id
from engine.store.moves import Desk
from engine.store.tables import arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One letter on its way to one of our inboxes."""

    id: str  #: of the event that it becomes
    inbox_id: str
    message_id: str
    from_inbox: str
    at: datetime
    tries: int  #: also says in whose hands it is: whoever has counted less has lost it


_FIELDS = [arrival.c[name] for name in Arrival.__dataclass_fields__]


class Arrivals:
    """One transaction's hands on them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def begin(self, *, inbox_id: str, message_id: str, from_inbox: str) -> None:
        """In the transaction that says it left: so it arrives, whatever happens to us. But to the canary's reader nothing does."""
        if inbox_id == CANARYS_READER:
            return
        now = self._desk.now
        self._desk.insert_once(
            arrival,
            id=new_id("evt", now),
            inbox_id=inbox_id,
            message_id=message_id,
            from_inbox=from_inbox,
            at=now,
            next_try_at=now,
        )

    def take(self, at_most: int, *, until: datetime) -> list[Arrival]:
        """Into one pair of hands, the longest waiting first; due again then, should we die."""
        due = (
            select(arrival.c.id)
            .where(arrival.c.ended_at.is_(None), arrival.c.next_try_at <= self._desk.now)
            .order_by(arrival.c.next_try_at)
            .limit(at_most)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        taken = update(arrival).where(arrival.c.id == due.c.id)
        rows = self._db.execute(
            taken.values(tries=arrival.c.tries + 1, next_try_at=until).returning(*_FIELDS)
        ).all()
        return sorted((Arrival(**row._mapping) for row in rows), key=lambda each: each.id)

    def of(self, from_inbox: str, message_id: str) -> list[Arrival]:
        """Wherever this letter goes, or has arrived; whoever has it in hand."""
        its_own = arrival.c.from_inbox == from_inbox, arrival.c.message_id == message_id
        rows = self._db.execute(select(*_FIELDS).where(*its_own).order_by(arrival.c.id))
        return [Arrival(**row._mapping) for row in rows]

    def end(self, taken: Arrival, outcome: str) -> bool:
        """False: it had arrived before."""
        ended = update(arrival).where(arrival.c.id == taken.id, arrival.c.ended_at.is_(None))
        values = {"ended_at": self._desk.now, "next_try_at": None, "outcome": outcome}
        return bool(self._db.execute(ended.values(**values).returning(arrival.c.id)).all())

    def wait(self, taken: Arrival, until: datetime) -> None:
        """Not now."""
        later = update(arrival).where(arrival.c.id == taken.id, arrival.c.ended_at.is_(None))
        self._db.execute(later.values(next_try_at=until, outcome="too many letters in an hour"))

    def next_due(self) -> datetime | None:
        first: datetime | None = self._db.scalar(
            select(func.min(arrival.c.next_try_at)).where(arrival.c.ended_at.is_(None))
        )
        return first
