"""Opening a database: the settings on which the promises stand, and the plan of the shelves."""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, inspect, make_url, select, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from engine.errors import ConfigError, Unavailable
from engine.store.health import database_path
from engine.store.ledger import Store, Undone
from engine.store.onefile import OneFile
from engine.store.prepared import ask
from engine.store.tables import instance, metadata

#: The newest migration. A test holds it equal to the migrations folder.
HEAD = "0005"

# Every request may want one while the worker has its own; whoever finds none within ten seconds hears "try again".
# What a statement was given stays out of what is said of its failure: it is people's letters, and keys.
_POOL = {"pool_size": 20, "max_overflow": 40, "pool_timeout": 10, "hide_parameters": True}
#: What a URL may say after its `?` that nobody else may know.
SECRET_WORDS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_PASSWORD = re.compile(f"(?<=://).*(?=@)|(?<=[?&])(?:{'|'.join(SECRET_WORDS)})=[^&]*", re.IGNORECASE)
_JSON = json.JSONEncoder()
_FRESH = 1.0  #: seconds after its last use in which a connection is taken to be alive
# A frozen process must not take everybody's answers down with it: whoever waits for its rows hears "try again" before a
# webhook's sender loses patience (15 s).
_PATIENCE = {"lock_timeout": "8s", "idle_in_transaction_session_timeout": "30s"}
_LOCK_KEY = 0x52454C  # any number, as long as every Relent takes the same


def open_store(url: str) -> Store:
    """Open it; make it, if it is new and empty. An old or a newer one is somebody's decision: `relent migrate`."""
    database = connect(url)
    try:
        with _in_words(database):
            version = _first_look(database)
            if version is None:
                _refuse_what_is_not_ours(database)
                migrate(database)
            elif version > HEAD:
                raise Unavailable(
                    f"the database has version {version}, this Relent knows {HEAD}: upgrade Relent"
                )
            elif version < HEAD:
                raise Unavailable(
                    f"the database has version {version}: run `relent migrate`, it becomes {HEAD}"
                )
            _refuse_what_breaks_promises(database)
    except (ConfigError, Unavailable):
        database.dispose()
        raise
    return Store(database)


def migrate_url(url: str) -> tuple[str | None, str]:
    """Bring a database to the newest plan. Says what it had before, and what it has now."""
    database = connect(url)
    try:
        with _in_words(database):
            before = _version(database)
            migrate(database)
    finally:
        database.dispose()
    return before, HEAD


def migrate(database: Engine) -> None:
    """Harmless to repeat, and to run from two processes at once."""
    with database.begin() as db:
        migrate_within(db)


def migrate_within(db: Connection) -> None:
    """In a transaction that may have more to do."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    if db.dialect.name == "postgresql":
        hold_the_plan(db)
    config.attributes["connection"] = db
    command.upgrade(config, "head")
    if db.execute(select(instance.c.id)).one_or_none() is None:
        db.execute(insert(instance).values(id=1, key=secrets.token_bytes(32), created_at=datetime.now(UTC)))


def hold_the_plan(db: Connection) -> None:
    """On a server: of all who make its tables, or fill them anew, one at a time."""
    db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})


def database_file(url: str) -> Path | None:
    """The file that a SQLite database is; None for one on a server."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    return database_path(parsed.database) if parsed.get_backend_name() == "sqlite" else None


def named(url: URL) -> str:
    """As it may be told: without its password, wherever that stands."""
    secret = [name for name in url.query if name.lower() in SECRET_WORDS]
    return url.difference_update_query(secret).render_as_string()


def connect(url: str) -> Engine:
    """The settings on which the promises stand, and nothing more: nobody has looked yet at what is there."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
            raise ConfigError(
                "database.url: a database in memory forgets everything. Write sqlite:///relent.db"
            )
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(url)
        if parsed.get_backend_name() == "postgresql":
            return _postgresql(parsed)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:  # a port that is no number, say
        raise ConfigError(
            f"database.url: {_PASSWORD.sub('…', url)!r} is no database. Write sqlite:///relent.db or postgresql://…"
        ) from error
    except ModuleNotFoundError as error:
        raise ConfigError(
            "database.url: PostgreSQL needs its driver: pip install 'relent-engine[postgres]'"
        ) from error
    raise ConfigError(
        f"database.url: {parsed.get_backend_name()!r} is no database we keep promises on. "
        "Write sqlite:///relent.db or postgresql+psycopg://…"
    )


def _postgresql(url: URL) -> Engine:
    """With `?pooler=transaction` nothing is left behind on a connection that others have next: for pgbouncer."""
    pooler = url.query.get("pooler")
    if pooler not in {None, "transaction", "session"}:
        raise ConfigError(
            f"database.url: pooler={pooler} is unknown. Write pooler=transaction, or leave it out"
        )
    shared = pooler == "transaction"
    database = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["pooler"]),
        json_serializer=_in_json,
        connect_args={"prepare_threshold": None} if shared else {},
        **_POOL,
    )
    _look_whether_it_lives(database)
    if shared:

        @event.listens_for(database, "begin")
        def begin(db: Connection) -> None:
            db.exec_driver_sql(
                "SELECT "
                + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _PATIENCE.items())
            )

        return database

    @event.listens_for(database, "connect")
    def set_up(dbapi: Any, _record: Any) -> None:
        for name, value in _PATIENCE.items():
            dbapi.execute(f"SET {name} = '{value}'")
        dbapi.commit()

    return database


def _look_whether_it_lives(database: Engine) -> None:
    @event.listens_for(database, "checkin")
    def put_back(_dbapi: Any, record: Any) -> None:
        record.info["rests_since"] = monotonic()

    @event.listens_for(database, "checkout")
    def take(dbapi: Any, record: Any, _proxy: Any) -> None:
        """What has rested for a while may be dead by now; to ask every time would double the way of every letter."""
        if monotonic() - record.info.get("rests_since", inf) <= _FRESH:
            return
        try:
            database.dialect.do_ping(dbapi)
        except database.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the database has hung up") from error


def _sqlite(url: str) -> Engine:
    database = create_engine(url, json_serializer=_in_json, json_deserializer=_out_of_json, **_POOL)
    file = OneFile(
        database_path(database.url.database) or Path(),
        database,
        may_make=database.url.query.get("mode", "rwc") == "rwc",
    )

    @event.listens_for(database, "connect")
    def set_up(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # the driver must not begin for us: see below
        for pragma in (
            "busy_timeout=5000",
            "journal_mode=WAL",
            "synchronous=FULL",  # with NORMAL a power loss may undo an acknowledged cancel
            "foreign_keys=ON",
            "wal_autocheckpoint=8000",
            "cache_size=-2000",  # of each connection, also of those that rest; what is unwritten may take more
            "cache_spill=2500",
        ):
            dbapi.execute(f"PRAGMA {pragma}").close()
        file.found()

    @event.listens_for(database, "begin")
    def begin(db: Connection) -> None:
        # read-then-write in a deferred transaction ends in "database is locked"
        if db.get_execution_options().get("relent_reading", False):
            ask(db, "BEGIN")
        else:
            file.begin(db, lambda: ask(db, "BEGIN IMMEDIATE"))

    return database


def _in_json(value: Any) -> str:
    """Most lists are empty."""
    if not value and isinstance(value, list | tuple):
        return "[]"
    return _JSON.encode(value)


def _out_of_json(said: str) -> Any:
    return [] if said == "[]" else {} if said == "{}" else json.loads(said)


def _first_look(database: Engine) -> str | None:
    """SQLite's change to WAL waits for nobody, so of several processes that open a new file one may be turned away."""
    until = monotonic() + 10
    while True:
        try:
            return _version(database)
        except DBAPIError as error:
            if "locked" not in str(error.orig) or monotonic() > until:
                raise
            sleep(0.05)


def version_of(store: Store) -> str | None:
    """Which plan it has at this moment: somebody may have brought it to a newer one."""
    return _version(store.database)


def _version(database: Engine) -> str | None:
    with _looking(database) as db:
        return MigrationContext.configure(db).get_current_revision()


def _refuse_what_is_not_ours(database: Engine) -> None:
    """A file that holds something else is somebody's; so are tables that bear our names."""
    with _looking(database) as db:
        there = set(inspect(db).get_table_names())
    theirs = there if database.dialect.name == "sqlite" else there & set(metadata.tables)
    if theirs:
        raise Unavailable(
            f"{named(database.url)}: this database is somebody else's, it holds {', '.join(sorted(theirs)[:3])}. "
            "Name another one in database.url."
        )


#: What a driver says, and what that means.
_IN_WORDS = {
    "database is locked": "another process holds the database",
    "database or disk is full": "there is no room on the disk of the database: make some",
    "disk I/O error": "the disk of the database does not do what it should: look into the machine's log",
    "attempt to write a readonly database": "the database may not be written: look at who owns the file and its folder",
    "database disk image is malformed": "the file of the database is damaged: put a backup in its place",
    "QueuePool limit": "every connection to the database is in use",
    "canceling statement due to lock timeout": "somebody holds what is needed for too long",
}
#: Two that got in each other's way: PostgreSQL calls one of them off, and the next try goes through.
_PASSES = frozenset({"40P01", "40001"})
_OUTAGES = (OperationalError, InterfaceError, NoConnectionFree, Undone)


def in_words(error: SQLAlchemyError) -> str:
    """What the driver said, on one line."""
    said = " ".join(str(getattr(error, "orig", None) or error).split()).partition(" CONTEXT: ")[0]
    return next((words for told, words in _IN_WORDS.items() if told in said), said)


def passes(error: SQLAlchemyError) -> bool:
    """Would the same go through at once? Only whoever may repeat it asks."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _PASSES


def is_outage(error: Exception) -> bool:
    """Is it the database that cannot, and not what was asked of it? Then the same goes through some time."""
    cut_off = isinstance(error, DBAPIError) and error.connection_invalidated
    return cut_off or isinstance(error, _OUTAGES) or (isinstance(error, SQLAlchemyError) and passes(error))


def _refuse_what_breaks_promises(database: Engine) -> None:
    """A database that forgets what it said was safe cannot keep a promise."""
    if database.dialect.name != "postgresql":
        return
    with _looking(database) as db:
        for setting in ("fsync", "synchronous_commit"):
            if db.scalar(text(f"SHOW {setting}")) == "off":
                raise ConfigError(
                    f"PostgreSQL runs with {setting}=off: a power loss would undo cancelled follow-ups. Set it to on."
                )


@contextmanager
def _looking(database: Engine) -> Iterator[Connection]:
    with database.connect().execution_options(relent_reading=True) as db, db.begin():
        yield db


@contextmanager
def _in_words(database: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise Unavailable(f"{named(database.url)}: {in_words(error)}") from error
