"""Promise 2: no mail is sent twice, whoever dies and however many hands are at work."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from engine import carry
from engine.approve import Reviewer, approve
from engine.dispatch import dispatch_due
from engine.enroll import AlreadyIn, enroll, prepare
from engine.errors import NoAnswer, PermanentFailure, Refused
from engine.model import Prospect
from engine.react import react
from engine.recover import recover, settle_doubt
from engine.seams import Trace
from engine.settle import Delivered, GaveUp, InDoubt, Postponed, departed
from tests.doubles import MemoryMailbox
from tests.makers import IDA, enrolled, pending, people, reply, sequence


class Died(BaseException):
    """The worker is gone, as after kill -9: nothing of it runs any more."""


def _die(_):
    raise Died


def _work_and_die(store, mailbox, clock, pace):
    with pytest.raises(Died):
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def test_many_hands_send_each_letter_once(store, clock, pace):
    with store.transaction(clock.now(), "a test") as ledger:
        for number in range(60):
            enroll(prepare(Prospect(email=f"p{number}@nordic.example"), sequence()), ledger=ledger)
    small = replace(pace, batch=7)

    def hands(_):
        mailbox = MemoryMailbox()
        while list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=small)):
            pass
        return [letter.to for letter in mailbox.sent]

    with ThreadPoolExecutor(6) as pool:
        sent = Counter(to for letters in pool.map(hands, range(6)) for to in letters)

    assert len(sent) == 60
    assert set(sent.values()) == {1}


def test_enrolling_twice_is_one_enrolment(store, clock, mailbox, pace):
    enrollment_id = enrolled(store, clock.now())

    with store.transaction(clock.now(), "a test") as ledger:
        again = enroll(prepare(Prospect(email=IDA.upper()), sequence()), ledger=ledger)

    assert again == AlreadyIn(enrollment_id, "active")
    assert len(pending(store, clock.now())) == 1


def test_who_has_answered_is_not_enrolled_again(store, clock, pace):
    enrollment_id = enrolled(store, clock.now())
    react_to = reply(pending(store, clock.now())[0]["thread_id"])
    react(react_to, b"", store=store, clock=clock, pace=pace)

    with store.transaction(clock.now(), "a test") as ledger:
        assert enroll(prepare(Prospect(email=IDA), sequence()), ledger=ledger) == AlreadyIn(
            enrollment_id, "replied"
        )


def test_a_worker_that_dies_before_the_gate_leaves_the_letter_to_the_next(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    mailbox.before_gate = _die
    _work_and_die(store, mailbox, clock, pace)
    assert pending(store, clock.now())[0]["state"] == "claimed"

    mailbox.before_gate = lambda letter: None
    assert (
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)) == []
    )  # the lease still runs
    clock.pass_(pace.lease + timedelta(seconds=1))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)

    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    assert [type(outcome) for outcome in outcomes] == [Delivered]
    assert len(mailbox.sent) == 1


def test_a_worker_that_wakes_after_its_lease_fails_at_the_gate(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    second = MemoryMailbox()

    def sleep_long(_):
        clock.pass_(pace.lease + timedelta(seconds=1))
        recover(store=store, mailbox=second, clock=clock, pace=pace)
        list(dispatch_due(store=store, mailbox=second, clock=clock, pace=pace))

    mailbox.before_gate = sleep_long
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert (len(mailbox.sent), len(second.sent)) == (0, 1)


def test_a_worker_that_dies_past_the_gate_leaves_a_doubt_that_only_proof_or_a_human_ends(
    store, clock, mailbox, pace
):
    enrolled(store, clock.now())
    mailbox.after_gate = _die
    _work_and_die(store, mailbox, clock, pace)
    mailbox.after_gate = lambda letter: None

    clock.pass_(pace.fence - timedelta(seconds=1))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert pending(store, clock.now())[0]["state"] == "releasing"
    clock.pass_(timedelta(seconds=2))
    for _ in range(3):
        recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
        assert list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)) == []

    [draft] = pending(store, clock.now())
    assert (draft["state"], draft["send_status"]) == ("uncertain", "failed")
    assert mailbox.sent == []


def test_a_doubt_that_the_mailbox_can_clear_is_cleared(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    mailbox.after_gate = _die
    _work_and_die(store, mailbox, clock, pace)
    clock.pass_(pace.fence + timedelta(seconds=1))

    mailbox.knows = Trace.FOUND
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert [draft["step"] for draft in pending(store, clock.now())] == [
        "step-2"
    ]  # it left: the next is planned
    assert mailbox.sent == []


def test_a_doubt_that_our_own_mistake_keeps_from_being_cleared_keeps_nobody_else_waiting(
    store, clock, mailbox, pace, monkeypatch
):
    def trips(draft, *rest, **more):
        if draft.to == IDA:
            raise ZeroDivisionError
        return departed(draft, *rest, **more)

    enrolled(store, clock.now())
    mailbox.after_gate = _die
    _work_and_die(store, mailbox, clock, pace)
    enrolled(store, clock.now(), "ola@nordic.example")
    _work_and_die(store, mailbox, clock, pace)
    clock.pass_(pace.fence + timedelta(seconds=1))

    mailbox.knows = Trace.FOUND
    monkeypatch.setattr("engine.recover.departed", trips)
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert {draft["to"]: draft["state"] for draft in pending(store, clock.now())} == {
        IDA: "uncertain",
        "ola@nordic.example": "scheduled",
    }


def test_a_letter_that_certainly_did_not_leave_is_sent_once(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    mailbox.after_gate = _die
    _work_and_die(store, mailbox, clock, pace)
    mailbox.after_gate = lambda letter: None
    clock.pass_(pace.fence + timedelta(seconds=1))

    mailbox.knows = Trace.ABSENT
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert len(mailbox.sent) == 1


def test_silence_after_the_dot_is_a_doubt_and_no_second_letter(store, clock, mailbox, pace):
    enrolled(store, clock.now())

    def silence(_):
        raise NoAnswer("no answer after the last dot")

    mailbox.after_gate = silence
    [outcome] = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert isinstance(outcome, InDoubt)
    clock.pass_(timedelta(days=1))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)) == []


def test_a_doubt_about_somebody_who_answered_ends_as_cancelled_when_it_certainly_did_not_leave(
    store, clock, mailbox, pace
):
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    mailbox.after_gate = _die
    _work_and_die(store, mailbox, clock, pace)
    clock.pass_(pace.fence + timedelta(seconds=1))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    react(reply(thread_id), b"", store=store, clock=clock, pace=pace)  # does not wait: nothing is in the air

    mailbox.knows = Trace.ABSENT
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert [draft["state"] for draft in pending(store, clock.now(), ended=True)] == ["cancelled"]
    assert list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)) == []


def test_what_the_server_refuses_for_good_is_shown_and_not_tried_again(store, clock, mailbox, pace):
    enrolled(store, clock.now())

    def refuse(_):
        raise PermanentFailure("550 5.1.1 no such user")

    mailbox.before_gate = refuse
    [outcome] = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert outcome == GaveUp(outcome.draft_id, "550 5.1.1 no such user")
    clock.pass_(timedelta(days=1))
    assert list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)) == []
    assert people(store, clock.now())[0]["reason"] == "failed: 550 5.1.1 no such user"
    mailbox.before_gate = lambda letter: None
    approve(outcome.draft_id, by=Reviewer(id="kim"), store=store, clock=clock)  # a human: try again
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    assert len(mailbox.sent) == 1


def _in_doubt(store, mailbox, clock, pace):
    enrolled(store, clock.now())

    def silence(_):
        raise NoAnswer("no answer after the last dot")

    mailbox.after_gate = silence
    [outcome] = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)
    mailbox.after_gate = lambda letter: None
    return outcome.draft_id


def test_a_human_who_found_it_in_the_mailbox_ends_the_doubt_and_the_sequence_goes_on(
    store, clock, mailbox, pace
):
    draft_id = _in_doubt(store, mailbox, clock, pace)

    settle_doubt(draft_id, left=True, by="kim", store=store, clock=clock)

    assert [draft["step"] for draft in pending(store, clock.now())] == ["step-2"]
    with pytest.raises(Refused, match="there is no doubt"):
        settle_doubt(draft_id, left=False, by="kim", store=store, clock=clock)


def test_a_human_who_did_not_find_it_has_it_sent_once(store, clock, mailbox, pace):
    draft_id = _in_doubt(store, mailbox, clock, pace)

    settle_doubt(draft_id, left=False, by="kim", store=store, clock=clock)
    for _ in range(3):
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert len(mailbox.sent) == 1


def test_whatever_is_in_doubt_is_asked_about_some_at_a_time(store, clock, mailbox, pace, monkeypatch):
    """By its name: nobody reads its texts for that, and whoever writes meanwhile is not held up."""
    monkeypatch.setattr("engine.recover._AT_ONCE", 2)

    def silence(_):
        raise NoAnswer("no answer after the last dot")

    mailbox.after_gate = silence
    for number in range(5):
        enrolled(store, clock.now(), f"p{number}@nordic.example")
    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    ids = sorted(outcome.draft_id for outcome in outcomes)
    with store.reading(clock.now()) as ledger:
        assert ledger.drafts.in_doubt(3) == (5, ids[:3])
        assert ledger.drafts.doubtful({"another"}, after="", at_most=9) == []
    mailbox.knows = Trace.FOUND
    assert recover(store=store, mailbox=mailbox, clock=clock, pace=pace).proven == 5
    assert recover(store=store, mailbox=mailbox, clock=clock, pace=pace).proven == 0


def test_what_is_said_of_an_earlier_try_is_no_proof_of_this_one(store, clock, mailbox, pace, monkeypatch):
    """While the mailbox was asked, a human had it sent again, and its fate is not known again."""
    draft_id = _in_doubt(store, mailbox, clock, pace)

    def meanwhile(_):
        settle_doubt(draft_id, left=False, by="kim", store=store, clock=clock)
        mailbox.after_gate = silence
        list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
        return Trace.ABSENT

    def silence(_):
        raise NoAnswer("no answer after the last dot")

    monkeypatch.setattr(mailbox, "find", meanwhile)
    assert recover(store=store, mailbox=mailbox, clock=clock, pace=pace).proven == 0
    assert [draft["state"] for draft in pending(store, clock.now())] == ["uncertain"]


def test_only_the_mailbox_that_carried_a_letter_can_say_that_it_did_not_leave(store, clock, mailbox, pace):
    """Somebody changes the transport while a letter is in doubt: the new one knows nothing of it."""
    _in_doubt(store, mailbox, clock, pace)
    another = MemoryMailbox()
    another.name, another.knows = "another", Trace.ABSENT

    recover(store=store, mailbox=another, clock=clock, pace=pace)

    assert list(dispatch_due(store=store, mailbox=another, clock=clock, pace=pace)) == []


@pytest.mark.parametrize("when", ["before_gate", "after_gate"])
def test_a_mistake_of_ours_in_one_letter_stops_no_other_and_repeats_none(store, clock, mailbox, pace, when):
    enrolled(store, clock.now(), "a@nordic.example")
    enrolled(store, clock.now(), "b@nordic.example")

    def mistake(letter):
        if letter.to == "a@nordic.example":
            raise KeyError("oops")

    setattr(mailbox, when, mistake)
    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert {type(outcome) for outcome in outcomes} == {
        Delivered,
        Postponed if when == "before_gate" else InDoubt,
    }
    assert [letter.to for letter in mailbox.sent] == ["b@nordic.example"]


UNSPEAKABLE = IntegrityError("INSERT", {}, Exception("a column wants something else"))


@pytest.mark.parametrize("mistake", [ZeroDivisionError(), UNSPEAKABLE], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("others", [1, 60], ids=["one line", "several lines"])
def test_a_letter_that_left_and_cannot_be_noted_is_a_doubt_at_once(
    store, clock, mailbox, pace, monkeypatch, caplog, mistake, others
):
    """Neither is it tried again for ten minutes, nor does it end the batch."""
    for email in (IDA, *(f"p{each}@nordic.example" for each in range(others))):
        enrolled(store, clock.now(), email)

    def trips(draft, *rest, **more):
        if draft.to == IDA:
            raise mistake
        return departed(draft, *rest, **more)

    monkeypatch.setattr(carry, "departed", trips)
    other = MemoryMailbox()
    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace, beside=[other]))

    assert Counter(map(type, outcomes)) == {Delivered: others, InDoubt: 1}
    doubtful = [draft for draft in pending(store, clock.now()) if draft["state"] != "scheduled"]
    assert [(draft["to"], draft["state"]) for draft in doubtful] == [(IDA, "uncertain")]
    assert len(mailbox.sent) + len(other.sent) == others + 1
    assert "our own mistake" in caplog.text


def test_not_even_a_doubt_that_cannot_be_noted_ends_the_batch(store, clock, mailbox, pace, monkeypatch):
    for email in ("ola@nordic.example", IDA):
        enrolled(store, clock.now(), email)

    def trips(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(carry, "departed", trips)
    monkeypatch.setattr(carry, "doubted", trips)
    outcomes = list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))

    assert [type(outcome) for outcome in outcomes] == [InDoubt, InDoubt]
    assert {draft["state"] for draft in pending(store, clock.now())} == {"releasing"}  # recovery sees to them


def test_a_worker_that_is_told_to_stop_puts_back_what_it_has_not_begun(store, clock, mailbox, pace):
    for number in range(5):
        enrolled(store, clock.now(), f"p{number}@nordic.example")

    due = dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace)
    next(due)
    due.close()

    assert len(mailbox.sent) == 1
    waiting = [draft for draft in pending(store, clock.now()) if draft["step"] == "step-1"]
    assert {(draft["state"], draft["attempt"]) for draft in waiting} == {("scheduled", 0)}
    assert mailbox.rested == 1
