"""A webhook is somebody else's promise. What none has told is found right before the gate, and stops what it stops."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from engine.dispatch import dispatch_due
from engine.errors import PermanentFailure, TemporaryFailure
from engine.heed import hear_missed
from engine.model import Message, Pace
from engine.react import Ignored, Stopped, react
from engine.settle import CalledOff, Delivered, Postponed
from engine.states import DraftState
from engine.store import Yes
from engine.store.inbound import MISSED
from engine.store.tables import draft, tally
from tests.makers import IDA, SAM, enrolled, label_a_follow_up, open_thread, pending, people, reply, sequence

KIM = "kim@nordic.example"


@pytest.fixture
def send(store, clock, mailbox, pace):
    def due(**time):
        clock.pass_(timedelta(**time))
        return list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    return due


@pytest.fixture
def comes_in(store, clock):
    """A letter is kept, by whatever way, and nobody is told."""

    def kept(thread_id, message_id="<quiet@nordic.example>", **more):
        usual = {"inbox_id": SAM, "sender": IDA, "to": (SAM,), "subject": "Re: Hi", "text": "Yes, gladly"}
        letter = Message(
            message_id=message_id,
            thread_id=thread_id,
            direction="received",
            timestamp=clock.now(),
            labels=("received", "unread"),
            **usual | more,
        )
        with store.transaction(clock.now(), "an importer") as ledger:
            ledger.threads.lock([thread_id])
            assert ledger.threads.keep(letter)

    return kept


def bump(store, clock):
    """The follow-up that is pending."""
    return pending(store, clock.now())[0]


def missed(store):
    with store.database.connect() as db:
        return db.scalar(select(tally.c.number).where(tally.c.name == MISSED)) or 0


# --- where a mailbox can be asked ---


def test_an_answer_that_no_webhook_told_is_found_before_the_gate(store, clock, mailbox, send):
    enrolled(store, clock.now())
    send()
    mailbox.hears = lambda: [reply(bump(store, clock)["thread_id"], id="pull/1")]

    [outcome] = send(days=3)

    assert isinstance(outcome, CalledOff)
    assert len(mailbox.sent) == 1
    assert people(store, clock.now())[0]["stop_reason"] == "replied"
    assert missed(store) == 1


def test_what_a_webhook_has_told_already_is_no_miss(store, clock, mailbox, pace, send):
    enrolled(store, clock.now(), wants=sequence(stop={"reply": "never"}))
    send()
    thread = bump(store, clock)["thread_id"]
    react(reply(thread), b"", store=store, clock=clock, pace=pace)
    mailbox.hears = lambda: [reply(thread, id="pull/1")]

    [outcome] = send(days=3)

    assert isinstance(outcome, Delivered)
    assert missed(store) == 0


def test_nobody_is_asked_about_a_first_letter(store, clock, mailbox, send):
    enrolled(store, clock.now())
    send()
    assert mailbox.asked_about == []
    send(days=3)
    assert len(mailbox.asked_about) == 1


def test_a_mailbox_that_cannot_say_just_now_keeps_the_letter_waiting(store, clock, mailbox, send):
    enrolled(store, clock.now())
    send()

    def away():
        raise TemporaryFailure("mail.acme.example is away")

    mailbox.hears = away
    [outcome] = send(days=3)
    assert isinstance(outcome, Postponed)
    assert "mail.acme.example is away" in outcome.why
    assert bump(store, clock)["state"] == "scheduled"

    mailbox.hears = lambda: ()
    assert send(seconds=59) == []
    [outcome] = send(seconds=1)
    assert isinstance(outcome, Delivered)


def test_a_mailbox_that_takes_long_to_say_has_not_said_it(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    clock.pass_(timedelta(days=3))

    at_once = replace(pace, patience_to_listen=timedelta(0))
    [outcome] = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=at_once)

    assert isinstance(outcome, Postponed)
    assert len(mailbox.sent) == 1


def test_a_mailbox_that_cannot_say_for_days_leaves_it_to_a_human(store, clock, mailbox, send):
    enrolled(store, clock.now())
    send()

    def away():
        raise TemporaryFailure("away")

    mailbox.hears = away
    send(days=3)
    for _ in range(40):
        send(hours=2)

    assert bump(store, clock)["state"] == "held"
    assert bump(store, clock)["reason"] == "late"
    assert len(mailbox.sent) == 1


def test_a_mailbox_that_will_never_say_is_no_reason_to_send(store, clock, mailbox, send):
    enrolled(store, clock.now())
    send()

    def shut():
        raise PermanentFailure("401")

    mailbox.hears = shut
    [outcome] = send(days=3)
    assert isinstance(outcome, Postponed)
    assert len(mailbox.sent) == 1


# --- in our own books ---


def test_a_kept_letter_that_nobody_heard_stops_the_follow_up_at_the_gate(
    store, clock, mailbox, send, comes_in
):
    enrolled(store, clock.now())
    send()
    clock.pass_(timedelta(days=1))
    comes_in(bump(store, clock)["thread_id"])

    [outcome] = send(days=2)

    assert isinstance(outcome, CalledOff)
    assert len(mailbox.sent) == 1
    assert pending(store, clock.now()) == []
    assert people(store, clock.now())[0]["stop_reason"] == "replied"
    assert missed(store) == 1


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({"hidden": "unauthenticated"}, "held"),
        ({"headers": {"Auto-Submitted": "auto-replied"}}, "held"),
        ({"headers": {"Auto-Submitted": "no"}}, "cancelled"),
        ({"hidden": "deleted"}, "cancelled"),
    ],
)
def test_what_may_be_a_machine_or_a_forgery_holds_and_does_not_stop(
    store, clock, mailbox, send, comes_in, more, state
):
    enrolled(store, clock.now())
    send()
    comes_in(bump(store, clock)["thread_id"], **more)

    send(days=3)

    assert pending(store, clock.now(), ended=True)[-1]["state"] == state
    assert len(mailbox.sent) == 1


def test_a_letter_that_stops_nobody_keeps_nothing_waiting_for_long(store, clock, mailbox, send, comes_in):
    """A copy of what another inbox of ours wrote: heard once, and the follow-up goes."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(KIM)
    enrolled(store, clock.now())
    send()
    comes_in(bump(store, clock)["thread_id"], sender=KIM)

    [first] = send(days=3)
    [second] = send(minutes=1)

    assert isinstance(first, Postponed)
    assert isinstance(second, Delivered)
    assert missed(store) == 0


@pytest.mark.parametrize("days_before", [0, 1])
def test_what_was_heard_is_not_heard_twice(store, clock, mailbox, pace, send, days_before):
    """Somebody was away, or their provider did not vouch for them, and a human said: go on."""
    enrolled(store, clock.now())
    send()
    clock.pass_(timedelta(days=days_before))
    thread = bump(store, clock)["thread_id"]
    react(reply(thread, verified=False), b"", store=store, clock=clock, pace=pace)
    with store.transaction(clock.now(), "a human") as ledger:
        held = ledger.drafts.get(bump(store, clock)["draft_id"])
        good = held.send_at + timedelta(days=7)
        yes = Yes(by="a human", head=ledger.drafts.head(thread), name="", until=good)
        assert ledger.drafts.approve(held, yes, send_at=held.send_at)

    [outcome] = send(days=3)

    assert isinstance(outcome, Delivered)
    assert hear_missed(thread, store=store, clock=clock) == []


def test_what_somebody_wrote_after_the_letter_came_answers_it(store, clock, mailbox, send, comes_in):
    """A label names it, no sequence made it: whoever wrote it has read what was there."""
    thread = open_thread(store, clock.now())
    comes_in(thread)
    clock.pass_(timedelta(hours=1))
    label_a_follow_up(store, clock.now(), thread, clock.now())
    assert [type(each) for each in send()] == [Delivered]


def test_what_came_after_somebody_wrote_stops_it(store, clock, mailbox, send, comes_in):
    thread = open_thread(store, clock.now())
    label_a_follow_up(store, clock.now(), thread, clock.now() + timedelta(days=3))
    clock.pass_(timedelta(hours=1))
    comes_in(thread)

    [outcome] = send(days=3)

    assert isinstance(outcome, CalledOff)
    assert mailbox.sent == []


def test_one_that_is_heard_in_the_end_by_its_webhook_is_one(store, clock, mailbox, pace, send, comes_in):
    enrolled(store, clock.now())
    send()
    thread = bump(store, clock)["thread_id"]
    comes_in(thread, message_id="<answer@nordic.example>")

    [stopped] = hear_missed(thread, store=store, clock=clock)
    again = react(reply(thread), b"", store=store, clock=clock, pace=pace)

    assert isinstance(stopped, Stopped)
    assert isinstance(again, Ignored)


def test_a_letter_that_is_just_landing_is_waited_for(store, clock, mailbox, send):
    """Ida is one of us, too. What she has sent, and nobody has heard yet, keeps the follow-up to her back."""
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox(IDA)
    send()
    with store.transaction(clock.now(), "a test") as ledger:
        [arrival] = ledger.arrivals.take(10, until=clock.now())
        ledger.arrivals.end(arrival, "landed")
        ledger.arrivals.begin(inbox_id=SAM, message_id="<hers@nordic.example>", from_inbox=IDA)

    [outcome] = send(days=3)
    assert isinstance(outcome, Postponed)
    assert "just now" in outcome.why

    with store.transaction(clock.now(), "a test") as ledger:
        [arrival] = ledger.arrivals.take(10, until=clock.now())
        ledger.arrivals.end(arrival, "landed, and was nothing")
    [outcome] = send(seconds=5)
    assert isinstance(outcome, Delivered)


def test_the_gate_judges_by_itself(store, clock, mailbox, send, comes_in):
    """Also when the letter comes in while all but the dot is with the mail server."""
    enrolled(store, clock.now())
    send()
    thread = bump(store, clock)["thread_id"]
    mailbox.before_gate = lambda letter: comes_in(thread)

    [outcome] = send(days=3)

    assert isinstance(outcome, CalledOff)
    assert len(mailbox.sent) == 1
    with store.database.connect() as db:
        states = set(db.scalars(select(draft.c.state)))
    assert states == {DraftState.SENT, DraftState.CANCELLED}


def test_the_usual_patience_is_shorter_than_a_lease():
    assert Pace().patience_to_listen < Pace().lease / 2
