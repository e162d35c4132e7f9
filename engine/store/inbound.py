"""The inbound shelf: what was heard, once; and who is never to be written to again."""

from collections.abc import Collection

from sqlalchemy import select, update

from engine.addresses import contact, domain
from engine.store.moves import Desk
from engine.store.tables import inbound_event, inbound_message, suppression, tally

#: Whose events they are, in the book of receipts.
SOURCE = "agentmail"
#: Webhooks that were turned away. Of those that nobody believed nothing else is kept.
REFUSED = "webhooks refused"


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

    def note_message(self, inbox_id: str, message_id: str) -> bool:
        """False: the same mail, under another event's name."""
        return bool(self._desk.insert_once(inbound_message, inbox_id=inbox_id, message_id=message_id))

    def suppress(self, address: str, reason: str) -> None:
        """Never again, from anybody here."""
        self._desk.insert_once(
            suppression, address=contact(address), reason=reason, created_at=self._desk.now
        )

    def suppressed(self, address: str) -> str | None:
        """Why this address, or everybody at its domain, may not be written to."""
        found = select(suppression.c.reason).where(
            suppression.c.address.in_([contact(address), domain(address)])
        )
        return self._db.scalar(found.limit(1))

    def suppressed_among(self, addresses: Collection[str]) -> dict[str, str]:
        """Those of them who may not be written to, and why; by their contacts."""
        keys = {contact(address) for address in addresses} | {domain(address) for address in addresses}
        found = select(suppression.c.address, suppression.c.reason).where(suppression.c.address.in_(keys))
        reasons = {row.address: row.reason for row in self._db.execute(found)}
        return {
            contact(address): reason
            for address in addresses
            if (reason := reasons.get(contact(address)) or reasons.get(domain(address)))
        }
