"""Stop means stop: whom it held, what it voided, what is left, and what was already gone. And nothing bursts out afterwards."""

from datetime import timedelta

import pytest

from engine.brake import stop_everything, stop_sequence
from engine.dispatch import dispatch_due
from engine.errors import NotFound
from engine.resume import resume_sequence
from engine.safe import resume
from engine.settle import Postponed
from engine.witness import Nobody
from tests.makers import IDA, enrolled, pending, people, sequence

DAY = timedelta(days=1)
SOON = timedelta(milliseconds=20)
TOM = "tom@harbour.example"


@pytest.fixture
def brake(store, clock):
    def put_on(name: str | None = None):
        how = {"by": "kim", "store": store, "clock": clock, "gate_deadline": SOON}
        return stop_everything(**how) if name is None else stop_sequence(name, **how)

    return put_on


@pytest.fixture
def send(store, mailbox, clock, pace):
    return lambda: list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))


def test_the_brake_of_the_house_holds_everything_and_its_release_sends_nothing_early(
    brake, send, store, clock, mailbox
):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), TOM)
    receipt = brake()
    assert (receipt.people, receipt.drafts, receipt.left, receipt.already_leaving) == (2, 2, 0, 0)
    assert receipt.held_at == clock.now()
    assert send() == []

    released = resume(Nobody(), by="kim", store=store, clock=clock)
    assert (released.scheduled, released.due, released.doubt) == (2, 2, None)
    assert released.brake.why == "by hand: kim stopped everything"
    assert len(send()) == 2
    assert send() == []


def test_what_had_passed_the_gate_is_told_and_what_had_not_stays(
    brake, send, store, clock, mailbox, monkeypatch
):
    monkeypatch.setattr("engine.brake._PATIENCE", 0.1)
    receipts = []
    enrolled(store, clock.now())
    enrolled(store, clock.now(), TOM)
    mailbox.after_gate = lambda letter: receipts.append(brake())

    outcomes = send()

    [receipt] = receipts
    assert (receipt.drafts, receipt.already_leaving, receipt.left) == (1, 1, 1)
    assert [letter.to for letter in mailbox.sent] == [IDA]
    assert [type(outcome) for outcome in outcomes][1:] == [Postponed]
    waiting = {draft["to"]: draft["state"] for draft in pending(store, clock.now())}
    assert waiting == {IDA: "scheduled", TOM: "scheduled"}  # hers is the next one


def test_a_human_stands_firmer_on_the_brake_than_a_machine(brake, store, clock):
    with store.transaction(clock.now(), "the canary") as ledger:
        ledger.watch.brake("canary: nothing was heard")
    brake()
    with store.reading(clock.now()) as ledger:
        assert ledger.watch.braked().why.startswith("by hand")


def test_a_sequence_stops_and_others_go_on(brake, send, store, clock, mailbox):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), TOM, sequence(name="Another"))
    receipt = brake("Quick question")
    assert (receipt.people, receipt.drafts, receipt.left) == (1, 1, 0)
    send()
    assert [letter.to for letter in mailbox.sent] == [TOM]
    assert {one["email"]: one["state"] for one in people(store, clock.now())} == {
        IDA: "paused",
        TOM: "active",
    }


def test_a_letter_of_a_stopped_sequence_that_was_on_its_way_does_not_pass_the_gate(
    brake, send, store, clock, mailbox
):
    enrolled(store, clock.now())
    mailbox.before_gate = lambda letter: brake("Quick question")
    send()
    assert mailbox.sent == []


def test_a_stopped_sequence_goes_on_where_it_was_and_the_time_between_uses_up_no_wait(
    brake, send, store, clock, mailbox
):
    enrolled(store, clock.now())
    enrolled(store, clock.now(), TOM)
    send()
    brake("Quick question")
    with store.transaction(clock.now(), "a test") as ledger:
        [tom] = ledger.enrollments.paused(TOM)
        ledger.enrollments.pause([tom.enrollment.id], "something of his own")
    clock.pass_(10 * DAY)

    assert len(list(resume_sequence("Quick question", by="kim", store=store, clock=clock))) == 1

    assert {one["email"]: one["state"] for one in people(store, clock.now())} == {
        IDA: "active",
        TOM: "paused",
    }
    send()
    assert len(mailbox.sent) == 2
    clock.pass_(3 * DAY)
    send()
    assert [letter.to for letter in mailbox.sent[2:]] == [IDA]


def test_a_sequence_that_nobody_knows_is_told_with_the_nearest_name(brake, store, clock):
    enrolled(store, clock.now())
    with pytest.raises(NotFound, match='Did you mean "Quick question"'):
        brake("quick question")
    with pytest.raises(NotFound, match="There are: Quick question"):
        brake("xyz")
