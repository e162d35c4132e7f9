"""Which database this is: where it lies, which of its lives this is, and the last line of its log."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import Connection, Select, delete, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import Unavailable
from engine.store.moves import Desk
from engine.store.tables import audit, instance, metadata, sign, tally
from engine.witness import UNBORN, Memory, file_place

HOME, MOVED, _DOUBT = "home", "moved", "doubt"
#: How it begins what a database says that has moved.
GONE = "everything has moved to "
_OPEN = frozenset({instance.name, sign.name, tally.name})  # of this place alone, or what nobody relies on
_CHANGES = ("INSERT", "UPDATE", "DELETE")
_SHUT = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%\\_moved\\_away%' ESCAPE '\\'"
_LIVES = 100  # that are remembered: each of them began with a human's word

#: Where a database lies. What is None is not known, and says nothing.
Place = Mapping[str, Any]

# A database that is made from another one as its template has tables of the same numbers; whoever restores a dump into
# the same database makes its tables anew.
_SERVER = (
    ("system", "SELECT system_identifier::text FROM pg_control_system()"),
    ("database", "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"),
    ("table", "SELECT 'instance'::regclass::oid::bigint"),
    ("timeline", "SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"),
)
_NEVER = frozenset({"42501", "42883", "0A000"})  # not allowed, not known, not possible
_untold: set[str] = set()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    number: int
    at: datetime
    said: str  #: as a hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What a database says of itself."""

    house: str
    boot: str | None  #: this life of it; None: nobody has sent from it yet
    before: tuple[str, ...]  #: its lives before this one
    since: datetime | None  #: when this one began
    home: Place | None  #: where it lay when somebody began to send from it
    here: Place  #: where it lies now
    alone: bool  #: it is a file: what is remembered of it lies beside it, and nowhere else
    last: Line | None  #: the last line of its log
    remembered: Line | None  #: what stands now where a memory says that something stood

    def memory(self, at: datetime) -> Memory:
        line, said = (self.last.number, self.last.said) if self.last else (None, None)
        return Memory(house=self.house, boot=self.boot or UNBORN, line=line, said=said, at=at)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why this may not be the database that it was, and of which lives of it somebody knew."""

    why: str
    boots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gone:
    """Everything here stands elsewhere by now."""

    where: str
    brake: tuple[str, datetime] | None  #: who stood on the brake before


class Lineage:
    """One transaction's hands on who we are."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def house(self) -> str:
        """A name made of its key: copies of a database are the same house, and two houses never are."""
        key = bytes(self._db.scalars(select(instance.c.key)).one())
        return hashlib.sha256(b"house" + key).hexdigest()[:16]

    def lock(self) -> None:
        """Two that arrive at one moment do so one after the other."""
        self._db.execute(select(instance.c.id).with_for_update()).all()

    def book(self, memory: Memory | None = None) -> Book:
        home = self._db.execute(select(sign.c.says, sign.c.at).where(sign.c.name == HOME)).one_or_none()
        says: Mapping[str, Any] = home.says if home else {}
        lines = select(audit).order_by(audit.c.seq.desc()).limit(1)
        there = memory.line if memory and memory.line is not None else None
        return Book(
            house=self.house(),
            boot=self._db.scalar(select(instance.c.boot)),
            before=tuple(says.get("before", ())),
            since=home.at if home else None,
            home=says.get("place"),
            here=place_of(self._db),
            alone=self._db.dialect.name == "sqlite",
            last=self._line(lines),
            remembered=None if there is None else self._line(select(audit).where(audit.c.seq == there)),
        )

    def settle_in(self, book: Book, *, known: Iterable[str] = ()) -> Book:
        """A new life, here. Whoever remembers one of those before knows that a human has seen to it."""
        before = dict.fromkeys((*book.before, *known, book.boot or UNBORN))
        boot = secrets.token_hex(16)
        self._db.execute(update(instance).values(boot=boot))
        self._sign(HOME, {"place": dict(book.here), "before": list(before)[-_LIVES:]})
        self._db.execute(delete(sign).where(sign.c.name == _DOUBT))
        return self.book()

    def doubt(self) -> Doubt | None:
        """Nobody has seen to it yet."""
        says = self._db.scalar(select(sign.c.says).where(sign.c.name == _DOUBT))
        return None if says is None else Doubt(says["why"], tuple(says["boots"]))

    def note_doubt(self, doubt: Doubt) -> None:
        self._sign(_DOUBT, {"why": doubt.why, "boots": list(doubt.boots)})

    def close(self, where: str, brake: tuple[str, datetime] | None) -> None:
        """Nothing is written here any more that anybody would rely on."""
        why, since = brake or (None, self._desk.now)
        self._sign(MOVED, {"to": where, "brake": why and [why, since.isoformat()]})
        for statement in _closing(where, self._db.dialect.name):
            self._db.exec_driver_sql(statement)

    def moved(self) -> Gone | None:
        says = self._db.scalar(select(sign.c.says).where(sign.c.name == MOVED))
        if says is None:
            return None
        brake = says["brake"] and (says["brake"][0], datetime.fromisoformat(says["brake"][1]))
        return Gone(says["to"], brake or None)

    def reopen(self) -> None:
        """Harmless where nothing was closed."""
        if self._db.dialect.name == "postgresql":
            self._db.execute(text("DROP FUNCTION IF EXISTS moved_away() CASCADE"))
        else:
            for name in self._db.scalars(text(_SHUT)).all():
                self._db.execute(text(f"DROP TRIGGER {name}"))
        self._db.execute(delete(sign).where(sign.c.name == MOVED))

    def time(self) -> datetime | None:
        """By the clock of the database; None: it has none of its own."""
        if self._db.dialect.name != "postgresql":
            return None
        told: datetime | None = self._db.scalar(text("SELECT clock_timestamp()"))
        return told

    def _sign(self, name: str, says: dict[str, Any]) -> None:
        now = self._desk.now
        if not self._desk.insert_once(sign, name=name, at=now, says=says):
            self._db.execute(update(sign).where(sign.c.name == name).values(at=now, says=says))

    def _line(self, query: Select[Any]) -> Line | None:
        row = self._db.execute(query).one_or_none()
        if row is None:
            return None
        said = (row.seq, row.at.isoformat(), row.actor, row.what, row.draft_id, row.enrollment_id, row.detail)
        return Line(row.seq, row.at, hashlib.sha256(repr(said).encode()).hexdigest()[:32])


def _closing(where: str, dialect: str) -> Iterator[str]:
    """Kept by the database itself: so nobody has to ask at every webhook whether it has moved."""
    words = f"{GONE}{where}: name that in database.url".replace("'", "''")
    tables = [table.name for table in metadata.sorted_tables if table.name not in _OPEN]
    if dialect == "sqlite":
        for table, change in product(tables, _CHANGES):
            yield (
                f"CREATE TRIGGER IF NOT EXISTS {table}_moved_away_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
            )
        return
    yield (
        "CREATE OR REPLACE FUNCTION moved_away() RETURNS trigger LANGUAGE plpgsql AS "
        f"$moved$ BEGIN RAISE EXCEPTION '%', '{words}'; END $moved$".replace("%", "%%")
    )
    for table in tables:
        yield f"DROP TRIGGER IF EXISTS {table}_moved_away ON {table}"
        yield (
            f"CREATE TRIGGER {table}_moved_away BEFORE {' OR '.join(_CHANGES)} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION moved_away()"
        )


def place_of(db: Connection) -> Place:
    """Where this database lies."""
    if db.dialect.name == "sqlite":
        path = next(row.file for row in db.execute(text("PRAGMA database_list")) if row.name == "main")
        try:
            return file_place(path)
        except OSError as error:
            raise Unavailable(f"{path} is not where it was: {error.strerror or error}") from error
    place: dict[str, Any] = {name: _told(db, query) for name, query in _SERVER}
    place["waited_for"] = bool(_told(db, "SHOW synchronous_standby_names"))
    return place


def _told(db: Connection, query: str) -> Any:
    """None: this server does not tell everybody. It is not asked again: each time would be a line in its log."""
    if query in _untold:
        return None
    try:
        with db.begin_nested():
            return db.scalar(text(query))
    except SQLAlchemyError as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) in _NEVER:
            _untold.add(query)
        return None
