"""What `relent plan`, `relent apply` and `relent why` show, and what a shell is told."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from engine.dispatch import dispatch_due
from engine.errors import NotFound, Refused
from relent.assemble import SystemClock
from relent.cli_revise import register
from sequences.loader import load
from tests.makers import IDA, enrolled, people

TOM = "tom@harbour.example"
FILE = """\
name: Quick question
from: sam@acme.example
schedule: {windows: 00:00-24:00}
steps:
  - subject: Quick question
    body: Hello
  - after: 3d
    body: Did you see it?
"""


class Person:
    """Somebody at the command line, with a config.yaml and a file that two people are in."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.file = folder / "a question.yaml"
        self.config = folder / "config.yaml"
        self.config.write_text(json.dumps({"database": {"url": database_url}}))
        self.app = typer.Typer()
        register(self.app)

    def writes(self, text: str) -> None:
        self.file.write_text(text)

    def types(self, *words: str, code: int = 0) -> str:
        """Complaints are raised: whoever starts the command turns them into words and exit codes."""
        done = CliRunner().invoke(self.app, [*words, "--config", str(self.config)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    def token(self) -> str:
        return json.loads(self.types("plan", str(self.file), "--json"))["plan"]


@pytest.fixture
def person(tmp_path, database_url):
    return Person(tmp_path, database_url)


@pytest.fixture
def in_flight(person, store, mailbox, pace):
    person.writes(FILE)
    for email in (IDA, TOM):
        enrolled(store, SystemClock().now(), email, wants=load(person.file))
    list(dispatch_due(store=store, mailbox=mailbox, clock=SystemClock(), pace=pace))


def test_a_plan_says_what_it_would_do_and_how_to_do_it(person, in_flight):
    person.writes(FILE.replace("3d", "5d"))
    told = person.types("plan", str(person.file))
    assert "2 people are in flight" in told
    assert "2  re-dated" in told
    assert f"{IDA}: step-2, " in told
    assert " → " in told
    assert f"relent apply '{person.file}' --plan " in told


def test_a_plan_says_that_other_words_are_for_what_comes_later(person, in_flight):
    person.writes(FILE.replace("Did you see it?", "Have you read it?"))
    assert "2 letters that wait keep the words they have" in person.types("plan", str(person.file))
    person.writes(FILE.replace("3d", "5d"))
    assert "keep the words" not in person.types("plan", str(person.file))


def test_what_was_planned_is_applied(person, in_flight, store):
    person.writes(FILE.replace("3d", "5d"))
    told = person.types("apply", str(person.file), "--plan", person.token())
    assert "2  re-dated" in told
    assert {one["version"] for one in people(store, SystemClock().now())} == {load(person.file).version}


def test_for_a_program_it_is_json(person, in_flight):
    person.writes(FILE.replace("3d", "5d"))
    plan = json.loads(person.types("plan", str(person.file), "--json"))
    assert plan["refused"] is None
    assert plan["counts"]["redated"] == 2
    assert {one["email"] for one in plan["people"]} == {IDA, TOM}
    assert plan["people"][0].keys() == {
        "enrollment_id",
        "email",
        "fate",
        "step",
        "state",
        "old",
        "new",
        "why",
    }
    assert plan["people"][0]["new"].endswith("Z")
    done = json.loads(person.types("apply", str(person.file), "--plan", plan["plan"], "--json"))
    assert (done["counts"]["redated"], done["left"]) == (2, [])


def test_what_cannot_be_applied_says_so_before_and_when_it_is_tried(person, in_flight):
    person.writes(FILE.replace("  - after: 3d", "  - body: Something new\n  - after: 3d"))
    told = person.types("plan", str(person.file))
    assert "It cannot be applied so" in told
    assert 'write "id: step-2" there' in told
    assert "relent apply" not in told
    with pytest.raises(Refused, match="told the same twice"):
        person.types("apply", str(person.file), "--plan", person.token())


def test_with_nobody_in_flight_it_says_so(person, store):
    person.writes(FILE)
    assert "nobody is in flight" in person.types("plan", str(person.file))
    person.types("apply", str(person.file), "--plan", person.token())


def test_why_is_told_in_a_few_lines(person, in_flight):
    told = person.types("why", IDA)
    assert "Quick question: active, step-2\n" in told
    assert "3d after step-1, since " in told
    assert "earliest next: " in told
    assert 'what would help: shorten "after" of step-2' in told


def test_why_is_json_for_a_program(person, in_flight):
    told = json.loads(person.types("why", IDA, "--json"))
    [standing] = told["standings"]
    assert (standing["state"], standing["step"], standing["zone"]) == ("active", "step-2", "UTC")
    assert standing["next_at"].endswith("Z")
    assert standing["local_time"].endswith("+00:00")


def test_why_does_not_make_somebody_up(person, store):
    with pytest.raises(NotFound):
        person.types("why", "nobody@nowhere.example")
