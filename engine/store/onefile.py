"""The file that a SQLite database is. Deleted or replaced while it is open, it takes along whatever is still written.

SQLite goes on as if nothing had happened: commits succeed, and are gone with the process. So the file is looked at every
now and then, and whoever would write into a file that is no longer there hears that the database does not answer.
"""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

log = logging.getLogger("relent.store")

_LOOK_EVERY = 0.05  # a look costs as much as a hundredth of a commit
_LOG = "relent_log"  # of one connection: the number of the file that its commits go into first


class OneFile:
    """What an engine knows of its file."""

    def __init__(self, path: Path, database: Engine, *, may_make: bool) -> None:
        self._path, self._log = str(path), f"{path}-wal"
        self._number: int | None = None
        self._looked_at = 0.0
        self._database = database

        @event.listens_for(database, "do_connect")
        def before(*_: Any) -> None:
            self._still_there()  # else SQLite would make a new one, and an empty one
            if may_make and self._number is None:
                _make(self._path)

    def found(self) -> None:
        """It was opened."""
        if self._number is None:
            self._number = _number(self._path)

    def begin(self, db: Connection, begin: Callable[[], object]) -> None:
        """Begin, unless what is written would be written into nothing."""
        if monotonic() - self._looked_at < _LOOK_EVERY and _LOG in db.connection.info:
            begin()
            return
        self._still_there()
        begin()
        self._same_log(db)
        self._looked_at = monotonic()

    def _still_there(self) -> None:
        now = _number(self._path)
        if self._number is None or now == self._number:
            return
        what = "is gone: put it back" if now is None else "was replaced by another one: start Relent again"
        raise _refusal(f"{self._path} {what}. Until then nothing is written")

    def _same_log(self, db: Connection) -> None:
        """The commits that are not in the file yet stand in a file of their own. It is there as long as anybody has it open."""
        now, mine = _number(self._log), db.connection.info
        if mine.setdefault(_LOG, now) == now:
            return
        db.exec_driver_sql("ROLLBACK")
        if now is None:  # nobody has begun a new one: what stands in the old one can still be carried over
            db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            log.error("%s was deleted while it was in use; what stood in it is safe", self._log)
        else:
            log.error("%s was replaced while it was in use; what stood in the old one may be lost", self._log)
        mine.pop(_LOG)
        db.detach()
        self._database.dispose()
        raise _refusal(f"{self._log} was deleted while it was in use: everything is opened anew")


def _make(path: str) -> None:
    """People's letters are in it: a new one is its owner's alone, and so is what SQLite puts beside it."""
    with suppress(OSError):  # it is there, or nobody can make one: SQLite says so
        os.close(os.open(Path(path).resolve(), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _number(path: str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - several times as fast
    except OSError:
        return None


def _refusal(words: str) -> OperationalError:
    """Like any other trouble with a database: whoever meets it says so, and tries again."""
    return OperationalError("BEGIN", None, sqlite3.OperationalError(words))
