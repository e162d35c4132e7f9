"""Drafts, people, sequences, lines of the log and suppressed addresses, as somebody lists them who asks for some of them.

A page at a time, from indexes. Where no index knows what is asked for, a few thousand rows are looked through at once:
then a page may be short, or empty, and still say where it goes on.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Table,
    Text,
    and_,
    exists,
    false,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)

from engine.addresses import CANARY, contact
from engine.consent import THE_SEQUENCE, Consent
from engine.model import NEVER, Draft, Enrollment
from engine.states import DraftState, EnrollmentState, HoldReason
from engine.store.drafts import record
from engine.store.enrollments import Life
from engine.store.moves import Desk
from engine.store.pages import Mark, Page, Slice
from engine.store.tables import (
    audit,
    draft,
    enrollment,
    inbox,
    review,
    sequence_version,
    suppression,
    thread,
    thread_label,
)

#: So many rows are looked through for a page.
_LOOKED_THROUGH = 5_000
_A_FEW = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose things are asked for; nothing said: everybody's."""

    inbox_id: str | None = None
    pod_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichDrafts:
    """Also those that have had their end."""

    place: Place = Place()
    inbox_id: str | None = None  #: of this inbox, within the place
    state: DraftState | None = None
    consent: Consent | None = None
    sequence: str | None = None
    to: str | None = None  #: in a conversation with this person
    order: Literal["newest", "next"] = "newest"  #: by birth; or what leaves by itself, by its hour


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichPeople:
    place: Place = Place()
    sequence: str | None = None
    email: str | None = None
    state: EnrollmentState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichLines:
    place: Place = Place()
    draft_id: str | None = None
    enrollment_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A draft, when it was made, since when it is what it is, and whose step it is."""

    draft: Draft
    created_at: datetime
    moved_at: datetime
    sequence: str | None
    version: str | None
    followed: bool  #: its thread bears the label that names it


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody did something."""

    seq: int
    at: datetime
    actor: str
    what: str
    draft_id: str | None
    enrollment_id: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Suppressed:
    address: str  #: or a domain
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """A version of a sequence, by which somebody was enrolled or to which it was changed."""

    name: str
    version: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Walk:
    """Rows in the order of an index, and what of them is wanted."""

    table: Table
    mark: ColumnElement[Any]  #: what it is sorted by
    id: ColumnElement[Any]
    way: Sequence[ColumnElement[bool]]  #: what the index knows
    wanted: Sequence[ColumnElement[bool]] = ()  #: and what it does not
    ascending: bool = False


class Overview:
    """One transaction's look."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db

    def drafts(self, which: WhichDrafts, part: Slice) -> Page[Shown]:
        """The youngest first; or the next to leave."""
        marks, end = self._through([*_draft_walks(which)], part)
        shown = self.some_drafts([name for _, name in marks])
        return Page([shown[name] for _, name in marks if name in shown], end)

    def some_drafts(self, which: Collection[str]) -> dict[str, Shown]:
        """By their ids."""
        label = literal_column("'follow-up:'", Text).concat(draft.c.id)
        followed = exists().where(
            thread_label.c.thread_id == draft.c.thread_id, thread_label.c.label == label
        )
        theirs = enrollment.c.id == draft.c.enrollment_id
        found = select(
            draft,
            enrollment.c.sequence.label("its_sequence"),
            enrollment.c.version.label("its_version"),
            followed.label("followed"),
        ).outerjoin(enrollment, theirs)
        return {
            row.id: Shown(
                draft=record(row),
                created_at=row.created_at,
                moved_at=row.updated_at,
                sequence=row.its_sequence,
                version=row.its_version,
                followed=bool(row.followed),
            )
            for row in self._db.execute(found.where(draft.c.id.in_(which)))
        }

    def people(self, which: WhichPeople, part: Slice) -> Page[Life]:
        """Whoever was enrolled last comes first."""
        marks, end = self._through([_people_walk(which)], part)
        fields = [enrollment.c[name] for name in Enrollment.__dataclass_fields__]
        found = select(*fields, enrollment.c.updated_at.label("since"))
        rows: Iterable[Any] = self._db.execute(found.where(enrollment.c.id.in_([name for _, name in marks])))
        lives = {row.id: _life(row) for row in rows}
        return Page([lives[name] for _, name in marks if name in lives], end)

    def lines(self, which: WhichLines, part: Slice) -> Page[Line]:
        """The last first, or the first."""
        marks, end = self._through([_lines_walk(which, part.ascending)], part)
        names = [audit.c[name] for name in Line.__dataclass_fields__]
        found = select(*names).where(audit.c.seq.in_([name for _, name in marks]))
        lines = {row.seq: Line(*row) for row in self._db.execute(found)}
        return Page([lines[int(name)] for _, name in marks], end)

    def suppressed(self, part: Slice) -> Page[Suppressed]:
        """By the alphabet."""
        walk = _Walk(suppression, suppression.c.address, suppression.c.address, (), ascending=True)
        marks, end = self._through([walk], part)
        found = select(suppression).where(suppression.c.address.in_([name for _, name in marks]))
        entries = {
            row.address: Suppressed(row.address, row.reason, row.created_at)
            for row in self._db.execute(found)
        }
        return Page([entries[name] for _, name in marks if name in entries], end)

    def suppression_of(self, address: str) -> Suppressed | None:
        """This very entry."""
        row = self._db.execute(select(suppression).where(suppression.c.address == address)).one_or_none()
        return None if row is None else Suppressed(row.address, row.reason, row.created_at)

    def versions(self, name: str | None = None) -> list[Kept]:
        """Of this sequence, or of all; of each the newest first."""
        found = select(sequence_version.c.name, sequence_version.c.id, sequence_version.c.created_at)
        if name is not None:
            found = found.where(sequence_version.c.name == name)
        newest = sequence_version.c.name, sequence_version.c.created_at.desc(), sequence_version.c.id.desc()
        return [Kept(*row) for row in self._db.execute(found.order_by(*newest))]

    # --- a page of marks, of one walk or of several side by side ---

    def _through(self, walks: Sequence[_Walk], part: Slice) -> tuple[list[Mark], Mark | None]:
        """What is wanted of them, in order; and where to go on."""
        looks = [self._look(walk, part) for walk in walks]
        upwards = walks[0].ascending
        ends = [end for _, end in looks if end is not None]
        cut = (min(ends) if upwards else max(ends)) if ends else None
        marks = sorted((mark for found, _ in looks for mark in found), reverse=not upwards)
        if cut is not None:  # beyond that one of them has not been looked at
            marks = [mark for mark in marks if (mark <= cut if upwards else mark >= cut)]
        shown = marks[: part.limit]
        return shown, shown[-1] if len(marks) > part.limit else cut

    def _look(self, walk: _Walk, part: Slice) -> tuple[list[Mark], Mark | None]:
        """One more than fits; and where it was broken off, if it was. Most pages are full after a few."""
        order = _in_order(walk.mark, walk.id, walk.ascending)
        rows = select(
            walk.mark.label("mark"), walk.id.label("name"), and_(true(), *walk.wanted).label("wanted")
        )
        rows = rows.where(*walk.way, *_beyond(walk, part)).order_by(*order)
        marks: list[Mark] = []
        seen: list[Any] = []
        for most in (_A_FEW, _LOOKED_THROUGH) if walk.wanted else (part.limit + 1,):
            seen = [*self._db.execute(rows.limit(most))]
            marks = [(row.mark, row.name) for row in seen if row.wanted]
            if len(marks) > part.limit or len(seen) < most:
                return marks[: part.limit + 1], None
        return marks, (seen[-1].mark, seen[-1].name)


def _in_order(mark: ColumnElement[Any], name: ColumnElement[Any], upwards: bool) -> list[ColumnElement[Any]]:
    columns = (mark,) if mark is name else (mark, name)
    return [each.asc() if upwards else each.desc() for each in columns]


def _beyond(walk: _Walk, part: Slice) -> list[ColumnElement[bool]]:
    """The first alone, too: only so SQLite searches an index for it."""
    if part.after is None:
        return []
    mark, name = part.after
    if walk.mark is walk.id:
        return [walk.id > name if walk.ascending else walk.id < name]
    both, here = tuple_(walk.mark, walk.id), tuple_(mark, name)
    first = walk.mark >= mark if walk.ascending else walk.mark <= mark
    return [first, both > here if walk.ascending else both < here]


# --- drafts ---

#: In which states those are of whom somebody asks for the consent; else all are looked through.
_STATES_OF: dict[Consent, tuple[DraftState, ...]] = {
    Consent.UNSUBMITTED: (DraftState.WRITTEN, DraftState.CANCELLED),
    Consent.PENDING: (DraftState.HELD,),
    Consent.REJECTED: (DraftState.HELD, DraftState.CANCELLED),
}


def _draft_walks(which: WhichDrafts) -> list[_Walk]:
    wanted = [*_draft_filters(which)]
    if which.order == "next":
        order = type_coerce(draft.c.send_at, BigInteger)
        return [_Walk(draft, order, draft.c.id, [_is(DraftState.SCHEDULED)], wanted, ascending=True)]
    if which.to is not None:  # few
        talks = select(thread.c.id).where(thread.c.contact == contact(which.to))
        way = [draft.c.thread_id.in_(talks), *([draft.c.state == which.state] if which.state else [])]
        return [_Walk(draft, draft.c.id, draft.c.id, way, wanted)]
    states = _states(which)
    if (
        not states
    ):  # where there is an inbox, an index has its letters, and it need not be asked for once more
        more = [*_draft_filters(replace(which, inbox_id=None, place=_but_an_inbox(which)))]
        return [_Walk(draft, draft.c.id, draft.c.id, [*_in_its_inbox(which), *_both(which)], more)]
    # a state at a time, for then an index has each of them in order
    return [
        _Walk(draft, draft.c.id, draft.c.id, [_apart(draft.c.state) == state], wanted) for state in states
    ]


def _states(which: WhichDrafts) -> tuple[DraftState, ...]:
    if which.state is not None:
        return (which.state,)
    return _STATES_OF.get(which.consent, ()) if which.consent else ()


def _but_an_inbox(which: WhichDrafts) -> Place:
    return replace(which.place, inbox_id=None)


def _both(which: WhichDrafts) -> list[ColumnElement[bool]]:
    """Another inbox than the one at which the caller's key ends: nothing."""
    apart = which.inbox_id and which.place.inbox_id not in (None, which.inbox_id)
    return [false()] if apart else []


def _in_its_inbox(which: WhichDrafts) -> list[ColumnElement[bool]]:
    """What the canary writes nobody asks for."""
    only = which.inbox_id or which.place.inbox_id
    return [draft.c.inbox_id != CANARY if only is None else _apart(draft.c.inbox_id) == only]


def _draft_filters(which: WhichDrafts) -> list[ColumnElement[bool]]:
    """What no index has in its order. Nothing of it where nothing was asked for: then nothing is looked through."""
    filters = [*_within(draft.c.inbox_id, which.place)]
    if which.inbox_id is not None:
        filters.append(draft.c.inbox_id == which.inbox_id)
    if which.sequence is not None:
        theirs = enrollment.c.id == draft.c.enrollment_id, enrollment.c.sequence == which.sequence
        filters.append(exists().where(*theirs))
    if which.consent is not None:
        filters.append(_CONSENT[which.consent])
    if which.order == "next" and which.to is not None:
        talks = select(thread.c.id).where(thread.c.contact == contact(which.to))
        filters.append(draft.c.thread_id.in_(talks))
    return filters


def _is(state: DraftState) -> ColumnElement[bool]:
    """A literal, not a parameter: only so are SQLite and PostgreSQL certain of the partial index."""
    return draft.c.state == literal_column(f"'{state}'")


def _apart(column: ColumnElement[str]) -> ColumnElement[str]:
    """Spelt as the index by birth is."""
    return literal_column(f"(draft.{column.key} || '')", Text)


def _in_place(inbox_id: ColumnElement[str], place: Place) -> ColumnElement[bool] | None:
    if place.inbox_id is not None:
        return inbox_id == place.inbox_id
    if place.pod_id is not None:
        return inbox_id.in_(select(inbox.c.id).where(inbox.c.pod_id == place.pod_id))
    return None


def _within(inbox_id: ColumnElement[str], place: Place) -> list[ColumnElement[bool]]:
    here = _in_place(inbox_id, place)
    return [] if here is None else [here]


def _last_word() -> ColumnElement[Any]:
    """What a human last said of it."""
    said = select(review.c.verdict).where(review.c.draft_id == draft.c.id)
    return said.order_by(review.c.number.desc()).limit(1).scalar_subquery()


def _consents() -> dict[Consent, ColumnElement[bool]]:
    """As `engine/consent.py` has it, in SQL; a test holds the two equal."""
    held, ended = _is(DraftState.HELD), _is(DraftState.CANCELLED)
    said_no = and_(held, draft.c.outcome.is_not_distinct_from(HoldReason.REJECTED))
    approved = draft.c.approved_sha.is_not_distinct_from(draft.c.content_sha)
    asleep = and_(approved, draft.c.held_until.is_not(None))
    waits = and_(held, draft.c.outcome.is_distinct_from(HoldReason.REJECTED), not_(asleep))
    thrown_out = and_(ended, _last_word().is_not_distinct_from("rejected"))
    settled = or_(said_no, waits, _is(DraftState.WRITTEN), thrown_out)
    no_hour = draft.c.send_at == NEVER
    human = or_(
        draft.c.approved_head.is_not(None),
        and_(
            draft.c.enrollment_id.is_not(None),
            draft.c.approved_by.is_not(None),
            draft.c.approved_by != THE_SEQUENCE,
        ),
    )
    rest = and_(not_(settled), not_(no_hour))
    return {
        Consent.UNSUBMITTED: or_(_is(DraftState.WRITTEN), and_(not_(settled), no_hour)),
        Consent.PENDING: or_(waits, and_(rest, not_(approved), not_(ended))),
        Consent.REJECTED: or_(said_no, thrown_out, and_(rest, not_(approved), ended)),
        Consent.APPROVED: and_(rest, approved, human),
        Consent.AUTO_APPROVED: and_(rest, approved, not_(human)),
    }


_CONSENT = _consents()


# --- people ---


def _life(row: Row[Any]) -> Life:
    fields = {name: getattr(row, name) for name in Enrollment.__dataclass_fields__}
    return Life(Enrollment(**fields | {"state": EnrollmentState(row.state)}), row.since)


def _people_walk(which: WhichPeople) -> _Walk:
    """In one inbox an index has them in the order of their first day."""
    wanted = []
    if which.sequence is not None:
        wanted.append(enrollment.c.sequence == which.sequence)
    if which.state is not None:
        wanted.append(enrollment.c.state == which.state)
    if which.place.pod_id is not None:
        wanted += _within(enrollment.c.inbox_id, which.place)
    if which.email is not None:
        way = [enrollment.c.contact == contact(which.email), *_within(enrollment.c.inbox_id, which.place)]
        return _Walk(enrollment, enrollment.c.id, enrollment.c.id, way, wanted)
    if which.place.inbox_id is not None:
        born = type_coerce(enrollment.c.created_at, BigInteger)
        return _Walk(
            enrollment, born, enrollment.c.id, [enrollment.c.inbox_id == which.place.inbox_id], wanted
        )
    return _Walk(enrollment, enrollment.c.id, enrollment.c.id, [enrollment.c.inbox_id != CANARY], wanted)


# --- lines of the log ---


def _lines_walk(which: WhichLines, upwards: bool) -> _Walk:
    way = []
    if which.draft_id is not None:
        way.append(audit.c.draft_id == which.draft_id)
    if which.enrollment_id is not None:
        way.append(audit.c.enrollment_id == which.enrollment_id)
    return _Walk(audit, audit.c.seq, audit.c.seq, way, [*_lines_within(which.place)], ascending=upwards)


def _lines_within(place: Place) -> list[ColumnElement[bool]]:
    """Of a letter, or of a person, of these inboxes; the rest is the whole house's."""
    if place == Place():
        return []
    letter = exists().where(draft.c.id == audit.c.draft_id, *_within(draft.c.inbox_id, place))
    person = exists().where(enrollment.c.id == audit.c.enrollment_id, *_within(enrollment.c.inbox_id, place))
    return [or_(letter, person)]
