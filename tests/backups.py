"""Backups, as people make them: put back into the very place from which they were taken."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from engine.store import Store
from engine.store.tables import metadata


class Backup:
    """Everything as it is now. Putting it back changes neither the file nor the tables, only what stands in them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._file = store, folder / "backup.db"
        if self._on_a_server:
            self._run("DROP SCHEMA IF EXISTS backup CASCADE", "CREATE SCHEMA backup")
            self._run(*(f'CREATE TABLE backup."{name}" AS TABLE public."{name}"' for name in self._tables))
            return
        with self._here() as here, closing(sqlite3.connect(self._file)) as there:
            here.backup(there)

    def put_back(self) -> None:
        if self._on_a_server:
            every = ", ".join(f'public."{name}"' for name in self._tables)
            back = (f'INSERT INTO public."{name}" TABLE backup."{name}"' for name in self._tables)
            self._run(f"TRUNCATE {every}", *back)
            return
        with closing(sqlite3.connect(self._file)) as there, self._here() as here:
            there.backup(here)

    @property
    def _on_a_server(self) -> bool:
        return self._store.database.dialect.name == "postgresql"

    @property
    def _tables(self) -> list[str]:
        return [table.name for table in metadata.sorted_tables]

    @contextmanager
    def _here(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(str(self._store.database.url.database))) as db:
            yield db

    def _run(self, *statements: str) -> None:
        with self._store.database.begin() as db:
            for statement in statements:
                db.execute(text(statement))


@contextmanager
def cloned(url: str, name: str = "twin") -> Iterator[str]:
    """A second database on the same server, made from the first as its template."""
    server = make_url(url).set(drivername="postgresql+psycopg")
    administrator = create_engine(server.set(database="template1"), isolation_level="AUTOCOMMIT")
    try:
        with administrator.connect() as db:
            alone = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :one"
            db.execute(text(alone), {"one": server.database})
            db.execute(text(f'CREATE DATABASE {name} TEMPLATE "{server.database}"'))
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with administrator.connect() as db:
            db.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        administrator.dispose()
