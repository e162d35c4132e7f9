"""`relent migrate --to`: everything into another database, equal to the last byte; and only one of the two sends."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, inspect, make_url, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from starlette.testclient import TestClient

from engine.brake import stop, suppress
from engine.dispatch import dispatch_due
from engine.errors import Busy, Refused, Unavailable
from engine.keys import Keyring
from engine.model import Pace
from engine.moving import move, refuse_what_has_moved, rehearse
from engine.react import react
from engine.safe import arrive, resume
from engine.store import Brake, Store, copying, in_words, migrate_url, open_store
from engine.store import connect as connecting
from engine.store.connect import connect
from engine.store.lineage import Lineage
from engine.store.tables import audit, instance, metadata
from engine.witness import StateFile
from relent.web import create_app
from tests.makers import IDA, enrolled, open_thread, pending, people, received, reply, signed

DAY = timedelta(days=1)
TOM = "tom@harbour.example"
SOON = Pace(gate_deadline=timedelta(milliseconds=20))
OUTSIDE = {"instance", "sign"}  # which speak of the place


@contextmanager
def _new_database(url: str, name: str = "other") -> Iterator[str]:
    server = make_url(url).set(drivername="postgresql+psycopg")
    administrator = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with administrator.connect() as db:
            db.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with administrator.connect() as db:
            db.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        administrator.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request, postgres_url, tmp_path) -> Iterator[str]:
    """Where nothing is yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    with _new_database(postgres_url) as url:
        yield url


@pytest.fixture
def filled(store, clock, mailbox, pace) -> Store:
    """Ida has answered, Tom has had one letter; and there is something of every kind of value."""
    for email in (IDA, TOM):
        enrolled(store, clock.now(), email, first_name="Jürgen 🙂 \\ \" ' \t")
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    [ida] = [one for one in people(store, clock.now()) if one["email"] == IDA]
    react(reply(ida["thread_id"]), b"\x00\xff raw", store=store, clock=clock, pace=pace)
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.drafts.keep_files({"sha": bytes(range(256)) * 100})
        ledger.inbound.suppress("eva@eva.example", "asked for it")
        ledger.inbound.count("refused", 7)
    return store


@pytest.fixture
def moves(store, clock, tmp_path):
    def go(to: str, *, keep: bool = False, progress=lambda table, rows: None):
        return move(
            to,
            keep=keep,
            by="kim",
            witness=StateFile(tmp_path, "relent.db.state"),
            store=store,
            clock=clock,
            pace=SOON,
            progress=progress,
        )

    yield go
    with store.transaction(clock.now(), "a test") as ledger:  # others live here after us
        ledger.lineage.reopen()


def _everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    with store.database.connect() as db:
        return {
            table.name: sorted(db.execute(select(table)).all(), key=repr)
            for table in metadata.sorted_tables
            if table.name not in OUTSIDE
        }


def _tables(url: str) -> list[str]:
    database = connect(url)
    with database.connect() as db:
        found = inspect(db).get_table_names()
    database.dispose()
    return found


def _brake(_store: Store, clock) -> str | None:
    with _store.reading(clock.now()) as ledger:
        brake = ledger.watch.braked()
    return brake and brake.why


def test_everything_arrives_and_goes_on_as_if_nothing_had_happened(
    filled, moves, target, clock, mailbox, pace
):
    before = _everything(filled)
    moved = moves(target)

    assert all(each.equal for each in moved.tables)
    assert {each.table for each in moved.tables} == {table.name for table in metadata.sorted_tables} - {
        "instance"
    }
    there = open_store(target)
    after = _everything(there)
    log = after.pop("audit")
    assert after == {name: rows for name, rows in before.items() if name != "audit"}
    assert set(before["audit"]) <= set(log)
    with filled.reading(clock.now()) as here, there.reading(clock.now()) as elsewhere:
        assert here.instance_key() == elsewhere.instance_key()
        assert here.watch.boot() != elsewhere.watch.boot()

    clock.pass_(3 * DAY)
    outcomes = list(dispatch_due(store=there, mailbox=mailbox, clock=clock, pace=pace))
    assert [letter.to for letter in mailbox.sent[2:]] == [TOM]
    assert len(outcomes) == 1
    with there.database.connect() as db:
        numbers = list(db.scalars(text("SELECT seq FROM audit ORDER BY seq")))
    assert len(set(numbers)) == len(numbers)
    assert numbers[-1] > max(line.seq for line in log)
    there.close()


def test_the_old_one_sends_nothing_and_acknowledges_nothing_any_more(
    filled, moves, target, clock, mailbox, pace, house
):
    thread_id = open_thread(filled, clock.now())
    with TestClient(create_app(house, with_worker=False)) as door:
        moves(target)
        clock.pass_(3 * DAY)
        assert list(dispatch_due(store=filled, mailbox=mailbox, clock=clock, pace=pace)) == []
        answer = door.post("/webhooks/agentmail", **signed(received(thread_id), clock.now()))
        assert answer.status_code == 503
    assert _brake(filled, clock).startswith("moved to ")
    with pytest.raises(Unavailable, match=r"name that in database\.url"):
        refuse_what_has_moved(filled, clock)


def _written(store: Store, clock) -> dict[str, Callable[[], object]]:
    """What a human, or a program, may want to write down."""
    by = {"by": "kim", "store": store, "clock": clock}
    return {
        "suppress": lambda: suppress("eva@eva.example", why="asked for it", **by),
        "stop": lambda: stop(TOM, **by),
        "enroll": lambda: enrolled(store, clock.now(), "per@nordic.example"),
        "key": lambda: Keyring(store=store, clock=clock).make("a key"),
    }


@pytest.mark.parametrize("what", ["suppress", "stop", "enroll", "key"])
def test_nothing_is_written_down_where_nobody_will_read_it(filled, moves, target, clock, what):
    """Whoever would be told that it is done would wait in vain."""
    write = _written(filled, clock)[what]
    moves(target)
    before = _everything(filled)
    with pytest.raises(DBAPIError) as caught:
        write()
    assert in_words(caught.value).startswith("everything has moved to ")
    assert in_words(caught.value).endswith(": name that in database.url")
    assert _everything(filled) == before
    with filled.transaction(clock.now(), "kim") as ledger:
        ledger.lineage.reopen()
    write()


def test_every_table_is_closed_but_those_that_speak_of_the_place(filled, moves, target):
    moves(target)
    for table in metadata.sorted_tables:
        if table.name in OUTSIDE | {"tally"}:
            continue
        for change in (table.delete(), table.update().values({table.c[0]: table.c[0]})):
            with filled.database.connect() as db:
                if db.execute(select(table).limit(1)).first():
                    with pytest.raises(DBAPIError):
                        db.execute(change)


def test_who_gets_in_the_way_of_others_tries_again(filled, moves, target, clock, monkeypatch):
    tried, close = [], Lineage.close

    def once_in_the_way(*given) -> None:
        tried.append(given)
        if len(tried) == 1:
            refusal = Exception("deadlock detected")
            refusal.sqlstate = "40P01"
            raise OperationalError("", {}, refusal)
        close(*given)

    monkeypatch.setattr(Lineage, "close", once_in_the_way)
    moves(target)
    assert len(tried) == 2
    assert _brake(filled, clock).startswith("moved to ")


def test_a_state_file_of_the_house_is_at_home_in_both(filled, moves, target, clock, tmp_path):
    """And who moves back again, into a file of the same name, is not taken for a restored backup."""
    witness = StateFile(tmp_path, "relent.db.state")
    assert arrive(witness, store=filled, clock=clock)
    moves(target)
    there = open_store(target)
    assert arrive(witness, store=there, clock=clock)
    assert _brake(there, clock) is None
    there.close()


@pytest.mark.parametrize("when", ["draft", "audit"])
def test_a_move_that_breaks_off_leaves_nothing_there_and_everything_here(
    filled, moves, target, clock, mailbox, pace, house, when
):
    def breaks(table: str, rows: int) -> None:
        if table == when:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moves(target, progress=breaks)
    assert _tables(target) == []
    thread_id = open_thread(filled, clock.now())
    with TestClient(create_app(house, with_worker=False)) as door:
        assert door.post("/webhooks/agentmail", **signed(received(thread_id), clock.now())).status_code == 204
    clock.pass_(3 * DAY)
    list(dispatch_due(store=filled, mailbox=mailbox, clock=clock, pace=pace))
    assert [letter.to for letter in mailbox.sent[2:]] == [TOM]
    moves(target)


def test_a_move_whose_last_word_is_lost_is_a_move(filled, moves, target, clock, mailbox, pace, monkeypatch):
    """Everything was written down there, and the connection broke before that was said."""
    copy = copying.copy

    def breaks_at_the_end(*given, **more):
        copy(*given, **more)
        raise Unavailable("the server closed the connection")

    monkeypatch.setattr(copying, "copy", breaks_at_the_end)
    with pytest.raises(
        Unavailable, match=r"everything is in .*name that in database\.url\. What went wrong: the s"
    ):
        moves(target)
    with pytest.raises(Unavailable, match="everything has moved to"):
        refuse_what_has_moved(filled, clock)
    clock.pass_(3 * DAY)
    assert list(dispatch_due(store=filled, mailbox=mailbox, clock=clock, pace=pace)) == []
    there = open_store(target)
    assert len(list(dispatch_due(store=there, mailbox=mailbox, clock=clock, pace=pace))) == 1
    there.close()


def test_while_nobody_knows_whether_it_has_moved_nothing_is_sent(filled, moves, target, clock, monkeypatch):
    def breaks(*_, **__):
        raise Unavailable("the network is gone")

    with monkeypatch.context() as broken:
        broken.setattr(copying, "copy", breaks)
        broken.setattr(copying, "has_arrived", breaks)
        with pytest.raises(
            Unavailable, match=r"cannot be asked, .* run the same command again.*resume --all"
        ):
            moves(target)
    assert _brake(filled, clock).startswith("moved to ")
    with pytest.raises(Unavailable):
        refuse_what_has_moved(filled, clock)
    assert moves(target).braked


def test_whoever_is_still_writing_is_waited_for(filled, postgres_url, clock, monkeypatch):
    """A server may be at its commit when nobody hears it any more."""
    monkeypatch.setitem(connecting._PATIENCE, "lock_timeout", "100ms")
    with _new_database(postgres_url) as url, copying.opened(url) as target, target.begin() as writing:
        connecting.hold_the_plan(writing)
        with pytest.raises(Unavailable, match="somebody holds what is needed"):
            copying.has_arrived(filled, target)
        writing.rollback()
        assert not copying.has_arrived(filled, target)


def test_a_brake_that_was_on_before_a_move_broke_off_is_on_as_it_was(filled, moves, target, clock):
    begun = clock.now()
    with filled.transaction(begun, "kim") as ledger:
        ledger.watch.brake("by hand: for the night")
    clock.pass_(timedelta(hours=1))
    with pytest.raises(KeyboardInterrupt):
        moves(target, progress=_interrupt)
    with filled.reading(clock.now()) as ledger:
        assert ledger.watch.braked() == Brake("by hand: for the night", begun)
        assert ledger.watch.released_at() is None


def test_a_brake_that_a_human_puts_on_meanwhile_outlasts_a_move_that_broke_off(filled, moves, target, clock):
    def stops(_table: str, _rows: int) -> None:
        with filled.database.begin() as db:
            db.execute(update(instance).values(braked_why="by hand: kim said relent stop --all"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moves(target, progress=stops)
    assert _brake(filled, clock) == "by hand: kim said relent stop --all"


def _interrupt(_table: str, _rows: int) -> None:
    raise KeyboardInterrupt


def test_a_move_that_was_killed_can_be_done_again_or_given_up(filled, moves, target, clock, tmp_path):
    with filled.transaction(clock.now(), "kim") as ledger:  # as far as it came
        ledger.watch.brake("moved to elsewhere", firmly=True)
        ledger.lineage.close("elsewhere", None)
    moves(target)
    released = resume(StateFile(tmp_path, "relent.db.state"), by="kim", store=filled, clock=clock)
    assert released.doubt.startswith("everything was moved to")
    refuse_what_has_moved(filled, clock)
    enrolled(filled, clock.now(), "per@nordic.example")


def test_what_does_not_arrive_as_it_left_is_not_kept(filled, moves, target, clock, monkeypatch):
    monkeypatch.setattr("engine.store.copying._into", lambda table, db: nullcontext(lambda rows: None))
    with pytest.raises(Unavailable, match="is not what left: nothing was kept there"):
        moves(target)
    assert _tables(target) == []
    assert _brake(filled, clock) is None


def test_a_copy_to_look_at_is_braked_and_the_house_goes_on(filled, moves, target, clock, mailbox, pace):
    assert not moves(target, keep=True).braked
    there = open_store(target)
    clock.pass_(3 * DAY)
    assert list(dispatch_due(store=there, mailbox=mailbox, clock=clock, pace=pace)) == []
    assert _brake(there, clock).startswith("a copy of ")
    there.close()
    list(dispatch_due(store=filled, mailbox=mailbox, clock=clock, pace=pace))
    assert [letter.to for letter in mailbox.sent[2:]] == [TOM]


def test_a_rehearsal_writes_nothing(filled, target, clock):
    found = rehearse(target, store=filled, progress=lambda table, rows: None)
    assert found.rows > 20
    assert _tables(target) == []
    assert _brake(filled, clock) is None


def test_long_letters_are_moved_a_few_at_a_time(store, moves, target, clock):
    """However many there are, and however long each of them is."""
    size, number = 1024**2, 48
    for _ in range(number):
        with store.database.begin() as db:
            db.execute(insert(audit).values(at=clock.now(), actor="x", what="x", detail="x" * size))
    tracemalloc.start()
    try:
        assert moves(target).rows > number
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < number * size / 2


def test_a_brake_moves_along(filled, moves, target, clock):
    with filled.transaction(clock.now(), "kim") as ledger:
        ledger.watch.brake("by hand: for the night")
    moves(target)
    there = open_store(target)
    assert _brake(there, clock) == "by hand: for the night"
    there.close()


def test_a_password_in_the_query_of_a_url_is_told_to_nobody(filled, postgres_url, moves, clock):
    with _new_database(postgres_url) as url:
        moved = moves(f"{url}{'&' if '?' in url else '?'}password=hunter2secret")
    with filled.reading(clock.now()) as ledger:
        gone = ledger.lineage.moved()
    assert "hunter2secret" not in f"{moved.there} {_brake(filled, clock)} {gone}"


def test_a_database_that_has_its_tables_and_nothing_else_is_empty(filled, moves, target):
    migrate_url(target)
    moves(target)


def test_where_somebody_is_at_home_already_nothing_is_moved_to(filled, moves, target, clock):
    other = open_store(target)
    enrolled(other, clock.now(), "eva@eva.example")
    with pytest.raises(Unavailable, match="is not empty, there are rows in"):
        moves(target)
    assert [one["email"] for one in people(other, clock.now())] == ["eva@eva.example"]
    other.close()
    assert _brake(filled, clock) is None


def test_into_itself_nothing_is_moved(filled, moves, database_url):
    with pytest.raises(Refused, match="is this very database"):
        moves(database_url)


def test_whoever_is_not_believed_is_not_moved(filled, moves, target, clock, tmp_path):
    """Or nobody could tell any more that it was restored."""
    witness = StateFile(tmp_path, "relent.db.state")
    memory = arrive(witness, store=filled, clock=clock)
    with filled.transaction(clock.now(), "a test") as ledger:
        ledger.watch.reboot("another life")
    assert memory
    with pytest.raises(Refused, match="First `relent resume --all`"):
        moves(target)


def test_a_letter_in_the_air_is_waited_for(filled, moves, target, clock, mailbox, pace, monkeypatch):
    monkeypatch.setattr("engine.moving._PATIENCE", 0.2)
    told = []

    def while_it_leaves(letter) -> None:
        with pytest.raises(Busy) as caught:
            moves(target)
        told.append(str(caught.value))

    mailbox.after_gate = while_it_leaves
    clock.pass_(3 * DAY)
    list(dispatch_due(store=filled, mailbox=mailbox, clock=clock, pace=pace))
    assert told == ["1 letters are just leaving, and their fate is not known yet: try again in a minute"]
    assert _brake(filled, clock) is None
    assert {draft["state"] for draft in pending(filled, clock.now())} == {"scheduled"}


def test_what_a_server_cannot_keep_is_told_in_words(empty_sqlite, postgres_url, clock, tmp_path):
    path = tmp_path / "here.db"
    path.write_bytes(Path(empty_sqlite).read_bytes())
    store = open_store(f"sqlite:///{path}")
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.inbound.suppress("eva@eva.example", "a NUL: \x00")
    with _new_database(postgres_url) as url, pytest.raises(Unavailable, match="0x00"):
        move(
            url,
            by="kim",
            witness=StateFile(tmp_path, "x"),
            store=store,
            clock=clock,
            pace=SOON,
            progress=lambda table, rows: None,
        )
    assert _brake(store, clock) is None
    store.close()
