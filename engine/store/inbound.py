"""The inbound shelf: what was heard, once; and who is never to be written to again."""

from collections.abc import Collection

from sqlalchemy import delete, select, update

from engine.addresses import contact, domain
from engine.events import Event, Incoming
from engine.store.moves import Desk
from engine.store.tables import UNMATCHED, inbound_event, inbound_message, suppression, tally

#: Whose events they are, in the book of receipts.
SOURCE = "agentmail"
#: Webhooks that were turned away. Of those that nobody believed nothing else is kept.
REFUSED = "webhooks refused"
#: Answers that we found by looking, because no webhook had told us.
MISSED = "answers no webhook told"


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
        self._desk.insert_once(
            suppression, address=contact(address), reason=reason, created_at=self._desk.now
        )

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
