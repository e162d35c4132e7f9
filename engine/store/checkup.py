"""Is the database what our promises stand on? Asked by whoever wants to know, and nothing is changed."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import make_url, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from engine.store.connect import in_words
from engine.store.ledger import Store
from engine.store.tables import audit

_LONGEST_LOOK = 30.0  #: seconds for a look at every page
_STEPS = 100_000  #: of SQLite's machine, between two looks at the clock
_MOST = 5
_NOBODY = "a look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What it says of itself."""

    kind: str  #: and its version
    clock: datetime | None  #: its own; None: it has none but ours
    latest: datetime | None  #: when anything was last written down
    weak: tuple[str, ...]  #: settings with which a power loss takes back what was promised
    damage: tuple[str, ...]
    looked_at_all: bool  #: every page, and not only for as long as we had patience
    refuses: str | None  #: why it cannot be written to; None: it can
    room: int | None  #: bytes that are free on its disk, if that can be seen from here


class _Undone(Exception):
    """Nothing of it was meant."""


def missing_file(url: str) -> Path | None:
    """The file that this database would be made in. None: it is there, or it is no file."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return None if Path(parsed.database).exists() else Path(parsed.database)


def examine(store: Store, now: datetime) -> Health:
    pg = store.database.dialect.name == "postgresql"
    with store.database.connect().execution_options(relent_reading=True) as db, db.begin():
        latest = db.scalar(select(audit.c.at).order_by(audit.c.seq.desc()).limit(1))
        kind = str(db.scalar(text("SHOW server_version" if pg else "SELECT sqlite_version()")))
        clock = db.scalar(text("SELECT clock_timestamp()")) if pg else None
        weak = _weak_postgresql(db) if pg else _weak_sqlite(db)
    damage, whole = ((), True) if pg else _damage(store)
    return Health(
        kind=f"{'PostgreSQL' if pg else 'SQLite'} {kind}",
        clock=clock.astimezone(UTC) if clock else None,
        latest=latest,
        weak=weak,
        damage=damage,
        looked_at_all=whole,
        refuses=_refuses(store, now),
        room=_room(store),
    )


def _weak_postgresql(db: Any) -> tuple[str, ...]:
    wanted = {
        "fsync": {"on"},
        "full_page_writes": {"on"},
        "synchronous_commit": {"on", "local", "remote_write", "remote_apply"},
    }
    said = {name: db.scalar(text(f"SHOW {name}")) for name in wanted}
    weak = [f"{name}={value}" for name, value in said.items() if value not in wanted[name]]
    if db.scalar(text("SELECT pg_is_in_recovery()")):
        weak.append("it is a replica")
    return tuple(weak)


def _weak_sqlite(db: Any) -> tuple[str, ...]:
    wanted: dict[str, set[Any]] = {"synchronous": {2, 3}, "journal_mode": {"wal"}, "foreign_keys": {1}}
    said = {name: db.scalar(text(f"PRAGMA {name}")) for name in wanted}
    return tuple(f"{name}={value}" for name, value in said.items() if value not in wanted[name])


def _damage(store: Store) -> tuple[tuple[str, ...], bool]:
    """Page by page, for as long as we have patience."""
    until = monotonic() + _LONGEST_LOOK
    driver: Any = store.database.raw_connection()
    with closing(driver):
        driver.driver_connection.set_progress_handler(lambda: monotonic() > until, _STEPS)
        try:
            rows = driver.driver_connection.execute(f"PRAGMA quick_check({_MOST})").fetchall()
        except Exception as error:  # noqa: BLE001 - whatever the driver makes of a broken file, or of our impatience
            interrupted = "interrupted" in str(error)
            return (() if interrupted else (str(error),)), not interrupted
        finally:
            driver.driver_connection.set_progress_handler(None, 0)
    return tuple(row[0] for row in rows if row[0] != "ok"), True


def _refuses(store: Store, now: datetime) -> str | None:
    """A row is written, and taken back."""
    try:
        with store.transaction(now, _NOBODY) as ledger:
            ledger.watch.sign(_NOBODY)
            raise _Undone
    except _Undone:
        return None
    except SQLAlchemyError as error:
        return in_words(error) if isinstance(error, DBAPIError) else str(error)


def _room(store: Store) -> int | None:
    file = store.database.url.database if store.database.dialect.name == "sqlite" else None
    return shutil.disk_usage(Path(file).resolve().parent).free if file else None
