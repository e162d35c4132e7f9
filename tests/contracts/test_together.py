"""Several hands write in one commit, and each is told what came of its own deed: never more than is safe."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from engine.store import Ledger, Together, connect, open_store
from engine.store.ledger import Undone


def count(store, name: str) -> int:
    with store.database.connect().execution_options(relent_reading=True) as db:
        return db.scalar(text("SELECT number FROM tally WHERE name = :name"), {"name": name}) or 0


def add(name: str) -> Callable[[Ledger], str]:
    def deed(ledger: Ledger) -> str:
        ledger.inbound.count(name, 1)
        return name

    return deed


class Crowd:
    """Deeds that all come while another one is being written."""

    def __init__(self, store, clock) -> None:
        self.together, self.clock = Together(store), clock
        self.came: dict[int, Any] = {}

    def do(self, deed: Callable[[Ledger], Any]) -> Any:
        return self.together.do(deed, now=self.clock.now, by="a test")

    def all_at_once(self, *deeds: Callable[[Ledger], Any]) -> list[Any]:
        """What each of them got, a result or an error."""
        busy, go_on = threading.Event(), threading.Event()

        def slow(ledger: Ledger) -> None:
            ledger.inbound.count("the slow one", 1)
            busy.set()
            go_on.wait(10)

        threads = [threading.Thread(target=self._do, args=(-1, slow))]
        threads[0].start()
        assert busy.wait(10)
        for number, deed in enumerate(deeds):
            threads.append(threading.Thread(target=self._do, args=(number, deed)))
            threads[-1].start()
            self._until(lambda number=number: len(self.together._waiting) == number + 1)
        go_on.set()
        for thread in threads:
            thread.join(20)
        return [self.came[number] for number in range(len(deeds))]

    def _do(self, number: int, deed: Callable[[Ledger], Any]) -> None:
        try:
            self.came[number] = self.do(deed)
        except Exception as error:  # noqa: BLE001 (whatever it is, the test wants to see it)
            self.came[number] = error

    def _until(self, done: Callable[[], bool]) -> None:
        for _ in range(1000):
            if done():
                return
            threading.Event().wait(0.01)
        raise AssertionError("it did not come")


@pytest.fixture
def on_sqlite(empty_sqlite, tmp_path) -> Iterator[Any]:
    store = open_store(f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'together.db')}")
    yield store
    store.close()


@pytest.fixture
def on_postgres(postgres_url) -> Iterator[Any]:
    store = open_store(postgres_url)
    yield store
    store.close()


@contextmanager
def commits(store) -> Iterator[list[None]]:
    seen: list[None] = []
    note = lambda db: seen.append(None)  # noqa: E731 (it has to be taken away again)
    event.listen(store.database, "commit", note)
    yield seen
    event.remove(store.database, "commit", note)


def test_whoever_is_alone_writes_alone(store, clock):
    crowd = Crowd(store, clock)
    with commits(store) as seen:
        assert [crowd.do(add("x")) for _ in range(3)] == ["x"] * 3
    assert len(seen) == 3
    assert count(store, "x") == 3


def test_deeds_that_wait_for_the_same_writer_share_one_commit(on_sqlite, clock):
    with commits(on_sqlite) as seen:
        assert Crowd(on_sqlite, clock).all_at_once(*map(add, "abcdef")) == list("abcdef")
    assert len(seen) == 2
    assert [count(on_sqlite, each) for each in "abcdef"] == [1] * 6


def test_what_goes_wrong_with_one_deed_goes_wrong_with_it_alone(on_sqlite, clock):
    def trips(ledger: Ledger) -> None:
        ledger.inbound.count("half", 1)
        raise ZeroDivisionError

    def violates(ledger: Ledger) -> None:
        ledger.inbound.count("half", 1)
        ledger._db.execute(text("INSERT INTO tally (name, number) VALUES ('half', 1)"))

    with commits(on_sqlite) as seen:
        first, wrong, second, forbidden, third = Crowd(on_sqlite, clock).all_at_once(
            add("a"), trips, add("b"), violates, add("c")
        )

    assert [first, second, third] == ["a", "b", "c"]
    assert isinstance(wrong, ZeroDivisionError)
    assert isinstance(forbidden, SQLAlchemyError)
    assert [count(on_sqlite, each) for each in ("a", "b", "c", "half")] == [1, 1, 1, 0]
    assert len(seen) == 2


def test_a_commit_that_fails_is_told_to_everybody(on_sqlite, clock):
    crowd = Crowd(on_sqlite, clock)
    deferred = text("CREATE TABLE late (id INTEGER REFERENCES tally (name) DEFERRABLE INITIALLY DEFERRED)")
    with on_sqlite.database.begin() as db:
        db.execute(deferred)

    def owes(ledger: Ledger) -> None:
        ledger._db.execute(text("INSERT INTO late (id) VALUES ('nobody')"))

    came = crowd.all_at_once(add("a"), owes, add("b"))

    assert [type(each) for each in came] == [type(came[0])] * 3
    assert isinstance(came[0], SQLAlchemyError)
    assert [count(on_sqlite, each) for each in "ab"] == [0, 0]
    assert crowd.do(add("a")) == "a"  # and the next one is not the worse for it


def test_a_disk_that_is_full_in_the_middle_undoes_all_and_nobody_hears_a_yes(on_sqlite, clock):
    """SQLite may throw away the whole transaction then, and its driver would have nothing against a commit of nothing."""
    crowd = Crowd(on_sqlite, clock)

    def fills(ledger: Ledger) -> None:
        pages = ledger._db.scalar(text("PRAGMA page_count"))
        ledger._db.execute(text(f"PRAGMA max_page_count = {pages}"))
        try:
            for number in range(1000):
                ledger.inbound.note_receipt("a test", str(number), b"x" * 10_000, "kept")
        finally:
            ledger._db.execute(text("PRAGMA max_page_count = 1073741823"))

    came = crowd.all_at_once(add("a"), fills, add("b"))

    assert count(on_sqlite, "a") == (1 if came[0] == "a" else 0)
    assert count(on_sqlite, "b") == (1 if came[2] == "b" else 0)
    assert isinstance(came[1], SQLAlchemyError)
    with on_sqlite.database.connect().execution_options(relent_reading=True) as db:
        assert db.scalar(text("SELECT count(*) FROM inbound_event")) == 0
    assert crowd.do(add("c")) == "c"


def test_a_transaction_that_is_gone_in_its_middle_is_told_to_everybody(on_sqlite, clock):
    def undoes(ledger: Ledger) -> None:
        ledger._db.connection.driver_connection.execute("ROLLBACK")  # as a disk does that cannot be read

    came = Crowd(on_sqlite, clock).all_at_once(add("a"), undoes, add("b"))

    assert all(isinstance(each, Undone) for each in came)
    assert [count(on_sqlite, each) for each in "ab"] == [0, 0]


def test_where_rows_are_waited_for_each_writes_alone(on_postgres, clock):
    """Two deeds never hold each other's rows: they would wait for strangers in a circle."""
    together, there = Together(on_postgres), threading.Barrier(2, timeout=10)

    def meet() -> None:
        together.do(lambda ledger: there.wait(), now=clock.now, by="a test")

    threads = [threading.Thread(target=meet) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert not there.broken
    assert there.n_waiting == 0


def test_time_and_name_of_a_deed_are_those_of_whoever_writes(store, clock):
    def moment(ledger: Ledger) -> Any:
        return ledger.now

    together = Together(store)
    assert together.do(moment, now=clock.now, by="a test") == clock.now()
    clock.pass_(timedelta(hours=1))
    assert together.do(moment, now=clock.now, by="a test") == clock.now()


def test_what_a_prepared_statement_trips_over_is_told_as_usual_and_without_the_letters(store, clock):
    """Whoever waits for a database that is away waits for this as well; and no log shows what somebody wrote."""
    with pytest.raises(DBAPIError) as told, store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.tag("no such thread", "secret words")
    assert "secret words" not in str(told.value).partition("[SQL")[2]


def test_a_connection_that_was_cut_is_not_given_out_again(on_postgres, clock):
    def is_cut(ledger: Ledger) -> None:
        mine = ledger._db.connection.driver_connection.info.backend_pid
        with on_postgres.database.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:mine)"), {"mine": mine})
        ledger.threads.get("nobody's")

    together = Together(on_postgres)
    with pytest.raises(DBAPIError) as told:
        together.do(is_cut, now=clock.now, by="a test")

    assert told.value.connection_invalidated
    assert together.do(lambda ledger: ledger.threads.labels("x"), now=clock.now, by="a test") == []


def test_a_connection_that_rested_is_asked_whether_it_lives_and_one_that_did_not_is_trusted(
    on_postgres, clock, monkeypatch
):
    asked = []
    dialect = on_postgres.database.dialect
    monkeypatch.setattr(dialect, "do_ping", lambda dbapi: asked.append(dbapi) or True)
    for _ in range(3):
        with on_postgres.reading(clock.now()) as ledger:
            ledger.threads.labels("x")
    assert asked == []
    monkeypatch.setattr(connect, "_FRESH", -1.0)
    with on_postgres.reading(clock.now()) as ledger:
        ledger.threads.labels("x")
    assert len(asked) == 1
