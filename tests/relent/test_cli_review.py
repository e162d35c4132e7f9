"""What a human types when letters wait for their yes, and what a shell is told."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import update
from typer.testing import CliRunner

from engine.approve import Reviewer, Seen, Words, edit
from engine.dispatch import dispatch_due
from engine.errors import Forbidden, NotFound, Refused, Stale, Unavailable
from engine.store.tables import draft, inbox
from relent import cli_review
from relent.assemble import SystemClock
from relent.cli_review import register
from relent.show_review import harmless
from tests.makers import IDA, enrolled, pending, people, sequence

TOM = "tom@harbour.example"
KIM = "kim@acme.example"
STEPS = (
    {"subject": "Quick question", "body": "Hello {{ first_name }}, did you see it?\n\nSam"},
    {"after": "3d", "body": "And now?"},
)


class Person:
    """Somebody at the command line."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.config.write_text(json.dumps({"database": {"url": database_url}}))
        self.app = typer.Typer()
        register(self.app)

    def types(self, *words: str, code: int = 0, reads: str | None = None) -> str:
        """Complaints are raised: whoever starts the command turns them into words and exit codes."""
        told = [*words, "--config", str(self.config)]
        done = CliRunner(env={"COLUMNS": "200"}).invoke(self.app, told, input=reads)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    def asks(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.types(*words, "--json", code=code))


@pytest.fixture
def person(database_url: str, tmp_path: Path) -> Person:
    return Person(tmp_path, database_url)


@pytest.fixture
def now() -> datetime:
    return SystemClock().now()


@pytest.fixture
def held(store, now):
    """The id of the letter to Ida that waits for a yes."""
    return _held(store, now)


def _held(store, now, email: str = IDA, first_name: str = "Ida", **above: Any) -> str:
    enrolled(store, now, email, sequence(*STEPS, **({"approval": "all"} | above)), first_name=first_name)
    return str(next(draft["draft_id"] for draft in pending(store, now) if draft["to"] == email))


def _draft(store, draft_id: str) -> Any:
    with store.reading(SystemClock().now()) as ledger:
        return ledger.drafts.get(draft_id)


# --- what waits ---


def test_nothing_waits(person):
    assert "nothing waits for anybody's yes" in person.types("review")
    assert person.asks("review") == []


def test_what_waits_is_listed_the_odd_ones_first(person, store, now, held):
    strange = _held(store, now, TOM, first_name="N/A")
    rows = person.asks("review")
    assert [row["draft_id"] for row in rows] == [strange, held]
    assert rows[0]["oddities"] == ["first_name reads like a stopgap: N/A"]
    names = "draft_id to name inbox_id sequence step subject preview send_at held_for oddities alike yes_by"
    assert set(names.split()) <= rows[0].keys()
    assert rows[1]["send_at"].endswith("Z")
    assert [json.loads(line)["draft_id"] for line in person.types("review", "--jsonl").splitlines()] == [
        strange,
        held,
    ]
    assert "reads" in person.types("review")  # the rest of it is broken to the width of the terminal


def test_more_than_a_page_is_listed(person, store, now, monkeypatch):
    monkeypatch.setattr(cli_review, "_PAGE", 2)
    for number in range(5):
        _held(store, now, f"p{number}@nordic.example")
    assert len({row["draft_id"] for row in person.asks("review")}) == 5


def test_one_letter_is_shown_with_all_that_is_to_be_seen(person, store, now, mailbox, pace, held):
    told = person.types("review", held)
    for words in (
        "held: approval",
        "To:        ida@nordic.example",
        "Sequence:  Quick question, step step-1",
        "first_name=Ida",
        "UTC, if approved now: ",
        "Hello Ida, did you see it?",
        "content_sha ",
    ):
        assert words in told
    shown = person.asks("review", held)
    assert shown["text"] == "Hello Ida, did you see it?\n\nSam\n"
    assert (shown["template"].startswith("Hello {{ first_name }}"), shown["conversation"]) == (True, [])
    assert (shown["head"], shown["may_say_yes"], shown["variables"]["first_name"]) == (0, [], "Ida")
    assert shown["content_sha"] == _draft(store, held).content_sha


def test_what_was_changed_by_hand_and_said_before_is_shown(person, store, now, held):
    person.types("edit", held, "--text", "-", reads="Hello Ida, did you read it?\n\nSam")
    told = person.types("review", held)
    assert "did you [-see-]{+read+} it?" in told
    assert "edited by the command line" in told


def test_what_a_stranger_wrote_moves_no_cursor(person, store, now, held):
    strange = "a\x1b[31mb\r\u202ec\n\td 🙂 é\u00a0"
    assert harmless(strange) == "a\ufffd[31mb\ufffd\ufffdc\n\td 🙂 é\u00a0"
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.id == held).values(text=strange, names={IDA: strange}))
    for told in (person.types("review", held), person.types("review")):
        assert not {"\x1b", "\u202e"} & set(told)


def test_all_that_a_yes_is_bound_to_is_shown(person, store, held):
    with store.database.begin() as db:
        db.execute(update(inbox).values(display_name="Sam of Acme"))
        db.execute(
            update(draft)
            .where(draft.c.id == held)
            .values(
                names={IDA: "Ida Holm"},
                reply_to=["desk@acme.example"],
                headers={"X-Campaign": "spring"},
                forward_of="<a@nordic.example>",
                html="<style>p { color: red }</style><p>Dear <b>Ida</b>,</p><p>pay &amp; go</p>",
            )
        )
    told = person.types("review", held)
    for words in (
        "From:      sam@acme.example, called Sam of Acme\n",
        "Called:    ida@nordic.example: Ida Holm\n",
        "Reply to:  desk@acme.example\n",
        "Header:    X-Campaign: spring\n",
        "Forwards:  <a@nordic.example>, with its words and its files\n",
        "It has an HTML part, too. That reads:\n\nDear Ida,\n\npay & go\n",
    ):
        assert words in told
    assert "color" not in told
    assert "Answers:" not in told
    shown = person.asks("review", held)
    assert (shown["from_name"], shown["names"]) == ("Sam of Acme", {IDA: "Ida Holm"})
    assert (shown["reply_to"], shown["headers"]) == (["desk@acme.example"], {"X-Campaign": "spring"})
    assert (shown["forward_of"], shown["in_reply_to"]) == ("<a@nordic.example>", None)


@pytest.mark.parametrize("html", ["<img src='cid:logo'>", "<p>Hi<![CDATA[" + "<![CDATA[" * 1000])
def test_an_html_part_without_readable_words_is_shown_as_it_is_written(person, store, held, html):
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.id == held).values(html=html))
    assert html in person.types("review", held)


def test_no_header_name_or_html_looks_like_anything_else(person, store, held):
    strange = "\x1b[2Ja [bold]b[/bold]\r\nYes of:    anybody\u2028\u202egnp"
    values = {
        "names": {IDA: strange, strange: "c"},
        "headers": {"X-Strange": strange, strange: "d"},
        "reply_to": [strange],
        "in_reply_to": strange,
        "forward_of": strange,
        "html": f"<p>{strange}&#27;[31m</p>",
    }
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.id == held).values(**values))
    told = person.types("review", held)
    assert not {"\x1b", "\r", "\u202e"} & set(told)
    assert "[bold]b[/bold]" in told
    head = told[: told.index("content_sha ")].split("It has an HTML part")[0]
    assert not any(line.startswith("Yes of:") for line in head.splitlines())


def test_a_letter_that_is_not_there_is_said_to_be_so(person):
    with pytest.raises(NotFound, match="drf_none"):
        person.types("review", "drf_none")


# --- yes ---


def test_a_yes_lets_it_go_and_says_when(person, store, held):
    assert person.types("approve", held).startswith(f"approved  {held}  leaves ")
    now_is = _draft(store, held)
    assert (now_is.state, now_is.approved_by) == ("scheduled", "the command line")


def test_whose_word_it_is_stands_in_the_log(person, store, held):
    [row] = person.asks("approve", held, "--as", "Kim@acme.example")
    assert (row["draft_id"], row["approved"], row["why"]) == (held, True, None)
    assert row["send_at"].endswith("Z")
    assert _draft(store, held).approved_by == f"the command line, as {KIM}"


def test_what_a_command_has_said_is_sealed_when_it_ends(person, store, held):
    person.types("approve", held)
    with store.reading(SystemClock().now()) as ledger:
        head = ledger.blocks.last()
        last = ledger.blocks.lines(0, at_most=1000)[-1]
    assert head is not None
    assert head.up_to == last[0]


def test_who_may_not_is_told_what_to_type(person, store, now):
    held = _held(store, now, approval={"steps": "all", "by": [KIM, "team:sales"]})
    told = person.types("approve", held, code=1)
    assert "only kim@acme.example or team:sales may say yes" in told
    assert f"relent approve {held} --as kim@acme.example" in told
    with pytest.raises(Forbidden, match=f"relent send-now {held} --as kim"):
        person.types("send-now", held)
    assert _draft(store, held).state == "held"
    person.types("approve", held, "--as", "TEAM:sales")
    assert _draft(store, held).state == "scheduled"


def test_of_several_those_that_can_are_approved_and_the_others_say_why(person, store, now, held):
    other = _held(store, now, TOM)
    person.types("approve", held)
    told = person.types("approve", held, other, "drf_none", code=1)
    assert f"left  {held}: {held} is approved by the command line already" in told
    assert f"approved  {other}" in told
    assert "left  drf_none: there is no draft drf_none" in told


def test_a_yes_may_be_bound_to_what_was_seen(person, store, now, held):
    seen = person.asks("review", held)
    edit(
        held,
        Words(text="Other words"),
        yes=False,
        by=Reviewer(id="lee"),
        seen=None,
        store=store,
        clock=SystemClock(),
    )
    told = person.types("approve", held, "--sha", seen["content_sha"], code=1)
    assert "says something else by now: lee changed it" in told
    again = person.asks("review", held)["content_sha"]
    person.types("approve", held, "--sha", again[:12])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("approve",), "name drafts, or say --restored"),
        (("approve", "drf_1", "--restored"), "name drafts, or say --restored"),
        (("approve", "drf_1", "drf_2", "--sha", "0" * 64), "--sha is of one draft"),
        (("approve", "drf_1", "--as", " "), "--as: write an address"),
        (("reject", "drf_1", "--why", "no", "--then", "sleep"), "write pause, skip or stop"),
        (("reject", "drf_1"), "--why"),
        (("edit", "drf_1"), "there is no terminal for an editor: say --text FILE"),
        (("edit", "drf_1", "--text", "none.txt"), "No such file"),
        (("reschedule", "drf_1", "tomorrow"), "Write 2026-03-02T09:30+01:00"),
        (("reschedule", "drf_1", "2099-03-02T09:30"), "by which clock? Write 2099-03-02T09:30+01:00"),
        (("reschedule", "drf_1", "2099-03-02 09:30 Europe/Olso"), "Did you mean Europe/Oslo?"),
        (("reschedule", "drf_1", "2099-03-02T09:30Z Europe/Oslo"), "says its zone twice"),
        (("reschedule", "drf_1", "2027-03-28 02:30 Europe/Oslo"), "never show 02:30"),
    ],
)
def test_what_was_written_wrong_is_exit_2_in_words(person, words, told):
    said = person.types(*words, code=2)
    assert told in " ".join(said.replace("│", " ").split())


def test_a_short_hash_is_no_proof_of_what_was_seen(person, held):
    assert "at least 12 letters" in person.types("approve", held, "--sha", "0a", code=2)


def test_those_that_are_alike_are_approved_at_once_and_the_odd_ones_left(person, store, now, held):
    alike = [_held(store, now, f"p{number}@nordic.example") for number in range(3)]
    strange = _held(store, now, TOM, first_name="N/A")
    rows = person.asks("approve", "--alike", held)
    assert {row["draft_id"] for row in rows if row["approved"]} == {held, *alike}
    assert _draft(store, strange).state == "held"


def test_what_was_reworded_is_like_nothing(person, held):
    person.types("edit", held, "--text", "-", reads="My own words")
    with pytest.raises(Refused, match="it was reworded"):
        person.types("approve", "--alike", held)


def test_one_that_was_refused_is_tried_again(person, store, now, held):
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.id == held).values(state="failed", outcome="550 no such user"))
    person.types("approve", held)
    assert _draft(store, held).state == "scheduled"


def test_all_that_a_restored_database_holds_are_approved_at_once(person, store, now, held):
    said = {"approved_sha": draft.c.content_sha, "approved_by": "kim"}
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.id == held).values(outcome="restored", **said))
    assert person.types("approve", "--restored").startswith(f"approved  {held}")
    assert "nothing was held for that" in person.types("approve", "--restored")


def test_of_what_a_restored_database_holds_words_without_a_yes_are_left(person, store, held):
    with store.database.begin() as db:
        db.execute(update(draft).where(draft.c.id == held).values(outcome="restored"))
    told = person.types("approve", "--restored", code=1)
    assert f"left  {held}: nobody has said yes to it" in told
    assert _draft(store, held).outcome == "restored"


def test_a_yes_that_waits_for_no_hour(person, store, held, mailbox, pace):
    assert "leaves now" in person.types("send-now", held)
    list(dispatch_due(store=store, mailbox=mailbox, clock=SystemClock(), pace=pace))
    assert [letter.to for letter in mailbox.sent] == [IDA]


def test_another_hour_is_said_with_its_zone(person, store, held):
    far = datetime.now(UTC).year + 1
    told = person.types("reschedule", held, f"{far}-03-02", "09:30", "Europe/Oslo")
    assert f"02 Mar {far} 08:30 UTC" in told
    assert _draft(store, held).send_at == datetime(far, 3, 2, 8, 30, tzinfo=UTC)
    assert _draft(store, held).state == "held"
    done = person.asks("reschedule", held, f"{far}-03-02T09:30-05:00")
    assert done == {"draft_id": held, "send_at": f"{far}-03-02T14:30:00.000Z"}


def test_an_hour_that_has_passed_is_refused(person, store, held):
    before = _draft(store, held).send_at
    assert "is no hour to come" in person.types("reschedule", held, "2020-01-01T00:00Z", code=2)
    assert _draft(store, held).send_at == before


def test_a_yes_is_taken_back(person, store, held):
    person.types("approve", held)
    assert "waits for a yes again" in person.types("withdraw", held, "--why", "on second thoughts")
    assert _draft(store, held).state == "held"
    with pytest.raises(Stale):
        person.types("withdraw", held)


# --- no ---


@pytest.mark.parametrize(
    ("then", "state", "life"), [("pause", "held", "paused"), ("stop", "cancelled", "stopped")]
)
def test_a_no_has_the_consequence_that_was_said(person, store, now, held, then, state, life):
    assert person.asks("reject", held, "--why", "not like this", "--then", then) == {
        "draft_id": held,
        "rejected": True,
        "then": then,
    }
    assert _draft(store, held).state == state
    assert [one["state"] for one in people(store, now)] == [life]
    assert "not like this" in person.types("review", held)


def test_what_has_left_cannot_be_refused(person, store, held, mailbox, pace):
    person.types("send-now", held)
    list(dispatch_due(store=store, mailbox=mailbox, clock=SystemClock(), pace=pace))
    with pytest.raises(Stale, match="has left"):
        person.types("reject", held, "--why", "too late")


# --- other words ---


def test_other_words_come_from_a_file_or_from_what_comes_in(person, store, held):
    (person.folder / "letter.txt").write_text("Hello Ida,\n\nother words", "utf-8")
    told = person.types("edit", held, "--text", str(person.folder / "letter.txt"))
    assert f"waits for a yes: relent approve {held}" in told
    assert _draft(store, held).text == "Hello Ida,\n\nother words\n"
    done = json.loads(person.types("edit", held, "--text", "-", "--approve", "--json", reads="Yes, these"))
    said = _draft(store, held)
    assert (said.text, said.state, done["approved"]) == ("Yes, these\n", "scheduled", True)
    assert done["content_sha"] == said.content_sha


def test_another_subject_for_the_first_letter(person, store, held):
    person.types("edit", held, "--subject", "A question")
    assert _draft(store, held).subject == "A question"


def test_a_file_that_is_no_text_is_refused(person, held):
    (person.folder / "letter.txt").write_bytes(b"\xff\xfe")
    told = person.types("edit", held, "--text", str(person.folder / "letter.txt"), code=2)
    assert "it is not in UTF-8" in " ".join(told.replace("│", " ").split())


def _editor(person: Person, line: str) -> str:
    """Somebody who types very fast."""
    script = person.folder / "editor"
    script.write_text(f"#!/bin/sh\n{line}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def test_at_a_terminal_an_editor_opens(person, store, held, monkeypatch):
    monkeypatch.setattr(cli_review, "_at_a_terminal", lambda: True)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", _editor(person, 'sed -i s/see/read/ "$1"'))
    person.types("edit", held)
    assert "did you read it?" in _draft(store, held).text
    monkeypatch.setenv("EDITOR", "true")
    assert "nothing was changed" in person.types("edit", held)
    monkeypatch.setenv("EDITOR", "false")
    with pytest.raises(Unavailable, match="nothing was changed"):
        person.types("edit", held)
    monkeypatch.setenv("EDITOR", "no-such-editor")
    with pytest.raises(Unavailable, match="Set EDITOR"):
        person.types("edit", held)


def test_whoever_changed_it_while_the_editor_was_open_is_named(person, store, held, monkeypatch):
    monkeypatch.setattr(cli_review, "_at_a_terminal", lambda: True)

    def meanwhile(text: str) -> str:
        seen = Seen(content_sha=_draft(store, held).content_sha)
        edit(
            held,
            Words(text="Lee's"),
            yes=False,
            by=Reviewer(id="lee"),
            seen=seen,
            store=store,
            clock=SystemClock(),
        )
        return text + "mine"

    monkeypatch.setattr(cli_review, "_in_an_editor", meanwhile)
    with pytest.raises(Stale, match="lee changed it"):
        person.types("edit", held)
    assert _draft(store, held).text == "Lee's\n"
