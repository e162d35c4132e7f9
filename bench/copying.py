"""A thousand is made by the house itself, and the database makes a million of it: other names, other people, other moments."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Insert,
    Table,
    Text,
    bindparam,
    case,
    cast,
    create_engine,
    func,
    insert,
    literal,
    select,
    type_coerce,
)

from engine.model import NEVER
from engine.store import Store
from engine.store.tables import (
    UtcDateTime,
    audit,
    draft,
    draft_label,
    enrollment,
    message,
    message_label,
    thread,
    thread_label,
)

#: Stands in the address of everybody who is to be somebody else in every copy.
WHO = "x00000"

#: What the house has made has a name after these. Those of the copies come before. In the order in which they need each other.
_AFTER: dict[Table, tuple[Column[str], str]] = {
    enrollment: (enrollment.c.id, "enr_01"),
    thread: (thread.c.id, "thr_01"),
    draft: (draft.c.id, "drf_01"),
    thread_label: (thread_label.c.thread_id, "thr_01"),
    draft_label: (draft_label.c.draft_id, "drf_01"),
    message: (message.c.thread_id, "thr_01"),
    message_label: (message_label.c.thread_id, "thr_01"),
    audit: (audit.c.draft_id, "drf_01"),
}
_NAMES = {"id", "thread_id", "draft_id", "enrollment_id"}
_MESSAGES = {"message_id", "last_message_id", "in_reply_to"}
_PEOPLE = {"email", "contact", "company", "domain", "to", "recipients"}
_AT_ONCE = 20


def copy(store: Store, copies: int, apart: timedelta, *, without: Collection[Table] = ()) -> None:
    """Everything so often, each copy so much earlier than the next; the oldest first, as they would have come."""
    database = create_engine(store.database.url)
    kind = database.dialect.name
    statements = [_copying(table, kind) for table in _AFTER if table not in without]
    with database.connect() as db:
        _hurry(db)
        for number in range(copies, 0, -1):
            values = {"mark": f"{99_999 - number:05}", "shift": number * (apart // timedelta(milliseconds=1))}
            for statement in statements:
                db.execute(statement, values)
            if number % _AT_ONCE == 0:
                db.commit()
        db.commit()
    database.dispose()


def look_around(store: Store) -> None:
    """As PostgreSQL does by itself after a while; SQLite never does, and must get along without."""
    if store.database.dialect.name == "postgresql":
        with store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.exec_driver_sql("VACUUM ANALYZE")


def _hurry(db: Connection) -> None:
    """Nobody needs to find after a power loss what is thrown away at the end; and nothing is known yet to plan by."""
    settings = {
        "sqlite": ("PRAGMA synchronous=OFF", "PRAGMA cache_size=-500000"),
        "postgresql": ("SET synchronous_commit=off", "SET enable_seqscan=off"),
    }
    for setting in settings[db.dialect.name]:
        db.exec_driver_sql(setting)
    db.commit()


def _copying(table: Table, kind: str) -> Insert:
    name, first = _AFTER[table]
    columns = [column for column in table.c if column is not audit.c.seq]
    copies = select(*(_changed(column, kind) for column in columns)).where(name > first)
    return insert(table).from_select([column.name for column in columns], copies)


def _changed(column: Column[Any], kind: str) -> ColumnElement[Any]:
    """`drf_01k9…` becomes `drf_00` and a number, `<abc…@acme.example>` gets the number in its middle. All keep their length."""
    mark = bindparam("mark", type_=Text)
    if column is thread_label.c.label:  # follow-up:drf_01k9…
        return func.substr(column, 1, 14).concat("00").concat(mark).concat(func.substr(column, 22))
    if column.name in _NAMES:
        return func.substr(column, 1, 4).concat("00").concat(mark).concat(func.substr(column, 12))
    if column.name in _MESSAGES:
        return func.substr(column, 1, 13).concat(mark).concat(func.substr(column, 19))
    if column.name == "client_id":
        return column.concat("-").concat(mark)
    if column.name in _PEOPLE:
        return _somebody_else(column, kind)
    if isinstance(column.type, UtcDateTime):
        then = type_coerce(column, BigInteger)
        return case((column >= NEVER, then), else_=then - bindparam("shift", type_=BigInteger))
    return column


def _somebody_else(column: Column[Any], kind: str) -> ColumnElement[Any]:
    other = literal("x", Text).concat(bindparam("mark", type_=Text))
    if not isinstance(column.type, JSON):
        return func.replace(column, WHO, other)
    if kind == "postgresql":
        return cast(func.replace(cast(column, Text), WHO, other), JSON)
    return func.replace(type_coerce(column, Text), WHO, other)
