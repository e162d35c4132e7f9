"""What was heard, for whoever asks: every receipt, the latest first, and the bytes of one. Nothing here changes anything."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Row, case, func, null, select, type_coerce

from engine.store.moves import Desk
from engine.store.nest import EVENT
from engine.store.pages import Page, Slice, page
from engine.store.tables import inbound_event

#: What is larger is not read for a list.
_SHORT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Something that was told to us, and what came of it."""

    source: str
    event_id: str
    received_at: datetime
    verdict: str
    size: int  #: of its bytes
    raw: bytes | None  #: None: it is too long to be read for a list


_FIELDS = (
    inbound_event.c.source,
    inbound_event.c.event_id,
    inbound_event.c.received_at,
    inbound_event.c.verdict,
    func.length(inbound_event.c.raw).label("size"),
)
_BRIEFLY = case((func.length(inbound_event.c.raw) <= _SHORT, inbound_event.c.raw), else_=null()).label("raw")


def _receipt(row: Row[Any]) -> Receipt:
    fields = {name: getattr(row, name) for name in Receipt.__dataclass_fields__}
    return Receipt(**fields | {"raw": None if row.raw is None else bytes(row.raw)})


class Hearings:
    """One transaction's look."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db

    def page_of(self, part: Slice) -> Page[Receipt]:
        """By when they came, the latest first. Without the canary's: she answers every few minutes."""
        came = type_coerce(inbound_event.c.received_at, BigInteger)
        hers = inbound_event.c.event_id.startswith(EVENT, autoescape=True)
        query = select(*_FIELDS, _BRIEFLY).where(~hers)
        return page(self._db, query, came, inbound_event.c.event_id, part, read=_receipt)

    def one(self, source: str, event_id: str) -> Receipt | None:
        """With its bytes, however many."""
        this = inbound_event.c.source == source, inbound_event.c.event_id == event_id
        row: Any = self._db.execute(select(*_FIELDS, inbound_event.c.raw).where(*this)).one_or_none()
        return None if row is None else _receipt(row)
