"""The seals on the log: blocks of lines, each on top of the one before; and the lines themselves, as they lie there."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import BigInteger, Row, Select, bindparam, func, or_, select, type_coerce

from engine.addresses import contact
from engine.store.moves import Desk, unless_there
from engine.store.prepared import Prepared
from engine.store.tables import audit, audit_block, draft, enrollment, thread

#: Its number, when (in milliseconds since 1970), who, what, of which draft, of which enrollment, and what else was said.
Line = tuple[int, int, str, str, str | None, str | None, str | None]
#: Numbers, from the first to the last of them.
Range = tuple[int, int]

_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that nobody has seen a line of, though there are higher ones: it may still come, or never was written."""

    first: int
    last: int
    since: int  #: when the line above was written, in milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some lines, sealed together."""

    number: int
    at: datetime
    lines: int
    ranges: tuple[Range, ...]
    up_to: int  #: the highest number of this block and all before it
    gaps: tuple[Gap, ...]
    marks: str  #: eight letters of each line's hash, in the order of their numbers
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Which lines are asked for."""

    draft_id: str | None = None
    person: str | None = None
    since: datetime | None = None


_COLUMNS = (
    audit.c.seq,
    type_coerce(audit.c.at, BigInteger),
    audit.c.actor,
    audit.c.what,
    audit.c.draft_id,
    audit.c.enrollment_id,
    audit.c.detail,
)
_BETWEEN = Prepared(
    select(*_COLUMNS)
    .where(audit.c.seq >= bindparam("first"), audit.c.seq <= bindparam("last"))
    .order_by(audit.c.seq)
    .limit(bindparam("at_most"))
)
_BEYOND = Prepared(
    select(*_COLUMNS)
    .where(audit.c.seq > bindparam("after"))
    .order_by(audit.c.seq)
    .limit(bindparam("at_most"))
)
_ADD = Prepared(unless_there(audit_block, [column.name for column in audit_block.c]))


class Blocks:
    """One transaction's hands on the seals."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.db

    def last(self) -> Block | None:
        """The head of the chain."""
        return self._one(select(audit_block).order_by(audit_block.c.number.desc()).limit(1))

    def get(self, number: int) -> Block | None:
        return self._one(select(audit_block).where(audit_block.c.number == number))

    def count(self) -> int:
        return self._db.scalar(select(func.count()).select_from(audit_block)) or 0

    def add(self, block: Block) -> bool:
        """False: somebody else has put one there meanwhile."""
        return (
            _ADD.touch(
                self._db,
                number=block.number,
                at=block.at,
                lines=block.lines,
                ranges=block.ranges,
                up_to=block.up_to,
                gaps=[(gap.first, gap.last, gap.since) for gap in block.gaps],
                marks=block.marks,
                previous=block.previous,
                hash=block.hash,
            )
            == 1
        )

    def after(self, number: int, *, at_most: int) -> list[Block]:
        found = select(audit_block).where(audit_block.c.number > number).order_by(audit_block.c.number)
        return [_block(row) for row in self._db.execute(found.limit(at_most))]

    def lines(self, after: int, *, at_most: int) -> list[Line]:
        """The next ones, by their numbers."""
        return cast("list[Line]", _BEYOND.rows(self._db, after=after, at_most=at_most))

    def lines_between(self, first: int, last: int, *, at_most: int) -> list[Line]:
        return cast("list[Line]", _BETWEEN.rows(self._db, first=first, last=last, at_most=at_most))

    def told(self, about: About, *, last: int | None = None) -> Iterator[dict[str, Any]]:
        """As people read them, the oldest first; or only the last few of them. Names of keys are promises: docs/json.md."""
        query = _asked(about)
        if last is not None:
            newest = query.order_by(audit.c.seq.desc()).limit(last).subquery()
            query = select(newest).order_by(newest.c.seq)
        else:
            query = query.order_by(audit.c.seq)
        for row in self._db.execute(query.execution_options(yield_per=1000)):
            yield row._asdict()

    def _one(self, query: Select[Any]) -> Block | None:
        row = self._db.execute(query).one_or_none()
        return None if row is None else _block(row)


def _block(row: Row[Any]) -> Block:
    fields = row._asdict()
    ranges = tuple((first, last) for first, last in row.ranges)
    return Block(**fields | {"ranges": ranges, "gaps": tuple(Gap(*each) for each in row.gaps)})


def _asked(about: About) -> Select[Any]:
    query = select(audit)
    if about.draft_id is not None:
        query = query.where(audit.c.draft_id == about.draft_id)
    if about.person is not None:
        who = contact(about.person)
        theirs = select(enrollment.c.id).where(enrollment.c.contact == who)
        letters = select(draft.c.id).join(thread, thread.c.id == draft.c.thread_id)
        query = query.where(
            or_(
                audit.c.enrollment_id.in_(theirs),
                audit.c.draft_id.in_(letters.where(thread.c.contact == who)),
            )
        )
    return query if about.since is None else query.where(audit.c.at >= about.since)
