"""The folder of sequences is read as it is now, also what is wrong in it."""

import os

import pytest

from relent.folder import Folder

GOOD = """\
name: Quick question
from: sam@acme.example
steps:
  - subject: Hello
    body: Hello {{ first_name }}
requires: [first_name]
"""
WRONG = GOOD + "stop_on: reply\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "quick.yaml").write_text(GOOD)
    return tmp_path


def test_a_good_file_is_a_sequence(folder):
    [found] = Folder(str(folder))()

    assert (found.name, found.file, found.complaints) == ("Quick question", str(folder / "quick.yaml"), ())
    assert found.sequence is not None


def test_a_mistake_is_told_with_its_place_under_the_name_that_the_file_seems_to_have(folder):
    (folder / "quick.yaml").write_text(WRONG)

    [found] = Folder(str(folder))()

    assert found.name == "Quick question"
    assert found.sequence is None
    assert len(found.complaints) == 1
    assert found.complaints[0].startswith(f"{folder / 'quick.yaml'}:7:1")
    assert '"stop_on"' in found.complaints[0]


def test_what_has_no_name_is_called_after_its_file(folder):
    (folder / "odd.yml").write_text("- a list\n")

    found = Folder(str(folder))()

    assert [each.name for each in found] == ["odd", "Quick question"]


def test_a_file_that_changes_is_read_again_and_one_that_does_not_is_not(folder):
    read = Folder(str(folder))
    first = read()

    assert read() is first
    (folder / "quick.yaml").write_text(GOOD.replace("Hello {{", "Dear {{"))
    [again] = read()
    assert again.sequence.version != first[0].sequence.version


def test_a_template_that_changes_changes_its_sequence(folder):
    (folder / "hello.md").write_text("---\nsubject: Hi\n---\nHello there\n")
    (folder / "quick.yaml").write_text(
        "name: Quick question\nfrom: sam@acme.example\nsteps:\n  - template: hello.md\n"
    )
    read = Folder(str(folder))
    [first] = read()
    (folder / "hello.md").write_text("---\nsubject: Hi\n---\nHello there, again\n")

    [again] = read()

    assert first.sequence is not None
    assert again.sequence.version != first.sequence.version


def test_what_cannot_be_opened_is_told_and_stops_nobody(folder):
    (folder / "pipe.yaml").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "another.yaml")

    found = {each.name: each for each in Folder(str(folder))()}

    assert found["Quick question"].sequence is not None
    assert found["pipe"].complaints
    assert found["another"].complaints


def test_a_folder_that_is_not_there_has_no_files(tmp_path):
    assert Folder(str(tmp_path / "nowhere"))() == ()
