"""Is this still the database that it was? The rule, case by case."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from engine.safe import judge
from engine.store import Book
from engine.store.lineage import Line, place_of
from engine.witness import Memory, file_place
from tests.doubles import MONDAY

SERVER = {"system": "7", "database": 5, "table": 16384, "timeline": "00000001", "waited_for": False}
STANDBY = SERVER | {"timeline": "00000002", "waited_for": True}
FILE = {"inode": 12, "born": 34, "machine": "m"}
LINE = Line(100, MONDAY, "said")
BOOK = Book(
    house="h",
    boot="b2",
    before=("b1",),
    since=MONDAY,
    home=SERVER,
    here=SERVER,
    alone=False,
    last=Line(110, MONDAY, "later"),
    remembered=LINE,
)
MEMORY = Memory(house="h", boot="b2", line=100, said="said", at=MONDAY)


@pytest.mark.parametrize(
    ("memory", "changes"),
    [
        (MEMORY, {}),
        (None, {}),  # one more machine
        (None, {"home": None, "alone": True, "here": FILE}),  # a first time
        (replace(MEMORY, line=None, said=None), {"remembered": None}),  # nothing had happened yet
        (replace(MEMORY, house="another"), {}),
        (replace(MEMORY, boot="b1", line=7), {"remembered": None}),  # a human has seen to it since
        (MEMORY, {"here": STANDBY}),
        (
            MEMORY,
            {"here": SERVER | {"timeline": None, "system": None}},
        ),  # a server that does not tell everybody
        (MEMORY, {"home": FILE, "here": FILE | {"born": None, "machine": None}, "alone": True}),
    ],
)
def test_this_is_it(memory, changes):
    assert judge(memory, replace(BOOK, **changes)) is None


@pytest.mark.parametrize(
    ("memory", "changes", "words"),
    [
        (MEMORY, {"remembered": None}, "it has forgotten what it knew"),
        (MEMORY, {"remembered": Line(100, MONDAY, "something else")}, "it has forgotten what it knew"),
        (MEMORY, {"remembered": None, "last": None}, "its log is empty"),
        (
            MEMORY,
            {"boot": "b1", "before": ()},
            "it has forgotten",
        ),  # a human had seen to it, and that is forgotten
        (MEMORY, {"boot": None, "before": (), "home": None}, "it has forgotten"),
        (replace(MEMORY, boot="b1", at=MONDAY + timedelta(hours=1)), {}, "it has forgotten"),
        (MEMORY, {"here": SERVER | {"timeline": "00000002"}}, "a standby took over"),
        (
            None,
            {"here": STANDBY},
            "a standby took over",
        ),  # or an earlier moment, and nobody remembers a later one
        (replace(MEMORY, house="another"), {"here": STANDBY}, "a standby took over"),
        (replace(MEMORY, line=None, said=None), {"here": STANDBY, "remembered": None}, "a standby took over"),
        (replace(MEMORY, boot="b1", line=7), {"here": STANDBY, "remembered": None}, "a standby took over"),
        (None, {"here": SERVER | {"system": "8"}}, "another server"),
        (None, {"here": SERVER | {"database": 6}}, "another database on its server"),
        (None, {"here": SERVER | {"table": 20000}}, "restored from a dump"),
        (MEMORY, {"home": FILE, "here": FILE | {"inode": 13}, "alone": True}, "it is another file"),
        (MEMORY, {"home": FILE, "here": FILE | {"born": 35}, "alone": True}, "it is another file"),
        (MEMORY, {"home": FILE, "here": FILE | {"machine": "n"}, "alone": True}, "another machine"),
        (None, {"home": FILE, "here": FILE, "alone": True}, "the state file beside it is gone"),
        (replace(MEMORY, house="x"), {"home": FILE, "here": FILE, "alone": True}, "is another database's"),
    ],
)
def test_this_is_not(memory, changes, words):
    assert words in judge(memory, replace(BOOK, **changes))


def test_a_file_is_known_by_its_birth(tmp_path):
    """The disk gives out the number of what was deleted again."""
    path = tmp_path / "relent.db"
    path.write_text("one")
    first = file_place(str(path))
    path.rename(tmp_path / "moved.db")
    assert file_place(str(tmp_path / "moved.db")) == first
    (tmp_path / "moved.db").unlink()
    path.write_text("two")
    assert file_place(str(path)) != first


def test_what_a_server_does_not_tell_is_not_asked_again(store, monkeypatch):
    if store.database.dialect.name == "sqlite":
        with store.database.connect() as db:
            assert place_of(db)["inode"]
        return
    monkeypatch.setattr("engine.store.lineage._SERVER", (("system", "SELECT nobody_knows_this()"),))
    with store.database.begin() as db:
        assert place_of(db)["system"] is None
        assert place_of(db)["system"] is None
        assert db.scalar(text("SELECT 1")) == 1
