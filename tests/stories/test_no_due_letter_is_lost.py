"""Promise 3: every due letter ends as sent, cancelled, failed or uncertain; and waits for its hour, not longer."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from engine.approve import Reviewer, approve
from engine.dispatch import dispatch_due
from engine.enroll import Enrolled, Waits, enroll, prepare
from engine.errors import NotFound, Refused, TemporaryFailure
from engine.model import Prospect
from engine.recover import recover
from engine.settle import Delivered, Postponed
from tests.makers import enrolled, pending, people, sequence


def _send(store, mailbox, clock, pace):
    return list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def test_a_whole_sequence_goes_out_each_mail_at_its_hour_in_one_thread(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    left = []
    for _ in range(10):
        left += [(clock.now(), letter) for letter in mailbox.sent[len(left) :]]
        _send(store, mailbox, clock, pace)
        left += [(clock.now(), letter) for letter in mailbox.sent[len(left) :]]
        clock.pass_(timedelta(days=1))

    first, second, third = (letter for _, letter in left)
    assert [(at - left[0][0]).days for at, _ in left] == [0, 3, 8]
    assert [letter.subject for _, letter in left] == [
        "Quick question",
        "Re: Quick question",
        "Re: Quick question",
    ]
    assert (first.in_reply_to, first.references) == (None, ())
    assert (second.in_reply_to, second.references) == (first.message_id, (first.message_id,))
    assert (third.in_reply_to, third.references) == (second.message_id, (first.message_id, second.message_id))
    assert people(store, clock.now())[0]["state"] == "finished"
    assert pending(store, clock.now()) == []


def test_a_subject_starts_a_new_thread(store, clock, mailbox, pace):
    steps = (
        {"subject": "One", "body": "a"},
        {"after": "1d", "body": "b"},
        {"after": "1d", "subject": "Two", "body": "c"},
    )
    enrolled(store, clock.now(), wants=sequence(*steps, {"after": "1d", "body": "d"}))
    for _ in range(4):
        _send(store, mailbox, clock, pace)
        clock.pass_(timedelta(days=1))

    assert [letter.subject for letter in mailbox.sent] == ["One", "Re: One", "Two", "Re: Two"]
    assert [len(letter.references) for letter in mailbox.sent] == [0, 1, 0, 1]


def test_what_comes_next_is_planned_when_the_one_before_has_really_left(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    assert [draft["step"] for draft in pending(store, clock.now())] == ["step-1"]

    clock.pass_(timedelta(days=1))  # nobody was at work yesterday
    _send(store, mailbox, clock, pace)

    [bump] = pending(store, clock.now())
    assert bump["send_at"] == clock.now() + timedelta(days=3)


def test_not_now_is_tried_again_later_and_later(store, clock, mailbox, pace):
    enrolled(store, clock.now())

    def not_now(_):
        raise TemporaryFailure("451 greylisted")

    mailbox.before_gate = not_now
    waits = []
    for _ in range(6):
        [outcome] = _send(store, mailbox, clock, pace)
        assert isinstance(outcome, Postponed)
        [draft] = pending(store, clock.now())
        waits.append(draft["send_at"] - clock.now())
        assert (draft["state"], draft["reason"]) == ("scheduled", "451 greylisted")
        clock.pass_(waits[-1])

    assert [int(wait.total_seconds() // 60) for wait in waits] == [1, 5, 30, 120, 120, 120]
    mailbox.before_gate = lambda letter: None
    assert [type(outcome) for outcome in _send(store, mailbox, clock, pace)] == [Delivered]


def test_one_letter_that_fails_keeps_nobody_else_waiting(store, clock, mailbox, pace):
    enrolled(store, clock.now(), "a@nordic.example")
    enrolled(store, clock.now(), "b@nordic.example")

    def only_a(letter):
        if letter.to == "a@nordic.example":
            raise TemporaryFailure("451 not now")

    mailbox.before_gate = only_a
    outcomes = _send(store, mailbox, clock, pace)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Delivered", "Postponed"]


def test_what_is_far_too_late_waits_for_a_human(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    clock.pass_(pace.max_lateness + timedelta(hours=1))  # the machine was off
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert _send(store, mailbox, clock, pace) == []
    [draft] = pending(store, clock.now())
    assert (draft["state"], draft["reason"]) == ("held", "late")
    approve(draft["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert [type(outcome) for outcome in _send(store, mailbox, clock, pace)] == [Delivered]


def test_what_is_far_too_late_does_not_leave_before_anybody_has_held_it(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    clock.pass_(pace.max_lateness + timedelta(hours=1))
    assert _send(store, mailbox, clock, pace) == []
    assert mailbox.sent == []


def test_approving_what_is_not_there_or_not_held_says_so(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    [draft] = pending(store, clock.now())

    with pytest.raises(Refused, match="needs no yes: it is scheduled"):
        approve(draft["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    with pytest.raises(NotFound):
        approve("drf_none", by=Reviewer(id="kim"), store=store, clock=clock)


def test_a_batch_that_takes_too_long_lets_the_rest_go_free(store, clock, mailbox, pace):
    for number in range(3):
        enrolled(store, clock.now(), f"p{number}@nordic.example")

    outcomes = _send(store, mailbox, clock, replace(pace, lease=timedelta(microseconds=1)))

    assert {type(outcome) for outcome in outcomes} <= {Postponed}
    assert {draft["state"] for draft in pending(store, clock.now())} == {"scheduled"}
    assert len(_send(store, mailbox, clock, pace)) == 3


def test_a_database_that_is_away_for_a_moment_loses_no_note_of_what_left(
    store, clock, mailbox, pace, monkeypatch
):
    enrolled(store, clock.now())
    real, failures = store.transaction, iter([True, True])

    def away(_):
        def transaction(now, by, **more):
            if next(failures, False):
                raise OperationalError("COMMIT", {}, Exception("server closed the connection"))
            return real(now, by, **more)

        monkeypatch.setattr(store, "transaction", transaction)

    mailbox.after_gate = away
    outcomes = _send(store, mailbox, clock, pace)

    assert [type(outcome) for outcome in outcomes] == [Delivered]
    assert [draft["step"] for draft in pending(store, clock.now())] == ["step-2"]


def test_a_missing_variable_holds_the_person_by_name_until_somebody_hands_it_in(store, clock, mailbox, pace):
    wants = sequence({"subject": "Hi {{ company }}", "body": "Hello {{ first_name }}"})
    with store.transaction(clock.now(), "a test") as ledger:
        held = enroll(
            prepare(Prospect(email="a@nordic.example", variables={"company": "", "first_name": "A"}), wants),
            ledger=ledger,
        )
    assert isinstance(held, Waits)
    assert held.reason == "company is missing"
    assert pending(store, clock.now()) == []
    assert people(store, clock.now())[0]["state"] == "paused"

    with store.transaction(clock.now(), "a test") as ledger:
        more = Prospect(email="a@nordic.example", variables={"company": "Nordic", "first_name": "A"})
        assert isinstance(enroll(prepare(more, wants), ledger=ledger), Enrolled)
    _send(store, mailbox, clock, pace)
    assert mailbox.sent[0].subject == "Hi Nordic"
