"""`relent migrate --to`, as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relent.cli import app
from tests.relent.processes import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "house", "sqlite:///relent.db")
    folder.run("enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    return folder


def test_it_moves_says_what_it_moved_and_what_is_to_be_done_now(folder, tmp_path):
    there = f"sqlite:///{tmp_path}/new.db"
    rehearsed = folder.json("migrate", "--to", there, "--dry")
    assert (rehearsed["written"], rehearsed["braked"]) == (False, False)
    assert not (tmp_path / "new.db").exists() or (tmp_path / "new.db").stat().st_size == 0

    said = folder.run("migrate", "--to", there)
    assert "equal here and there" in said
    assert f"write {there} into database.url" in said

    refused = folder.run("work", "--burst", code=1)
    assert "everything has moved to" in refused
    assert "is this very database, or a copy of it" in folder.run("migrate", "--to", there, code=1)
    for command in (("suppress", "eva@eva.example"), ("stop", "ida@nordic.example"), ("stop", "--all")):
        assert folder.run(*command, code=1).startswith(f"everything has moved to {there}: name that in")
    folder.environment = {"RELENT_DATABASE__URL": there}
    folder.run("work", "--burst")
    assert [mail["to"] for mail in folder.json("messages")] == [["ida@nordic.example"]]


def test_a_program_hears_every_table_and_its_hash(folder, tmp_path):
    moved = folder.json("migrate", "--to", f"sqlite:///{tmp_path}/new.db", "--keep")
    tables = {each["table"]: each for each in moved["tables"]}
    assert tables["draft"]["rows"] == 1
    assert all(each["equal"] and len(each["hash"]) == 32 for each in moved["tables"])
    assert moved["rows"] == sum(each["rows"] for each in moved["tables"])
    assert moved["braked"] is False
    json.dumps(moved)


@pytest.mark.parametrize("word", ["--keep", "--dry"])
def test_how_to_move_needs_to_know_where(word):
    done = CliRunner().invoke(app, ["migrate", word])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("nonsense", 2, "is no database"),
        ("postgresql://nobody:hunter2@127.0.0.1:1/none", 1, "127.0.0.1"),
        ("sqlite:////no/such/folder/new.db", 1, "unable to open database file"),
    ],
)
def test_where_it_cannot_go_is_told_in_words(folder, url, code, words):
    said = folder.run("migrate", "--to", url, code=code)
    assert words in said
    assert "hunter2" not in said
