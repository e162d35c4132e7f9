"""The inbound shelf: what was heard, once; and who is never to be written to again."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, select, update

from engine.addresses import contact, domain
from engine.events import Event, Incoming
from engine.store.inboxes import write_down
from engine.store.moves import Desk
from engine.store.pages import Page, Slice, page
from engine.store.tables import UNMATCHED, inbound_event, inbound_message, suppression, tally

#: Whose events they are, in the book of receipts.
SOURCE = "agentmail"
#: Webhooks that were turned away. Of those that nobody believed nothing else is kept.
REFUSED = "webhooks refused"
#: Answers that we found by looking, because no webhook had told us.
MISSED = "answers no webhook told"


_AT_ONCE = 1000
_HIGHEST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Never to be written to again: an address, or everybody at a domain."""

    address: str
    reason: str
    since: datetime


class Inbound:
    """One transaction's hands on the receipts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def note_receipt(self, source: str, event_id: str, raw: bytes, verdict: str) -> bool:
        """False: heard before. A twin that is being heard at this very moment is waited for."""
        made = self._desk.insert_once(
            inbound_event,
            source=source,
            event_id=event_id,
            received_at=self._desk.now,
            verdict=verdict,
            raw=raw,
        )
        return bool(made)

    def knows(self, event: Event, source: str = "agentmail") -> bool:
        """Was it heard before, under its own name, or as the letter that it tells of?"""
        told = select(inbound_event.c.event_id).where(
            inbound_event.c.source == source, inbound_event.c.event_id == event.id
        )
        letter = select(inbound_message.c.message_id).where(
            inbound_message.c.inbox_id == contact(event.inbox_id),
            inbound_message.c.message_id == event.message_id,
        )
        if self._db.scalar(told) is not None:
            return True
        return isinstance(event, Incoming) and self._db.scalar(letter) is not None

    def reopen(self, event_id: str) -> bytes | None:
        """Its bytes, if it was about nobody whom we knew: it may be heard once more, in this transaction."""
        unknown = inbound_event.c.event_id == event_id, inbound_event.c.verdict == UNMATCHED
        taken: bytes | None = self._db.scalar(
            delete(inbound_event).where(*unknown).returning(inbound_event.c.raw)
        )
        return None if taken is None else bytes(taken)

    def conclude(self, source: str, event_id: str, verdict: str) -> None:
        """What came of it."""
        self._db.execute(
            update(inbound_event)
            .where(inbound_event.c.source == source, inbound_event.c.event_id == event_id)
            .values(verdict=verdict)
        )

    def count(self, name: str, more: int) -> None:
        self._desk.insert_once(tally, name=name, number=0)
        self._db.execute(update(tally).where(tally.c.name == name).values(number=tally.c.number + more))

    def counted(self, name: str) -> int:
        return self._db.scalar(select(tally.c.number).where(tally.c.name == name)) or 0

    def note_message(self, inbox_id: str, message_id: str) -> bool:
        """False: the same mail, under another event's name."""
        return bool(self._desk.insert_once(inbound_message, inbox_id=inbox_id, message_id=message_id))

    def suppress(self, address: str, reason: str) -> None:
        """Never again, from anybody here."""
        key = contact(address)
        made = self._desk.insert_once(suppression, address=key, reason=reason, created_at=self._desk.now)
        if made:
            write_down(self._desk, "suppression: add", f"{key} {reason}")

    def suppressed_among(self, addresses: Collection[str]) -> dict[str, str]:
        """Those who may not be written to, alone or with all of their domain, and why; by their contacts."""
        keys = {contact(address) for address in addresses} | {domain(address) for address in addresses}
        found = select(suppression.c.address, suppression.c.reason).where(suppression.c.address.in_(keys))
        reasons = {row.address: row.reason for row in self._db.execute(found)}
        return {
            contact(address): reason
            for address in addresses
            if (reason := reasons.get(contact(address)) or reasons.get(domain(address)))
        }

    def suppressions(self, part: Slice, *, beginning: str = "") -> Page[Suppressed]:
        """By name, from A to Z; all of them, or those that begin so."""
        name = suppression.c.address
        return page(self._db, self._beginning(beginning), name, name, part, read=_suppressed, expression=True)

    def every_suppression(self) -> Iterator[Suppressed]:
        """All of them by name, some at a time: a million need not fit into memory."""
        after = ""
        while True:
            some = self._beginning("").where(suppression.c.address > after)
            rows = self._db.execute(some.order_by(suppression.c.address).limit(_AT_ONCE)).all()
            yield from map(_suppressed, rows)
            if len(rows) < _AT_ONCE:
                return
            after = rows[-1].address

    def _beginning(self, words: str) -> Select[Any]:
        query = select(suppression)
        if not words:
            return query
        query = query.where(suppression.c.address.startswith(words, autoescape=True))
        if self._db.dialect.name == "sqlite":  # its LIKE does not look into an index
            query = query.where(suppression.c.address.between(words, words + _HIGHEST))
        return query


def _suppressed(row: Row[Any]) -> Suppressed:
    return Suppressed(row.address, row.reason, row.created_at)
