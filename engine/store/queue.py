"""What waits for a human's yes: the odd ones first, a page at a time, and those that are alike counted together."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
    type_coerce,
)

from engine.addresses import CANARY
from engine.states import DraftState, HoldReason
from engine.store.moves import Desk
from engine.store.tables import draft, enrollment

#: Nobody counts further: whoever hears of more than a thousand knows enough.
MOST = 1_000
#: So many letters are looked through for those of one sequence, say; whoever wants the next of them asks again.
_LOOKED_THROUGH = 1_500
#: So many kinds of letters are looked at, and of each so many are counted, where all of them are shown.
_KINDS, GLANCED = 24, 200
_PREVIEW = 160

#: Where a letter stands in the queue: how odd it is, its hour, its name. In a batch the hour does not count.
Place = tuple[int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Those of the waiting that somebody wants to look at; nothing said: all."""

    batch: str | None = None
    sequence: str | None = None
    outcome: str | None = None  #: why it is held

    @property
    def some(self) -> bool:
        return self.sequence is not None or self.outcome is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A letter in the queue, as far as a list shows it."""

    id: str
    place: Place
    to: str
    name: str  #: theirs, as people read it; empty: unknown
    subject: str
    preview: str
    inbox_id: str
    sequence: str | None
    step: str
    outcome: str | None
    oddities: tuple[str, ...]
    alike: str | None
    send_at: datetime
    yes_by: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some of the queue, and where it goes on to both sides; None: it does not."""

    items: tuple[Waiting, ...]
    previous: Place | None
    next: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Who stands before a letter in the queue, and who after it."""

    previous: str | None
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Letters of one way to say one step. Where counting ended, one more is told than was counted to."""

    alike: str
    number: int
    calm: int  #: those that wait for nothing but a yes, and are not odd
    sequence: str | None
    step: str
    variant: str | None
    subject: str  #: of one of them


_HOUR: ColumnElement[int] = type_coerce(draft.c.send_at, BigInteger)
_ZERO: ColumnElement[int] = literal_column("0", Integer)
_APPROVAL: ColumnElement[str] = literal_column(f"'{HoldReason.APPROVAL}'")
_STATE: ColumnElement[str] = literal_column(f"'{DraftState.HELD}'")
_SEQUENCE: ColumnElement[str] = (
    select(enrollment.c.sequence)  # no join: a planner might begin with everybody in that sequence
    .where(enrollment.c.id == draft.c.enrollment_id)
    .correlate(draft)
    .scalar_subquery()
)


def _to_review(dialect: str) -> tuple[ColumnElement[bool], ...]:
    """As the indexes have it, word for word.

    SQLite takes a moment that is not there for something rare, would read all of these, and sort them.
    """
    no_end: ColumnElement[bool] = draft.c.held_until.is_(None)
    if dialect == "sqlite":
        no_end = func.likelihood(no_end, literal_column("0.99"))
    return draft.c.state == _STATE, no_end


def _still_asked() -> tuple[ColumnElement[bool], ...]:
    """What a human refused waits for nobody's yes; and the canary is nobody."""
    refused: ColumnElement[str] = literal_column(f"'{HoldReason.REJECTED}'")
    return func.coalesce(draft.c.outcome, "") != refused, draft.c.inbox_id != CANARY


_SHOWN = (
    draft.c.id,
    draft.c.rank,
    _HOUR.label("hour"),
    draft.c.to,
    draft.c.names,
    draft.c.subject,
    func.substr(draft.c.text, 1, _PREVIEW).label("preview"),
    draft.c.inbox_id,
    _SEQUENCE.label("sequence"),
    draft.c.step,
    draft.c.outcome,
    draft.c.oddities,
    draft.c.alike,
    draft.c.send_at,
    draft.c.yes_by,
)


def _waiting(row: Row[Any]) -> Waiting:
    return Waiting(
        id=row.id,
        place=(row.rank, row.hour, row.id),
        to=row.to,
        name=str(row.names.get(row.to, "")),
        subject=row.subject,
        preview=" ".join(row.preview.split()),
        inbox_id=row.inbox_id,
        sequence=row.sequence,
        step=row.step,
        outcome=row.outcome,
        oddities=tuple(row.oddities),
        alike=row.alike,
        send_at=row.send_at,
        yes_by=row.yes_by,
    )


class Queue:
    """One transaction's look at it."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db
        self._to_review = _to_review(desk.db.dialect.name)

    def page(
        self,
        which: Which | None = None,
        *,
        after: Place | None = None,
        before: Place | None = None,
        at_most: int = 25,
    ) -> Stretch:
        """Those after a place, or the last ones before it; without either, the first."""
        which = which or Which()
        if before is not None:
            items, further = self._walk(which, before, at_most, back=True)
            items.reverse()
            return Stretch(items=tuple(items), previous=further, next=items[-1].place if items else None)
        items, further = self._walk(which, after, at_most, back=False)
        return Stretch(items=tuple(items), previous=items[0].place if items and after else None, next=further)

    def beside(self, draft_id: str, which: Which | None = None) -> Beside:
        """Its neighbours. A letter that does not wait has none."""
        place = self.place(draft_id)
        if place is None:
            return Beside(previous=None, next=None)
        previous, following = (self._one(which or Which(), place, back=back) for back in (True, False))
        return Beside(previous=previous, next=following)

    def place(self, draft_id: str) -> Place | None:
        """None: it waits for nobody's yes."""
        asked = select(draft.c.rank, _HOUR.label("hour"), draft.c.id)
        row = self._db.execute(asked.where(draft.c.id == draft_id, *self._to_review, *_still_asked())).first()
        return None if row is None else (row.rank, row.hour, row.id)

    def number(self) -> int:
        """How many there are; of more than MOST, one more than that."""
        found = self._within(Which(), select(literal_column("1")), None, back=False).where(*_still_asked())
        return self._db.scalar(select(func.count()).select_from(found.limit(MOST + 1).subquery())) or 0

    def batch(self, alike: str) -> Batch | None:
        """Those that are alike; None: nobody is."""
        kind = select(bindparam("alike", alike, type_=Text).label("alike")).subquery()
        return next(iter(self._counted(kind, MOST)), None)

    def batches(self) -> list[Batch]:
        """What could be said yes to at once, the largest first; of some kinds, whichever they are, and not counted far."""
        return sorted(self._counted(self._kinds(), GLANCED), key=lambda each: (-each.number, each.alike))

    def _counted(self, kinds: FromClause, at_most: int) -> list[Batch]:
        calm = draft.c.rank == _ZERO, draft.c.outcome == _APPROVAL
        counted = self._db.execute(
            select(
                kinds.c.alike,
                self._number_of(kinds, at_most).label("number"),
                self._number_of(kinds, at_most, *calm).label("calm"),
                self._first_of(kinds).label("first"),
            ).where(kinds.c.alike.is_not(None))
        ).all()
        names = [row.first for row in counted if row.first is not None]
        says = select(draft.c.id, _SEQUENCE.label("sequence"), draft.c.step, draft.c.variant, draft.c.subject)
        told = {row.id: row for row in self._db.execute(says.where(draft.c.id.in_(names)))}
        return [_batch(row, told[row.first]) for row in counted if row.first in told]

    def _kinds(self) -> CTE:
        """The index is asked where the next kind begins: nobody reads the thousands of one kind to find another."""
        first = self._next_kind(draft.c.alike.is_not(None)).subquery()
        kinds = select(first.c.alike, literal_column("1", Integer).label("number"))
        kinds_so_far = kinds.cte("kinds", recursive=True)
        following = self._next_kind(draft.c.alike > kinds_so_far.c.alike).scalar_subquery()
        more = select(following, kinds_so_far.c.number + 1)
        known = kinds_so_far.c.alike.is_not(None), kinds_so_far.c.number < _KINDS
        return kinds_so_far.union_all(more.where(*known))

    def _next_kind(self, beyond: ColumnElement[bool]) -> Select[Any]:
        return select(draft.c.alike).where(*self._to_review, beyond).order_by(draft.c.alike).limit(1)

    def _of_kind(self, query: Select[Any], kinds: FromClause, *where: ColumnElement[bool]) -> Select[Any]:
        theirs = *self._to_review, *_still_asked(), draft.c.alike == kinds.c.alike
        return query.select_from(draft).where(*theirs, *where).correlate(kinds)

    def _number_of(self, kinds: FromClause, at_most: int, *where: ColumnElement[bool]) -> ColumnElement[int]:
        some = self._of_kind(select(literal_column("1")), kinds, *where).limit(at_most + 1)
        return select(func.count()).select_from(some.subquery()).scalar_subquery()

    def _first_of(self, kinds: FromClause) -> ColumnElement[str]:
        first = self._of_kind(select(draft.c.id), kinds).order_by(draft.c.rank.desc(), draft.c.id.desc())
        return first.limit(1).scalar_subquery()

    def _one(self, which: Which, place: Place, *, back: bool) -> str | None:
        items, _ = self._walk(which, place, 1, back=back)
        return items[0].id if items else None

    def _walk(
        self, which: Which, place: Place | None, at_most: int, *, back: bool
    ) -> tuple[list[Waiting], Place | None]:
        """The next of them in one direction, and where to go on; None: nobody is left there."""
        end = self._end(which, place, back=back)
        query = self._within(which, select(*_SHOWN), place, end, back=back)
        query = query.where(*_still_asked(), *_wanted(which))
        rows = self._db.execute(query.limit(at_most + 1)).all()
        items = [_waiting(row) for row in rows[:at_most]]
        return items, items[-1].place if len(rows) > at_most else end

    def _end(self, which: Which, place: Place | None, *, back: bool) -> Place | None:
        """How far to look for some among all; None: to the end."""
        if not which.some:
            return None
        marks = select(draft.c.rank, _HOUR.label("hour"), draft.c.id)
        looked = self._within(which, marks, place, back=back)  # from the index alone, whoever they are
        row = self._db.execute(looked.offset(_LOOKED_THROUGH - 1).limit(1)).first()
        return None if row is None else (row.rank, row.hour, row.id)

    def _within(
        self,
        which: Which,
        query: Select[Any],
        begin: Place | None,
        end: Place | None = None,
        *,
        back: bool,
    ) -> Select[Any]:
        """Those that stand between two places, in this direction, whoever they are."""
        order = _order(which)
        here = tuple_(*order)
        query = query.select_from(draft).where(*self._to_review, *_kind(which))
        if begin is not None:
            beyond = tuple_(*_marks(which, begin))
            query = query.where(here < beyond if back else here > beyond)
        if end is not None:
            last = tuple_(*_marks(which, end))
            query = query.where(here >= last if back else here <= last)
        return query.order_by(*(each.desc() if back else each.asc() for each in order))


def _order(which: Which) -> tuple[ColumnElement[Any], ...]:
    """As the index has it. Among those that are alike the hour does not count."""
    return (draft.c.rank, draft.c.id) if which.batch else (draft.c.rank, _HOUR, draft.c.id)


def _marks(which: Which, place: Place) -> tuple[int | str, ...]:
    return (place[0], place[2]) if which.batch else place


def _kind(which: Which) -> tuple[ColumnElement[bool], ...]:
    return () if which.batch is None else (draft.c.alike == which.batch,)


def _wanted(which: Which) -> tuple[ColumnElement[bool], ...]:
    wanted: list[ColumnElement[bool]] = []
    if which.sequence is not None:
        wanted.append(_SEQUENCE == which.sequence)  # noqa: SIM300 (the other way round it would be Python that compares)
    if which.outcome is not None:
        wanted.append(draft.c.outcome == which.outcome)
    return tuple(wanted)


def _batch(counted: Row[Any], first: Row[Any]) -> Batch:
    return Batch(
        alike=counted.alike,
        calm=counted.calm,
        number=counted.number,
        sequence=first.sequence,
        step=first.step,
        variant=first.variant,
        subject=first.subject,
    )
