"""`relent member`, as a person types it; and the link that `relent serve` prints while there is no admin."""

import re

import pytest

from engine.members import Members
from engine.store import open_store
from relent.assemble import SystemClock
from tests.relent.processes import Folder

PASSWORD = "four plain words together"
LINK = re.compile(r"^http://127\.0\.0\.1:\d+/welcome/([A-Za-z0-9_-]{43})$", re.MULTILINE)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path, "sqlite:///relent.db")


def accept(folder: Folder, link: str, email: str = "") -> None:
    """Somebody opens it in a browser."""
    token = LINK.fullmatch(link.strip())[1]
    store = open_store(f"sqlite:///{folder.path / 'relent.db'}")
    try:
        Members(store=store, clock=SystemClock()).accept(token, PASSWORD, email=email)
    finally:
        store.close()


def printed(folder: Folder) -> list[str]:
    return LINK.findall((folder.path / "log.txt").read_text())


def test_an_invitation_is_printed_alone_so_that_a_shell_can_keep_it(folder):
    made = folder.shell("relent member invite Kim@acme.example --role viewer --team sales --team team:legal")

    assert LINK.fullmatch(made.stdout.strip())
    assert "kim@acme.example becomes a viewer" in " ".join(made.stderr.split())
    assert made.stdout.strip() not in made.stderr
    accept(folder, made.stdout)
    [kim] = folder.json("member", "list")
    assert (kim["email"], kim["role"], kim["teams"]) == ("kim@acme.example", "viewer", ["sales", "legal"])
    assert kim["disabled_at"] is None
    assert "password" not in " ".join(kim)


def test_the_link_leads_to_the_port_that_was_said(folder):
    made = folder.shell("relent member invite ada@acme.example --role admin --port 9123")
    accept(folder, made.stdout)

    assert made.stdout.startswith("http://127.0.0.1:9123/welcome/")
    assert "Port 9123 must be the one" in " ".join(made.stderr.split())
    assert folder.json("member", "reset", "ada@acme.example", "--port", "9124")["link"].startswith(
        "http://127.0.0.1:9124/"
    )


def test_a_member_is_given_another_role_and_disabled_and_let_in_again(folder):
    accept(folder, folder.run("member", "invite", "ada@acme.example", "--role", "admin"))
    accept(folder, folder.run("member", "invite", "kim@acme.example"))

    assert folder.run("member", "role", "kim@acme.example", "admin").split() == ["admin", "kim@acme.example"]
    assert folder.run("member", "disable", "ada@acme.example").split() == ["disabled", "ada@acme.example"]
    assert "only admin" in folder.run("member", "role", "kim@acme.example", "viewer", code=1)
    assert "disabled" in folder.run("member", "reset", "ada@acme.example", code=1)
    accept(folder, folder.run("member", "invite", "ada@acme.example", "--role", "viewer"))

    assert [(each["email"], each["role"]) for each in folder.json("member", "list")] == [
        ("ada@acme.example", "viewer"),
        ("kim@acme.example", "admin"),
    ]


def test_who_has_forgotten_their_password_gets_a_link(folder):
    accept(folder, folder.run("member", "invite", "ada@acme.example", "--role", "admin"))

    made = folder.json("member", "reset", "ada@acme.example")

    assert (made["email"], made["role"]) == ("ada@acme.example", "admin")
    accept(folder, made["link"])
    assert "already" in folder.run("member", "invite", "ada@acme.example", code=1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("invite", "kim@acme.example", "--role", "king"), 2, "viewer, reviewer, admin"),
        (("invite", "kim"), 1, "no e-mail address"),
        (("role", "kim@acme.example", "king"), 2, "viewer, reviewer, admin"),
        (("disable", "kim@acme.example"), 1, "no member kim@acme.example"),
    ],
)
def test_what_cannot_be_is_said_kindly(folder, words, code, said):
    folder.run("member", "list")

    assert said in " ".join(folder.run("member", *words, code=code).split())


def test_serve_prints_a_link_for_the_first_admin_until_there_is_one(folder):
    with folder.serving():
        [first] = printed(folder)
        assert folder.get(f"/welcome/{first}") == 200
    with folder.serving():
        [_, second] = printed(folder)
        assert folder.get(f"/welcome/{first}") == 404
        assert folder.get(f"/welcome/{second}") == 200
        accept(folder, f"http://127.0.0.1:1/welcome/{second}", "ada@acme.example")
    with folder.serving():
        assert len(printed(folder)) == 2
    said = (folder.path / "log.txt").read_text().splitlines()
    assert all(line.startswith("http://") for line in said if first in line or second in line), (
        "never in the log"
    )


def test_several_workers_print_it_once(folder):
    process = folder.start("serve", "--workers", "2")
    try:
        folder.wait_until_ready(process)
        [link] = printed(folder)
        assert [folder.get(f"/welcome/{link}") for _ in range(6)] == [200] * 6
    finally:
        process.terminate()
        process.wait(40)
