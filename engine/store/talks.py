"""The shelf of conversations as they are looked at: their letters with their places, and what is still to be said in them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, null, select

from engine.model import Draft, Hidden, Message
from engine.states import DRAFT_ENDS
from engine.store.drafts import record
from engine.store.moves import Desk
from engine.store.tables import draft, message
from engine.store.threads import letter

#: Of a letter that goes on for longer, a page shows the beginning.
SHOWN = 20_000

_LETTER = [message.c[name] for name in Message.__dataclass_fields__ if name not in {"text", "html"}]
_PENDING = [draft.c[name] for name in Draft.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A letter in its conversation: where it stands, and how much there is of it."""

    place: int
    letter: Message  #: of its text only as much as is shown; of its HTML nothing
    length: int
    has_html: bool


@dataclass(frozen=True, slots=True)
class Talk:
    """Some letters of a conversation, from old to new, and the place before which there are more."""

    letters: list[Spoken]
    before: int | None


class Talks:
    """One transaction's look at them."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db

    def letters(
        self, thread_id: str, hidden: Hidden | None, *, limit: int = 20, before: int | None = None
    ) -> Talk:
        """From its end, to be read from old to new. `hidden`: why the conversation is not shown, if it is not."""
        beyond = [] if before is None else [message.c.position < before]
        query: Select[Any] = select(
            *_LETTER,
            message.c.position,
            func.substr(message.c.text, 1, SHOWN).label("text"),
            func.length(message.c.text).label("length"),
            null().label("html"),
            message.c.html.is_not(None).label("has_html"),
        ).where(message.c.thread_id == thread_id, _counts(hidden), *beyond)
        rows = self._db.execute(query.order_by(message.c.position.desc()).limit(limit + 1)).all()
        shown = rows[:limit]
        found = [Spoken(row.position, letter(row), row.length, bool(row.has_html)) for row in shown]
        return Talk(found[::-1], shown[-1].position if len(rows) > limit else None)

    def letter_at(self, thread_id: str, place: int) -> Message | None:
        """The whole of it."""
        query: Select[Any] = select(*_LETTER, message.c.text, message.c.html).where(
            message.c.thread_id == thread_id,
            message.c.position == place,
            message.c.hidden.is_distinct_from("deleted"),
        )
        row = self._db.execute(query).one_or_none()
        return None if row is None else letter(row)

    def to_come(self, thread_id: str, *, at_most: int = 20) -> list[Draft]:
        """What is still to be said in it, the next first."""
        query = select(*_PENDING).where(
            draft.c.thread_id == thread_id, draft.c.state.not_in(sorted(DRAFT_ENDS))
        )
        rows = self._db.execute(query.order_by(draft.c.send_at, draft.c.id).limit(at_most))
        return [record(row) for row in rows]


def _counts(hidden: Hidden | None) -> ColumnElement[bool]:
    """What makes a conversation up: its letters that are seen; if none is, all that there are."""
    return message.c.hidden.is_(None) if hidden is None else message.c.hidden.is_distinct_from("deleted")
