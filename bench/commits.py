"""The floor under every acknowledgement: three statements and a commit by the bare driver, alone and by the batch."""

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import make_url

_TABLES = (
    "CREATE TABLE event (id TEXT PRIMARY KEY, at BIGINT, raw TEXT)",
    "CREATE TABLE thread (id TEXT PRIMARY KEY, state TEXT NOT NULL)",
    "CREATE TABLE draft (id TEXT PRIMARY KEY, thread_id TEXT NOT NULL REFERENCES thread (id), state TEXT NOT NULL)",
    "CREATE INDEX draft_thread ON draft (thread_id, state)",
)
_NOTE = "INSERT INTO event VALUES ({0}, 0, {0}) ON CONFLICT DO NOTHING"
_STOP = "UPDATE thread SET state = 'stopped' WHERE id = {0} AND state = 'active'"
_CANCEL = (
    "UPDATE draft SET state = 'cancelled' WHERE thread_id = {0} AND state IN ('held', 'scheduled', 'claimed')"
)
_SETS = (
    "INSERT INTO event SELECT id, 0, id FROM unnest(%s::text[]) AS id ON CONFLICT DO NOTHING",
    "UPDATE thread SET state = 'stopped' WHERE id = ANY(%s) AND state = 'active'",
    "UPDATE draft SET state = 'cancelled' WHERE thread_id = ANY(%s) AND state IN ('held', 'scheduled', 'claimed')",
)
BATCH = 64


def commits(url: str, number: int, batch: int = 1) -> float:
    """Acknowledgements a second, so many in each commit, in a new database by one connection."""
    run = _sqlite if make_url(url).get_backend_name() == "sqlite" else _postgresql
    return run(url, [f"thread-{each:08}" for each in range(number)], batch)


def _sqlite(url: str, names: list[str], batch: int) -> float:
    db = sqlite3.connect(make_url(url).database or "", isolation_level=None)
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        db.execute(f"PRAGMA {setting}").close()
    for table in _TABLES:
        db.execute(table)
    db.execute("BEGIN")
    db.executemany("INSERT INTO thread VALUES (?, 'active')", [(each,) for each in names])
    db.executemany("INSERT INTO draft VALUES (?, ?, 'scheduled')", [(f"d-{each}", each) for each in names])
    db.execute("COMMIT")
    note, stop, cancel = _NOTE.format("?1"), _STOP.format("?1"), _CANCEL.format("?1")

    def acknowledge(part: list[str]) -> None:
        db.execute("BEGIN IMMEDIATE")
        for each in part:
            db.execute(note, (each,))
            db.execute(stop, (each,))
            db.execute(cancel, (each,))
        db.execute("COMMIT")

    rate = _rate(acknowledge, names, batch)
    db.close()
    return rate


def _postgresql(url: str, names: list[str], batch: int) -> float:
    import psycopg

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as db:
        for table in _TABLES:
            db.execute(table)
        with db.cursor() as cursor:
            cursor.executemany("INSERT INTO thread VALUES (%s, 'active')", [(each,) for each in names])
            drafts = [(f"d-{each}", each) for each in names]
            cursor.executemany("INSERT INTO draft VALUES (%s, %s, 'scheduled')", drafts)
        db.commit()
        db.execute("ANALYZE")
        db.commit()
        single = [each.format("%(id)s") for each in (_NOTE, _STOP, _CANCEL)]

        def acknowledge(part: list[str]) -> None:
            values: Any = {"id": part[0]} if batch == 1 else (part,)
            for statement in single if batch == 1 else _SETS:
                db.execute(statement, values, prepare=True)
            db.commit()

        return _rate(acknowledge, names, batch)


def _rate(acknowledge: Callable[[list[str]], None], names: list[str], batch: int) -> float:
    begun = time.perf_counter()
    for first in range(0, len(names), batch):
        acknowledge(names[first : first + batch])
    return len(names) / (time.perf_counter() - begun)
