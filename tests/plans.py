"""How a database looks for what it is asked, in its own words: there a test reads which index it takes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from engine.store import Store


def plans_of(store: Store, ask: Callable[[], Any], *, having: str = "") -> list[str]:
    """One for each statement; `having`: for those only in which this stands."""
    with overheard(store) as said:
        ask()
    with store.database.connect() as db:
        return [plan_of(db, statement, values) for statement, values in said if having in statement]


@contextmanager
def overheard(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """What the database is asked meanwhile: each statement, and its values."""
    said: list[tuple[str, Any]] = []

    def note(_db: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        said.append((statement, values))

    event.listen(store.database, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(store.database, "before_cursor_execute", note)


def plan_of(db: Connection, statement: str, values: Any) -> str:
    word = "EXPLAIN QUERY PLAN " if db.dialect.name == "sqlite" else "EXPLAIN "
    return "\n".join(str(row[-1]) for row in db.exec_driver_sql(word + statement, values))
