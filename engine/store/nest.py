"""The canary's nest: every row that is hers, so that none of them stays."""

from sqlalchemy import ColumnElement, delete, select

from engine.addresses import CANARY
from engine.states import IN_HAND
from engine.store.moves import Desk
from engine.store.tables import (
    draft,
    draft_label,
    enrollment,
    inbound_event,
    inbound_message,
    message,
    message_label,
    thread,
    thread_label,
)

#: How the events are named that she makes.
EVENT = "canary/"


class Nest:
    """One transaction's hands on it."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db

    def clear(self) -> bool:
        """False: somebody has a row of hers in hand. Then all of it stays, until the next time; nobody waits for her."""
        lives = self._locked(enrollment.c.id, enrollment.c.inbox_id == CANARY)
        threads = self._locked(thread.c.id, thread.c.enrollment_id.in_(lives or ()))
        drafts = self._locked(draft.c.id, draft.c.inbox_id == CANARY)
        if lives is None or threads is None or drafts is None:
            return False
        flying = select(draft.c.id).where(draft.c.id.in_(drafts), draft.c.state.in_(sorted(IN_HAND)))
        if self._db.scalar(flying.limit(1)) is not None:
            return False
        events = [f"{EVENT}{thread_id}" for thread_id in threads]
        for rows in (
            delete(inbound_event).where(inbound_event.c.event_id.in_(events)),
            delete(inbound_message).where(inbound_message.c.inbox_id == CANARY),
            delete(message_label).where(message_label.c.inbox_id == CANARY),
            delete(message).where(message.c.inbox_id == CANARY),
            delete(draft_label).where(draft_label.c.draft_id.in_(drafts)),
            delete(thread_label).where(thread_label.c.thread_id.in_(threads)),
            delete(draft).where(draft.c.inbox_id == CANARY),
            delete(thread).where(thread.c.id.in_(threads)),
            delete(enrollment).where(enrollment.c.id.in_(lives)),
        ):
            self._db.execute(rows)
        return True

    def _locked(self, name: ColumnElement[str], *hers: ColumnElement[bool]) -> list[str] | None:
        """All of them, or None: whoever holds one of them may want the next one that we would take."""
        there = set(self._db.scalars(select(name).where(*hers)))
        free = select(name).where(*hers).order_by(name).with_for_update(skip_locked=True)
        locked = list(self._db.scalars(free))
        return locked if set(locked) == there else None
