"""`relent serve` on a database that was put back or copied: it listens, and sends nothing until a human says so."""

import json
import shutil
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.store import Store, open_store
from relent.cli import app
from tests.backups import Backup
from tests.makers import pending, people, received, signed
from tests.relent.processes import SEQUENCE, Folder


@pytest.fixture
def folder(tmp_path: Path, database_url: str) -> Folder:
    return Folder(tmp_path / "house", database_url)


@pytest.fixture
def store(database_url):
    """What is only looked at is looked at from here: a command takes its time."""
    store = open_store(database_url)
    yield store
    store.close()


def _typed(folder: Folder, *words: str) -> str:
    """As in a shell, without waiting for a new process each time."""
    done = CliRunner().invoke(app, ["--config", str(folder.path / "config.yaml"), *words])
    assert done.exit_code == 0, done.output
    return done.output


def _messages(store) -> list[tuple[str, str | None]]:
    with store.reading(datetime.now(UTC)) as ledger:
        return [(mail["to"][0], mail["step"]) for mail in ledger.views.messages()]


def _enroll(folder: Folder) -> None:
    """Two people, whose second letters leave so late that a slow machine does not meet them."""
    (folder.path / "people.csv").write_text(
        "email,first_name\nida@nordic.example,Ida\ntom@harbour.example,Tom\n"
    )
    (folder.path / "slower.yaml").write_text(SEQUENCE.replace("1s", "6s"))
    _typed(folder, "enroll", str(folder.path / "slower.yaml"), str(folder.path / "people.csv"))


@pytest.fixture
def restored(folder, store, tmp_path) -> Folder:
    """Ida and Tom got their second letters after the backup was made."""
    _enroll(folder)
    folder.run("work", "--burst")
    backup = Backup(store, tmp_path)
    assert len(_messages(store)) == 2, "this machine is too slow to say"
    time.sleep(6)
    folder.run("work", "--burst")
    assert len(_messages(store)) == 4
    backup.put_back()
    return folder


def test_a_restored_house_listens_sends_nothing_and_goes_on_when_a_human_says_so(restored, store):
    threads = {person["email"]: person["thread_id"] for person in people(store, datetime.now(UTC))}
    with restored.serving():
        answer = signed(received(threads["ida@nordic.example"]), datetime.now(UTC))
        assert restored.post(answer["content"], answer["headers"]) == 204
        time.sleep(2)  # a worker looks twice
        assert sorted(_messages(store)) == [
            ("ida@nordic.example", "step-1"),
            ("sam@acme.example", None),
            ("tom@harbour.example", "step-1"),
        ]
        assert "restored: it has forgotten" in _typed(restored, "status", "--json")
        assert "Nothing leaves since" in (restored.path / "log.txt").read_text()
        [held] = pending(store, datetime.now(UTC))
        assert (held["to"], held["state"], held["reason"]) == ("tom@harbour.example", "held", "restored")
        assert "the database was restored" in _typed(restored, "why", "tom@harbour.example")

        released = json.loads(_typed(restored, "resume", "--all", "--json"))
        assert (released["restored"], released["scheduled"]) == (1, 0)
        time.sleep(2)
        assert len(_messages(store)) == 3
        _typed(restored, "approve", "--restored")
        restored.wait_for(lambda: ("tom@harbour.example", "step-3") in _messages(store))
    assert [mail for mail in _messages(store) if mail[0] == "ida@nordic.example"] == [
        ("ida@nordic.example", "step-1")
    ]


def _of(folder: Folder) -> Store:
    return open_store(f"sqlite:///{folder.path / 'relent.db'}")


def test_of_two_that_run_from_one_copied_folder_one_sends(tmp_path):
    first = Folder(tmp_path / "first", "sqlite:///relent.db")
    _enroll(first)
    first.run("work", "--burst")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = Folder(tmp_path / "second", "sqlite:///relent.db")

    with first.serving(), second.serving(), closing(_of(first)) as here, closing(_of(second)) as there:
        first.wait_for(lambda: len(_messages(here)) == 6)
        assert len(_messages(there)) == 2
    assert json.loads(_typed(second, "status", "--json"))["braked"]
    assert json.loads(_typed(first, "status", "--json"))["braked"] is None


def test_a_folder_that_was_moved_goes_on(tmp_path):
    here = Folder(tmp_path / "here", "sqlite:///relent.db")
    _enroll(here)
    here.run("work", "--burst")
    (tmp_path / "here").rename(tmp_path / "there")
    there = Folder(tmp_path / "there", "sqlite:///relent.db")
    time.sleep(6)
    there.run("work", "--burst")
    with closing(_of(there)) as store:
        assert len(_messages(store)) >= 4


def _keeps_its_state_in(folder: Folder, place: str) -> None:
    config = folder.path / "config.yaml"
    settings = json.loads(config.read_text())
    settings["database"]["state"] = place
    config.write_text(json.dumps(settings))


def test_the_state_file_lies_where_the_configuration_says(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    _keeps_its_state_in(folder, "../elsewhere")
    folder.run("work", "--burst")
    [state] = (tmp_path / "elsewhere").iterdir()
    assert state.name.startswith("relent-")
    assert not list(folder.path.glob("*.state"))


def test_whoever_names_another_folder_for_the_state_file_later_is_believed(tmp_path):
    folder = Folder(tmp_path / "house", "sqlite:///relent.db")
    _enroll(folder)
    folder.run("work", "--burst")
    (tmp_path / "disk").mkdir()
    _keeps_its_state_in(folder, "../disk")
    folder.run("work", "--burst")
    assert json.loads(_typed(folder, "status", "--json"))["braked"] is None
    assert not (folder.path / "relent.db.state").exists(), "it would grow old, and be believed"

    [state] = (tmp_path / "disk").glob("relent-*.state")
    state.unlink()
    folder.run("work", "--burst")
    assert (
        "the state file beside it is gone" in json.loads(_typed(folder, "status", "--json"))["braked"]["why"]
    )


def test_a_state_file_of_an_earlier_life_is_not_taken_for_that_of_this_one(tmp_path):
    folder = Folder(tmp_path / "house", "sqlite:///relent.db")
    folder.run("work", "--burst")
    with closing(_of(folder)) as store, store.transaction(datetime.now(UTC), "a test") as ledger:
        ledger.lineage.settle_in(ledger.lineage.book())
    (tmp_path / "disk").mkdir()
    _keeps_its_state_in(folder, "../disk")
    folder.run("work", "--burst")
    assert (
        "the state file beside it is gone" in json.loads(_typed(folder, "status", "--json"))["braked"]["why"]
    )


def test_a_folder_for_the_state_file_that_is_not_there_is_told_and_brakes_nothing(tmp_path):
    """Its disk is not mounted, say."""
    folder = Folder(tmp_path / "house", "sqlite:///relent.db")
    folder.run("work", "--burst")
    _keeps_its_state_in(folder, "../disk")
    for command in (("work", "--burst"), ("serve",), ("resume", "--all")):
        said = folder.run(*command, code=2)
        assert said.startswith("database.state: there is no folder ")
    assert json.loads(_typed(folder, "status", "--json"))["braked"] is None
    (tmp_path / "disk").mkdir()
    folder.run("work", "--burst")
    assert json.loads(_typed(folder, "status", "--json"))["braked"] is None


def test_a_house_that_is_braked_by_hand_holds_everything_and_goes_on_afterwards(folder, store):
    receipt = json.loads(_typed(folder, "stop", "--all", "--json"))
    assert (receipt["voided"], receipt["left"], receipt["already_gone"]) == (0, 0, 0)
    _enroll(folder)
    assert "Nothing leaves since" in folder.shell("relent work --burst").stderr
    assert _messages(store) == []
    assert "relent resume --all" in _typed(folder, "why", "ida@nordic.example")
    assert "the command line stopped everything" in _typed(folder, "status")
    assert "2 scheduled, 2 of them due" in _typed(folder, "resume", "--all")
    folder.run("work", "--burst")
    assert len(_messages(store)) == 2
    assert "nobody stood on the brake" in _typed(folder, "resume", "--all")


def test_a_sequence_is_stopped_and_goes_on(folder, store):
    _enroll(folder)
    said = _typed(folder, "stop", "--sequence", "Seconds")
    assert said.startswith("held at")
    assert "2 people; voided 2, 0 left, already gone 0" in said
    folder.run("work", "--burst")
    assert _messages(store) == []
    resumed = json.loads(_typed(folder, "resume", "--sequence", "Seconds", "--json"))
    assert [each["waits_for"] for each in resumed] == [None, None]
    folder.run("work", "--burst")
    assert len(_messages(store)) == 2


@pytest.mark.parametrize("words", [[], ["a@b.example", "--all"], ["--all", "--sequence", "Seconds"]])
@pytest.mark.parametrize("command", ["stop", "resume"])
def test_one_thing_at_a_time_is_stopped(command, words):
    done = CliRunner().invoke(app, [command, *words])
    assert done.exit_code == 2
    assert "name somebody, or a sequence" in done.output
