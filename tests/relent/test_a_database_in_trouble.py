"""A database that is locked, full, read-only, deleted or damaged: whoever asks hears "again", and then it goes on by itself."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.testclient import TestClient

from engine.errors import Unavailable
from engine.store import damage, in_words, network_disk, open_store, passes
from engine.store.health import kind_of_disk
from relent.assemble import assemble
from relent.config import Config
from relent.web import create_app
from relent.worker import Worker
from tests.makers import IDA, SECRET, enrolled, open_thread, people, received, signed
from tests.relent.processes import Folder
from tests.smtp_server import SmtpServer

TOM = "tom@harbour.example"

HOLDS = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("holds", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def on_a_file(empty_sqlite, tmp_path) -> str:
    path = tmp_path / "relent.db"
    path.write_bytes(Path(empty_sqlite).read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def store(on_a_file):
    """Trouble that only a file has."""
    store = open_store(on_a_file)
    yield store
    store.close()


def _path(store) -> Path:
    return Path(store.database.url.database)


def _answer(door, clock, thread_id: str, number: int = 1, **more):
    body = received(thread_id, event_id=f"evt_{number}", **more)
    return door.post("/webhooks/agentmail", **signed(body, clock.now(), delivery_id=f"msg_{number}"))


@contextmanager
def _every_connection(store, *pragmas: str):
    """As it is set for every connection, from now on and to the end of the block."""

    def set_up(dbapi, _record):
        for pragma in pragmas:
            dbapi.execute(f"PRAGMA {pragma}").close()

    event.listen(store.database, "connect", set_up)
    store.database.dispose()
    try:
        yield
    finally:
        event.remove(store.database, "connect", set_up)
        store.database.dispose()


def test_held_by_another_process_it_is_asked_again_later(store, door, clock):
    thread_id = open_thread(store, clock.now())
    words = [sys.executable, "-c", HOLDS, str(_path(store))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"holds\n"
        begun = time.monotonic()
        refused = _answer(door, clock, thread_id)
        assert time.monotonic() - begun < 14  # a sender of webhooks waits fifteen seconds
        holder.stdin.close()
        holder.wait(10)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert _answer(door, clock, thread_id).status_code == 204


def test_without_room_on_the_disk_nothing_is_acknowledged_and_nothing_leaves(
    store, house, door, clock, mailbox
):
    thread_id = open_thread(store, clock.now())
    for number in range(60):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    with closing(sqlite3.connect(_path(store))) as db:
        [pages] = db.execute("PRAGMA page_count").fetchone()
    with _every_connection(store, f"max_page_count={pages}"):
        statuses = [_answer(door, clock, thread_id, n, text="word " * 2000).status_code for n in range(4)]
        assert set(statuses[1:]) == {503}
        with pytest.raises(SQLAlchemyError) as caught:
            Worker(house).tick()
        assert in_words(caught.value) == "there is no room on the disk of the database: make some"
        assert mailbox.sent == []
    assert _answer(door, clock, thread_id, 9, text="word " * 2000).status_code == 204
    Worker(house).tick()
    assert len(mailbox.sent) == 60


def test_a_database_that_may_not_be_written_acknowledges_nothing(store, house, door, clock, mailbox):
    thread_id = open_thread(store, clock.now())
    enrolled(store, clock.now(), TOM)
    with _every_connection(store, "query_only=ON"):
        assert _answer(door, clock, thread_id).status_code == 503
        with pytest.raises(SQLAlchemyError) as caught:
            Worker(house).tick()
        assert "may not be written" in in_words(caught.value)
    assert mailbox.sent == []
    assert _answer(door, clock, thread_id).status_code == 204
    Worker(house).tick()
    assert len(mailbox.sent) == 1


def _look_again() -> None:
    time.sleep(0.06)  # the file is looked at twenty times a second


def test_a_file_that_is_gone_takes_nothing_along_and_is_welcome_back(store, house, door, clock, mailbox):
    thread_id = open_thread(store, clock.now())
    enrolled(store, clock.now(), TOM)
    _path(store).rename(_path(store).with_name("away"))
    _look_again()

    assert _answer(door, clock, thread_id).status_code == 503
    with pytest.raises(SQLAlchemyError, match="is gone: put it back"):
        Worker(house).tick()
    assert mailbox.sent == []
    assert not _path(store).exists()

    _path(store).with_name("away").rename(_path(store))
    assert _answer(door, clock, thread_id).status_code == 204
    Worker(house).tick()
    assert len(mailbox.sent) == 1


def test_a_file_that_is_replaced_while_it_is_open_is_not_taken_for_the_old_one(
    store, house, door, clock, mailbox, tmp_path
):
    thread_id = open_thread(store, clock.now())
    enrolled(store, clock.now())
    with closing(sqlite3.connect(_path(store))) as here, closing(sqlite3.connect(tmp_path / "new")) as there:
        here.backup(there)
    (tmp_path / "new").replace(_path(store))
    _look_again()

    assert _answer(door, clock, thread_id).status_code == 503
    with pytest.raises(SQLAlchemyError, match="was replaced by another one: start Relent again"):
        Worker(house).tick()
    assert mailbox.sent == []


@pytest.mark.parametrize("names", [("-wal",), ("-wal", "-shm")])
def test_what_was_acknowledged_outlives_the_log_in_which_it_stood(on_a_file, store, door, clock, names):
    thread_id = open_thread(store, clock.now())
    enrolled(store, clock.now())
    for name in names:
        Path(f"{_path(store)}{name}").unlink()
    _look_again()

    assert _answer(door, clock, thread_id).status_code == 503  # noticed, and everything opened anew
    assert _answer(door, clock, thread_id).status_code == 204
    store.close()
    again = open_store(on_a_file)
    assert [person["email"] for person in people(again, clock.now())] == [IDA]
    assert damage(again) == []
    again.close()


def _spoil(path: Path, table: str) -> None:
    """The page at which it begins; everything else is as it was."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
        [size] = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xde\xad\xbe\xef" * (size // 4))


def test_a_damaged_file_is_refused_before_anything_is_sent(on_a_file):
    store = open_store(on_a_file)
    assert damage(store) == []
    store.close()
    _spoil(_path(store), "errand")
    store = open_store(on_a_file)  # nobody has looked at errands yet
    assert damage(store)
    store.close()
    with pytest.raises(Unavailable, match=r"is damaged: .*Nothing is sent from it"):
        assemble(Config(database={"url": on_a_file}, webhooks={"secrets": [SECRET]}))


def test_damage_that_comes_while_it_runs_acknowledges_nothing(store, door, clock):
    thread_id = open_thread(store, clock.now())
    _spoil(_path(store), "inbound_event")
    store.database.dispose()
    assert _answer(door, clock, thread_id).status_code == 503


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ({"/": "ext4"}, None),
        ({"/": "ext4", "/srv": "nfs4"}, "nfs4"),
        ({"/": "nfs", "/srv/relent": "xfs"}, None),
        ({"/": "ext4", "/srv": "fuse.sshfs"}, "fuse.sshfs"),
        ({}, None),
    ],
)
def test_a_file_on_a_network_is_known_by_the_nearest_mount(mounts, kind):
    assert kind_of_disk(Path("/srv/relent/relent.db"), mounts) == kind


def test_this_disk_is_no_network(on_a_file, store):
    assert network_disk(_path(store)) is None


# --- a server ---


@pytest.fixture
def on_a_server(emptied_on_postgresql):
    store = open_store(emptied_on_postgresql)
    yield store
    store.close()


@pytest.fixture
def server_door(on_a_server, house):
    with TestClient(create_app(replace(house, store=on_a_server), with_worker=False)) as client:
        yield client


def test_whoever_holds_a_table_too_long_is_not_waited_for(on_a_server, server_door, clock):
    thread_id = open_thread(on_a_server, clock.now())
    with on_a_server.database.connect() as holder, holder.begin():
        holder.execute(text("LOCK TABLE inbound_event IN ACCESS EXCLUSIVE MODE"))
        begun = time.monotonic()
        refused = _answer(server_door, clock, thread_id)
        assert time.monotonic() - begun < 14
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert _answer(server_door, clock, thread_id).status_code == 204


def test_without_a_free_connection_nothing_is_acknowledged(emptied_on_postgresql, house, clock, monkeypatch):
    monkeypatch.setattr(
        "engine.store.connect._POOL", {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.2}
    )
    store = open_store(emptied_on_postgresql)
    thread_id = open_thread(store, clock.now())
    with TestClient(create_app(replace(house, store=store), with_worker=False)) as door:
        with store.database.connect():
            assert _answer(door, clock, thread_id).status_code == 503
            with pytest.raises(SQLAlchemyError) as caught, store.reading(clock.now()):
                pass
            assert in_words(caught.value) == "every connection to the database is in use"
        assert _answer(door, clock, thread_id).status_code == 204
    store.close()


def test_two_that_get_in_each_others_way_are_known_by_name(on_a_server):
    """A deadlock, and a snapshot that is too old: the next try goes through."""
    told = []
    barrier = threading.Barrier(2)

    def update(first: str, second: str) -> None:
        try:
            with on_a_server.database.begin() as db:
                db.execute(text("UPDATE tally SET number = number + 1 WHERE name = :name"), {"name": first})
                barrier.wait(10)
                db.execute(text("UPDATE tally SET number = number + 1 WHERE name = :name"), {"name": second})
        except SQLAlchemyError as error:
            told.append(error)

    with on_a_server.database.begin() as db:
        db.execute(text("INSERT INTO tally VALUES ('a', 0), ('b', 0)"))
    both = [threading.Thread(target=update, args=words) for words in (("a", "b"), ("b", "a"))]
    for each in both:
        each.start()
    for each in both:
        each.join(20)
    old = on_a_server.database.connect().execution_options(isolation_level="REPEATABLE READ")
    with old, old.begin():
        old.execute(text("SELECT number FROM tally")).all()
        with on_a_server.database.begin() as db:
            db.execute(text("UPDATE tally SET number = 9"))
        with pytest.raises(SQLAlchemyError) as stale:
            old.execute(text("UPDATE tally SET number = 10"))
    with on_a_server.database.connect() as db, pytest.raises(SQLAlchemyError) as other:
        db.execute(text("SELECT nonsense"))

    assert [passes(error) for error in (*told, stale.value, other.value)] == [True, True, False]


def test_behind_a_pooler_nothing_is_left_on_a_connection(emptied_on_postgresql, clock):
    url = emptied_on_postgresql + ("&" if "?" in emptied_on_postgresql else "?") + "pooler=transaction"
    store = open_store(url)
    for _ in range(8):
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.watch.sign("a test")
    with store.database.begin() as db:
        assert db.scalar(text("SHOW lock_timeout")) == "8s"
        assert db.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
    driver = store.database.raw_connection()
    with closing(driver), driver.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
    store.close()


def test_an_unknown_way_of_pooling_is_told(emptied_on_postgresql):
    url = make_url(emptied_on_postgresql).update_query_dict({"pooler": "statement"})
    with pytest.raises(Exception, match="Write pooler=transaction, or leave it out"):
        open_store(url.render_as_string(hide_password=False))


# --- the end of a process ---


def test_asked_to_end_while_the_dot_is_under_way_it_waits_for_the_answer(tmp_path, database_url):
    folder = Folder(tmp_path / "house", database_url)
    with SmtpServer() as server:
        asked = threading.Event()

        def slow(conversation) -> None:
            asked.set()
            time.sleep(2)
            del server.faults["DOT"]
            conversation._answer("DOT")

        server.faults["DOT"] = slow
        folder.environment = {
            "RELENT_MAILBOX__TRANSPORT": "smtp",
            "RELENT_MAILBOX__SMTP__HOST": server.host,
            "RELENT_MAILBOX__SMTP__PORT": str(server.port),
            "RELENT_MAILBOX__SMTP__TLS": "none",
        }
        folder.run("enroll", "seconds.yaml", "--email", IDA, "--var", "first_name=Ida")
        worker = folder.start("work")
        try:
            assert asked.wait(60)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(40) == 0
        finally:
            worker.kill()
            worker.wait(10)

    store = open_store(database_url)
    with store.reading(datetime.now(UTC)) as ledger:
        states = {draft["step"]: draft["state"] for draft in ledger.views.drafts(ended=True)}
    store.close()
    assert states["step-1"] == "sent"
    assert len(server.accepted) == 1
