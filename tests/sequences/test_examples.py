"""The sequences that ship: each loads, passes its own tests, and is played through a month by the real engine."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.approve import Reviewer, approve
from engine.dispatch import dispatch_due
from engine.enroll import enroll, prepare
from engine.happen import happen
from engine.model import Prospect
from engine.plan import calendar_of
from engine.react import react
from engine.recover import recover
from engine.trial import run
from engine.wake import wake_due
from sequences.loader import load
from tests.doubles import FrozenClock
from tests.makers import pending, people, reply

EXAMPLES = sorted((Path(__file__).parents[2] / "sequences").glob("*.yaml"))
POOLS = {"north": ("sam@acme.example", "kim@acme.example")}
IDA = Prospect(
    email="ida@nordic.example",
    variables={
        "first_name": "Ida",
        "company": "Nordic",
        "site": "nordic.example",
        "timezone": "Europe/Oslo",
        "headcount": "40",
    },
)
LETTERS = {
    "after-the-demo.yaml": ["thanks", "nudge", "goodbye"],
    "free-audit.yaml": ["opener", "nudge", "goodbye"],
    "office-hours.yaml": ["opener", "nudge", "goodbye"],
    "quick-question.yaml": ["step-1", "step-2", "step-3"],
    "the-whole-language.yaml": ["opener", "anybody", "goodbye"],
    "two-lines.yaml": ["step-1", "step-2"],
}

KIM = Reviewer(id="kim@acme.example", names=frozenset({"kim@acme.example", "team:sales"}))


def _files(names):
    return pytest.mark.parametrize("file", EXAMPLES, ids=[file.name for file in EXAMPLES])(names)


def _trials():
    return [(file, trial) for file in EXAMPLES for trial in load(file).tests]


def test_six_examples_ship():
    assert sorted(LETTERS) == [file.name for file in EXAMPLES]


@pytest.mark.parametrize(
    ("file", "trial"), _trials(), ids=[f"{file.stem}: {trial.name}" for file, trial in _trials()]
)
def test_an_example_passes_its_own_tests(file, trial):
    assert run(load(file), trial) == ()


@pytest.fixture
def clock():
    return FrozenClock(datetime(2026, 3, 2, 6, 0, tzinfo=UTC))


@pytest.fixture
def a_month(store, clock, mailbox, pace):
    """From one due letter to the next; a human says yes, twice a day at least, to whatever waits for it."""

    def play(days=40):
        end = clock.now() + timedelta(days=days)
        while clock.now() < end:
            recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
            wake_due(store=store, clock=clock)
            for draft in pending(store, clock.now()):
                if draft["state"] == "held":
                    approve(draft["draft_id"], by=KIM, store=store, clock=clock)
            list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
            clock.pass_(_until_something_is_due(pending(store, clock.now()), clock.now()))

    return play


def _until_something_is_due(drafts, now):
    waits = (draft["send_at"] - now for draft in drafts)
    return min([timedelta(hours=12), *(wait for wait in waits if wait > timedelta(0))])


def _enter(file, store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        enroll(prepare(IDA, load(file)), ledger=ledger, pools=POOLS)


@_files
def test_whoever_is_silent_gets_every_letter_within_a_month(file, store, clock, mailbox, a_month):
    _enter(file, store, clock)
    a_month()
    with store.reading(clock.now()) as ledger:
        sent = [mail["step"] for mail in ledger.views.messages()]
    assert sent == LETTERS[file.name]
    assert [one["state"] for one in people(store, clock.now())] == ["finished"]
    assert len({letter.sender for letter in mailbox.sent}) == 1
    books = calendar_of(load(file), IDA.variables)
    assert all(books.first_open(mail["timestamp"]) == mail["timestamp"] for mail in _messages(store, clock))


@_files
def test_whoever_answers_the_first_letter_gets_no_other(file, store, clock, mailbox, pace, a_month):
    _enter(file, store, clock)
    a_month(days=1)
    [one] = people(store, clock.now())
    event = reply(one["thread_id"], inbox_id=one["inbox_id"])
    react(event, b"", store=store, clock=clock, pace=pace)
    a_month()
    assert len(mailbox.sent) == 1
    assert people(store, clock.now())[0]["stop_reason"] == "replied"


def test_whoever_clicks_is_called_and_not_nudged(store, clock, mailbox, a_month):
    _enter(next(file for file in EXAMPLES if file.name == "after-the-demo.yaml"), store, clock)
    a_month(days=1)
    happen("evt_1", "clicked", IDA.email, "slides", by="a test", store=store, clock=clock)
    a_month()
    assert [mail["step"] for mail in _messages(store, clock)] == ["thanks", "goodbye"]
    with store.reading(clock.now()) as ledger:
        assert [task["step"] for task in ledger.past.tasks()] == ["call"]


def _messages(store, clock):
    with store.reading(clock.now()) as ledger:
        return [mail for mail in ledger.views.messages() if mail["direction"] == "sent"]
