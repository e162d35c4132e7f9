"""The shelf of people as they are looked at: a page of them, whoever is looked for, and all that was said and decided."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Row,
    Select,
    and_,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
)

from engine.addresses import CANARYS, contact
from engine.states import RESUME, DraftState, EnrollmentState, HoldReason
from engine.store.moves import Desk
from engine.store.pages import Mark, Slice
from engine.store.reviews import REVIEWED
from engine.store.tables import (
    absence,
    audit,
    draft,
    enrollment,
    errand,
    happening,
    message,
    review,
    thread,
)

Kind = Literal["decided", "letter", "reviewed", "done", "given", "away", "happened"]
#: Where a page of somebody's story ended: the moment, of which kind, and its name there.
Place = tuple[int, int, int | str]

#: No list is walked further in one look.
WALK = 20_000
_NEAR = 1_000  # addresses that are looked at for a beginning
_BEGINNING = 400  # characters of a letter that a story shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Somebody in a sequence, as a list shows them."""

    id: str
    email: str
    contact: str
    sequence: str
    inbox_id: str
    state: EnrollmentState
    reason: str | None
    company: str | None
    created_at: datetime
    updated_at: datetime
    draft_id: str | None  #: the letter before them
    step: str | None
    draft_state: DraftState | None
    send_at: datetime | None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Some of them, and where they go on."""

    items: list[Face]
    next: Mark | None
    walked: bool = False  #: one look has come to its end, and there are older ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of somebody's story."""

    kind: Kind
    at: datetime
    what: str  #: the log's own word, a letter's direction, a verdict, the kind of an errand, a name
    by: str | None = None
    why: str | None = None  #: a reason, or the beginning of what was said
    subject: str | None = None
    step: str | None = None
    draft_id: str | None = None
    enrollment_id: str | None = None
    thread_id: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """A page of it, the newest first."""

    notes: list[Note]
    next: Place | None


@dataclass(frozen=True, slots=True)
class _Source:
    """One shelf that a story is put together from: in which column its moments are, and what its rows are called."""

    query: Select[Any]
    at: ColumnElement[Any]
    name: ColumnElement[Any]
    read: Callable[[Row[Any]], Note]


_FACE = [enrollment.c[name] for name in Face.__dataclass_fields__ if name in enrollment.c]


class Faces:
    """One transaction's look at them."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db

    # --- a page of them ---

    def page(
        self, part: Slice, *, state: EnrollmentState | None = None, sequence: str | None = None
    ) -> Crowd:
        """The newest first: ids sort by birth. Whoever is sought is looked for among so many, and not further."""
        asked = [] if state is None else [enrollment.c.state == state]
        asked += [] if sequence is None else [enrollment.c.sequence == sequence]
        beyond = [] if part.after is None else [enrollment.c.id < part.after[1]]
        newest = select(enrollment.c.id).where(*beyond).order_by(enrollment.c.id.desc())
        if asked:
            end = self._db.scalar(newest.offset(WALK - 1).limit(1))
            beyond += [] if end is None else [enrollment.c.id >= end]
        query = select(*_FACE).where(*beyond, *asked, _ours()).order_by(enrollment.c.id.desc())
        found = self._faces(query.limit(part.limit + 1))
        items, more = found[: part.limit], len(found) > part.limit
        if more:
            return Crowd(items, ("", items[-1].id))
        if asked and end is not None and self._is_older(end):
            return Crowd(items, ("", end), walked=True)
        return Crowd(items, None)

    def beginning_with(self, text: str, part: Slice) -> Crowd:
        """By the address, or by how it begins; in the order of the addresses.

        A database may sort them in its own way: so it is asked where they begin, and each is looked at.
        """
        key = contact(text)
        order: tuple[ColumnElement[Any], ...] = (enrollment.c.contact, enrollment.c.id)
        beyond: list[ColumnElement[bool]] = [enrollment.c.contact >= key]
        if part.after is not None:
            here, after = str(part.after[0]), part.after[1]
            further = enrollment.c.contact > here
            beyond = [
                enrollment.c.contact >= here,
                or_(further, and_(enrollment.c.contact == here, enrollment.c.id > after)),
            ]
        near = select(*_FACE).where(*beyond).order_by(*order).limit(_NEAR).subquery()
        theirs = func.substr(near.c.contact, 1, len(key)) == key
        query = select(*near.c).where(theirs, near.c.inbox_id.not_in(CANARYS))
        found = self._faces(query.order_by(near.c.contact, near.c.id).limit(part.limit + 1))
        items = found[: part.limit]
        more = len(found) > part.limit
        return Crowd(items, (items[-1].contact, items[-1].id) if more else None)

    def at_company(self, company: str, part: Slice) -> Crowd:
        """Whoever is written to there now; of those who are done with it the index knows nothing."""
        active, paused = (
            enrollment.c.state == literal_column(f"'{state}'") for state in ("active", "paused")
        )
        query = select(*_FACE).where(enrollment.c.company == company, or_(active, paused))
        if part.after is not None:
            query = query.where(enrollment.c.id < part.after[1])
        found = self._faces(query.order_by(enrollment.c.id.desc()).limit(part.limit + 1))
        items = found[: part.limit]
        return Crowd(items, ("", items[-1].id) if len(found) > part.limit else None)

    def contact_of(self, enrollment_id: str) -> str | None:
        """Whose life it is."""
        found = select(enrollment.c.contact).where(enrollment.c.id == enrollment_id)
        known: str | None = self._db.scalar(found)
        return known

    def knows(self, key: str) -> bool:
        """Has anybody at this address ever been written to, or written?"""
        heard = select(thread.c.id).where(thread.c.contact == key).limit(1)
        return self._db.scalar(heard) is not None

    def _is_older(self, end: str) -> bool:
        older = select(enrollment.c.id).where(enrollment.c.id < end).order_by(enrollment.c.id.desc())
        return self._db.scalar(older.limit(1)) is not None

    def _faces(self, query: Select[Any]) -> list[Face]:
        """With the letter that is before each of them."""
        rows = self._db.execute(query).all()
        pending = self._pending([row.id for row in rows])
        return [_face(row, pending.get(row.id)) for row in rows]

    def _pending(self, which: Collection[str]) -> dict[str, Row[Any]]:
        columns = draft.c.enrollment_id, draft.c.id, draft.c.step, draft.c.state, draft.c.send_at
        still: ColumnElement[bool] = literal_column("draft.state NOT IN ('sent', 'cancelled')", Boolean)
        rows: Iterable[Any] = self._db.execute(
            select(*columns).where(draft.c.enrollment_id.in_(which), still)
        )
        return {row.enrollment_id: row for row in rows}

    # --- all that was said and decided ---

    def story(self, key: str, *, limit: int = 50, after: Place | None = None) -> Story:
        """Everything about this person, the newest first: several shelves, each read only as far as the page goes."""
        lives = list(self._db.scalars(select(enrollment.c.id).where(enrollment.c.contact == key)))
        talks = list(self._db.scalars(select(thread.c.id).where(thread.c.contact == key)))
        found: list[tuple[Place, Note]] = []
        for number, source in enumerate(_sources(key, lives, talks)):
            found += self._read(number, source, limit, after)
        found.sort(key=lambda each: (-each[0][0], each[0][1]))  # within a source they come in order
        shown = found[:limit]
        return Story([note for _, note in shown], shown[-1][0] if len(found) > limit else None)

    def _read(
        self, number: int, source: _Source, limit: int, after: Place | None
    ) -> Iterator[tuple[Place, Note]]:
        at: ColumnElement[Any] = type_coerce(source.at, BigInteger)
        query = source.query.add_columns(at.label("_at"), source.name.label("_name"))
        if after is not None:
            query = query.where(at <= after[0], *_beyond(number, at, source.name, after))
        query = query.order_by(at.desc(), source.name.desc()).limit(limit + 1)
        for row in self._db.execute(query):
            yield (row._at, number, row._name), source.read(row)


def _beyond(
    number: int, at: ColumnElement[Any], name: ColumnElement[Any], after: Place
) -> Iterable[ColumnElement[bool]]:
    """Of one instant the shelves come one after the other."""
    moment, of, last = after
    if number < of:
        yield at < moment
    elif number == of:
        yield or_(at < moment, name < last)


def _sources(key: str, lives: Collection[str], talks: Collection[str]) -> tuple[_Source, ...]:
    """Of one instant the first of them is shown on top: what came of it stands above what it came of."""
    by_hand = select(draft.c.id).where(draft.c.thread_id.in_(talks), draft.c.enrollment_id.is_(None))
    theirs = or_(draft.c.enrollment_id.in_(lives), draft.c.thread_id.in_(talks))
    drafts = select(draft.c.id).where(theirs)
    logged = select(audit, draft.c.step, draft.c.subject).outerjoin(draft, draft.c.id == audit.c.draft_id)
    reviews = logged.where(~audit.c.what.startswith(REVIEWED))  # the shelf of reviews tells of them
    said = (
        select(message)
        .with_only_columns(*_SAID)
        .where(message.c.thread_id.in_(talks), message.c.hidden.is_distinct_from("deleted"))
    )
    received = message.c.direction == "received"
    return (
        _Source(said.where(~received), message.c.timestamp, message.c.message_id, _said),
        _Source(logged.where(audit.c.enrollment_id.in_(lives)), audit.c.at, audit.c.seq, _decided),
        _Source(
            reviews.where(audit.c.draft_id.in_(by_hand), audit.c.enrollment_id.is_(None)),
            audit.c.at,
            audit.c.seq,
            _decided,
        ),
        _Source(
            select(review, draft.c.step, draft.c.subject, draft.c.enrollment_id)
            .join(draft, draft.c.id == review.c.draft_id)
            .where(review.c.draft_id.in_(drafts), ~_told_by_the_log()),
            review.c.at,
            review.c.id,
            _reviewed,
        ),
        _Source(
            select(errand).where(errand.c.enrollment_id.in_(lives), errand.c.ended_at.is_not(None)),
            errand.c.ended_at,
            errand.c.id,
            _done,
        ),
        _Source(select(errand).where(errand.c.enrollment_id.in_(lives)), errand.c.at, errand.c.id, _given),
        _Source(
            select(absence).where(absence.c.enrollment_id.in_(lives), ~_was_a_pause()),
            absence.c.since,
            absence.c.id,
            _away,
        ),
        _Source(
            select(happening).where(happening.c.contact == key), happening.c.at, happening.c.id, _happened
        ),
        _Source(said.where(received), message.c.timestamp, message.c.message_id, _said),
    )


def _told_by_the_log() -> ColumnElement[bool]:
    """A yes or a no whose line in the log, of the same letter at the same moment, says all of it."""
    line = select(audit.c.seq).where(audit.c.draft_id == review.c.draft_id, audit.c.at == review.c.at)
    yes = and_(review.c.verdict == "approved", review.c.why.is_(None), audit.c.what == "draft: approve")
    rejected = audit.c.detail.startswith(f"{HoldReason.REJECTED}: ")
    no = and_(review.c.verdict == "rejected", audit.c.what == "draft: submit", rejected)
    return line.where(or_(yes, no)).exists()


def _was_a_pause() -> ColumnElement[bool]:
    """Time that used up no wait, because they were paused: the log says when that began, and when they went on."""
    resumed = audit.c.what == f"enrollment: {RESUME.name}"
    line = select(audit.c.seq).where(audit.c.enrollment_id == absence.c.enrollment_id, resumed)
    return line.where(audit.c.at == absence.c.until).exists()


_SAID = [
    message.c.message_id, message.c.inbox_id, message.c.thread_id, message.c.direction, message.c.sender,
    message.c.timestamp, message.c.draft_id, message.c.enrollment_id, message.c.step, message.c.hidden,
    func.substr(message.c.subject, 1, _BEGINNING).label("subject"),
    func.substr(message.c.text, 1, _BEGINNING).label("text"),
]  # fmt: skip


def _ours() -> ColumnElement[bool]:
    """The canary is nobody whom people write to."""
    return (enrollment.c.inbox_id + "").not_in(CANARYS)


def _face(row: Row[Any], pending: Row[Any] | None) -> Face:
    fields = {column.name: getattr(row, column.name) for column in _FACE}
    return Face(
        **fields | {"state": EnrollmentState(row.state)},
        draft_id=pending and pending.id,
        step=pending and pending.step,
        draft_state=DraftState(pending.state) if pending else None,
        send_at=pending and pending.send_at,
    )


def _decided(row: Row[Any]) -> Note:
    return Note(
        kind="decided",
        at=row.at,
        what=row.what,
        by=row.actor,
        why=row.detail,
        subject=row.subject,
        step=row.step,
        draft_id=row.draft_id,
        enrollment_id=row.enrollment_id,
    )


def _said(row: Row[Any]) -> Note:
    return Note(
        kind="letter",
        at=row.timestamp,
        what=row.direction,
        by=row.sender,
        why=row.text,
        subject=row.subject,
        step=row.step,
        draft_id=row.draft_id,
        enrollment_id=row.enrollment_id,
        thread_id=row.thread_id,
    )


def _reviewed(row: Row[Any]) -> Note:
    return Note(
        kind="reviewed",
        at=row.at,
        what=row.verdict,
        by=row.by,
        why=row.why,
        subject=row.subject,
        step=row.step,
        draft_id=row.draft_id,
        enrollment_id=row.enrollment_id,
    )


def _done(row: Row[Any]) -> Note:
    return Note(
        kind="done",
        at=row.ended_at,
        what=row.kind,
        why=row.outcome,
        step=row.step,
        enrollment_id=row.enrollment_id,
    )


def _given(row: Row[Any]) -> Note:
    return Note(
        kind="given",
        at=row.at,
        what=row.kind,
        why=row.says.get("task") or row.says.get("url") or row.says.get("sequence"),
        step=row.step,
        enrollment_id=row.enrollment_id,
        until=row.due,
    )


def _away(row: Row[Any]) -> Note:
    return Note(kind="away", at=row.since, what="away", enrollment_id=row.enrollment_id, until=row.until)


def _happened(row: Row[Any]) -> Note:
    return Note(kind="happened", at=row.at, what=row.name, why=row.value)
