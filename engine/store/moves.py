"""How a life moves on: one guarded UPDATE, made from the table of moves, and a line in the log for each row it moved."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Row,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from engine.addresses import CANARY
from engine.model import Draft
from engine.states import DRAFT_ENDS, Move
from engine.store.prepared import Prepared
from engine.store.tables import UtcDateTime, audit, draft, draft_label, enrollment

_ALSO = ("enrollment_id", "inbox_id")


@cache
def _insert_once(table: Table, twin: tuple[str, ...], dialect: str) -> ReturningInsert[Any]:
    """Built once: putting a statement together costs more than running it."""
    made = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    return made.on_conflict_do_nothing(index_elements=twin or None).returning(*table.c)


def unless_there(
    table: Table, names: Collection[str], twin: tuple[str, ...] = ()
) -> Callable[[str], sqlite.Insert | postgresql.Insert]:
    """The same for one row at a time, of which nothing needs to come back but whether it went in."""

    def made(dialect: str) -> sqlite.Insert | postgresql.Insert:
        new = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
        new = new.values({name: bindparam(name, type_=table.c[name].type) for name in names})
        return new.on_conflict_do_nothing(index_elements=twin or None)

    return made


@cache
def _insert_many(table: Table, dialect: str) -> ReturningInsert[Any]:
    """The same, and only what it takes to know who went in comes back."""
    made = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    names = [column for column in table.c if column.primary_key or column.name in _ALSO]
    return made.on_conflict_do_nothing().returning(*names)


def guarded(table: Table, move: Move, *where: ColumnElement[bool], **values: Any) -> Update:
    """The same UPDATE, for whoever prepares it: `now` is still to be said."""
    from_there = table.c.state.in_([literal_column(f"'{state}'") for state in sorted(move.sources)])
    moved = update(table).where(from_there, *where)
    return moved.values(state=literal_column(f"'{move.target}'"), updated_at=bindparam("now"), **values)


_LINE_NAMES = ("at", "actor", "what", "draft_id", "enrollment_id", "detail")
_LINE = Prepared(insert(audit).values({name: bindparam(name) for name in _LINE_NAMES}))


class Noted:
    """What becomes of one draft, with its line in the log. Where the way to the database is long, it is gone once."""

    def __init__(self, what: str, change: Callable[[str], Update | Insert]) -> None:
        self._what = f"{draft.name}: {what}"
        self._change = Prepared(change)
        self._both = Prepared(lambda dialect: self._with_its_line(change(dialect)))

    def happens(self, desk: "Desk", whose: Draft, given: Mapping[str, Any], why: str | None = None) -> bool:
        """False: it was not as it must be for that. What the canary does stands in no log."""
        if whose.inbox_id == CANARY:
            return self._change.touch(desk.db, **given) == 1
        if desk.db.dialect.name != "sqlite":
            line = {"line_at": desk.now, "line_by": desk.by, "line_why": why}
            return self._both.touch(desk.db, **given, **line) == 1
        happened = self._change.touch(desk.db, **given) == 1
        if happened:
            line = {"at": desk.now, "actor": desk.by, "what": self._what, "detail": why}
            _LINE.touch(desk.db, **line, draft_id=whose.id, enrollment_id=whose.enrollment_id)
        return happened

    def _with_its_line(self, change: Update | Insert) -> Insert:
        changed = change.returning(draft.c.id, draft.c.enrollment_id).cte("changed")
        line = select(
            bindparam("line_at", type_=UtcDateTime),
            bindparam("line_by", type_=Text),
            literal(self._what),
            changed.c.id,
            changed.c.enrollment_id,
            bindparam("line_why", type_=Text),
        )
        return insert(audit).from_select(_LINE_NAMES, line)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one transaction is worked on: the connection, the present instant, and who is at work."""

    db: Connection
    now: datetime
    by: str

    def move(
        self, table: Table, move: Move, *where: ColumnElement[bool], why: str | None = None, **values: Any
    ) -> Sequence[Row[Any]]:
        """Everybody whom the guard lets through goes. A lost race is an answer: no row came back."""
        guarded = update(table).where(table.c.state.in_(sorted(move.sources)), *where)
        return self.carry_out(table, move, guarded, why=why, **values)

    def carry_out(
        self, table: Table, move: Move, guarded: Update, *, why: str | None = None, **values: Any
    ) -> Sequence[Row[Any]]:
        """The same, for a guard that is spelt by hand so that a partial index is certain."""
        values |= {"state": move.target, "updated_at": self.now}
        rows = self.db.execute(guarded.values(**values).returning(*table.c)).all()
        self.note(table, move.name, rows, why)
        if table is draft and move.target in DRAFT_ENDS:
            self._unlist([row.id for row in rows if row.labels])
        return rows

    def _unlist(self, ended: Sequence[str]) -> None:
        """By their labels only what lives is listed, however many have lived."""
        if ended:
            self.db.execute(delete(draft_label).where(draft_label.c.draft_id.in_(ended)))

    def insert_once(self, table: Table, *, twin: tuple[str, ...] = (), **values: Any) -> Sequence[Row[Any]]:
        """No row comes back when it stood there already. A twin that is just being inserted is waited for.

        `twin` names what makes a twin; without it, whatever must be unique does.
        """
        return self.db.execute(_insert_once(table, twin, self.db.dialect.name), values).all()

    def insert_all(self, table: Table, rows: Sequence[dict[str, Any]]) -> Sequence[Row[Any]]:
        """The same for many at once; of those that went in, the keys come back."""
        return self.db.execute(_insert_many(table, self.db.dialect.name), rows).all() if rows else ()

    def note(
        self,
        table: Table,
        what: str,
        rows: Sequence[Row[Any]],
        why: str | Mapping[str, str | None] | None = None,
    ) -> None:
        """`why`: for all of them, or for each by its id. What the canary does, every few minutes, nobody will ask for."""
        rows = [row for row in rows if getattr(row, "inbox_id", None) != CANARY]
        if rows:
            reasons = why if isinstance(why, Mapping) else {row.id: why for row in rows}
            _LINE.each(self.db, [self._line(table, what, row, reasons[row.id]) for row in rows])

    def _line(self, table: Table, what: str, row: Row[Any], why: str | None) -> dict[str, Any]:
        return {
            "at": self.now,
            "actor": self.by,
            "what": f"{table.name}: {what}",
            "draft_id": row.id if table is draft else None,
            "enrollment_id": row.id if table is enrollment else row.enrollment_id,
            "detail": why,
        }
