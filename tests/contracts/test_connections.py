"""Opening databases: what is refused, and how."""

import sqlite3
import stat
import subprocess
import sys

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from engine.errors import ConfigError, Unavailable
from engine.store import named, open_store


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("nonsense", ConfigError, "is no database"),
        ("", ConfigError, "is no database"),
        ("mysql://root@localhost/x", ConfigError, "no database we keep promises on"),
        ("sqlite://", ConfigError, "forgets everything"),
        ("sqlite:///:memory:", ConfigError, "forgets everything"),
        ("sqlite:////no/such/folder/relent.db", Unavailable, "relent.db: unable to open database file"),
        ("postgresql://nobody@127.0.0.1:1/none", Unavailable, "127.0.0.1"),
    ],
)
def test_a_database_that_cannot_be_or_is_not_there_is_told_in_words(url, error, words):
    with pytest.raises(error, match=words):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://nobody:hunter2@127.0.0.1:1/none",
        "postgresql://nobody@127.0.0.1:1/none?password=hunter2&connect_timeout=2",
        "postgresql://nobody@127.0.0.1:1/none?sslpassword=hunter2",
        "postgresql://nobody@127.0.0.1:port/none?password=hunter2",
        "nonsense?a=b&password=hunter2",
    ],
)
def test_a_password_in_the_url_is_not_told(url):
    with pytest.raises((ConfigError, Unavailable)) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_a_url_is_told_with_everything_that_is_no_secret():
    url = make_url(
        "postgresql://relent:hunter2@db/relent?sslmode=require&Password=hunter2&sslpassword=hunter2"
    )
    assert named(url) == "postgresql://relent:***@db/relent?sslmode=require"


def test_a_file_that_is_no_database_is_refused_in_words(tmp_path):
    (tmp_path / "relent.db").write_text("This is a letter to my aunt. " * 100)
    with pytest.raises(Unavailable, match="not a database"):
        open_store(f"sqlite:///{tmp_path}/relent.db")


def test_somebody_elses_database_is_left_alone(tmp_path):
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (id TEXT)")
    db.close()
    with pytest.raises(Unavailable, match="somebody else's, it holds recipes"):
        open_store(f"sqlite:///{path}")


def test_sqlite_is_set_so_that_a_power_loss_undoes_nothing(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/relent.db")
    with store.database.connect() as db:
        settings = {
            name: db.scalar(text(f"PRAGMA {name}"))
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }
    store.close()
    assert settings == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


def test_postgresql_that_forgets_is_refused(postgres_url):
    forgetful = postgres_url + ("&" if "?" in postgres_url else "?") + "options=-csynchronous_commit%3Doff"
    with pytest.raises(ConfigError, match="synchronous_commit=off"):
        open_store(forgetful)


def test_postgresql_lets_nobody_wait_longer_than_a_webhooks_sender_does(postgres_url):
    store = open_store(postgres_url)
    with store.database.connect() as db:
        assert db.scalar(text("SHOW lock_timeout")) == "8s"
        assert db.scalar(text("SHOW idle_in_transaction_session_timeout")) == "30s"
    store.close()


def test_many_can_open_a_new_file_at_once(tmp_path):
    command = "import sys; from engine.store import open_store; open_store(sys.argv[1]).close()"
    words = [sys.executable, "-c", command, f"sqlite:///{tmp_path}/new.db"]
    processes = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(6)]
    told = [process.communicate(timeout=60)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, told


def test_what_a_statement_was_given_stays_out_of_what_is_said_of_its_failure(store):
    """It would be somebody's letter, or a key."""
    with pytest.raises(DBAPIError) as told, store.database.begin() as db:
        db.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "sesame"})
    assert "sesame" not in str(told.value)


@pytest.mark.parametrize("url", ["nothing://sam:sesame@db.example/x", "postgresql://sam:sesame/@db:port/x"])
def test_a_password_stays_out_of_a_complaint_about_its_url(url):
    with pytest.raises(ConfigError) as told:
        open_store(url)
    assert "sesame" not in str(told.value)


def test_a_new_file_is_its_owners_alone_and_one_that_is_there_stays_as_it_is(tmp_path):
    new, there = tmp_path / "new.db", tmp_path / "there.db"
    there.touch(0o644)
    there.chmod(0o644)
    modes = {}
    for file in (new, there):
        store = open_store(f"sqlite:///{file}")
        modes |= {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.glob(f"{file.name}*")}
        store.close()

    assert {name: mode for name, mode in modes.items() if name.startswith("new")} == dict.fromkeys(
        ("new.db", "new.db-wal", "new.db-shm"), 0o600
    )
    assert modes["there.db"] == 0o644


def test_who_opens_only_to_read_makes_no_file(tmp_path):
    with pytest.raises(Unavailable):
        open_store(f"sqlite:///file:{tmp_path / 'relent.db'}?mode=ro&uri=true")

    assert not list(tmp_path.iterdir())
