"""Promise 1: once a reply's webhook was answered 2xx, no pending follow-up to that person is ever sent."""

import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from engine.approve import Reviewer, approve
from engine.dispatch import dispatch_due
from engine.enroll import AlreadyIn, NotWanted, Waits, enroll, prepare
from engine.errors import PermanentFailure, StillSending, TemporaryFailure
from engine.events import AutoReply, Bounce, Complaint
from engine.model import Prospect, Withdrawn
from engine.react import Held, Ignored, Stopped, react
from engine.recover import recover
from engine.resume import resume
from engine.settle import CalledOff, Delivered, Postponed
from engine.states import HoldReason, StopReason
from engine.store import Reach
from tests.makers import (
    IDA,
    SAM,
    enrolled,
    label_a_follow_up,
    open_thread,
    pending,
    people,
    received,
    reply,
    sequence,
    signed,
)

YEAR = timedelta(days=365)


def _send_all(store, mailbox, clock, pace):
    return list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def test_a_reply_cancels_what_was_still_to_be_said(door, store, clock, mailbox, pace):
    enrolled(store, clock.now())
    _send_all(store, mailbox, clock, pace)
    [bump] = pending(store, clock.now())

    answer = door.post("/webhooks/agentmail", **signed(received(bump["thread_id"]), clock.now()))

    assert answer.status_code == 204
    assert pending(store, clock.now()) == []
    clock.pass_(YEAR)
    assert _send_all(store, mailbox, clock, pace) == []
    assert len(mailbox.sent) == 1
    assert [(person["state"], person["stop_reason"]) for person in people(store, clock.now())] == [
        ("stopped", "replied")
    ]


def test_the_thread_bears_the_drafts_label_exactly_as_long_as_it_is_pending(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    with store.reading(clock.now()) as ledger:
        assert ledger.threads.labels(first["thread_id"]) == [f"follow-up:{first['draft_id']}"]

    _send_all(store, mailbox, clock, pace)

    [second] = pending(store, clock.now())
    with store.reading(clock.now()) as ledger:
        assert ledger.threads.labels(first["thread_id"]) == [f"follow-up:{second['draft_id']}"]
    react(reply(first["thread_id"]), b"", store=store, clock=clock, pace=pace)
    with store.reading(clock.now()) as ledger:
        assert ledger.threads.labels(first["thread_id"]) == []


def test_every_labelled_follow_up_of_a_thread_goes_not_the_first_only(door, store, clock):
    thread_id = open_thread(store, clock.now())
    drafts = {
        label_a_follow_up(store, clock.now(), thread_id, clock.now() + timedelta(days=day))
        for day in (1, 2, 3)
    }
    assert {draft["draft_id"] for draft in pending(store, clock.now())} == drafts

    answer = door.post("/webhooks/agentmail", **signed(received(thread_id), clock.now()))

    assert answer.status_code == 204
    assert pending(store, clock.now()) == []
    assert {draft["state"] for draft in pending(store, clock.now(), ended=True)} == {"cancelled"}
    with store.reading(clock.now()) as ledger:
        assert ledger.threads.labels(thread_id) == []


def test_a_draft_that_no_label_names_is_not_a_follow_up(store, clock, pace):
    thread_id = open_thread(store, clock.now())
    draft_id = label_a_follow_up(store, clock.now(), thread_id, clock.now() + timedelta(days=1))
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.untag([draft_id])

    react(reply(thread_id), b"", store=store, clock=clock, pace=pace)

    assert [draft["draft_id"] for draft in pending(store, clock.now())] == [draft_id]


def test_heard_twice_is_one_effect(door, store, clock, mailbox, pace):
    enrolled(store, clock.now())
    _send_all(store, mailbox, clock, pace)
    [bump] = pending(store, clock.now())
    post = signed(received(bump["thread_id"]), clock.now())

    answers = [door.post("/webhooks/agentmail", **post).status_code for _ in range(5)]

    assert answers == [204] * 5
    with store.reading(clock.now()) as ledger:
        status = ledger.views.status(clock.now())
        assert len([m for m in ledger.views.messages() if m["direction"] == "received"]) == 1
    assert status["webhooks"] == {"received": 1, "refused": 0, "cancelled": 1}


def test_the_same_mail_under_another_events_name_is_one_effect(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]

    first = react(reply(thread_id), b"", store=store, clock=clock, pace=pace)
    second = react(reply(thread_id, id="evt_2"), b"", store=store, clock=clock, pace=pace)

    assert isinstance(first, Stopped)
    assert isinstance(second, Ignored)


@pytest.mark.parametrize(
    "how",
    [
        {"sender": SAM},
        {"sender": "Sam@Acme.example"},
        {"sender": None, "message_id": "ours"},
        {"sender": "kim@acme.example"},
    ],
    ids=["from the inbox itself", "in other letters", "by its Message-ID", "from another inbox of ours"],
)
def test_our_own_mail_is_never_a_reply(store, clock, mailbox, pace, how):
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox("kim@acme.example")
    _send_all(store, mailbox, clock, pace)
    [bump] = pending(store, clock.now())
    if how.get("message_id"):
        how = how | {"message_id": mailbox.sent[0].message_id}

    react(reply(bump["thread_id"], **how), b"", store=store, clock=clock, pace=pace)

    assert [draft["draft_id"] for draft in pending(store, clock.now())] == [bump["draft_id"]]


def test_a_person_who_is_an_inbox_of_ours_can_answer(store, clock, mailbox, pace):
    """Two of our own inboxes may write to each other: a demo, a test, two departments."""
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox("kim@acme.example")
    enrolled(store, clock.now(), "kim@acme.example")
    [first] = pending(store, clock.now())

    reaction = react(
        reply(first["thread_id"], sender="kim@acme.example"), b"", store=store, clock=clock, pace=pace
    )

    assert isinstance(reaction, Stopped)


def test_a_colleagues_answer_in_the_thread_stops_it(store, clock, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())

    react(reply(first["thread_id"], sender="boss@nordic.example"), b"", store=store, clock=clock, pace=pace)

    assert pending(store, clock.now()) == []


def test_an_answer_in_a_thread_of_its_own_stops_the_person(store, clock, pace):
    """They did not press "reply": they wrote a new mail. It is the same person, at the same inbox."""
    enrolled(store, clock.now())

    react(reply("thr_unknown", sender="IDA@nordic.example"), b"", store=store, clock=clock, pace=pace)

    assert pending(store, clock.now()) == []


def test_an_answer_that_the_provider_put_into_another_thread_is_found_by_its_references(
    store, clock, mailbox, pace
):
    enrolled(store, clock.now())
    _send_all(store, mailbox, clock, pace)

    answer = reply("thr_theirs", sender="assistant@other.example", in_reply_to=mailbox.sent[0].message_id)
    react(answer, b"", store=store, clock=clock, pace=pace)

    assert pending(store, clock.now()) == []


def test_an_answer_stops_this_person_in_every_sequence(store, clock, pace):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), wants=sequence(name="Another", **{"from": "kim@acme.example"}))
    thread_id = pending(store, clock.now())[0]["thread_id"]
    inbox_id = pending(store, clock.now())[0]["inbox_id"]

    react(reply(thread_id, inbox_id=inbox_id), b"", store=store, clock=clock, pace=pace)

    assert pending(store, clock.now()) == []


def test_an_answer_stops_nobody_else(store, clock, pace):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), "tom@harbour.example")
    thread_id = next(draft["thread_id"] for draft in pending(store, clock.now()) if draft["to"] == IDA)

    react(reply(thread_id), b"", store=store, clock=clock, pace=pace)

    assert [draft["to"] for draft in pending(store, clock.now())] == ["tom@harbour.example"]


def test_an_event_of_an_inbox_that_is_not_the_threads_touches_nothing(store, clock, pace):
    enrolled(store, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.open_inbox("kim@acme.example")
    [first] = pending(store, clock.now())

    for number, inbox in enumerate(("stranger@else.example", "kim@acme.example")):
        event = reply(first["thread_id"], id=f"evt_{number}", inbox_id=inbox)
        assert isinstance(react(event, b"", store=store, clock=clock, pace=pace), Ignored)

    assert len(pending(store, clock.now())) == 1


def test_a_label_reaches_only_into_its_own_inbox(store, clock, pace):
    ours, theirs = open_thread(store, clock.now()), open_thread(store, clock.now(), "kim@acme.example")
    draft_id = label_a_follow_up(store, clock.now(), ours, clock.now() + timedelta(days=1))
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.tag(theirs, f"follow-up:{draft_id}")

    react(reply(theirs, inbox_id="kim@acme.example"), b"", store=store, clock=clock, pace=pace)

    assert [draft["draft_id"] for draft in pending(store, clock.now())] == [draft_id]


# --- in mid-send ---


def test_a_reply_beats_a_letter_that_is_being_carried(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    mailbox.before_gate = lambda letter: react(reply(thread_id), b"", store=store, clock=clock, pace=pace)

    [outcome] = _send_all(store, mailbox, clock, pace)

    assert isinstance(outcome, CalledOff)
    assert mailbox.sent == []
    assert pending(store, clock.now()) == []


def test_a_pause_beats_a_letter_that_is_being_carried(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    [draft] = pending(store, clock.now())

    def pause(_):
        with store.transaction(clock.now(), "kim") as ledger:
            ledger.pause(Reach(threads=(draft["thread_id"],)), "kim says so", but_not=set())

    mailbox.before_gate = pause
    _send_all(store, mailbox, clock, pace)

    assert mailbox.sent == []
    assert people(store, clock.now())[0]["state"] == "paused"


def test_a_reply_that_meets_a_letter_in_the_air_waits_for_it(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    answered = threading.Event()
    landed_before_the_answer = []

    def answer():
        react(reply(thread_id), b"", store=store, clock=clock, pace=pace)
        landed_before_the_answer.append(len(mailbox.sent))
        answered.set()

    thread = threading.Thread(target=answer)

    def in_the_air(_):
        thread.start()
        assert not answered.wait(0.3)

    mailbox.after_gate = in_the_air
    [outcome] = _send_all(store, mailbox, clock, pace)
    thread.join()

    assert isinstance(outcome, Delivered)
    assert landed_before_the_answer == [1]
    assert pending(store, clock.now()) == []  # and nothing was planned after it


def test_a_reply_that_waits_too_long_is_answered_503_and_is_stopped_all_the_same(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    impatient = replace(pace, ack_wait=timedelta(milliseconds=50))
    statuses = []

    def in_the_air(_):
        with pytest.raises(StillSending):
            react(reply(first["thread_id"]), b"", store=store, clock=clock, pace=impatient)
        with pytest.raises(StillSending):  # the provider asks again: it is a duplicate, and still in the air
            react(reply(first["thread_id"]), b"", store=store, clock=clock, pace=impatient)
        statuses.append(people(store, clock.now())[0]["state"])

    mailbox.after_gate = in_the_air
    _send_all(store, mailbox, clock, impatient)

    assert statuses == ["stopped"]
    assert isinstance(
        react(reply(first["thread_id"]), b"", store=store, clock=clock, pace=impatient), Ignored
    )
    clock.pass_(YEAR)
    assert _send_all(store, mailbox, clock, impatient) == []
    assert len(mailbox.sent) == 1


def test_a_reply_in_mid_send_withdraws_a_letter_that_the_server_postpones(store, clock, mailbox, pace):
    """Past the gate the server says "not now": it must not be tried again after somebody answered."""
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    impatient = replace(pace, ack_wait=timedelta(0))

    def not_now(_):
        with pytest.raises(StillSending):
            react(reply(thread_id), b"", store=store, clock=clock, pace=impatient)
        raise TemporaryFailure("451 not now")

    mailbox.after_gate = not_now
    [outcome] = _send_all(store, mailbox, clock, pace)

    assert isinstance(outcome, CalledOff)
    assert [draft["state"] for draft in pending(store, clock.now(), ended=True)] == ["cancelled"]
    with store.reading(clock.now()) as ledger:
        assert ledger.threads.labels(thread_id) == []
    clock.pass_(YEAR)
    assert _send_all(store, mailbox, clock, pace) == []


# --- what is no reply ---


def test_an_automatic_reply_holds_and_does_not_use_up_the_wait(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    _send_all(store, mailbox, clock, pace)
    [bump] = pending(store, clock.now())
    clock.pass_(timedelta(days=1))
    away = AutoReply(id="evt_1", inbox_id=SAM, thread_id=bump["thread_id"], sender=IDA)

    reaction = react(away, b"", store=store, clock=clock, pace=pace)

    assert isinstance(reaction, Held)
    assert reaction.reason is HoldReason.OUT_OF_OFFICE
    clock.pass_(timedelta(days=6, hours=23))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert [draft["state"] for draft in pending(store, clock.now())] == ["held"]
    clock.pass_(timedelta(hours=1))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert _send_all(store, mailbox, clock, pace) == []  # two days of the wait were left, and still are
    clock.pass_(timedelta(days=2))
    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Delivered]


def test_an_answer_that_nobody_vouches_for_holds_until_a_human_says_so(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())

    react(reply(first["thread_id"], verified=False), b"", store=store, clock=clock, pace=pace)

    clock.pass_(YEAR)
    assert _send_all(store, mailbox, clock, pace) == []
    approve(first["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Delivered]


def test_a_real_answer_cancels_what_is_held(store, clock, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    react(reply(first["thread_id"], verified=False), b"", store=store, clock=clock, pace=pace)

    event = reply(first["thread_id"], id="evt_2", message_id="<second@nordic.example>")
    reaction = react(event, b"", store=store, clock=clock, pace=pace)

    assert reaction == Stopped(StopReason.REPLIED, (first["draft_id"],))


def test_a_permanent_bounce_stops_and_a_passing_one_does_not(store, clock, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    about = {"inbox_id": SAM, "thread_id": first["thread_id"]}

    react(Bounce(id="evt_1", permanent=False, **about), b"", store=store, clock=clock, pace=pace)
    copy = Bounce(id="evt_2", permanent=True, recipients=("someone@else.example",), **about)
    react(copy, b"", store=store, clock=clock, pace=pace)
    assert len(pending(store, clock.now())) == 1

    react(
        Bounce(id="evt_3", permanent=True, recipients=(IDA,), **about),
        b"",
        store=store,
        clock=clock,
        pace=pace,
    )
    assert people(store, clock.now())[0]["stop_reason"] == "bounced"


def test_whoever_complains_is_never_written_to_again(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())

    event = Complaint(id="evt_1", inbox_id=SAM, thread_id=first["thread_id"])
    react(event, b"", store=store, clock=clock, pace=pace)

    assert pending(store, clock.now()) == []
    with store.transaction(clock.now(), "a test") as ledger:
        outcome = enroll(
            prepare(Prospect(email="Ida@nordic.example"), sequence(name="Another")), ledger=ledger
        )
    assert outcome == NotWanted("complained")


def test_an_address_suppressed_in_mid_send_is_not_written_to(store, clock, mailbox, pace):
    enrolled(store, clock.now())

    def suppress(_):
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.inbound.suppress("nordic.example", "asked by phone")

    mailbox.before_gate = suppress
    [outcome] = _send_all(store, mailbox, clock, pace)

    assert outcome.why == "suppressed: asked by phone"
    assert mailbox.sent == []
    assert people(store, clock.now())[0]["stop_reason"] == "suppressed"


def test_a_gate_that_took_too_long_is_no_gate(store, clock, mailbox, pace):
    enrolled(store, clock.now())

    [outcome] = _send_all(store, mailbox, clock, replace(pace, gate_deadline=timedelta(0)))

    assert isinstance(outcome, Postponed)
    assert mailbox.sent == []
    assert _send_all(store, mailbox, clock, pace) == []  # not at once: the database is busy as it is
    clock.pass_(timedelta(minutes=1))
    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Delivered]


def test_a_doubtful_answer_during_an_absence_holds_until_a_human_says_so(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    away = AutoReply(id="evt_1", inbox_id=SAM, thread_id=first["thread_id"], sender=IDA)
    react(away, b"", store=store, clock=clock, pace=pace)
    doubtful = reply(first["thread_id"], id="evt_2", verified=False)
    react(doubtful, b"", store=store, clock=clock, pace=pace)
    again = AutoReply(id="evt_3", inbox_id=SAM, thread_id=first["thread_id"], sender=IDA)
    react(again, b"", store=store, clock=clock, pace=pace)

    clock.pass_(YEAR)
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)

    assert _send_all(store, mailbox, clock, pace) == []
    assert [(draft["state"], draft["reason"]) for draft in pending(store, clock.now())] == [
        ("held", "unverified")
    ]


def test_a_doubtful_answer_in_mid_send_keeps_the_next_step_back(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    doubtful = reply(first["thread_id"], verified=False)
    mailbox.after_gate = lambda letter: react(doubtful, b"", store=store, clock=clock, pace=pace)

    _send_all(store, mailbox, clock, pace)

    assert pending(store, clock.now()) == []
    assert [(person["state"], person["reason"]) for person in people(store, clock.now())] == [
        ("paused", "unverified")
    ]
    with store.transaction(clock.now(), "a test") as ledger:  # the list is handed in again every night
        assert isinstance(enroll(prepare(Prospect(email=IDA), sequence()), ledger=ledger), Waits)
    assert resume(IDA, by="kim", store=store, clock=clock)[0].waits_for is None
    assert [draft["step"] for draft in pending(store, clock.now())] == ["step-2"]


def test_a_bounce_in_a_thread_that_no_sequence_made_cancels_its_follow_ups(store, clock, pace):
    thread_id = open_thread(store, clock.now())
    label_a_follow_up(store, clock.now(), thread_id, clock.now() + timedelta(days=1))

    bounce = Bounce(id="evt_1", inbox_id=SAM, thread_id=thread_id, permanent=True, recipients=(IDA,))
    react(bounce, b"", store=store, clock=clock, pace=pace)

    assert pending(store, clock.now()) == []


def test_a_letter_refused_after_somebody_answered_ends_as_cancelled(store, clock, mailbox, pace):
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    impatient = replace(pace, ack_wait=timedelta(0))

    def refused(_):
        with pytest.raises(StillSending):
            react(reply(thread_id), b"", store=store, clock=clock, pace=impatient)
        raise PermanentFailure("554 spam")

    mailbox.after_gate = refused
    [outcome] = _send_all(store, mailbox, clock, pace)

    assert isinstance(outcome, CalledOff)
    assert [draft["state"] for draft in pending(store, clock.now(), ended=True)] == ["cancelled"]


def test_an_answer_by_another_thread_is_kept_with_the_person(store, clock, pace):
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"]
    react(reply("thr_unknown", text="Call me"), b"", store=store, clock=clock, pace=pace)
    with store.reading(clock.now()) as ledger:
        [kept] = ledger.views.messages()
    assert (kept["direction"], kept["thread_id"], kept["text"]) == ("received", thread_id, "Call me")


# --- what is heard again, or elsewhere, while a letter is in the air ---


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"id": "evt_2"},
        {"id": "evt_2", "message_id": "<another@nordic.example>"},
        {"id": "evt_2", "thread_id": "thr_unknown", "message_id": None},
    ],
    ids=["the same event", "the same mail", "another mail", "another mail in a thread of its own"],
)
@pytest.mark.parametrize("thread", ["their thread", "a thread of its own"])
def test_whoever_answered_is_not_told_stopped_while_a_letter_is_in_the_air(
    store, clock, mailbox, pace, thread, again
):
    enrolled(store, clock.now())
    thread_id = pending(store, clock.now())[0]["thread_id"] if thread == "their thread" else "thr_unknown"
    impatient = replace(pace, ack_wait=timedelta(0))

    def in_the_air(_):
        with pytest.raises(StillSending):
            react(reply(thread_id), b"", store=store, clock=clock, pace=impatient)
        with pytest.raises(StillSending):
            react(reply(**{"thread_id": thread_id} | again), b"", store=store, clock=clock, pace=impatient)

    mailbox.after_gate = in_the_air
    [outcome] = _send_all(store, mailbox, clock, pace)
    assert isinstance(outcome, Delivered)


def test_an_event_of_one_inbox_leaves_the_labels_of_another_alone(store, clock, pace):
    ours, theirs = open_thread(store, clock.now()), open_thread(store, clock.now(), "kim@acme.example")
    draft_id = label_a_follow_up(store, clock.now(), ours, clock.now() + timedelta(days=1))
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.tag(theirs, f"follow-up:{draft_id}")
    react(reply(theirs, inbox_id="kim@acme.example"), b"", store=store, clock=clock, pace=pace)

    reaction = react(reply(ours, id="evt_2", message_id="<b@b>"), b"", store=store, clock=clock, pace=pace)

    assert isinstance(reaction, Stopped)
    assert reaction.drafts == (draft_id,)


def test_a_letter_cannot_be_put_back_while_it_is_being_called_back(store, clock, mailbox, pace):
    """The label stands on one thread, the draft in another: the thread that the worker locks is not the answer's."""
    label_on, lives_in = open_thread(store, clock.now()), open_thread(store, clock.now())
    draft_id = label_a_follow_up(store, clock.now(), lives_in, clock.now())
    with store.transaction(clock.now(), "a test") as ledger:
        ledger.threads.tag(label_on, f"follow-up:{draft_id}")
    called_back, answers = threading.Event(), []

    def answer():
        with store.transaction(clock.now(), "answer") as ledger:
            answers.append(ledger.call_back(Reach(threads=(label_on,)), StopReason.REPLIED))
            called_back.set()
            time.sleep(0.2)  # the server's "not now" comes before this commits

    answering = threading.Thread(target=answer)

    def not_now(_):
        answering.start()
        assert called_back.wait(5)
        raise TemporaryFailure("451 not now")

    mailbox.after_gate = not_now
    [outcome] = _send_all(store, mailbox, clock, pace)
    answering.join()

    assert isinstance(outcome, CalledOff)
    assert [draft["state"] for draft in pending(store, clock.now(), ended=True)] == ["cancelled"]


def test_suppressed_while_the_gate_was_too_slow_ends_the_letter(store, clock, mailbox, pace):
    enrolled(store, clock.now())

    def suppress_late(*_):
        with store.transaction(clock.now(), "a test") as ledger:
            ledger.inbound.suppress(IDA, "asked by phone")

    real = mailbox.send

    def send(letter, gate):
        assert not gate()  # it opened, and too slowly
        suppress_late()
        return Withdrawn()

    mailbox.send = send
    _send_all(store, mailbox, clock, replace(pace, gate_deadline=timedelta(0)))
    mailbox.send = real

    [draft] = pending(store, clock.now(), ended=True)
    assert (draft["state"], draft["labels"]) == ("cancelled", [])


def test_a_doubtful_answer_that_is_vouched_for_later_stops(store, clock, pace):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    react(reply(first["thread_id"], verified=False), b"", store=store, clock=clock, pace=pace)
    approve(first["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)

    reaction = react(reply(first["thread_id"], id="evt_2"), b"", store=store, clock=clock, pace=pace)

    assert isinstance(reaction, Stopped)
    assert pending(store, clock.now()) == []


def test_a_doubtful_answer_is_not_forgotten_when_a_missing_variable_comes(store, clock, mailbox, pace):
    wants = sequence({"subject": "Hi {{ company }}", "body": "Hello"})
    with store.transaction(clock.now(), "a test") as ledger:
        enroll(prepare(Prospect(email=IDA), wants), ledger=ledger)
    react(reply("thr_unknown", verified=False), b"", store=store, clock=clock, pace=pace)

    with store.transaction(clock.now(), "a test") as ledger:
        again = enroll(prepare(Prospect(email=IDA, variables={"company": "Nordic"}), wants), ledger=ledger)

    assert isinstance(again, Waits)
    assert again.reason == "unverified"
    assert _send_all(store, mailbox, clock, pace) == []


def test_resuming_somebody_whose_letter_is_pending_makes_no_second_thread(store, clock, mailbox, pace):
    enrolled(store, clock.now())

    def refuse(_):
        raise PermanentFailure("550 no")

    mailbox.before_gate = refuse
    _send_all(store, mailbox, clock, pace)
    [failed] = pending(store, clock.now())
    react(reply(failed["thread_id"], verified=False), b"", store=store, clock=clock, pace=pace)
    mailbox.before_gate = lambda letter: None

    resume(IDA, by="kim", store=store, clock=clock)
    approve(failed["draft_id"], by=Reviewer(id="kim"), store=store, clock=clock)
    for days in (3, 5, 0):
        _send_all(store, mailbox, clock, pace)
        clock.pass_(timedelta(days=days))

    assert [len(letter.references) for letter in mailbox.sent] == [0, 1, 2]
    assert {person["thread_id"] for person in people(store, clock.now())} == {failed["thread_id"]}


def test_a_letter_put_back_for_somebody_who_is_paused_rests_until_a_human_says_so(
    store, clock, mailbox, pace
):
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    doubtful = reply(first["thread_id"], verified=False)

    def not_now(_):
        react(doubtful, b"", store=store, clock=clock, pace=replace(pace, ack_wait=timedelta(0)))
        raise TemporaryFailure("451 not now")

    mailbox.after_gate = not_now
    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Postponed]
    mailbox.after_gate = lambda letter: None

    clock.pass_(timedelta(days=1))
    assert _send_all(store, mailbox, clock, pace) == []
    with store.reading(clock.now()) as ledger:
        assert ledger.drafts.next_due() is None
    clock.pass_(timedelta(days=3))
    recover(store=store, mailbox=mailbox, clock=clock, pace=pace)
    assert [draft["state"] for draft in pending(store, clock.now())] == ["scheduled"]
    clock.pass_(-timedelta(days=3))
    resume(IDA, by="kim", store=store, clock=clock)
    assert [type(outcome) for outcome in _send_all(store, mailbox, clock, pace)] == [Delivered]


def test_a_letter_that_escapes_a_hold_takes_its_person_with_it(store, clock, mailbox, pace, monkeypatch):
    """Between the look at what can be held and the hold itself, the gate may open."""
    enrolled(store, clock.now())
    [first] = pending(store, clock.now())
    monkeypatch.setattr("engine.store.drafts.Drafts.hold", lambda *_, **__: False)

    reaction = react(reply(first["thread_id"], verified=False), b"", store=store, clock=clock, pace=pace)

    assert isinstance(reaction, Held)
    assert reaction.drafts == ()
    assert [person["state"] for person in people(store, clock.now())] == ["paused"]


def test_whom_a_human_paused_at_this_moment_does_not_go_on_when_a_missing_variable_comes(
    store, clock, pace, monkeypatch
):
    wants = sequence({"subject": "Hi {{ company }}", "body": "Hello"})
    with store.transaction(clock.now(), "a test") as ledger:
        enroll(prepare(Prospect(email=IDA), wants), ledger=ledger)
    ready = prepare(Prospect(email=IDA, variables={"company": "Nordic"}), wants)
    with store.transaction(clock.now(), "a test") as ledger:
        as_it_was = ledger.enrollments.of_all(wants.name, [IDA])
    react(reply("thr_unknown", verified=False), b"", store=store, clock=clock, pace=pace)
    monkeypatch.setattr("engine.store.enrollments.Enrollments.of_all", lambda *_: as_it_was)

    with store.transaction(clock.now(), "a test") as ledger:
        again = enroll(ready, ledger=ledger)

    assert isinstance(again, AlreadyIn)
    assert again.reason == "unverified"
    assert [person["state"] for person in people(store, clock.now())] == ["paused"]
