"""Opening databases: what is refused, and how."""

import sqlite3

import pytest
from sqlalchemy import text

from engine.errors import ConfigError
from engine.store import open_store


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "database.url"),
        ("", "database.url"),
        ("mysql://root@localhost/x", "no database we keep promises on"),
        ("sqlite://", "forgets everything"),
        ("sqlite:///:memory:", "forgets everything"),
        ("sqlite:////no/such/folder/relent.db", "unable to open database file"),
        ("postgresql://nobody@127.0.0.1:1/none", "database.url"),
    ],
)
def test_a_database_that_cannot_be_is_refused_in_words(url, words):
    with pytest.raises(ConfigError, match=words):
        open_store(url)


def test_a_file_that_is_no_database_is_refused_in_words(tmp_path):
    (tmp_path / "relent.db").write_text("This is a letter to my aunt. " * 100)
    with pytest.raises(ConfigError, match="not a database"):
        open_store(f"sqlite:///{tmp_path}/relent.db")


def test_somebody_elses_database_is_left_alone(tmp_path):
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE draft (id TEXT)")
    db.close()
    with pytest.raises(ConfigError, match="draft"):
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
