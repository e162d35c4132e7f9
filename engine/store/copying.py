"""The whole of one database into another, empty one: in one look at the first, and one transaction of the second.

Either everything is there afterwards, equal by counts and hashes, or the other one is as empty as before.
"""

import hashlib
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Select,
    Table,
    Text,
    cast,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from engine.errors import Refused, Unavailable
from engine.store.connect import connect, hold_the_plan, in_words, migrate_within, named
from engine.store.ledger import Store
from engine.store.lineage import HOME, MOVED
from engine.store.tables import UtcDateTime, audit, instance, metadata, pod, sign, tally

_AT_ONCE, _BYTES = (
    500,
    4 * 1024**2,
)  # rows, and what they may weigh together: a letter may have many megabytes
#: What every new database has, and what says nothing of people.
_FURNITURE = frozenset({instance.name, pod.name, tally.name})
_OF_THIS_PLACE = (HOME, MOVED)  # signs that speak of where they stand
_WIDTH = 128


Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Sum:
    """How many rows there are, and a hash of all of them, in whatever order they come."""

    rows: int = 0
    total: int = 0

    def plus(self, rows: Rows) -> "Sum":
        added = sum(_hash(row) for row in rows)
        return Sum(self.rows + len(rows), (self.total + added) % (1 << _WIDTH))

    @property
    def hash(self) -> str:
        return f"{self.total:0{_WIDTH // 4}x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """One table, here and there."""

    table: str
    here: Sum
    there: Sum

    @property
    def equal(self) -> bool:
        return self.here == self.there


#: Where everything goes.
Target = Engine
#: What a copy is told as it goes on: a table, and how many rows of it.
Progress = Callable[[str, int], None]


def count(source: Store, progress: Progress) -> list[Copied]:
    """What would be copied."""
    with _snapshot(source.database) as here:
        sums = [(table.name, _read(table, here, progress)) for table in _tables()]
    return [Copied(table=name, here=found, there=Sum()) for name, found in sums]


def copy(
    source: Store, target: Engine, *, brake: tuple[str, datetime] | None, now: datetime, progress: Progress
) -> list[Copied]:
    """Raises Unavailable when anything is not equal in the end; then nothing is there. `brake`: on the other one."""
    with _in_words(target), target.begin() as there:
        migrate_within(there)
        refuse_what_is_not_empty(there)
        for table in (sign, tally, pod):
            there.execute(delete(table))
        with _snapshot(source.database) as here:
            sums = {table: _carry(table, here, there, progress) for table in _tables()}
            _who_we_are(here, there, brake, now)
        _count_on(there)
        copied = [
            Copied(table=table.name, here=found, there=_read(table, there, _silently))
            for table, found in sums.items()
        ]
        if wrong := [each.table for each in copied if not each.equal]:
            raise Unavailable(f"what arrived of {', '.join(wrong)} is not what left: nothing was kept there")
    return copied


def refuse_what_takes_no_copy(source: Store, target: Engine) -> None:
    """Before anything is done. Raises Refused, or Unavailable."""
    if same(source.database, target):
        raise Refused(f"{_named(target)} is this very database, or a copy of it: name one that is empty")
    with _in_words(target), target.connect().execution_options(relent_reading=True) as there, there.begin():
        there_already = set(inspect(there).get_table_names())
        if target.dialect.name == "sqlite" and there_already - set(metadata.tables) - {"alembic_version"}:
            raise Unavailable(f"{_named(target)} is somebody else's database: name one that is empty")
        if instance.name in there_already:
            refuse_what_is_not_empty(there)
        elif wrong := there_already & set(metadata.tables):
            raise Unavailable(
                f"{_named(target)} has tables of our names already: {', '.join(sorted(wrong)[:3])}"
            )


def refuse_what_is_not_empty(there: Connection) -> None:
    names = set(inspect(there).get_table_names())
    for table in metadata.sorted_tables:
        if (
            table.name in names - _FURNITURE
            and there.execute(select(text("1")).select_from(table).limit(1)).first()
        ):
            raise Unavailable(
                f"{_named(there.engine)} is not empty, there are rows in {table.name}. Copying into what is there "
                "already would mix two houses: name a database that is new"
            )


def same(one: Engine, other: Engine) -> bool:
    """By what they are, not by how they are called: a key is nobody else's."""
    return _key(one) is not None and _key(one) == _key(other)


def has_arrived(source: Store, target: Engine) -> bool:
    """Is everything there? Whoever may still be writing it is waited for. Raises Unavailable when that cannot be asked."""
    if target.dialect.name == "postgresql":
        with _in_words(target), target.begin() as there:
            hold_the_plan(there)
    return same(source.database, target)


def _key(database: Engine) -> bytes | None:
    with _in_words(database), database.connect().execution_options(relent_reading=True) as db, db.begin():
        if instance.name not in inspect(db).get_table_names():
            return None
        found = db.scalar(select(instance.c.key))
        return None if found is None else bytes(found)


# --- a table at a time ---


def _tables() -> list[Table]:
    """Parents before children. Who we are is told apart."""
    return [table for table in metadata.sorted_tables if table is not instance]


def _carry(table: Table, here: Connection, there: Connection, progress: Progress) -> Sum:
    found = Sum()
    with _into(table, there) as into, closing(_rows(table, here)) as batches:
        for rows in batches:
            into(rows)
            found = found.plus(rows)
            progress(table.name, len(rows))
    return found


@contextmanager
def _into(table: Table, db: Connection) -> Iterator[Callable[[Rows], None]]:
    """As the drivers take rows fastest: a statement put together for each of them would cost more than all the rest."""
    quote = db.dialect.identifier_preparer.quote
    names = ", ".join(quote(column.name) for column in table.c)
    if db.dialect.name == "sqlite":
        gaps = ", ".join("?" for _ in table.c)
        statement = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({gaps})"  # noqa: S608 - names of ours
        yield lambda rows: _ignored(db.exec_driver_sql(statement, rows))
        return
    driver: Any = db.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {quote(table.name)} ({names}) FROM STDIN") as stream,
    ):

        def pour(rows: Rows) -> None:
            for row in rows:
                stream.write_row(row)

        yield pour


def _ignored(_: object) -> None:
    """What came back says nothing."""


def _read(table: Table, db: Connection, progress: Progress) -> Sum:
    found = Sum()
    with closing(_rows(table, db)) as batches:
        for rows in batches:
            found = found.plus(rows)
            progress(table.name, len(rows))
    return found


def _rows(table: Table, db: Connection) -> Generator[Rows]:
    """As plain values: numbers, texts, bytes. JSON stays the text that it is, so that not a blank of it changes."""
    query = select(*(_asked(column, db) for column in table.c))
    if table is sign:
        query = query.where(_plain(sign).c.name.not_in(_OF_THIS_PLACE))
    rows, weight = [], 0
    with closing(_one_by_one(query, db)) as found:  # whoever breaks off leaves no cursor behind
        for row in found:
            rows.append(row)
            weight += sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(rows) >= _AT_ONCE or weight >= _BYTES:
                yield rows
                rows, weight = [], 0
    if rows:
        yield rows


def _one_by_one(query: Select[Any], db: Connection) -> Generator[tuple[Any, ...]]:
    """As the database hands them over: how much many rows weigh is known only when they are here."""
    if db.dialect.name == "sqlite":
        with db.execute(query) as found:
            yield from map(tuple, found)
        return
    words = str(query.compile(db, compile_kwargs={"literal_binds": True}))
    driver: Any = db.connection.driver_connection
    with driver.cursor() as cursor, closing(cursor.stream(words)) as streamed:
        yield from streamed


def _asked(column: Column[Any], db: Connection) -> ColumnElement[Any]:
    plain = _plain(column.table).c[column.name]
    is_json = isinstance(column.type, JSON) and db.dialect.name == "postgresql"
    return cast(plain, Text) if is_json else plain


@cache
def _plain(table: Table) -> Table:
    """The same table, of nothing but numbers, texts and bytes."""
    return Table(table.name, MetaData(), *(Column(column.name, _kind(column)) for column in table.c))


def _kind(column: Column[Any]) -> TypeEngine[Any]:
    if isinstance(column.type, UtcDateTime):
        return BigInteger()
    return Text() if isinstance(column.type, JSON) else column.type


def _hash(row: tuple[Any, ...]) -> int:
    said = repr(row)
    return int.from_bytes(
        hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()[: _WIDTH // 8], "big"
    )


def _silently(table: str, rows: int) -> None:
    """Nobody wants to hear it twice."""


# --- who we are ---


def _who_we_are(
    here: Connection, there: Connection, brake: tuple[str, datetime] | None, now: datetime
) -> None:
    """The same house, so that its Message-IDs are; in a new life, so that neither is taken for the other."""
    was = here.execute(select(instance)).one()
    says: Mapping[str, Any] = here.scalar(select(sign.c.says).where(sign.c.name == HOME)) or {}
    before = [*says.get("before", ()), *([was.boot] if was.boot else [])]
    why, since = brake or (None, None)
    there.execute(
        update(instance).values(
            key=was.key,
            created_at=was.created_at,
            boot=secrets.token_hex(16),
            braked_why=why,
            braked_at=since,
        )
    )
    there.execute(insert(sign).values(name=HOME, at=now, says={"place": None, "before": before}))


def _count_on(there: Connection) -> None:
    """The next line of the log has the next number."""
    if there.dialect.name == "postgresql":
        last = select(func.coalesce(func.max(audit.c.seq), 0) + 1).scalar_subquery()
        counter = func.pg_get_serial_sequence("audit", "seq")
        there.execute(select(func.setval(counter, last, False)))


@contextmanager
def _snapshot(database: Engine) -> Iterator[Connection]:
    """Everything as it is at one instant, however long reading takes."""
    options: dict[str, Any] = {"relent_reading": True}
    if database.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with _in_words(database), database.connect().execution_options(**options) as db, db.begin():
        yield db


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """A database of which nothing is known yet."""
    database = connect(url)
    try:
        yield database
    finally:
        database.dispose()


@contextmanager
def _in_words(database: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise Unavailable(f"{_named(database)}: {in_words(error)}") from error
    except database.dialect.loaded_dbapi.Error as error:
        raise Unavailable(f"{_named(database)}: {' '.join(str(error).split())}") from error


def _named(database: Engine) -> str:
    return named(database.url)
