"""`relent key`, as a person types it."""

import json
import re

import pytest

from tests.relent.processes import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path, "sqlite:///relent.db")


def test_a_key_is_printed_alone_so_that_a_shell_can_keep_it(folder):
    made = folder.shell("relent key create 'the agent'")

    assert re.fullmatch(r"am_[A-Za-z0-9_-]{43}\n", made.stdout)
    assert "the agent" in made.stderr
    assert "not see this key again" in " ".join(made.stderr.split())
    assert made.stdout.strip() not in made.stderr


def test_a_key_is_never_shown_again(folder):
    key = folder.run("key", "create", "one").strip()

    [listed] = folder.json("key", "list")
    assert key not in folder.run("key", "list") + folder.run("key", "list", "--json")
    assert key.startswith(listed["prefix"])
    assert len(listed["prefix"]) == 12


def test_for_a_program_there_is_json(folder):
    folder.run("enroll", "seconds.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    made = folder.json(
        "key", "create", "one", "--inbox", "Sam@acme.example", "--can", "draft", "--expires", "30d"
    )

    assert made["api_key"].startswith("am_")
    assert (made["scope"], made["inbox_id"], made["pod_id"]) == ("inbox", "sam@acme.example", None)
    assert made["permissions"]["draft_create"] is True
    assert "draft_send" not in made["permissions"]
    assert made["expires_at"].endswith("Z")
    [line] = folder.run("key", "list", "--jsonl").splitlines()
    assert json.loads(line) == {name: value for name, value in made.items() if name != "api_key"}


def test_a_list_says_in_words_what_each_may(folder):
    folder.run("key", "create", "first")
    folder.run("key", "create", "second", "--can", "read", "--pod", "pod_default")
    folder.run("key", "create", "third", "--can", "draft_read,draft_create")

    words = " ".join(folder.run("key", "list").split())

    assert "everybody here everything" in words
    assert "pod_default read" in words
    assert "draft_create" in words


def test_an_empty_list_says_how_to_make_one(folder):
    assert "relent key create" in folder.run("key", "list")
    assert folder.json("key", "list") == []


def test_a_revoked_key_is_gone(folder):
    ids = [folder.json("key", "create", name)["api_key_id"] for name in ("one", "two", "three")]

    folder.run("key", "revoke", *ids[:2])

    assert [key["api_key_id"] for key in folder.json("key", "list")] == ids[2:]
    assert "There is no key" in folder.run("key", "revoke", ids[0], code=1)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["one", "--can", "fly"], "read, draft, send, admin"),
        (["one", "--expires", "soon"], "30d"),
        (["one", "--expires", "0d"], "30d"),
        (["one", "--expires", "3bd"], "30d"),
        (["one", "--inbox", "sam@acme.example", "--pod", "pod_default"], "one of them"),
    ],
)
def test_what_is_written_wrong_is_told_with_what_would_be_right(folder, words, complaint):
    assert complaint in " ".join(folder.run("key", "create", *words, code=2).replace("│", "").split())


@pytest.mark.parametrize("words", [["--inbox", "nobody@acme.example"], ["--pod", "pod_none"]])
def test_a_key_is_for_somebody_who_is_there(folder, words):
    assert "There is no" in folder.run("key", "create", "one", *words, code=1)
    assert folder.json("key", "list") == []


def test_a_server_beyond_this_machine_wants_a_key_that_is_good(folder):
    assert "relent key create" in folder.run("serve", "--host", "0.0.0.0", code=2)

    key = folder.json("key", "create", "one")["api_key_id"]
    with folder.serving():  # on this machine it never wanted one
        pass
    process = folder.start("serve", "--host", "0.0.0.0")
    folder.wait_until_ready(process)
    process.terminate()
    process.wait(10)

    folder.run("key", "revoke", key)
    assert "relent key create" in folder.run("serve", "--host", "0.0.0.0", code=2)
