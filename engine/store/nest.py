"""The canary's nest: every row that is hers, so that none of them stays."""

from sqlalchemy import delete, select

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
        """False: a letter of hers is in somebody's hands. Then all of it stays, until the next time."""
        lives = list(self._db.scalars(select(enrollment.c.id).where(enrollment.c.inbox_id == CANARY)))
        hers = select(thread.c.id).where(thread.c.enrollment_id.in_(lives)).order_by(thread.c.id)
        threads = list(self._db.scalars(hers.with_for_update()))
        held = select(draft.c.id).where(draft.c.inbox_id == CANARY, draft.c.state.in_(sorted(IN_HAND)))
        if self._db.scalar(held.limit(1)) is not None:
            return False
        events = [f"{EVENT}{thread_id}" for thread_id in threads]
        drafts = select(draft.c.id).where(draft.c.inbox_id == CANARY)
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
