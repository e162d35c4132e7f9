"""The shelf of what is done with letters that lie here: they are called something, hidden, thrown away."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from engine.ids import new_id
from engine.states import DRAFT_ENDS
from engine.store.moves import Desk
from engine.store.tables import draft, label_event, message, message_label, thread, thread_label
from engine.store.threads import FAILED, among, preview
from engine.tags import CLASSES, Relabelling, why_hidden

_BEGINNING = 800  # characters, of which a preview is made

#: What is left of a letter that was deleted: that it was, and between whom. Histories and gates lean on it.
_BLANK: dict[str, Any] = {
    "hidden": "deleted",
    "subject": "",
    "text": "",
    "html": None,
    "names": {},
    "reply_to": [],
    "headers": {},
    "attachments": [],
    "labels": [],
    "size": 0,
}
_NOTHING_LEFT: dict[str, Any] = {
    "last_at": None,
    "received_at": None,
    "sent_at": None,
    "last_message_id": None,
    "message_count": 0,
    "size": 0,
    "senders": [],
    "recipients": [],
    "preview": None,
    "hidden": "deleted",
}


class Filing:
    """One transaction's hands on them. The caller has locked the threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- labels ---

    def relabel(
        self, inbox_id: str, names: Collection[str], change: Relabelling
    ) -> dict[str, tuple[str, ...]]:
        """What each of these letters is called now. What is not there, or was deleted, is not among them."""
        these = message.c.inbox_id == inbox_id, message.c.message_id.in_(names)
        return self._relabel(self._lying(*these), change)

    def relabel_thread(self, thread_id: str, change: Relabelling) -> None:
        """Its own labels. Those that hide are its letters', and what is removed is removed from them, too."""
        own = [label for label in change.add if label not in CLASSES]
        self._desk.insert_all(thread_label, [{"thread_id": thread_id, "label": label} for label in own])
        self._db.execute(
            delete(thread_label).where(
                thread_label.c.thread_id == thread_id, thread_label.c.label.in_(change.remove)
            )
        )
        hiding = tuple(label for label in change.add if label in CLASSES)
        if hiding:
            there = self._lying(message.c.thread_id == thread_id)
        else:
            called = select(message_label.c.message_id).where(
                message_label.c.thread_id == thread_id, message_label.c.label.in_(change.remove)
            )
            there = self._lying(message.c.thread_id == thread_id, message.c.message_id.in_(called))
        self._relabel(there, Relabelling(hiding, change.remove))
        self._touch({thread_id})

    def bears(self, thread_id: str, labels: Collection[str]) -> set[str]:
        """Those of these labels that a letter of this conversation bears."""
        there = message_label.c.thread_id == thread_id, message_label.c.label.in_(labels)
        return set(self._db.scalars(select(message_label.c.label).where(*there)))

    def _lying(self, *where: Any) -> list[Row[Any]]:
        columns = [
            message.c[name]
            for name in ("inbox_id", "message_id", "thread_id", "labels", "hidden", "timestamp")
        ]
        here = select(*columns).where(*where, message.c.hidden.is_distinct_from("deleted"))
        return list(self._db.execute(here.order_by(message.c.thread_id, message.c.position)))

    def _relabel(self, letters: Collection[Row[Any]], change: Relabelling) -> dict[str, tuple[str, ...]]:
        """The one place: what a letter says of itself, what finds it, and that it happened."""
        labels = {row.message_id: change.applied(row.labels) for row in letters}
        changed = [row for row in letters if labels[row.message_id] != tuple(row.labels)]
        if not changed:
            return labels
        hidden = {
            row.message_id: why_hidden(labels[row.message_id]) if change.hides else row.hidden
            for row in changed
        }
        new, gone = [], []
        for row in changed:
            now = labels[row.message_id]
            new += [(row, label) for label in now if label not in row.labels]
            gone += [(row, label) for label in row.labels if label not in now]
        self._write(changed, labels, hidden)
        self._find(new, gone)
        self._tell(new, gone)
        self._touch({row.thread_id for row in changed})
        for moved in sorted({row.thread_id for row in changed if hidden[row.message_id] != row.hidden}):
            self.sum_up(moved)
        return labels

    def _write(
        self, rows: Iterable[Row[Any]], labels: dict[str, tuple[str, ...]], hidden: dict[str, Any]
    ) -> None:
        its_own = message.c.inbox_id == bindparam("whose"), message.c.message_id == bindparam("which")
        self._db.execute(
            update(message)
            .where(*its_own)
            .values(labels=bindparam("called"), hidden=bindparam("why"), updated_at=self._desk.now),
            [
                {
                    "whose": row.inbox_id,
                    "which": row.message_id,
                    "called": list(labels[row.message_id]),
                    "why": hidden[row.message_id],
                }
                for row in rows
            ],
        )

    def _find(self, new: Iterable[tuple[Row[Any], str]], gone: Collection[tuple[Row[Any], str]]) -> None:
        self._desk.insert_all(
            message_label,
            [
                {
                    "inbox_id": row.inbox_id,
                    "message_id": row.message_id,
                    "label": label,
                    "thread_id": row.thread_id,
                    "timestamp": row.timestamp,
                }
                for row, label in new
            ],
        )
        if gone:
            this = [
                message_label.c.inbox_id == bindparam("whose"),
                message_label.c.message_id == bindparam("which"),
                message_label.c.label == bindparam("what"),
            ]
            self._db.execute(
                delete(message_label).where(*this),
                [{"whose": row.inbox_id, "which": row.message_id, "what": label} for row, label in gone],
            )

    def _tell(self, new: Iterable[tuple[Row[Any], str]], gone: Iterable[tuple[Row[Any], str]]) -> None:
        now = self._desk.now
        lines = [("added", *each) for each in new] + [("removed", *each) for each in gone]
        self._db.execute(
            insert(label_event),
            [
                {
                    "id": new_id("evt", now),
                    "inbox_id": row.inbox_id,
                    "message_id": row.message_id,
                    "thread_id": row.thread_id,
                    "label": label,
                    "what": what,
                    "at": now,
                }
                for what, row, label in lines
            ],
        )

    def _touch(self, threads: Collection[str]) -> None:
        self._db.execute(update(thread).where(thread.c.id.in_(threads)).values(updated_at=self._desk.now))

    # --- thrown away ---

    def erase(self, inbox_id: str, message_id: str) -> None:
        """Nothing of what it said is left."""
        its_own = message.c.inbox_id == inbox_id, message.c.message_id == message_id
        [thread_id] = self._db.scalars(select(message.c.thread_id).where(*its_own)).all()
        self._db.execute(
            delete(message_label).where(
                message_label.c.inbox_id == inbox_id, message_label.c.message_id == message_id
            )
        )
        self._db.execute(update(message).where(*its_own).values(**_BLANK, updated_at=self._desk.now))
        self.sum_up(thread_id)

    def erase_thread(self, thread_id: str) -> None:
        """The same of all its letters. What failed in it stays counted."""
        self._db.execute(delete(message_label).where(message_label.c.thread_id == thread_id))
        self._db.execute(
            update(message)
            .where(message.c.thread_id == thread_id)
            .values(**_BLANK, updated_at=self._desk.now)
        )
        self._db.execute(
            delete(thread_label).where(
                thread_label.c.thread_id == thread_id,
                ~thread_label.c.label.startswith(FAILED, autoescape=True),
            )
        )
        self.sum_up(thread_id)

    def erase_inbox(self, inbox_id: str) -> None:
        """The same of all that ever lay in it. The caller has called back what would leave it."""
        self._db.execute(delete(message_label).where(message_label.c.inbox_id == inbox_id))
        self._db.execute(
            update(message).where(message.c.inbox_id == inbox_id).values(**_BLANK, updated_at=self._desk.now)
        )
        self._db.execute(
            update(thread)
            .where(thread.c.inbox_id == inbox_id)
            .values(**_NOTHING_LEFT, updated_at=self._desk.now)
        )

    def written_in(self, thread_id: str) -> list[str]:
        """The drafts in this conversation that no sequence made, and that have not had their end."""
        waiting = draft.c.enrollment_id.is_(None), draft.c.state.not_in(sorted(DRAFT_ENDS))
        return list(
            self._db.scalars(
                select(draft.c.id).where(draft.c.thread_id == thread_id, *waiting).order_by(draft.c.id)
            )
        )

    # --- and what the conversation is then ---

    def sum_up(self, thread_id: str) -> None:
        """Anew, of the letters that are seen; if none is, of those that are hidden: then so is it."""
        columns = [
            message.c[name]
            for name in ("message_id", "direction", "sender", "to", "cc", "timestamp", "size", "hidden")
        ]
        there = (message.c.thread_id == thread_id, message.c.hidden.is_distinct_from("deleted"))
        rows = list(self._db.execute(select(*columns).where(*there).order_by(message.c.position)))
        counted = [row for row in rows if row.hidden is None] or rows
        values = self._sum(thread_id, counted) if counted else _NOTHING_LEFT
        self._db.execute(
            update(thread).where(thread.c.id == thread_id).values(**values, updated_at=self._desk.now)
        )

    def _sum(self, thread_id: str, rows: list[Row[Any]]) -> dict[str, Any]:
        last = rows[-1]
        beginning = select(func.substr(message.c.text, 1, _BEGINNING)).where(
            message.c.thread_id == thread_id, message.c.message_id == last.message_id
        )
        latest = {row.direction: row.timestamp for row in rows}
        return {
            "last_at": last.timestamp,
            "received_at": latest.get("received"),
            "sent_at": latest.get("sent"),
            "last_message_id": last.message_id,
            "message_count": len(rows),
            "size": sum(row.size for row in rows),
            "senders": among([], (row.sender for row in rows)),
            "recipients": among([], (person for row in rows for person in (*row.to, *row.cc))),
            "preview": preview(self._db.scalars(beginning).one()),
            "hidden": last.hidden,
        }
