"""How sequences fare: who stands where in which version, and what became of each step, counted in one look.

Counting takes the longer, the more people there are: whoever has to answer at once keeps what was counted last.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    and_,
    case,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from engine.addresses import CANARY
from engine.states import DRAFT_ENDS, DraftState, EnrollmentState, StopReason
from engine.store.moves import Desk
from engine.store.tables import draft, enrollment, sequence_version, thread, thread_label
from engine.store.threads import FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What became of one step, said in one way."""

    step: str
    variant: str | None  #: None: there is one way to say it, or none yet
    planned: int  #: they wait: for their hour, for a yes, for an end of doubt
    sent: int
    replied: int  #: of those whose last letter this was when they answered
    bounced: int
    unsubscribed: int
    complained: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many people in one state, in one version of a sequence."""

    sequence: str
    version: str
    state: EnrollmentState
    number: int
    together: bool = False  #: paused, and for a reason for which everybody in it is


@dataclass(frozen=True, slots=True)
class Kept:
    """A version of a sequence, and when it was first used."""

    version: str
    sequence: str
    since: datetime


_PENDING = draft.c.state.not_in([literal_column(f"'{state}'") for state in sorted(DRAFT_ENDS)])


def _left(letter: FromClause) -> ColumnElement[int]:
    """When it passed its gate; of what was only found to have left, when that was known."""
    moment: ColumnElement[int] = func.coalesce(letter.c.gate_at, letter.c.updated_at)
    return moment


def _went_before_the_end(letter: FromClause) -> ColumnElement[bool]:
    """What left after somebody had stopped was in the air when they did, and was not what they answered."""
    finished = enrollment.c.state == literal_column(f"'{EnrollmentState.FINISHED}'")
    sent = letter.c.state == literal_column(f"'{DraftState.SENT}'")
    return and_(sent, or_(finished, _left(letter) <= enrollment.c.updated_at))


def _is_the_last() -> ColumnElement[bool]:
    later = draft.alias("later")
    after = tuple_(_left(later), later.c.id) > tuple_(_left(draft), draft.c.id)
    another = exists().where(later.c.enrollment_id == enrollment.c.id, after, _went_before_the_end(later))
    return and_(_went_before_the_end(draft), ~another)


def _own_answer() -> ColumnElement[bool]:
    """Whoever was stopped along with a colleague has not answered."""
    return exists().where(thread.c.enrollment_id == enrollment.c.id, thread.c.received_at.is_not(None))


def _own_failure(reason: StopReason) -> ColumnElement[bool]:
    theirs = thread.c.enrollment_id == enrollment.c.id, thread_label.c.thread_id == thread.c.id
    return exists().where(*theirs, thread_label.c.label == f"{FAILED}{reason}")


_THEIR_OWN: Mapping[StopReason, Callable[[], ColumnElement[bool]]] = {
    StopReason.REPLIED: _own_answer,
    StopReason.BOUNCED: partial(_own_failure, StopReason.BOUNCED),
    StopReason.COMPLAINED: partial(_own_failure, StopReason.COMPLAINED),
}


def _ended_so(reason: StopReason) -> ColumnElement[int]:
    """How many it was the last letter to, before they ended so. The cheap question comes first, and mostly answers."""
    said = enrollment.c.reason == literal_column(f"'{reason}'")
    own = (_THEIR_OWN[reason](),) if reason in _THEIR_OWN else ()
    return _number(said, _is_the_last(), *own)


def _number(first: ColumnElement[bool], *then: ColumnElement[bool]) -> ColumnElement[int]:
    """A CASE is worked out from left to right, and no further than it has to be."""
    sure = case((and_(*then), 1), else_=0) if then else literal_column("1")
    counted: ColumnElement[int] = func.coalesce(func.sum(case((first, sure), else_=0)), 0)
    return counted


_STAGES = (
    select(
        draft.c.step,
        draft.c.variant,
        _number(_PENDING).label("planned"),
        _number(draft.c.state == literal_column(f"'{DraftState.SENT}'")).label("sent"),
        _ended_so(StopReason.REPLIED).label("replied"),
        _ended_so(StopReason.BOUNCED).label("bounced"),
        _ended_so(StopReason.UNSUBSCRIBED).label("unsubscribed"),
        _ended_so(StopReason.COMPLAINED).label("complained"),
    )
    .join(enrollment, enrollment.c.id == draft.c.enrollment_id)
    .group_by(draft.c.step, draft.c.variant)
    .order_by(draft.c.step, draft.c.variant)
)


class Funnels:
    """One transaction's look."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db

    def of(self, sequence: str, *, at_most: timedelta = timedelta(seconds=60)) -> list[Stage]:
        """Every step that ever became a letter there, whichever version it stood in. Those without a person are not counted."""
        self._hurry(at_most)
        rows = self._db.execute(_STAGES.where(enrollment.c.sequence == sequence))
        return [
            Stage(**{name: _plain(getattr(row, name)) for name in Stage.__dataclass_fields__}) for row in rows
        ]

    def people(
        self, together: Collection[str] = (), *, at_most: timedelta = timedelta(seconds=60)
    ) -> list[Crowd]:
        """In every sequence, by version and by state. Without the canary: she is nobody whom people write to.

        `together`: how the reasons begin for which everybody in a sequence is paused.
        """
        self._hurry(at_most)
        paused = enrollment.c.state == literal_column(f"'{EnrollmentState.PAUSED}'")
        theirs = [enrollment.c.reason.startswith(each, autoescape=True) for each in together]
        at_once = case((and_(paused, or_(false(), *theirs)), 1), else_=0).label("at_once")
        of_all = select(enrollment.c.sequence, enrollment.c.version, enrollment.c.state, at_once)
        each_one = of_all.where(enrollment.c.inbox_id != CANARY).subquery()
        kinds = tuple(each_one.c)
        rows = self._db.execute(
            select(*kinds, func.count().label("number")).group_by(*kinds).order_by(*kinds)
        )
        return [
            Crowd(row.sequence, row.version, EnrollmentState(row.state), row.number, bool(row.at_once))
            for row in rows
        ]

    def in_flight_elsewhere(self, sequence: str, version: str) -> int:
        """To how many this sequence speaks by another version than that."""
        living = enrollment.c.state.in_([literal_column("'active'"), literal_column("'paused'")])
        theirs = enrollment.c.sequence == sequence, living, enrollment.c.version != version
        return self._db.scalar(select(func.count()).select_from(enrollment).where(*theirs)) or 0

    def versions(self, sequence: str | None = None) -> list[Kept]:
        """Of this sequence, or of all; the newest first."""
        kept = select(sequence_version.c.id, sequence_version.c.name, sequence_version.c.created_at)
        if sequence is not None:
            kept = kept.where(sequence_version.c.name == sequence)
        newest = sequence_version.c.created_at.desc(), sequence_version.c.id.desc()
        return [Kept(row.id, row.name, row.created_at) for row in self._db.execute(kept.order_by(*newest))]

    def _hurry(self, at_most: timedelta) -> None:
        if self._db.dialect.name == "postgresql":
            self._db.execute(text(f"SET LOCAL statement_timeout = {int(at_most.total_seconds() * 1000)}"))


def _plain(value: Any) -> Any:
    """PostgreSQL adds numbers up to Decimals."""
    return value if value is None or isinstance(value, str) else int(value)
