"""The shelf of what has been: what a sequence said and did to a person, what they did, when they were away."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Text,
    bindparam,
    literal_column,
    null,
    select,
    type_coerce,
    union_all,
    update,
)

from engine.hours import Absence
from engine.ids import answer_label, new_id
from engine.plan import Done, Errand, Happened, History, Said
from engine.store.moves import Desk
from engine.store.prepared import Prepared
from engine.store.tables import (
    UtcDateTime,
    absence,
    draft,
    enrollment,
    errand,
    happening,
    message,
    sequence_version,
    thread,
    thread_label,
)

#: What the id of an errand begins with, by its kind.
_PREFIXES = {"task": "tsk", "notice": "ntc", "webhook": "cal", "enter": "ent", "skipped": "skp"}
#: What a human does; the rest is done by itself, when its hour comes.
_BY_HAND = ("task", "notice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """An errand as it stands in the books."""

    id: str
    enrollment_id: str
    step: str
    kind: str
    says: Mapping[str, Any]
    at: datetime
    due: datetime | None
    ended_at: datetime | None
    outcome: str | None  #: what became of it, or of the last try
    tries: int  #: also says in whose hands it is: whoever has counted less has lost it
    next_try_at: datetime | None


_CHORE = [errand.c[name] for name in Chore.__dataclass_fields__]


def _chore(row: Row[Any]) -> Chore:
    return Chore(**{name: getattr(row, name) for name in Chore.__dataclass_fields__})


def _arm(kind: str, at: Any, then: Any, name: Any, value: Any) -> Select[Any]:
    """One part of what has been, in the columns that all of them share."""
    return select(
        literal_column(f"'{kind}'", Text).label("kind"),
        at.label("at"),
        type_coerce(null() if then is None else then, UtcDateTime).label("then"),
        type_coerce(null() if name is None else name, Text).label("name"),
        type_coerce(null() if value is None else value, Text).label("value"),
    )


#: What the planner asks for. Each comes in the order of time; of what was said, the second moment is the draft's birth.
_ARMS = {
    "said": _arm("said", message.c.timestamp, draft.c.created_at, message.c.step, None)
    .join(thread, thread.c.id == message.c.thread_id)
    .join(draft, draft.c.id == message.c.draft_id)
    .where(thread.c.enrollment_id == bindparam("enrollment"), message.c.direction == "sent"),
    "done": _arm("done", errand.c.at, errand.c.ended_at, errand.c.step, None).where(
        errand.c.enrollment_id == bindparam("enrollment")
    ),
    "happened": _arm("happened", happening.c.at, None, happening.c.name, happening.c.value).where(
        happening.c.contact == bindparam("contact")
    ),
    "away": _arm("away", absence.c.since, absence.c.until, None, None).where(
        absence.c.enrollment_id == bindparam("enrollment")
    ),
}
_EVERYTHING = Prepared(union_all(*_ARMS.values()))


class Past:
    """One transaction's hands on it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def of(self, enrollment_id: str, contact: str) -> History:
        """Everything that the planner asks for."""
        rows: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in _ARMS}
        for kind, *row in _EVERYTHING.rows(self._db, enrollment=enrollment_id, contact=contact):
            rows[kind].append(tuple(row))
        for each in rows.values():
            each.sort(key=lambda row: (row[0], row[1] or row[0]))
        return History(
            said=tuple(Said(step, at) for at, _, step, _ in rows["said"]),
            done=tuple(Done(step, at, ended) for at, ended, step, _ in rows["done"]),
            happened=tuple(Happened(name, value, at) for at, _, name, value in rows["happened"]),
            absences=tuple(Absence(since, until) for since, until, _, _ in rows["away"]),
        )

    def happen(self, event_id: str, contact: str, name: str, value: str | None, at: datetime) -> bool:
        """False: heard before."""
        made = self._desk.insert_once(
            happening, id=event_id, contact=contact, name=name, value=value, at=at, twin=("id",)
        )
        return bool(made)

    def be_away(self, enrollment_id: str, away: Absence) -> None:
        self._desk.insert_once(
            absence,
            id=new_id("abs", self._desk.now),
            enrollment_id=enrollment_id,
            since=away.since,
            until=away.until,
        )

    # --- errands ---

    def note_errand(self, enrollment_id: str | None, new: Errand) -> str | None:
        """Its id. None: a step can be done once, and it was."""
        made = self._desk.insert_once(
            errand,
            id=new_id(_PREFIXES[new.kind], self._desk.now),
            enrollment_id=enrollment_id,
            step=new.step,
            kind=new.kind,
            says=dict(new.says),
            at=self._desk.now,
            due=new.due,
            next_try_at=None if new.kind in _BY_HAND else new.at,
        )
        return made[0].id if made else None

    def errand(self, errand_id: str) -> Chore | None:
        row = self._db.execute(select(*_CHORE).where(errand.c.id == errand_id)).one_or_none()
        return None if row is None else _chore(row)

    def due_errands(self, at_most: int) -> list[Chore]:
        """What its hour has come for, the longest waiting first."""
        due = select(*_CHORE).where(errand.c.ended_at.is_(None), errand.c.next_try_at <= self._desk.now)
        return [_chore(row) for row in self._db.execute(due.order_by(errand.c.next_try_at).limit(at_most))]

    def take_errand(self, due: Chore, *, until: datetime) -> Chore | None:
        """One more try, and nobody else's before then. None: somebody was faster."""
        taken = update(errand).where(*self._mine(due), errand.c.next_try_at <= self._desk.now)
        row = self._db.execute(
            taken.values(tries=errand.c.tries + 1, next_try_at=until).returning(*_CHORE)
        ).one_or_none()
        return None if row is None else _chore(row)

    def hold_errand(self, taken: Chore) -> bool:
        """Until this transaction is over, nobody calls it off."""
        mine = select(errand.c.id).where(*self._mine(taken)).with_for_update()
        return self._db.scalar(mine) is not None

    def settle_errand(self, taken: Chore, outcome: str) -> bool:
        """It is over."""
        return self._write("end", taken, ended_at=self._desk.now, outcome=outcome, next_try_at=None)

    def postpone_errand(self, taken: Chore, until: datetime, why: str, *, tries: int) -> bool:
        """Once more, then."""
        return self._write(None, taken, outcome=why, next_try_at=until, tries=tries)

    def leave_errand(self, taken: Chore, why: str, *, tries: int) -> bool:
        """It stays open, and only a human moves it."""
        return self._write("leave to a human", taken, outcome=why, next_try_at=None, tries=tries)

    def retry_errand(self, errand_id: str) -> bool:
        """Due at once, as if it had never been tried; unless nobody has given it up."""
        left = errand.c.ended_at.is_(None), errand.c.next_try_at.is_(None), errand.c.kind.not_in(_BY_HAND)
        again = update(errand).where(errand.c.id == errand_id, *left)
        rows = self._db.execute(again.values(tries=0, next_try_at=self._desk.now).returning(*errand.c)).all()
        self._desk.note(errand, "retry", rows)
        return bool(rows)

    def end_errand(self, errand_id: str, outcome: str) -> Row[Any] | None:
        """A human says so. None: there is no such errand that is still open."""
        ended = update(errand).where(errand.c.id == errand_id, errand.c.ended_at.is_(None))
        row = self._db.execute(
            ended.values(ended_at=self._desk.now, outcome=outcome, next_try_at=None).returning(*errand.c)
        ).one_or_none()
        self._desk.note(errand, "end", [row] if row else [], outcome)
        return row

    def _write(self, what: str | None, taken: Chore, **values: Any) -> bool:
        """False: it is in other hands by now, or over."""
        written = update(errand).where(*self._mine(taken)).values(**values).returning(*errand.c)
        rows = self._db.execute(written).all()
        if what:
            self._desk.note(errand, what, rows, values["outcome"])
        return bool(rows)

    def _mine(self, taken: Chore) -> tuple[ColumnElement[bool], ...]:
        return errand.c.id == taken.id, errand.c.tries == taken.tries, errand.c.ended_at.is_(None)

    # --- what an answer was, and what came of it ---

    def latest_lives(self, contact: str) -> list[str]:
        """This person's enrollments, the latest in each sequence."""
        lives = select(enrollment.c.id, enrollment.c.sequence).where(enrollment.c.contact == contact)
        rows = self._db.execute(lives.order_by(enrollment.c.created_at, enrollment.c.id))
        return list({row.sequence: row.id for row in rows}.values())

    def versions_of(self, contact: str) -> list[str]:
        """By which rules this person is spoken to, or ever was."""
        found = select(enrollment.c.version).where(enrollment.c.contact == contact)
        return list(self._db.scalars(found.distinct()))

    def label_answer(self, enrollment_id: str, thread_id: str, label: str) -> bool:
        """False: it was given this label before."""
        made = self._desk.insert_once(thread_label, thread_id=thread_id, label=answer_label(label))
        who = select(enrollment).where(enrollment.c.id == enrollment_id)
        self._desk.note(enrollment, "label", self._db.execute(who).all() if made else [], label)
        return bool(made)

    def heard(self, enrollment_id: str, *, since: datetime | None = None) -> bool:
        """Have they written in this conversation?"""
        found = (
            select(message.c.message_id)
            .join(thread, thread.c.id == message.c.thread_id)
            .where(thread.c.enrollment_id == enrollment_id, message.c.direction == "received")
        )
        if since is not None:
            found = found.where(message.c.timestamp > since)
        return self._db.scalar(found.limit(1)) is not None

    def newest_version(self, sequence: str) -> str | None:
        """Of the sequence of this name, as it was last kept."""
        found = select(sequence_version.c.id).where(sequence_version.c.name == sequence)
        latest = found.order_by(sequence_version.c.created_at.desc(), sequence_version.c.id.desc())
        return self._db.scalar(latest.limit(1))

    # --- what people ask to see ---

    def tasks(self, *, ended: bool = False) -> Iterator[dict[str, Any]]:
        """What somebody has to do, the most urgent first."""
        query = self._shown(errand.c.kind.in_(_BY_HAND), ended=ended)
        for row in self._rows(query.order_by(errand.c.due.is_(None), errand.c.due, errand.c.id)):
            yield {
                "task_id": row.id,
                "email": row.email,
                "sequence": row.sequence,
                "step": row.step,
                "kind": row.kind,
                "task": row.says.get("task"),
                "assign": row.says.get("assign"),
                "at": row.at,
                "due": row.due,
                "overdue": row.ended_at is None and row.due is not None and row.due < self._desk.now,
                "done_at": row.ended_at,
            }

    def errands(self, *, ended: bool = False) -> Iterator[dict[str, Any]]:
        """What is done by itself: what failed first, then the next to be tried."""
        query = self._shown(errand.c.kind.not_in(_BY_HAND), ended=ended)
        order = errand.c.next_try_at.is_not(None), errand.c.next_try_at, errand.c.id
        for row in self._rows(query.order_by(*order)):
            yield {
                "errand_id": row.id,
                "email": row.email,
                "sequence": row.sequence,
                "step": row.step,
                "kind": row.kind,
                "to": row.says.get("url") or row.says.get("sequence"),
                "at": row.at,
                "state": _state(row),
                "tries": row.tries,
                "next_try_at": row.next_try_at,
                "outcome": row.outcome,
                "ended_at": row.ended_at,
            }

    def _shown(self, *where: ColumnElement[bool], ended: bool) -> Select[Any]:
        query = select(errand, enrollment.c.email, enrollment.c.sequence).join(
            enrollment, enrollment.c.id == errand.c.enrollment_id
        )
        return query.where(*where) if ended else query.where(*where, errand.c.ended_at.is_(None))

    def _rows(self, query: Select[Any]) -> Iterator[Row[Any]]:
        yield from self._db.execute(query.execution_options(yield_per=1000))


def _state(row: Row[Any]) -> str:
    if row.ended_at is not None:
        return "over"
    return "waits" if row.next_try_at is not None else "failed"
