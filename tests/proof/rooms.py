"""A database that holds, at a word, exactly what it held in some situation before."""

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psycopg
from sqlalchemy import event, make_url

from engine.store import Ledger, Store, open_store
from engine.store.tables import metadata

#: What no story decides by, or what is there for good.
_BESIDE = frozenset({"audit", "instance", "pod", "sequence_version", "tally"})
_TABLES = [table for table in metadata.sorted_tables if table.name not in _BESIDE]
_WHEN = frozenset({"created_at", "updated_at", "edited_at"})


class Content(NamedTuple):
    """What is committed. Two that are alike in essence differ only in when a row was touched."""

    essence: int
    rows: tuple[tuple[Any, ...], ...]


class Room(Protocol):
    """One database, and its content."""

    store: Store

    def look(self) -> Content: ...

    def put_back(self, content: Content) -> None: ...

    def backend(self, ledger: Ledger) -> int | None:
        """Who in the database works for it, if that may have to wait for others."""

    def waits(self, backend: int | None, other: int | None) -> bool:
        """Does the database make it wait for that other one?"""

    def close(self) -> None: ...


class SqliteRoom:
    def __init__(self, path: Path) -> None:
        self.store = open_store(f"sqlite:///{path}")
        hurry(self.store)
        self._own = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._selects = [
            (f'SELECT {_names(table)} FROM "{table.name}" ORDER BY 1, 2', _places(table)) for table in _TABLES
        ]
        self._inserts = [
            f'INSERT INTO "{table.name}" ({_names(table)}) VALUES ({", ".join("?" * len(table.c))})'
            for table in _TABLES
        ]

    def look(self) -> Content:
        rows = tuple(tuple(self._own.execute(select)) for select, _ in self._selects)
        essence = [
            [tuple(row[place] for place in places) for row in found]
            for found, (_, places) in zip(rows, self._selects, strict=True)
        ]
        return Content(hash(repr(essence)), rows)

    def put_back(self, content: Content) -> None:
        self._own.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            self._own.execute(f'DELETE FROM "{table.name}"')
        for insert, rows in zip(self._inserts, content.rows, strict=True):
            self._own.executemany(insert, rows)
        self._own.execute("COMMIT")

    def backend(self, ledger: Ledger) -> int | None:
        return None  # one writes at a time, and readers wait for nobody

    def waits(self, backend: int | None, other: int | None) -> bool:
        return False

    def close(self) -> None:
        self.store.close()
        self._own.close()


class PostgresRoom:
    def __init__(self, url: str) -> None:
        self.store = open_store(url)
        hurry(self.store)
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._own = psycopg.connect(plain, autocommit=True)
        self._own.execute("SET synchronous_commit = off")
        self._select = " UNION ALL ".join(
            f'SELECT {number} AS shelf, ROW({_names(table, _places(table))})::text AS essence, "{table.name}"::text'
            f' FROM "{table.name}"'
            for number, table in enumerate(_TABLES)
        )

    def look(self) -> Content:
        found = self._own.execute(f"{self._select} ORDER BY shelf, essence").fetchall()
        return Content(hash(tuple(row[:2] for row in found)), tuple((row[0], row[2]) for row in found))

    def put_back(self, content: Content) -> None:
        rows: dict[int, list[str]] = {}
        for shelf, row in content.rows:
            rows.setdefault(shelf, []).append(row)
        with self._own.transaction(), self._own.pipeline():
            for table in reversed(_TABLES):
                self._own.execute(f'DELETE FROM "{table.name}"')
            for shelf, texts in sorted(rows.items()):
                name = _TABLES[shelf].name
                self._own.execute(
                    f'INSERT INTO "{name}" SELECT (row::"{name}").* FROM unnest(%s::text[]) AS row', [texts]
                )

    def backend(self, ledger: Ledger) -> int | None:
        driver: Any = ledger._db.connection.driver_connection
        return int(driver.info.backend_pid)

    def waits(self, backend: int | None, other: int | None) -> bool:
        found = self._own.execute("SELECT %s = ANY(pg_blocking_pids(%s))", [other, backend]).fetchone()
        return bool(found and found[0])

    def close(self) -> None:
        self.store.close()
        self._own.close()


def _places(table: Any) -> list[int]:
    return [place for place, column in enumerate(table.c) if column.name not in _WHEN]


def _names(table: Any, places: list[int] | None = None) -> str:
    names = [f'"{column.name}"' for column in table.c]
    return ", ".join(names if places is None else [names[place] for place in places])


def hurry(store: Store) -> None:
    """Power is not what fails here: nothing waits for a disk."""
    sqlite = store.database.dialect.name == "sqlite"

    @event.listens_for(store.database, "connect")
    def set_up(dbapi: Any, _record: Any) -> None:
        dbapi.execute("PRAGMA synchronous=OFF" if sqlite else "SET synchronous_commit = off").close()
        dbapi.commit()

    store.database.dispose()
