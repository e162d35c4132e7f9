"""Statements that every letter needs: put together once for each kind of database, and after that only asked.

To find again what it has compiled, SQLAlchemy walks through the whole statement; and for what comes back it prepares
for any question. Of a statement with forty columns that costs several times what the database takes to answer.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    CompoundSelect,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    Update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

Statement = Select[Any] | CompoundSelect[Any] | Insert | Update | Delete
_Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Made:
    """What is said to one kind of database."""

    text: str
    fixed: Mapping[str, Any]  #: what is the same every time
    names: tuple[str, ...] | None  #: by place; None: by name
    going_in: tuple[tuple[str, _Change], ...]
    coming_out: tuple[tuple[int, _Change], ...]

    def values(self, given: Mapping[str, Any]) -> Any:
        found = {**self.fixed, **given}
        for name, change in self.going_in:
            found[name] = change(found[name])
        return found if self.names is None else tuple(found[name] for name in self.names)


class Prepared:
    """One statement. What differs from time to time is a `bindparam`; a list of unknown length cannot be one."""

    def __init__(self, statement: Statement | Callable[[str], Statement]) -> None:
        """`statement`: or whoever puts it together for one kind of database, by its name."""
        self._statement = statement
        self._made: dict[str, _Made] = {}

    def rows(self, db: Connection, **given: Any) -> list[tuple[Any, ...]]:
        """What it finds, in the order of its columns."""
        made = self._for(db.dialect)
        found = ask(db, made.text, made.values(given)).fetchall()
        return [_changed(row, made.coming_out) for row in found] if made.coming_out else found

    def one(self, db: Connection, **given: Any) -> tuple[Any, ...] | None:
        return next(iter(self.rows(db, **given)), None)

    def scalar(self, db: Connection, **given: Any) -> Any:
        found = self.one(db, **given)
        return None if found is None else found[0]

    def touch(self, db: Connection, **given: Any) -> int:
        """How many rows it has written, or taken away."""
        made = self._for(db.dialect)
        return int(ask(db, made.text, made.values(given)).rowcount)

    def each(self, db: Connection, rows: Collection[Mapping[str, Any]]) -> None:
        """Once for each of them."""
        if len(rows) == 1:
            self.touch(db, **next(iter(rows)))
        elif rows:
            made = self._for(db.dialect)
            ask(db, made.text, [made.values(row) for row in rows], many=True)

    def _for(self, dialect: Dialect) -> _Made:
        if (made := self._made.get(dialect.name)) is None:
            statement = self._statement(dialect.name) if callable(self._statement) else self._statement
            made = self._made[dialect.name] = _make(statement, dialect)
        return made


def ask(db: Connection, text: str, values: Any = (), *, many: bool = False) -> Any:
    """The driver itself is asked; what goes wrong is told as SQLAlchemy tells it, but for the values."""
    driver: Any = db.connection.driver_connection
    try:
        return driver.cursor().executemany(text, values) if many else driver.execute(text, values)
    except db.dialect.loaded_dbapi.Error as error:
        gone = db.dialect.is_disconnect(error, driver, None)
        told = DBAPIError.instance(
            text, None, error, db.dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=db.dialect
        )
        if gone:
            db.invalidate(error)
        raise told from error


def _make(statement: Statement, dialect: Dialect) -> _Made:
    compiled = statement.compile(dialect=dialect)
    named = {name: bound for bound, name in compiled.bind_names.items()}
    going_in = {
        name: change
        for name, bound in named.items()
        if (change := _going_in(bound.type, dialect)) is not None
    }
    fixed = {name: bound.value for name, bound in named.items() if not bound.required}
    for name in fixed.keys() & going_in.keys():
        fixed[name] = going_in.pop(name)(fixed[name])
    columns = enumerate(statement.exported_columns)
    return _Made(
        text=str(compiled),
        fixed=fixed,
        names=tuple(compiled.positiontup) if compiled.positiontup else None,
        going_in=tuple(going_in.items()),
        coming_out=tuple(
            (place, change)
            for place, column in columns
            if (change := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        ),
    )


def _going_in(kind: TypeEngine[Any], dialect: Dialect) -> _Change | None:
    change = kind.dialect_impl(dialect).bind_processor(dialect)
    if change is None or not isinstance(kind, JSON):
        return change
    nobody, nothing = change([]), change({})  # most lists are empty

    def said(value: Any) -> Any:
        if value == () or value == []:
            return nobody
        return nothing if value == {} else change(value)

    return said


def _changed(row: Any, coming_out: tuple[tuple[int, _Change], ...]) -> tuple[Any, ...]:
    values = list(row)
    for place, change in coming_out:
        values[place] = change(values[place])
    return tuple(values)
